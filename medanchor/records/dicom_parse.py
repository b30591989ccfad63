"""The structure of DICOM data sets (PS3.5, section 7), walked to the last byte and told to a sink, element by element.

Nothing is skipped or repaired, and no value is decoded: what does not add up is refused.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple, Protocol

from medanchor.errors import MalformedRecordError
from medanchor.records.dicom_types import ALL, SHORT, WORDS, contradicts, listed, shown, swapped

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
PADDING = 0xFFFCFFFC
PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
META = 0x0002
"""The group of the file meta information, which has no place in a data set."""

_DELIMITERS = 0xFFFE
"""The group of items and delimiters, which have no VR."""

_NO_DATA = (0x0000, META, _DELIMITERS, 0xFFFF)
"""Groups that are for messages, for files, for the encoding and for nothing (PS3.5, section 7.1)."""

DEEPEST = 64
"""How deep sequences may be nested."""

MOST = 5_000_000
"""How many elements, items and fragments there may be: each costs a moment, and eight bytes make one."""

_ITEM_TAG = b"\xfe\xff\x00\xe0"
_SIZE, _LONG_SIZE = 8, 12
"""The bytes before a value."""

_HEADER = {False: Struct("<HHL"), True: Struct(">HHL")}
_WITH_VR = {False: Struct("<HH2sH"), True: Struct(">HH2sH")}
_LONG = {False: Struct("<HL"), True: Struct(">HL")}


class Syntax(NamedTuple):
    """How a data set is encoded: with VRs or without, and in which order of bytes (PS3.5, section 10)."""

    explicit: bool
    big: bool = False


IMPLICIT = Syntax(explicit=False)
EXPLICIT = Syntax(explicit=True)


class Element(NamedTuple):
    """An element: `vr` is "" where it is not known; `odd` is the VR it is written with where the dictionary has others.

    A public element that is written without a VR, or as UN, has that of the dictionary.
    """

    tag: int
    vr: str
    odd: str = ""


@lru_cache(maxsize=1 << 14)
def _known(tag: int, written: str) -> Element:
    """Return the element that is written with a tag and a VR ("" without one)."""
    if written in ("", "UN"):
        return Element(tag, listed(tag))
    return Element(tag, written, written if contradicts(tag, written) else "")


@dataclass(frozen=True, slots=True)
class Fragments:
    """Encapsulated pixel data (PS3.5, section A.4): its offset table, and where in `data` its fragments begin."""

    data: memoryview
    table: bytes
    starts: "array[int]"

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[memoryview]:
        for start in self.starts:
            yield self.data[start : start + int.from_bytes(self.data[start - 4 : start], "little")]


class Sink(Protocol):
    """What is told of a data set, in the order of the file."""

    def element(self, element: Element, value: bytes | memoryview) -> None:
        """Take an element and its value, in little endian order."""
        ...

    def fragments(self, element: Element, fragments: Fragments) -> None:
        """Take pixel data that is encapsulated."""
        ...

    def open_sequence(self, element: Element) -> None:
        """Take the beginning of a sequence; its items follow."""
        ...

    def close_sequence(self) -> None:
        """Take its end."""
        ...

    def open_item(self) -> None:
        """Take the beginning of an item; its elements follow."""
        ...

    def close_item(self) -> None:
        """Take its end."""
        ...

    def mark(self) -> Any:  # noqa: ANN401 - each sink has its own
        """Return what `undo` needs to come back to here."""
        ...

    def undo(self, mark: Any) -> None:  # noqa: ANN401 - as above
        """Forget what came since `mark`."""
        ...


class _Header(NamedTuple):
    tag: int
    vr: str
    length: int
    start: int


class Parser:
    """Walks through one data set in `data`; `place` is how messages call it where it is not the file itself."""

    def __init__(self, data: memoryview, sink: Sink, *, encapsulated: bool, place: str = "") -> None:
        self._data = data
        self._sink = sink
        self._encapsulated = encapsulated
        self._place = place
        self._count = 0

    def data_set(self, at: int, syntax: Syntax) -> None:
        """Walk from `at` to the end of the data. Raises MalformedRecordError if that is no sound data set."""
        if at == len(self._data):
            raise self.error(at, "there is no data set")
        self._elements(at, len(self._data), syntax, 0)

    def error(self, at: int, what: str) -> MalformedRecordError:
        """Return the refusal that names what is wrong at a byte."""
        return MalformedRecordError(f"{what}, at byte {at}{self._place}")

    def header(self, at: int, end: int, syntax: Syntax) -> _Header:
        """Return the tag, the VR ("" without one), the length, and where the value starts (PS3.5, section 7.1)."""
        self._count += 1
        if self._count > MOST:
            raise self.error(at, f"more than {MOST} elements")
        if end - at < _SIZE:
            raise self.error(at, "an element is cut off")
        group, number, length = _HEADER[syntax.big].unpack_from(self._data, at)
        if not syntax.explicit or group == _DELIMITERS:
            return _Header(group << 16 | number, "", length, at + _SIZE)
        _, _, code, length = _WITH_VR[syntax.big].unpack_from(self._data, at)
        vr = code.decode("latin-1")
        tag = group << 16 | number
        if vr in SHORT:
            return _Header(tag, vr, length, at + _SIZE)
        if vr not in ALL:
            raise self.error(at, f"{shown(tag)} has no value representation of DICOM's")
        if end - at < _LONG_SIZE:
            raise self.error(at, "an element is cut off")
        reserved, length = _LONG[syntax.big].unpack_from(self._data, at + 6)
        if reserved:
            raise self.error(at, f"{shown(tag)} has something in its reserved bytes")
        return _Header(tag, vr, length, at + _LONG_SIZE)

    def _elements(self, at: int, end: int, syntax: Syntax, depth: int, *, delimited: bool = False) -> int:
        """Walk through elements to `end`, or to the delimiter of their item, and return where that is."""
        before = 0
        while at < end:
            header = self.header(at, end, syntax)
            if delimited and header.tag == ITEM_END:
                self._check_delimiter(at, header)
                return header.start
            self._check_tag(at, header.tag, before)
            at = self._value(at, header, end, syntax, depth)
            before = header.tag
        if delimited:
            raise self.error(at, "an item is not ended")
        return at

    def _check_delimiter(self, at: int, header: _Header) -> None:
        if header.length:
            raise self.error(at, "a delimiter has a length")

    def _check_tag(self, at: int, tag: int, before: int) -> None:
        """Refuse what cannot be in a data set: groups that are no data, and what padding hides."""
        if tag >> 16 in _NO_DATA:
            raise self.error(at, f"{shown(tag)} has no place in a data set")
        if before == PADDING:
            raise self.error(at, f"{shown(tag)} follows the padding that should come last")

    def _value(self, at: int, header: _Header, end: int, syntax: Syntax, depth: int) -> int:
        """Tell the sink the value of an element, and return where it ends."""
        tag, written, length, start = header
        element = _known(tag, written)
        inner = syntax if written == "SQ" else IMPLICIT  # an UN of undefined length too: PS3.5, section 6.2.2
        if length == UNDEFINED:
            return self._undefined(at, header, element, end, inner, depth)
        stop = start + length
        if stop > end:
            raise self.error(at, f"{shown(tag)} claims {length} bytes where {end - start} are left")
        if written == "SQ" or (element.vr == "SQ" and not written):
            self._sequence(element, start, stop, inner, depth)
        elif element.vr not in ("", "SQ") or not self._guessed(element, start, stop, depth):
            value = self._data[start:stop]
            self._sink.element(element, self._turned(at, written, value) if syntax.big else value)
        return stop

    def _turned(self, at: int, vr: str, value: memoryview) -> bytes:
        if len(value) % WORDS.get(vr, 1):
            raise self.error(at, f"a value of {len(value)} bytes is no number of words of {vr}")
        return swapped(vr, bytes(value))

    def _guessed(self, element: Element, start: int, stop: int, depth: int) -> bool:
        """Tell the sink a value as a sequence if it is one in every byte, whatever a lost VR called it."""
        if self._data[start : start + 4] != _ITEM_TAG:
            return False
        mark = self._sink.mark()
        try:
            self._sequence(element, start, stop, IMPLICIT, depth)
        except MalformedRecordError:
            self._sink.undo(mark)
            return False
        return True

    def _undefined(self, at: int, header: _Header, element: Element, end: int, inner: Syntax, depth: int) -> int:
        """As `_value`, where a delimiter ends the value (PS3.5, sections 7.5 and A.4)."""
        if header.vr in ("OB", "OW") and header.tag == PIXEL_DATA:
            if not self._encapsulated:
                raise self.error(at, "pixel data is encapsulated, in a transfer syntax that has no such thing")
            return self._fragments(header.start, end, element)
        if header.vr not in ("", "SQ", "UN"):
            raise self.error(at, f"{shown(header.tag)} is {header.vr}, of no defined length")
        return self._sequence(element, header.start, end, inner, depth, delimited=True)

    def _sequence(
        self, element: Element, at: int, end: int, syntax: Syntax, depth: int, *, delimited: bool = False
    ) -> int:
        """Walk through items to `end`, or to the delimiter of their sequence, and return where that is."""
        if depth == DEEPEST:
            raise self.error(at, f"sequences are nested deeper than {DEEPEST}")
        self._sink.open_sequence(element)
        while delimited or at < end:
            header = self._item(at, end, syntax, delimited=delimited)
            at = header.start
            if header.tag == SEQUENCE_END:
                break
            self._sink.open_item()
            if header.length == UNDEFINED:
                at = self._elements(at, end, syntax, depth + 1, delimited=True)
            else:
                at = self._elements(at, at + header.length, syntax, depth + 1)
            self._sink.close_item()
        self._sink.close_sequence()
        return at

    def _item(self, at: int, end: int, syntax: Syntax, *, delimited: bool) -> _Header:
        """Return the header of an item, or of the delimiter that ends items."""
        header = self.header(at, end, syntax)
        if delimited and header.tag == SEQUENCE_END:
            self._check_delimiter(at, header)
        elif header.tag != ITEM:
            raise self.error(at, f"{shown(header.tag)} stands where an item should")
        elif header.length != UNDEFINED and header.length > end - header.start:
            raise self.error(at, f"an item claims {header.length} bytes where {end - header.start} are left")
        return header

    def _fragments(self, at: int, end: int, element: Element) -> int:
        """Tell the sink encapsulated pixel data, and return where it ends."""
        starts = array("Q")
        while True:
            header = self._item(at, end, EXPLICIT, delimited=True)
            if header.tag == SEQUENCE_END:
                break
            if header.length == UNDEFINED:
                raise self.error(at, "a fragment of pixel data has no length")
            starts.append(header.start)
            at = header.start + header.length
        if not starts:
            raise self.error(at, "pixel data has no offset table")
        table = bytes(next(iter(Fragments(self._data, b"", starts[:1]))))
        self._sink.fragments(element, Fragments(self._data, table, starts[1:]))
        return header.start
