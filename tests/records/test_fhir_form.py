"""The lexical form keeps every digit; the canonical form is RFC 8785's, judged by its vectors and a package."""

import json
import struct
from decimal import Decimal

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from medanchor.records.fhir_form import MAX_WHOLE, has_wide_keys, lexical, numeric
from medanchor.records.fhir_json import parse


def canonical(data):
    tree = parse(data)
    return numeric(tree, lexical(tree))


PLAIN = [
    ("5.10", "5.10", "5.1"),
    ("5.1000", "5.1000", "5.1"),
    ("1.50e1", "15.0", "15"),
    ("1.50E+1", "15.0", "15"),
    ("-0", "0", "0"),
    ("-0.0", "0.0", "0"),
    ("-0.00e1", "0.0", "0"),
    ("-0e400", "0", "0"),
    ("0e-3", "0.000", "0"),
    ("1E2", "100", "100"),
    ("1e-0", "1", "1"),
    ("1e+0000000000000000000000002", "100", "100"),
    ("10e-1", "1.0", "1"),
    ("100e-2", "1.00", "1"),
    ("0.001e2", "0.1", "0.1"),
    ("0.0010e2", "0.10", "0.1"),
    ("0.001e3", "1", "1"),
    ("123.456e-5", "0.00123456", "0.00123456"),
    ("-12.5e1", "-125", "-125"),
    ("-12.5e-1", "-1.25", "-1.25"),
    ("1e-6", "0.000001", "0.000001"),
    ("-1.25e-6", "-0.00000125", "-0.00000125"),
    ("1e-7", "0.0000001", "1e-7"),
    ("-1.25e-7", "-0.000000125", "-1.25e-7"),
    ("0.1000000000000000000001", "0.1000000000000000000001", "0.1"),
    ("9007199254740991", "9007199254740991", "9007199254740991"),
    ("-9007199254740991", "-9007199254740991", "-9007199254740991"),
    ("9007199254740992", "9007199254740992", None),
    ("-9007199254740992", "-9007199254740992", None),
    ("9007199254740993.0", "9007199254740993.0", None),
    ("1e400", "1" + "0" * 400, None),
    ("1e-400", "0." + "0" * 399 + "1", None),
    ("-1e-400", "-0." + "0" * 399 + "1", None),
    ("5e-324", "0." + "0" * 323 + "5", "5e-324"),
    ("2e-324", "0." + "0" * 323 + "2", None),
    ("1" * 1_000_000, "1" * 1_000_000, None),
    ("0." + "1" * 1_000_000, "0." + "1" * 1_000_000, "0.1111111111111111"),
]


@pytest.mark.parametrize(("token", "plain", "double"), PLAIN, ids=[row[0][:30] for row in PLAIN])
def test_numbers_are_written_so(token, plain, double):
    tree = parse(f'{{"a":[{token}]}}'.encode())
    form = lexical(tree)
    assert form == f'{{"a":[{plain}]}}'.encode()
    assert numeric(tree, form) == (None if double is None else f'{{"a":[{double}]}}'.encode())


@pytest.mark.parametrize(
    ("double", "spelled"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("4340000000000000", None),  # 2^53
        ("c340000000000000", None),
        ("4430000000000000", None),
        ("7fefffffffffffff", None),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)
def test_the_samples_of_rfc_8785_appendix_b_are_written_so(double, spelled):
    value = struct.unpack(">d", bytes.fromhex(double))[0]
    assert canonical(format(Decimal(value), "f").encode()) == (None if spelled is None else spelled.encode())


@given(st.floats(min_value=-MAX_WHOLE, max_value=MAX_WHOLE))
def test_doubles_are_written_as_the_package_writes_them(value):
    assert canonical(format(Decimal(repr(value)), "f").encode()) == rfc8785.dumps(value)


keys = st.text(max_size=5).filter(lambda key: not has_wide_keys(json.dumps({key: 0}, ensure_ascii=False).encode()))
numbers = st.integers(-MAX_WHOLE, MAX_WHOLE) | st.floats(min_value=-1e15, max_value=1e15)
trees = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(trees)
def test_documents_are_written_as_the_package_writes_them(tree):
    assert canonical(json.dumps(tree).encode()) == rfc8785.dumps(tree)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8), st.integers(-20, 20))
def test_the_lexical_form_is_the_same_number_with_the_same_precision(value, shift):
    token = f"{value:f}e{shift}"
    plain = parse(token.encode())
    written = Decimal(lexical(plain).decode())
    assert written == Decimal(token)
    assert written.as_tuple().exponent == min(0, Decimal(token).as_tuple().exponent)


@given(st.text(min_size=1))
def test_strings_are_written_as_rfc_8785_has_them(text):
    assert lexical(parse(json.dumps(text).encode())) == rfc8785.dumps(text)


@pytest.mark.parametrize(
    ("form", "wide"),
    [
        ('{"a":"😀"}', False),
        ('{"a":"😀\\":"}', False),
        ('{"a":"😀\\\\\\":","b":"é"}', False),
        ('{"é":"\\"😀","\uffff":0}', False),
        ('{"😀":1}', True),
        ('{"a":[{"x😀\\"y":1}]}', True),
        ('{"a":"😀","b":{"c😀\\\\":1}}', True),
    ],
)
def test_keys_beyond_the_basic_plane_are_found(form, wide):
    assert has_wide_keys(form.encode()) is wide
    assert (canonical(form.encode()) is None) is wide


def test_what_is_nested_deep_is_written_as_what_is_not():
    flat = parse(b'{"b":[1.50,{"d":null,"c":"x"}],"a":[],"e":{}}')
    before, after = b"[" * 300, b"]" * 300
    deep = parse(before + b'{"b":[1.50,{"d":null,"c":"x"}],"a":[],"e":{}}' + after)
    assert lexical(deep) == before + lexical(flat) + after
    assert numeric(deep, lexical(deep)) == before + b'{"a":[],"b":[1.5,{"c":"x","d":null}],"e":{}}' + after
    assert canonical(before + b"1e300" + after) is None
