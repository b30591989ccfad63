"""The tables of a vault, one migration a version; docs/format.md, section 10, tells what stands in each.

So far a vault of an older version answers every question as it is, only more slowly, and where it cannot be written it
is left so (`store`); a migration that changes that must have such a vault refused.

Every row is bound by a hash: entries by the ledger's tree, records by their bundle's root, nodes and digests because
they can be computed again, and all else by a `seal` (see `rows.seal`), so that an audit finds any changed byte.

Migrations may call `rows.seal` as an SQL function.

A tile's root stands before its long columns: a proof reads the roots of all tiles and the rest of one.
"""

APPLICATION_ID = 0x4D444131
"""ASCII "MDA1": tells a vault from any other SQLite database."""

MIGRATIONS = (
    """
    CREATE TABLE vault (
        id INTEGER PRIMARY KEY CHECK (id = 1), origin TEXT NOT NULL, network TEXT NOT NULL, seal BLOB NOT NULL
    ) STRICT;
    CREATE TABLE entry (position INTEGER PRIMARY KEY, envelope BLOB NOT NULL, checkpoint TEXT NOT NULL) STRICT;
    CREATE TABLE node (
        level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tile (
        id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, number INTEGER NOT NULL,
        root BLOB NOT NULL, records BLOB NOT NULL, names BLOB NOT NULL, seal BLOB NOT NULL, UNIQUE (entry, number)
    ) STRICT;
    CREATE TABLE folder (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, seal BLOB NOT NULL) STRICT;
    CREATE TABLE span (
        folder INTEGER NOT NULL, entry INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,
        seal BLOB NOT NULL, PRIMARY KEY (folder, entry, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE digest (
        prefix BLOB NOT NULL, location INTEGER NOT NULL, PRIMARY KEY (prefix, location)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE signer (
        key BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, seal BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE anchor (
        id INTEGER PRIMARY KEY, size INTEGER NOT NULL, transaction_bytes BLOB NOT NULL, since INTEGER NOT NULL,
        prepared TEXT NOT NULL, evidence BLOB, seal BLOB NOT NULL
    ) STRICT;
    """,
    "CREATE INDEX span_of_entry ON span (entry, first);",
    """
    CREATE TABLE sending (
        anchor INTEGER PRIMARY KEY, fee INTEGER NOT NULL, waits_from INTEGER NOT NULL, replaces INTEGER, psbt BLOB,
        sent TEXT, refused TEXT, reorganised TEXT, seal BLOB NOT NULL
    ) STRICT;
    INSERT INTO sending
        SELECT id, 0, since, NULL, NULL, NULL, NULL, NULL,
        seal('sending', id, 0, since, NULL, NULL, NULL, NULL, NULL) FROM anchor;
    """,
    "CREATE TABLE content (tile INTEGER PRIMARY KEY, contents BLOB NOT NULL, seal BLOB NOT NULL) STRICT;",
)

VERSION = len(MIGRATIONS)
