"""Bundles and NDJSON: the records in them, by name, each as it is alone."""

import orjson
import pytest
from fhirs import BUNDLE, OBSERVATION, content, contents, minified, rung

from medanchor.core.hashes import sha256
from medanchor.core.ladder import Likeness, Rung
from medanchor.records import fhir
from medanchor.records.document import Content, Kind

CHANGED = Likeness(Rung.CHANGED)

# -- Bundles -----------------------------------------------------------------------------------------------------------


def test_a_bundle_is_a_resource_and_has_a_record_for_each_entry():
    document = fhir.read(BUNDLE)
    patient = b'{"birthDate":"1970-01-01","id":"17","resourceType":"Patient"}'
    assert document.content == Content(Kind.FHIR, sha256(BUNDLE), document.content.components)
    assert contents(document.contained) == [
        (b"entry/0", content(minified(OBSERVATION))),
        (b"entry/1", content(patient)),
    ]


def test_what_stands_in_a_bundle_verifies_alone_and_in_another_bundle():
    alone = content(OBSERVATION)
    (_, inside), _ = contents(fhir.read(BUNDLE).contained)
    assert inside.components == alone.components
    other = b'{"entry":[{},{"resource":{"resourceType":"X"}},{"resource":%s}],"resourceType":"Bundle"}' % OBSERVATION
    assert contents(fhir.read(other).contained)[1] == (b"entry/2", inside)


@pytest.mark.parametrize("kind", ["transaction", "batch", "searchset", "history", "document", "message", "collection"])
def test_all_of_a_bundle_is_covered(kind):
    before = {
        "resourceType": "Bundle",
        "type": kind,
        "link": [{"relation": "self", "url": "http://a"}],
        "entry": [
            {
                "fullUrl": "urn:uuid:1",
                "request": {"method": "PUT", "url": "Patient/1"},
                "response": {"status": "200"},
                "search": {"mode": "match"},
                "resource": {"resourceType": "Patient", "id": "1"},
            }
        ],
        "signature": {"data": "eA=="},
    }
    for key in ("type", "link", "signature"):
        assert rung(orjson.dumps(before), orjson.dumps({**before, key: "other"})) == CHANGED
    for key in before["entry"][0]:
        entry = {**before["entry"][0], key: "other"}
        assert rung(orjson.dumps(before), orjson.dumps({**before, "entry": [entry]})) == CHANGED


@pytest.mark.parametrize(
    "entries",
    [b"null", b"{}", b"[]", b'"x"', b"[1,null,[],{}]", b'[{"resource":null},{"resource":[]},{"resource":{}}]'],
)
def test_entries_without_resources_give_no_records(entries):
    document = fhir.read(b'{"resourceType":"Bundle","entry":%s}' % entries)
    assert contents(document.contained) == []


def test_a_bundle_without_entries_is_a_container():
    assert contents(fhir.read(b'{"resourceType":"Bundle"}').contained) == []
    assert fhir.read(b'{"resourceType":"Patient"}').contained is None


def nested(levels):
    inner = b'{"resourceType":"Patient"}'
    for _ in range(levels):
        inner = b'{"resourceType":"Bundle","entry":[{"resource":%s}]}' % inner
    return inner


def test_bundles_in_bundles_are_records_and_so_are_their_entries():
    document = fhir.read(nested(3))
    names = [b"entry/0", b"entry/0/entry/0", b"entry/0/entry/0/entry/0"]
    assert document.contained.names == names
    assert contents(document.contained)[1][1] == content(minified(nested(1)))


def test_entries_of_bundles_nested_too_deeply_have_no_records_and_that_is_said():
    contained = fhir.read(nested(300)).contained
    assert len(contained.names) == 4
    ((name, remark),) = contained.remarks
    assert name == contained.names[-1]
    assert remark == "its entries have no proofs of their own: Bundles are nested too deeply"


# -- lines -------------------------------------------------------------------------------------------------------------

PATIENT = b'{"resourceType":"Patient","id":"17"}'


def test_each_line_is_a_record_by_its_number():
    block = b"\n".join([PATIENT, b"", PATIENT + b"\r", b" \t\r", OBSERVATION.replace(b"\n", b" "), b""])
    found = contents(fhir.read_lines(block, 17))
    assert [name for name, _ in found] == [b"17", b"19", b"21"]
    assert found[0][1] == found[1][1] == content(PATIENT)
    assert found[2][1].components == content(OBSERVATION).components


def test_a_last_line_needs_no_end():
    assert contents(fhir.read_lines(PATIENT, 1)) == contents(fhir.read_lines(PATIENT + b"\n", 1))


def test_raw_digests_of_lines_are_without_the_line_end_alone():
    (_, one), (_, other) = contents(fhir.read_lines(b" " + PATIENT + b" \r\n" + PATIENT + b"\r\r\n", 1))
    assert one.raw == sha256(b" " + PATIENT + b" ")
    assert other.raw == sha256(PATIENT + b"\r")


def test_a_line_that_is_not_sound_is_bytes_with_a_remark_and_others_are_not_touched():
    bad = b'{"resourceType":"Patient","id":1,"id":2}'
    found = fhir.read_lines(b"\n".join([PATIENT, bad, b"{", b"[1]", PATIENT]), 1)
    assert contents(found) == [
        (b"1", content(PATIENT)),
        (b"2", Content(Kind.BYTES, sha256(bad))),
        (b"3", Content(Kind.BYTES, sha256(b"{"))),
        (b"4", Content(Kind.BYTES, sha256(b"[1]"))),
        (b"5", content(PATIENT)),
    ]
    assert found.remarks == [
        (b"2", "a key is there twice in one object, at byte 33"),
        (b"3", "expected a key, at byte 1"),
    ]


def test_a_bundle_on_a_line_is_a_record_and_its_entries_are():
    line = minified(BUNDLE)
    found = contents(fhir.read_lines(PATIENT + b"\n" + line + b"\n" + nested(2), 16))
    assert [name for name, _ in found] == [
        b"16",
        b"17",
        b"17/entry/0",
        b"17/entry/1",
        b"18",
        b"18/entry/0",
        b"18/entry/0/entry/0",
    ]
    assert found[1][1] == content(line)
    assert found[2:4] == [(b"17/" + name, inner) for name, inner in contents(fhir.read(BUNDLE).contained)]


def test_an_export_written_in_other_parts_has_the_same_records():
    lines = [b'{"resourceType":"Patient","id":"%d"}' % n for n in range(50)]
    whole = contents(fhir.read_lines(b"\n".join(lines), 1))
    parts = contents(fhir.read_lines(b"\n".join(lines[30:]), 1)) + contents(fhir.read_lines(b"\n".join(lines[:30]), 1))
    assert {inner for _, inner in whole} == {inner for _, inner in parts}


def test_nothing_is_no_record():
    assert contents(fhir.read_lines(b"", 1)) == contents(fhir.read_lines(b"\n\r\n \n", 1)) == []
