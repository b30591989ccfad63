"""Every request of a synchronisation, with every fault there is: the right balance, or an error that says more."""

import json
import time
from collections.abc import Callable, Mapping

import loopback_electrum
import pytest
from loopback_http import AFTER, BROKEN, MOVED, REFUSED, SILENT, Exchange, Fault, Reply, garbage, status
from loopback_ledger import RefusedError
from loopback_peer import LoopbackPeer
from ownwallets import PAYLOAD, TERMS, Own, World

from medanchor.core.header import GENESIS, Network
from medanchor.errors import ChainError, MedanchorError
from medanchor.net.server import Patience
from medanchor.wallet.errand import Limits, Way
from medanchor.wallet.wallet import Balance

IMPATIENT = Patience(seconds=0.3, attempts=1, pause=0)
LIMITS = Limits(seconds=3, quiet=0.6, most=1 << 20)
LONGEST = 20.0  # seconds: the limit above, and a machine with much else to do
RIGHT = Balance(70_000, 0)

OTHER_VALUES = [None, True, -1, 1, 1e300, "", "x", "ff" * 32, [], [None], {}, {"a": [1]}, [[]]]
QUICK: Mapping[str, Fault] = {**BROKEN, **REFUSED, **MOVED, **AFTER}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def wallets(world) -> Mapping[str, Own]:
    """A wallet for each way, that has received, spent, and is up to date."""
    made = {}
    for way in ("esplora", "electrum", "peers"):
        made[way] = wallet = world.wallet(way)
        wallet.receive(70_000)
        assert wallet.balance() == RIGHT
        wallet._sync = world.sync(way, limits=LIMITS, patience=IMPATIENT)
    return made


@pytest.fixture(autouse=True)
def clean(world):
    yield
    world.esplora.plan()
    world.electrum.plan()
    world.peer.broken = {}


def outcome(ask: Callable[[], object]) -> object:
    """What `ask` gives, or the error that it ends with, in time: one that is told well."""
    started = time.monotonic()
    found = result_of(ask)
    assert time.monotonic() - started < LONGEST
    if isinstance(found, MedanchorError):
        assert isinstance(found, ChainError)
        assert found.hint
        assert "127.0.0.1:" in found.message
        assert found.message.isprintable()
        assert len(found.message) < 600
    return found


def result_of(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except MedanchorError as error:
        return error


def assert_right(world: World, wallet: Own) -> None:
    """Without a fault, and with all the time that a busy machine takes, the balance is right."""
    hasty, wallet._sync = wallet._sync, world.sync(wallet._sync().text.split()[0])
    assert wallet.balance() == RIGHT
    wallet._sync = hasty


def requests_of(world: World, wallet: Own) -> int:
    world.esplora.plan()
    world.electrum.plan()
    assert_right(world, wallet)
    return len(world.esplora.requests) + len(world.electrum.requests)


@pytest.mark.parametrize("name", QUICK)
def test_esplora_breaks_at_any_request(world, wallets, name):
    wallet = wallets["esplora"]
    for number in range(requests_of(world, wallet)):
        world.esplora.plan({number: QUICK[name]})
        found = outcome(wallet.balance)
        assert found == RIGHT or isinstance(found, ChainError)
    world.esplora.plan()
    assert_right(world, wallet)


@pytest.mark.parametrize("name", SILENT)
def test_esplora_is_silent_at_any_request(world, wallets, name):
    wallet = wallets["esplora"]
    for number in range(requests_of(world, wallet)):
        world.esplora.plan({number: SILENT[name]})
        found = outcome(wallet.balance)
        assert isinstance(found, ChainError) or (name == "drip" and found == RIGHT)  # of a short answer
    world.esplora.plan()
    assert_right(world, wallet)


@pytest.mark.parametrize("value", OTHER_VALUES, ids=repr)
def test_esplora_answers_something_else_entirely(world, wallets, value):
    wallet = wallets["esplora"]
    for number in range(2, requests_of(world, wallet)):
        world.esplora.plan({number: garbage(json.dumps(value).encode())})
        found = outcome(wallet.balance)
        assert isinstance(found, ChainError | Balance)
    world.esplora.plan()
    assert_right(world, wallet)


def test_esplora_is_never_asked_elsewhere(world, wallets):
    for code in (301, 302, 307, 308):
        world.esplora.plan(always=status(code))
        assert "points elsewhere" in outcome(wallets["esplora"].balance).message


def test_esplora_that_does_not_come_to_an_end_is_left(world, wallets):
    wallet = wallets["esplora"]
    wallet._sync = world.sync("esplora", limits=Limits(seconds=3, most=300), patience=IMPATIENT)
    assert "does not come to an end" in outcome(wallet.balance).message
    wallet._sync = world.sync("esplora", limits=Limits(seconds=0, most=300), patience=IMPATIENT)
    assert "not done within 0 seconds" in outcome(wallet.balance).message
    wallet._sync = world.sync("esplora", limits=LIMITS, patience=IMPATIENT)


def each_value(change: Callable[[int], int]) -> Fault:
    """The same answer, with another value in every output, if there are outputs in it."""

    def changed(tree: object) -> object:
        if isinstance(tree, list):
            return [changed(item) for item in tree]
        if isinstance(tree, dict):
            return {name: change(item) if name == "value" else changed(item) for name, item in tree.items()}
        return tree

    def answer(exchange: Exchange) -> None:
        reply = exchange.act()
        body = json.dumps(changed(json.loads(reply.body))).encode() if reply.body.startswith(b"[{") else reply.body
        exchange.send(Reply(reply.status, body))

    return answer


@pytest.mark.parametrize("change", [lambda value: value + 50_000, lambda value: value // 2], ids=["more", "less"])
def test_esplora_that_lies_about_a_coin_costs_nothing(world, change):
    """Whatever is signed because of it, nobody mines: neither a fee nor a coin is lost."""
    wallet = world.wallet()
    wallet.receive(30_000)
    world.esplora.plan({number: each_value(change) for number in range(1, 60)})
    found = result_of(lambda: wallet.prepare(PAYLOAD, TERMS))
    if not isinstance(found, MedanchorError):
        with pytest.raises(RefusedError):
            world.ledger.submit(found.transaction)
    world.esplora.plan()
    wallet.rescan()
    world.mined(wallet.prepare(PAYLOAD, TERMS).transaction)


@pytest.mark.parametrize("way", ["esplora", "electrum"])
@pytest.mark.parametrize("genesis", [*GENESIS, "00" * 32, ""])
def test_a_server_of_another_network_is_told(world, wallets, monkeypatch, way, genesis):
    if GENESIS.get(genesis) is Network.REGTEST:
        return
    from medanchor.wallet import sync

    if way == "electrum":
        monkeypatch.setattr(sync, "_hash_of", lambda _header: genesis)
    else:
        world.esplora.plan({0: garbage(genesis.encode())})
    told = outcome(wallets[way].balance).message
    assert f"expected a server of regtest, found one of {GENESIS.get(genesis, 'no Bitcoin network')}" in told


ELECTRUM = {
    name: getattr(loopback_electrum, name) for name in ("endless", "drip", "half", "hang_up", "garbage", "refused")
}
ELECTRUM |= {repr(value): loopback_electrum.rewritten(value) for value in OTHER_VALUES} | {"silence": None}


SLOW = ("drip", "silence")  # only a deadline ends them


@pytest.mark.parametrize("name", ELECTRUM)
def test_electrum_breaks_at_any_request(world, wallets, name):
    wallet = wallets["electrum"]
    count = requests_of(world, wallet)
    for number in range(count) if name not in SLOW else (0, 1, count - 1):
        world.electrum.plan({number: ELECTRUM[name]})
        assert isinstance(outcome(wallet.balance), ChainError | Balance)
    world.electrum.plan()
    assert_right(world, wallet)


def test_electrum_that_is_not_there_is_told(world):
    wallet = world.wallet()
    wallet._sync = lambda: Way("electrum tcp://127.0.0.1:1", LIMITS, IMPATIENT)
    assert "tcp://127.0.0.1:1 cannot be reached: connection refused" in outcome(wallet.balance).message


def test_electrum_without_tls_is_told(world, wallets):
    where = f"electrum ssl://127.0.0.1:{world.electrum.port}"
    wallets["electrum"]._sync = lambda: Way(where, LIMITS, IMPATIENT)
    assert "127.0.0.1" in outcome(wallets["electrum"].balance).message
    wallets["electrum"]._sync = world.sync("electrum", limits=LIMITS, patience=IMPATIENT)


PEER = ["version", "getheaders", "getcfheaders", "getcfilters", "getdata"]


@pytest.mark.parametrize("command", PEER)
def test_a_peer_that_falls_silent_is_given_up(world, command):
    wallet = world.wallet("peers")
    wallet.receive(70_000)
    wallet._sync = world.sync("peers", limits=LIMITS)
    world.peer.broken = {command: None}
    found = outcome(wallet.balance)
    assert "cannot be used" in found.message
    assert "-peerblockfilters=1" in found.hint
    world.peer.broken = {}
    assert_right(world, wallet)


@pytest.mark.parametrize("command", PEER[1:])
def test_a_peer_that_talks_nonsense_is_not_believed(world, command):
    wallet = world.wallet("peers")
    wallet.receive(70_000)
    wallet._sync = world.sync("peers", limits=LIMITS)
    world.peer.broken = {command: lambda told: [(name, payload[:-3] + b"\xff\xff\xff") for name, payload in told]}
    found = outcome(wallet.balance)
    assert isinstance(found, ChainError) or found == Balance(0, 0)
    world.peer.broken = {}
    wallet._sync = world.sync("peers")
    assert wallet.rescan() == RIGHT


def test_a_peer_that_is_not_there_or_of_another_network_is_told(world):
    wallet = world.wallet()
    for port in (1, world.esplora.port):
        wallet._sync = lambda port=port: Way(f"peers 127.0.0.1:{port}", LIMITS)
        assert "cannot be used" in outcome(wallet.balance).message
    with LoopbackPeer(world.ledger, magic=bytes.fromhex("f9beb4d9")) as mainnet:
        wallet._sync = lambda: Way(f"peers 127.0.0.1:{mainnet.port}", LIMITS)
        assert "cannot be used" in outcome(wallet.balance).message


def test_of_two_peers_one_is_enough(world):
    wallet = world.wallet()
    wallet.receive(70_000)
    wallet._sync = lambda: Way(f"peers 127.0.0.1:1,localhost:{world.peer.port}", Limits(20, 3))
    assert wallet.balance() == RIGHT


def test_a_name_without_an_address_is_told(world):
    wallet = world.wallet()
    wallet._sync = lambda: Way("peers nobody.invalid", LIMITS)
    with pytest.raises(ChainError, match="has no address") as caught:
        wallet.balance()
    assert caught.value.hint
