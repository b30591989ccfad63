"""Strict JSON: every digit is kept, what is not sound is refused with its place, and two readers agree."""

import json
import random
import sys
from contextlib import suppress

import orjson
import pytest
from fhirs import OBSERVATION
from hypothesis import given
from hypothesis import strategies as st

from medanchor.errors import MalformedRecordError
from medanchor.records import fhir_json
from medanchor.records.fhir_form import lexical
from medanchor.records.fhir_json import MAX_TOKENS, parse

# -- refused -----------------------------------------------------------------------------------------------------------

DUPLICATE = "a key is there twice in one object"
NO_NUMBER = "NaN and Infinity are no JSON numbers"
NO_JSON = "it is no JSON from here on"
SURROGATE = "a string has half of a surrogate pair"
COMMA = "expected a comma or the end of the object or array"

REFUSED = [
    (b"", "expected a value", 0),
    (b" \r\n", "expected a value", 3),
    (b'{"a":1,"b":2,"a":1}', DUPLICATE, 13),
    (b'{"a":1,"\\u0061":1}', DUPLICATE, 7),
    (b'[{"status":"final","status":"amended"}]', DUPLICATE, 19),
    (b'{"a":{"b":[{"c":1,"c":1}]}}', DUPLICATE, 18),
    (b"NaN", NO_NUMBER, 0),
    (b'{"a": -Infinity}', NO_NUMBER, 6),
    (b"[1,Infinity]", NO_NUMBER, 3),
    (b'["\\ud800"]', SURROGATE, 1),
    (b'{"\\udc00":1}', SURROGATE, 1),
    (b'["\\ude00\\ud83d"]', SURROGATE, 1),
    (b"1e401", "a number's exponent is beyond 400", 0),
    (b"[1,1e-401]", "a number's exponent is beyond 400", 3),
    (b"1e999999999", "a number's exponent is beyond 400", 0),
    (b"-1E+" + b"9" * 100_000, "a number's exponent is beyond 400", 0),
    (b"[" * 1001 + b"]" * 1001, "it is nested deeper than 1000 levels", 1000),
    (b'{"a":' * 1001 + b"1" + b"}" * 1001, "it is nested deeper than 1000 levels", 5000),
    (b"[1]x", NO_JSON, 3),
    (b"[1] 2", "expected the end of the document", 4),
    (b"{}{}", "expected the end of the document", 2),
    (b"01", "expected the end of the document", 1),
    (b"-01", "expected the end of the document", 2),
    (b"1.", NO_JSON, 1),
    (b".1", NO_JSON, 0),
    (b"+1", NO_JSON, 0),
    (b"1e", NO_JSON, 1),
    (b"0x1", NO_JSON, 1),
    (b"-", NO_JSON, 0),
    (b"[1,]", "expected a value", 3),
    (b"[,1]", "expected a value", 1),
    (b"[1 2]", COMMA, 3),
    (b"[1}", COMMA, 2),
    (b'{"a":1]', COMMA, 6),
    (b'{"a":1', COMMA, 6),
    (b'{"a":1,}', "expected a key", 7),
    (b"{1:2}", "expected a key", 1),
    (b"{", "expected a key", 1),
    (b'{"a" 1}', "expected a colon", 5),
    (b'{"a"::1}', "expected a value", 5),
    (b"'a'", NO_JSON, 0),
    (b'"abc', NO_JSON, 0),
    (b'["a\nb"]', NO_JSON, 1),
    (b'["\\x41"]', NO_JSON, 1),
    (b'["\\u00g0"]', NO_JSON, 1),
    (b"[TRUE]", NO_JSON, 1),
    (b"nulll", NO_JSON, 4),
    (b"/* */1", NO_JSON, 0),
    (b"\xc2\xa01", NO_JSON, 0),
    (b"\x0b1", NO_JSON, 0),
    ('["é",}'.encode(), "expected a value", 6),
    (b"\xef\xbb\xbf[1,]", "expected a value", 6),
    (b"\xef\xbb\xbf\xef\xbb\xbf1", NO_JSON, 3),
]


@pytest.mark.parametrize(("data", "reason", "offset"), REFUSED, ids=[repr(row[0][:24]) for row in REFUSED])
def test_what_is_not_sound_is_refused_with_its_place(data, reason, offset):
    with pytest.raises(MalformedRecordError) as refused:
        parse(data)
    assert refused.value.message == f"{reason}, at byte {offset}"


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b'"\xff"', 1),
        (b'"\xed\xa0\x80"', 1),
        (b'"\xc0\xaf"', 1),
        (b'"\xf4\x90\x80\x80"', 1),
        (b'\xef\xbb\xbf"a\x80"', 5),
    ],
)
def test_what_is_no_utf_8_is_refused_with_its_place(data, offset):
    with pytest.raises(MalformedRecordError) as refused:
        parse(data)
    assert refused.value.message == f"it is not UTF-8 at byte {offset}"


def test_zeros_that_exponents_stand_for_are_limited_in_all():
    enough = fhir_json.MAX_ZEROS // 400
    assert parse(b"[" + b"1e400," * (enough - 1) + b"1e400]")
    with pytest.raises(MalformedRecordError, match="the exponents of its numbers stand for too many zeros"):
        parse(b"[" + b"1e400," * enough + b"1e400]")


def test_the_place_is_not_told_where_the_textbook_reader_would_take_too_long(monkeypatch):
    monkeypatch.setattr(fhir_json, "MAX_TOKENS", 100)
    with pytest.raises(MalformedRecordError) as refused:
        parse(b"[" + b"1," * 100 + b'{"a":1,"a":1}]')
    assert refused.value.message == DUPLICATE
    with pytest.raises(MalformedRecordError) as refused:
        parse(b"[" + b"1," * 100)
    assert refused.value.message == "it is no JSON, or nested too deeply"
    assert MAX_TOKENS == 2_000_000


def test_a_long_document_may_not_be_nested_deep(monkeypatch):
    monkeypatch.setattr(fhir_json, "MAX_TOKENS", 1000)
    long = b"[" + b"1," * 600 + b"%s]"
    assert parse(long % (b"[" * 253 + b"]" * 253))
    with pytest.raises(MalformedRecordError, match="nested too deeply"):
        parse(long % (b"[" * 254 + b"]" * 254))


def test_the_limit_of_depth_is_ours_and_not_that_of_python_s_stack():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        with pytest.raises(MalformedRecordError, match="deeper than 1000 levels, at byte 1000"):
            parse(b"[" * 1001 + b"]" * 1001)
    finally:
        sys.setrecursionlimit(limit)


def test_messages_show_nothing_of_the_record():
    for data, _, _ in REFUSED:
        with pytest.raises(MalformedRecordError) as refused:
            parse(data.replace(b'"status"', b'"SECRET"').replace(b"abc", b"SECRET"))
        assert "SECRET" not in str(refused.value)
        assert refused.value.__cause__ is None


# -- accepted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b"\xef\xbb\xbf {}", b"{}"),
        (b"null", b"null"),
        (b'[true,false,null,"",[],{}]', b'[true,false,null,"",[],{}]'),
        (b'{"b":1,"a":{"d":[],"c":0}}', b'{"a":{"c":0,"d":[]},"b":1}'),
        (b'"\\/\\u00e9\\u001f\\ud83d\\ude00\\n"', '"/é\\u001f😀\\n"'.encode()),
        (b'{"":1,"\\u0000":2}', b'{"":1,"\\u0000":2}'),
        (b'{"a":1,"A":2,"a ":3}', b'{"A":2,"a":1,"a ":3}'),
        (b"1" * 100_000, b"1" * 100_000),
        (b"[" * 1000 + b"1.50" + b"]" * 1000, b"[" * 1000 + b"1.50" + b"]" * 1000),
        (b'{"a":' * 1000 + b"-0" + b"}" * 1000, b'{"a":' * 1000 + b"0" + b"}" * 1000),
    ],
    ids=range(10),
)
def test_sound_json_is_read_whole(data, written):
    assert lexical(parse(data)) == written


def test_normalisation_forms_stay_apart():
    assert lexical(parse('"é"'.encode())) != lexical(parse('"e\u0301"'.encode()))


def test_keys_stand_in_the_order_of_the_document():
    assert list(parse(OBSERVATION)) == list(json.loads(OBSERVATION))


# -- two readers -------------------------------------------------------------------------------------------------------

tokens = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
strings = st.text(max_size=6).map(lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0))
white = st.sampled_from(["", "", " ", "\n\t"])


def joined(parts, ends):
    return st.tuples(white, st.lists(parts, max_size=4)).map(lambda drawn: (drawn[0] + ",").join(drawn[1]).join(ends))


documents = st.recursive(
    st.one_of(tokens, strings, st.sampled_from(["true", "false", "null", "NaN", "1.0", '"\\ud800"', ""])),
    lambda inner: st.one_of(
        joined(inner, ("[", "]")),
        joined(st.tuples(strings, white, inner).map(lambda member: f"{member[0]}{member[1]}:{member[2]}"), ("{", "}")),
    ),
    max_leaves=12,
)


def outcome(read, text):
    try:
        return lexical(read(text))
    except (ValueError, TypeError, MalformedRecordError):
        return None


@given(documents)
def test_the_textbook_reader_agrees_with_the_standard_library_s_decoder(text):
    textbook = outcome(lambda given: fhir_json._Reader(given, 0, "").document(), text)
    decoded = outcome(fhir_json._decoded, text)
    assert decoded == textbook or (decoded is None and "e" in text.lower())  # orjson takes no 1e400, textbook does


@given(st.binary(max_size=40))
def test_no_bytes_end_in_another_exception(data):
    with suppress(MalformedRecordError):
        parse(data)


def test_damaged_documents_are_read_alike_or_refused_by_both():
    dice, refused = random.Random(4), 0  # noqa: S311 - a dice
    for _ in range(2000):
        damaged = bytearray(OBSERVATION)
        for _ in range(dice.choice((1, 1, 2))):
            damaged[dice.randrange(len(damaged))] = dice.choice(b'"\\{}[]:,0e.- \n\x00ax')
        try:
            text = bytes(damaged).decode()
        except UnicodeDecodeError:
            continue
        decoded = outcome(fhir_json._decoded, text)
        assert outcome(lambda given: fhir_json._Reader(given, 0, "").document(), text) == decoded
        refused += decoded is None
    assert 1000 < refused < 2000


def test_reading_does_not_depend_on_how_deep_the_caller_is():
    data = b"[" * 200 + b'{"a":1.50}' + b"]" * 200

    def deep(levels):
        return lexical(parse(data)) if not levels else deep(levels - 1)

    assert deep(600) == data


def test_orjson_writes_no_field_of_a_number_by_itself():
    with pytest.raises(TypeError):
        orjson.dumps(parse(b"1.50"))
