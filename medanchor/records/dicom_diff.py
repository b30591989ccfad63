"""Where two versions of a DICOM file differ, by tag and by name."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from struct import iter_unpack
from typing import NamedTuple

from medanchor.records.dicom import parse
from medanchor.records.dicom_form import Form, is_left_out
from medanchor.records.dicom_parse import Element, Fragments
from medanchor.records.dicom_pixels import as_they_are
from medanchor.records.dicom_types import NUMBERS, TEXT, listed, normal, shown
from medanchor.records.document import Difference

LONGEST = 80
"""How many characters of a value are shown."""

_BARE = 16
"""How many bytes that are neither text nor numbers are shown as they are."""

_CHARACTER_SET = 0x00080005

Path = tuple[int, ...]
"""Where a value is: a tag, and before it, for each sequence on the way, a tag and the number of an item."""


class _Found(NamedTuple):
    """What is at a path: an element and its value in the form; a sequence has no value, an item no element either."""

    element: Element | None = None
    value: bytes | memoryview | None = None

    def compared(self) -> tuple[str, bytes | memoryview | None]:
        """Return what makes a difference, as it does in the form."""
        return self.element.odd if self.element else "", self.value


class _Listing(Form):
    """A sink that writes the form, and keeps every value by its path."""

    def __init__(self, transfer_syntax: bytes) -> None:
        super().__init__(transfer_syntax)
        self.found: dict[Path, _Found] = {}
        self._path: list[int] = []

    def element(self, element: Element, value: bytes | memoryview) -> None:
        """Add an element to both, as the other methods do."""
        super().element(element, value)
        if not is_left_out(element.tag, value) and not self._is_pixels(element):
            self.found[*self._path, element.tag] = _Found(self.checked(element, value), normal(element.vr, value))

    def fragments(self, element: Element, fragments: Fragments) -> None:
        super().fragments(element, fragments)
        if not self._is_pixels(element):
            self.found[*self._path, element.tag] = _Found(element, b"".join(as_they_are(fragments)))

    def open_sequence(self, element: Element) -> None:
        super().open_sequence(element)
        self.found[*self._path, element.tag] = _Found(element)
        self._path += [element.tag, -1]

    def close_sequence(self) -> None:
        super().close_sequence()
        del self._path[-2:]

    def open_item(self) -> None:
        super().open_item()
        self._path[-1] += 1
        self.found[tuple(self._path)] = _Found()

    def mark(self) -> tuple[int, ...]:
        return *super().mark(), len(self.found), len(self._path)

    def undo(self, mark: tuple[int, ...]) -> None:
        *rest, found, path = mark
        super().undo(tuple(rest))
        while len(self.found) > found:
            self.found.popitem()
        del self._path[path:]

    def codec(self, path: Path) -> str:
        """Return Python's name for the character set of the text at a path (PS3.3, section C.12.1.1.2).

        Where escapes switch between several, it is the last: good enough to show a value, and nothing else is done.
        """
        from pydicom.charset import python_encoding

        for end in range(len(path) - 1, -1, -2):
            told = self.found.get((*path[:end], _CHARACTER_SET))
            if told is not None and told.value is not None:
                name = bytes(told.value).decode("latin-1").split("\\")[-1].strip()
                return python_encoding.get(name, "latin-1")
        return "latin-1"


def differences(before: bytes, after: bytes) -> Iterator[Difference]:
    """Yield what differs in the data sets, by tag, then in the pixel data.

    Raises MalformedRecordError if one of them is no sound DICOM file.
    """
    old, new = parse(before, _Listing)[1], parse(after, _Listing)[1]
    sizes = [Counter(path[:-1] for path in listing.found) for listing in (old, new)]
    alone: Path | None = None
    for path in sorted(old.found.keys() | new.found.keys()):
        if alone is not None and path[: len(alone)] == alone:
            continue  # in a sequence or an item that only one of them has
        was, now = old.found.get(path), new.found.get(path)
        alone = path if was is None or now is None else None
        if was is None or now is None or was.compared() != now.compared():
            texts = _told(old, path, sizes[0]), _told(new, path, sizes[1])
            if texts[0] == texts[1]:  # other bytes, as of another escape sequence, that show as the same text
                texts = _bare(was), _bare(now)
            yield Difference(_place(path), *texts)
    yield from _pixel_differences(old, new)


def _place(path: Path) -> str:
    """Return a path as (0040,0275)[0].(0040,0007) ScheduledProcedureStepDescription."""
    steps = [f"[{step}]" if level % 2 else shown(step) for level, step in enumerate(path)]
    last_tag = path[-1] if len(path) % 2 else path[-2]
    return f"{''.join(steps).replace('](', '].(')} {_name(last_tag)}".rstrip()


def _name(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    if tag >> 16 & 1:
        return "PrivateCreator" if listed(tag) else "private"
    return keyword_for_tag(tag)


def _told(listing: _Listing, path: Path, sizes: "Counter[Path]") -> str | None:
    """Return what is at a path as a person reads it; None if nothing is."""
    found = listing.found.get(path)
    if found is None:
        return None
    if found.element is None:
        return _counted(sizes[path], "item of {} element")
    if found.value is None:
        text = _counted(sizes[path], "sequence of {} item")
    else:
        text = _as_text(found.element.vr, bytes(found.value), listing.codec(path))
    return f"{text} (as {found.element.odd})" if found.element.odd else text


def _bare(found: _Found | None) -> str | None:
    return _size(bytes(found.value)) if found is not None and found.value is not None else None


def _counted(number: int, what: str) -> str:
    return what.format(number) + ("" if number == 1 else "s")


def _as_text(vr: str, value: bytes, codec: str) -> str:
    """Return a value in print: text decoded, numbers written out; what is neither in hex, or by its digest if long."""
    vr = vr.partition(" or ")[0]  # where the dictionary leaves a choice, the pixel representation would make it
    if vr in TEXT:
        return _cut(_printable(value.rstrip(b" \0").decode(codec, "backslashreplace")), value)
    if vr in NUMBERS and len(value) % NUMBERS[vr][1] == 0:
        numbers = [str(number) for (number,) in iter_unpack(f"<{NUMBERS[vr][0]}", value)]
        return _cut("\\".join(numbers), value)
    if vr == "AT" and len(value) % 4 == 0:
        return _cut("\\".join(shown(group << 16 | number) for group, number in iter_unpack("<HH", value)), value)
    return value.hex(" ") if len(value) <= _BARE else _size(value)


def _printable(text: str) -> str:
    """Return text without what would move a cursor or change a colour."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _cut(text: str, value: bytes) -> str:
    """Return a text, or where it is long its beginning, and the digest by which it differs from another of its kind."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({_size(value)})"


def _size(value: bytes) -> str:
    return f"{len(value)} bytes, SHA-256 {sha256(value).hexdigest()[:16]}…"


def _pixel_differences(old: Form, new: Form) -> Iterator[Difference]:
    """Yield which elements of the pixel data differ; what they hold cannot be told in words."""
    was, now = dict(_pixels(old)), dict(_pixels(new))
    for tag in sorted(was.keys() | now.keys()):
        if was.get(tag) != now.get(tag):
            yield Difference(_place((tag,)), was.get(tag), now.get(tag))


def _pixels(form: Form) -> Iterator[tuple[int, str]]:
    """Yield the elements of the pixel data, with their sizes as they are in the file and their digests in the form."""
    for tag, pieces in form.pixel_elements():
        digest = sha256()
        for piece in pieces:
            digest.update(piece)
        value = form.pixels[tag][1]
        if isinstance(value, Fragments):
            size = f"{sum(map(len, value))} bytes in {_counted(len(value), '{} fragment')}"
        else:
            size = f"{len(value)} bytes"
        yield tag, f"pixel data: {size}, SHA-256 {digest.hexdigest()[:32]}…"
