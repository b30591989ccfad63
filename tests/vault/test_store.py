"""The store: whose it is, who may write when, what a reader sees, and what is refused."""

import fcntl
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest
from vaulted import in_hand, make_vault, numbered, put

from medanchor.core.header import Network
from medanchor.errors import VaultError
from medanchor.vault import store as store_module
from medanchor.vault.search import find_digest
from medanchor.vault.store import DATABASE, LOCK, Store, locked


def modes(directory):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*")}


def raw_database(vault):
    return sqlite3.connect(vault / DATABASE, isolation_level=None)


# -- permissions ------------------------------------------------------------------------------------------------------


def test_nothing_in_a_vault_is_for_others_even_under_umask_000(tmp_path):
    former = os.umask(0)
    try:
        vault = make_vault(tmp_path / "vault")
        with Store(vault) as store:
            put(store, in_hand(numbered(3)))
            found = modes(vault)
    finally:
        os.umask(former)
    assert {f"{DATABASE}-wal", f"{DATABASE}-shm", LOCK, "config.toml", "default.key"} <= set(found)
    assert found.pop("keys") == 0o700
    assert stat.S_IMODE(vault.stat().st_mode) == 0o700
    assert set(found.values()) == {0o600}, found


@pytest.mark.parametrize("mode", [0o601, 0o610, 0o640, 0o604, 0o666])
def test_a_database_that_others_can_reach_is_refused(vault, mode):
    (vault / DATABASE).chmod(mode)
    with pytest.raises(VaultError, match=f"found mode {mode:04o}") as caught:
        Store(vault)
    assert "chmod 600" in caught.value.hint


def test_a_vault_that_others_can_enter_is_refused(vault):
    vault.chmod(0o750)
    with pytest.raises(VaultError, match="found mode 0750") as caught:
        Store(vault)
    assert "chmod 700" in caught.value.hint


# -- what is no vault -------------------------------------------------------------------------------------------------


def test_a_missing_directory_is_no_vault(tmp_path):
    with pytest.raises(VaultError, match="there is no vault"):
        Store(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_is_no_vault(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(VaultError):
        Store(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is not a vault"), (b"not a database, but long enough to be read as one " * 40, "is damaged")],
    ids=["empty", "text"],
)
def test_a_file_of_that_name_is_not_enough(tmp_path, content, told):
    tmp_path.chmod(0o700)
    (tmp_path / DATABASE).write_bytes(content)
    (tmp_path / DATABASE).chmod(0o600)
    with pytest.raises(VaultError, match=told):
        Store(tmp_path)


def test_another_programs_database_is_left_alone(tmp_path):
    tmp_path.chmod(0o700)
    database = raw_database(tmp_path)
    database.execute("CREATE TABLE vault (id, origin, network)")
    database.close()
    (tmp_path / DATABASE).chmod(0o600)
    with pytest.raises(VaultError, match="is not a vault"):
        Store(tmp_path)
    with closing(raw_database(tmp_path)) as database:
        assert [row[0] for row in database.execute("SELECT name FROM sqlite_master")] == ["vault"]


def test_a_vault_is_never_made_over_another(vault):
    before = (vault / DATABASE).read_bytes()
    with pytest.raises(VaultError):
        Store.create(vault, "clinic.example/other", Network.REGTEST)
    assert (vault / DATABASE).read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM vault", "no origin"),
        ("UPDATE vault SET network = 'litecoin'", "network"),
        ("UPDATE vault SET origin = 'clinic.example/\u00e9'", "expected an origin"),
        ("UPDATE vault SET origin = ''", "expected an origin"),
        ("DROP TABLE vault", "damaged"),
    ],
)
def test_a_vault_without_its_identity_is_damaged(vault, statement, told):
    with closing(raw_database(vault)) as database:
        database.execute(statement)
    with pytest.raises(VaultError, match=told):
        Store(vault)


# -- writing and reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_ends_a_transaction_early_undoes_it(store, error):
    def interrupted():
        with store.writing() as database:
            database.execute("DELETE FROM vault")
            raise error

    with pytest.raises(error):
        interrupted()
    assert store.database.execute("SELECT count(*) FROM vault").fetchone() == (1,)
    assert put(store, in_hand({b"a": b"content"})) == 0


def test_an_error_of_sqlite_becomes_a_vault_error_and_undoes_all(store):
    def failing():
        with store.writing() as database:
            database.execute("DELETE FROM vault")
            database.execute("SELECT nonsense")

    with pytest.raises(VaultError):
        failing()
    assert store.database.execute("SELECT count(*) FROM vault").fetchone() == (1,)


def test_a_reader_sees_one_state_while_another_writes(vault, store):
    put(store, in_hand({b"a": b"first"}))
    with Store(vault) as reader, reader.reading():
        assert reader.size() == 1
        put(store, in_hand({b"b": b"second"}))
        assert store.size() == 2
        assert reader.size() == 1
        assert not find_digest(reader, in_hand({b"b": b"second"}).raw_list()[0])
    with Store(vault) as reader:
        assert reader.size() == 2


def test_a_reader_within_a_writer_sees_what_is_being_written(store):
    with store.writing() as database:
        database.execute("INSERT INTO folder VALUES (1, x'2f', x'00')")
        with store.reading() as same:
            assert same.execute("SELECT count(*) FROM folder").fetchone() == (1,)
        assert database.in_transaction


HOLDER = """
    import sys, time
    from pathlib import Path
    from medanchor.vault.store import Store
    with Store(Path(sys.argv[1])) as store, store.writing() as database:
        database.execute("DELETE FROM vault")
        print("holding", flush=True)
        time.sleep(600)
"""


def is_locked(vault):
    with open(vault / LOCK, "r+b") as file:  # noqa: PTH123 - a lock of its own, as another process would have
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_killed_writer_frees_the_lock_and_leaves_no_trace(vault):
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(vault)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"holding\n"
        assert is_locked(vault)
        holder.send_signal(signal.SIGKILL)
    with Store(vault) as store:
        assert put(store, in_hand({b"a": b"content"})) == 0


def test_the_lock_is_held_as_long_as_it_is_needed(vault):
    for _ in range(2):
        with locked(vault / LOCK):
            assert is_locked(vault)
        assert not is_locked(vault)


def test_an_error_within_the_lock_frees_it_and_comes_out(vault):
    with pytest.raises(BlockingIOError), locked(vault / LOCK):
        raise BlockingIOError
    assert not is_locked(vault)


# -- a medium that cannot be written ----------------------------------------------------------------------------------


@pytest.fixture
def read_only_medium(monkeypatch):
    """What the operating system says of a directory on a CD, whoever asks."""
    monkeypatch.setattr(store_module.os, "access", lambda _path, mode: not mode & os.W_OK)


def test_a_vault_on_a_read_only_medium_can_be_read(vault, request):
    with Store(vault) as store:
        put(store, in_hand({b"a": b"content"}))
    request.getfixturevalue("read_only_medium")
    with Store(vault, read_only=True) as store:
        assert store.size() == 1
        assert not (vault / f"{DATABASE}-shm").exists()
        with pytest.raises(VaultError, match="is read-only"):
            put(store, in_hand({b"b": b"content"}))
    with pytest.raises(VaultError, match="is read-only"):
        Store(vault)


def test_a_vault_whose_last_changes_are_in_a_log_that_cannot_be_read_is_not_shown_without_them(vault, tmp_path):
    copy = tmp_path / "copy"
    with Store(vault) as store:
        put(store, in_hand({b"a": b"content"}))
        subprocess.run(["cp", "-a", vault, copy], check=True)  # while it is open, as a careless backup does
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module.os, "access", lambda _path, mode: not mode & os.W_OK)
        with pytest.raises(VaultError, match="last changes wait") as caught:
            Store(copy, read_only=True)
    assert "copy it" in caught.value.hint
    with Store(copy) as store:  # where SQLite may write, it takes up the log
        assert store.size() == 1


def test_paths_with_marks_that_uris_know_name_the_vault_they_spell(tmp_path):
    vault = make_vault(tmp_path / "a b?mode=memory#%41é")
    with Store(vault) as store:
        put(store, in_hand({b"a": b"content"}))
    with Store(vault) as store:
        assert store.size() == 1


# -- what is told -----------------------------------------------------------------------------------------------------


def test_entries_that_are_not_there_are_told(store):
    for ask in (store.envelope, store.checkpoint):
        with pytest.raises(VaultError, match="no entry 0"):
            ask(0)
    with pytest.raises(VaultError, match="a node of the ledger's tree is missing"):
        store.node(0, 0)


@pytest.mark.parametrize("envelope", ["x''", "x'ff'", "x'7b7d'"])
def test_an_entry_that_is_none_is_damage_of_the_vault_and_of_no_proof(store, envelope):
    put(store, in_hand({b"a": b"content"}))
    store.database.execute(f"UPDATE entry SET envelope = {envelope}")  # noqa: S608 - the test's own
    with pytest.raises(VaultError, match="entry 0 of the ledger is damaged") as caught:
        store.entry(0)
    assert caught.value.hint == "run 'medanchor audit'"
    for act in (lambda: put(store, in_hand({b"a": b"content"})), lambda: store.entry(1)):
        with pytest.raises(VaultError):
            act()


def test_an_entry_is_read_as_it_was_signed(store):
    put(store, in_hand({b"a": b"content"}), meaning="review")
    assert (store.entry(0).statement.meaning, store.entry(0).statement.records) == ("review", 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tile SET id = 9223372036854775807",
        "UPDATE tile SET id = 1152921504606846976",
        "UPDATE folder SET id = 9223372036854775807",
    ],
)
def test_numbers_that_no_later_row_can_follow_are_damage(store, statement):
    put(store, in_hand({b"a": b"content"}))
    store.database.execute(statement)
    with pytest.raises(VaultError, match="is damaged"):
        put(store, in_hand({b"b": b"other"}, b"/elsewhere"))
    assert store.size() == 1


def test_a_full_disk_is_told_as_one(store):
    store.database.execute(f"PRAGMA max_page_count = {store.database.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(VaultError, match="no space left") as caught:
        put(store, in_hand(numbered(4000)))
    assert "nothing was lost" in caught.value.hint
    assert store.size() == 0
