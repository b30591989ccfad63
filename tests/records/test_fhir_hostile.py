"""FHIR made to hurt: depth, length, numbers of absurd size. Read or refused, never anything else, never for long."""

import pytest
from fhirs import content, exact

from medanchor.errors import MalformedRecordError
from medanchor.records import fhir, fhir_form
from medanchor.records.document import ABSENT, Kind
from medanchor.records.fhir_diff import differences
from medanchor.records.fhir_json import MAX_VALUES, check_values, parse

SIZE = 10_000_000
HEAD, END = b'{"resourceType":"X","a":', b"}"


def filled(part, size=SIZE):
    return HEAD + b"[" + part * (size // len(part)) + part.rstrip(b",") + b"]" + END


READ = {
    "a long string": HEAD + b'"' + b"a" * SIZE + b'"' + END,
    "a long string of escapes": HEAD + b'"' + b"\\n" * (SIZE // 2) + b'"' + END,
    "a long string of quotes": HEAD + b'"' + b'\\":1.0,' * (SIZE // 7) + b'"' + END,
    "a long string of emoji": HEAD + b'"' + "😀".encode() * (SIZE // 4) + b'"' + END,
    "a long key": b'{"resourceType":"X","' + b"k" * SIZE + b'":1}',
    "a million digits": HEAD + b"1" * 1_000_000 + END,
    "a million decimals": HEAD + b"0." + b"3" * 1_000_000 + END,
    "a million zeros": HEAD + b"0." + b"0" * 1_000_000 + b"1" + END,
    "white space": b" " * SIZE + HEAD + b"1" + END + b"\n" * SIZE,
    "a thousand levels": HEAD + b"[" * 999 + b"1.50" + b"]" * 999 + END,
    "a long string a thousand levels down": HEAD + b"[" * 999 + b'"' + b"a" * SIZE + b'"' + b"]" * 999 + END,
    "small arrays": filled(b"[],", SIZE // 10),
    "small numbers": filled(b"1,", SIZE // 10),
    "decimals": filled(b"1.50,", SIZE // 10),
    "exponents": filled(b"1e9,", SIZE // 50),
    "towers": filled(b"[" * 300 + b"]" * 300 + b",", SIZE // 50),
}


@pytest.mark.parametrize("data", READ.values(), ids=READ)
def test_it_is_read(data):
    assert fhir.read(data).content.kind is Kind.FHIR


REFUSED = {
    "a depth bomb": b"[" * SIZE,
    "a depth bomb of objects": b'{"a":' * (SIZE // 5),
    "a depth bomb in a resource": HEAD + b"[" * SIZE,
    "a depth bomb that ends": HEAD + b"[" * 1000 + b"]" * 1000 + END,
    "a large exponent": HEAD + b"1e999999999" + END,
    "an exponent of a million digits": HEAD + b"1e" + b"9" * 1_000_000 + END,
    "a small exponent": HEAD + b"1e-999999999" + END,
    "many exponents": filled(b"1e400,"),
    "quotes": b'"' * SIZE,
    "backslashes": b'"' + b"\\" * SIZE,
    "a string without end": HEAD + b'"' + b"a" * SIZE,
    "a string of escapes without end": HEAD + b'"' + b"\\n" * (SIZE // 2),
    "no UTF-8 at the end": HEAD + b'"' + b"a" * SIZE + b'\xff"' + END,
    "half a pair at the end": HEAD + b'"' + b"a" * SIZE + b'\\ud83d"' + END,
    "commas": b"," * SIZE,
    "minus signs": HEAD + b"-" * SIZE + END,
    "zeros": HEAD + b"0" * SIZE + END,
    "NUL": b"\0" * SIZE,
    "white space alone": b" " * SIZE,
    "a duplicate after many": filled(b"[],", SIZE // 20)[:-1] + b',"a":1}',
}


TOO_MANY = {
    "numbers": filled(b"1,", 2 * MAX_VALUES),
    "arrays": filled(b"[],", 2 * MAX_VALUES),
    "objects": filled(b"{},", 2 * MAX_VALUES),
    "commas in a string": HEAD + b'"' + b"," * MAX_VALUES + b'"' + END,
}


@pytest.mark.parametrize("data", TOO_MANY.values(), ids=TOO_MANY)
@pytest.mark.parametrize("read", [fhir.read, parse])
def test_what_would_take_gigabytes_as_a_tree_is_refused(data, read):
    with pytest.raises(MalformedRecordError, match=r"^it has more than 5,000,000 values$"):
        read(data)


def test_as_many_values_as_may_be_are_not_refused():
    check_values(b"," * MAX_VALUES + b"1")
    check_values(b"{" + b"1" * MAX_VALUES)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_it_is_refused(data):
    with pytest.raises(MalformedRecordError) as refused:
        fhir.read(data)
    assert len(refused.value.message) < 120
    assert refused.value.__cause__ is None


def keyed(count):
    return b'{"resourceType":"X",' + b",".join(b'"k%d":1' % n for n in range(count)) + b"}"


def test_a_million_keys_are_read():
    assert fhir.read(keyed(1_000_000)).content.kind is Kind.FHIR


def test_a_duplicate_among_many_keys_is_found(monkeypatch):
    sound = keyed(100_000)
    assert exact(sound, monkeypatch).content == content(sound)
    with pytest.raises(MalformedRecordError, match=r"^a key is there twice in one object, at byte 1088910$"):
        fhir.read(sound[:-1] + b',"k0":1}')


def test_lines_of_all_that_are_covered_as_bytes_where_they_are_refused():
    documents = [data[:200_000] + b"#" for data in REFUSED.values()] + [HEAD + b"1" + END]
    found = fhir.read_lines(b"\n".join(documents), 1)
    assert list(found.kinds[-1:]) == [Kind.FHIR]
    assert set(found.kinds[:-1]) == {Kind.BYTES}
    assert len(found.remarks) == len(documents) - 1


def test_many_bundles_in_bundles_are_hashed_a_bounded_number_of_times():
    inner = b'{"resourceType":"Patient","a":"' + b"a" * 1_000_000 + b'"}'
    for _ in range(240):
        inner = b'{"resourceType":"Bundle","entry":[{"resource":%s}]}' % inner
    assert len(fhir.read(inner).contained.names) == 4


def test_a_number_beyond_all_doubles_is_covered_without_a_numeric_digest():
    for number in (b"1" * 1_000_000, b"1e400", b"-1e400", b"1e-400"):
        assert content(HEAD + number + END).components[4] == ABSENT


@pytest.mark.parametrize("name", ["a long string", "a thousand levels", "a million digits", "a long key"])
def test_differences_of_hostile_documents_are_found(name):
    data = READ[name]
    assert list(differences(data, data)) == []
    after = data[:-1] + b',"b":1}'
    assert list(differences(data, after)) == [("X.b", None, "1")]


def kept():
    return fhir._shared.cache_info().currsize, fhir_form._short_double.cache_info().currsize


def test_only_what_is_short_is_kept_for_the_next_document():
    """Short forms and numbers come again and again in an export; long ones would fill the memory."""
    fhir._shared.cache_clear()
    fhir_form._short_double.cache_clear()
    for number in range(3):
        fhir.read(
            b'{"resourceType":"X","meta":{"tag":"%s%d"},"a":1.%s%d0}' % (b"t" * 5000, number, b"5" * 5000, number)
        )
    assert kept() == (0, 0)
    fhir.read(b'{"resourceType":"X","meta":{"tag":"t"},"a":1.50}')
    assert kept() == (1, 1)
