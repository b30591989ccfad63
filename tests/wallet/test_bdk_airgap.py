"""Keys that never touch this machine: what is written for them, and what is taken back."""

import base64
import re

import bdkpython
import pytest
from ownwallets import NEWER, PAYLOAD, TERMS, WAYS, World, payload_of

from medanchor.core.header import Network
from medanchor.core.transaction import strip_witness
from medanchor.errors import WalletError
from medanchor.wallet.bdk import sign
from medanchor.wallet.descriptors import from_words, new_words
from medanchor.wallet.psbt import read_psbt


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def wallet(world):
    """A wallet that only watches; `secret` is what the other machine has."""
    wallet = world.wallet(watches=True)
    wallet.receive(100_000)
    return wallet


def refusal(act) -> str:
    with pytest.raises(WalletError) as caught:
        act()
    assert caught.value.hint
    return f"{caught.value.message}: {caught.value.hint}"


def outcome(act) -> object:
    try:
        return act()
    except WalletError as error:
        return "refused" if error.hint else error


@pytest.mark.parametrize("way", WAYS)
def test_what_is_signed_elsewhere_is_mined(world, way):
    wallet = world.wallet(way, watches=True)
    wallet.receive(100_000)
    draft = wallet.fund(PAYLOAD, TERMS)
    assert payload_of(draft.transaction) == PAYLOAD
    transaction = wallet.finish(sign(draft.psbt, wallet.secret, Network.REGTEST))
    assert strip_witness(transaction) == draft.transaction
    world.mined(transaction)
    assert wallet.balance().confirmed == 100_000 - draft.fee


def test_it_prepares_nothing_and_says_what_to_do_instead(wallet):
    assert "medanchor anchor --psbt FILE" in refusal(lambda: wallet.prepare(PAYLOAD, TERMS))


def test_in_base64_it_is_the_same(world, wallet):
    draft = wallet.fund(PAYLOAD, TERMS)
    world.mined(wallet.finish(base64.b64encode(sign(draft.psbt, wallet.secret, Network.REGTEST)) + b"\n"))


def test_a_finalised_one_is_taken_as_well(world, wallet):
    draft = wallet.fund(PAYLOAD, TERMS)
    signed = bdkpython.Psbt(base64.b64encode(sign(draft.psbt, wallet.secret, Network.REGTEST)).decode())
    world.mined(wallet.finish(signed.finalize().psbt.serialize().encode()))


def test_what_comes_along_lets_any_signer_check_the_fee(wallet):
    """The whole transaction that made the coin, and which key spends it."""
    draft = wallet.fund(PAYLOAD, TERMS)
    (spent,) = bdkpython.Psbt(base64.b64encode(draft.psbt).decode()).input()
    assert spent.non_witness_utxo is not None
    assert spent.bip32_derivation
    assert read_psbt(draft.psbt).fee == draft.fee


def test_a_draft_can_be_replaced_by_another(world, wallet):
    first = wallet.finish(sign(wallet.fund(PAYLOAD, TERMS).psbt, wallet.secret, Network.REGTEST))
    world.ledger.submit(first)
    second = wallet.fund(NEWER, TERMS, replacing=first)
    world.mined(wallet.finish(sign(second.psbt, wallet.secret, Network.REGTEST)))


def test_what_nobody_signed_is_refused(wallet):
    draft = wallet.fund(PAYLOAD, TERMS)
    assert "signature of input 0 is missing" in refusal(lambda: wallet.finish(draft.psbt))
    other = sign(draft.psbt, new_words(), Network.REGTEST)
    assert "signature of input 0 is missing" in refusal(lambda: wallet.finish(other))


@pytest.mark.parametrize("finalised", [False, True])
def test_a_changed_signature_is_refused(wallet, finalised):
    signed = sign(wallet.fund(PAYLOAD, TERMS).psbt, wallet.secret, Network.REGTEST)
    if finalised:
        parsed = bdkpython.Psbt(base64.b64encode(signed).decode()).finalize().psbt
        signed = base64.b64decode(parsed.serialize())
    at = re.search(rb"\x30[\x3e-\x46]\x02[\x1c-\x21]", signed).start() + 10
    changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
    assert "signature of input 0" in refusal(lambda: wallet.finish(changed))


@pytest.mark.parametrize("data", [b"", b"psbt\xff", b"not a psbt", b"cHNidP8BAHEC"])
def test_what_is_no_psbt_is_refused(wallet, data):
    assert "PSBT" in refusal(lambda: wallet.finish(data))


def test_every_byte_that_is_changed_is_refused_or_changes_nothing(wallet):
    signed = sign(wallet.fund(PAYLOAD, TERMS).psbt, wallet.secret, Network.REGTEST)
    right = wallet.finish(signed)
    changed = (signed[:at] + bytes([signed[at] ^ 0x41]) + signed[at + 1 :] for at in range(0, len(signed), 3))
    assert {outcome(lambda data=data: wallet.finish(data) == right) for data in changed} == {True, "refused"}


def test_the_descriptors_are_all_it_needs(world, wallet):
    again = world.wallet(descriptors=from_words(wallet.secret, Network.REGTEST), watches=True)
    assert again.balance() == wallet.balance()
