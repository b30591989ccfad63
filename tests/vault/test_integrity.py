"""Damage to the database: one change a table at least, each of them found without a word about the evidence."""

import pytest
from vaulted import in_hand, numbered, put

from medanchor.errors import VaultError
from medanchor.vault.anchors import add_anchor
from medanchor.vault.integrity import check_database
from medanchor.vault.rows import seal
from medanchor.vault.store import DATABASE, Store


@pytest.fixture
def filled(store):
    """A vault with a row or more in every table."""
    put(store, in_hand(numbered(1500)), in_hand({b"letter": b"content"}, b"/records/other"))
    put(store, in_hand({b"": b"piped in"}, b""))
    put(store, in_hand(numbered(3, start=9000)))
    add_anchor(store, 3, bytes(100), 101, "2026-11-21T18:04:05Z")
    return store


def damage_found(store, statement):
    store.database.executescript(statement)
    return list(check_database(store))


def test_a_sound_database_is_sound(filled):
    assert list(check_database(filled)) == []


def test_an_empty_ledger_is_sound(store):
    assert list(check_database(store)) == []


CHANGES = {
    "vault": "UPDATE vault SET origin = origin || 'x'",
    "vault-network": "UPDATE vault SET network = 'mainnet'",
    "entry": "UPDATE entry SET envelope = CAST(replace(envelope, 'sig', 'gis') AS BLOB) WHERE position = 1",
    "entry-gone": "DELETE FROM entry WHERE position = 1",
    "entry-last-gone": "DELETE FROM entry WHERE position = 2",
    "entry-moved": "UPDATE entry SET position = 7 WHERE position = 2",
    "node": "UPDATE node SET hash = zeroblob(32) WHERE level = 1",
    "node-gone": "DELETE FROM node WHERE level = 0 AND position = 2",
    "node-extra": "INSERT INTO node VALUES (9, 9, zeroblob(32))",
    "tile-records": "UPDATE tile SET records = zeroblob(length(records)) WHERE id = 1",
    "tile-records-cut": "UPDATE tile SET records = substr(records, 2) WHERE id = 1",
    "tile-number-huge": "UPDATE tile SET id = 9223372036854775807 WHERE id = 1",
    "index-gone": "DROP INDEX span_of_entry",
    "tile-records-gone": "UPDATE tile SET records = x'' WHERE id = 1",
    "tile-root": "UPDATE tile SET root = zeroblob(32) WHERE id = 2",
    "tile-names": "UPDATE tile SET names = x'00' WHERE id = 2",
    "tile-swapped": "UPDATE tile SET number = 1 - number + 10 WHERE entry = 0",
    "tile-gone": "DELETE FROM tile WHERE id = 2",
    "folder": "UPDATE folder SET path = x'2f' WHERE id = 1",
    "folder-gone": "DELETE FROM folder WHERE id = 1",
    "span": "UPDATE span SET count = count - 1 WHERE entry = 0",
    "span-folder": "UPDATE span SET folder = 2 WHERE folder = 1 AND entry = 2",
    "span-gone": "DELETE FROM span WHERE entry = 2",
    "digest": "UPDATE digest SET prefix = zeroblob(8) WHERE location = (SELECT min(location) FROM digest)",
    "digest-location": "UPDATE digest SET location = location + 100000 WHERE location = 1030",
    "digest-gone": "DELETE FROM digest WHERE location = 1030",
    "digest-extra": "INSERT INTO digest VALUES (zeroblob(8), 1)",
    "signer": "UPDATE signer SET name = 'Dr M. Mallory'",
    "signer-key": "UPDATE signer SET key = zeroblob(32)",
    "anchor": "UPDATE anchor SET size = 2",
    "anchor-transaction": "UPDATE anchor SET transaction_bytes = zeroblob(99)",
    "anchor-evidence": "UPDATE anchor SET evidence = x'7b7d'",
    "table-gone": "DROP TABLE span",
    "table-extra": "CREATE TABLE extra (id)",
    "trigger-extra": "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found(filled, name):
    try:
        found = damage_found(filled, CHANGES[name])
    except VaultError as error:  # as good: the audit takes it down
        found = [error.message]
    assert found


def test_a_flipped_bit_in_the_file_is_found(filled, vault):
    filled.close()
    data = bytearray((vault / DATABASE).read_bytes())
    data[data.index(in_hand({b"": b"content 7"}).raws)] ^= 1
    (vault / DATABASE).write_bytes(data)
    with Store(vault) as damaged:
        assert "row 1 of the table tile is damaged" in list(check_database(damaged))


def test_what_sqlite_itself_finds_is_told(filled, vault):
    filled.close()
    data = bytearray((vault / DATABASE).read_bytes())
    data[39] += 5  # the count of free pages: SQLite's file format, section 1.3.10
    (vault / DATABASE).write_bytes(data)
    with Store(vault) as damaged:
        (line,) = check_database(damaged)
    assert "size is 0 but should be 5" in line


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (("t", "ab", "c"), ("t", "a", "bc")),
        (("t", 1), ("t", "1")),
        (("t", b"1"), ("t", "1")),
        (("t", None), ("t", "None")),
        (("t", ""), ("t",)),
        (("t", "a\nstr:1:b"), ("t", "a", "b")),
        (("t", "a\nstr:b"), ("t", "a", "b")),
        (("t", "a\n"), ("t", "a", "")),
        (("t", "a"), ("u", "a")),
    ],
)
def test_seals_tell_apart_what_only_looks_alike(left, right):
    assert seal(*left) != seal(*right)
