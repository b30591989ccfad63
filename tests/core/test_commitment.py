"""Entries and commitments against the tables of docs/format.md, byte by byte."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import hashes, modest, records

from medanchor.core.commitment import (
    COMPONENTS,
    Record,
    TreeHead,
    anchor_script,
    commitment,
    payload,
    raw_leaf_hashes,
)
from medanchor.core.hashes import Hash, sha256
from medanchor.core.merkle import leaf_hash
from medanchor.errors import MalformedProofError, Step

SALT = bytes(range(16))
RAW = sha256(b"")


def sha(data):
    return hashlib.sha256(data).digest()


def test_an_entry_of_kind_0_is_49_bytes():
    assert Record(0, SALT, RAW).entry() == b"\x00" + SALT + RAW


@pytest.mark.parametrize(("kind", "count"), [(0, 0), (1, 5), (2, 2), (3, 2), (4, 2)])
def test_a_kind_fixes_the_number_of_components_and_their_order(kind, count):
    parts = tuple(sha256(bytes([number])) for number in range(count))
    assert Record(kind, SALT, RAW, parts).entry() == bytes([kind]) + SALT + RAW + b"".join(parts)
    assert len(COMPONENTS[kind]) == count
    for wrong in (parts[1:] if parts else (RAW,), (*parts, RAW)):
        with pytest.raises(MalformedProofError, match=f"expected {count} components for kind {kind}, found"):
            Record(kind, SALT, RAW, wrong)


@pytest.mark.parametrize("kind", [-1, 5, 255, 256, 1 << 63])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(MalformedProofError, match="expected a record kind from 0 to 4, found") as caught:
        Record(kind, SALT, RAW)
    assert caught.value.step is Step.FORMAT


@pytest.mark.parametrize(
    ("salt", "raw", "parts"),
    [
        (SALT[1:], RAW, (RAW, RAW)),
        (SALT + b"\x00", RAW, (RAW, RAW)),
        (SALT, RAW[1:], (RAW, RAW)),
        (SALT, RAW, (RAW, RAW + b"\x00")),
    ],
)
def test_lengths_are_checked_so_that_no_two_records_share_an_entry(salt, raw, parts):
    with pytest.raises(MalformedProofError, match="expected a salt of 16 bytes and digests of 32"):
        Record(3, salt, raw, parts)


@given(records, records)
@modest
def test_entries_are_one_to_one(one, other):
    assert (one.entry() == other.entry()) == (one == other)


def test_the_commitment_is_the_formula():
    head = TreeHead("clinic.example/a", 9, sha256(b"root"))
    expected = sha(b"\x02" + sha(b"clinic.example/a") + bytes([0, 0, 0, 0, 0, 0, 0, 9]) + sha(b"root"))
    assert commitment(head) == expected
    assert payload(head) == b"MDA1" + expected
    assert anchor_script(payload(head)) == bytes.fromhex("6a244d444131") + expected
    assert len(payload(head)) == 36


@given(hashes, st.integers(0, (1 << 64) - 1))
@modest
def test_every_part_of_a_head_changes_its_commitment(root, size):
    heads = [TreeHead("a", size, root), TreeHead("b", size, root)]
    heads += [TreeHead("a", size ^ 1 << bit, root) for bit in (0, 7, 8, 63)]
    heads += [TreeHead("a", size, Hash(bytes([root[0] ^ 1]) + root[1:]))]
    assert len({commitment(head) for head in heads}) == len(heads)


@given(st.lists(st.tuples(st.binary(min_size=16, max_size=16), hashes), max_size=20))
@modest
def test_the_fast_leaf_hashes_are_the_slow_ones(pairs):
    salts, raws = [salt for salt, _ in pairs], [raw for _, raw in pairs]
    assert raw_leaf_hashes(salts, raws) == [leaf_hash(Record(0, salt, raw).entry()) for salt, raw in pairs]


def test_a_salt_too_few_is_a_bug_and_no_silent_loss():
    with pytest.raises(ValueError, match="zip"):
        raw_leaf_hashes([SALT], [RAW, RAW])
