"""The index of digests: one record among millions is found by the first bytes of its raw digest, or of a component."""

import sqlite3
from collections.abc import Sequence
from itertools import groupby

from medanchor.core.commitment import WIDTHS
from medanchor.core.hashes import HASH_LENGTH
from medanchor.core.ladder import ABSENT
from medanchor.vault.tiles import FOUND_BY, LEVEL, Tile

PREFIX_LENGTH = 8
"""It keeps so many bytes of each digest: enough to find it, and lean."""


def rows_of(tile_id: int, tile: Tile) -> set[tuple[bytes, int]]:
    """Return the rows that the index has for a tile: (prefix, tile id and offset as one number)."""
    start = tile_id << LEVEL
    return {(digest[:PREFIX_LENGTH], start + offset) for offset, digest in tile.found_by()}


def add_digests(database: sqlite3.Connection, first: int, tiles: Sequence[Tile]) -> None:
    """Add the digests of the tiles with the ids from `first` on; all but the last must be full."""
    for kind, run in groupby(enumerate(tiles, first), key=lambda item: item[1].kind):
        numbered = list(run)
        if kind is None:  # records of several kinds
            for tile_id, tile in numbered:
                database.executemany("INSERT INTO digest VALUES (?, ?)", sorted(rows_of(tile_id, tile)))
        else:
            _add_one_kind(database, kind, numbered[0][0], [tile for _, tile in numbered])


def _add_one_kind(database: sqlite3.Connection, kind: int, first: int, tiles: Sequence[Tile]) -> None:
    """Add the digests of tiles whose records are all of one kind.

    SQLite cuts them itself, more than twice as fast as a row at a time from Python.
    """
    raws = b"".join(tile.packed_raws() for tile in tiles)
    packed = {
        "raws": raws,
        "components": b"".join(tile.packed_components() for tile in tiles),
        "absent": ABSENT,
        "first": first << LEVEL,
        "count": len(raws) // HASH_LENGTH,
    }
    database.execute(_statement(kind), packed)


def _statement(kind: int) -> str:
    """Return the statement that adds the packed digests of `count` records of one kind.

    A component is left out where it is absent, and where it is the same as the first one. The rows are sorted, as that
    meets each page once; as text, because SQLite sorts that faster than blobs.
    """
    components = [
        f"substr(:components, {WIDTHS[kind]} * number + {place * HASH_LENGTH + 1}, {HASH_LENGTH})"
        for place in FOUND_BY.get(kind, ())
    ]
    digests = [f"SELECT number, substr(:raws, {HASH_LENGTH} * number + 1, {HASH_LENGTH}) AS digest FROM record"]  # noqa: S608 - constants
    for component in components:
        unlike = f"AND digest <> {components[0]}" if component != components[0] else ""
        digests.append(f"SELECT number, {component} AS digest FROM record WHERE digest <> :absent {unlike}")  # noqa: S608 - constants
    return f"""
        WITH RECURSIVE record(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM record WHERE number + 1 < :count)
        INSERT OR IGNORE INTO digest
        SELECT substr(digest, 1, {PREFIX_LENGTH}) AS prefix, :first + number FROM ({" UNION ALL ".join(digests)})
        ORDER BY CAST(prefix AS TEXT)
    """  # noqa: S608 - constants
