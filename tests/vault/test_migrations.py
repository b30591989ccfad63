"""Versions of the tables: older ones are brought up to date, newer ones refused, none is left half done."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from vaulted import TIME, in_hand, make_vault, put

from medanchor.errors import VaultError
from medanchor.vault import schema
from medanchor.vault import store as store_module
from medanchor.vault.anchors import AnchorRow, Sending, list_anchors
from medanchor.vault.integrity import check_database
from medanchor.vault.rows import seal
from medanchor.vault.search import find_digest, path_of
from medanchor.vault.store import DATABASE, LOCK, Store, apply_migrations, locked


def raw_database(vault):
    return sqlite3.connect(vault / DATABASE, isolation_level=None)


def test_a_newer_vault_is_refused_and_not_touched(vault):
    database = raw_database(vault)
    database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.close()
    with pytest.raises(VaultError, match=f"version {schema.VERSION} or older, found version {schema.VERSION + 1}"):
        Store(vault)
    assert raw_database(vault).execute("PRAGMA user_version").fetchone() == (schema.VERSION + 1,)


@pytest.fixture
def first_version(tmp_path):
    """A vault as version 1 made it, with a record in it."""
    with pytest.MonkeyPatch.context() as former:
        former.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        former.setattr(schema, "VERSION", 1)
        vault = make_vault(tmp_path / "vault")
        with Store(vault) as store:
            put(store, RECORD)
            values = (1, 1, b"transaction", 101, TIME, None)
            row = (*values, seal("anchor", *values))
            store.database.execute("INSERT INTO anchor VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return vault


RECORD = in_hand({b"a": b"content"})


def version_of(store):
    return store.database.execute("PRAGMA user_version").fetchone()[0]


def assert_sound(store):
    assert list(check_database(store)) == []
    (place,) = find_digest(store, RECORD.raw_list()[0])
    assert path_of(store, place) == RECORD.folder + b"/a"
    assert list_anchors(store) == [AnchorRow(1, 1, b"transaction", 101, TIME, None, Sending(waits_from=101))]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_vault_of_the_first_version_is_migrated_when_it_is_opened(first_version, read_only):
    for _ in range(2):
        with Store(first_version, read_only=read_only) as store:
            assert version_of(store) == schema.VERSION == 4
            assert_sound(store)
            plan = store.database.execute(
                "EXPLAIN QUERY PLAN SELECT 1 FROM span WHERE entry = 0 AND first <= 5 ORDER BY first DESC LIMIT 1"
            ).fetchall()
            assert "span_of_entry" in plan[0][3]


def test_a_vault_of_the_first_version_that_cannot_be_written_is_read_as_it_is(first_version, monkeypatch):
    before = (first_version / DATABASE).read_bytes()
    monkeypatch.setattr(store_module.os, "access", lambda _path, _mode: False)
    with Store(first_version, read_only=True) as store:
        assert version_of(store) == 1
        assert_sound(store)
    assert (first_version / DATABASE).read_bytes() == before
    with pytest.raises(VaultError, match="is read-only"):
        Store(first_version)


def test_migrations_make_a_vault_of_an_empty_database(tmp_path):
    database = raw_database(tmp_path)
    apply_migrations(database)
    apply_migrations(database)  # nothing is left to do
    assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    assert database.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)


@pytest.fixture
def second_version(monkeypatch):
    """A later medanchor, whose vaults have one more table."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE later (id INTEGER) STRICT;"))
    monkeypatch.setattr(schema, "VERSION", len(schema.MIGRATIONS))


def test_an_older_vault_is_brought_up_to_date_with_all_it_holds(vault, request):
    with Store(vault) as store:
        put(store, in_hand({b"a": b"content"}))
    request.getfixturevalue("second_version")
    for _ in range(2):
        with Store(vault) as store:
            assert store.size() == 1
            assert store.database.execute("SELECT count(*) FROM later").fetchone() == (0,)


@pytest.mark.usefixtures("second_version")
def test_two_that_bring_one_vault_up_to_date_at_once_do_it_once(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:-1])
        older.setattr(schema, "VERSION", schema.VERSION - 1)
        vault = make_vault(tmp_path / "vault")
    with ThreadPoolExecutor(2) as pool, locked(vault / LOCK):
        both = [pool.submit(lambda: Store(vault).close()) for _ in range(2)]
        apply_migrations(raw_database(vault))  # a third one is done before they get the lock
    assert [each.result() for each in both] == [None, None]


def test_a_migration_that_breaks_off_leaves_the_version_before(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE later (id); SELECT * FROM nowhere;"))
    monkeypatch.setattr(schema, "VERSION", len(schema.MIGRATIONS))
    database = raw_database(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        apply_migrations(database)
    database.close()  # as the end of the process does
    after = raw_database(tmp_path)
    assert after.execute("PRAGMA user_version").fetchone() == (schema.VERSION - 1,)
    assert not after.execute("SELECT 1 FROM sqlite_master WHERE name = 'later'").fetchall()
