"""HL7 v2 messages and batches: what framing, line ends and empty ends of fields may do to a message is taken off.

Nothing else is: escape sequences are not resolved and characters are not decoded, so every other byte counts. The rules
are those of HL7 v2.5.1, chapter 2: 2.5.4 separators, 2.6 what need not be sent, 2.10.3 files and batches; and of MLLP
release 1.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice, pairwise
from typing import NamedTuple, NoReturn

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records.document import Content, Contents, Document, Kind

MOST_MESSAGES = 1_000_000
MOST_LINES = 1_000_000
MOST_PARTS = 100_000
"""No more of them in a file, in a message, in a segment: each takes memory of its own, however short it is."""

_UNIT = re.compile(rb"(?:MSH|FHS|BHS|BTS|FTS)(?<![^\r\n\x0b]...)", re.DOTALL)
"""What begins a message or is a segment around messages, at the start of a line or of an MLLP block.

The search for the names comes first as it is three times as fast.
"""

_NAME = re.compile(rb"[A-Z][A-Z0-9]{2}")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_START_BLOCK, _END_BLOCK = 0x0B, 0x1C
_AROUND = bytes((*b"\r\n", _START_BLOCK, _END_BLOCK))
_SEPARATORS = re.compile(rb"[!-/:-@\[-`{-~]{3,6}")
"""Separators are printable ASCII characters that stand in no segment name; escape and subcomponent may be left out."""

_COUNT = re.compile(rb"BTS[^0-9]0*([0-9]+)")
_PLAIN_TYPES = frozenset((b"ST", b"TX", b"FT"))


class Separators(NamedTuple):
    """The characters that one message's MSH-1 and MSH-2 set, and how its header begins with them.

    `subcomponent` is empty where MSH-2 is too short to name one; `padding` is what stands before an empty end.
    """

    field: bytes
    component: bytes
    repetition: bytes
    subcomponent: bytes
    header: bytes
    padding: tuple[bytes, ...]

    def trim(self, segments: list[bytes]) -> list[bytes]:
        """Return a message's segments without what is empty at the end of a component, repetition or segment (2.6).

        Empty repetitions stay. A field of plain text stays as it is: who writes such text may not have escaped it.
        """
        if not self._is_padded(b"\r".join(segments).removeprefix(self.header)):  # true of most messages
            return segments
        return [self._trim_segment(segment) for segment in segments]

    def _is_padded(self, text: bytes) -> bool:
        text += b"\r"
        return any(each in text for each in self.padding)

    def _trim_segment(self, segment: bytes) -> bytes:
        kept = self.header if segment.startswith(self.header) else b""  # MSH-2 itself looks like padding
        rest = segment[len(kept) :]
        if not self._is_padded(rest):
            return segment
        fields = rest.split(self.field)
        trimmed = [self._trim_field(field) for field in fields]
        plain = _plain_field(trimmed)
        trimmed[plain : plain + 1] = fields[plain : plain + 1]
        return kept + self.field.join(trimmed).rstrip(self.field)

    def _trim_field(self, field: bytes) -> bytes:
        if self.component not in field and self.subcomponent not in field:
            return field
        return self.repetition.join([self._trim_repetition(each) for each in field.split(self.repetition)])

    def _trim_repetition(self, repetition: bytes) -> bytes:
        components = [each.rstrip(self.subcomponent) for each in repetition.split(self.component)]
        return self.component.join(components).rstrip(self.component)


class Message(NamedTuple):
    """One message: its own bytes in the file, its separators and its segments, trimmed."""

    raw: bytes
    separators: Separators
    segments: list[bytes]

    @property
    def whole(self) -> bytes:
        """What the component `message` is the digest of."""
        return b"".join(segment + b"\r" for segment in self.segments)

    @property
    def body(self) -> bytes:
        """What the component `body` is the digest of: MSH-7 (time) and MSH-10 (control ID) are empty."""
        field = self.separators.field
        fields = self.segments[0].split(field, 10)  # MSH-1 is the separator itself, so MSH-n is at n - 1
        for number in (7, 10):
            if number <= len(fields):
                fields[number - 1] = b""
        header = field.join(fields).rstrip(field)
        return b"".join(segment + b"\r" for segment in (header, *self.segments[1:]))

    def content(self) -> Content:
        """Return the digests of the message."""
        return Content(Kind.HL7, sha256(self.raw), (sha256(self.whole), sha256(self.body)))


class _Unit(NamedTuple):
    """A message, or a segment around messages: its name, where it begins, its text, and the line end after it."""

    name: bytes
    start: int
    text: bytes
    end: bytes


def read(data: bytes) -> Document:
    """Return one message as itself; several, or any inside a batch or file, as a container of one record a message.

    A message's raw digest there is that of its bytes from MSH to the end of its last line, that line's end included.
    """
    messages, around = Contents(), _Around()
    only: Content | None = None
    for unit in _units(data):
        around.meet(unit, data)
        if unit.name == b"MSH":
            only = _message(unit, data).content()
            messages.add(b"%d" % (len(messages.names) + 1), only)
        if len(messages.names) > MOST_MESSAGES:
            _refuse(f"more than {MOST_MESSAGES:,} messages", data, unit.start)
    if only and around.is_bare and len(messages.names) == 1:
        return Document(Content(Kind.HL7, sha256(data), only.components))
    return Document(Content(Kind.BYTES, sha256(data)), around.remarks(), messages)


def messages(data: bytes) -> Iterator[Message]:
    """Return the messages in `data`, in order. Raises MalformedRecordError at what is not sound."""
    return (_message(unit, data) for unit in _units(data) if unit.name == b"MSH")


def is_batch(data: bytes) -> bool:
    """Say whether `data`, which is sound, is a container: several messages, or segments around them."""
    return [unit.name for unit in islice(_units(data), 2)] != [b"MSH"]


class _Around:
    """The segments around messages: that they stand where they may, and whether they tell that something is missing."""

    def __init__(self) -> None:
        self._met: Counter[bytes] = Counter()
        self._in_batch = 0
        self._miscounted = False

    def meet(self, unit: _Unit, data: bytes) -> None:
        if self._met[b"FTS"] or (unit.name == b"FHS" and self._met):
            _refuse(f"{unit.name.decode()} where none may stand", data, unit.start)
        if unit.name != b"MSH" and _LINE_END.search(unit.text):
            _refuse("a segment that belongs to no message", data, unit.start)
        if unit.name == b"BTS" and (count := _COUNT.match(unit.text)):
            self._miscounted |= count[1] != b"%d" % self._in_batch
        self._in_batch = self._in_batch + 1 if unit.name == b"MSH" else 0
        self._met[unit.name] += 1

    @property
    def is_bare(self) -> bool:
        return set(self._met) <= {b"MSH"}

    def remarks(self) -> tuple[str, ...]:
        remarks = ["a batch trailer counts another number of messages"] if self._miscounted else []
        if self._met[b"FHS"] > self._met[b"FTS"] or self._met[b"BHS"] > self._met[b"BTS"]:
            remarks.append("a batch or file has no trailer: its end may be missing")
        return tuple(remarks)


def _units(data: bytes) -> Iterator[_Unit]:
    """Return what `data` consists of. Raises MalformedRecordError at bytes that belong to nothing."""
    found = _UNIT.finditer(data)
    first = next(found, None)
    if first is None:
        _refuse("no message", data, 0)
    is_open = _follow(False, data[: first.start()].removeprefix(_BOM), data, 0)
    starts = chain((first.start(),), (each.start() for each in found), (len(data),))
    for start, stop in pairwise(starts):
        text = data[start:stop].rstrip(_AROUND)
        end = start + len(text)
        if _START_BLOCK in text or _END_BLOCK in text:  # one of them alone would hide where a message ends
            _refuse("an MLLP character inside a message", data, start)
        is_open = _follow(is_open, data[end:stop], data, end)
        line_end = _LINE_END.match(data, end, stop)
        yield _Unit(text[:3], start, text, line_end[0] if line_end else b"")
    if is_open:
        _refuse("an MLLP block without its end", data, len(data))


def _follow(is_open: bool, between: bytes, data: bytes, start: int) -> bool:
    """Return whether an MLLP block is open after the bytes `between` two units, which may be nothing else."""
    for mark in between.translate(None, b"\r\n"):
        if mark != (_END_BLOCK if is_open else _START_BLOCK):
            _refuse("bytes that belong to no message", data, start)
        is_open = not is_open
    return is_open


def _message(unit: _Unit, data: bytes) -> Message:
    if unit.text.count(b"\r") + unit.text.count(b"\n") > MOST_LINES:
        _refuse(f"a message with more than {MOST_LINES:,} line ends", data, unit.start)
    lines = unit.text.splitlines()
    separators = _separators(lines[0])
    if not separators:
        _refuse("MSH-1 and MSH-2 name no separators", data, unit.start)
    _check(lines, separators, unit, data)
    segments = separators.trim([line for line in lines if line])
    return Message(unit.text + unit.end, separators, segments)


def _separators(header: bytes) -> Separators | None:
    """Return the separators that MSH-1 and MSH-2 name (2.5.4); what names too few, or one twice, names none."""
    field = header[3:4]
    marks = header[4:].split(field, 1)[0] if field else b""
    if not _SEPARATORS.fullmatch(field + marks) or len(set(field + marks)) <= len(marks):
        return None
    return _named(field, marks)


@lru_cache(maxsize=16)
def _named(field: bytes, marks: bytes) -> Separators:
    component, repetition, subcomponent = marks[:1], marks[1:2], marks[3:4]
    padding = [component + field, component + repetition, component + b"\r", field + b"\r"]
    if subcomponent:
        padding += [subcomponent + outer for outer in (component, repetition, field, b"\r")]
    return Separators(field, component, repetition, subcomponent, b"MSH" + field + marks, tuple(padding))


def _check(lines: list[bytes], separators: Separators, unit: _Unit, data: bytes) -> None:
    """Raise MalformedRecordError at the first line of a message that is no segment; a blank one is nothing."""
    field, component, repetition, *_ = separators
    ends = (b"", field)
    for number, line in enumerate(lines):
        if line and not (line[3:4] in ends and _NAME.match(line)):
            _refuse("a line that is no segment", data, unit.start, number)
    if len(unit.text) > MOST_PARTS:
        for number, line in enumerate(lines):
            if line.count(field) + line.count(component) + line.count(repetition) > MOST_PARTS:
                _refuse(f"a segment with more than {MOST_PARTS:,} fields and components", data, unit.start, number)


def _plain_field(fields: list[bytes]) -> int:
    """Return which field of a segment holds plain text that people read: OBX-5 as OBX-2 says, and NTE-3; 0 for none."""
    if fields[0] == b"NTE":
        return 3
    return 5 if fields[0] == b"OBX" and fields[2:3] and fields[2] in _PLAIN_TYPES else 0


def _refuse(what: str, data: bytes, start: int, lines: int = 0) -> NoReturn:
    """Raise the error that tells `what` is wrong, `lines` below the line in which `start` lies."""
    above = data[:start]
    line = 1 + above.count(b"\r") + above.count(b"\n") - above.count(b"\r\n") + lines
    raise MalformedRecordError(f"it is not sound HL7 v2: {what}, line {line}")
