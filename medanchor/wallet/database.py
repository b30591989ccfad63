"""What a wallet knows of its coins: BDK's SQLite database, and a lock around it, as BDK has none between processes.

Everything in it can be read from the chain again: it holds public descriptors, transactions and blocks, and no secret.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.errors import WalletError
from medanchor.wallet.descriptors import Descriptors
from medanchor.wallet.library import library, network_of, refusals

if TYPE_CHECKING:
    import bdkpython

DATABASE = "wallet.db"
_DRAFT = "wallet.db.new"
_LOCK = "lock"

_ANEW = "'medanchor wallet rescan' makes it anew from the chain; no coin is lost"


class Opened:
    """A wallet that is open, alone: `wallet` is BDK's. What changes in it is lost unless it is kept."""

    def __init__(self, wallet: "bdkpython.Wallet", persister: "bdkpython.Persister") -> None:
        self.wallet = wallet
        self._persister = persister

    def keep(self) -> None:
        """Write down what has changed, whole or not at all."""
        with refusals("the wallet's database cannot be written", hint="has its disk space left? Nothing was sent"):
            self.wallet.persist(self._persister)

    def reserve(self, coins: Iterable[tuple[bytes, int]]) -> None:
        """Keep `coins` (txid in hashing order, index) from what is funded next."""
        bdk = library()
        for txid, index in coins:
            self.wallet.lock_outpoint(bdk.OutPoint(txid=bdk.Txid.from_bytes(txid), vout=index))

    def forget(self) -> None:
        """Leave out of what is kept next what has changed since the last time: it counts as long as this is open."""
        self.wallet.take_staged()


Prepare = Callable[[Path, int], None]
"""Is handed the database's path and the lock (a descriptor) before the wallet is opened."""


def _leave(_path: Path, _lock: int) -> None:
    """Leave it as it is."""


@contextmanager
def opened(directory: Path, descriptors: Descriptors, prepare: Prepare = _leave) -> Iterator[Opened]:
    """Give the wallet of `directory`, which is made if it is not there, after waiting for whoever has it.

    Raises WalletError if its database is damaged, is another wallet's, or cannot be used.
    """
    with _exclusive(directory) as lock:
        prepare(directory / DATABASE, lock)
        yield open_database(directory / DATABASE, descriptors)


@contextmanager
def rebuilt(directory: Path, descriptors: Descriptors, prepare: Prepare) -> Iterator[Opened]:
    """Give a wallet that `prepare` has filled; it takes the place of the one in `directory` if all goes well."""
    with _exclusive(directory) as lock:
        draft = directory / _DRAFT
        for leftover in directory.glob(f"{_DRAFT}*"):
            leftover.unlink()
        prepare(draft, lock)
        yield open_database(draft, descriptors)
        for journal in directory.glob(f"{DATABASE}-*"):
            journal.unlink()  # of the database that goes: SQLite would play it back into the new one
        draft.replace(directory / DATABASE)


def open_database(path: Path, descriptors: Descriptors) -> Opened:
    """Return the wallet in the database at `path`, which is made if it is not there; nobody else may have it."""
    with refusals(f"the wallet's database {path} cannot be used", hint=_ANEW):
        external, change = descriptors.parsed()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would ask the umask
        persister = library().Persister.new_sqlite(str(path))
        try:
            wallet = library().Wallet.load(external, change, persister)
        except library().LoadWithPersistError.CouldNotLoad:  # there is nothing in it: it is new, or was just begun
            return _create(external, change, descriptors, persister)
    if wallet.network() != network_of(descriptors.network):
        raise WalletError(f"expected a wallet's database for {descriptors.network} in {path}", hint=_ANEW)
    return Opened(wallet, persister)


def _create(
    external: "bdkpython.Descriptor",
    change: "bdkpython.Descriptor",
    descriptors: Descriptors,
    persister: "bdkpython.Persister",
) -> Opened:
    bdk = library()
    made = Opened(bdk.Wallet(external, change, network_of(descriptors.network), persister), persister)
    for chain in (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL):
        made.wallet.reveal_addresses_to(chain, 0)
    made.keep()
    return made


@contextmanager
def _exclusive(directory: Path) -> Iterator[int]:
    """Hold the lock of `directory`, which is made (0700) if missing; a process that dies lets go of it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise WalletError(
            f"the wallet's directory {directory} cannot be used: {(error.strerror or str(error)).lower()}",
            hint="free some space on that disk; nothing was lost" if full else "run as the user the vault belongs to",
        ) from None
