"""Versions of the tables: older ones are brought up to date, newer ones refused, none is left half done."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from vaulted import TIME, in_hand, in_hand_read, make_vault, mixed, put, read_as

from medanchor.core.commitment import Content, Kind
from medanchor.errors import VaultError
from medanchor.vault import schema
from medanchor.vault import store as store_module
from medanchor.vault.anchors import AnchorRow, Sending, list_anchors
from medanchor.vault.bundles import Place, all_folders, tiles_of
from medanchor.vault.integrity import check_database
from medanchor.vault.rows import seal
from medanchor.vault.search import Search, find_digest, path_of
from medanchor.vault.store import DATABASE, LOCK, Store, apply_migrations, locked


def raw_database(vault):
    return sqlite3.connect(vault / DATABASE, isolation_level=None)


def test_a_newer_vault_is_refused_and_not_touched(vault):
    with closing(raw_database(vault)) as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(VaultError, match=f"version {schema.VERSION} or older, found version {schema.VERSION + 1}"):
        Store(vault)
    with closing(raw_database(vault)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION + 1,)


OLDER = range(1, schema.VERSION)
RECORD = in_hand({b"a": b"content"})


@pytest.fixture(params=OLDER)
def older(request, tmp_path):
    """A vault as each version before this one made it, with a record and an anchor in it; its version."""
    version = request.param
    with pytest.MonkeyPatch.context() as former:
        former.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:version])
        former.setattr(schema, "VERSION", version)
        vault = make_vault(tmp_path / "vault")
        with Store(vault) as store:
            put(store, RECORD)
            values = (1, 1, b"transaction", 101, TIME, None)
            add(store, "anchor", *values)
            if version >= SENDING:
                add(store, "sending", 1, 0, 101, None, None, None, None, None)
    return vault, version


SENDING, CONTENT = 3, 4
"""The versions from which on there are these tables."""


def add(store, table, *values):
    marks = ", ".join("?" * (len(values) + 1))
    store.database.execute(f"INSERT INTO {table} VALUES ({marks})", (*values, seal(table, *values)))  # noqa: S608 - the test's own


def version_of(store):
    return store.database.execute("PRAGMA user_version").fetchone()[0]


def assert_sound(store):
    assert list(check_database(store)) == []
    (place,) = find_digest(store, RECORD.raw_list()[0])
    assert path_of(store, place) == RECORD.folder + b"/a"
    (tile,) = tiles_of(store, 0)
    assert (tile.contents, tile.record(0).content) == (b"", Content(Kind.BYTES, RECORD.raw_list()[0]))
    assert Search(store).record(place).content.kind == Kind.BYTES
    assert all_folders(store) == [RECORD.folder]
    assert list_anchors(store) == [AnchorRow(1, 1, b"transaction", 101, TIME, None, Sending(waits_from=101))]


@pytest.mark.parametrize("read_only", [False, True])
def test_an_older_vault_is_migrated_when_it_is_opened(older, read_only):
    vault, _ = older
    for _ in range(2):
        with Store(vault, read_only=read_only) as store:
            assert version_of(store) == schema.VERSION == CONTENT
            assert_sound(store)
            plan = store.database.execute(
                "EXPLAIN QUERY PLAN SELECT 1 FROM span WHERE entry = 0 AND first <= 5 ORDER BY first DESC LIMIT 1"
            ).fetchall()
            assert "span_of_entry" in plan[0][3]


def test_an_older_vault_that_was_migrated_takes_records_of_every_kind(older):
    vault, _ = older
    with Store(vault) as store:
        put(store, in_hand_read(mixed(7)), in_hand_read(mixed(3, 10), RECORD.folder + b"/b.zip/"))
    with Store(vault) as store:
        assert list(check_database(store)) == []
        content = mixed(7)[b"000001"]
        assert [record.content for _, record in Search(store).digest(content.raw)] == [content]
        assert find_digest(store, RECORD.raw_list()[0]) == [Place(0, 0)]


def test_an_older_vault_that_cannot_be_written_is_read_as_it_is(older, monkeypatch):
    vault, version = older
    before = (vault / DATABASE).read_bytes()
    monkeypatch.setattr(store_module.os, "access", lambda _path, _mode: False)
    with Store(vault, read_only=True) as store:
        assert version_of(store) == version
        assert_sound(store)
        assert list(Search(store).alike(read_as(Kind.FHIR, b"1"))) == []
    assert (vault / DATABASE).read_bytes() == before
    with pytest.raises(VaultError, match="is read-only"):
        Store(vault)


@pytest.mark.parametrize("table", ["content", "sending"])
def test_a_table_that_an_older_vault_should_not_have_yet_is_told(older, monkeypatch, table):
    """A table of a later version in it is none that medanchor made there."""
    vault, version = older
    with closing(raw_database(vault)) as database:
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            assert (table, version) == ("sending", SENDING)
            return
        database.execute(f"CREATE TABLE {table} (tile INTEGER PRIMARY KEY, contents BLOB, anchor INTEGER, seal BLOB)")
    monkeypatch.setattr(store_module.os, "access", lambda _path, _mode: False)
    with Store(vault, read_only=True) as store:
        assert "the database's tables are not those that medanchor made" in list(check_database(store))


def test_migrations_make_a_vault_of_an_empty_database(tmp_path):
    with closing(raw_database(tmp_path)) as database:
        apply_migrations(database)
        apply_migrations(database)  # nothing is left to do
        assert database.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert database.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)


@pytest.fixture
def later_version(monkeypatch):
    """A later medanchor, whose vaults have one more table."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE later (id INTEGER) STRICT;"))
    monkeypatch.setattr(schema, "VERSION", len(schema.MIGRATIONS))


def test_a_vault_is_brought_up_to_date_with_all_it_holds(vault, request):
    with Store(vault) as store:
        put(store, in_hand({b"a": b"content"}))
    request.getfixturevalue("later_version")
    for _ in range(2):
        with Store(vault) as store:
            assert store.size() == 1
            assert store.database.execute("SELECT count(*) FROM later").fetchone() == (0,)


@pytest.mark.usefixtures("later_version")
def test_two_that_bring_one_vault_up_to_date_at_once_do_it_once(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:-1])
        older.setattr(schema, "VERSION", schema.VERSION - 1)
        vault = make_vault(tmp_path / "vault")
    with ThreadPoolExecutor(2) as pool, locked(vault / LOCK), closing(raw_database(vault)) as database:
        both = [pool.submit(lambda: Store(vault).close()) for _ in range(2)]
        apply_migrations(database)  # a third one is done before they get the lock
    assert [each.result() for each in both] == [None, None]


def test_a_migration_that_breaks_off_leaves_the_version_before(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE later (id); SELECT * FROM nowhere;"))
    monkeypatch.setattr(schema, "VERSION", len(schema.MIGRATIONS))
    with closing(raw_database(tmp_path)) as database, pytest.raises(sqlite3.OperationalError):
        apply_migrations(database)  # closed, as the end of the process does
    with closing(raw_database(tmp_path)) as after:
        assert after.execute("PRAGMA user_version").fetchone() == (schema.VERSION - 1,)
        assert not after.execute("SELECT 1 FROM sqlite_master WHERE name = 'later'").fetchall()
