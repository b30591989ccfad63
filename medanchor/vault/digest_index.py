"""The index of digests: one record among millions is found by the first bytes of its raw digest, or of a component."""

import sqlite3
from collections.abc import Iterable
from itertools import groupby

from medanchor.core.commitment import WIDTHS
from medanchor.core.hashes import HASH_LENGTH
from medanchor.core.ladder import ABSENT
from medanchor.vault.tiles import FOUND_BY, LEVEL, Digests, Unsalted

PREFIX_LENGTH = 8
"""It keeps so many bytes of each digest: enough to find it, and lean."""

_ABSENT = ABSENT[:PREFIX_LENGTH]

TILES_AT_ONCE = 1024
"""The prefixes of so many tiles (24 MiB, and SQLite's copy) are added in one sorted run, which meets a page once."""


def rows_of(tile_id: int, digests: Digests) -> set[tuple[bytes, int]]:
    """Return the rows that the index has for a tile: (prefix, tile id and offset as one number)."""
    start = tile_id << LEVEL
    return {(digest[:PREFIX_LENGTH], start + offset) for offset, digest in digests.found_by()}


def add_digests(database: sqlite3.Connection, first: int, records: Iterable[Unsalted]) -> None:
    """Add the digests of `records`, tile by tile, to be those of the tiles with the ids from `first` on.

    They are gone through twice: tiles with records of several kinds come last, as a long sorted run goes into an empty
    index faster than between others.
    """
    tiles = ((tile_id, tile.digests) for tile_id, tile in enumerate(records, first))
    for (kind, _), run in groupby(tiles, key=lambda item: (item[1].kind, (item[0] - first) // TILES_AT_ONCE)):
        if kind is not None:
            _add_one_kind(database, kind, run)
    for tile_id, tile in enumerate(records, first):
        if tile.digests.kind is None:
            database.executemany("INSERT INTO digest VALUES (?, ?)", sorted(rows_of(tile_id, tile.digests)))


def _add_one_kind(database: sqlite3.Connection, kind: int, run: Iterable[tuple[int, Digests]]) -> None:
    """Add the digests of numbered tiles, all but the last one full, whose records are all of one kind.

    SQLite cuts them itself, more than twice as fast as a row at a time from Python.
    """
    starts = [place * HASH_LENGTH for place in FOUND_BY.get(kind, ())]
    raws, components = bytearray(), [bytearray() for _ in starts]
    first = 0
    for tile_id, digests in run:
        first = first or tile_id
        raws += _prefixes(digests.raws, HASH_LENGTH, 0)
        for component, start in zip(components, starts, strict=True):
            component.extend(_prefixes(digests.components, WIDTHS[kind], start))
    packed = {f"prefixes{place}": prefixes for place, prefixes in enumerate([raws, *components])}
    numbers = {"count": len(raws) // PREFIX_LENGTH, "first": first << LEVEL}
    absent = [_ABSENT in component for component in components]
    database.execute(_statement(absent), packed | numbers | {"absent": _ABSENT})


def _prefixes(digests: bytes, width: int, start: int) -> bytes:
    """Return the first bytes, eight, of the digest that stands at `start` in each `width` bytes."""
    return memoryview(digests).cast("Q")[start // PREFIX_LENGTH :: width // PREFIX_LENGTH].tobytes()


def _statement(absent: list[bool]) -> str:
    """Return the statement that adds the packed prefixes of `count` records: of raw digests, then of components.

    There are as many of these as in `absent`, which says where some records may have none. A component is left out
    where it begins as an absent one does, or as the first one does. The rows are sorted, as that meets each page once;
    as text, because SQLite sorts that faster than blobs. Numbers are made of two short rows of numbers, as a long one
    takes four times as long.
    """
    raw, *others = [
        f"substr(:prefixes{place}, {PREFIX_LENGTH} * number + 1, {PREFIX_LENGTH})" for place in range(len(absent) + 1)
    ]
    rows = [f"SELECT number, {raw} AS prefix FROM record"]  # noqa: S608 - constants
    for other, some_absent in zip(others, absent, strict=True):
        unlike = [":absent"] * some_absent + others[:1] * (other != others[0])
        which = " AND ".join(f"{other} <> {prefix}" for prefix in unlike) or "TRUE"
        rows.append(f"SELECT number, {other} FROM record WHERE {which}")  # noqa: S608 - constants
    return f"""
        WITH RECURSIVE
            high(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM high WHERE (number + 1) << {LEVEL} < :count),
            low(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM low WHERE number + 1 < 1 << {LEVEL}),
            record(number) AS (
                SELECT high.number << {LEVEL} | low.number FROM high CROSS JOIN low
                WHERE (high.number << {LEVEL} | low.number) < :count
            )
        INSERT OR IGNORE INTO digest
        SELECT prefix, :first + number FROM ({" UNION ALL ".join(rows)})
        ORDER BY CAST(prefix AS TEXT)
    """  # noqa: S608 - constants
