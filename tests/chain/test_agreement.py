"""Two sources that have to agree: on one chain, one behind the other, and on two chains."""

import shutil
import time
from decimal import Decimal

import pytest
from esploring import OTHER, PAYLOAD, source
from loopback_esplora import LoopbackEsplora
from loopback_http import status
from loopback_ledger import Ledger, txid

from medanchor.chain.agreement import Agreement
from medanchor.chain.embedded import EmbeddedChain
from medanchor.chain.source import Chain, Tip
from medanchor.core.header import Network
from medanchor.errors import ChainError, TransactionRefusedError, UsageError


class Other:
    """Another source of blocks: an embedded chain, by another name, that takes or refuses as it is told."""

    mines = False

    def __init__(self, chain):
        self.chain = chain
        self.network = chain.network
        self.name = "the other source"
        self.tip, self.headers = chain.tip, chain.headers
        self.refusal: Exception | None = None
        self.rate: Decimal | None = None
        self.waits = True

    def locate(self, transaction, *, since, successors=5):
        return self.chain.locate(transaction, since=since, successors=successors)

    def submit(self, _transaction):
        if self.refusal:
            raise self.refusal

    def pending(self, _transaction):
        return self.waits

    def fee_rate(self, _blocks):
        return self.rate


@pytest.fixture
def server(tmp_path):
    with LoopbackEsplora(Ledger(tmp_path / "one")) as server:
        yield server


@pytest.fixture
def ledger(server):
    return server.ledger


@pytest.fixture
def apart(ledger, tmp_path):
    """Whoever calls it has the chain as it then is as another source, to go on by itself."""

    def copy():
        ledger.chain.close()
        shutil.copytree(ledger.chain._directory, tmp_path / "two")
        return Other(EmbeddedChain(tmp_path / "two", now=lambda: int(time.time())))

    return copy


@pytest.fixture
def same(ledger):
    return Other(ledger.chain)


@pytest.fixture
def both(server, same):
    return Agreement(source(server), same)


def either_way(first, second):
    return Agreement(first, second), Agreement(second, first)


def test_it_is_a_chain(both, server):
    kept: Chain = both
    assert kept.network is Network.REGTEST
    assert kept.name == f"the Esplora server at {server.url} and the other source"
    assert not kept.mines


def test_sources_of_two_networks(server, same):
    same.network = Network.SIGNET
    with pytest.raises(UsageError, match=r"found the Esplora server at \S+ of regtest and the other source of signet"):
        Agreement(source(server), same)


def test_two_that_agree(both, ledger):
    raw = ledger.carrying(PAYLOAD)
    both.submit(raw)
    assert both.pending(raw)
    ledger.mine(3)
    assert both.tip() == Tip(104, ledger.tip.header)
    assert both.headers([104, 0, 105, 7]) == ledger.chain.headers([104, 0, 105, 7])
    assert both.locate(raw, since=0) == ledger.chain.locate(raw, since=0)
    assert both.locate(ledger.carrying(OTHER), since=0) is None


def test_one_that_is_behind_holds_the_other_back(server, ledger, apart):
    behind = apart()
    raw = ledger.carrying(PAYLOAD)
    ledger.submit(raw)
    ledger.mine(3)
    for both in either_way(source(server), behind):
        assert both.tip() == Tip(101, ledger.best[101].header)
        assert both.headers([104, 101]) == [None, ledger.best[101].header]
        assert both.locate(raw, since=0) is None


def test_successors_are_those_that_both_have(server, ledger, apart):
    raw = ledger.carrying(PAYLOAD)
    ledger.submit(raw)
    ledger.mine(2)
    behind = apart()
    ledger.mine(3)
    for both in either_way(source(server), behind):
        anchor = both.locate(raw, since=0)
        assert anchor == ledger.chain.locate(raw, since=0, successors=1)
        assert anchor.block.successors == (ledger.best[103].header,)


def test_two_chains_are_told_with_both_names_and_the_height(server, ledger, apart):
    fork = apart()
    fork.chain.reorg(2)
    raw = ledger.carrying(PAYLOAD)
    ledger.submit(raw)
    ledger.mine()
    for both in either_way(source(server), fork):
        for ask, height in (
            (both.tip, 102),
            (lambda both=both: both.headers([5, 101, 100]), 100),
            (lambda both=both: both.headers([102]), 102),
        ):
            with pytest.raises(ChainError, match=f"have different blocks at height {height}:") as caught:
                ask()
            assert server.url in caught.value.message
            assert "the other source" in caught.value.message
            assert caught.value.hint
        assert both.headers([99]) == [ledger.best[99].header]
    with pytest.raises(ChainError, match="have different blocks at height 102:"):
        Agreement(source(server), fork).locate(raw, since=0)
    assert Agreement(fork, source(server)).locate(raw, since=0) is None


def test_a_fork_above_the_transaction(server, ledger, apart):
    raw = ledger.carrying(PAYLOAD)
    ledger.submit(raw)
    ledger.mine()
    fork, rival = apart(), ledger.carrying(OTHER)
    ledger.mine(2)
    fork.chain.mine(1, [rival])
    with pytest.raises(ChainError, match="have different blocks at height 103:"):
        Agreement(source(server), fork).locate(raw, since=0)
    assert Agreement(source(server), fork).locate(raw, since=0, successors=0).block.height == 102


def test_one_that_takes_it_is_enough(server, same, ledger):
    raw = ledger.carrying(PAYLOAD)
    for same.refusal in (ChainError("unreachable"), TransactionRefusedError("its coin is gone")):
        for both in either_way(source(server), same):
            both.submit(raw)
    assert list(ledger.mempool) == [txid(raw)]


def test_both_must_say_that_it_can_never_be_mined(server, same, ledger):
    coin = next(ledger.free_coins())
    raw = ledger.carrying(PAYLOAD, coin=coin)
    ledger.mine(transactions=[ledger.carrying(OTHER, coin=coin)])
    for both in either_way(source(server), same):
        same.refusal = TransactionRefusedError("its coin is gone")
        with pytest.raises(TransactionRefusedError):
            both.submit(raw)
        same.refusal = ChainError("unreachable")
        with pytest.raises(ChainError, match="unreachable") as caught:
            both.submit(raw)
        assert not isinstance(caught.value, TransactionRefusedError)


def test_what_waits_with_one_only_is_handed_over_again(both, same, ledger):
    raw = ledger.carrying(PAYLOAD)
    assert not both.pending(raw)
    ledger.submit(raw)
    assert both.pending(raw)
    same.waits = False
    assert not both.pending(raw)


@pytest.mark.parametrize(
    ("one", "other", "rate"),
    [(20, "3", 3), (2, "3", 2), (None, "3", 3), (2, None, 2), (None, None, None)],
)
def test_the_lower_fee_rate_is_believed(server, same, one, other, rate):
    server.fees = {"6": one} if one else {}
    same.rate = Decimal(other) if other else None
    for both in either_way(source(server), same):
        assert both.fee_rate(6) == rate


def test_one_that_cannot_be_reached_leaves_nothing_to_agree_on(both, server, ledger):
    server.plan(always=status(503))
    raw = ledger.carrying(PAYLOAD)
    for ask in (both.tip, lambda: both.headers([1]), lambda: both.locate(raw, since=0), lambda: both.pending(raw)):
        with pytest.raises(ChainError, match="HTTP 503"):
            ask()
