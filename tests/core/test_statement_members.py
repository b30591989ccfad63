"""The members of an envelope and of its statement one by one: what each may be, and everything it may not."""

import base64
import copy
import json
import re

import pytest
from enveloping import ENVELOPE, ROOT, enveloped, malformed, tree_of
from making import KEY

from medanchor.core.encoding import canonical_json
from medanchor.core.hashes import sha256
from medanchor.core.statement import parse_envelope, verify_envelope

OUTER = {
    **{f"{name}-missing": {name: None} for name in ("payload", "payloadType", "records", "signatures")},
    "one-member-more": {"extra": ""},
    "another-type": {"payloadType": "application/json"},
    "type-a-number": {"payloadType": 1},
    "payload-a-number": {"payload": 1},
    "payload-no-base64": {"payload": "e30"},
    "payload-with-white-space": {"payload": "e30=\n"},
    "payload-url-safe": {"payload": "__8="},
    "payload-not-ascii": {"payload": "ä"},
    "payload-a-lone-surrogate": {"payload": "\ud800"},
    "payload-empty": {"payload": ""},
    "no-signature": {"signatures": []},
    "two-signatures": {"signatures": json.loads(ENVELOPE)["signatures"] * 2},
    "signatures-an-object": {"signatures": {"keyid": "", "sig": ""}},
    "signatures-a-string": {"signatures": "s"},
    "signature-a-string": {"signatures": ["s"]},
    "signature-with-more": {"signatures": [{"keyid": "", "sig": "", "more": ""}]},
    "signature-without-key": {"signatures": [{"sig": ""}]},
    "keyid-upper-case": {"signatures": [{"keyid": sha256(KEY).hex().upper(), "sig": ""}]},
    "keyid-short": {"signatures": [{"keyid": sha256(KEY).hex()[2:], "sig": ""}]},
    "sig-of-63": {"signatures": [{"keyid": sha256(KEY).hex(), "sig": base64.b64encode(bytes(63)).decode()}]},
    "sig-of-65": {"signatures": [{"keyid": sha256(KEY).hex(), "sig": base64.b64encode(bytes(65)).decode()}]},
    "sig-null": {"signatures": [{"keyid": sha256(KEY).hex(), "sig": None}]},
}


@pytest.mark.parametrize("members", OUTER.values(), ids=OUTER)
def test_an_envelope_is_exactly_its_members(members):
    malformed(enveloped(canonical_json(tree_of()), **members))


@pytest.mark.parametrize("records", [ROOT.hex().upper(), ROOT.hex()[2:], ROOT.hex() + "00", "", 1, 0, [ROOT.hex()]])
def test_the_root_beside_the_payload_is_a_hash(records):
    malformed(enveloped(canonical_json(tree_of()), records=records), "hex")


def test_the_root_beside_the_payload_is_handed_on_as_it_stands():
    """What OpenTimestamps can reach; no signature covers it, so step 2 compares it with the subject (test_verify)."""
    other = sha256(b"other")
    envelope = parse_envelope(enveloped(canonical_json(tree_of()), records=other.hex()))
    assert (envelope.root, envelope.statement.root) == (other, ROOT)


PAYLOADS = {
    "type-v0.1": ("_type", "https://in-toto.io/Statement/v0.1"),
    "another-predicate": ("predicateType", "urn:medanchor:stamp:v2"),
    "predicate-a-list": ("predicate", []),
    "no-subject": ("subject", []),
    "two-subjects": ("subject", tree_of()["subject"] * 2),
    "subject-an-object": ("subject", {}),
    "subject-named-otherwise": ("subject", [{"digest": {"rfc9162Sha256": ROOT.hex()}, "name": "record"}]),
    "subject-with-two-digests": (
        "subject",
        [{"digest": {"rfc9162Sha256": ROOT.hex(), "sha256": ""}, "name": "records"}],
    ),
    "subject-digest-of-another-name": ("subject", [{"digest": {"sha256": ROOT.hex()}, "name": "records"}]),
    "subject-digest-upper-case": ("subject", [{"digest": {"rfc9162Sha256": ROOT.hex().upper()}, "name": "records"}]),
    "one-member-more": ("more", 1),
}


@pytest.mark.parametrize(("name", "value"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_is_exactly_a_statement(name, value):
    malformed(enveloped(canonical_json({**tree_of(), name: value})))


AMENDS = {"entry": 5, "kind": "amendment", "reason": "correction"}
PREDICATES = [
    ("ledger", "a b"), ("ledger", ""), ("ledger", 1), ("ledger", "\ud800"), ("ledger", "a" * 256),
    ("meaning", "Authorship"), ("meaning", None), ("meaning", ["authorship"]), ("meaning", {}),
    ("records", True), ("records", 412.0), ("records", -1), ("records", "412"), ("records", 1 << 63),
    ("records", float("nan")),
    ("time", "2026-11-21T18:04:05"), ("time", "2026-11-21T18:04:05+00:00"), ("time", "2026-11-21 18:04:05Z"),
    ("time", "2026-11-21T18:04:05.0Z"), ("time", "2026-13-21T18:04:05Z"), ("time", "2026-00-21T18:04:05Z"),
    ("time", "2026-11-00T18:04:05Z"), ("time", "2026-11-32T18:04:05Z"), ("time", "2026-11-21T24:04:05Z"),
    ("time", "2026-11-21T18:60:05Z"), ("time", "2026-11-21T18:04:60Z"), ("time", "2026-11-21t18:04:05z"),
    ("time", "2026-02-30T18:04:05Z"), ("time", "2025-02-29T18:04:05Z"), ("time", "2100-02-29T18:04:05Z"),
    ("time", "2026-11-31T18:04:05Z"), ("time", "0000-01-01T00:00:00Z"), ("time", "02026-11-21T18:04:05Z"),
    ("time", "٢٠٢٦-11-21T18:04:05Z"), ("time", "2026-11-21T18:04:05Z\n"), ("time", 1795284245), ("time", None),
    ("follows", []), ("follows", AMENDS), ("follows", None), ("follows", ["amendment"]), ("follows", [{}]),
    ("follows", [{**AMENDS, "entry": True}]), ("follows", [{**AMENDS, "entry": -1}]),
    ("follows", [{**AMENDS, "more": 1}]),
    ("follows", [{**AMENDS, "kind": "correction"}]), ("follows", [{**AMENDS, "reason": "Mrs Example asked for it"}]),
    ("patient", "nobody"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), PREDICATES)
def test_a_predicate_says_nothing_but_what_is_named(name, value):
    tree = copy.deepcopy(tree_of())
    tree["predicate"][name] = value
    malformed(enveloped(canonical_json(tree)))


@pytest.mark.parametrize("time", ["2024-02-29T00:00:00Z", "2000-02-29T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_a_real_date(time):
    tree = tree_of()
    tree["predicate"]["time"] = time
    assert verify_envelope(enveloped(canonical_json(tree)), KEY).time == time


@pytest.mark.parametrize("name", ["ledger", "meaning", "records", "time"])
def test_nothing_of_a_predicate_may_be_missing(name):
    tree = tree_of()
    del tree["predicate"][name]
    malformed(enveloped(canonical_json(tree)), "expected a JSON object with the members ledger, meaning, records, time")


SPELLINGS = {
    "space-after-colon": lambda data: data.replace(b":", b": ", 1),
    "newline-at-the-end": lambda data: data + b"\n",
    "space-before": lambda data: b" " + data,
    "byte-order-mark": lambda data: b"\xef\xbb\xbf" + data,
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "escaped-letter": lambda data: data.replace(b"records", b"\\u0072ecords", 1),
    "escaped-slash": lambda data: data.replace(b"/", b"\\/", 1),
    "member-twice": lambda data: re.sub(rb"^{(\S+?:)", rb"{\1null,\1", data),
    "members-in-another-order": lambda data: json.dumps(
        dict(reversed(json.loads(data).items())), separators=(",", ":")
    ).encode(),
    "twice": lambda data: data + data,
}


@pytest.mark.parametrize("respell", SPELLINGS.values(), ids=SPELLINGS)
def test_one_spelling_of_a_payload_and_of_an_envelope(respell):
    """The payload is honestly signed as it is spelled: what it means is not in doubt, only that it is the one way."""
    body = canonical_json(tree_of())
    for data, respelled in ((ENVELOPE, respell(ENVELOPE)), (body, respell(body))):
        assert respelled != data
    malformed(respell(ENVELOPE))
    malformed(enveloped(respell(body)))


@pytest.mark.parametrize(
    "number", [b"412.0", b"4.12e2", b"0412", b"+412", b"-412", b"-0", b"true", b"NaN", b"1" * 5000]
)
def test_one_spelling_of_a_number(number):
    body = canonical_json(tree_of()).replace(b'"records":412', b'"records":' + number)
    assert number in body
    malformed(enveloped(body))


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_no_depth_of_nesting_escapes(opening):
    """Around the interpreter's own limit too, where reading still passes and writing no longer does."""
    closing = b"]" if opening == b"[" else b"}"
    for depth in (*range(1, 20), *range(900, 1100), 100_000):
        value = opening * depth + (b"" if opening == b"[" else b"1") + closing * depth
        malformed(value)
    malformed(enveloped(value))


@pytest.mark.parametrize("value", [b"", b"null", b"1", b'"a"', b"NaN", b"-0", b"1" * 5000, b"{", b"\xff", b'"\\ud800"'])
def test_what_is_no_json_object_is_no_statement(value):
    malformed(value)
    malformed(enveloped(value))
