"""Bitcoin Core's wallet pays for anchors: what it makes is mined by the genuine rules, nothing else gets through."""

import base64
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psbts
import pytest
from bitcoin.core import CTransaction, CTxOut
from bitcoin.core.script import CScript
from bitcoin.segwit_addr import encode
from loopback_ledger import parsed, txid
from loopback_node import RpcFault, results
from loopback_wallet import LoopbackWallet
from paying import NEWER, PAYLOAD, core, payload_of, signed_elsewhere, spent

from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import display
from medanchor.core.header import Network
from medanchor.core.transaction import strip_witness
from medanchor.errors import ChainError, MalformedProofError, MedanchorError, WalletError
from medanchor.net.rpc import Rpc
from medanchor.wallet import coreanswers
from medanchor.wallet.core import CoreWallet
from medanchor.wallet.draft import virtual_size
from medanchor.wallet.wallet import Balance, CoinWallet, Terms

TERMS = Terms(Decimal(3), 5_000)


def refusal(act, kind: type[MedanchorError] = WalletError) -> tuple[str, str]:
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    assert caught.value.hint
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_prepared_is_mined(clinic, version, first):
    clinic.receive(100_000)
    clinic.psbt_version, clinic.change_first = version, first
    wallet: CoinWallet = core(clinic)
    payment = wallet.prepare(PAYLOAD, TERMS)
    assert payload_of(payment.transaction) == PAYLOAD
    assert payment.fee == 3 * 157
    clinic.ledger.mine(transactions=[payment.transaction])
    assert wallet.balance() == Balance(100_000 - payment.fee, 0)


def test_an_anchor_is_small_replaceable_and_not_for_an_earlier_block(clinic):
    clinic.receive(100_000)
    transaction = core(clinic).prepare(PAYLOAD, TERMS).transaction
    assert virtual_size(transaction) <= 157
    assert [spend.nSequence for spend in parsed(transaction).vin] == [0xFFFFFFFD]
    assert parsed(transaction).nLockTime == clinic.ledger.tip.height


def test_an_anchor_takes_six_calls(clinic):
    clinic.receive(100_000)
    clinic.node.plan()
    core(clinic).prepare(PAYLOAD, TERMS)
    assert len(clinic.node.requests) == 6


def test_nothing_is_asked_before_it_is_needed(clinic):
    clinic.node.plan()
    wallet = core(clinic)
    assert (wallet.name, wallet.network) == (f"the Bitcoin Core wallet {clinic.name}", Network.REGTEST)
    assert clinic.node.requests == []


def test_nothing_is_sent_and_no_coin_is_shared(clinic):
    clinic.receive(100_000)
    clinic.receive(100_000)
    wallet = core(clinic)
    first, second = wallet.prepare(PAYLOAD, TERMS), wallet.fund(PAYLOAD, TERMS)
    assert not clinic.ledger.mempool
    assert not spent(first.transaction) & spent(second.transaction)
    assert clinic.locked == spent(first.transaction) | spent(second.transaction)
    clinic.ledger.submit(first.transaction)
    assert clinic.locked == spent(second.transaction)


def test_a_rate_is_rounded_up_to_what_the_node_takes(clinic):
    clinic.receive(100_000)
    assert core(clinic).fund(PAYLOAD, Terms(Decimal("1.0000001"), 500)).fee == 158


def test_two_wallets_of_one_node_pay_at_once(clinic):
    other = LoopbackWallet(clinic.node, f"{clinic.name}/ward 7 ü")
    for wallet in (clinic, other, clinic, other):
        wallet.receive(50_000)
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda wallet: core(wallet).prepare(PAYLOAD, TERMS), (clinic, clinic, other, other))
        coins = [coin for payment in made for coin in spent(payment.transaction)]
    assert len(set(coins)) == len(coins) == 4


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("spelling", [base64.b64encode, bytes])
def test_a_draft_may_be_signed_elsewhere(clinic, final, spelling):
    clinic.receive(100_000)
    clinic.watches_only = True
    wallet = core(clinic)
    draft = wallet.fund(PAYLOAD, TERMS)
    signed = signed_elsewhere(clinic, draft.psbt, final=final)
    transaction = wallet.finish(spelling(signed))
    assert strip_witness(transaction) == draft.transaction
    clinic.ledger.mine(transactions=[transaction])
    assert txid(transaction) in clinic.ledger.tip.txids


def test_a_draft_that_is_not_signed_is_not_finished(clinic):
    clinic.receive(100_000)
    draft = core(clinic).fund(PAYLOAD, TERMS)
    message, hint = refusal(lambda: core(clinic).finish(draft.psbt))
    assert "lacks a signature" in message
    assert "sign it" in hint


def test_a_signature_that_does_not_hold_is_not_finished(clinic):
    clinic.receive(100_000)
    draft = core(clinic).fund(PAYLOAD, TERMS)
    raw = psbts.read(signed_elsewhere(clinic, draft.psbt, final=True))
    stack = bytearray(raw.inputs[0][b"\x08"])
    stack[20] ^= 1
    raw.inputs[0][b"\x08"] = bytes(stack)
    assert refusal(lambda: core(clinic).finish(raw.written()))


def test_what_is_no_psbt_is_not_finished(clinic):
    clinic.node.plan()
    assert "expected a PSBT" in refusal(lambda: core(clinic).finish(b"a letter"))[0]
    assert clinic.node.requests == []


def test_a_node_that_cannot_read_a_psbt_says_so(clinic):
    clinic.receive(100_000)
    draft = core(clinic).fund(PAYLOAD, TERMS)
    clinic.node.methods["finalizepsbt"] = raising(RpcFault(-22, "TX decode failed invalid PSBT"))
    assert "cannot finish the PSBT: TX decode failed" in refusal(lambda: core(clinic).finish(draft.psbt))[0]


def raising(error: Exception):
    def method(*_arguments):
        raise error

    return method


def test_a_locked_wallet_says_how_to_unlock_it_and_keeps_no_coin(clinic):
    clinic.receive(100_000)
    clinic.passphrase_needed = True
    message, hint = refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS))
    assert message == f"the Bitcoin Core wallet {clinic.name} is locked"
    command = f"bitcoin-cli -chain=regtest -rpcwallet='{clinic.name}' -stdinwalletpassphrase walletpassphrase 60"
    assert command in hint
    assert clinic.locked == set()
    clinic.passphrase_needed = False
    assert core(clinic).prepare(PAYLOAD, TERMS)


def test_a_wallet_without_keys_says_where_to_sign(clinic):
    clinic.receive(100_000)
    clinic.watches_only = True
    message, hint = refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS))
    assert "has not the keys" in message
    assert "anchor --psbt" in hint
    assert clinic.locked == set()


def test_a_wallet_that_is_not_loaded_is_loaded(clinic):
    clinic.receive(100_000)
    clinic.unload()
    assert core(clinic).prepare(PAYLOAD, TERMS)
    clinic.unload()
    assert core(clinic).balance().confirmed == 100_000


def test_a_wallet_that_another_loads_meanwhile_is_used(clinic):
    def loaded_meanwhile(_name):
        clinic.node.wallets[clinic.name] = clinic.methods
        raise RpcFault(-35, "already loaded")

    clinic.unload()
    clinic.node.methods["loadwallet"] = loaded_meanwhile
    assert core(clinic).balance() == Balance(0, 0)


def test_a_wallet_that_nobody_made_says_how_to_make_it(clinic):
    rpc = Rpc(clinic.node.url, Network.REGTEST, cookie=clinic.node.cookie)
    message, hint = refusal(CoreWallet(rpc, Network.REGTEST, "its name").address)
    assert message == "the Bitcoin Core wallet its name is not there"
    assert "'bitcoin-cli -chain=regtest createwallet 'its name''" in hint


def test_a_wallet_that_cannot_be_loaded_says_why(clinic):
    clinic.unload()
    clinic.node.methods["loadwallet"] = raising(RpcFault(-4, "Wallet file verification failed."))
    assert "cannot tell its balance: Wallet file verification failed" in refusal(core(clinic).balance)[0]


def test_a_node_without_wallets_says_so(clinic):
    clinic.methods.clear()
    assert "its node runs without wallets" in refusal(core(clinic).balance)[0]


def test_new_keys_that_lack_are_told(clinic):
    clinic.methods["getnewaddress"] = raising(RpcFault(-12, "Error: Keypool ran out"))
    assert "keypoolrefill" in refusal(core(clinic).address)[1]


def test_an_empty_wallet_says_how_to_fill_it(clinic):
    message, hint = refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))
    assert message == f"expected about 471 sat in the Bitcoin Core wallet {clinic.name}, found 0 sat"
    assert "medanchor wallet address" in hint


def test_coins_that_are_not_in_a_block_are_waited_for(clinic):
    clinic.pay(100_000)
    message, hint = refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))
    assert "found 0 sat and 100,000 not yet in a block" in message
    assert hint == "wait until they are in a block"
    clinic.ledger.mine()
    assert core(clinic).fund(PAYLOAD, TERMS)


def test_coins_that_are_locked_are_told_and_how_to_free_them(clinic):
    clinic.receive(100_000)
    core(clinic).fund(PAYLOAD, TERMS)
    message, hint = refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))
    assert "and 1 of its coins are locked" in message
    assert "lockunspent true" in hint


def test_whatever_else_the_wallet_says_is_handed_on(clinic):
    clinic.receive(100_000)
    clinic.methods["walletcreatefundedpsbt"] = raising(RpcFault(-4, "Fee exceeds maximum configured by user"))
    message = refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))[0]
    assert "cannot fund the anchor: Fee exceeds maximum configured by user" in message
    clinic.methods["walletcreatefundedpsbt"] = raising(RpcFault(-8, "Invalid parameter"))
    assert "cannot fund the anchor: Invalid parameter" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))[0]


def test_what_the_wallet_says_at_the_second_try_is_handed_on(clinic):
    answers = [RpcFault(-4, "Insufficient funds"), RpcFault(-1, "std::exception")]
    clinic.methods["walletcreatefundedpsbt"] = lambda *_: raising(answers.pop(0))()
    assert "cannot fund the anchor: std::exception" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))[0]


def test_locks_of_another_type_are_an_error_that_names_the_node(clinic):
    clinic.methods["listlockunspent"] = dict
    assert "expected an array" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS), ChainError)[0]


def test_change_that_waits_is_spent_if_nothing_else_is_there(clinic):
    clinic.receive(100_000)
    wallet = core(clinic)
    first = wallet.prepare(PAYLOAD, TERMS)
    clinic.ledger.submit(first.transaction)
    assert wallet.balance() == Balance(0, 100_000 - first.fee)
    second = wallet.prepare(NEWER, TERMS)
    assert {name for name, _ in spent(second.transaction)} == {txid(first.transaction)}
    clinic.receive(40_000)
    clinic.locked = set()
    third = wallet.prepare(NEWER, TERMS)
    assert not {name for name, _ in spent(third.transaction)} & {txid(first.transaction)}


def test_a_fee_above_the_most_is_refused_and_keeps_no_coin(clinic):
    clinic.receive(100_000)
    message, hint = refusal(lambda: core(clinic).prepare(PAYLOAD, Terms(Decimal(3), 470)))
    assert message == "expected a fee of at most 470 sat, found 471"
    assert "--max-fee" in hint
    assert clinic.locked == set()


@pytest.fixture
def stuck(clinic) -> bytes:
    """Return a transaction of the wallet that waits, at 1 sat/vB."""
    clinic.receive(100_000)
    transaction = core(clinic).prepare(PAYLOAD, Terms(Decimal(1), 500)).transaction
    clinic.ledger.submit(transaction)
    return transaction


@pytest.mark.parametrize("payload", [PAYLOAD, NEWER])
def test_a_stuck_transaction_is_replaced_and_one_of_the_two_is_mined(clinic, stuck, payload):
    payment = core(clinic).prepare(payload, TERMS, replacing=stuck)
    assert payload_of(payment.transaction) == payload
    assert spent(payment.transaction) == spent(stuck)
    assert payment.fee == 3 * 157
    clinic.ledger.submit(payment.transaction)
    assert list(clinic.ledger.mempool) == [txid(payment.transaction)]
    clinic.ledger.mine()
    assert txid(payment.transaction) in clinic.ledger.tip.txids


def test_the_original_may_be_mined_instead(clinic, stuck):
    payment = core(clinic).prepare(NEWER, TERMS, replacing=stuck)
    clinic.ledger.mine(transactions=[stuck])
    with pytest.raises(ChainError):
        clinic.ledger.mine(transactions=[payment.transaction])


@pytest.mark.parametrize("rate", ["0.5", "1", "1.2", "2"])
def test_a_rate_too_low_to_replace_is_raised_to_one_that_does(clinic, stuck, rate):
    payment = core(clinic).prepare(PAYLOAD, Terms(Decimal(rate), 5_000), replacing=stuck)
    least = 157 + 157
    assert least <= payment.fee <= least + 3
    clinic.ledger.min_rate = Decimal(1)  # as nodes before Bitcoin Core 30 ask for
    clinic.ledger.submit(payment.transaction)
    clinic.ledger.min_rate = Decimal("0.1")
    assert list(clinic.ledger.mempool) == [txid(payment.transaction)]


def test_a_replacement_may_be_replaced(clinic, stuck):
    fees = []
    for _ in range(4):
        payment = core(clinic).prepare(PAYLOAD, Terms(Decimal(1), 5_000), replacing=stuck)
        clinic.ledger.submit(payment.transaction)
        fees.append(payment.fee)
        stuck = payment.transaction
    assert fees == sorted(set(fees))


def test_a_replacement_keeps_the_ceiling(clinic, stuck):
    clinic.node.plan()
    message, _ = refusal(lambda: core(clinic).prepare(PAYLOAD, Terms(Decimal(1), 300), replacing=stuck))
    assert "at most 300 sat, found 31" in message
    assert clinic.node.calls.count("walletcreatefundedpsbt") == 1  # what cannot be is not tried


def test_a_replacement_takes_another_coin_if_it_has_to(clinic):
    clinic.receive(600)
    old = core(clinic).prepare(PAYLOAD, Terms(Decimal(1), 5_000)).transaction
    clinic.ledger.submit(old)
    coin = clinic.receive(60_000)
    payment = core(clinic).prepare(PAYLOAD, Terms(Decimal(20), 20_000), replacing=old)
    assert spent(payment.transaction) == spent(old) | {coin}
    assert clinic.locked == {coin}
    clinic.ledger.submit(payment.transaction)
    assert list(clinic.ledger.mempool) == [txid(payment.transaction)]


def test_a_replacement_that_is_not_signed_keeps_no_coin(clinic):
    clinic.receive(600)
    old = core(clinic).prepare(PAYLOAD, Terms(Decimal(1), 5_000)).transaction
    clinic.ledger.submit(old)
    clinic.receive(60_000)
    clinic.passphrase_needed = True
    refusal(lambda: core(clinic).prepare(PAYLOAD, Terms(Decimal(20), 20_000), replacing=old))
    assert clinic.locked == set()


def test_nobody_elses_payment_is_undone(clinic, stuck):
    child = core(clinic).prepare(NEWER, TERMS)
    clinic.ledger.submit(child.transaction)
    message, hint = refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS, replacing=stuck))
    assert "another transaction spends the change" in message
    assert "wait until" in hint


def test_a_transaction_that_the_node_has_dropped_is_replaced(clinic, stuck):
    clinic.ledger.drop(txid(stuck))
    assert core(clinic).prepare(PAYLOAD, TERMS, replacing=stuck).fee == 3 * 157


def test_a_mempool_that_cannot_be_asked_is_told(clinic, stuck):
    clinic.node.methods["getmempoolentry"] = raising(RpcFault(-1, "std::exception"))
    assert "std::exception" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS, replacing=stuck))[0]


def test_what_is_to_be_replaced_has_to_be_a_transaction(clinic):
    assert "what is to be replaced is none" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS, replacing=b"\1"))[0]


def test_a_wallet_that_leaves_out_the_old_coin_replaces_nothing(clinic, stuck):
    clinic.receive(50_000)
    genuine = clinic.walletcreatefundedpsbt
    clinic.methods["walletcreatefundedpsbt"] = lambda _inputs, *rest: genuine([], *rest)
    assert "cannot replace" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS, replacing=stuck))[0]


def test_a_replacement_does_not_spend_what_it_undoes(clinic, stuck):
    change = {"txid": display(txid(stuck)), "vout": 1}
    genuine = clinic.walletcreatefundedpsbt
    clinic.methods["walletcreatefundedpsbt"] = lambda asked, *rest: genuine([*asked, change], *rest)
    assert "cannot replace" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS, replacing=stuck))[0]


def test_a_wallet_that_never_outbids_is_given_up(clinic, stuck):
    genuine = clinic.walletcreatefundedpsbt
    mean = {"add_inputs": True, "change_type": "bech32", "fee_rate": "1", "replaceable": True}
    clinic.methods["walletcreatefundedpsbt"] = lambda asked, outputs, time, _options: genuine(
        asked, outputs, time, mean
    )
    assert "no fee was found" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS, replacing=stuck))[0]


def test_a_coin_that_another_takes_meanwhile_is_left_to_them(clinic):
    coins = {clinic.receive(100_000), clinic.receive(50_000)}
    genuine, taken = clinic.lockunspent, []

    def lockunspent(unlock, transactions):
        if not taken:
            taken.append(clinic._named(transactions[0]))
            genuine(False, transactions)
        return genuine(unlock, transactions)

    clinic.methods["lockunspent"] = lockunspent
    draft = core(clinic).fund(PAYLOAD, TERMS)
    assert spent(draft.transaction) == coins - set(taken)
    assert clinic.locked == coins


def test_coins_that_others_keep_taking_are_not_fought_for(clinic):
    clinic.receive(100_000)
    clinic.methods["lockunspent"] = raising(RpcFault(-8, "Invalid parameter, output already locked"))
    assert "others keep taking" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))[0]
    clinic.methods["lockunspent"] = raising(RpcFault(-4, "Locking coin failed"))
    assert "Locking coin failed" in refusal(lambda: core(clinic).fund(PAYLOAD, TERMS))[0]


@pytest.mark.parametrize("act", ["fund", "balance", "address"])
@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ("main", "mainnet"),
        ("test", "testnet3"),
        ("testnet4", "testnet4"),
        ("signet", "signet"),
        ("liquid", "another one"),
    ],
)
def test_a_wallet_on_another_network_is_refused_by_both_names(clinic, act, chain, found):
    clinic.receive(100_000)
    clinic.node.chain = chain
    wallet = core(clinic)
    message, _ = refusal({"fund": lambda: wallet.fund(PAYLOAD, TERMS)}.get(act) or getattr(wallet, act))
    assert message == f"expected a wallet on regtest, found {wallet.name} on {found}"


def test_addresses_are_new_and_of_the_network(clinic):
    wallet = core(clinic)
    first, second = wallet.address(), wallet.address()
    assert first != second
    assert first.startswith("bcrt1q")


@pytest.mark.parametrize(
    "spelled",
    [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt08a",
        encode("bcrt", 1, bytes(32)),
        *("", "é", None, 7),
    ],
)
def test_an_address_of_another_network_or_none_is_not_shown(clinic, spelled):
    clinic.node.plan(always=results("getnewaddress", spelled))
    message, hint = refusal(core(clinic).address, ChainError)
    assert "the Bitcoin Core node at http://127.0.0.1" in message
    assert hint


def lies(clinic, method: str, change) -> None:
    """Let the wallet's `method` answer what `change` makes of its answer."""
    genuine = clinic.methods[method]
    clinic.methods[method] = lambda *arguments: change(genuine(*arguments))


def with_outputs(change):
    """An answer with the outputs of its PSBT changed."""

    def changed(answer):
        raw = psbts.read(base64.b64decode(answer["psbt"]))
        made = CTransaction.deserialize(raw.whole[b"\x00"])
        outputs = change(list(made.vout))
        raw.whole[b"\x00"] = CTransaction(made.vin, outputs, made.nLockTime, made.nVersion).serialize()
        raw.outputs = [{} for _ in outputs]
        return answer | {"psbt": base64.b64encode(raw.written()).decode()}

    return changed


def test_change_for_somebody_else_is_refused(clinic):
    clinic.receive(100_000)
    thief = CScript(psbts.Key("thief").script)
    lies(clinic, "walletcreatefundedpsbt", with_outputs(lambda outs: [outs[0], CTxOut(outs[1].nValue, thief)]))
    assert "somebody else" in refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS))[0]
    assert clinic.locked == set()


def test_change_to_another_kind_of_address_is_refused(clinic):
    clinic.receive(100_000)
    taproot = CScript(b"\x51\x20" + bytes(32))
    lies(clinic, "walletcreatefundedpsbt", with_outputs(lambda outs: [outs[0], CTxOut(outs[1].nValue, taproot)]))
    assert "somebody else" in refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS))[0]


def test_another_payload_is_refused(clinic):
    clinic.receive(100_000)
    anchor = CTxOut(0, CScript(anchor_script(NEWER)))
    lies(clinic, "walletcreatefundedpsbt", with_outputs(lambda outs: [anchor, outs[1]]))
    assert "does not carry the payload" in refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS))[0]


def test_another_fee_than_the_one_told_is_refused(clinic):
    clinic.receive(100_000)
    lies(clinic, "walletcreatefundedpsbt", lambda answer: answer | {"fee": Decimal("0.00000470")})
    assert "another fee" in refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS))[0]


def test_another_transaction_signed_than_the_one_drafted_is_refused(clinic):
    clinic.receive(100_000)
    lies(clinic, "walletprocesspsbt", with_outputs(lambda outs: outs[::-1]))
    assert "signed another transaction" in refusal(lambda: core(clinic).prepare(PAYLOAD, TERMS))[0]
    assert clinic.locked == set()


def test_a_finished_transaction_without_its_signature_is_refused(clinic):
    clinic.receive(100_000)
    draft = core(clinic).fund(PAYLOAD, TERMS)
    clinic.node.methods["finalizepsbt"] = lambda *_: {"hex": draft.transaction.hex(), "complete": True}
    assert "signature of input 0" in refusal(lambda: core(clinic).finish(draft.psbt))[0]


VALUES = [None, True, False, 0, -1, 1.5, 1e300, "", "é", "\ud800", "00", [], [[]], {}, {"a": 1}]
MEMBERS = {
    "getblockchaininfo": {"chain": "regtest", "blocks": 101},
    "walletcreatefundedpsbt": {"psbt": "cHNidP8=", "fee": 0},
    "getaddressinfo": {"ismine": True, "scriptPubKey": "0014"},
    "walletprocesspsbt": {"psbt": "cHNidP8=", "complete": True},
    "finalizepsbt": {"hex": "00", "complete": True},
    "getbalances": {"mine": {"trusted": 0, "untrusted_pending": 0, "immature": 0}},
    "getbalance": None,
    "getnewaddress": None,
    "getmempoolentry": {"spentby": []},
}
WRONG = [(method, value) for method in MEMBERS for value in VALUES]
WRONG += [
    (method, whole | {name: value})
    for method, whole in MEMBERS.items()
    for name in whole or ()
    for value in VALUES
    if not (name == "ismine" or (name, value) in [("complete", False), ("spentby", []), ("blocks", 0)])
]


def test_answers_of_other_types_are_errors_that_name_the_node(clinic, stuck):
    clinic.receive(100_000)
    wallet = core(clinic)
    acts = {"getbalances": wallet.balance, "getbalance": wallet.balance, "getnewaddress": wallet.address}
    for method, value in WRONG:
        clinic.node.plan(always=results(method, value))
        try:
            acts.get(method, lambda: wallet.prepare(PAYLOAD, TERMS, replacing=stuck))()
        except MedanchorError as error:
            assert error.hint, (method, value)  # noqa: PT017 - the loop goes on
        else:
            assert (method, value) in {("getbalance", 0), ("getbalance", 1.5)}, (method, value)
        assert clinic.locked == set(), (method, value)
    clinic.node.plan()
    assert wallet.prepare(PAYLOAD, TERMS, replacing=stuck)


def test_members_of_other_types_are_named_after_the_node(clinic):
    clinic.node.plan(always=results("getblockchaininfo", {"chain": "regtest", "blocks": "many"}))
    message, _ = refusal(core(clinic).balance, ChainError)
    assert message.startswith("the Bitcoin Core node at http://127.0.0.1")
    assert "expected a whole number" in message


@pytest.mark.parametrize(
    ("value", "satoshi"),
    [
        (Decimal("0E-8"), 0),
        (Decimal("0.00000001"), 1),
        (Decimal("1E-8"), 1),
        (1, 100_000_000),
        (Decimal("20999999.9769"), 2_099_999_997_690_000),
        (Decimal(21_000_000), 2_100_000_000_000_000),
    ],
)
def test_amounts_are_read_exactly(value, satoshi):
    assert coreanswers.satoshi(value) == satoshi


@pytest.mark.parametrize(
    "value",
    [
        *(
            Decimal(text)
            for text in ("-1E-8", "1E-9", "0.000000001", "21000000.00000001", "1E+999999", "NaN", "Infinity")
        ),
        *(True, 0.5, "1", None, 21_000_001, -1),
    ],
)
def test_what_is_no_amount_is_refused(value):
    with pytest.raises(MalformedProofError):
        coreanswers.satoshi(value)


@pytest.mark.parametrize(
    ("network", "address"),
    [
        (Network.MAINNET, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        (Network.TESTNET3, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"),
        (Network.TESTNET4, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"),
        (Network.SIGNET, "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7"),
    ],
)
def test_addresses_are_spelled_as_bip_173_has_them(network, address):
    assert coreanswers.address(address, network) == address
    hashes = {42: "751e76e8199196d454941c45d1b3a323f1433bd6"}
    program = hashes.get(len(address), "1863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262")
    script = bytes([0, len(program) // 2]) + bytes.fromhex(program)
    assert coreanswers.spelled(script, network) == address
    assert coreanswers.spelled(b"\x51\x20" + bytes(32), network) is None
