"""Anchors paid by the wallet of a genuine Bitcoin Core node: its selection of coins, its signatures, its mempool.

Run where BITCOIND names a binary. Only calls that Bitcoin Core 28 to 31 document are made.
"""

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count

import pytest
from bitcoin.core import CTransaction

from medanchor.core.hashes import display, sha256d
from medanchor.core.header import Network
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.errors import WalletError
from medanchor.net.rpc import RpcError
from medanchor.wallet.core import CoreWallet
from medanchor.wallet.draft import virtual_size
from medanchor.wallet.psbt import read_psbt, spent_by
from medanchor.wallet.wallet import Balance, Terms

PAYLOAD = b"MDA1" + b"\x01" * 32
NEWER = b"MDA1" + b"\x02" * 32
TERMS = Terms(Decimal(5), 20_000)
COIN = 200_000
MATURE = 101
PASSPHRASE = "correct horse"  # noqa: S105 - of a wallet that holds nothing

_numbers = count(1)


class Desk:
    """A wallet of its own in the node, which a miner's wallet pays and confirms."""

    def __init__(self, node, *, passphrase: str = "") -> None:
        self.node = node
        self.name = f"clinic {next(_numbers)}"
        self.rpc("createwallet", self.name, *((False, False, passphrase) if passphrase else ()))
        known = {one["name"] for one in self.rpc("listwalletdir")["wallets"]}
        if "miner" not in known:
            self.rpc("createwallet", "miner")
            self.mine(MATURE)
        elif "miner" not in self.rpc("listwallets"):
            self.rpc("loadwallet", "miner")
        self.mine()  # whatever another test left behind

    @property
    def wallet(self) -> CoreWallet:
        return CoreWallet(self.node.rpc, Network.REGTEST, self.name)

    def rpc(self, method: str, *params: object, wallet: str | None = None):
        return self.node.rpc.call(method, *params, wallet=wallet)

    def mine(self, blocks: int = 1) -> None:
        self.rpc("generatetoaddress", blocks, self.rpc("getnewaddress", wallet="miner"))

    def pay(self, address: str, satoshi: int = COIN) -> None:
        """Send coins to `address`; they wait to be mined."""
        amount = f"{Decimal(satoshi).scaleb(-8):f}"
        assert self.rpc("send", [{address: amount}], None, "unset", "2", wallet="miner")["complete"] is True

    def receive(self, satoshi: int = COIN) -> None:
        self.pay(self.wallet.address(), satoshi)
        self.mine()

    def send(self, transaction: bytes) -> str:
        return self.rpc("sendrawtransaction", transaction.hex())

    def locked(self) -> list:
        return self.rpc("listlockunspent", wallet=self.name)

    def confirmations(self, transaction: bytes) -> int:
        return self.rpc("gettransaction", name_of(transaction), wallet=self.name)["confirmations"]

    def waiting(self) -> list:
        return self.rpc("getrawmempool")


@pytest.fixture
def desk(node) -> Desk:
    return Desk(node)


def name_of(transaction: bytes) -> str:
    return display(sha256d(strip_witness(transaction)))


def coins_of(transaction: bytes) -> set:
    return set(spent_by(strip_witness(transaction)))


def refusal(act) -> tuple[str, str]:
    with pytest.raises(WalletError) as caught:
        act()
    assert caught.value.hint
    return caught.value.message, caught.value.hint


def eventually(look, wanted) -> None:
    """What waits reaches the wallet a moment after the mempool; what is mined is there at once."""
    end = time.monotonic() + 20
    while look() != wanted and time.monotonic() < end:
        time.sleep(0.05)
    assert look() == wanted


def test_an_anchor_is_prepared_sent_and_confirmed(desk):
    assert desk.wallet.balance() == Balance(0, 0)
    desk.pay(desk.wallet.address())
    eventually(desk.wallet.balance, Balance(0, COIN))
    desk.mine()
    assert desk.wallet.balance() == Balance(COIN, 0)
    payment = desk.wallet.prepare(PAYLOAD, TERMS)
    assert desk.waiting() == []
    assert anchored_payload(strip_witness(payment.transaction)) == PAYLOAD
    assert virtual_size(payment.transaction) <= 160
    parsed = CTransaction.deserialize(payment.transaction)
    assert [spend.nSequence for spend in parsed.vin] == [0xFFFFFFFD]
    assert parsed.nLockTime == desk.rpc("getblockcount")
    (judged,) = desk.rpc("testmempoolaccept", [payment.transaction.hex()])
    assert judged["allowed"] is True
    assert judged["fees"]["base"] == Decimal(payment.fee).scaleb(-8)
    assert desk.send(payment.transaction) == name_of(payment.transaction)
    eventually(desk.wallet.balance, Balance(0, COIN - payment.fee))
    desk.mine()
    assert desk.confirmations(payment.transaction) == 1
    assert desk.wallet.balance() == Balance(COIN - payment.fee, 0)
    assert desk.locked() == []


@pytest.mark.parametrize("rate", ["0.5", "1", "1.234", "50", "300"])
def test_the_fee_is_that_of_the_rate(desk, rate):
    desk.receive()
    payment = desk.wallet.prepare(PAYLOAD, Terms(Decimal(rate), 60_000))
    size = virtual_size(payment.transaction)
    assert Decimal(rate) * (size - 1) <= payment.fee <= Decimal(rate) * (size + 2) + 1


def test_an_encrypted_wallet_says_that_it_is_locked_and_pays_once_it_is_not(node):
    desk = Desk(node, passphrase=PASSPHRASE)
    desk.receive()
    message, hint = refusal(lambda: desk.wallet.prepare(PAYLOAD, TERMS))
    assert message.endswith("is locked")
    assert "walletpassphrase 60" in hint
    assert desk.locked() == []
    assert desk.wallet.fund(PAYLOAD, TERMS)
    desk.rpc("lockunspent", True, wallet=desk.name)
    desk.rpc("walletpassphrase", PASSPHRASE, 60, wallet=desk.name)
    assert desk.send(desk.wallet.prepare(PAYLOAD, TERMS).transaction)


@pytest.mark.parametrize("payload", [PAYLOAD, NEWER])
@pytest.mark.parametrize("rate", ["1", "20"])
def test_a_stuck_transaction_is_replaced(desk, payload, rate):
    desk.receive()
    old = desk.wallet.prepare(PAYLOAD, Terms(Decimal("1.5"), 1_000))
    desk.send(old.transaction)
    new = desk.wallet.prepare(payload, Terms(Decimal(rate), 10_000), replacing=old.transaction)
    assert new.fee >= old.fee + virtual_size(new.transaction)
    assert coins_of(old.transaction) <= coins_of(new.transaction)
    assert anchored_payload(strip_witness(new.transaction)) == payload
    assert desk.waiting() == [name_of(old.transaction)]
    desk.send(new.transaction)
    assert desk.waiting() == [name_of(new.transaction)]
    desk.mine()
    assert desk.confirmations(new.transaction) == 1
    assert desk.confirmations(old.transaction) == -1
    assert desk.wallet.balance() == Balance(COIN - new.fee, 0)


def test_a_replacement_is_replaced_again_and_again(desk):
    desk.receive()
    payment = desk.wallet.prepare(PAYLOAD, Terms(Decimal(1), 1_000))
    desk.send(payment.transaction)
    for _ in range(4):
        before = payment
        payment = desk.wallet.prepare(PAYLOAD, Terms(Decimal(1), 10_000), replacing=before.transaction)
        assert payment.fee > before.fee
        desk.send(payment.transaction)
        assert desk.waiting() == [name_of(payment.transaction)]


def test_the_original_may_confirm_instead_of_its_replacement(desk):
    desk.receive()
    old = desk.wallet.prepare(PAYLOAD, Terms(Decimal(1), 1_000))
    desk.send(old.transaction)
    new = desk.wallet.prepare(NEWER, TERMS, replacing=old.transaction)
    desk.mine()
    with pytest.raises(RpcError) as caught:
        desk.send(new.transaction)
    assert caught.value.code in {-25, -26}
    assert desk.confirmations(old.transaction) == 1
    assert desk.wallet.balance() == Balance(COIN - old.fee, 0)


def test_a_transaction_whose_change_is_spent_is_not_replaced(desk):
    desk.receive()
    first = desk.wallet.prepare(PAYLOAD, TERMS)
    desk.send(first.transaction)
    eventually(desk.wallet.balance, Balance(0, COIN - first.fee))
    second = desk.wallet.prepare(NEWER, TERMS)
    assert {made for made, _ in coins_of(second.transaction)} == {sha256d(strip_witness(first.transaction))}
    desk.send(second.transaction)
    message, _ = refusal(lambda: desk.wallet.prepare(NEWER, Terms(Decimal(50), 50_000), replacing=first.transaction))
    assert "another transaction spends the change" in message
    desk.mine()
    assert desk.confirmations(second.transaction) == 1


def test_coins_are_locked_for_a_draft_and_free_again_when_nothing_came_of_it(desk):
    desk.receive()
    draft = desk.wallet.fund(PAYLOAD, TERMS)
    locked = [{"txid": display(made), "vout": index} for made, index in spent_by(draft.transaction)]
    assert desk.locked() == locked
    message, hint = refusal(lambda: desk.wallet.fund(PAYLOAD, TERMS))
    assert "1 of its coins are locked" in message
    assert "lockunspent true" in hint
    desk.rpc("lockunspent", True, wallet=desk.name)
    assert "at most 100 sat" in refusal(lambda: desk.wallet.prepare(PAYLOAD, Terms(Decimal(5), 100)))[0]
    assert desk.locked() == []
    desk.send(desk.wallet.prepare(PAYLOAD, TERMS).transaction)
    eventually(desk.locked, [])


def test_two_wallets_of_one_node_pay_each_for_itself_at_once(node):
    desks = [Desk(node), Desk(node)]
    for desk in desks * 2:
        desk.receive()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda desk: desk.wallet.prepare(PAYLOAD, TERMS).transaction, desks * 2))
    assert len(set().union(*map(coins_of, made))) == sum(len(coins_of(transaction)) for transaction in made)
    for transaction in made:
        desks[0].send(transaction)
    desks[0].mine()
    assert [desk.confirmations(transaction) for desk, transaction in zip(desks * 2, made, strict=True)] == [1] * 4


def test_a_wallet_that_is_not_loaded_is_loaded(desk):
    desk.receive()
    desk.rpc("unloadwallet", desk.name)
    assert desk.wallet.balance() == Balance(COIN, 0)
    desk.rpc("unloadwallet", desk.name)
    assert desk.wallet.prepare(PAYLOAD, TERMS)


def test_a_restart_of_the_node_loses_locks_and_nothing_else(desk):
    desk.receive()
    payment = desk.wallet.prepare(PAYLOAD, TERMS)
    assert len(desk.locked()) == 1
    desk.node.restart()
    assert desk.wallet.balance() == Balance(COIN, 0)
    assert desk.locked() == []
    desk.send(payment.transaction)


def test_a_wallet_that_nobody_made_says_how_to_make_it(node):
    message, hint = refusal(CoreWallet(node.rpc, Network.REGTEST, "nobody's").balance)
    assert message.endswith("is not there")
    assert "createwallet" in hint


def test_an_empty_wallet_says_how_to_fill_it_and_one_that_waits_says_so(desk):
    message, hint = refusal(lambda: desk.wallet.fund(PAYLOAD, TERMS))
    assert "found 0 sat" in message
    assert "medanchor wallet address" in hint
    desk.pay(desk.wallet.address())
    eventually(desk.wallet.balance, Balance(0, COIN))
    message, hint = refusal(lambda: desk.wallet.fund(PAYLOAD, TERMS))
    assert f"{COIN:,} not yet in a block" in message
    assert hint == "wait until they are in a block"


@pytest.mark.parametrize("kind", ["legacy", "p2sh-segwit"])
def test_a_coin_whose_signature_changes_the_id_is_not_spent(desk, kind):
    desk.pay(desk.rpc("getnewaddress", "", kind, wallet=desk.name))
    desk.mine()
    assert "changes the transaction's id" in refusal(lambda: desk.wallet.fund(PAYLOAD, TERMS))[0]
    assert desk.locked() == []


def test_a_taproot_coin_is_spent(desk):
    desk.pay(desk.rpc("getnewaddress", "", "bech32m", wallet=desk.name))
    desk.mine()
    payment = desk.wallet.prepare(PAYLOAD, TERMS)
    assert virtual_size(payment.transaction) <= 160
    desk.send(payment.transaction)


def test_a_wallet_on_another_network_is_refused_by_both_names(desk):
    message, _ = refusal(CoreWallet(desk.node.rpc, Network.SIGNET, desk.name).balance)
    assert "expected a wallet on signet" in message
    assert "on regtest" in message


class Watching(Desk):
    """A wallet that only watches what the wallet of another desk can sign."""

    def __init__(self, signer: Desk) -> None:
        self.node = signer.node
        self.name = f"watching {signer.name}"
        self.rpc("createwallet", self.name, True, True)
        known = self.rpc("listdescriptors", wallet=signer.name)["descriptors"]
        wanted = [one for one in known if one["desc"].startswith("wpkh(") and one["active"]]
        kept = ("desc", "active", "internal", "range")
        asked = [{name: one[name] for name in kept if name in one} | {"timestamp": "now"} for one in wanted]
        assert all(done["success"] for done in self.rpc("importdescriptors", asked, wallet=self.name))


def test_a_draft_is_signed_by_a_wallet_elsewhere(desk):
    watching = Watching(desk)
    watching.receive()
    message, hint = refusal(lambda: watching.wallet.prepare(PAYLOAD, TERMS))
    assert "has not the keys" in message
    assert "--psbt" in hint
    assert watching.locked() == []
    draft = watching.wallet.fund(PAYLOAD, TERMS)
    assert desk.rpc("decodepsbt", base64.b64encode(draft.psbt).decode())["fee"] == Decimal(draft.fee).scaleb(-8)
    assert "lacks a signature" in refusal(lambda: watching.wallet.finish(draft.psbt))[0]
    for finalize in (False, True):
        offered = base64.b64encode(draft.psbt).decode()
        signed = desk.rpc("walletprocesspsbt", offered, True, "ALL", True, finalize, wallet=desk.name)["psbt"]
        assert read_psbt(signed.encode()).transaction == draft.transaction
        transaction = watching.wallet.finish(signed.encode())
        assert strip_witness(transaction) == draft.transaction
    watching.send(transaction)
    watching.mine()
    assert watching.confirmations(transaction) == 1
