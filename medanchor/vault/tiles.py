"""Bundles on disk: 1,024 records a tile, their salts and raw digests packed side by side, their names compressed.

A tile is a perfect subtree of the bundle's tree (the last may be smaller), so its root stands for it: a proof for one
of a million records reads one tile and the roots of the others.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
class Tile:
    """Up to 1,024 records of one bundle: packed salts then packed raw digests, the subtree's root, compressed names.

    `contents` is empty where all are of kind 0; else a byte for each record's kind, then all component digests, packed.
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

    def salts(self) -> list[bytes]:
        """Return the salts, 16 bytes each, in order."""
        end = self.count * SALT_LENGTH
        return [self.records[at : at + SALT_LENGTH] for at in range(0, end, SALT_LENGTH)]

    def packed_raws(self) -> bytes:
        """Return the raw digests, 32 bytes each, one after another."""
        return self.records[self.count * SALT_LENGTH :]

    def raws(self) -> list[bytes]:
        """Return the raw digests, 32 bytes each, in order."""
        return split_hashes(self.packed_raws())

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

    @property
    def kind(self) -> int | None:
        """The kind of all its records; None if they are of several."""
        kinds = set(self.contents[: self.count])
        return next(iter(kinds), Kind.BYTES) if len(kinds) <= 1 else None

    def packed_components(self) -> bytes:
        """Return the component digests of its records, one after another."""
        return self.contents[self.count :]

    def found_by(self) -> Iterator[tuple[int, bytes]]:
        """Return each digest by which one of the records is found, after the record's offset: the raw ones too."""
        yield from enumerate(self.raws())
        at = self.count
        for offset, kind in enumerate(self.contents[: self.count]):
            for number in FOUND_BY.get(kind, ()):
                start = at + number * HASH_LENGTH
                if (component := self.contents[start : start + HASH_LENGTH]) != ABSENT:
                    yield offset, component
            at += WIDTHS[kind]

    def leaves(self) -> list[bytes]:
        """Return the leaf hashes, computed again from salts and digests."""
        if not self.contents:
            return raw_leaf_hashes(self.salts(), self.raws())
        kinds, components = self.contents[: self.count], self.contents[self.count :]
        return leaf_hashes(self.salts(), self.raws(), kinds, components)

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


def pack(salts: bytes, raws: Sequence[bytes], names: Sequence[bytes], contents: bytes = b"") -> Tile:
    """Return the tile of up to 1,024 records: `salts` packed, `raws` and `names` in order, `contents` as in a tile."""
    tile = Tile(salts + b"".join(raws), Hash(b""), zlib.compress(b"\0".join(names), FAST), contents)
    return replace(tile, root=root_of(tile.leaves()))


def join_roots(tiles: Iterable[Tile]) -> Hash:
    """Return the bundle's root from all its tiles, in order."""
    return root_of([tile.root for tile in tiles])
