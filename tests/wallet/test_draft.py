"""Drafts and signed transactions that are not what was asked for: each is refused, whoever made it."""

from decimal import Decimal

import psbts
import pytest
from bitcoin.core import COutPoint, CTransaction, CTxIn, CTxOut
from bitcoin.core.script import CScript
from loopback_ledger import virtual_size as another_virtual_size

from medanchor.core.commitment import anchor_script
from medanchor.errors import WalletError
from medanchor.wallet.draft import check_draft, check_fee, check_signed, signed_size, virtual_size
from medanchor.wallet.psbt import Psbt, outputs_of, read_psbt
from medanchor.wallet.wallet import Draft, Terms

PAYLOAD = b"MDA1" + b"\x07" * 32
ANCHOR = (0, anchor_script(PAYLOAD))
TERMS = Terms(Decimal("2.5"), 1_000)
KEYS = {key.script: key for key in (psbts.Key(f"draft {number}") for number in range(4))}
OWN = list(KEYS)
ANYBODY = b"\x00\x20" + bytes.fromhex("4ae81572f06e1b88fd5ced7a1a000945432e83e1551e6f721ee9c00b8cc33260")  # OP_TRUE


def made(paid: list[tuple[int, bytes]], coins: list[tuple[int, bytes]] | None = None) -> Psbt:
    coins = coins or [(100_000, OWN[0])]
    spends = [CTxIn(COutPoint(bytes([number + 1]) * 32, 0), nSequence=0xFFFFFFFD) for number in range(len(coins))]
    outputs = [CTxOut(value, CScript(script)) for value, script in paid]
    return read_psbt(psbts.version_0(CTransaction(spends, outputs, nVersion=2), coins).written())


def signed(psbt: Psbt) -> bytes:
    transaction = CTransaction.deserialize(psbt.transaction)
    stacks = [
        (KEYS[coin.script].sign(transaction, number, coin.value), KEYS[coin.script].public)
        if coin.script in KEYS
        else (b"\x51",)
        for number, coin in enumerate(psbt.coins)
    ]
    return psbts.complete(transaction, stacks)


def checked(psbt: Psbt, *, terms: Terms = TERMS, exact: bool = True) -> Draft:
    return check_draft(psbt, PAYLOAD, terms, own=OWN.__contains__, exact=exact)


def refusal(psbt: Psbt, **options) -> str:
    with pytest.raises(WalletError) as caught:
        checked(psbt, **options)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("paid", [[ANCHOR, (99_600, OWN[1])], [(99_600, OWN[1]), ANCHOR], [ANCHOR, (99_600, OWN[0])]])
def test_an_anchor_with_change_is_a_draft(paid):
    psbt = made(paid)
    assert checked(psbt) == Draft(psbt.data, psbt.transaction, 400)


@pytest.mark.parametrize(
    "script",
    [
        b"\x76\xa9\x14" + bytes(20) + b"\x88\xac",
        b"\xa9\x14" + bytes(20) + b"\x87",
        b"\x21" + b"\x02" * 33 + b"\xac",
    ],
    ids=["P2PKH", "P2SH", "P2PK"],
)
def test_a_coin_that_needs_a_signature_in_the_id_is_refused(script):
    psbt = made([ANCHOR, (199_600, OWN[1])], [(100_000, OWN[0]), (100_000, script)])
    assert "changes the transaction's id" in refusal(psbt)


@pytest.mark.parametrize(
    "paid",
    [
        [(99_600, OWN[1])],
        [(0, anchor_script(b"MDA1" + bytes(32))), (99_600, OWN[1])],
        [ANCHOR, ANCHOR, (99_600, OWN[1])],
        [ANCHOR, (0, anchor_script(b"MDA1" + bytes(32))), (99_600, OWN[1])],
        [(1, ANCHOR[1]), (99_600, OWN[1])],
        [(0, b"\x6a\x4c\x24" + PAYLOAD), (99_600, OWN[1])],
    ],
    ids=["none", "of another head", "twice", "and of another head", "that burns money", "in another spelling"],
)
def test_an_anchor_that_is_not_the_one_is_refused(paid):
    assert "does not carry the payload" in refusal(made(paid))


@pytest.mark.parametrize("script", [ANYBODY, b"\x6a\x04text", psbts.Key("thief").script])
def test_paying_somebody_else_is_refused(script):
    assert "somebody else" in refusal(made([ANCHOR, (1_000, script), (98_600, OWN[1])]))


def test_a_fee_above_the_most_is_refused():
    psbt = made([ANCHOR, (98_999, OWN[1])])
    assert "at most 1,000 sat, found 1,001" in refusal(psbt, exact=False)
    assert checked(made([ANCHOR, (99_000, OWN[1])]), exact=False).fee == 1_000


def test_more_spent_than_there_is_is_refused():
    assert "more than it has" in refusal(made([ANCHOR, (100_001, OWN[1])]))
    with pytest.raises(WalletError):
        check_fee(-1, TERMS)


def test_a_rate_that_nobody_asked_for_is_refused_but_where_it_may_be():
    size = signed_size(made([ANCHOR, (99_600, OWN[1])]))
    most = int(size * (TERMS.rate * Decimal("1.1") + 1)) + 1
    assert checked(made([ANCHOR, (100_000 - most, OWN[1])])).fee == most
    dear = made([ANCHOR, (100_000 - most - 1, OWN[1])])
    assert "expected a fee rate of about 2.5 sat/vB" in refusal(dear)
    assert checked(dear, exact=False).fee == most + 1


def test_what_is_too_little_to_give_back_may_go_to_the_miner():
    assert checked(made([ANCHOR], [(999, OWN[0])])).fee == 999


def test_a_signed_transaction_is_believed():
    psbt = made([ANCHOR, (199_600, OWN[1])], [(100_000, OWN[0]), (50_000, OWN[2]), (50_000, ANYBODY)])
    assert check_signed(psbt, signed(psbt)) == signed(psbt)


def not_signed(psbt: Psbt, transaction: bytes) -> str:
    with pytest.raises(WalletError) as caught:
        check_signed(psbt, transaction)
    assert caught.value.hint
    return caught.value.message


def test_a_missing_signature_is_named():
    psbt = made([ANCHOR, (149_600, OWN[1])], [(100_000, OWN[0]), (50_000, OWN[2])])
    transaction = CTransaction.deserialize(psbt.transaction)
    one = (KEYS[OWN[0]].sign(transaction, 0, 100_000), KEYS[OWN[0]].public)
    assert "signature of input 1 is missing" in not_signed(psbt, psbts.complete(transaction, [one, ()]))
    assert "signature of input 0 is missing" in not_signed(psbt, psbt.transaction)


def test_witnesses_that_are_all_empty_are_none():
    psbt = made([ANCHOR, (99_600, OWN[1])])
    raw = psbt.transaction
    empty = raw[:4] + b"\x00\x01" + raw[4:-4] + b"\x00" + raw[-4:]
    assert "signature of input 0" in not_signed(psbt, empty)


def test_no_bit_of_a_signature_may_be_another():
    psbt = made([ANCHOR, (99_600, OWN[1])])
    whole = signed(psbt)
    start = whole.index(psbt.transaction[4:-4]) + len(psbt.transaction) - 8
    for place in range(start, len(whole) - 4):
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        assert not_signed(psbt, damaged)


def test_a_signature_for_a_coin_of_another_value_does_not_hold():
    told = made([ANCHOR, (99_600, OWN[1])])
    true = made([ANCHOR, (99_600, OWN[1])], [(900_000, OWN[0])])
    assert told.transaction == true.transaction
    assert "does not hold" in not_signed(true, signed(told))


def test_another_transaction_is_refused():
    psbt, other = made([ANCHOR, (99_600, OWN[1])]), made([ANCHOR, (99_599, OWN[1])])
    assert "another one" in not_signed(psbt, signed(other))
    assert "another one" in not_signed(psbt, b"")
    assert "another one" in not_signed(psbt, signed(psbt) + b"\0")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_sizes_are_those_of_the_signed_transaction(count):
    psbt = made([ANCHOR, (99_600, OWN[1])], [(100_000, OWN[number % 4]) for number in range(count)])
    size = virtual_size(signed(psbt))
    assert size == another_virtual_size(signed(psbt))
    assert size <= signed_size(psbt) <= size + count
    assert count > 1 or size <= 157


def test_sizes_of_other_coins_are_rather_too_large():
    stripped = len(made([ANCHOR, (99_600, OWN[1])]).transaction)
    assert signed_size(made([ANCHOR, (99_600, OWN[1])], [(100_000, b"\x51\x20" + bytes(32))])) == stripped + 17
    assert signed_size(made([ANCHOR, (99_600, OWN[1])], [(100_000, ANYBODY)])) == stripped + 101


def test_what_is_no_transaction_has_no_size():
    with pytest.raises(WalletError):
        virtual_size(b"no transaction")
    with pytest.raises(WalletError):
        outputs_of(b"no transaction")
