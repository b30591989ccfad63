"""Bundles on disk: 1,024 records a tile, their salts and raw digests packed side by side, their names compressed.

A tile is a perfect subtree of the bundle's tree (the last may be smaller), so its root stands for it: a proof for one
of a million records reads one tile and the roots of the others.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medanchor.core.commitment import Record, raw_leaf_hashes
from medanchor.core.hashes import HASH_LENGTH, SALT_LENGTH, Hash, split_hashes
from medanchor.core.merkle import root_of
from medanchor.errors import VaultError

LEVEL = 10
RECORDS_PER_TILE = 1 << LEVEL
RECORD_LENGTH = SALT_LENGTH + HASH_LENGTH
MAX_NAMES_BYTES = RECORDS_PER_TILE * 4097
"""No name is longer than Linux's PATH_MAX; decompression stops here."""

FAST = 1
"""zlib's level: names compress well at once, and stamping waits for it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Up to 1,024 records of one bundle: packed salts then packed raw digests, the subtree's root, compressed names."""

    records: bytes
    root: Hash
    names: bytes

    @property
    def count(self) -> int:
        """How many records are in the tile."""
        return len(self.records) // RECORD_LENGTH

    @property
    def is_whole(self) -> bool:
        """Whether it holds a whole number of records, from 1 to 1,024."""
        return not len(self.records) % RECORD_LENGTH and 0 < self.count <= RECORDS_PER_TILE

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
        return Record(kind=0, salt=salt, raw=Hash(self.records[start : start + HASH_LENGTH]))

    def leaves(self) -> list[bytes]:
        """Return the leaf hashes, computed again from salts and raw digests."""
        return raw_leaf_hashes(self.salts(), self.raws())

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


def pack(salts: bytes, raws: Sequence[bytes], names: Sequence[bytes]) -> Tile:
    """Return the tile of up to 1,024 records: `salts` packed, `raws` and `names` in the same order."""
    split = [salts[at : at + SALT_LENGTH] for at in range(0, len(salts), SALT_LENGTH)]
    root = root_of(raw_leaf_hashes(split, raws))
    return Tile(records=salts + b"".join(raws), root=root, names=zlib.compress(b"\0".join(names), FAST))


def join_roots(tiles: Iterable[Tile]) -> Hash:
    """Return the bundle's root from all its tiles, in order."""
    return root_of([tile.root for tile in tiles])
