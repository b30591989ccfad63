"""A Bitcoin Core node as a source of blocks: what it shows, and what is found out about what it says.

The embedded chain behind the node tells what is right.
"""

import shutil
from decimal import Decimal
from functools import partial
from itertools import count

import pytest
from loopback_http import meanwhile
from loopback_ledger import txid
from loopback_node import LoopbackNode, RpcFault, fails, replaced, results

from medanchor.chain import blocks, node_search, node_view
from medanchor.chain.node import NodeChain
from medanchor.core.hashes import display
from medanchor.core.header import Network
from medanchor.core.proof import parse_anchor, serialise_anchor
from medanchor.errors import ChainError, TransactionRefusedError
from medanchor.net.rpc import Rpc, RpcError
from medanchor.net.server import Patience

QUICK = Patience(seconds=5, attempts=2, pause=0.01)
PAYLOAD = b"MDA1" + bytes(range(32))
GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    with LoopbackNode(directory) as node:
        yield node
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def node(running):
    """One node for all, as good as new but for its blocks: there are at least 101, and more after each test."""
    kept = {name: getattr(running, name) for name in ("chain", "syncing", "txindex", "pruned_to", "fee")}
    kept["methods"] = dict(running.methods)
    running.plan()
    running.ledger.mempool.clear()
    yield running
    for name, value in kept.items():
        setattr(running, name, value)


@pytest.fixture
def chain(node):
    return NodeChain(Rpc(node.url, "regtest", cookie=node.cookie, patience=QUICK), Network.REGTEST)


@pytest.fixture
def ledger(node):
    return node.ledger


def sent(ledger, **how):
    """Send an anchoring transaction and return it."""
    raw = ledger.carrying(PAYLOAD, **how)
    ledger.submit(raw)
    return raw


def mined(ledger, **how):
    raw = sent(ledger, **how)
    ledger.mine()
    return raw


def spend_change(ledger, raw):
    """Mine what spends the change of an anchoring transaction: then nothing of it is left for `gettxout` to see."""
    spender = ledger.spend([], coin=(txid(raw), 1))
    ledger.mine(transactions=[spender])
    return spender


class TestReading:
    def test_it_says_what_it_is(self, chain, node):
        assert (chain.network, chain.mines) == (Network.REGTEST, False)
        assert chain.name == f"the Bitcoin Core node at {node.url}"
        assert node.requests == []

    def test_the_tip(self, chain, node, ledger):
        ledger.mine(2)
        assert chain.tip() == ledger.chain.tip()
        assert len(node.requests) == 2

    def test_headers_in_the_order_they_were_asked_for(self, chain, node, ledger):
        top = ledger.tip.height
        heights = [top, 0, 5, 6, top + 1, 6, -1, 1_000_000]
        assert chain.headers(heights) == ledger.chain.headers(heights)
        assert len(node.requests) == 2

    def test_all_headers(self, chain, ledger):
        everything = range(ledger.tip.height + 1)
        assert chain.headers(everything) == ledger.chain.headers(everything)

    @pytest.mark.parametrize("heights", [[], [-1], [10**5], [10**9]])
    def test_none_of_them(self, chain, heights):
        assert chain.headers(heights) == [None] * len(heights)

    def test_more_than_fit_into_one_request(self, chain, node, ledger, monkeypatch):
        monkeypatch.setattr(node_view, "_CALLS", 40)
        heights = range(ledger.tip.height - 99, ledger.tip.height + 9)
        assert chain.headers(heights) == ledger.chain.headers(heights)
        assert len(node.requests) == 3 + 3

    def test_a_tip_that_moves_on_is_no_trouble(self, chain, node, ledger):
        top = ledger.tip.height
        node.plan({1: meanwhile(ledger.mine)})
        assert chain.headers([top - 1, top, top + 1]) == [*ledger.chain.headers([top - 1, top]), None]
        assert len(node.requests) == 2

    def test_even_between_two_calls_of_one_request(self, chain, node, ledger):
        top, info = ledger.tip.height, node.methods["getblockchaininfo"]
        node.methods["getblockchaininfo"] = lambda: (info(), ledger.mine())[0]
        assert chain.headers([top, top + 1, top + 2])[1:] == [None, None]

    def test_a_coin_that_is_one_deeper_the_next_moment(self, chain, node, ledger):
        raw, info, blocks_to_come = mined(ledger), node.methods["getblockchaininfo"], iter([ledger.mine])
        node.methods["getblockchaininfo"] = lambda: (info(), next(blocks_to_come, int)())[0]
        assert chain.locate(raw, since=0) == ledger.chain.locate(raw, since=0)

    def test_a_chain_that_is_replaced_meanwhile_is_read_again(self, chain, node, ledger):
        heights = range(ledger.tip.height - 5, ledger.tip.height + 1)
        node.plan({1: meanwhile(lambda: ledger.reorg(3))})
        assert chain.headers(heights) == ledger.chain.headers(heights)
        node.plan({1: meanwhile(lambda: ledger.reorg(1))})
        assert chain.tip() == ledger.chain.tip()
        assert len(node.requests) == 4

    def test_one_that_is_replaced_all_the_time_is_given_up(self, chain, node, ledger):
        node.plan(always=meanwhile(lambda: ledger.reorg(1)))
        with pytest.raises(ChainError, match="contradicts itself, or its best chain keeps changing") as caught:
            chain.tip()
        assert caught.value.hint.startswith("try again")
        assert len(node.requests) == 8


class TestWhichNode:
    ASKING = (
        lambda chain, _: chain.tip(),
        lambda chain, _: chain.headers([5]),
        lambda chain, raw: chain.locate(raw, since=0),
        lambda chain, raw: chain.submit(raw),
        lambda chain, raw: chain.pending(raw),
        lambda chain, _: chain.fee_rate(6),
    )

    @pytest.mark.parametrize("ask", ASKING)
    @pytest.mark.parametrize(
        ("told", "found"),
        [("main", "mainnet"), ("test", "testnet3"), ("testnet4", "testnet4"), ("signet", "signet"), ("x", "another")],
    )
    def test_one_of_another_network_is_never_used(self, chain, node, ledger, ask, told, found):
        node.chain = told
        with pytest.raises(ChainError, match=f"expected a node of regtest, found .* to be of {found}") as caught:
            ask(chain, ledger.carrying(PAYLOAD))
        assert "config.toml" in caught.value.hint
        assert ledger.mempool == {}

    @pytest.mark.parametrize("ask", ASKING)
    def test_one_that_still_downloads_the_chain_is_not_believed(self, node, ledger, ask):
        node.chain, node.syncing = "signet", True
        chain = NodeChain(Rpc(node.url, "signet", cookie=node.cookie, patience=QUICK), Network.SIGNET)
        with pytest.raises(ChainError, match=r"still downloading the blocks: it has (\d+) of \1 or more") as caught:
            ask(chain, ledger.carrying(PAYLOAD))
        assert caught.value.hint.startswith("wait")
        assert ledger.mempool == {}

    def test_on_regtest_a_node_always_seems_to_download(self, chain, node):
        node.syncing = True
        assert chain.tip().height == node.ledger.tip.height

    def test_the_work_of_another_network_is_too_little(self, node):
        node.chain = "main"
        chain = NodeChain(Rpc(node.url, "mainnet", cookie=node.cookie, patience=QUICK), Network.MAINNET)
        with pytest.raises(ChainError, match="a difficulty that mainnet does not allow"):
            chain.tip()

    @pytest.mark.parametrize("wrong", [None, -1, 0.5, "x", [], {}])
    @pytest.mark.parametrize(
        "member", ["chain", "blocks", "headers", "bestblockhash", "initialblockdownload", "pruned", "pruneheight"]
    )
    def test_one_that_does_not_say_what_it_is_is_not_believed(self, chain, node, member, wrong):
        node.pruned_to = 5
        info = node.methods["getblockchaininfo"]
        node.methods["getblockchaininfo"] = lambda: {**info(), member: wrong}
        with pytest.raises(ChainError, match=r"cannot be believed|expected a node of regtest") as caught:
            chain.tip()
        assert caught.value.hint

    def test_a_new_cookie_is_no_trouble(self, chain, node):
        chain.tip()
        node.rotate_cookie()
        assert chain.tip().height == node.ledger.tip.height


class TestLocating:
    @pytest.mark.parametrize("successors", [0, 1, 3, 5, 200])
    def test_by_its_change(self, chain, node, ledger, successors):
        raw = mined(ledger)
        ledger.mine(3)
        found = chain.locate(raw, since=ledger.tip.height - 40, successors=successors)
        assert found == ledger.chain.locate(raw, since=ledger.tip.height - 40, successors=successors)
        assert len(node.requests) == 4
        assert parse_anchor(serialise_anchor(found)) == found

    def test_with_or_without_its_witness(self, chain, ledger):
        raw = mined(ledger)
        assert chain.locate(blocks.without_witness(blocks.deserialised(raw)), since=0) == chain.locate(raw, since=0)

    @pytest.mark.parametrize("others", range(1, 9))
    def test_among_others_in_its_block(self, chain, ledger, others):
        alone = [ledger.submit(ledger.spend([], fee=1_000 + number)) for number in range(others // 2)]
        raw = sent(ledger)
        for number in range(others - len(alone)):
            ledger.submit(ledger.spend([], fee=2_000 + number))
        ledger.mine()
        found = chain.locate(raw, since=0)
        assert found == ledger.chain.locate(raw, since=0)
        assert found.branch.index == len(alone) + 1

    def test_when_its_change_is_spent_by_looking_through_the_blocks(self, chain, node, ledger):
        raw = mined(ledger)
        spend_change(ledger, raw)
        ledger.mine(30)
        assert chain.locate(raw, since=ledger.tip.height - 40) == ledger.chain.locate(raw, since=ledger.tip.height - 40)
        assert node.calls.count("getblock") == 8 + 1  # its lock time says that it can be no older

    def test_when_it_is_spent_in_its_own_block_the_newest_one(self, chain, ledger):
        raw = without_lock_time(ledger)
        ledger.submit(raw)
        ledger.submit(ledger.spend([], coin=(txid(raw), 1)))
        ledger.mine()
        assert chain.locate(raw, since=ledger.tip.height) == ledger.chain.locate(raw, since=ledger.tip.height)

    def test_as_far_back_as_it_is_asked_for(self, chain, node, ledger):
        raw = without_lock_time(ledger)
        ledger.mine(transactions=[raw])
        spend_change(ledger, raw)
        height = ledger.tip.height - 1
        assert chain.locate(raw, since=height - 80) == ledger.chain.locate(raw, since=0)
        assert 80 < node.calls.count("getblock") < 90
        assert chain.locate(raw, since=height + 1) is None

    def test_with_an_index_at_once(self, chain, node, ledger):
        node.txindex = True
        raw = mined(ledger)
        spend_change(ledger, raw)
        assert chain.locate(raw, since=0) == ledger.chain.locate(raw, since=0)
        assert len(node.requests) == 5
        assert chain.locate(raw, since=ledger.tip.height) is None

    def test_by_its_change_only_from_where_it_is_asked_for(self, chain, ledger):
        raw = mined(ledger)
        assert chain.locate(raw, since=ledger.tip.height) is not None
        assert chain.locate(raw, since=ledger.tip.height + 1) is None

    def test_what_waits_is_nowhere(self, chain, node, ledger):
        assert chain.locate(sent(ledger), since=0) is None
        assert len(node.requests) == 1

    def test_what_was_never_sent_is_nowhere(self, chain, node, ledger):
        assert chain.locate(ledger.carrying(PAYLOAD), since=0) is None
        assert len(node.requests) == 1

    def test_what_lost_its_coin_to_another_is_nowhere(self, chain, ledger):
        raw, rival = ledger.carrying(PAYLOAD), ledger.carrying(PAYLOAD[::-1])
        ledger.mine(transactions=[rival])
        assert chain.locate(raw, since=ledger.tip.height - 40) is None

    def test_its_coinbase_is_found_in_the_whole_block_if_need_be(self, chain, node, ledger):
        raw = mined(ledger)
        node.methods["getrawtransaction"] = raising(-5)
        assert chain.locate(raw, since=0) == ledger.chain.locate(raw, since=0)

    def test_what_is_no_transaction_is_not_looked_for(self, chain, node):
        with pytest.raises(ChainError, match="expected a serialised transaction"):
            chain.locate(b"\x00\x01", since=0)
        assert node.requests == []


def without_lock_time(ledger):
    from bitcoin.core import CTransaction

    made = blocks.deserialised(ledger.carrying(PAYLOAD))
    return CTransaction(made.vin, made.vout, nVersion=2, witness=made.wit).serialize()


class TestReorganisations:
    @pytest.mark.parametrize("depth", range(1, 7))
    def test_a_stale_block_is_never_shown(self, chain, ledger, depth):
        raw = mined(ledger)
        ledger.mine(depth - 1)
        ledger.reorg(depth)
        assert chain.locate(raw, since=0) is None
        assert chain.pending(raw)
        ledger.mine()
        assert chain.locate(raw, since=0) == ledger.chain.locate(raw, since=0)

    def test_not_even_if_the_index_still_knows_it(self, chain, node, ledger):
        raw = mined(ledger)
        stale = display(ledger.tip.hash)
        spend_change(ledger, raw)
        ledger.reorg(2)
        ledger.mempool.clear()
        ledger.mine(transactions=[ledger.carrying(PAYLOAD[::-1])])  # the coin goes to another
        node.plan({0: results("getrawtransaction", {"blockhash": stale})})
        assert chain.locate(raw, since=ledger.tip.height - 40) is None

    @pytest.mark.parametrize("spent", [False, True], ids=["by its change", "by looking"])
    def test_at_any_moment_the_answer_is_of_one_chain(self, chain, node, ledger, spent):
        for request in count():
            since = ledger.tip.height
            raw = mined(ledger)
            if spent:
                spend_change(ledger, raw)
            ledger.mine(2)
            before = ledger.chain.locate(raw, since=since)
            node.plan({request: meanwhile(partial(ledger.reorg, 2 + (request + 1) % 3))})
            found = chain.locate(raw, since=since)
            assert found in (before, ledger.chain.locate(raw, since=since))
            if len(node.requests) <= request:
                return
            node.plan()
            assert chain.locate(raw, since=since) == ledger.chain.locate(raw, since=since)
            ledger.mempool.clear()

    def test_what_goes_into_another_block_while_it_is_looked_for_is_found_there(self, chain, node, ledger):
        since, raw = ledger.tip.height, mined(ledger)
        spender = spend_change(ledger, raw)

        def move():
            ledger.reorg(2)
            ledger.mine(transactions=[raw])
            ledger.mine(transactions=[spender])

        node.plan({1: meanwhile(move)})
        assert chain.locate(raw, since=since) == ledger.chain.locate(raw, since=since)
        assert len(node.requests) > 6

    def test_blocks_that_come_meanwhile_are_no_trouble(self, chain, node, ledger):
        raw, height = mined(ledger), ledger.tip.height
        node.plan(always=meanwhile(ledger.mine))
        found = chain.locate(raw, since=0)
        assert found.block.header == ledger.best[height].header
        assert len(node.requests) == 4


class TestPruning:
    def test_a_block_that_is_kept_is_found(self, chain, node, ledger):
        raw = mined(ledger)
        spend_change(ledger, raw)
        node.pruned_to = ledger.tip.height - 1
        assert chain.locate(raw, since=0) == ledger.chain.locate(raw, since=0)

    @pytest.mark.parametrize("spent", [False, True], ids=["by its change", "by looking"])
    def test_one_that_is_not_is_told(self, chain, node, ledger, spent):
        raw = mined(ledger)
        if spent:
            spend_change(ledger, raw)
        ledger.mine(12)
        node.pruned_to = ledger.tip.height - 9
        with pytest.raises(ChainError, match=f"has pruned the blocks below {node.pruned_to}") as caught:
            chain.locate(raw, since=ledger.tip.height - 40)
        assert "another source" in caught.value.hint

    def test_what_waits_needs_no_old_blocks(self, chain, node, ledger):
        node.pruned_to = ledger.tip.height
        assert chain.locate(ledger.carrying(PAYLOAD), since=0) is None
        assert chain.locate(sent(ledger), since=0) is None

    def test_one_that_is_pruned_meanwhile(self, chain, node, ledger):
        raw = mined(ledger)
        node.plan({2: fails(-1, "Block not available (pruned data)")})
        with pytest.raises(RpcError, match="pruned data"):
            chain.locate(raw, since=0)


class TestSubmitting:
    def test_it_waits_then_and_again_changes_nothing(self, chain, node, ledger):
        raw = ledger.carrying(PAYLOAD)
        for _ in range(3):
            node.plan()
            chain.submit(raw)
            assert len(node.requests) == 2
        assert [pooled.transaction for pooled in ledger.mempool.values()] == [raw]
        assert chain.pending(raw)

    def test_what_is_mined_is_not_waiting(self, chain, ledger):
        raw = mined(ledger)
        assert not chain.pending(raw)

    def test_what_is_mined_is_in(self, chain, ledger):
        chain.submit(mined(ledger))  # -27

    def test_what_is_mined_and_spent_on_is_in(self, chain, ledger):
        raw = mined(ledger)
        spend_change(ledger, raw)
        chain.submit(raw)  # -25
        ledger.mine(20)
        chain.submit(raw)

    def test_the_age_that_the_caller_knows_is_believed(self, chain, ledger, monkeypatch):
        monkeypatch.setattr("medanchor.chain.node._LOOK_BACK", 2)
        raw = without_lock_time(ledger)
        ledger.mine(transactions=[raw])
        spend_change(ledger, raw)
        ledger.mine(4)
        before = ledger.tip.height - 2
        with pytest.raises(ChainError, match=f"cannot tell whether a block before {before} holds") as caught:
            chain.submit(raw)
        assert not isinstance(caught.value, TransactionRefusedError)
        assert "txindex" in caught.value.hint
        assert chain.locate(raw, since=before - 4) is not None
        chain.submit(raw)

    @pytest.mark.parametrize("code", [-25, -26, -1, -22, -8])
    def test_whatever_the_node_says_what_waits_is_in(self, chain, node, ledger, code):
        raw = sent(ledger)
        node.methods["sendrawtransaction"] = raising(code)
        chain.submit(raw)

    @pytest.mark.parametrize("code", [-25, -26, -1, -22, -8])
    def test_whatever_the_node_says_what_is_mined_is_in(self, chain, node, ledger, code):
        raw = mined(ledger)
        node.methods["sendrawtransaction"] = raising(code)
        chain.submit(raw)
        assert len(node.requests) == 3
        spend_change(ledger, raw)
        chain.submit(raw)

    @pytest.mark.parametrize("code", [-25, -26, -1, -22, -8])
    def test_whatever_the_node_says_what_has_its_coin_is_not_refused_for_good(self, chain, node, ledger, code):
        node.methods["sendrawtransaction"] = raising(code)
        with pytest.raises(ChainError, match="does not take the transaction now: no reason") as caught:
            chain.submit(ledger.carrying(PAYLOAD))
        assert type(caught.value) is ChainError
        assert "later" in caught.value.hint

    @pytest.mark.parametrize("code", [-25, -26, -1, -22, -8])
    def test_whatever_the_node_says_what_lost_its_coin_is_refused_for_good(self, chain, node, ledger, code):
        raw = ledger.carrying(PAYLOAD)
        ledger.mine(transactions=[ledger.carrying(PAYLOAD[::-1])])
        node.methods["sendrawtransaction"] = raising(code)
        with pytest.raises(TransactionRefusedError, match="is spent by another, or never was: no reason") as caught:
            chain.submit(raw)
        assert "anchor" in caught.value.hint

    def test_a_coin_that_never_was(self, chain, ledger):
        raw = ledger.spend([(0, b"\x6a")], coin=next(ledger.free_coins()))
        foreign = blocks.deserialised(raw)
        child = blocks.anchoring_transaction(blocks.id_of(foreign), 1_000_000, PAYLOAD, height=0)
        with pytest.raises(TransactionRefusedError, match=f"{display(blocks.id_of(foreign))}:0"):
            chain.submit(child)

    def test_a_coin_that_a_waiting_transaction_makes(self, chain, ledger):
        parent = sent(ledger)
        child = ledger.carrying(PAYLOAD[::-1], coin=(txid(parent), 1), fee=0)
        with pytest.raises(ChainError, match="min relay fee not met") as caught:
            chain.submit(child)
        assert type(caught.value) is ChainError

    @pytest.mark.parametrize("by", ["coin", "parent"])
    def test_a_rival_that_waits_may_lose_yet(self, chain, ledger, by):
        coin = next(ledger.free_coins()) if by == "coin" else (txid(sent(ledger)), 1)
        raw = ledger.carrying(PAYLOAD, coin=coin)
        ledger.submit(ledger.carrying(PAYLOAD[::-1], coin=coin, fee=5_000))
        with pytest.raises(ChainError, match="another one that waits spends the same coin") as caught:
            chain.submit(raw)
        assert type(caught.value) is ChainError
        assert caught.value.hint.startswith("wait until one of the two is in a block")
        ledger.mine()
        with pytest.raises(TransactionRefusedError):
            chain.submit(raw)

    def test_one_that_pays_more_takes_its_place(self, chain, ledger):
        coin = next(ledger.free_coins())
        first, second = (ledger.carrying(PAYLOAD, coin=coin, fee=fee) for fee in (1_000, 2_000))
        chain.submit(first)
        chain.submit(second)
        assert (chain.pending(first), chain.pending(second)) == (False, True)
        with pytest.raises(ChainError, match="another one that waits"):
            chain.submit(first)

    def test_a_fee_too_low_is_told_as_such(self, chain, ledger):
        with pytest.raises(ChainError, match="min relay fee not met, 0 < 14") as caught:
            chain.submit(ledger.carrying(PAYLOAD, fee=0))
        assert "fees are lower" in caught.value.hint

    def test_one_for_a_later_block_is_not_refused_for_good(self, chain, ledger):
        ledger.mine(3)
        raw = ledger.carrying(PAYLOAD)
        ledger.chain.reorg(1)
        late = raw[:-4] + (ledger.tip.height + 9).to_bytes(4, "little")
        with pytest.raises(ChainError, match="non-final") as caught:
            chain.submit(late)
        assert type(caught.value) is ChainError

    def test_a_node_that_is_behind_refuses_nothing_for_good(self, chain, node, ledger):
        raw = ledger.carrying(PAYLOAD)
        ledger.mine(transactions=[ledger.carrying(PAYLOAD[::-1])])
        info = node.methods["getblockchaininfo"]
        node.methods["getblockchaininfo"] = lambda: {**info(), "headers": 9_000}
        with pytest.raises(ChainError, match="of 9,000 blocks, and the coin may be in the others") as caught:
            chain.submit(raw)
        assert type(caught.value) is ChainError

    def test_a_node_that_took_another_one(self, chain, node, ledger):
        node.methods["sendrawtransaction"] = lambda _: GENESIS
        with pytest.raises(ChainError, match="it took another transaction than it was given"):
            chain.submit(ledger.carrying(PAYLOAD))


def raising(code):
    def method(*_params):
        raise RpcFault(code, "no reason")

    return method


class TestFees:
    @pytest.mark.parametrize(
        ("told", "rate"),
        [("0.00012345", "12.345"), ("0.00001", "1"), ("0.0000000050", "0.1"), ("1", "100000"), ("0.00000001", "0.1")],
    )
    def test_in_satoshi_for_a_vbyte_and_never_less_than_is_relayed(self, chain, node, told, rate):
        node.fee = Decimal(told)
        assert chain.fee_rate(6) == Decimal(rate)
        assert len(node.requests) == 1
        assert "E" not in str(chain.fee_rate(6))

    def test_a_full_mempool_asks_more(self, chain, node):
        info = node.methods["getmempoolinfo"]
        node.methods["getmempoolinfo"] = lambda: {**info(), "mempoolminfee": Decimal("0.00007")}
        node.fee = Decimal("0.00001")
        assert chain.fee_rate(6) == 7

    def test_a_node_that_cannot_tell(self, chain):
        assert chain.fee_rate(6) is None

    @pytest.mark.parametrize(("asked", "target"), [(-3, 1), (0, 1), (1, 1), (144, 144), (1_009, 1_008), (10**9, 1_008)])
    def test_as_far_ahead_as_a_node_looks(self, chain, node, asked, target):
        targets = []
        node.methods["estimatesmartfee"] = lambda blocks: targets.append(blocks) or {"errors": [], "blocks": blocks}
        chain.fee_rate(asked)
        assert targets == [target]

    @pytest.mark.parametrize("rate", [Decimal("1.00000001"), -1, Decimal("-0.1"), "0.001", True, None, [], 10**30])
    def test_what_is_no_rate_is_refused(self, chain, node, rate):
        node.methods["estimatesmartfee"] = lambda blocks: {"feerate": rate, "blocks": blocks}
        with pytest.raises(ChainError, match="expected a fee rate of 100,000 sat/vB at the most"):
            chain.fee_rate(6)


class TestLies:
    """Each lie is one that a careless reader would believe."""

    @pytest.fixture
    def raw(self, ledger):
        raw = mined(ledger)
        ledger.mine(2)
        return raw

    @pytest.fixture
    def height(self, ledger, raw):  # noqa: ARG002 - once that is mined
        return ledger.tip.height - 2

    def believed(self, chain, raw):
        with pytest.raises(ChainError) as caught:
            chain.locate(raw, since=0)
        assert caught.value.hint
        assert chain.name in caught.value.message
        return caught.value.message

    def test_a_header_without_work(self, chain, node, ledger, raw, height):
        lazy = bytearray(ledger.best[height].header)
        while int.from_bytes(hash_of(lazy), "little") <= 0x7FFFFF << 232:
            lazy[76] += 1
        node.methods["getblockhash"] = lambda _: display(hash_of(lazy))
        node.methods["getblockheader"] = lambda *_: lazy.hex()
        assert "does not meet its own proof of work" in self.believed(chain, raw)

    @pytest.mark.parametrize("away", [-1, 1])
    def test_a_header_of_another_height(self, chain, node, ledger, raw, height, away):
        node.methods["getblockheader"] = lambda *_: ledger.best[height + away].header.hex()
        assert "expected header" in self.believed(chain, raw)

    @pytest.mark.parametrize("place", range(4))
    def test_a_block_of_another_height(self, chain, node, raw, height, place):
        heights = {height + number: height - 1 for number in range(3)} if place == 3 else {}
        heights |= {height + place: height + (place + 1) % 3} if place < 3 else {}
        honest = node.methods["getblockhash"]
        node.methods["getblockhash"] = lambda height: honest(heights.get(height, height))
        assert "contradicts itself" in self.believed(chain, raw)

    def test_no_block_at_its_height(self, chain, node, raw):
        node.methods["getblockhash"] = raising(-8)
        assert "contradicts itself" in self.believed(chain, raw)

    def test_neighbours_that_do_not_follow_each_other(self, chain, node):
        honest = node.methods["getblockhash"]
        node.methods["getblockhash"] = lambda height: honest({50: 60}.get(height, height))
        with pytest.raises(ChainError, match="contradicts itself"):
            chain.headers([49, 50, 51])

    def test_a_stale_best_block(self, chain, node, ledger):
        stale = display(ledger.tip.hash)
        ledger.reorg(1)
        info = node.methods["getblockchaininfo"]
        node.methods["getblockchaininfo"] = lambda: {**info(), "bestblockhash": stale}
        with pytest.raises(ChainError, match="contradicts itself"):
            chain.tip()

    @pytest.mark.parametrize("confirmations", [0, 1, 2, 4, 10_000])
    def test_a_coin_of_another_depth(self, chain, node, raw, confirmations):
        honest = node.methods["gettxout"]
        node.methods["gettxout"] = lambda *params: (
            (told := honest(*params)) and {**told, "confirmations": confirmations}
        )
        self.believed(chain, raw)

    @pytest.mark.parametrize(
        "change",
        [
            lambda names: names[::-1],
            lambda names: names[1:],
            lambda names: [*names, GENESIS],
            lambda names: [GENESIS, *names[1:]],
        ],
        ids=["turned round", "without the first", "one more", "another first"],
    )
    def test_other_transactions_in_the_block(self, chain, node, ledger, change):
        for _ in range(2):
            raw = sent(ledger)
        ledger.mine()
        honest = node.methods["getblock"]
        node.methods["getblock"] = lambda name, verbosity=1: (
            {**told, "tx": change(told["tx"])} if isinstance(told := honest(name, verbosity), dict) else told
        )
        self.believed(chain, raw)

    def test_a_block_without_the_transaction(self, chain, node, raw):
        honest = node.methods["getblock"]
        node.methods["getblock"] = lambda name, _: {**honest(name), "tx": [GENESIS]}
        assert "contradicts itself" in self.believed(chain, raw)

    @pytest.mark.parametrize("which", ["of another block", "none", "itself"])
    def test_another_coinbase(self, chain, node, ledger, raw, which):
        other = {"of another block": ledger.best[50].transactions[0].hex(), "none": "00" * 80, "itself": raw.hex()}
        honest = node.methods["getrawtransaction"]
        node.methods["getrawtransaction"] = lambda name, verbosity=0, blockhash=None: (
            other[which] if blockhash else honest(name, verbosity)
        )
        self.believed(chain, raw)

    @pytest.mark.parametrize("block", ["", "00" * 80, "00" * 80 + "fd", "00" * 81, "00" * 80 + "01" + "00" * 60, "zz"])
    def test_no_block_to_find_the_coinbase_in(self, chain, node, raw, block):
        node.methods["getrawtransaction"] = raising(-5)
        honest = node.methods["getblock"]
        node.methods["getblock"] = lambda name, verbosity=1: honest(name, verbosity) if verbosity else block
        self.believed(chain, raw)

    def test_an_index_that_points_elsewhere(self, chain, node, ledger, raw):
        node.txindex = True
        spend_change(ledger, raw)
        node.methods["getrawtransaction"] = lambda *_: {"blockhash": display(ledger.best[50].hash)}
        assert "contradicts itself" in self.believed(chain, raw)

    def test_a_transaction_that_waits_and_a_block_at_once(self, chain, node, raw):
        node.plan({0: replaced(2, {"fees": {}})})
        assert chain.locate(raw, since=0) is None

    def test_a_coin_seen_from_another_block(self, chain, node, raw):
        honest = node.methods["gettxout"]
        node.methods["gettxout"] = lambda *params: (told := honest(*params)) and {**told, "bestblock": GENESIS}
        assert "contradicts itself" in self.believed(chain, raw)


def hash_of(header):
    from medanchor.core.hashes import sha256d

    return sha256d(bytes(header))


def test_the_blocks_of_one_request_are_few(chain, ledger, monkeypatch):
    """Memory: what is looked through comes in small parts, whatever there is to look through."""
    asked = []
    monkeypatch.setattr(node_search, "_BLOCKS", 3)
    batch = chain._rpc.batch
    monkeypatch.setattr(chain._rpc, "batch", lambda calls, **most: asked.append(calls) or batch(calls, **most))
    ledger.mine(transactions=[ledger.carrying(PAYLOAD)])
    lost = blocks.anchoring_transaction(txid(ledger.tip.transactions[1]), 1, PAYLOAD, height=50)
    assert chain.locate(lost, since=0) is None
    assert max(sum(method == "getblock" for method, _ in calls) for calls in asked) == 3
