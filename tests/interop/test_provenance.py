"""What a Provenance says of an entry: every element told from the statement, nothing of the records but their ids."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from damage import forged
from forge import KEY, ORIGIN, double_sha256, sha256
from hypothesis import given, settings
from hypothesis import strategies as st
from provenances import PUBLIC, RESOURCE, TIME, entry_of, record_of

from medanchor.core.proof import parse_proof
from medanchor.core.statement import Follows
from medanchor.errors import Step, UsageError, VerificationError
from medanchor.interop.provenance import provenance, reference_of, subject

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
DAMAGES = {name: (data, step) for name, (data, step) in forged().items() if step >= Step.BUNDLE}

LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
SIGNATURES = "1.2.840.10065.1.12.1."


def told(proofs, *resources, **words):
    """The Provenance of an entry, as JSON; `resources` are those of its records that are in hand, else the first."""
    subjects = [subject(proof, data) for proof, data in zip(proofs, resources or (None,), strict=False)]
    return json.loads(provenance(proofs[0], subjects, **words))


def one(**statement):
    return told(entry_of([record_of(b"a record")], **statement))


def test_everything_is_told_from_the_statement():
    [proof] = entry_of([record_of(RESOURCE, 1)], follows=[Follows(3, "amendment", "correction")])
    who = {"identifier": {"system": "urn:medanchor:key", "value": sha256(PUBLIC).hex()}, "display": "Dr A. Example"}
    leaf, transaction = sha256(b"\0" + proof.record.entry()).hex(), double_sha256(proof.anchor.transaction)[::-1].hex()
    assert told([proof], RESOURCE, name="Dr A. Example", role="physician") == {
        "resourceType": "Provenance",
        "id": sha256(b"\0" + proof.envelope).hex(),
        "target": [
            {
                "reference": "Observation/f-1/_history/4",
                "identifier": {"system": "urn:medanchor:leaf", "value": leaf},
            }
        ],
        "recorded": TIME,
        "policy": ["urn:medanchor:stamp:v1"],
        "reason": [{"coding": [{"system": "urn:medanchor:reason", "code": "correction"}]}],
        "activity": {
            "coding": [{"system": LIFECYCLE, "code": "amend", "display": "Amend (Update) Record Lifecycle Event"}]
        },
        "agent": [
            {
                "type": {"coding": [{"system": PARTICIPANT, "code": "author", "display": "Author"}]},
                "role": [{"text": "physician"}],
                "who": who,
            }
        ],
        "entity": [
            {
                "role": "revision",
                "what": {
                    "identifier": {"system": "urn:medanchor:entry", "value": f"{ORIGIN}#3"},
                    "display": "entry 3 as amendment (correction)",
                },
            },
            {
                "role": "source",
                "what": {
                    "identifier": {"system": "urn:medanchor:entry", "value": f"{ORIGIN}#5"},
                    "display": "entry 5",
                },
            },
            {
                "role": "source",
                "what": {
                    "identifier": {"system": "urn:medanchor:anchor:regtest", "value": transaction},
                    "display": "transaction in block 123 on regtest, 2023-11-14T22:13:20Z",
                },
            },
        ],
        "signature": [
            {
                "type": [
                    {
                        "system": "urn:iso-astm:E1762-95:2013",
                        "code": f"{SIGNATURES}1",
                        "display": "Author's Signature",
                    },
                    {"system": "urn:medanchor:meaning", "code": "authorship"},
                ],
                "when": TIME,
                "who": who,
                "targetFormat": "application/vnd.in-toto+json",
                "sigFormat": "application/vnd.dsse.envelope.v1+json",
                "data": base64.b64encode(proof.envelope).decode(),
            }
        ],
    }


@pytest.mark.parametrize(
    ("meaning", "system", "agent", "signature", "activity"),
    [
        ("authorship", PARTICIPANT, "author", ["1"], "attest"),
        ("review", PARTICIPANT, "verifier", ["13"], "attest"),
        ("approval", PARTICIPANT, "verifier", ["6"], "attest"),
        ("responsibility", PARTICIPANT, "verifier", ["5"], "attest"),
        ("receipt", PARTICIPATION, "IRCP", [], "receive"),
    ],
)
def test_each_meaning_is_told_in_the_codes_that_say_it_and_in_its_own_word(meaning, system, agent, signature, activity):
    tree = one(meaning=meaning)
    [participant] = tree["agent"][0]["type"]["coding"]
    *standard, own = tree["signature"][0]["type"]
    assert (participant["system"], participant["code"]) == (system, agent)
    assert [coding["code"].removeprefix(SIGNATURES) for coding in standard] == signature
    assert own == {"system": "urn:medanchor:meaning", "code": meaning}
    assert [coding["code"] for coding in tree["activity"]["coding"]] == [activity]


@pytest.mark.parametrize(
    ("kinds", "activity", "roles"),
    [
        (["amendment"], "amend", ["revision"]),
        (["addendum"], "amend", ["derivation"]),
        (["late-entry"], "amend", ["derivation"]),
        (["retraction"], "deprecate", ["derivation"]),
        (["amendment", "addendum"], "amend", ["revision", "derivation"]),
        (["amendment", "retraction", "late-entry"], "deprecate", ["revision", "derivation", "derivation"]),
    ],
)
@pytest.mark.parametrize("meaning", ["authorship", "receipt"])
def test_what_a_statement_follows_is_told_and_a_retraction_before_all_else(meaning, kinds, activity, roles):
    follows = [Follows(number, kind, "administrative") for number, kind in enumerate(kinds)]
    tree = one(meaning=meaning, follows=follows)
    followed = tree["entity"][:-2]
    assert [coding["code"] for coding in tree["activity"]["coding"]] == [activity]
    assert [entity["role"] for entity in followed] == roles
    assert [entity["what"]["identifier"]["value"] for entity in followed] == [
        f"{ORIGIN}#{at}" for at in range(len(kinds))
    ]
    assert [entity["what"]["display"].split()[3] for entity in followed] == kinds


def test_each_reason_is_told_once():
    reasons = ["wrong-record", "legal-request", "wrong-record"]
    tree = one(follows=[Follows(number, "addendum", reason) for number, reason in enumerate(reasons)])
    assert [reason["coding"][0]["code"] for reason in tree["reason"]] == ["wrong-record", "legal-request"]
    assert "reason" not in one()


def test_an_entry_without_an_anchor_names_no_block():
    assert [entity["what"]["display"] for entity in one(anchored=False)["entity"]] == ["entry 5"]


def test_the_signature_is_the_envelope_and_holds_for_whoever_has_the_key():
    envelope = json.loads(base64.b64decode(one()["signature"][0]["data"]))
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    KEY.public_key().verify(signature, b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))


def test_every_record_in_hand_is_a_target_once_in_the_order_of_the_bundle():
    data = [b'{"resourceType":"Basic","id":"b%d"}' % number for number in range(9)]
    proofs = entry_of([record_of(each, 1) for each in data])
    subjects = [subject(proof, each) for proof, each in zip(proofs, data, strict=True)]
    written = provenance(proofs[0], subjects)
    assert [target["reference"] for target in json.loads(written)["target"]] == [f"Basic/b{at}" for at in range(9)]
    unnamed = [subject(proofs[4])]
    for order in (subjects[::-1], subjects * 2, unnamed + subjects, subjects + unnamed):
        assert provenance(proofs[7], order) == written


def test_a_record_that_fhir_has_no_reference_to_is_named_by_its_leaf():
    [proof] = entry_of([record_of(b"%PDF-1.7")])
    leaf = {"system": "urn:medanchor:leaf", "value": sha256(b"\0" + proof.record.entry()).hex()}
    assert told([proof], b"%PDF-1.7")["target"] == told([proof], None)["target"] == [{"identifier": leaf}]


def test_a_record_of_another_bundle_is_refused():
    [here, *_], [elsewhere] = entry_of([record_of(b"a"), record_of(b"b")]), entry_of([record_of(b"b")])
    with pytest.raises(VerificationError) as caught:
        provenance(here, [subject(here), subject(elsewhere)])
    assert caught.value.step == Step.BUNDLE
    with pytest.raises(VerificationError) as caught:
        provenance(here, [subject(replace(here, record=record_of(b"c")))])
    assert caught.value.step == Step.BUNDLE


def test_a_record_is_not_referred_to_by_what_other_bytes_say():
    [proof] = entry_of([record_of(RESOURCE, 1)])
    with pytest.raises(VerificationError) as caught:
        subject(proof, RESOURCE.replace(b"f-1", b"f-2"))
    assert caught.value.step == Step.RECORD


@pytest.mark.parametrize("name", DAMAGES)
def test_nothing_is_told_of_a_proof_that_fails(name):
    data, step = DAMAGES[name]
    proof = parse_proof(data)
    with pytest.raises(VerificationError) as caught:
        provenance(proof, [subject(proof)])
    assert caught.value.step == step


def test_an_entry_of_which_no_record_is_in_hand_has_no_provenance():
    [proof] = entry_of([record_of(b"a")])
    with pytest.raises(UsageError, match="at least one record"):
        provenance(proof, [])


def test_more_records_than_a_server_takes_are_refused_as_soon_as_they_are_too_many(monkeypatch):
    monkeypatch.setattr("medanchor.interop.provenance.MAX_TARGETS", 3)
    proofs = entry_of([record_of(b"%d" % number) for number in range(9)])
    assert len(told(proofs, *[None] * 3)["target"]) == 3
    rest = (subject(proof) for proof in proofs)
    with pytest.raises(UsageError, match="at most 3 records in one Provenance"):
        provenance(proofs[0], rest)
    assert next(rest).position.index == 4


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=8), st.integers(0, 4), st.booleans())
def test_no_digest_salt_or_byte_of_a_record_is_given_away(data, kind, anchored):
    secret = b"SECRET" + data
    proofs = entry_of([record_of(secret, kind), record_of(b"other")], anchored=anchored)
    written = provenance(proofs[0], [subject(proofs[0], secret)])
    envelope = base64.b64decode(json.loads(written)["signature"][0]["data"])
    every = written + envelope + base64.b64decode(json.loads(envelope)["payload"])
    record = proofs[0].record
    for hidden in (record.salt, record.raw, *record.components, *proofs[0].bundle.path):
        assert hidden not in every
        assert hidden.hex().encode() not in every
        assert base64.b64encode(hidden) not in every
    assert b"SECRET" not in every


def test_it_is_indented_utf_8_with_one_line_feed_at_the_end():
    [proof] = entry_of([record_of(b"a")])
    written = provenance(proof, [subject(proof)], name="Dr Çağla Ünlü", role="hekim")
    assert written.endswith(b"\n}\n")
    assert written.startswith(b'{\n  "resourceType": "Provenance",\n')
    assert "Dr Çağla Ünlü".encode() in written


@pytest.mark.parametrize(
    ("name", "display"),
    [
        (" Dr\tA.\n\x00Example\u2028 ", "Dr A. Example"),
        ('"} <b>&amp;', '"} <b>&amp;'),
        ("half \ud800 a pair", "half a pair"),
        ("", None),
        (" \u00a0\u3000\x1f", None),
    ],
)
def test_a_name_and_a_role_are_one_line_that_can_be_printed_or_are_left_out(name, display):
    [proof] = entry_of([record_of(b"a")])
    tree = told([proof], None, name=name, role=name)
    assert tree["agent"][0]["who"].get("display") == tree["signature"][0]["who"].get("display") == display
    assert tree["agent"][0].get("role") == ([{"text": display}] if display else None)


@pytest.mark.parametrize(
    ("resource", "reference"),
    [
        (b'{"resourceType":"Patient","id":"a.B-9"}', "Patient/a.B-9"),
        (b'\xef\xbb\xbf{"id":"1","resourceType":"Patient","meta":{"versionId":"v.2"}}', "Patient/1/_history/v.2"),
        (b'{"resourceType":"Patient","id":"1","meta":{"versionId":"no version"}}', "Patient/1"),
        (b'{"resourceType":"Patient","id":"1","meta":["versionId"]}', "Patient/1"),
        (b'{"resourceType":"Patient","id":"1","multipleBirthInteger":' + b"9" * 5000 + b"}", "Patient/1"),
        (b'{"resourceType":"Bundle","id":"1","entry":[{"resource":{"resourceType":"Patient","id":"2"}}]}', "Bundle/1"),
        (b'{"resourceType":"Patient","id":"' + b"i" * 64 + b'"}', "Patient/" + "i" * 64),
        (b'{"resourceType":"Patient","id":"' + b"i" * 65 + b'"}', ""),
        (b'{"resourceType":"Patient","id":"1\\n"}', ""),
        (b'{"resourceType":"Patient","id":"../1"}', ""),
        (b'{"resourceType":"Patient","id":"Anna Muster"}', ""),
        (b'{"resourceType":"Patient","id":"\xd9\xa1"}', ""),
        (b'{"resourceType":"Patient","id":1}', ""),
        (b'{"resourceType":"Patient","id":"1","id":"2"}', ""),
        (b'{"resourceType":"Patient","id":"1","meta":{"versionId":"1","versionId":"2"}}', ""),
        (b'{"resourceType":"patient","id":"1"}', ""),
        (b'{"resourceType":"Patient/1/Group","id":"1"}', ""),
        (b'{"resourceType":null,"id":"1"}', ""),
        (b'{"resourceType":"Patient"}', ""),
        (b'[{"resourceType":"Patient","id":"1"}]', ""),
        (b'{"resourceType":"Patient","id":"1"', ""),
        (b"[" * 100_000, ""),
        (b"%PDF-1.7", ""),
        (b"\xff\xfe\xfd", ""),
        (b"", ""),
    ],
)
def test_a_resource_is_referred_to_by_what_it_says_of_itself_or_not_at_all(resource, reference):
    assert reference_of(resource) == reference


@given(st.one_of(st.binary(), st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner))))
def test_whatever_the_bytes_are_a_reference_is_one_or_empty(value):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    assert reference_of(data) == ""


def test_every_resource_of_a_server_has_a_reference():
    if not SHARED.is_dir():
        pytest.skip("the shared data is not here")
    lines = [line for file in SHARED.glob("fhir-bulk-*/*.ndjson") for line in file.read_bytes().splitlines()]
    for file in SHARED.glob("fhir-r4-bundles/*.json"):
        lines += [json.dumps(entry["resource"]).encode() for entry in json.loads(file.read_bytes())["entry"]]
    assert len(lines) > 7_000
    for line in lines:
        tree = json.loads(line)
        assert reference_of(line) == f"{tree['resourceType']}/{tree['id']}"
