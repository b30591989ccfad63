"""FHIR resources: what may change unnoticed, and what must always show."""

import json

import pytest
from fhirs import OBSERVATION, content, minified, rung

from medanchor.core.hashes import sha256
from medanchor.core.ladder import Likeness, Rung
from medanchor.errors import MalformedRecordError
from medanchor.records import fhir
from medanchor.records.document import ABSENT, Content, Kind

SAME_CONTENT = Likeness(Rung.SAME_CONTENT)
CHANGED = Likeness(Rung.CHANGED)
PRECISION = Likeness(Rung.SAME_VALUES, ("precision",))


def data_differ(*parts):
    return Likeness(Rung.SAME_DATA, parts)


# -- components --------------------------------------------------------------------------------------------------------


def test_the_worked_example_has_these_components():
    data = (
        b'{"resourceType":"Observation","id":"hb-1","meta":{"versionId":"1","profile":["p"]},'
        b'"text":{"status":"empty"},"valueQuantity":{"value":5.10}}'
    )
    parts = (
        b'{"resourceType":"Observation","valueQuantity":{"value":5.10}}',
        b'{"status":"empty"}',
        b'{"profile":["p"]}',
        b'"hb-1"',
        b'{"resourceType":"Observation","valueQuantity":{"value":5.1}}',
    )
    assert content(data) == Content(Kind.FHIR, sha256(data), tuple(sha256(part) for part in parts))


def test_parts_that_are_not_there_are_absent():
    data = b'{"resourceType":"Patient"}'
    assert content(data).components == (sha256(data), ABSENT, ABSENT, ABSENT, sha256(data))


@pytest.mark.parametrize("number", [b"9007199254740993", b"1e400", b"1" * 400])
def test_a_number_that_no_double_can_hold_leaves_no_numeric_digest(number):
    components = content(b'{"resourceType":"X","a":%s}' % number).components
    assert components[4] == ABSENT
    assert components[0] != ABSENT


def test_null_is_not_the_same_as_nothing():
    for part in ("id", "text", "meta"):
        assert rung(b'{"resourceType":"X"}', b'{"resourceType":"X","%s":null}' % part.encode()).rung is Rung.SAME_DATA


# -- what servers change benignly --------------------------------------------------------------------------------------


def changed(old, new, data=OBSERVATION, times=1):
    assert data.count(old) == times
    return data.replace(old, new)


BENIGN = {
    "minified": minified(OBSERVATION),
    "keys sorted backwards": json.dumps(dict(reversed(json.loads(OBSERVATION).items())))
    .encode()
    .replace(b" 5.1,", b" 5.10,"),
    "indented with tabs and CRLF": OBSERVATION.replace(b"\n", b"\r\n").replace(b"  ", b"\t"),
    "a byte order mark": b"\xef\xbb\xbf" + OBSERVATION,
    "a line end at the end": OBSERVATION + b"\n",
    "escapes": changed(b"caf\xc3\xa9", b"caf\\u00E9"),
    "no escapes": changed(b"\\ud83d\\ude00", "😀".encode()),
    "solidus escaped": changed(b"Patient/17", b"Patient\\/17"),
    "an exponent": changed(b"5.10", b"51.0e-1"),
    "another version": changed(b'"versionId": "1"', b'"versionId": "2"'),
    "another time of change": changed(b"2026-11-20T08:00:00Z", b"2027-01-01T00:00:00Z"),
    "another source": changed(b'"#a1"', b'"#b2"'),
    "no version, time, source": changed(
        b'"versionId": "1", "lastUpdated": "2026-11-20T08:00:00Z", "source": "#a1",', b""
    ),
}


@pytest.mark.parametrize("after", BENIGN.values(), ids=BENIGN)
def test_the_same_resource_written_anew_is_the_same_content(after):
    assert rung(OBSERVATION, after) == SAME_CONTENT
    assert rung(after, OBSERVATION) == SAME_CONTENT


def test_a_resource_without_meta_is_the_same_content_when_a_server_has_stored_it():
    stored = b'{"resourceType":"Patient","meta":{"versionId":"1","lastUpdated":"2026-11-20T08:00:00Z"}}'
    assert rung(b'{"resourceType":"Patient"}', stored) == SAME_CONTENT


def test_the_same_bytes_are_exact():
    assert rung(OBSERVATION, bytes(OBSERVATION)) == Likeness(Rung.EXACT)


# -- what must always show ---------------------------------------------------------------------------------------------

SECURITY = b'{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}'

ATTACKS = {
    "a security label dropped": (changed(SECURITY, b""), data_differ("meta")),
    "security labels dropped": (changed(b',\n    "security": [' + SECURITY + b"]", b""), data_differ("meta")),
    "a security label weakened": (changed(b'"code": "R"', b'"code": "N"'), data_differ("meta")),
    "a profile changed": (changed(b"/vitalsigns", b"/vitalsign"), data_differ("meta")),
    "a tag added": (changed(b'"profile"', b'"tag": [{"code": "x"}], "profile"'), data_differ("meta")),
    "all of meta renamed": (changed(b'"meta"', b'"Meta"'), CHANGED),
    "the narrative altered": (changed(b"Hb low", b"Hb high"), data_differ("narrative")),
    "the narrative's status altered": (changed(b'"generated"', b'"additional"'), data_differ("narrative")),
    "another id": (changed(b'"hb-1"', b'"hb-2"'), data_differ("id")),
    "another id and narrative": (
        changed(b'"hb-1"', b'"hb-2"', changed(b"Hb low", b"Hb high")),
        data_differ("narrative", "id"),
    ),
    "5.10 to 5.1": (changed(b'"value": 5.10', b'"value": 5.1'), PRECISION),
    "5.10 to 5.1000": (changed(b'"value": 5.10', b'"value": 5.1000'), PRECISION),
    "5.10 to 5.100 and another narrative": (
        changed(b'"value": 5.10', b'"value": 5.100', changed(b"Hb low", b"Hb high")),
        data_differ("precision", "narrative"),
    ),
    "5.10 to 51.0": (changed(b'"value": 5.10', b'"value": 51.0'), CHANGED),
    "5.10 to -5.10": (changed(b'"value": 5.10', b'"value": -5.10'), CHANGED),
    "5.10 to a string": (changed(b'"value": 5.10', b'"value": "5.10"'), CHANGED),
    "5.10 to 5.1 in a wider change": (
        changed(b'"value": 5.10, "unit": "mmol/L"', b'"value": 5.1, "unit": "g/L"'),
        CHANGED,
    ),
    "another status": (changed(b'"status": "final"', b'"status": "amended"'), CHANGED),
    "the sibling of a status dropped": (
        changed(b'"_status": {"extension": [{"url": "http://clinic.example/why", "valueCode": "checked"}]},', b""),
        CHANGED,
    ),
    "the sibling of a status altered": (changed(b'"checked"', b'"guessed"'), CHANGED),
    "an extension altered": (changed(b'"K-7"', b'"K-8"'), CHANGED),
    "a modifier extension altered": (changed(b"false", b"true"), CHANGED),
    "a modifier extension as an ordinary one": (changed(b'"modifierExtension"', b'"modifierextension"'), CHANGED),
    "a contained resource altered": (changed(b'"family": "Example"', b'"family": "Exemple"'), CHANGED),
    "a contained resource's id altered": (changed(b'"id": "p"', b'"id": "q"'), CHANGED),
    "codings in another order": (
        changed(
            b'{"system": "http://loinc.org", "code": "718-7"}, {"system": "urn:oid:2.16", "code": "1"}',
            b'{"system": "urn:oid:2.16", "code": "1"}, {"system": "http://loinc.org", "code": "718-7"}',
        ),
        CHANGED,
    ),
    "given names in another order": (changed(b'["Ada", "B."]', b'["B.", "Ada"]'), CHANGED),
    "a reference rewritten": (changed(b"Patient/17", b"Patient/71"), CHANGED),
    "a reference made absolute": (changed(b"Patient/17", b"http://clinic.example/Patient/17"), CHANGED),
    "another instant": (changed(b"07:55:00+01:00", b"06:55:00Z"), CHANGED),
    "an accent composed otherwise": (changed(b"caf\xc3\xa9", "cafe\u0301".encode()), CHANGED),
    "an invisible character": (changed(b"718-7", "718\u200b-7".encode()), CHANGED),
    "a space in a string": (changed(b'"K-7"', b'"K-7 "'), CHANGED),
    "an element added": (changed(b'"note"', b'"valueString": "x", "note"'), CHANGED),
    "an element with another case": (changed(b'"subject"', b'"Subject"'), CHANGED),
    "versionId outside meta": (changed(b'"note"', b'"versionId": "1", "note"'), CHANGED),
    "a sibling of the id": (changed(b'"note"', b'"_id": {"extension": []}, "note"'), CHANGED),
    "a sibling of meta.source": (changed(b'"profile"', b'"_source": {"id": "x"}, "profile"'), data_differ("meta")),
}


@pytest.mark.parametrize(("after", "verdict"), ATTACKS.values(), ids=ATTACKS)
def test_what_is_significant_always_shows(after, verdict):
    for written in (after, minified(after)):
        assert rung(OBSERVATION, written) == verdict
        assert rung(minified(OBSERVATION), written) == verdict


@pytest.mark.parametrize(
    "after",
    [
        changed(b'"status": "final"', b'"status": "final", "status": "amended"'),
        changed(b'"status": "final"', b'"status": "amended", "status": "final"'),
        changed(b'"status": "final"', b'"status": "final", "st\\u0061tus": "amended"'),
        changed(b'"id": "p"', b'"id": "p", "id": "p"'),
        changed(b'"versionId": "1"', b'"versionId": "1", "versionId": "1"'),
        changed(b'"value": 5.10', b'"value": NaN'),
        changed(b'"value": 5.10', b'"value": 1e999999999'),
        changed(b"\\ude00", b""),
        OBSERVATION[:-1],
        OBSERVATION + b"{}",
        OBSERVATION * 2,
    ],
    ids=range(11),
)
def test_what_is_not_sound_is_refused(after):
    with pytest.raises(MalformedRecordError, match=r"at byte [0-9]+$"):
        fhir.read(after)


def test_numbers_of_the_same_double_are_the_same_values_and_no_more():
    one, other = b'{"resourceType":"X","a":0.1}', b'{"resourceType":"X","a":0.10000000000000000001}'
    assert rung(one, other) == PRECISION
    large = b'{"resourceType":"X","a":9007199254740993}', b'{"resourceType":"X","a":9007199254740992}'
    assert rung(*large) == CHANGED
    assert rung(b'{"resourceType":"X","a":0}', b'{"resourceType":"X","a":1e-400}') == CHANGED


# -- what is no resource -----------------------------------------------------------------------------------------------

NO_RESOURCES = [b"{}", b"[]", b"1", b"null", b'"Patient"', b'[{"resourceType":"Patient"}]', b'{"resourceType":null}']
NO_RESOURCES += [b'{"resourceType":["Patient"]}', b'{"entry":[{"resource":{"resourceType":"Patient"}}]}', b" 1.50 "]


@pytest.mark.parametrize("data", NO_RESOURCES)
def test_json_that_is_no_resource_is_bytes(data):
    document = fhir.read(data)
    assert document == (Content(Kind.BYTES, sha256(data)), (), None)
