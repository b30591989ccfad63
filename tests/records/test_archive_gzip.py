"""gzip files read block by block."""

import gzip
import io
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medanchor.errors import MalformedRecordError
from medanchor.records.archive import BLOCK_BYTES, READ_BYTES, inflated

ONE = gzip.compress(b"one" * 1000, mtime=0)
TWO = gzip.compress(b"two", mtime=0)


def inflate(data: bytes) -> bytes:
    return b"".join(inflated(io.BytesIO(data)))


def refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedRecordError, match=why):
        inflate(data)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(0, 9))
def test_what_was_packed_comes_out(parts, level):
    assert inflate(b"".join(gzip.compress(part, level) for part in parts)) == b"".join(parts)


@pytest.mark.parametrize("length", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 10 * BLOCK_BYTES + 7])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_blocks_are_never_empty_or_too_long(length, level):
    content = random.Random(1).randbytes(length // 2) + bytes(length - length // 2)  # noqa: S311 - repeatable
    blocks = list(inflated(io.BytesIO(gzip.compress(content, level))))
    assert b"".join(blocks) == content
    assert all(0 < len(block) <= BLOCK_BYTES for block in blocks)


@pytest.mark.parametrize("offset", range(-20, 21))
def test_members_end_anywhere_in_what_is_read_at_once(offset):
    first = gzip.compress(random.Random(2).randbytes(READ_BYTES - 41 + offset), 0)  # noqa: S311 - repeatable
    assert inflate(first + TWO + bytes(3)) == gzip.decompress(first) + b"two"


def test_many_empty_members():
    empty = gzip.compress(b"")
    assert inflate(empty * 5000 + TWO) == b"two"


def test_every_field_of_a_header():
    head = b"\x1f\x8b\x08\x1f" + bytes(6) + b"\5\0extra" + b"name\0" + b"comment\0"
    body = zlib.compress(b"content", wbits=-15)
    tail = zlib.crc32(b"content").to_bytes(4, "little") + (7).to_bytes(4, "little")
    assert inflate(head + (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") + body + tail) == b"content"
    refused(head + bytes(2) + body + tail, "damaged")


def test_zeros_at_the_end_are_padding():
    assert inflate(TWO + bytes(1)) == inflate(TWO + bytes(100_000)) == b"two"


@pytest.mark.parametrize("tail", [b"x", b"\0x", bytes(100_000) + b"x", bytes(20) + TWO, b"PK\3\4", b"\n"])
def test_anything_else_at_the_end_is_refused(tail):
    refused(ONE + tail, "followed by something else")


def test_the_beginning_of_another_member_at_the_end_is_refused():
    for end in range(1, len(TWO)):
        refused(ONE + TWO[:end], "cut short")


def test_every_truncation_is_refused():
    for end in range(1, len(ONE)):
        refused(ONE[:end], "cut short")


def test_every_flipped_bit_is_refused_or_changes_nothing():
    for at in range(8 * len(ONE)):
        damaged = bytearray(ONE)
        damaged[at // 8] ^= 1 << at % 8
        try:
            assert inflate(bytes(damaged)) == b"one" * 1000
        except MalformedRecordError:
            continue


@pytest.mark.parametrize("at", [-1, -4, -5, -8])
def test_its_checksum_and_its_length_are_checked(at):
    damaged = bytearray(ONE)
    damaged[at] ^= 1
    refused(bytes(damaged), "damaged")


def test_what_comes_before_the_damage_comes_out():
    content = random.Random(3).randbytes(5 * BLOCK_BYTES)  # noqa: S311 - repeatable
    blocks = inflated(io.BytesIO(gzip.compress(content, 0)[:-1]))
    found = bytearray()

    def keep_all() -> None:
        for block in blocks:
            found.extend(block)

    with pytest.raises(MalformedRecordError, match="cut short"):
        keep_all()
    assert bytes(found) == content


@pytest.mark.parametrize("data", [b"", b"x", b"\0", b"{}", b"PK\3\4"])
def test_what_is_no_gzip_file_is_refused(data):
    refused(data, "expected a gzip file")


def test_limits():
    assert sum(map(len, inflated(io.BytesIO(ONE), limit=3000))) == 3000
    with pytest.raises(MalformedRecordError, match="more than"):
        list(inflated(io.BytesIO(ONE), limit=2999))
    with pytest.raises(MalformedRecordError, match="more than"):
        list(inflated(io.BytesIO(TWO * 1000), limit=2999))


@given(st.binary(max_size=100))
def test_no_bytes_let_anything_else_out(data):
    for each in (data, ONE[:10] + data, ONE[:-8] + data):
        try:
            inflate(each)
        except MalformedRecordError:
            continue
