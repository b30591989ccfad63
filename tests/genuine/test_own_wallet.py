"""The vault's own wallet, synchronised from a genuine Bitcoin Core node by compact block filters: no server at all.

Run where BITCOIND names a binary. Only calls that Bitcoin Core 28 to 31 document are made, none of them of its wallet.
"""

import base64
import time
from decimal import Decimal

import pytest
from bitcoin.core import CTransaction

from medanchor.chain.node import NodeChain
from medanchor.core.hashes import display, from_display
from medanchor.core.header import Network
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.errors import ChainError
from medanchor.wallet.bdk import BdkWallet, sign
from medanchor.wallet.descriptors import from_words, new_words
from medanchor.wallet.draft import virtual_size
from medanchor.wallet.errand import Limits, Start, Way
from medanchor.wallet.wallet import Balance, Terms

PAYLOAD = b"MDA1" + b"\x01" * 32
NEWER = b"MDA1" + b"\x02" * 32
TERMS = Terms(Decimal(2), 20_000)
COIN = 50 * 100_000_000
MATURE = 100
NOBODY = "bcrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pz3cppk"  # the first address of BIP 84's test vector
FILTERS = ("-blockfilterindex=1", "-peerblockfilters=1")
LIMITS = Limits(seconds=120, quiet=30)
INDEX = "basic block filter index"


class Desk:
    """A wallet, the node that it learns from, and a vault's memory of what it has `sent`."""

    def __init__(self, node, directory, words: str = "", limits: Limits = LIMITS, **options: object) -> None:
        self.node = node
        self.directory = directory
        self.words = words or new_words()
        self.sent: list[bytes] = []
        self.chain = NodeChain(node.rpc, Network.REGTEST)
        self.wallet = BdkWallet(
            directory,
            from_words(self.words, Network.REGTEST),
            lambda: Way(f"peers 127.0.0.1:{node.port}", limits),
            words=lambda: self.words,
            sent=lambda: self.sent,
            **options,
        )

    def again(self, name: str, **options: object) -> "Desk":
        """The same words, in another directory."""
        return Desk(self.node, self.directory.parent / name, self.words, **options)

    def mine(self, blocks: int = 1, address: str = NOBODY) -> list[str]:
        made = self.node.rpc.call("generatetoaddress", blocks, address)
        self.wait_for_filters()
        return made

    def wait_for_filters(self) -> None:
        """Peers are told of a block before its filter is made."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            height = self.node.rpc.call("getblockcount")
            index = self.node.rpc.call("getindexinfo", INDEX)[INDEX]
            if index["synced"] and index["best_block_height"] == height:
                return
            time.sleep(0.05)
        pytest.fail("the node does not make its filters")

    def earn(self, coins: int = 1) -> None:
        """Have the wallet mine, and its coins mature."""
        for _ in range(coins):
            self.mine(1, self.wallet.address())
        self.mine(MATURE)

    def send(self, payment) -> str:
        self.chain.submit(payment.transaction)
        self.sent = [*self.sent, payment.transaction]
        return txid(payment.transaction)

    def mempool(self) -> list[str]:
        return self.node.rpc.call("getrawmempool")


def txid(transaction: bytes) -> str:
    return display(CTransaction.deserialize(transaction).GetTxid())


@pytest.fixture
def node(start_node):
    return start_node(*FILTERS)


@pytest.fixture
def desk(node, tmp_path):
    desk = Desk(node, tmp_path / "wallet")
    desk.earn()
    return desk


def test_it_mines_anchors_and_confirms(desk):
    assert desk.wallet.balance() == Balance(COIN, 0)
    payment = desk.wallet.prepare(PAYLOAD, TERMS)
    assert virtual_size(payment.transaction) <= 160
    assert anchored_payload(strip_witness(payment.transaction)) == PAYLOAD
    name = desk.send(payment)
    assert desk.mempool() == [name]
    entry = desk.node.rpc.call("getmempoolentry", name)
    assert int(entry["fees"]["base"] * 100_000_000) == payment.fee
    assert desk.wallet.balance() == Balance(0, COIN - payment.fee)
    since = desk.chain.tip().height
    desk.mine()
    assert desk.chain.locate(payment.transaction, since=since) is not None
    assert desk.wallet.balance() == Balance(COIN - payment.fee, 0)


@pytest.mark.parametrize("rate", ["1", "1.5", "50"])
def test_what_pays_the_least_that_is_relayed_is_relayed(desk, rate):
    payment = desk.wallet.prepare(PAYLOAD, Terms(Decimal(rate), 20_000))
    assert desk.mempool() == []
    assert desk.send(payment) in desk.mempool()


@pytest.mark.parametrize("payload", [PAYLOAD, NEWER], ids=["the same", "a newer one"])
def test_a_stuck_one_is_replaced_time_and_again(desk, payload):
    first = desk.wallet.prepare(PAYLOAD, Terms(Decimal(1), 20_000))
    desk.send(first)
    replaced = first
    for _ in range(3):
        payment = desk.wallet.prepare(payload, Terms(Decimal(1), 20_000), replacing=replaced.transaction)
        assert payment.fee > replaced.fee
        name = desk.send(payment)
        assert desk.mempool() == [name]
        replaced = payment
    desk.mine()
    assert desk.mempool() == []
    assert desk.wallet.balance() == Balance(COIN - replaced.fee, 0)
    with pytest.raises(ChainError):
        desk.chain.submit(first.transaction)


def test_anchors_follow_each_other_without_waiting_for_blocks(desk):
    fees = 0
    for payload in (PAYLOAD, NEWER, PAYLOAD):
        payment = desk.wallet.prepare(payload, TERMS)
        desk.send(payment)
        fees += payment.fee
    assert len(desk.mempool()) == 3
    desk.mine()
    assert desk.wallet.balance() == Balance(COIN - fees, 0)


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_a_reorganisation_is_followed(desk, depth):
    payment = desk.wallet.prepare(PAYLOAD, TERMS)
    desk.send(payment)
    block = desk.mine()[0]
    if depth > 1:
        desk.mine(depth - 1)
    left = COIN - payment.fee
    assert desk.wallet.balance() == Balance(left, 0)
    desk.node.rpc.call("invalidateblock", block)
    for _ in range(depth + 1):  # more of them, and empty
        desk.node.rpc.call("generateblock", NOBODY, [])
    desk.wait_for_filters()
    assert desk.wallet.balance() == Balance(0, left)
    desk.chain.submit(payment.transaction)
    desk.mine()
    assert desk.wallet.balance() == Balance(left, 0)


def test_words_restore_all_of_it(desk):
    desk.earn(2)
    payment = desk.wallet.prepare(PAYLOAD, TERMS)
    desk.send(payment)
    desk.mine()
    again = desk.again("again")
    assert again.wallet.balance() == desk.wallet.balance() == Balance(3 * COIN - payment.fee, 0)
    both = [[txid(one.transaction) for one in side.wallet.movements()] for side in (again, desk)]
    assert both[0] == both[1]  # not byte by byte: peers send blocks without witnesses
    again.send(again.wallet.prepare(NEWER, TERMS))


def test_it_begins_at_its_birthday(desk):
    height = desk.node.rpc.call("getblockcount")
    start = Start(height, from_display(desk.node.rpc.call("getblockhash", height)))
    young = desk.again("young", start=start)
    assert young.wallet.balance() == Balance(0, 0)
    desk.mine(1, desk.wallet.address())
    desk.mine(MATURE)
    assert young.wallet.balance() == Balance(COIN, 0)
    assert desk.wallet.rescan() == Balance(2 * COIN, 0)


def test_a_draft_is_what_bitcoin_core_reads_in_it_too(desk):
    draft = desk.wallet.fund(PAYLOAD, TERMS)
    psbt = base64.b64encode(draft.psbt).decode()
    read = desk.node.rpc.call("decodepsbt", psbt)
    assert int(read["fee"] * 100_000_000) == draft.fee
    assert [output["scriptPubKey"]["type"] for output in read["tx"]["vout"]].count("nulldata") == 1
    signed = base64.b64encode(sign(draft.psbt, desk.words, Network.REGTEST)).decode()
    final = desk.node.rpc.call("finalizepsbt", signed)
    assert final["complete"] is True
    transaction = desk.wallet.finish(signed.encode())
    assert transaction.hex() == final["hex"]
    accepted = desk.node.rpc.call("testmempoolaccept", [transaction.hex()])
    assert accepted[0]["allowed"] is True


def test_a_node_that_is_gone_is_told_and_another_day_it_goes_on(desk):
    assert desk.wallet.balance() == Balance(COIN, 0)
    desk.node.stop()
    with pytest.raises(ChainError, match="cannot be used") as caught:
        desk.wallet.balance()
    assert "-peerblockfilters=1" in caught.value.hint
    desk.node.start()
    desk.wait_for_filters()
    assert desk.wallet.balance() == Balance(COIN, 0)
    desk.send(desk.wallet.prepare(PAYLOAD, TERMS))


def test_a_node_without_filters_is_told(start_node, tmp_path):
    desk = Desk(start_node(), tmp_path / "wallet", limits=Limits(seconds=60, quiet=5))
    desk.node.rpc.call("generatetoaddress", 5, NOBODY)
    with pytest.raises(ChainError) as caught:
        desk.wallet.balance()
    assert caught.value.hint


def test_two_vaults_learn_from_one_node(desk, tmp_path):
    other = Desk(desk.node, tmp_path / "other")
    other.earn()
    for one in (desk, other):
        assert one.wallet.balance() == Balance(COIN, 0)
        one.send(one.wallet.prepare(PAYLOAD, TERMS))
    assert len(desk.mempool()) == 2
