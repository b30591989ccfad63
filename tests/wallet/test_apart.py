"""Synchronisation in a child: what it says is said here, and what ends it is survived."""

import dataclasses
import io
import json
import subprocess
import sys
import time

import pytest
from loopback_http import hang
from ownwallets import PAYLOAD, TERMS, WAYS, World

from medanchor.errors import ChainError, UsageError, WalletError
from medanchor.net.server import Patience
from medanchor.wallet import apart
from medanchor.wallet.apart import Job, learn_apart
from medanchor.wallet.errand import Limits, Start, Way
from medanchor.wallet.wallet import Balance

IMPATIENT = Patience(seconds=0.3, attempts=1, pause=0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(autouse=True)
def clean(world):
    yield
    world.esplora.plan()
    world.electrum.plan()


def refusal(act, kind=ChainError) -> str:
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("way", WAYS)
def test_a_child_learns_what_this_process_would(world, way):
    wallet = world.wallet(way, learn=learn_apart)
    wallet.receive(40_000)
    assert wallet.balance() == Balance(40_000, 0)
    payment = wallet.prepare(PAYLOAD, TERMS)
    world.mined(payment.transaction)
    assert wallet.rescan() == Balance(40_000 - payment.fee, 0)


def test_where_to_begin_is_passed_on(world):
    block = world.ledger.tip
    wallet = world.wallet("peers", learn=learn_apart, start=Start(block.height, block.hash))
    assert wallet.balance() == Balance(0, 0)


def test_its_errors_are_raised_here(world):
    wallet = world.wallet(learn=learn_apart)
    wallet._sync = lambda: Way("telepathy")
    assert "the way to learn of coins" in refusal(wallet.balance, UsageError)
    world.esplora.plan({0: hang})
    wallet._sync = world.sync("esplora", patience=IMPATIENT)
    assert "did not answer within 0.3 seconds" in refusal(wallet.balance)
    wallet.address()
    (wallet.directory / "wallet.db").write_bytes(b"not a database at all\n" * 300)
    assert "cannot be used" in refusal(wallet.balance, WalletError)


def test_a_password_in_an_address_is_in_no_argument(world, monkeypatch):
    seen = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **more: seen.append(command) or real(command, **more))
    wallet = world.wallet(learn=learn_apart)
    wallet._sync = lambda: Way(world.esplora.url.replace("http://", "esplora http://visitor:secret@"))
    assert wallet.balance() == Balance(0, 0)
    assert seen
    assert not any("secret" in word for command in seen for word in command)


def too_long(answer: bytes) -> bytes:
    """An answer that ends the library's process (bdkpython 3.1.1): it counts more headers than there are."""
    tree = json.loads(answer)
    return json.dumps({**tree, "result": {**tree["result"], "count": tree["result"]["count"] + 5}}).encode() + b"\n"


def test_an_answer_that_ends_the_librarys_process_is_survived(world):
    wallet = world.wallet("electrum", learn=learn_apart)
    wallet.receive(9_000)
    world.electrum.plan()
    assert wallet.balance() == Balance(9_000, 0)
    number = world.electrum.requests.index("blockchain.block.headers")
    world.electrum.plan({number: too_long})
    message = refusal(wallet.balance)
    name = f"the Electrum server at tcp://127.0.0.1:{world.electrum.port}"
    assert message == f"{name} makes the library that asks it break down"
    world.electrum.plan()
    assert wallet.balance() == Balance(9_000, 0)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("raise SystemExit(1)", "the process that learns of coins makes the library that asks it break down"),
        ("pass", "the process that learns of coins makes the library that asks it break down"),
        ("print('\"somebody\"'); raise SystemExit(1)", "somebody makes the library that asks it break down"),
        ("print('\"somebody\"')", "somebody makes the library that asks it break down"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "break down"),
        ("print('\"somebody\"', flush=True); import time; time.sleep(20)", "somebody was not done in time"),
        ("import time; time.sleep(20)", "the process that learns of coins was not done in time"),
    ],
)
def test_a_child_that_does_not_live_to_tell_is_told(world, monkeypatch, start, told):
    monkeypatch.setattr(apart, "_START", start)
    monkeypatch.setattr(apart, "_GRACE_SECONDS", 1)
    wallet = world.wallet(learn=learn_apart)
    wallet._sync = world.sync("esplora", limits=Limits(seconds=0))
    started = time.monotonic()
    assert told in refusal(wallet.balance)
    assert time.monotonic() - started < 15


def test_while_a_child_lives_nobody_else_gets_in(world):
    """Though the process that started it was killed: the child holds the lock too."""
    wallet = world.wallet(learn=learn_apart)
    script = (
        "import fcntl, os, sys\n"
        "from pathlib import Path\n"
        "lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "from medanchor.core.header import Network\n"
        "from medanchor.wallet import apart\n"
        "from medanchor.wallet.descriptors import Descriptors\n"
        "from medanchor.wallet.sync import Way\n"
        "apart._START = 'import time; print(1, flush=True); time.sleep(3)'\n"
        "print('ready', flush=True)\n"
        "apart.learn_apart(apart.Job(Way('x'), Path('x'), Descriptors(Network.REGTEST, '', ''), False, None), lock)\n"
    )
    wallet.address()
    parent = subprocess.Popen(
        [sys.executable, "-c", script, wallet.directory / "lock"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout.readline() == b"ready\n"
    time.sleep(1)  # until it has its child
    parent.kill()
    parent.wait()
    parent.stdout.close()
    started = time.monotonic()
    wallet.address()
    assert 0.5 < time.monotonic() - started < 15


def test_what_a_child_prints(world, monkeypatch, capsys):
    """In this process, so that it is counted as tested."""
    job = Job(world.sync("esplora")(), world.directory / "printed.db", world.wallet()._descriptors, False, None)
    for way, last in ((job.way, {}), (Way("esplora http://127.0.0.1:1", patience=IMPATIENT), "ChainError")):
        told = apart._written(dataclasses.replace(job, way=way))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(told)))
        apart.main()
        name, came_of_it = map(json.loads, capsys.readouterr().out.splitlines())
        assert name == f"the Esplora server at {way.text.partition(' ')[2]}"
        assert came_of_it == last or came_of_it["class"] == last


def test_a_job_comes_out_as_it_went_in(world):
    descriptors = world.wallet()._descriptors
    block = world.ledger.tip
    for way in (Way("peers x"), Way("esplora y", Limits(1, 2, 3), IMPATIENT)):
        for start in (None, Start(block.height, block.hash)):
            job = Job(way, world.directory / "wallet.db", descriptors, True, start)
            assert apart._read(apart._written(job)) == job
