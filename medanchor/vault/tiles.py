"""Bundles on disk: 1,024 records a tile, their salts and raw digests packed side by side, their names compressed.

A tile is a perfect subtree of the bundle's tree (the last may be smaller), so its root stands for it: a proof for one
of a million records reads one tile and the roots of the others.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from medanchor.core.commitment import COMPONENTS, WIDTHS, Kind, Record, leaf_hashes, raw_leaf_hashes
from medanchor.core.hashes import HASH_LENGTH, SALT_LENGTH, Hash, split_hashes
from medanchor.core.ladder import ABSENT
from medanchor.core.merkle import root_of
from medanchor.errors import VaultError

LEVEL = 10
RECORDS_PER_TILE = 1 << LEVEL
RECORD_LENGTH = SALT_LENGTH + HASH_LENGTH
MAX_NAMES_BYTES = RECORDS_PER_TILE * 4097
"""No name is longer than Linux's PATH_MAX; decompression stops here."""

FAST = 1
"""zlib's level: names compress well at once, and stamping waits for it."""


FOUND_BY: Mapping[int, tuple[int, ...]] = {
    kind: tuple(COMPONENTS[kind].index(part) for part in parts)
    for kind, parts in {
        Kind.FHIR: ("data", "numeric"),
        Kind.DICOM: ("dataset",),
        Kind.HL7: ("message", "body"),
        Kind.XML: ("canonical", "text"),
    }.items()
}
"""Record kind → the components by which a record is found again whose bytes are others: each tells it by itself."""


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of up to 1,024 records: the raw ones, packed; and, unless all are of kind 0, a tile's `contents`.

    Those are a byte for each record's kind, then all component digests, packed.
    """

    raws: bytes
    contents: bytes = b""

    @property
    def count(self) -> int:
        """How many records they are of."""
        return len(self.raws) // HASH_LENGTH

    @property
    def kind(self) -> int | None:
        """The kind of all the records; None if they are of several."""
        kinds = set(self.contents[: self.count])
        return next(iter(kinds), Kind.BYTES) if len(kinds) <= 1 else None

    @property
    def components(self) -> bytes:
        """The component digests, one after another."""
        return self.contents[self.count :]

    def found_by(self) -> Iterator[tuple[int, bytes]]:
        """Return each digest by which one of the records is found, after the record's offset: the raw ones too."""
        yield from enumerate(split_hashes(self.raws))
        at = self.count
        for offset, kind in enumerate(self.contents[: self.count]):
            for number in FOUND_BY.get(kind, ()):
                start = at + number * HASH_LENGTH
                if (component := self.contents[start : start + HASH_LENGTH]) != ABSENT:
                    yield offset, component
            at += WIDTHS[kind]

    def leaves(self, salts: bytes) -> list[bytes]:
        """Return the leaf hashes of the records with these `salts`, packed."""
        each = [salts[at : at + SALT_LENGTH] for at in range(0, len(salts), SALT_LENGTH)]
        raws = split_hashes(self.raws)
        if not self.contents:
            return raw_leaf_hashes(each, raws)
        return leaf_hashes(each, raws, self.contents[: self.count], self.components)


class Salted(NamedTuple):
    """What a tile has beside its records' digests: their salts, packed, the subtree's root, their names, compressed."""

    salts: bytes
    root: Hash
    names: bytes


class Unsalted(NamedTuple):
    """The records of a tile that is to be."""

    names: list[bytes]
    digests: Digests

    def salted(self, salts: bytes) -> Salted:
        """Return the rest of the tile that they are with these `salts`, 16 bytes each, packed."""
        root = root_of(self.digests.leaves(salts))
        return Salted(salts, root, zlib.compress(b"\0".join(self.names), FAST))


@dataclass(frozen=True, slots=True)
class Tile:
    """Up to 1,024 records of one bundle: packed salts then packed raw digests, the subtree's root, compressed names.

    `contents` is empty where all are of kind 0.
    """

    records: bytes
    root: Hash
    names: bytes
    contents: bytes = b""

    @property
    def count(self) -> int:
        """How many records are in the tile."""
        return len(self.records) // RECORD_LENGTH

    @property
    def is_whole(self) -> bool:
        """Whether it holds a whole number of records, from 1 to 1,024, and their components, if any have some."""
        if len(self.records) % RECORD_LENGTH or not 0 < self.count <= RECORDS_PER_TILE:
            return False
        kinds = self.contents[: self.count]
        if not kinds:
            return True
        whole = len(self.contents) == self.count + _width(kinds)
        return whole and any(kinds) and set(kinds) <= WIDTHS.keys()

    @property
    def salts(self) -> bytes:
        """The salts, 16 bytes each, packed."""
        return self.records[: self.count * SALT_LENGTH]

    @property
    def digests(self) -> Digests:
        """The digests of its records."""
        return Digests(self.records[self.count * SALT_LENGTH :], self.contents)

    def raws(self) -> list[bytes]:
        """Return the raw digests, 32 bytes each, in order."""
        return split_hashes(self.digests.raws)

    def record(self, offset: int) -> Record:
        """Return the record at `offset` in the tile."""
        start = self.count * SALT_LENGTH + offset * HASH_LENGTH
        salt = self.records[offset * SALT_LENGTH : (offset + 1) * SALT_LENGTH]
        kind = self.contents[offset] if self.contents else Kind.BYTES
        return Record(kind, salt, Hash(self.records[start : start + HASH_LENGTH]), self._components(kind, offset))

    def _components(self, kind: int, offset: int) -> tuple[Hash, ...]:
        if not WIDTHS[kind]:
            return ()
        start = self.count + _width(self.contents[:offset])
        return tuple(map(Hash, split_hashes(self.contents[start : start + WIDTHS[kind]])))

    def leaves(self) -> list[bytes]:
        """Return the leaf hashes, computed again from salts and digests."""
        return self.digests.leaves(self.salts)

    def name_list(self) -> list[bytes]:
        """Return the records' names without their folders. Raises VaultError if they are damaged."""
        decompressor = zlib.decompressobj()
        try:
            names = decompressor.decompress(self.names, MAX_NAMES_BYTES)
        except zlib.error:
            names = b""
        if not decompressor.eof or decompressor.unused_data or names.count(b"\0") != self.count - 1:
            raise VaultError("a tile's names are damaged", hint="run 'medanchor audit'")
        return names.split(b"\0")


def _width(kinds: bytes) -> int:
    """Return how many bytes the component digests of records of these kinds take, packed."""
    return sum(width * kinds.count(kind) for kind, width in WIDTHS.items() if width)


def join(unsalted: Unsalted, salted: Salted) -> Tile:
    """Return the tile of these records."""
    digests = unsalted.digests
    return Tile(salted.salts + digests.raws, salted.root, salted.names, digests.contents)


def join_roots(tiles: Iterable[Tile]) -> Hash:
    """Return the bundle's root from all its tiles, in order."""
    return root_of([tile.root for tile in tiles])
