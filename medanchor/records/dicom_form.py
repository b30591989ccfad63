"""The one form in which DICOM data sets are compared: implicit VR little endian, sorted, all lengths defined.

What says how a data set is encoded (VRs, byte order, forms of lengths, group lengths, padding) is gone from it;
every other byte of every value is in it. Markers, under tags that no data set can have, keep what would be lost.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, pairwise

from medanchor.core.hashes import Hash
from medanchor.errors import MalformedRecordError
from medanchor.records.dicom_parse import ITEM, PADDING, PIXEL_DATA, UNDEFINED, Element, Fragments
from medanchor.records.dicom_pixels import as_they_are, by_frames, encoded, is_extended_table
from medanchor.records.dicom_types import is_sign_open, normal, shown
from medanchor.records.document import ABSENT

OFFSETS, LENGTHS = 0x7FE00001, 0x7FE00002
PIXELS = frozenset((OFFSETS, LENGTHS, 0x7FE00003, 0x7FE00008, 0x7FE00009, PIXEL_DATA))
"""The elements at the top of a data set that make the component `pixels`."""

NUMBER_OF_FRAMES = 0x00280008
LOSSY = 0x00282110
ELSEWHERE = 0x00287FE0
PIXEL_REPRESENTATION = 0x00280103
_WATCHED = frozenset((NUMBER_OF_FRAMES, LOSSY, ELSEWHERE, PIXEL_REPRESENTATION))

_SIGNS = {b"\0\0": "US", b"\1\0": "SS"}
"""Pixel representation → the VR of what is "US or SS" (PS3.3, section C.7.6.3.1)."""

_COUNT = re.compile(rb"[0-9]{1,9}")
_UL = 4
"""The bytes of the length of a group."""

_ODD_VR = 0x00020000
_TRANSFER_SYNTAX = 0x00020010


@dataclass(slots=True)
class _DataSet:
    """A data set of which the end has not come: where it begins in the form, the tags in it, where each begins."""

    start: int
    tags: "array[int]" = field(default_factory=lambda: array("L"))
    starts: "array[int]" = field(default_factory=lambda: array("Q"))


class Form:
    """A sink that writes the form of a data set, but for its pixel data, which stays where it is until it is hashed."""

    def __init__(self, transfer_syntax: bytes) -> None:
        self.out = bytearray()
        self.top: dict[int, bytes] = {}
        self.pixels: dict[int, tuple[Element, bytes | memoryview | Fragments]] = {}
        self.odd: list[Element] = []
        self.hides = False
        uid = bytes(normal("UI", transfer_syntax))
        self._transfer_syntax = encoded(_TRANSFER_SYNTAX, len(uid)) + uid
        self._data_sets = [_DataSet(0)]
        self._sequences: list[int] = []

    def element(self, element: Element, value: bytes | memoryview) -> None:
        """Add an element, unless it is about the encoding only."""
        if is_left_out(element.tag, value):
            self.hides |= element.tag == PADDING and bool(bytes(value).strip(b"\0"))
            return
        element = self.checked(element, value)
        self._begin(element)
        if self._is_pixels(element):
            self.pixels[element.tag] = element, value
            return
        if element.tag in _WATCHED and len(self._data_sets) == 1:
            self.top[element.tag] = bytes(value)
        content = normal(element.vr, value)
        self.out += _head(element, len(content))
        self.out += content

    def fragments(self, element: Element, fragments: Fragments) -> None:
        """Add pixel data that is encapsulated; inside a sequence, as it is."""
        self._begin(element)
        if self._is_pixels(element):
            self.pixels[element.tag] = element, fragments
            return
        for piece in self._encapsulated(element, as_they_are(fragments)):
            self.out += piece

    def open_sequence(self, element: Element) -> None:
        """Begin a sequence, of which the length is filled in when it ends."""
        self._begin(element)
        self.out += _head(element, 0)
        self._sequences.append(len(self.out))

    def close_sequence(self) -> None:
        """End a sequence."""
        self._fill_in_length(self._sequences.pop())

    def open_item(self) -> None:
        """Begin an item, as `open_sequence` does."""
        self.out += encoded(ITEM, 0)
        self._data_sets.append(_DataSet(len(self.out)))

    def close_item(self) -> None:
        """End an item, and put its elements in order."""
        self._sort(self._data_sets[-1])
        self._fill_in_length(self._data_sets.pop().start)

    def mark(self) -> tuple[int, ...]:
        """Return how long everything is."""
        data_set = self._data_sets[-1]
        return len(self.out), len(self._data_sets), len(data_set.tags), len(self._sequences), len(self.odd)

    def undo(self, mark: tuple[int, ...]) -> None:
        """Make everything as long as it was."""
        length, data_sets, tags, sequences, odd = mark
        del self.out[length:], self._data_sets[data_sets:], self._sequences[sequences:], self.odd[odd:]
        del self._data_sets[-1].tags[tags:], self._data_sets[-1].starts[tags:]

    def finish(self) -> None:
        """End the data set. Raises MalformedRecordError if an element comes twice."""
        self._sort(self._data_sets[0])

    def pixel_elements(self) -> Iterator[tuple[int, Iterator[bytes | memoryview]]]:
        """Yield each element of the pixel data in the order of their tags, in pieces; offset tables only if wrong."""
        count = self._count_of_frames()
        skipped = {OFFSETS, LENGTHS} if self._is_extended_table_sound(count) else set()
        for tag in sorted(self.pixels.keys() - skipped):
            element, value = self.pixels[tag]
            if isinstance(value, Fragments):
                yield tag, self._encapsulated(element, by_frames(value, count))
            else:
                content = normal(element.vr, value)
                yield tag, iter((_head(element, len(content)), content))

    def digests(self) -> tuple[Hash, Hash]:
        """Return the components, data set and pixels."""
        if not self.pixels:
            return Hash(sha256(self.out).digest()), ABSENT
        pixels = sha256()
        for piece in chain.from_iterable(pieces for _, pieces in self.pixel_elements()):
            pixels.update(piece)
        return Hash(sha256(self.out).digest()), Hash(pixels.digest())

    def _begin(self, element: Element) -> None:
        data_set = self._data_sets[-1]
        data_set.tags.append(element.tag)
        data_set.starts.append(len(self.out))
        if element.odd:
            self.odd.append(element)

    def checked(self, element: Element, value: bytes | memoryview) -> Element:
        """Return an element as odd too if its VR is not that which the pixel representation makes of "US or SS"."""
        if element.vr not in _SIGNS.values() or element.odd or not is_sign_open(element.tag, value):
            return element
        expected = _SIGNS.get(self.top.get(PIXEL_REPRESENTATION, b""))
        return element if element.vr == expected else element._replace(odd=element.vr)

    def _is_pixels(self, element: Element) -> bool:
        return element.tag in PIXELS and len(self._data_sets) == 1

    def _fill_in_length(self, start: int) -> None:
        self.out[start - 4 : start] = (len(self.out) - start).to_bytes(4, "little")

    def _sort(self, data_set: _DataSet) -> None:
        """Put the elements of a data set, which the form ends with, in the order of their tags (PS3.5, section 7.1)."""
        tags, starts = data_set.tags, data_set.starts
        if all(before < after for before, after in pairwise(tags)):
            return
        order = sorted(range(len(tags)), key=tags.__getitem__)
        for before, after in pairwise(order):
            if tags[before] == tags[after]:
                raise MalformedRecordError(f"{shown(tags[after])} comes twice in one data set")
        starts.append(len(self.out))
        self.out[data_set.start :] = b"".join([self.out[starts[place] : starts[place + 1]] for place in order])

    def _encapsulated(self, element: Element, content: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Yield encapsulated pixel data, with the transfer syntax, without which it means nothing, before it."""
        return chain((self._transfer_syntax, _head(element, UNDEFINED)), content)

    def _count_of_frames(self) -> int:
        """Return how many frames there are, 0 if that makes no sense."""
        told = self.top.get(NUMBER_OF_FRAMES, b"1").strip(b" \0")
        return int(told) if _COUNT.fullmatch(told) else 0

    def _is_extended_table_sound(self, count: int) -> bool:
        found = [self.pixels.get(tag, (None, b""))[1] for tag in (PIXEL_DATA, OFFSETS, LENGTHS)]
        fragments, offsets, lengths = found
        if not isinstance(fragments, Fragments) or isinstance(offsets, Fragments) or isinstance(lengths, Fragments):
            return False
        return is_extended_table(fragments, count, bytes(offsets), bytes(lengths))


def is_left_out(tag: int, value: bytes | memoryview) -> bool:
    """Say whether an element is about the encoding only: the length of a group, or padding (PS3.10, section 7.2)."""
    return tag == PADDING or (tag & 0xFFFF == 0 and len(value) == _UL)


def _head(element: Element, length: int) -> bytes:
    """Return how an element begins in the form; an odd VR, which changes what the value is read as, comes first."""
    marker = encoded(_ODD_VR, 2) + element.odd.encode() if element.odd else b""
    return marker + encoded(element.tag, length)
