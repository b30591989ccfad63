"""Encapsulated pixel data (PS3.5, section A.4) in one form: a fragment a frame, no offset table.

Where a frame is cut into fragments says nothing; which fragments make a frame says much, and an offset table can tell
it falsely. So a table is left out only if it says what is so; else it and the fragments are in the form as they are.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain, repeat
from struct import Struct, iter_unpack

from medanchor.records.dicom_parse import ITEM, SEQUENCE_END, Fragments

_HEADER = Struct("<HHL")


def encoded(tag: int, length: int) -> bytes:
    """Return how an element begins in implicit VR little endian (PS3.5, section 7.1.3)."""
    return _HEADER.pack(tag >> 16, tag & 0xFFFF, length)


def as_they_are(fragments: Fragments) -> Iterator[bytes | memoryview]:
    """Yield the offset table, the fragments, and what ends them."""
    yield encoded(ITEM, len(fragments.table)) + fragments.table
    for fragment in fragments:
        yield encoded(ITEM, len(fragment))
        yield fragment
    yield encoded(SEQUENCE_END, 0)


def by_frames(fragments: Fragments, count: int) -> Iterator[bytes | memoryview]:
    """Yield `count` frames, each as one fragment of even length; or all as it is if it cannot be told what they are."""
    firsts = frames(fragments, count)
    if firsts is None:
        yield from as_they_are(fragments)
        return
    yield encoded(ITEM, 0)
    rest = iter(fragments)
    for first, following in zip(firsts, chain(firsts[1:], repeat(len(fragments))), strict=False):
        frame = [next(rest) for _ in range(first, following)]
        length = sum(map(len, frame))
        yield encoded(ITEM, length + length % 2)
        yield from frame
        yield bytes(length % 2)
    yield encoded(SEQUENCE_END, 0)


def frames(fragments: Fragments, count: int) -> "array[int] | None":
    """Return which fragments begin `count` frames, or None if that cannot be told, or if the offset table is wrong."""
    if not fragments.table:
        if count == len(fragments) or (count == 1 and fragments.starts):
            return array("Q", range(count))
        return None
    if len(fragments.table) != 4 * count or not fragments.starts:
        return None
    starts = fragments.starts
    firsts = array("Q")
    for (offset,) in iter_unpack("<L", fragments.table):
        first = bisect_left(starts, starts[0] + offset)
        if first == len(starts) or starts[first] != starts[0] + offset or (firsts and first <= firsts[-1]):
            return None
        firsts.append(first)
    return firsts if firsts[0] == 0 else None


def is_extended_table(fragments: Fragments, count: int, offsets: bytes, lengths: bytes) -> bool:
    """Say whether an Extended Offset Table and its lengths (PS3.3, section C.7.6.3.1.8) tell what is so."""
    if fragments.table or not len(offsets) == len(lengths) == 8 * count == 8 * len(fragments):
        return False
    found = zip(fragments.starts, map(len, fragments), strict=True)
    told = zip(iter_unpack("<Q", offsets), iter_unpack("<Q", lengths), strict=True)
    return all(
        start - fragments.starts[0] == offset and size - length in (0, 1)  # the last byte may be padding
        for (start, size), ((offset,), (length,)) in zip(found, told, strict=True)
    )
