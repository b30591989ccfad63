"""The vault's database: the ledger, its bundles, their anchors; SQLite in WAL mode, every commit durable.

One lock discipline: whoever writes first takes the advisory lock on the file `lock`, where the kernel queues writers
and frees the lock of a killed one; readers take none, WAL gives them a snapshot. So SQLite never meets two writers, and
nobody ever sees "database is locked".
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from medanchor.core.checkpoint import check_origin
from medanchor.core.commitment import TreeHead
from medanchor.core.hashes import Hash
from medanchor.core.header import Network
from medanchor.core.merkle import tree_root
from medanchor.core.statement import Envelope, parse_envelope
from medanchor.errors import VaultError
from medanchor.vault import private, schema
from medanchor.vault.rows import seal, sound

DATABASE = "medanchor.db"
LOCK = "lock"
BUSY_SECONDS = 60
"""For the moments in which SQLite itself locks readers out: recovery after a kill, removal of its log."""


class Store:
    """A vault's database, open. `directory` is the vault; `origin` and `network` were chosen when it was made."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.directory = directory
        self.database = connect(directory, read_only=read_only)
        try:
            self._migrate()
            self.origin, self.network = self._identity()
        except BaseException:
            self.database.close()
            raise

    @classmethod
    def create(cls, directory: Path, origin: str, network: Network) -> None:
        """Make the database of a new vault in the existing `directory`."""
        with private.storage_errors(directory), database_errors(directory):
            for name in (DATABASE, LOCK):
                os.close(os.open(directory / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, private.FILE_MODE))
                (directory / name).chmod(private.FILE_MODE)  # the umask may have taken bits away
            with closing(connect(directory)) as database:
                apply_migrations(database)
                database.execute("BEGIN IMMEDIATE")
                values = (1, origin, network.value)
                database.execute("INSERT INTO vault VALUES (?, ?, ?, ?)", (*values, seal("vault", *values)))
                database.execute("COMMIT")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; the last one to close folds SQLite's log into it."""
        with database_errors(self.directory):
            self.database.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock and one transaction: all of it is committed and durable, or none of it happened."""
        with locked(self.directory / LOCK), database_errors(self.directory):
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
                self.database.execute("COMMIT")
            except BaseException:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold one snapshot: what is read in it belongs together, whoever writes meanwhile."""
        if self.database.in_transaction:
            with database_errors(self.directory):
                yield self.database
            return
        with database_errors(self.directory):
            self.database.execute("BEGIN")
            try:
                yield self.database
            finally:
                self.database.execute("ROLLBACK")

    def size(self) -> int:
        """Return how many entries the ledger has."""
        with database_errors(self.directory):
            return int(self.database.execute("SELECT coalesce(max(position), -1) + 1 FROM entry").fetchone()[0])

    def positions(self) -> list[int]:
        """Return where the ledger has entries: 0 to its size, unless it is damaged."""
        with database_errors(self.directory):
            return [row[0] for row in self.database.execute("SELECT position FROM entry ORDER BY position")]

    def node(self, level: int, position: int) -> Hash:
        """Return the perfect subtree of the ledger's tree at (`level`, `position`). Raises VaultError without it."""
        query = "SELECT hash FROM node WHERE level = ? AND position = ?"
        with database_errors(self.directory):
            row = self.database.execute(query, (level, position)).fetchone()
        if row is None:
            raise VaultError("a node of the ledger's tree is missing", hint="run 'medanchor audit'")
        return Hash(row[0])

    def head(self, size: int) -> TreeHead:
        """Return the ledger's tree head when it had `size` entries. Raises VaultError if it never had so many."""
        return TreeHead(self.origin, size, tree_root(self.node, size))

    def envelope(self, position: int) -> bytes:
        """Return the ledger's entry at `position`: the exact bytes of its envelope. Raises VaultError without it."""
        with database_errors(self.directory):
            row = self.database.execute("SELECT envelope FROM entry WHERE position = ?", (position,)).fetchone()
        if row is None:
            raise VaultError(f"the ledger has no entry {position}", hint="run 'medanchor audit'")
        return bytes(row[0])

    def entry(self, position: int) -> Envelope:
        """Return the ledger's entry at `position`, read; whether its signature holds is `verify_envelope`'s business.

        Raises VaultError if it is missing or damaged.
        """
        envelope = self.envelope(position)
        with sound(f"entry {position} of the ledger"):
            return parse_envelope(envelope)

    def checkpoint(self, position: int) -> str:
        """Return the checkpoint of the ledger's head right after the entry at `position`.

        Raises VaultError if it is missing.
        """
        with database_errors(self.directory):
            row = self.database.execute("SELECT checkpoint FROM entry WHERE position = ?", (position,)).fetchone()
        if row is None:
            raise VaultError(f"the ledger has no entry {position}", hint="run 'medanchor audit'")
        return str(row[0])

    def _identity(self) -> tuple[str, Network]:
        with database_errors(self.directory):
            row = self.database.execute("SELECT origin, network FROM vault").fetchone()
        if row is None or row[1] not in list(Network):
            reason = "it has no origin" if row is None else "its network is none that there is"
            raise VaultError(f"the vault {self.directory} is damaged: {reason}", hint="restore it from a backup")
        with sound(f"the vault {self.directory}"):
            return check_origin(str(row[0])), Network(row[1])

    def _migrate(self) -> None:
        with database_errors(self.directory):
            self._check_version()

    def _check_version(self) -> None:
        found = self.database.execute("PRAGMA application_id").fetchone()[0]
        version = self.database.execute("PRAGMA user_version").fetchone()[0]
        if found != schema.APPLICATION_ID:
            raise VaultError(f"{self.directory} is not a vault", hint="name the vault with --vault")
        if version > schema.VERSION:
            raise VaultError(
                f"expected a vault of version {schema.VERSION} or older, found version {version}",
                hint="a newer medanchor made or used this vault; install that version",
            )
        if version < schema.VERSION and _writable(self.directory):  # elsewhere it is read as it is
            with locked(self.directory / LOCK):
                apply_migrations(self.database)


def connect(directory: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection to the vault in `directory`. Raises VaultError if there is none.

    On a medium that cannot be written, SQLite cannot make its shared-memory file: there the database is opened as one
    that nobody changes, which is then true.
    """
    path = directory / DATABASE
    with private.storage_errors(directory):
        if not path.is_file():
            raise VaultError(
                f"there is no vault in {directory}", hint="make one with 'medanchor init', or name yours with --vault"
            )
        private.check_private(directory)
        private.check_private(path)
    mode = "rw"
    if not _writable(directory):
        if not read_only:
            reason, hint = _TOLD["SQLITE_READONLY"]
            raise VaultError(f"the vault {directory} {reason}", hint=hint)
        mode = "ro&immutable=1"
        _refuse_unfolded(directory)
    with database_errors(directory):
        uri = f"file:{_uri_path(path)}?mode={mode}"
        database = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if mode == "rw":
                database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA secure_delete = ON")
        except BaseException:
            database.close()
            raise
        return database


def _writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK)


def _refuse_unfolded(directory: Path) -> None:
    """Refuse a database that changed last in SQLite's log only: opened as immutable, it would seem older than it is."""
    log = directory / f"{DATABASE}-wal"
    with private.storage_errors(directory):
        if log.exists() and log.stat().st_size:
            raise VaultError(
                f"the vault {directory} cannot be written, and its last changes wait in SQLite's log to be folded in",
                hint="copy it to a disk that can be written, and use it there",
            )


def _uri_path(path: Path) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(path.absolute()))


def apply_migrations(database: sqlite3.Connection, to: int | None = None) -> None:
    """Bring the database to this program's version, or the version `to`, each step in a transaction of its own."""
    target = schema.VERSION if to is None else to
    database.create_function("seal", -1, seal, deterministic=True)
    for version in range(database.execute("PRAGMA user_version").fetchone()[0], target):
        database.executescript(
            f"BEGIN IMMEDIATE; {schema.MIGRATIONS[version]}"
            f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = {version + 1}; COMMIT;"
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the advisory lock on the file `path`, once whoever holds it lets go.

    The kernel frees it when its holder ends, however that ends.
    """
    with private.storage_errors(path.parent):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, private.FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def database_errors(directory: Path) -> Iterator[None]:
    """Turn SQLite's errors into VaultErrors that name the vault and say what to do."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        # SQLite quotes a damaged schema in messages not UTF-8, and takes no number of more than 64 bits.
        name = getattr(error, "sqlite_errorname", "")
        reason, hint = next((told for start, told in _TOLD.items() if name.startswith(start)), _DAMAGED)
        raise VaultError(f"the vault {directory} {reason}", hint=hint) from error


_TOLD = {
    "SQLITE_FULL": (
        "has no space left on its disk, or SQLite none for its temporary files",
        "free some space there, or name another folder in SQLITE_TMPDIR, and run the command again; nothing was lost",
    ),
    "SQLITE_READONLY": ("is read-only", "verify works there; stamp and anchor need a vault that can be written"),
    "SQLITE_CANTOPEN": ("cannot be opened", "check that you own it and that its disk is there"),
    "SQLITE_IOERR": ("met an error of its disk", "check the disk's space and health, then run the command again"),
    "SQLITE_BUSY": ("is in use and did not become free", "is another command stuck? End it and try again"),
}
_DAMAGED = ("is damaged", "restore it from a backup; until then 'medanchor audit' says what is still whole")
