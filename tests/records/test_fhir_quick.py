"""The quick way and the exact one give the same digests wherever it is taken; and it nearly always is."""

import json
import random

import pytest
from fhirs import BUNDLE, OBSERVATION, bundles, contents, exact, lines, minified, needs_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medanchor.errors import MalformedRecordError
from medanchor.records import fhir, fhir_json
from medanchor.records.fhir_quick import Parser

relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)


def is_quick(data):
    return Parser().quick(data) is not None


def agree(data, monkeypatch):
    """Say whether the quick way was taken for `data`; fail if it says something else than the exact way."""
    try:
        expected = exact(data, monkeypatch)
    except MalformedRecordError:
        assert not is_quick(data)
        return False
    found = fhir.read(data)
    assert found.content == expected.content
    assert (found.contained is None) == (expected.contained is None)
    if found.contained is not None:
        assert contents(found.contained) == contents(expected.contained)
    return is_quick(data)


tokens = st.one_of(
    st.sampled_from(["0", "-0", "0.0", "-0.0", "1.0", "-1.0", "10.0", "1.00", "5.10", "1e16", "1e+16", "1E5", "-0.5"]),
    st.sampled_from(["0.00001", "0.000001", "0.0000001", "1e-7", "1e-07", "100000.0", "999999999999999.0"]),
    st.sampled_from(["93533740.68124158", "93449786907366.258", "42.26051239999999"]),
    st.sampled_from(["9007199254740991", "9007199254740993", "123456789012345", "1234567890123456", "1e400", "1" * 40]),
    st.from_regex(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
)
texts = st.text(max_size=5) | st.sampled_from(
    ['":1', '":1.0,', ",1", "[1", '":1e5', "\\", '\\":1.0,', "a b", " ", "😀", "\uffff", "é", "T14:22:37-04:00", "5,6"]
)
strings = st.tuples(texts, st.booleans()).map(lambda drawn: json.dumps(drawn[0], ensure_ascii=drawn[1]))
leaves = st.one_of(tokens, tokens, strings, st.sampled_from(["true", "false", "null"]))
styles = st.sampled_from([(",", ":"), (",", ":"), (", ", ": "), (" ,\n", ":\t")])


def documents(style):
    comma, colon = style
    values = st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda parts: f"[{comma.join(parts)}]"),
            members(inner, colon).map(lambda parts: f"{{{comma.join(parts)}}}"),
        ),
        max_leaves=10,
    )
    top = st.tuples(st.sampled_from(['"id"', '"text"', '"meta"', '"a"', '"entry"']), values)
    return st.lists(top, max_size=4, unique_by=lambda member: member[0]).map(
        lambda drawn: f'{{"resourceType"{colon}"X"' + "".join(f"{comma}{k}{colon}{v}" for k, v in drawn) + "}"
    )


def members(inner, colon):
    return st.lists(st.tuples(strings, inner), max_size=4).map(lambda drawn: [f"{k}{colon}{v}" for k, v in drawn])


@pytest.mark.untraced
@relaxed
@given(data=styles.flatmap(documents))
def test_both_ways_give_the_same_digests(data, monkeypatch):
    agree(data.encode(), monkeypatch)


@relaxed
@given(token=tokens, before=texts)
def test_both_ways_give_the_same_digests_for_numbers_anywhere(token, before, monkeypatch):
    for place in ('{"n":%s}', '{"n":%s,"z":1}', "[%s]", '["a",%s]', '[null,[%s,"x"]]', "[[],[[%s]]]", "[{},%s]"):
        string = json.dumps(before, ensure_ascii=False)
        data = b'{"resourceType":"X","s":%s,"v":%s}' % (string.encode(), place.replace("%s", token).encode())
        agree(data, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        b'{"resourceType":"X","id":"1","valueQuantity":{"value":182.32,"unit":"mg/dL"}}',
        b'{"resourceType":"X","value":7}',
        b'{"resourceType":"X","value":-71.065,"other":0.00001}',
        b'{"resourceType":"X","value":70.0}',
        b'{"resourceType":"X","value":[1,2,3.5]}',
        '{"resourceType":"X","name":"José 😀","value":1}'.encode(),
        b'{"resourceType": "X", "value": 70.0}',
        b'{\r\n\t"resourceType": "X",\r\n\t"a b": "c d"\r\n}',
        b'{"resourceType":"X","s":"14:22:37-04:00 [ 1, 2]"}',
        b'{"resourceType":"X","a":5.10}',
        b'{"resourceType":"X","a":["b",[1.0]]}',
        b'{"resourceType":"X","a":0.1000000000000000000001}',
        b'{"resourceType":"X","a":42.26051239999999,"b":0.0000001}',
        b'{"resourceType":"X","a":1.0,"s":"\\":1.0,"}',
        '{"resourceType":"X","😀":1}'.encode(),
        '{"resourceType":"X","😀":1.0}'.encode(),
    ],
)
def test_the_quick_way_is_taken_by_what_exports_are_made_of(line, monkeypatch):
    assert agree(line, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        b'{"resourceType":"X","a":1,"a":2}',
        b'{"resourceType":"X","a":1,"a":1}',
        b'{"resourceType":"X","a":-0}',
        b'{"resourceType":"X","a":-0.0}',
        b'{"resourceType":"X","a":[-0.0]}',
        b'{"resourceType":"X","a":-0.000}',
        b'{"resourceType":"X","a":1e+16}',
        b'{"resourceType":"X","a":["b",1e+16]}',
        b'{"resourceType":"X","a":1E5}',
        b'{"resourceType":"X","a":9007199254740993}',
        b'{"resourceType":"X","a":123456789012345678901234567890}',
        b'{"resourceType":"X","a":"\\u0041"}',
        b'{"resourceType":"X","a":"\\/"}',
        b'\xef\xbb\xbf{"resourceType":"X"}',
        b'{"resourceType":"X","a":NaN}',
        b'{"resourceType":"X","a":' + b"[" * 254 + b"]" * 254 + b"}",
    ],
)
def test_the_quick_way_is_not_taken_where_something_would_be_lost(line, monkeypatch):
    assert not agree(line, monkeypatch)


def test_damaged_documents_are_never_read_otherwise(monkeypatch):
    dice, taken = random.Random(7), 0  # noqa: S311 - a dice
    for _ in range(3000):
        damaged = bytearray(dice.choice((minified(OBSERVATION), minified(BUNDLE))))
        for _ in range(dice.choice((1, 1, 2, 3))):
            damaged[dice.randrange(len(damaged))] = dice.choice(b'"\\{}[]:,01.eE- ax')
        taken += agree(bytes(damaged), monkeypatch)
    assert 300 < taken < 2700


@needs_data("fhir-bulk-10-patients")
def test_both_ways_agree_on_every_line_of_an_export(monkeypatch):
    taken = sum(agree(line, monkeypatch) for line in lines())
    assert (len(lines()), taken) == (5945, 5945)


@needs_data("fhir-r4-bundles")
def test_both_ways_agree_on_whole_bundles_and_all_their_entries(monkeypatch):
    assert sum(agree(data, monkeypatch) for data in bundles()) == 8


def test_a_number_that_is_no_sound_json_is_not_taken_on_the_word_of_the_decoder():
    for text in ("01.5", "1.", ".5", "+1.5", "1e5", "1.5e-3", "-0.0", "-0.000", "NaN", "1.5 ", "\u0661.5"):
        with pytest.raises(ValueError, match=r"^$"):
            Parser()._number(text)


def test_numbers_of_one_document_say_nothing_of_the_next():
    parser = Parser()
    assert [parser.parse(b'{"a":%s}' % number)[1] for number in (b"1.5", b"1.0", b"1.5")] == [True, False, True]


def test_a_long_document_with_a_number_beyond_all_doubles_is_refused_both_ways(monkeypatch):
    monkeypatch.setattr(fhir_json, "MAX_TOKENS", 100)
    long = b'{"resourceType":"X","a":[' + b"1," * 100 + b'%s],"s":"%s"}'
    for token in (b"1" * 400 + b".5", b"-" + b"1" * 310 + b".5"):
        for spelling in (b"/", b"\\/"):
            with pytest.raises(MalformedRecordError, match="it is no JSON, or nested too deeply"):
                fhir.read(long % (token, spelling))
    agree(long % (b"1" * 309 + b".5", b"/"), monkeypatch)
