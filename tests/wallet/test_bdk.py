"""The vault's own wallet, end to end: Bitcoin Core's rules mine what it makes, however it learns of its coins."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from loopback_ledger import RefusedError, parsed
from ownwallets import NEWER, PAYLOAD, TERMS, WAYS, World, payload_of, script_of, spent

from medanchor.core.header import Network
from medanchor.errors import ChainError, WalletError
from medanchor.wallet.draft import virtual_size
from medanchor.wallet.errand import Start
from medanchor.wallet.library import library
from medanchor.wallet.wallet import Balance, CoinWallet, Terms

EVERY_WAY = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(autouse=True)
def clean(world):
    yield
    world.esplora.plan()
    world.electrum.plan()
    world.ledger.mine()


def refusal(act) -> str:
    with pytest.raises(WalletError) as caught:
        act()
    assert caught.value.hint
    return caught.value.message


@EVERY_WAY
def test_what_is_prepared_is_mined(world, way):
    wallet = world.wallet(way)
    checked: CoinWallet = wallet
    assert (checked.network, checked.name) == (Network.REGTEST, "this vault's own wallet")
    wallet.receive(100_000)
    assert wallet.balance() == Balance(100_000, 0)
    payment = wallet.prepare(PAYLOAD, TERMS)
    world.mined(payment.transaction)
    assert payload_of(payment.transaction) == PAYLOAD
    assert wallet.balance() == Balance(100_000 - payment.fee, 0)


@pytest.mark.parametrize("rate", [Decimal("0.11"), Decimal(1), Decimal("1.25"), Decimal("299.9")])
def test_an_anchor_is_small_replaceable_and_not_to_be_sniped(world, rate):
    wallet = world.wallet()
    wallet.receive(100_000)
    payment = wallet.prepare(PAYLOAD, Terms(rate, 50_000))
    transaction = parsed(payment.transaction)
    assert virtual_size(payment.transaction) <= 160
    wanted = rate * virtual_size(payment.transaction)
    assert wanted <= payment.fee <= wanted * Decimal("1.02") + 2
    assert [spend.nSequence for spend in transaction.vin] == [0xFFFFFFFD]
    assert transaction.nLockTime == world.ledger.tip.height
    assert len(transaction.vout) == 2


@EVERY_WAY
def test_words_restore_all_of_it(world, way):
    wallet = world.wallet(way)
    wallet.receive(100_000, 20_000, 3_000)
    payment = wallet.prepare(PAYLOAD, TERMS)
    world.mined(payment.transaction)
    restored = world.wallet(way, wallet.secret)
    assert restored.balance() == wallet.balance() == Balance(123_000 - payment.fee, 0)
    assert [moved.transaction for moved in restored.movements()] == [moved.transaction for moved in wallet.movements()]
    world.mined(restored.prepare(NEWER, TERMS).transaction)


@EVERY_WAY
@pytest.mark.parametrize("payload", [PAYLOAD, NEWER], ids=["the same", "a newer one"])
def test_a_replacement_spends_the_same_coin_and_pays_more(world, way, payload):
    wallet = world.wallet(way)
    wallet.receive(100_000, 100_000)
    first = wallet.prepare(PAYLOAD, TERMS)
    world.ledger.submit(first.transaction)
    wallet.on_their_way = [first.transaction]
    second = wallet.prepare(payload, Terms(Decimal(1), 5_000), replacing=first.transaction)
    assert spent(second.transaction) == spent(first.transaction)
    assert second.fee >= first.fee + virtual_size(second.transaction)
    world.ledger.submit(second.transaction)
    wallet.on_their_way = [first.transaction, second.transaction]
    third = wallet.prepare(payload, Terms(Decimal(9), 5_000), replacing=second.transaction)
    assert third.fee / virtual_size(third.transaction) >= 9
    world.mined(third.transaction)
    assert payload_of(third.transaction) == payload
    with pytest.raises(RefusedError):
        world.ledger.submit(first.transaction)
    assert wallet.balance().confirmed == 200_000 - third.fee


def test_one_that_was_never_seen_by_anybody_can_be_replaced(world):
    wallet = world.wallet()
    wallet.receive(100_000)
    first = wallet.prepare(PAYLOAD, TERMS)
    second = wallet.prepare(NEWER, TERMS, replacing=first.transaction)
    assert spent(second.transaction) == spent(first.transaction)
    world.mined(second.transaction)


def test_a_replacement_takes_a_confirmed_coin_more_if_it_must(world):
    wallet = world.wallet()
    wallet.receive(700)
    first = wallet.prepare(PAYLOAD, Terms(Decimal(1), 5_000))
    world.ledger.submit(first.transaction)
    refusal(lambda: wallet.prepare(PAYLOAD, Terms(Decimal(20), 50_000), replacing=first.transaction))
    wallet.receive(50_000)
    world.ledger.submit(first.transaction)
    second = wallet.prepare(PAYLOAD, Terms(Decimal(20), 50_000), replacing=first.transaction)
    assert spent(second.transaction) > spent(first.transaction)
    world.mined(second.transaction)


def test_what_cannot_be_replaced_is_told(world):
    wallet, other = world.wallet(), world.wallet()
    wallet.receive(100_000)
    other.receive(100_000)
    first = wallet.prepare(PAYLOAD, TERMS)
    assert "not this wallet's" in refusal(lambda: other.prepare(PAYLOAD, TERMS, replacing=first.transaction))
    assert "cannot be read" in refusal(lambda: other.prepare(PAYLOAD, TERMS, replacing=b"\0" * 80))
    world.ledger.submit(first.transaction)
    child = wallet.prepare(NEWER, TERMS)
    world.ledger.submit(child.transaction)
    assert "spent from already" in refusal(lambda: wallet.prepare(NEWER, TERMS, replacing=first.transaction))
    world.ledger.mine()
    assert "a block holds" in refusal(lambda: wallet.prepare(PAYLOAD, TERMS, replacing=first.transaction))


@EVERY_WAY
def test_anchors_follow_each_other_without_waiting_for_blocks(world, way):
    wallet = world.wallet(way)
    wallet.receive(100_000)
    fees = 0
    for payload in (PAYLOAD, NEWER, PAYLOAD):
        payment = wallet.prepare(payload, TERMS)
        world.ledger.submit(payment.transaction)
        wallet.on_their_way = [*wallet.on_their_way, payment.transaction]
        fees += payment.fee
    assert wallet.balance() == Balance(0, 100_000 - fees)
    world.ledger.mine()
    assert wallet.balance() == Balance(100_000 - fees, 0)


@EVERY_WAY
def test_a_reorganisation_is_followed(world, way):
    wallet = world.wallet(way)
    wallet.receive(100_000)
    payment = wallet.prepare(PAYLOAD, TERMS)
    world.mined(payment.transaction)
    left = 100_000 - payment.fee
    assert wallet.balance() == Balance(left, 0)
    wallet.on_their_way = [payment.transaction]
    world.ledger.reorg(1)
    assert wallet.balance() == Balance(0, left)
    world.ledger.mine()
    assert wallet.balance() == Balance(left, 0)


def test_a_promise_of_somebody_else_is_not_spent(world):
    wallet = world.wallet()
    world.ledger.submit(world.ledger.spend([(90_000, script_of(wallet.address()))]))
    assert wallet.balance() == Balance(0, 90_000)
    message = refusal(lambda: wallet.prepare(PAYLOAD, TERMS))
    assert "0 sat in blocks, 90,000 more on their way: an anchor at 3 sat/vB takes about 480" in message
    world.ledger.mine()
    world.mined(wallet.prepare(PAYLOAD, TERMS).transaction)


def test_drafts_take_different_coins_as_long_as_there_are(world):
    wallet = world.wallet()
    wallet.receive(50_000, 60_000, 70_000)
    drafts = [wallet.fund(PAYLOAD, TERMS) for _ in range(3)]
    assert len({coin for draft in drafts for coin in spent(draft.transaction)}) == 3
    again = wallet.fund(PAYLOAD, TERMS)
    assert spent(again.transaction) == spent(drafts[0].transaction)  # the largest one
    assert wallet.balance() == Balance(180_000, 0)


def test_two_at_once_take_turns_and_different_coins(world):
    wallet = world.wallet()
    wallet.receive(50_000, 50_000, 50_000, 50_000)
    with ThreadPoolExecutor(4) as pool:
        payments = [job.result() for job in [pool.submit(wallet.prepare, PAYLOAD, TERMS) for _ in range(4)]]
    assert len({coin for payment in payments for coin in spent(payment.transaction)}) == 4
    for payment in payments:
        world.ledger.submit(payment.transaction)
    world.ledger.mine()
    assert wallet.balance() == Balance(200_000 - sum(payment.fee for payment in payments), 0)


def test_the_fee_stays_below_its_ceiling(world):
    wallet = world.wallet()
    wallet.receive(100_000)
    message = refusal(lambda: wallet.prepare(PAYLOAD, Terms(Decimal(100), 10_000)))
    assert "expected a fee of at most 10,000 sat, found 1" in message
    assert wallet.balance() == Balance(100_000, 0)


def test_change_that_is_worth_nothing_goes_to_the_miner(world):
    wallet = world.wallet()
    wallet.receive(500)
    payment = wallet.prepare(PAYLOAD, TERMS)
    assert payment.fee == 500
    world.mined(payment.transaction)


def test_an_address_serves_until_it_is_used_and_nobody_is_asked_for_it(world):
    wallet = world.wallet()
    world.esplora.plan()
    first = wallet.address()
    assert wallet.address() == first
    assert not world.esplora.requests
    wallet.receive(1_000)
    wallet.balance()
    assert wallet.address() != first


def test_however_long_it_is_used_it_asks_about_a_few_addresses(world):
    wallet = world.wallet()
    wallet.receive(100_000)
    for _ in range(4):
        world.mined(wallet.prepare(PAYLOAD, TERMS).transaction)
    world.esplora.plan()
    wallet.balance()
    assert len([request for request in world.esplora.requests if "scripthash" in request.path]) == 2


def test_its_transactions_are_listed_the_newest_first(world):
    wallet = world.wallet()
    wallet.receive(40_000)
    mined = wallet.prepare(PAYLOAD, TERMS)
    world.mined(mined.transaction)
    height = world.ledger.tip.height
    waiting = wallet.prepare(NEWER, TERMS)
    world.ledger.submit(waiting.transaction)
    newest, anchor, received = wallet.movements()
    left = 40_000 - mined.fee
    assert (newest.transaction, newest.height, newest.fee) == (waiting.transaction, None, waiting.fee)
    assert (anchor.height, anchor.spent, anchor.received, anchor.fee) == (height, 40_000, left, mined.fee)
    assert (received.height, received.spent, received.received, received.fee) == (height - 1, 0, 40_000, None)


def test_a_coin_at_a_far_address_is_spent(world):
    wallet = world.wallet()
    bdk = library()
    with wallet._opened() as opened:
        far = opened.wallet.reveal_addresses_to(bdk.KeychainKind.EXTERNAL, 300)[-1]
        opened.keep()
    wallet.balance()
    world.ledger.fund(far.address.script_pubkey().to_bytes(), 30_000)
    world.mined(wallet.prepare(PAYLOAD, TERMS).transaction)


@pytest.mark.parametrize("depth", [0, 1, 20])
def test_peers_are_asked_from_the_birthday_on(world, depth):
    wallet = world.wallet("peers")
    wallet.receive(10_000)
    height = world.ledger.tip.height
    world.ledger.mine(20)
    block = world.ledger.best[height - 1 + depth]
    young = world.wallet("peers", wallet.secret, start=Start(block.height, block.hash))
    assert young.balance() == Balance(10_000 if depth == 0 else 0, 0)


def test_what_was_received_while_nobody_looked_is_found(world):
    wallet = world.wallet("electrum")
    address = script_of(wallet.address())
    wallet.balance()
    for satoshi in (1_000, 2_000, 3_000):
        world.ledger.fund(address, satoshi)
    assert wallet.balance() == Balance(6_000, 0)
    assert wallet.rescan() == Balance(6_000, 0)


@EVERY_WAY
@pytest.mark.parametrize("depth", [6, 30])
def test_a_deep_reorganisation_is_followed_or_told_and_mended(world, way, depth):
    wallet = world.wallet(way)
    wallet.receive(20_000)
    world.ledger.mine(depth)
    payment = wallet.prepare(PAYLOAD, TERMS)
    world.mined(payment.transaction)
    world.ledger.mine(depth - 1)
    left = 20_000 - payment.fee
    assert wallet.balance() == Balance(left, 0)
    world.ledger.reorg(depth)
    wallet.on_their_way = [payment.transaction]
    if (way, depth) == ("peers", 30):
        with pytest.raises(ChainError) as caught:
            wallet.balance()
        assert "'medanchor wallet rescan'" in caught.value.hint
        assert wallet.rescan() == Balance(0, left)
    assert wallet.balance() == Balance(0, left)
    world.ledger.mine()
    assert wallet.balance() == Balance(left, 0)


def test_a_replacement_that_is_never_sent_leaves_the_other_where_it_was(world):
    wallet = world.wallet()
    wallet.receive(100_000)
    first = wallet.prepare(PAYLOAD, TERMS)
    world.ledger.submit(first.transaction)
    left = 100_000 - first.fee
    assert wallet.balance() == Balance(0, left)
    wallet.prepare(NEWER, Terms(Decimal(9), 5_000), replacing=first.transaction)
    assert wallet.balance() == Balance(0, left)
    child = wallet.prepare(NEWER, TERMS)
    world.ledger.submit(child.transaction)
    world.ledger.mine()
    assert wallet.balance() == Balance(left - child.fee, 0)
