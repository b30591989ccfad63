"""A wallet's directory that is damaged, shared, killed in, or another's: told, and nothing is lost."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from loopback_http import reset
from ownwallets import PAYLOAD, TERMS, World

from medanchor.core.header import Network
from medanchor.errors import ChainError, WalletError
from medanchor.net.server import Patience
from medanchor.wallet.descriptors import from_words, new_words
from medanchor.wallet.wallet import Balance

WORKER = """
import sys
from pathlib import Path
from decimal import Decimal
from medanchor.core.header import Network
from medanchor.wallet.bdk import BdkWallet
from medanchor.wallet.descriptors import from_words
from medanchor.wallet.errand import Way
from medanchor.wallet.wallet import Terms
directory, url, words, *rest = sys.argv[1:]
wallet = BdkWallet(
    Path(directory), from_words(words, Network.REGTEST), lambda: Way(f"esplora {url}"), words=lambda: words
)
print("ready", flush=True)
while True:
    wallet.address()
    wallet.prepare(b"MDA1" + bytes(32), Terms(Decimal(2), 5_000))
    wallet.rescan()
    if rest:
        break
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def wallet(world):
    wallet = world.wallet()
    wallet.receive(60_000, 40_000)
    assert wallet.balance() == Balance(100_000, 0)
    return wallet


def refusal(act, kind=WalletError) -> str:
    with pytest.raises(kind) as caught:
        act()
    assert caught.value.hint
    return f"{caught.value.message}: {caught.value.hint}"


def outcome(act) -> object:
    """What comes of it, or the hint it ends with."""
    try:
        return act()
    except WalletError as error:
        return error.hint


def worker(wallet, *rest: str) -> subprocess.Popen:
    words = [WORKER, wallet.directory, wallet.world.esplora.url, wallet.secret, *rest]
    return subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


ANEW = "'medanchor wallet rescan' makes it anew from the chain; no coin is lost"
DAMAGE = {
    "empty": lambda data: data[:0],
    "half": lambda data: data[: len(data) // 2],
    "noise": lambda data: random.Random(1).randbytes(len(data)),  # noqa: S311 - the same noise every time
    "a changed page": lambda data: data[:4096] + bytes(4096) + data[8192:],
    "zeros": lambda data: bytes(len(data)),
    "text": lambda _: b"not a database at all\n" * 100,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_database_is_told_or_harmless_and_made_anew(wallet, damage):
    database = wallet.directory / "wallet.db"
    database.write_bytes(damage(database.read_bytes()))
    assert outcome(wallet.balance) in (
        Balance(100_000, 0),
        "'medanchor wallet rescan' makes it anew from the chain; no coin is lost",
    )
    assert wallet.rescan() == Balance(100_000, 0)
    assert wallet.balance() == Balance(100_000, 0)
    assert {path.name for path in wallet.directory.iterdir()} == {"lock", "wallet.db"}


def test_a_database_that_is_gone_is_made_anew_by_itself(wallet):
    (wallet.directory / "wallet.db").unlink()
    assert wallet.balance() == Balance(100_000, 0)


def test_another_wallets_database_is_refused(world, wallet):
    other = world.wallet()
    other.receive(5_000)
    other.balance()
    (wallet.directory / "wallet.db").write_bytes((other.directory / "wallet.db").read_bytes())
    assert "cannot be used" in refusal(wallet.balance)
    assert wallet.rescan() == Balance(100_000, 0)


def test_another_networks_database_is_refused(world, wallet):
    other = world.wallet(descriptors=from_words(wallet.secret, Network.SIGNET))
    other.address()
    (wallet.directory / "wallet.db").write_bytes((other.directory / "wallet.db").read_bytes())
    assert "regtest" in refusal(wallet.balance)
    assert wallet.rescan() == Balance(100_000, 0)


def test_what_a_killed_rescan_left_is_swept_away(wallet):
    for name in ("wallet.db.new", "wallet.db.new-journal", "wallet.db-journal"):
        (wallet.directory / name).write_bytes(b"left over")
    assert wallet.rescan() == Balance(100_000, 0)
    assert {path.name for path in wallet.directory.iterdir()} == {"lock", "wallet.db"}
    assert wallet.balance() == Balance(100_000, 0)


def test_a_rescan_that_fails_changes_nothing(world, wallet):
    before = (wallet.directory / "wallet.db").read_bytes()
    world.esplora.plan(dict.fromkeys(range(3, 100), reset))
    wallet._sync = world.sync("esplora", patience=Patience(seconds=0.5, attempts=1, pause=0))
    refusal(wallet.rescan, ChainError)
    world.esplora.plan()
    assert (wallet.directory / "wallet.db").read_bytes() == before
    assert wallet.balance() == Balance(100_000, 0)


def test_only_its_owner_can_read_what_is_in_it(wallet):
    former = os.umask(0)
    try:
        (wallet.directory / "wallet.db").unlink()
        wallet.balance()
        wallet.rescan()
    finally:
        os.umask(former)
    modes = {path.stat().st_mode & 0o777 for path in wallet.directory.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert wallet.directory.stat().st_mode & 0o777 == 0o700


def test_the_words_are_in_none_of_its_files(wallet):
    wallet.prepare(PAYLOAD, TERMS)
    data = b"".join(path.read_bytes() for path in wallet.directory.rglob("*") if path.is_file())
    assert b"prv" not in data
    pairs = [" ".join(pair).encode() for pair in pairwise(wallet.secret.split())]
    assert not any(pair in data for pair in pairs)  # a word alone may be one of SQLite's


def test_a_file_in_its_place_is_told(world, tmp_path):
    wallet = world.wallet()
    wallet._directory = tmp_path / "file"
    wallet._directory.write_bytes(b"")
    assert "cannot be used" in refusal(wallet.address)
    wallet._directory = tmp_path / "dir"
    (wallet._directory / "wallet.db").mkdir(parents=True)
    assert "cannot be used" in refusal(wallet.address)


def test_a_full_disk_is_told(world, wallet):
    """A limit on what this process may write stands for it."""
    for height in range(2):
        world.ledger.mine()
        wallet.receive(1_000 + height)
    size = (wallet.directory / "wallet.db").stat().st_size
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, former[1]))
    try:
        told = refusal(wallet.balance)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot be" in told
    assert wallet.balance().confirmed == 102_001


def test_killed_anywhere_it_goes_on(wallet):
    clock = random.Random(7)  # noqa: S311 - the same moments every time
    for _ in range(12):
        process = worker(wallet)
        try:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(clock.random() * 0.3)
        finally:
            process.kill()
            process.communicate()
        wallet.address()
    assert wallet.balance() == Balance(100_000, 0)
    payment = wallet.prepare(PAYLOAD, TERMS)
    wallet.world.mined(payment.transaction)
    assert wallet.balance() == Balance(100_000 - payment.fee, 0)


def test_processes_take_turns(wallet):
    processes = [worker(wallet, "once") for _ in range(3)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [(process.returncode, told[1]) for process, told in zip(processes, results, strict=True)] == [(0, b"")] * 3
    assert wallet.balance() == Balance(100_000, 0)


def test_nobody_waits_for_a_process_that_was_killed(wallet):
    process = worker(wallet)
    process.stdout.readline()
    process.kill()
    process.communicate()
    started = time.monotonic()
    wallet.address()
    assert time.monotonic() - started < 15


def test_commands_that_do_not_use_it_do_not_load_it():
    script = (
        "import medanchor.cli.main, sys; print([n for n in ('bdkpython', 'asyncio', 'requests') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert done.stdout == "[]\n"


def test_words_of_nobody_have_nothing(world):
    assert world.wallet(words=new_words()).balance() == Balance(0, 0)
