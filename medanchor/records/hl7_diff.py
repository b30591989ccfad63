"""Where two versions of HL7 v2 messages differ, by segment and field, as people who work with HL7 name them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import NamedTuple, TypeVar

from medanchor.errors import MalformedRecordError
from medanchor.records.alignment import differing_pairs, excerpt, excerpts
from medanchor.records.document import Difference
from medanchor.records.hl7 import Message, is_batch, messages

T = TypeVar("T")

MOST_COMPARED = 200_000
"""Of a file with more messages, or a message with more segments, it is not told where it differs: that takes memory."""


class _Side(NamedTuple):
    """One version of a message: its field separator, its segments, and their names with occurrence: OBX[3]."""

    field: bytes
    segments: Sequence[bytes]
    names: list[str]


def differences(before: bytes, after: bytes) -> Iterator[Difference]:
    """Yield what differs, as PID[1]-5, or as a whole segment or message; in a batch, "message 3: " stands before it.

    Raises MalformedRecordError if one of them is no sound HL7 v2, or too long to be compared.
    """
    old, new = _some(messages(before), "messages"), _some(messages(after), "messages")
    named = is_batch(before) or is_batch(after)
    for i, j in differing_pairs([_keys(each) for each in old], [_keys(each) for each in new]):
        if i is not None and j is not None:
            start = f"message {i + 1}: " if named else ""
            yield from _in_message(old[i], new[j], start)
        elif i is not None:
            yield Difference(f"message {i + 1}", _text(old[i].segments[0]), None)
        else:
            yield Difference(f"message {(j or 0) + 1}", None, _text(new[j or 0].segments[0]))


def _some(items: Iterable[T], what: str) -> list[T]:
    """Return all `items`, unless there are too many of them."""
    found = list(islice(items, MOST_COMPARED + 1))
    if len(found) > MOST_COMPARED:
        raise MalformedRecordError(f"it has more than {MOST_COMPARED:,} {what}")
    return found


def _keys(message: Message) -> tuple[bytes, bytes, bytes]:
    """Return what messages are paired by: equal, equal but for MSH-7 and MSH-10, and at last any two."""
    return sha256(message.whole).digest(), sha256(message.body).digest(), b""


def _in_message(before: Message, after: Message, start: str) -> Iterator[Difference]:
    old, new = _side(before), _side(after)
    keys = [[(segment, segment[:3]) for segment in side.segments] for side in (old, new)]
    for i, j in differing_pairs(*keys):
        if i is not None and j is not None:
            yield from _in_segment(old, new, (i, j), start)
        elif i is not None:
            yield Difference(start + old.names[i], _text(old.segments[i]), None)
        else:
            yield Difference(start + new.names[j or 0], None, _text(new.segments[j or 0]))


def _side(message: Message) -> _Side:
    met: Counter[bytes] = Counter()
    names = []
    for segment in _some(message.segments, "segments in a message"):
        met[segment[:3]] += 1
        names.append(f"{segment[:3].decode('ascii')}[{met[segment[:3]]}]")
    return _Side(message.separators.field, message.segments, names)


def _in_segment(old: _Side, new: _Side, places: tuple[int, int], start: str) -> Iterator[Difference]:
    before, after = _fields(old.segments[places[0]], old.field), _fields(new.segments[places[1]], new.field)
    for n in range(max(len(before), len(after))):
        was, now = (fields[n] if n < len(fields) else b"" for fields in (before, after))
        if was != now:
            yield Difference(f"{start}{old.names[places[0]]}-{n + 1}", *_shown(was, now))


def _fields(segment: bytes, field: bytes) -> list[bytes]:
    """Return the fields of a segment from the first on; of the header, that is the separator itself."""
    fields = segment.split(field)[1:]
    return [field, *fields] if segment.startswith(b"MSH") else fields


def _shown(before: bytes, after: bytes) -> tuple[str | None, str | None]:
    """Return two fields as text; an empty field is nothing, as the standard takes it."""
    was, now = excerpts(_decoded(before), _decoded(after))
    return was if before else None, now if after else None


def _text(segment: bytes) -> str:
    return excerpt(_decoded(segment))


def _decoded(data: bytes) -> str:
    """Return bytes as text; which character set a message is in is not asked, so what is no UTF-8 shows as bytes."""
    return data.decode("utf-8", "backslashreplace")
