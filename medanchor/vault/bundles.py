"""Bundles in the vault: written with the entry that signs for them, found again by path (by digest: `search`)."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from medanchor.core.commitment import TreeHead
from medanchor.core.hashes import HASH_LENGTH, SALT_LENGTH, Hash
from medanchor.core.merkle import Nodes, appended_nodes, inclusion_path, leaf_hash, nodes_of, root_of
from medanchor.core.proof import Position
from medanchor.errors import VaultError
from medanchor.vault.digest_index import add_digests
from medanchor.vault.rows import seal
from medanchor.vault.store import Store
from medanchor.vault.tiles import LEVEL, RECORDS_PER_TILE, Salted, Tile, Unsalted, join

FEW_TILES = 4
"""Up to so many are salted without a thread, which would gain nothing."""

NewSalts = Callable[[int], bytes]
"""A count of bytes → that many from the operating system's random source: one call for all salts of a tile."""


@dataclass(frozen=True, slots=True)
class Span:
    """Records `first` to `first + count - 1` of a bundle lie in this folder (absolute path; empty for none)."""

    folder: bytes
    first: int
    count: int


class Place(NamedTuple):
    """Where a record stands: the ledger entry of its bundle, and its leaf there (from 0).

    A tuple, because a sweep makes a million of them.
    """

    entry: int
    leaf: int


@dataclass(frozen=True, slots=True)
class Stamped:
    """Records of one span as they were stamped: names and raw digests, from leaf index `first` on."""

    entry: int
    first: int
    folder: bytes
    names: list[bytes]
    raws: list[bytes]


def add_records(store: Store, records: Iterable[Unsalted], new_salts: NewSalts) -> tuple[Hash, int]:
    """Write the tiles of the next entry's bundle; return the bundle's root and how many records it has.

    `records` are those of each tile, all but the last full; they are gone through several times, as tiles of a million
    records would take much memory. Call it inside `store.writing()`, and `append_entry` after it: both or neither.
    """
    database, entry = store.database, store.size()
    first = database.execute("SELECT coalesce(max(id), 0) FROM tile").fetchone()[0] + 1
    with _salted(records, new_salts) as salted:  # by a thread, while SQLite, which leaves Python to it, sorts
        add_digests(database, first, records)
        made = salted()
    count = 0
    for number, (unsalted, salted_tile) in enumerate(zip(records, made, strict=True)):
        _insert_tile(database, first + number, entry, number, join(unsalted, salted_tile))
        count += unsalted.digests.count
    return root_of([tile.root for tile in made]), count


@contextmanager
def _salted(records: Iterable[Unsalted], new_salts: NewSalts) -> Iterator[Callable[[], list[Salted]]]:
    """Salt all `records` in a thread while the block runs; give a function that waits for them."""
    stopped = False

    def salt_all() -> list[Salted]:
        return [tile.salted(new_salts(tile.digests.count * SALT_LENGTH)) for tile in records if not stopped]

    if next(islice(records, FEW_TILES, None), None) is None:
        yield salt_all
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            try:
                made: Callable[[], list[Salted]] = thread.submit(salt_all).result
            except RuntimeError:  # no thread is to be had: go on alone
                made = salt_all
            yield made
        finally:
            stopped = True


def append_entry(store: Store, envelope: bytes, sign: Callable[[TreeHead], str], spans: Iterable[Span]) -> int:
    """Append the entry of a signed bundle to the ledger and return its index; call it inside `store.writing()`.

    `sign` makes the checkpoint of the ledger's new tree head, so that anchoring later needs no key.
    """
    database, entry = store.database, store.size()
    database.executemany("INSERT INTO node VALUES (?, ?, ?)", appended_nodes(store.node, entry, leaf_hash(envelope)))
    checkpoint = sign(store.head(entry + 1))
    database.execute("INSERT INTO entry VALUES (?, ?, ?)", (entry, envelope, checkpoint))
    for span in spans:
        values = (_folder_id(database, span.folder), entry, span.first, span.count)
        database.execute("INSERT INTO span VALUES (?, ?, ?, ?, ?)", (*values, seal("span", *values)))
    return entry


def _insert_tile(database: sqlite3.Connection, tile_id: int, entry: int, number: int, tile: Tile) -> None:
    values = (tile_id, entry, number, tile.root, tile.records, tile.names)
    database.execute("INSERT INTO tile VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, seal("tile", *values)))
    if tile.contents:
        contents = (tile_id, tile.contents)
        database.execute("INSERT INTO content VALUES (?, ?, ?)", (*contents, seal("content", *contents)))


def _folder_id(database: sqlite3.Connection, path: bytes) -> int:
    row = database.execute("SELECT id FROM folder WHERE path = ?", (path,)).fetchone()
    if row is None:
        row = database.execute("SELECT coalesce(max(id), 0) + 1 FROM folder").fetchone()
        values = (int(row[0]), path)
        database.execute("INSERT INTO folder VALUES (?, ?, ?)", (*values, seal("folder", *values)))
    return int(row[0])


def tiles_of(store: Store, entry: int) -> Iterator[Tile]:
    """Return the tiles of the bundle at `entry`, in order. Raises VaultError at one that is damaged."""
    with store.reading() as database:
        for _, tile in database_tiles(database, "WHERE entry = ? ORDER BY number", (entry,)):
            yield _checked(entry, tile)


def tile(store: Store, entry: int, number: int) -> Tile:
    """Return tile `number` of the bundle at `entry`. Raises VaultError if it is missing or damaged."""
    with store.reading() as database:
        found = next(database_tiles(database, "WHERE entry = ? AND number = ?", (entry, number)), None)
    if found is None:
        raise _not_whole(entry)
    return _checked(entry, found[1])


def database_tiles(
    database: sqlite3.Connection, which: str = "", values: Sequence[int] = ()
) -> Iterator[tuple[int, Tile]]:
    """Return the tiles that the SQL clause `which` chooses, each after its id; they may be damaged."""
    contents = "content" if database.execute(_HAS_CONTENT).fetchone() else _NO_CONTENT
    query = f"SELECT id, records, root, names, coalesce(contents, x'') FROM tile LEFT JOIN {contents} ON tile = id "  # noqa: S608 - constants
    return ((row[0], Tile(*row[1:])) for row in database.execute(query + which, values))


_HAS_CONTENT = "SELECT 1 FROM sqlite_master WHERE name = 'content'"
_NO_CONTENT = "(SELECT NULL AS tile, NULL AS contents WHERE 0)"
"""In a vault of an older version all records are of kind 0."""


def _checked(entry: int, tile: Tile) -> Tile:
    if not tile.is_whole:
        raise _not_whole(entry)
    return tile


def _not_whole(entry: int) -> VaultError:
    return VaultError(f"the bundle of entry {entry} is not whole", hint="run 'medanchor audit'")


def count_records(store: Store, entry: int) -> int:
    """Return how many records the bundle at `entry` has."""
    query = "SELECT coalesce(sum(length(records)), 0) FROM tile WHERE entry = ?"
    with store.reading() as database:
        return int(database.execute(query, (entry,)).fetchone()[0]) // (SALT_LENGTH + HASH_LENGTH)


def count_records_before(store: Store, size: int) -> int:
    """Return how many records the first `size` entries stamped."""
    query = "SELECT coalesce(sum(length(records)), 0) FROM tile WHERE entry < ?"
    with store.reading() as database:
        return int(database.execute(query, (size,)).fetchone()[0]) // (SALT_LENGTH + HASH_LENGTH)


def tile_roots(store: Store, entry: int) -> list[bytes]:
    """Return the roots of the tiles of the bundle at `entry`, in order."""
    with store.reading() as database:
        return [row[0] for row in database.execute("SELECT root FROM tile WHERE entry = ? ORDER BY number", (entry,))]


class BundleReader:
    """The records of one bundle with their positions; tiles and roots are read once and kept while it lives."""

    def __init__(self, store: Store, entry: int, size: int) -> None:
        self._store = store
        self._entry = entry
        self._size = size
        self.roots = tile_roots(store, entry)
        if len(self.roots) != ((size - 1) >> LEVEL) + 1:
            raise _not_whole(entry)
        self._above = nodes_of(self.roots)
        self._number = -1

    @cached_property
    def root(self) -> Hash:
        """The root that the tiles' roots imply."""
        return root_of(self.roots)

    def tile(self, number: int) -> Tile:
        """Return tile `number`, from memory if it was the last one asked for."""
        if number != self._number:
            self._tile = tile(self._store, self._entry, number)
            self._number = number
            self._inside: Nodes | None = None
        return self._tile

    def position(self, index: int) -> Position:
        """Return where the record at leaf `index` stands: its path inside its tile, then that of the tile."""
        number, offset = index >> LEVEL, index & (RECORDS_PER_TILE - 1)
        here = self.tile(number)
        if self._inside is None:  # once a tile, not once a record
            self._inside = nodes_of(here.leaves())
            self._tile_path = inclusion_path(self._above, number, len(self.roots))
        path = inclusion_path(self._inside, offset, here.count)
        return Position(index, self._size, (*path, *self._tile_path))


def stamped_in(store: Store, folder: bytes) -> Iterator[Stamped]:
    """Return everything that was ever stamped in `folder` itself, oldest first."""
    query = (
        "SELECT span.entry, span.first, span.count FROM span JOIN folder ON span.folder = folder.id"
        " WHERE folder.path = ? ORDER BY span.entry, span.first"
    )
    with store.reading() as database:
        spans = database.execute(query, (folder,)).fetchall()
        for entry, first, count in spans:
            names, raws = _slice(store, entry, first, count)
            yield Stamped(entry, first, folder, names, raws)


def _slice(store: Store, entry: int, first: int, count: int) -> tuple[list[bytes], list[bytes]]:
    names: list[bytes] = []
    raws: list[bytes] = []
    for number in range(first >> LEVEL, ((first + count - 1) >> LEVEL) + 1):
        here = tile(store, entry, number)
        start = max(first - number * RECORDS_PER_TILE, 0)
        end = first + count - number * RECORDS_PER_TILE
        names += here.name_list()[start:end]
        raws += here.raws()[start:end]
    return names, raws


def folders_below(store: Store, path: bytes) -> list[bytes]:
    """Return `path` and the folders below it in which anything was ever stamped, sorted; containers are none."""
    start = os.path.join(path, b"")
    query = f"SELECT path FROM folder WHERE (path = ? OR (path >= ? AND path < ?)) AND {_NO_CONTAINER} ORDER BY path"  # noqa: S608 - a constant
    with store.reading() as database:
        return [row[0] for row in database.execute(query, (path, start, start[:-1] + b"0"))]


def all_folders(store: Store) -> list[bytes]:
    """Return every folder in which anything was ever stamped, sorted; containers are none."""
    query = f"SELECT path FROM folder WHERE path <> x'' AND {_NO_CONTAINER} ORDER BY path"  # noqa: S608 - a constant
    with store.reading() as database:
        return [row[0] for row in database.execute(query)]


_NO_CONTAINER = "(substr(path, -1) <> x'2f' OR path = x'2f')"
"""A container's path is kept with a slash at its end."""
