"""Whether the database holds what was written into it: SQLite's own check, every seal, every index computed again.

What the ledger's tree and a block bind is not looked at here: that is evidence, and the audit's business.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from medanchor.core.merkle import appended_nodes, leaf_hash
from medanchor.vault.bundles import database_tiles
from medanchor.vault.digest_index import rows_of
from medanchor.vault.rows import seal
from medanchor.vault.store import Store, apply_migrations, database_errors
from medanchor.vault.tiles import RECORD_LENGTH

SEALED = ("vault", "tile", "folder", "span", "signer", "anchor", "sending", "content")


def check_database(store: Store) -> Iterator[str]:
    """Yield, in words, whatever is wrong with the database of `store`. Raises VaultError if SQLite cannot read it."""
    with store.reading() as database, database_errors(store.directory):
        yield from _check_sqlite(database)
        present = {name for kind, name, _ in _schema(database) if kind == "table"}
        for table in SEALED:
            if table in present:
                yield from _check_seals(database, table)
        if "sending" in present:
            yield from _check_sendings(database)
        if "content" in present:
            yield from _check_contents(database)
        yield from _check_tiles(database)
        yield from _check_spans(database)
        yield from _check_nodes(store, database)


def _check_sqlite(database: sqlite3.Connection) -> Iterator[str]:
    for (line,) in database.execute("PRAGMA integrity_check(10)"):
        if line != "ok":
            yield f"the database is damaged: {line}"
    if _schema(database) != _expected_schema(database.execute("PRAGMA user_version").fetchone()[0]):
        yield "the database's tables are not those that medanchor made"


def _schema(database: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return database.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name").fetchall()


def _expected_schema(version: int) -> list[tuple[str, str, str]]:
    """Return the tables of a vault of `version`: one that cannot be written may be older than this program."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        apply_migrations(fresh, version)
        return _schema(fresh)


def _check_seals(database: sqlite3.Connection, table: str) -> Iterator[str]:
    for number, (*values, found) in enumerate(database.execute(f"SELECT * FROM {table}"), start=1):  # noqa: S608 - ours
        if seal(table, *values) != found:
            yield f"row {number} of the table {table} is damaged"


def _check_sendings(database: sqlite3.Connection) -> Iterator[str]:
    """Every anchor has one row on what became of it, and there are no others."""
    anchors, sendings = (
        [row[0] for row in database.execute(query)]
        for query in ("SELECT id FROM anchor ORDER BY id", "SELECT anchor FROM sending ORDER BY anchor")
    )
    if anchors != sendings:
        yield "the table sending does not fit the anchors"


def _check_contents(database: sqlite3.Connection) -> Iterator[str]:
    """No contents are those of no tile, or none at all."""
    query = "SELECT count(*) FROM content LEFT JOIN tile ON id = tile WHERE id IS NULL OR contents = x''"
    if database.execute(query).fetchone()[0]:
        yield "the table content does not fit the tiles"


def _check_tiles(database: sqlite3.Connection) -> Iterator[str]:
    """Compare the index of digests with the tiles; both ways, by asking for each and counting all."""
    total = 0
    found = "SELECT 1 FROM digest WHERE prefix = ? AND location = ?"
    for number, tile in database_tiles(database):
        if not tile.is_whole:
            yield f"tile {number} is not a whole number of records"
            continue
        rows = rows_of(number, tile.digests)
        total += len(rows)
        if not all(database.execute(found, row).fetchone() for row in rows):
            yield f"the index of digests lacks records of tile {number}"
    if database.execute("SELECT count(*) FROM digest").fetchone()[0] != total:
        yield "the index of digests has more records than the tiles"


def _check_spans(database: sqlite3.Connection) -> Iterator[str]:
    """Every record of a bundle lies in exactly one span."""
    query = "SELECT entry, sum(length(records)) / ? FROM tile GROUP BY entry"
    counts = dict(database.execute(query, (RECORD_LENGTH,)))
    ends: dict[int, int] = {}
    for entry, first, count in database.execute("SELECT entry, first, count FROM span ORDER BY entry, first"):
        if first != ends.get(entry, 0):
            yield f"the folders of entry {entry} do not fit its records"
        ends[entry] = first + count
    if ends != counts:
        yield "the folders do not fit the bundles"
    if database.execute("SELECT count(*) FROM span LEFT JOIN folder ON id = folder WHERE id IS NULL").fetchone()[0]:
        yield "a folder is missing"


def _check_nodes(store: Store, database: sqlite3.Connection) -> Iterator[str]:
    """Recompute the ledger's tree from its entries; every stored node is one of it."""
    total = 0
    for expected, (entry, envelope) in enumerate(database.execute("SELECT position, envelope FROM entry ORDER BY 1")):
        nodes = appended_nodes(store.node, entry, leaf_hash(envelope)) if entry == expected else []
        if not nodes or any(store.node(level, position) != value for level, position, value in nodes):
            yield f"the ledger's tree does not fit its entry {expected}"
            return
        total += len(nodes)
    if database.execute("SELECT count(*) FROM node").fetchone()[0] != total:
        yield "the ledger's tree has nodes that no entry explains"
