"""A genuine Bitcoin Core node as a source of blocks: no wallet, no index; reorganised, restarted, killed, pruned.

The transactions spend coinbases that anybody may spend, so that the node needs no wallet for them.
"""

import time
from decimal import Decimal
from itertools import count

import pytest
from bitcoin.core import COutPoint, CTransaction, CTxIn, CTxInWitness, CTxOut, CTxWitness
from bitcoin.core.script import CScript, CScriptWitness
from bitcoin.segwit_addr import encode

from medanchor.chain.blocks import ANYONE_CAN_SPEND, OUTPUT_SCRIPT, deserialised, id_of, without_witness
from medanchor.chain.node import NodeChain
from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import Hash, display, from_display, sha256
from medanchor.core.header import Header, Network, check_links, parse_headers
from medanchor.core.proof import parse_anchor, serialise_anchor
from medanchor.core.verify import check_header, check_transaction
from medanchor.errors import ChainError, TransactionRefusedError
from medanchor.net.rpc import Rpc
from medanchor.net.server import Patience

PAYLOAD = b"MDA1" + bytes(range(32))
ANYBODY = encode("bcrt", 0, OUTPUT_SCRIPT[2:])
COINS = 40
MATURITY = 100
DEEPEST = 6


class Miner:
    """Makes blocks and transactions, by calls that need no wallet."""

    def __init__(self, node) -> None:
        self.node = node
        self.rivals = count(1)
        self.heights = count(1)
        if self.height < COINS + MATURITY:
            self.mine(COINS + MATURITY)
        self.clear()

    def ask(self, method: str, *params: object):
        return self.node.rpc.call(method, *params)

    @property
    def height(self) -> int:
        return self.ask("getblockcount")

    def mine(self, blocks: int = 1) -> None:
        """Mine what waits, then empty blocks."""
        for start in range(0, blocks, 100):
            self.ask("generatetoaddress", min(100, blocks - start), ANYBODY)

    def mine_alone(self, *transactions: bytes) -> None:
        """Mine a block with these transactions and no others, unlike any that was there before."""
        nobody = encode("bcrt", 0, sha256(next(self.rivals).to_bytes(4, "big")))
        self.ask("generateblock", nobody, [raw.hex() for raw in transactions])

    def reorg(self, depth: int) -> None:
        """Replace the newest blocks by empty ones, and one more: what they held waits again."""
        self.ask("invalidateblock", self.ask("getblockhash", self.height - depth + 1))
        for _ in range(depth + 1):
            self.mine_alone()

    def clear(self) -> None:
        """Mine whatever an earlier test left waiting."""
        if self.waiting():
            self.mine()

    def waiting(self) -> list:
        return self.ask("getrawmempool")

    def coin(self) -> tuple[Hash, int, int]:
        """The next coinbase that is mature and not spent: its txid, its output, its value in satoshi."""
        while True:
            name = self.ask("getblock", self.ask("getblockhash", next(self.heights)), 1)["tx"][0]
            output = self.ask("gettxout", name, 0)
            if output and output["scriptPubKey"]["hex"] == OUTPUT_SCRIPT.hex():
                return from_display(name), 0, int(output["value"] * 100_000_000)

    def carrying(self, *, fee: int = 1_000, coin: tuple[Hash, int, int] | None = None) -> bytes:
        """An anchoring transaction, its change at output 1; not sent."""
        txid, place, value = coin or self.coin()
        outputs = [CTxOut(0, CScript(anchor_script(PAYLOAD))), CTxOut(value - fee, CScript(OUTPUT_SCRIPT))]
        witness = CTxWitness((CTxInWitness(CScriptWitness([ANYONE_CAN_SPEND])),))
        spend = CTxIn(COutPoint(txid, place), nSequence=0xFFFFFFFD)
        return CTransaction([spend], outputs, nLockTime=self.height, nVersion=2, witness=witness).serialize()

    def spend_change(self, raw: bytes) -> bytes:
        """Mine what spends the change of `raw`: then `gettxout` shows nothing of it."""
        change = deserialised(raw).vout[1].nValue
        spender = self.carrying(coin=(id_of(deserialised(raw)), 1, change))
        self.mine_alone(spender)
        return spender


@pytest.fixture
def miner(node):
    return Miner(node)


@pytest.fixture
def chain(node):
    return NodeChain(node.rpc, Network.REGTEST)


def name_of(raw):
    return display(id_of(deserialised(raw)))


def sent(chain, miner, **how):
    raw = miner.carrying(**how)
    chain.submit(raw)
    return raw


def check_anchor(anchor, raw, miner):
    """Check an anchor as a verifier does, and that the node says the same of its block."""
    header = Header.parse(anchor.block.header)
    check_transaction(anchor, header)
    check_header(anchor, header)
    assert anchor.transaction == without_witness(deserialised(raw))
    assert anchor.network == Network.REGTEST
    assert parse_anchor(serialise_anchor(anchor)) == anchor
    assert miner.ask("getblockhash", anchor.block.height) == display(header.block_hash)
    assert miner.ask("getblock", display(header.block_hash), 1)["tx"].index(name_of(raw)) == anchor.branch.index
    for place, successor in enumerate(parse_headers(anchor.block.successors), start=1):
        assert miner.ask("getblockhash", anchor.block.height + place) == display(successor.block_hash)


def eventually(look):
    end = time.monotonic() + 60
    while not look() and time.monotonic() < end:
        time.sleep(0.1)
    assert look()


class TestReading:
    def test_the_tip(self, chain, miner):
        for _ in range(2):
            miner.mine()
            tip = chain.tip()
            assert tip.height == miner.height
            assert display(Header.parse(tip.header).block_hash) == miner.ask("getbestblockhash")

    def test_the_headers(self, chain, miner):
        top = miner.height
        *headers, above = chain.headers(range(top + 2))
        assert above is None
        genesis, *rest = parse_headers(headers)
        check_links(genesis, rest, Network.REGTEST)
        assert display(rest[-1].block_hash) == miner.ask("getbestblockhash")
        assert chain.headers([top, -1, 0, top + 1, 5]) == [headers[top], None, headers[0], None, headers[5]]

    def test_more_of_them_than_one_request_asks_for(self, chain, miner):
        miner.mine(max(0, 2_050 - miner.height))
        headers = chain.headers(range(miner.height + 1))
        assert None not in headers
        assert len(set(headers)) > 2_050

    def test_a_node_of_another_network_is_refused_by_both_names(self, node):
        with pytest.raises(ChainError, match=r"expected a node of signet, found .* to be of regtest"):
            NodeChain(node.rpc, Network.SIGNET).tip()

    def test_a_fresh_node_has_no_estimate(self, chain):
        rate = chain.fee_rate(6)
        assert rate is None or Decimal("0.1") <= rate < 1_000

    def test_a_wrong_password_is_told(self, node):
        url = node.url.replace("//", "//medanchor:wrong@")
        with pytest.raises(ChainError, match="does not accept the user and password"):
            NodeChain(Rpc(url, "regtest"), Network.REGTEST).tip()


class TestLocating:
    @pytest.mark.parametrize("successors", [0, 1, 5])
    def test_by_its_change(self, chain, miner, successors):
        raw = sent(chain, miner)
        miner.mine(3)
        anchor = chain.locate(raw, since=0, successors=successors)
        check_anchor(anchor, raw, miner)
        assert (anchor.block.height, len(anchor.block.successors)) == (miner.height - 2, min(successors, 2))

    def test_among_others(self, chain, miner):
        raws = [sent(chain, miner, fee=1_000 + 100 * number) for number in range(6)]
        miner.mine()
        anchors = [chain.locate(raw, since=0) for raw in raws]
        for raw, anchor in zip(raws, anchors, strict=True):
            check_anchor(anchor, raw, miner)
        assert sorted(anchor.branch.index for anchor in anchors) == [1, 2, 3, 4, 5, 6]

    def test_when_its_change_is_spent(self, chain, miner):
        raw = sent(chain, miner)
        miner.mine()
        height = miner.height
        miner.spend_change(raw)
        miner.mine(12)
        check_anchor(chain.locate(raw, since=height - 3), raw, miner)
        assert chain.locate(raw, since=height + 1) is None

    def test_with_an_index(self, start_node):
        miner = Miner(start_node("-txindex=1"))
        chain = NodeChain(miner.node.rpc, Network.REGTEST)
        raw = sent(chain, miner)
        miner.mine()
        miner.spend_change(raw)
        eventually(lambda: miner.ask("getindexinfo")["txindex"]["best_block_height"] == miner.height)
        check_anchor(chain.locate(raw, since=0), raw, miner)
        miner.reorg(2)
        assert chain.locate(raw, since=MATURITY) is None

    def test_what_waits_or_was_never_sent_is_nowhere(self, chain, miner):
        raw = miner.carrying()
        assert chain.locate(raw, since=0) is None
        assert not chain.pending(raw)
        chain.submit(raw)
        assert chain.locate(raw, since=0) is None
        assert chain.pending(raw)
        miner.mine()
        assert not chain.pending(raw)


class TestReorganisations:
    @pytest.mark.parametrize("spent", [False, True], ids=["its change is left", "its change is spent"])
    @pytest.mark.parametrize("depth", range(1, DEEPEST + 1))
    def test_of_this_depth(self, chain, miner, depth, spent):
        since = miner.height
        raw = sent(chain, miner)
        miner.mine()
        if spent:
            miner.spend_change(raw)
        miner.mine(depth - 1)
        before = chain.locate(raw, since=since)
        check_anchor(before, raw, miner)
        miner.reorg(depth + spent)
        assert chain.locate(raw, since=since) is None
        assert chain.headers([before.block.height]) != [before.block.header]
        eventually(lambda: chain.pending(raw))
        chain.submit(raw)
        miner.mine()
        after = chain.locate(raw, since=since)
        check_anchor(after, raw, miner)
        assert after.block.header != before.block.header

    def test_the_anchor_loses_its_coin_to_a_rival(self, chain, miner):
        since, coin = miner.height, miner.coin()
        raw, rival = miner.carrying(coin=coin), miner.carrying(coin=coin, fee=3_000)
        chain.submit(raw)
        miner.mine()
        assert chain.locate(raw, since=since) is not None
        miner.ask("invalidateblock", miner.ask("getbestblockhash"))
        miner.mine_alone(rival)
        miner.mine_alone()
        assert chain.locate(raw, since=since) is None
        with pytest.raises(TransactionRefusedError):
            chain.submit(raw)
        check_anchor(chain.locate(rival, since=since), rival, miner)

    def test_and_back_again(self, chain, miner):
        since = miner.height
        raw = sent(chain, miner)
        miner.mine(3)
        before = chain.locate(raw, since=since)
        gone = miner.ask("getblockhash", before.block.height)
        miner.ask("invalidateblock", gone)
        assert chain.locate(raw, since=since) is None
        miner.ask("reconsiderblock", gone)
        assert chain.locate(raw, since=since) == before


class TestSubmitting:
    def test_again_and_again_while_it_waits(self, chain, miner):
        raw = miner.carrying()
        for _ in range(3):
            chain.submit(raw)
            assert miner.waiting() == [name_of(raw)]

    def test_again_when_it_is_mined_and_when_its_change_is_spent(self, chain, miner):
        raw = sent(chain, miner)
        miner.mine()
        chain.submit(raw)  # -27
        miner.spend_change(raw)
        chain.submit(raw)  # -25
        miner.mine(8)
        chain.submit(raw)
        assert miner.waiting() == []

    def test_a_coin_that_another_has_spent(self, chain, miner):
        coin = miner.coin()
        raw, rival = miner.carrying(coin=coin), miner.carrying(coin=coin, fee=2_000)
        miner.mine_alone(rival)
        with pytest.raises(TransactionRefusedError) as caught:
            chain.submit(raw)
        assert f"{display(coin[0])}:0" in caught.value.message
        assert caught.value.hint

    def test_a_coin_that_never_was(self, chain, miner):
        with pytest.raises(TransactionRefusedError):
            chain.submit(miner.carrying(coin=(Hash(b"\x07" * 32), 3, 100_000)))

    def test_a_rival_that_waits_and_pays_more(self, chain, miner):
        coin = miner.coin()
        raw, rival = miner.carrying(coin=coin), miner.carrying(coin=coin, fee=20_000)
        chain.submit(rival)
        with pytest.raises(ChainError, match="another one that waits spends the same coin") as caught:
            chain.submit(raw)
        assert type(caught.value) is ChainError
        assert miner.waiting() == [name_of(rival)]

    def test_one_that_pays_more_takes_its_place(self, chain, miner):
        coin = miner.coin()
        raw, better = miner.carrying(coin=coin), miner.carrying(coin=coin, fee=20_000)
        chain.submit(raw)
        chain.submit(better)
        assert (chain.pending(raw), chain.pending(better)) == (False, True)

    def test_a_fee_too_low(self, chain, miner):
        with pytest.raises(ChainError, match="fee") as caught:
            chain.submit(miner.carrying(fee=0))
        assert type(caught.value) is ChainError
        assert "fees are lower" in caught.value.hint

    def test_a_signature_that_does_not_hold(self, chain, miner):
        made = deserialised(miner.carrying())
        witness = CTxWitness((CTxInWitness(CScriptWitness([b"\x00"])),))
        wrong = CTransaction(made.vin, made.vout, made.nLockTime, made.nVersion, witness).serialize()
        with pytest.raises(ChainError) as caught:
            chain.submit(wrong)
        assert type(caught.value) is ChainError
        assert caught.value.hint


class TestRestarts:
    def test_a_new_cookie_is_read(self, start_node):
        miner = Miner(start_node())
        chain = NodeChain(miner.node.rpc, Network.REGTEST)
        raw, tip, cookie = sent(chain, miner), chain.tip(), miner.node.cookie.read_text()
        miner.node.restart()
        assert miner.node.cookie.read_text() != cookie
        assert chain.tip() == tip
        eventually(lambda: chain.pending(raw))
        miner.node.kill()
        miner.node.start()
        assert chain.tip().height <= tip.height  # what was not written yet is gone

    def test_a_node_that_is_down_is_told_and_nothing_is_lost(self, start_node):
        node = start_node()
        quick = Patience(seconds=5, attempts=2, pause=0.1)
        chain = NodeChain(Rpc(node.url, "regtest", cookie=node.cookie, patience=quick), Network.REGTEST)
        tip = chain.tip()
        node.stop()
        started = time.monotonic()
        with pytest.raises(ChainError, match="cannot be reached") as caught:
            chain.tip()
        assert time.monotonic() - started < 10
        assert caught.value.hint.startswith("is it running")
        with pytest.raises(ChainError, match=r"the cookie of .* cannot be read"):
            NodeChain(Rpc(node.url, "regtest", cookie=node.cookie, patience=quick), Network.REGTEST).tip()
        node.start()
        assert chain.tip() == tip


def test_a_pruned_node(start_node):
    miner = Miner(start_node("-prune=1", "-fastprune"))
    chain = NodeChain(miner.node.rpc, Network.REGTEST)
    old, unspent = sent(chain, miner), sent(chain, miner)
    miner.mine()
    since = miner.height
    miner.spend_change(old)
    miner.mine(1_200 - miner.height)
    coin = miner.coin()  # out of a block that is there no more in a moment
    miner.ask("pruneblockchain", 800)
    assert miner.ask("getblockchaininfo")["pruneheight"] > since
    for raw in (old, unspent):
        with pytest.raises(ChainError, match="has pruned the blocks below") as caught:
            chain.locate(raw, since=since)
        assert "another source" in caught.value.hint
    with pytest.raises(ChainError, match="has pruned") as caught:
        chain.submit(old)
    assert type(caught.value) is ChainError
    chain.submit(unspent)
    late = sent(chain, miner, coin=coin)
    assert chain.locate(late, since=since) is None
    miner.mine()
    height = miner.height
    check_anchor(chain.locate(late, since=since), late, miner)
    miner.spend_change(late)
    check_anchor(chain.locate(late, since=height), late, miner)
