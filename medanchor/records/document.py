"""What a reader makes of a record's bytes: its kind, the digests of its parts, and the records inside it.

There is one module a kind, and each has a function with the face of `Reader`. A reader opens nothing and keeps nothing:
bytes in, digests out. What it cannot read to the last byte it refuses, and the record is then covered as bytes only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from medanchor.core.commitment import Content, Kind
from medanchor.core.ladder import ABSENT

__all__ = ["ABSENT", "Content", "Contents", "Differ", "Difference", "Document", "Kind", "Reader"]


@dataclass(slots=True)
class Contents:
    """Records that lie in one container, in order, packed so that a million of them stay small.

    `names` tell where in the container each one lies (b"17", b"entry/3", b"inner/a.json"); `raws` holds 32 bytes a
    record, `kinds` one byte, `components` the 32 bytes of each component of each record, one after another.
    `remarks` are (name, what a person should know about it).
    """

    names: list[bytes] = field(default_factory=list)
    raws: bytearray = field(default_factory=bytearray)
    kinds: bytearray = field(default_factory=bytearray)
    components: bytearray = field(default_factory=bytearray)
    remarks: list[tuple[bytes, str]] = field(default_factory=list)

    def add(self, name: bytes, content: Content, remarks: Iterable[str] = ()) -> None:
        """Add one record."""
        self.names.append(name)
        self.kinds.append(content.kind)
        self.raws += content.raw
        for component in content.components:
            self.components += component
        self.remarks += [(name, remark) for remark in remarks]

    def add_bytes(self, name: bytes, raw: bytes) -> None:
        """Add one record of which only the raw digest is known, in a quarter of the time."""
        self.names.append(name)
        self.kinds.append(0)
        self.raws += raw

    def extend(self, other: "Contents", below: bytes = b"") -> None:
        """Add all records of `other`, as lying in what is called `below` here."""
        start = below + b"/" if below else b""
        self.names += [start + name for name in other.names] if start else other.names
        self.raws += other.raws
        self.kinds += other.kinds
        self.components += other.components
        self.remarks += [(start + name, remark) for name, remark in other.remarks]


class Document(NamedTuple):
    """What is in the bytes of one file: its own content, remarks about it, and the records inside it.

    `contained` is None for what is no container. A container that is no clinical document itself (NDJSON, a batch, an
    archive) is of the kind BYTES.
    """

    content: Content
    remarks: tuple[str, ...] = ()
    contained: Contents | None = None


class Difference(NamedTuple):
    """One place at which two versions of a document differ: where, and what stands there (None: nothing)."""

    place: str
    before: str | None
    after: str | None


class Reader(Protocol):
    """Reads one document. Raises MalformedRecordError, saying what is wrong and where, if it is not sound."""

    def __call__(self, data: bytes, /) -> Document:
        """Return what is in `data`."""
        ...


class Differ(Protocol):
    """Compares two versions of a document, both sound. Raises MalformedRecordError as a reader does."""

    def __call__(self, before: bytes, after: bytes, /) -> Iterable[Difference]:
        """Return where they differ, in the order of the document; nothing for what its kind does not commit to."""
        ...
