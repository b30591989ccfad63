"""Spellings: one per value, and Bitcoin's reversed one only where people read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import attempt, from_display, hashes, modest

from medanchor.core import hashes as hashes_module
from medanchor.core.hashes import display, from_hex, hash_from_hex, hashes_from_hex, sha256, sha256d, split_hashes
from medanchor.errors import MalformedProofError, Step

GENESIS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


def test_the_hashes_are_those_of_fips_180_4_and_of_bitcoin():
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256d(b"hello").hex() == "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"


def test_a_hash_is_shown_reversed():
    value = from_display(GENESIS)
    assert value.hex() == "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000"
    assert display(value) == GENESIS


@given(hashes)
@modest
def test_what_is_shown_is_read_back(value):
    assert hashes_module.from_display(display(value)) == value


@pytest.mark.parametrize("text", [GENESIS.upper(), GENESIS[:-2], GENESIS + "00", "", None, 5, GENESIS.encode()])
def test_what_display_would_not_write_is_no_hash(text):
    with pytest.raises(MalformedProofError):
        hashes_module.from_display(text)


@given(st.binary(max_size=200))
@modest
def test_hex_comes_back(data):
    assert from_hex(data.hex()) == data
    assert from_hex(data.hex(), length=len(data)) == data


@given(st.text(max_size=12) | st.text("0123456789abcdefABCDEF", max_size=12))
@modest
def test_any_text_is_refused_or_is_the_one_spelling(text):
    data = attempt(lambda: from_hex(text), Step.FORMAT)
    assert data is None or data.hex() == text


@pytest.mark.parametrize(
    "value",
    [
        "AB",
        "aB",
        "a",
        "abc",
        "0x00",
        " 00",
        "00 ",
        "00\n",
        "0g",
        "\u0660\u0660",
        "\ud800\ud800",
        None,
        0,
        b"00",
        ["00"],
    ],
)
def test_what_is_not_lower_case_hex_is_refused(value):
    with pytest.raises(MalformedProofError, match="expected lower-case hex"):
        from_hex(value)


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33])
def test_a_hash_of_another_length_is_refused(text):
    with pytest.raises(MalformedProofError, match=f"expected 32 bytes in hex, found {len(text) // 2}"):
        hash_from_hex(text)


@given(st.lists(hashes, max_size=9))
@modest
def test_hashes_are_split_as_they_were_packed(values):
    assert split_hashes(b"".join(values)) == values
    assert hashes_from_hex([value.hex() for value in values]) == tuple(values)
