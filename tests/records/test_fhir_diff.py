"""Where FHIR documents differ: told as paths; told of everything that is committed to, and of nothing else."""

import json
import random

import pytest
from fhirs import BUNDLE, OBSERVATION, bundles, lines, minified, needs_data, rung

from medanchor.core.ladder import Rung
from medanchor.errors import MalformedRecordError
from medanchor.records.fhir_diff import differences


def told(before, after):
    return [tuple(difference) for difference in differences(before, after)]


def changed(old, new, data=OBSERVATION):
    assert data.count(old) == 1
    return data.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"5.10", b"5.1", ("Observation.valueQuantity.value", "5.10", "5.1")),
        (b"5.10", b"51e-1", ("Observation.valueQuantity.value", "5.10", "5.1")),
        (b"5.10", b'"5.10"', ("Observation.valueQuantity.value", "5.10", '"5.10"')),
        (b"5.10", b"[5.10]", ("Observation.valueQuantity.value", "5.10", "[5.10]")),
        (b'"final"', b'"amended"', ("Observation.status", '"final"', '"amended"')),
        (b'"final"', b"null", ("Observation.status", '"final"', "null")),
        (b'"hb-1"', b'"hb-2"', ("Observation.id", '"hb-1"', '"hb-2"')),
        (b'"code": "R"', b'"code": "N"', ("Observation.meta.security[0].code", '"R"', '"N"')),
        (b'"unit": "mmol/L"', b'"a": 1, "unit": "mmol/L"', ("Observation.valueQuantity.a", None, "1")),
        (b', "unit": "mmol/L"', b"", ("Observation.valueQuantity.unit", '"mmol/L"', None)),
        (b'"Ada", "B."', b'"B."', ("Observation.contained[0].name[0].given[0]", '"Ada"', None)),
        (b'"Ada", "B."', b'"Ada", "C.", "B."', ("Observation.contained[0].name[0].given[1]", None, '"C."')),
        (b'"Ada", "B."', b'"Ada", "C."', ("Observation.contained[0].name[0].given[1]", '"B."', '"C."')),
        (b'"valueCode"', b'"valueCode": "x", "value code"', None),
        (
            b'"resourceType": "Observation"',
            b'"resourceType": "Media"',
            ("Observation.resourceType", '"Observation"', '"Media"'),
        ),
        (b'"resourceType": "Observation",', b"", ("Observation.resourceType", '"Observation"', None)),
    ],
)
def test_a_difference_is_told_by_its_path(old, new, expected):
    if expected is None:
        expected = [
            ("Observation._status.extension[0].valueCode", '"checked"', '"x"'),
            ('Observation._status.extension[0]["value code"]', None, '"checked"'),
        ]
    assert told(OBSERVATION, changed(old, new)) == (expected if isinstance(expected, list) else [expected])


def test_several_differences_are_told_in_the_order_of_the_document():
    after = changed(b"5.10", b"5.2", changed(b'"final"', b'"amended"', changed(b'"hb-1"', b'"hb-2"')))
    places = [place for place, _, _ in told(OBSERVATION, minified(after))]
    assert places == ["Observation.id", "Observation.status", "Observation.valueQuantity.value"]


@pytest.mark.parametrize(
    "after",
    [
        OBSERVATION,
        minified(OBSERVATION),
        changed(b'"#a1"', b'"#b2"'),
        changed(b'"versionId": "1", "lastUpdated": "2026-11-20T08:00:00Z", "source": "#a1",', b""),
        changed(b"Patient/17", b"Patient\\/17"),
        changed(b"5.10", b"0.510e+1"),
        b"\xef\xbb\xbf" + OBSERVATION,
    ],
    ids=range(7),
)
def test_what_no_component_commits_to_is_no_difference(after):
    assert told(OBSERVATION, after) == []


def test_meta_that_only_servers_set_is_no_difference_to_none():
    stored = b'{"resourceType":"X","meta":{"versionId":"2"}}'
    assert told(b'{"resourceType":"X"}', stored) == told(stored, b'{"resourceType":"X","meta":{}}') == []
    assert told(b'{"resourceType":"X"}', b'{"resourceType":"X","meta":null}') == [("X.meta", None, "null")]


def test_meta_of_an_entry_is_told_as_the_bundle_covers_it():
    assert told(BUNDLE, changed(b'"versionId": "1"', b'"versionId": "2"', BUNDLE)) == [
        ("Bundle.entry[0].resource.meta.versionId", '"1"', '"2"')
    ]


def test_a_removed_entry_does_not_make_those_after_it_differ():
    entries = [{"fullUrl": f"urn:{n}", "resource": {"resourceType": "Patient", "id": str(n)}} for n in range(9)]
    before = {"resourceType": "Bundle", "entry": entries}
    after = {
        "resourceType": "Bundle",
        "entry": entries[:3] + entries[4:7] + [{**entries[7], "fullUrl": "x"}, entries[8]],
    }
    assert told(json.dumps(before).encode(), json.dumps(after).encode()) == [
        ("Bundle.entry[3]", '{"fullUrl":"urn:3","resource":{"id":"3","resourceType":"Patient"}}', None),
        ("Bundle.entry[7].fullUrl", '"urn:7"', '"x"'),
    ]


def test_elements_in_another_order_are_told():
    before, after = b'{"resourceType":"X","a":[1,2,3]}', b'{"resourceType":"X","a":[3,2,1]}'
    assert told(before, after)
    assert all(place.startswith("X.a[") for place, _, _ in told(before, after))


def test_long_values_are_cut_to_where_they_differ():
    before = b'{"resourceType":"X","a":"' + b"a" * 10_000 + b"b" + b'"}'
    ((place, old, new),) = told(before, before.replace(b"b", b"c"))
    assert place == "X.a"
    assert len(old) < 300
    assert (old[-2:], new[-2:]) == ('b"', 'c"')


@pytest.mark.parametrize("kind", [b'"a b"', b'"<x>"', b'""', b'"A\\u001b[31m"'])
def test_a_type_that_is_no_name_is_told_as_it_is_written(kind):
    before = b'{"resourceType":%s,"a":1}' % kind
    assert told(before, before.replace(b"1}", b"2}")) == [(f"[{kind.decode()}].a", "1", "2")]


def test_what_is_nested_deeper_than_fifty_levels_is_told_as_a_whole():
    before = b'{"resourceType":"X","a":' + b"[" * 900 + b"1" + b"]" * 900 + b"}"
    ((place, old, new),) = told(before, before.replace(b"1", b"2"))
    assert place == "X.a" + "[0]" * 49
    assert old != new
    assert told(before, before + b" ") == []


def test_documents_that_are_no_resources_are_compared_by_their_bytes():
    assert told(b'{"a":1,"b":2}', b'{"a":1, "b":2}')
    assert told(b"[1]", b"[1]") == []
    assert told(b"[1]", b'{"resourceType":"X"}') == [("X", "[1]", '{"resourceType":"X"}')]


@pytest.mark.parametrize("bad", [b"{", b'{"resourceType":"X","a":1,"a":2}', b"\xff", b""])
def test_documents_that_are_not_sound_are_refused(bad):
    for before, after in ((bad, OBSERVATION), (OBSERVATION, bad)):
        with pytest.raises(MalformedRecordError):
            told(before, after)


# -- lines -------------------------------------------------------------------------------------------------------------

LINES = [b'{"resourceType":"Patient","id":"%d","active":true,"n":[1,2.0]}' % n for n in range(1, 9)]


def joined(parts):
    return b"\n".join(parts) + b"\n"


def test_a_difference_on_a_line_is_told_with_its_number():
    after = [*LINES[:4], b"", LINES[4].replace(b"true", b"false").replace(b"2.0", b"2"), *LINES[5:]]
    assert told(joined(LINES), joined(after)) == [
        ("line 5: Patient.active", "true", "false"),
        ("line 5: Patient.n[1]", "2.0", "2"),
    ]


def test_added_and_removed_lines_are_told_as_wholes():
    assert told(joined(LINES), joined(LINES[:2] + LINES[3:])) == [("line 3", LINES[2].decode(), None)]
    assert told(joined(LINES[1:]), joined(LINES)) == [("line 1", None, LINES[0].decode())]


def test_lines_written_anew_are_no_difference():
    after = [json.dumps(json.loads(line), sort_keys=True).encode() + b"\r" for line in LINES]
    assert told(joined(LINES), joined(after)) == []


def test_lines_that_are_not_sound_are_compared_as_text():
    after = [*LINES[:2], b'{"a":1,"a":\xff}', *LINES[3:]]
    assert told(joined(LINES), joined(after)) == [("line 3", LINES[2].decode(), '{"a":1,"a":\\xff}')]
    assert told(joined(after), joined(after)) == []


def test_one_line_against_many_is_told_by_lines():
    assert told(LINES[0], joined(LINES[:2])) == [("line 2", None, LINES[1].decode())]


# -- real data ---------------------------------------------------------------------------------------------------------


@needs_data("fhir-r4-bundles")
def test_one_change_in_a_real_bundle_is_the_one_difference():
    dice = random.Random(5)  # noqa: S311 - a dice
    for data in bundles():
        tree = json.loads(data)
        index = dice.randrange(len(tree["entry"]))
        kind = tree["entry"][index]["resource"]["resourceType"]
        tree["entry"][index]["resource"]["language"] = "xx"
        after = json.dumps(tree, sort_keys=True).encode()
        assert told(data, after) == [(f"Bundle.entry[{index}].resource.language", None, '"xx"')], kind
        assert rung(data, after).rung is Rung.CHANGED


@needs_data("fhir-bulk-10-patients")
def test_an_export_in_another_order_differs_in_the_lines_that_were_moved():
    before = lines()
    after = [before[100], *before[:100], *before[101:]]
    assert [place for place, _, _ in told(joined(before), joined(after))] == ["line 1", "line 101"]
