"""Synchronisation in a process of its own: whatever a server says, it cannot take this one down.

The library that asks it ends its whole process where it meets something that it did not expect, and servers are free
to say what they like. So a child asks, and writes what is new into the wallet's database; this process reads it there.
The child holds the wallet's lock as well, so that nobody comes in between if only the parent is killed.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from medanchor.core.hashes import hash_from_hex
from medanchor.core.header import Network
from medanchor.errors import ChainError, MedanchorError, UsageError, VaultError, WalletError
from medanchor.wallet.database import open_database
from medanchor.wallet.descriptors import Descriptors
from medanchor.wallet.errand import Errand, Limits, Start, Way
from medanchor.wallet.sync import Sync, parse_sync, synchronise

_GRACE_SECONDS = 30.0
"""For the child to start, and to write down what it has learned."""

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from medanchor.wallet.apart import main; main()"
_TOLD = {kind.__name__: kind for kind in (UsageError, VaultError, ChainError, WalletError)}


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be learned: which `way`, into which `database`, of which wallet; all of it (`full`), or the rest."""

    way: Way
    database: Path
    descriptors: Descriptors
    full: bool
    start: Start | None


def learn_apart(job: Job, lock: int) -> None:
    """Bring the wallet's database up to date by a child process, which holds the lock (a descriptor) too.

    Raises what `parse_sync` and `synchronise` do; and ChainError if the child does not live to tell.
    """
    command = [sys.executable, "-P", "-c", _START, json.dumps(sys.path)]
    try:
        done = subprocess.run(  # noqa: S603 - this program, with nothing of the user's in its arguments
            command,
            input=_written(job),
            capture_output=True,
            check=False,
            pass_fds=(lock,),
            timeout=job.way.limits.seconds + _GRACE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        _fail(error.stdout or b"", "was not done in time")
    told = json.loads(done.stdout.splitlines()[-1]) if done.stdout else None
    if done.returncode or not isinstance(told, dict):  # it said who is asked, and no more
        _fail(done.stdout, "makes the library that asks it break down")
    if told:
        raise _TOLD[told["class"]](told["message"], hint=told["hint"])


def learn_here(job: Job, _lock: int) -> None:
    """Do the job in this process. Raises what `parse_sync` and `synchronise` do."""
    _carry_out(job, parse_sync(job.way))


def _carry_out(job: Job, sync: Sync) -> None:
    opened = open_database(job.database, job.descriptors)
    full = job.full or opened.wallet.latest_checkpoint().height == 0
    synchronise(sync, Errand(opened.wallet, job.descriptors.network, full, job.database.parent, job.start))
    opened.wallet.balance()  # what would break a process down later does so now, before it is written down
    opened.wallet.transactions()
    opened.keep()


def main() -> None:
    """Do the job that stands on stdin, and print who is asked and what comes of it."""
    job = _read(sys.stdin.buffer.read())
    try:
        sync = parse_sync(job.way)
        _print(sync.name)
        _carry_out(job, sync)
        _print({})
    except MedanchorError as error:
        kind = next(name for name, kind in _TOLD.items() if isinstance(error, kind))
        _print({"class": kind, "message": error.message, "hint": error.hint})


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _fail(printed: bytes, what: str) -> NoReturn:
    name = json.loads(printed.splitlines()[0]) if printed else "the process that learns of coins"
    raise ChainError(f"{name} {what}", hint="try again later, or name another one in config.toml")


def _written(job: Job) -> bytes:
    """Return the job for the child's stdin: with a password in the address, it is nothing for arguments."""
    patience = job.way.patience
    return json.dumps(
        {
            "way": job.way.text,
            "limits": asdict(job.way.limits),
            "patience": asdict(patience) if patience else None,
            "database": str(job.database),
            "descriptors": [job.descriptors.network.value, job.descriptors.external, job.descriptors.change],
            "full": job.full,
            "start": [job.start.height, job.start.block.hex()] if job.start else None,
        }
    ).encode()


def _read(data: bytes) -> Job:
    tree = json.loads(data)
    network, external, change = tree["descriptors"]
    patience = None
    if tree["patience"]:
        from medanchor.net.server import Patience

        patience = Patience(**tree["patience"])
    return Job(
        way=Way(tree["way"], Limits(**tree["limits"]), patience),
        database=Path(tree["database"]),
        descriptors=Descriptors(Network(network), external, change),
        full=tree["full"],
        start=Start(tree["start"][0], hash_from_hex(tree["start"][1])) if tree["start"] else None,
    )
