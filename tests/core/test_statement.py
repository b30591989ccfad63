"""Statements: the bytes of DSSE and in-toto, one spelling of everything, one signature."""

import base64
import copy
import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from making import (
    KEY,
    NAMES,
    PRIVATE,
    any_statements,
    attempt,
    make_statement,
    modest,
    mutations,
    proof_bytes,
)

from medanchor.core import statement as statements
from medanchor.core.encoding import canonical_json
from medanchor.core.hashes import sha256
from medanchor.core.proof import parse_proof
from medanchor.core.statement import (
    PAYLOAD_TYPE,
    Follows,
    parse_envelope,
    pre_authentication_encoding,
    sign_statement,
    verify_envelope,
)
from medanchor.errors import MalformedProofError, Step, VerificationError

ROOT = sha256(b"root")
PLAIN = make_statement(ROOT, 412)
FOLLOWING = make_statement(
    ROOT, 1, follows=(Follows(5, "amendment", "correction"), Follows(0, "addendum", "wrong-record"))
)
ENVELOPE = sign_statement(PLAIN, KEY, PRIVATE.sign)


def tree_of(statement=PLAIN):
    return json.loads(parse_envelope(sign_statement(statement, KEY, PRIVATE.sign)).message.split(b" ", 4)[4])


def enveloped(body, **members):
    """An envelope around any payload, honestly signed, with `members` put in or, where None, left out."""
    outer = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": PAYLOAD_TYPE,
        "records": ROOT.hex(),
        "signatures": [{"keyid": sha256(KEY).hex(), "sig": base64.b64encode(PRIVATE.sign(pae(body))).decode()}],
        **members,
    }
    return canonical_json({name: value for name, value in outer.items() if value is not None})


def pae(body):
    """PAE of the DSSE protocol, written from its definition."""
    parts = (PAYLOAD_TYPE.encode(), body)
    return b" ".join([b"DSSEv1", *(str(len(part)).encode() + b" " + part for part in parts)])


def refused(data, message=""):
    with pytest.raises(VerificationError) as caught:
        verify_envelope(data, KEY)
    assert message in caught.value.message
    return caught.value


def malformed(data, message=""):
    """Refused for its form, which is step 0 whether or not somebody goes on to verify it."""
    error = refused(data, message)
    assert (type(error), error.step) == (MalformedProofError, Step.FORMAT)
    with pytest.raises(MalformedProofError):
        parse_envelope(data)


def test_the_pre_authentication_encoding_is_dsses_own_example(monkeypatch):
    monkeypatch.setattr(statements, "PAYLOAD_TYPE", "http://example.com/HelloWorld")
    assert pre_authentication_encoding(b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.binary(max_size=100))
@modest
def test_the_pre_authentication_encoding_counts_bytes(body):
    assert pre_authentication_encoding(body) == pae(body)


def test_the_envelope_is_the_one_of_the_specification():
    payload = (
        '{"_type":"https://in-toto.io/Statement/v1","predicate":{"ledger":"records.hospital.example/ward-7",'
        '"meaning":"authorship","records":412,"time":"2026-11-21T18:04:05Z"},"predicateType":"urn:medanchor:stamp:v1",'
        f'"subject":[{{"digest":{{"rfc9162Sha256":"{ROOT.hex()}"}},"name":"records"}}]}}'
    ).encode()
    signature = base64.b64encode(PRIVATE.sign(pae(payload))).decode()
    assert ENVELOPE.decode() == (
        f'{{"payload":"{base64.b64encode(payload).decode()}","payloadType":"application/vnd.in-toto+json",'
        f'"records":"{ROOT.hex()}","signatures":[{{"keyid":"{sha256(KEY).hex()}","sig":"{signature}"}}]}}'
    )


@given(any_statements)
@modest
def test_what_is_signed_comes_back(statement):
    data = sign_statement(statement, KEY, PRIVATE.sign)
    assert verify_envelope(data, KEY) == statement
    assert sign_statement(verify_envelope(data, KEY), KEY, PRIVATE.sign) == data


VALID = [ENVELOPE, sign_statement(FOLLOWING, KEY, PRIVATE.sign)]


@given(st.binary(max_size=100) | mutations([*VALID, *(parse_proof(proof_bytes(name)).envelope for name in NAMES)]))
@modest
def test_any_bytes_are_malformed_or_not_of_the_key_or_signed(data):
    """What is read is `records` beside the payload too, which is not signed: step 2 compares it with what is."""
    statement = attempt(lambda: verify_envelope(data, KEY), Step.FORMAT, Step.STATEMENT)
    if statement is not None:
        assert statement in {PLAIN, FOLLOWING}
        assert data in VALID or parse_envelope(data).root != statement.root


@given(mutations([canonical_json(tree_of()), canonical_json(tree_of(FOLLOWING))]))
@modest
def test_any_signed_payload_is_refused_or_is_the_one_spelling_of_a_statement(body):
    statement = attempt(lambda: verify_envelope(enveloped(body), KEY), Step.FORMAT)
    if statement is not None:
        assert sign_statement(statement, KEY, PRIVATE.sign) == enveloped(body, records=statement.root.hex())


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


def test_another_key_and_a_false_signature_are_told_apart():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    foreign = sign_statement(PLAIN, other.public_key().public_bytes_raw(), other.sign)
    error = refused(foreign, "the statement names another key than the proof's signer")
    assert (type(error), error.step) == (VerificationError, Step.STATEMENT)
    error = refused(
        sign_statement(PLAIN, KEY, other.sign), "the signature under the statement is not of the proof's key"
    )
    assert (type(error), error.step) == (VerificationError, Step.STATEMENT)


def test_the_signature_is_over_the_encoding_and_not_over_the_payload():
    body = canonical_json(tree_of())
    for signed in (body, pae(body)[7:], pae(body) + b"\n", ENVELOPE):
        signature = {"keyid": sha256(KEY).hex(), "sig": base64.b64encode(PRIVATE.sign(signed)).decode()}
        assert refused(enveloped(body, signatures=[signature]), "is not of the proof's key").step is Step.STATEMENT


def test_remembering_an_envelope_does_not_remember_a_verdict_for_another_key():
    with pytest.raises(VerificationError):
        verify_envelope(ENVELOPE, bytes(32))
    assert verify_envelope(ENVELOPE, KEY) == PLAIN
