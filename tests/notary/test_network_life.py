"""The life of an anchor on a network that others mine: sent, stuck, replaced, reorganised, conflicted, settled."""

import shutil
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from loopback_ledger import Ledger, inputs, parsed, txid
from market import Killed, Market
from vaulted import make_vault, signer_of

from medanchor.errors import ChainError, MedanchorError, TransactionRefusedError, UsageError, WalletError
from medanchor.notary.anchor import Policy
from medanchor.vault.store import Store


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    """A chain with some coins that are mature."""
    directory = tmp_path_factory.mktemp("young") / "chain"
    ledger = Ledger(directory)
    ledger.mine(12)
    ledger.chain.close()
    return directory


def market_at(directory, young):
    shutil.copytree(young, directory / "chain")
    vault = make_vault(directory / "vault")
    with Store(vault) as store:
        signer = signer_of(store)
    return Market(vault, Ledger(directory / "chain"), signer)


@pytest.fixture
def market(tmp_path, young):
    market = market_at(tmp_path, young)
    yield market
    market.store.close()


@pytest.fixture
def sent(market):
    """A market with one head on its way."""
    market.stamp()
    market.anchor()
    return market


def test_an_anchor_is_sent_once_and_followed_until_it_is_settled(market):
    market.stamp()
    first = market.anchor()
    assert (first.made, first.confirmed, market.states()) == (True, False, ["sent"])
    again = market.anchor()
    assert (again.made, again.bumped, len(market.pool())) == (False, False, 1)
    market.ledger.mine()
    assert (market.anchor().finished, market.states()) == ([1], ["confirmed"])
    market.ledger.mine(2)
    settled = market.anchor()
    assert (settled.made, settled.finished, market.states()) == (False, [], ["settled"])
    assert len(settled.newest.evidence.block.successors) == 2
    assert market.mined(1) == 1


def test_with_nothing_to_do_one_question_is_asked(sent):
    sent.ledger.mine(3)
    sent.anchor()
    before = sent.calls.count
    sent.anchor()
    assert sent.calls.count - before == 1


def test_of_settled_anchors_only_the_highest_is_asked_about(market, monkeypatch):
    for _ in range(4):
        market.stamp()
        market.anchor()
        market.ledger.mine(3)
        market.anchor()
    asked = []
    monkeypatch.setattr(
        market.chain, "headers", lambda heights: asked.extend(heights) or market.ledger.chain.headers(heights)
    )
    market.anchor()
    assert asked == [market.rows()[-1].evidence.block.height]


@pytest.mark.parametrize("depth", range(1, 7))
def test_after_a_reorganisation_all_that_it_undid_is_found(market, depth):
    for _ in range(3):
        market.stamp()
        market.anchor()
        market.ledger.mine(2)
    market.anchor()
    lost = sum(1 for row in market.rows() if row.evidence.block.height > market.ledger.tip.height - depth)
    market.ledger.reorg(depth)
    assert len(market.anchor().reorganised) == lost
    for _ in range(4):
        market.ledger.mine()
        market.anchor()
    assert market.states() == ["settled"] * 3
    assert [market.mined(size) for size in (1, 2, 3)] == [1, 1, 1]


def test_what_no_source_has_any_more_is_sent_again(sent):
    sent.ledger.drop(txid(sent.pool()[0]))
    assert not sent.pool()
    sent.anchor()
    assert [txid(raw) for raw in sent.pool()] == [txid(sent.rows()[0].transaction)]


def test_one_that_waits_for_too_long_pays_more(sent):
    sent.ledger.mine(2, transactions=[])
    result = sent.anchor()
    assert (result.bumped, result.made, sent.states()) == (True, False, ["replaced", "sent"])
    old, new = sent.rows()
    assert new.sending.fee >= old.sending.fee * Decimal("1.25")
    assert (new.sending.replaces, inputs(old.transaction)) == (old.number, inputs(new.transaction))
    assert len(sent.pool()) == 1
    assert sent.anchor().bumped is False, "its own time has just begun"
    sent.ledger.mine(3)
    assert (sent.anchor().finished, sent.states()) == ([2], ["replaced", "settled"])
    assert sent.mined(1) == 1


def test_the_estimate_counts_if_it_is_higher(sent):
    sent.ledger.mine(2, transactions=[])
    sent.chain.rate = Decimal(50)
    sent.anchor()
    assert sent.rows()[1].sending.fee >= 50 * 140


def test_the_original_may_be_mined_instead(sent):
    original = sent.pool()[0]
    sent.ledger.mine(2, transactions=[])
    sent.anchor()
    sent.ledger.mine(transactions=[original])
    assert sent.anchor().finished == [1]
    sent.ledger.mine(2)
    sent.anchor()
    assert sent.states() == ["settled", "abandoned"]
    assert sent.mined(1) == 1


def test_nobody_pays_more_than_the_ceiling(sent):
    sent.policy = Policy(confirmations=3, bump_after=1, max_fee_rate=3)
    for _ in range(6):
        sent.ledger.mine(transactions=[])
        sent.anchor()
    fees = [row.sending.fee for row in sent.rows()]
    assert len(fees) == 3
    assert fees == sorted(fees)
    assert fees[-1] <= 3 * 145
    sent.policy = Policy(confirmations=3, bump_after=1, max_fee=fees[-1] + 100)
    sent.ledger.mine(transactions=[])
    assert sent.anchor().bumped is False


def test_a_fee_rate_above_the_limit_stops_before_anything_is_made(market):
    market.stamp()
    market.chain.rate = Decimal(101)
    with pytest.raises(WalletError, match=r"fee rate is 101.0 sat/vB, above the limit of 100") as caught:
        market.anchor()
    assert "--max-fee-rate" in caught.value.hint
    assert (market.rows(), market.wallet.made) == ([], [])


def test_a_newer_head_gets_a_transaction_of_its_own(sent):
    sent.stamp()
    assert sent.anchor().made
    assert sent.states() == ["sent", "sent"]
    sent.ledger.mine(3)
    sent.anchor()
    assert (sent.states(), sent.mined(1), sent.mined(2)) == (["settled", "settled"], 1, 1)


def test_an_older_one_is_let_go_when_a_newer_one_is_settled(sent):
    sent.stamp()
    sent.anchor()
    older, newer = sent.rows()
    sent.ledger.mine(3, transactions=[newer.transaction])
    sent.ledger.drop(txid(older.transaction))
    sent.anchor()
    assert sent.states() == ["abandoned", "settled"]
    before = sent.calls.count
    sent.anchor()
    assert sent.calls.count - before == 1
    assert sent.pool() == []


def test_a_coin_spent_elsewhere_for_good_is_replaced_by_another(sent):
    (coin,) = inputs(sent.pool()[0])
    sent.ledger.mempool.clear()
    rival = sent.ledger.spend([], coin=coin)
    sent.ledger.mine(transactions=[rival])
    result = sent.anchor()
    assert (result.made, sent.states()) == (True, ["conflicted", "sent"])
    sent.ledger.mine(3)
    sent.anchor()
    assert (sent.states(), sent.mined(1)) == (["conflicted", "settled"], 1)


def test_the_child_of_one_that_no_mempool_has_room_for_is_not_given_up(sent):
    """It spends the change of what was sent before it; while that may still be mined, so may this one."""
    parent = sent.pool()[0]
    sent.stamp()
    change = (txid(parent), len(parsed(parent).vout) - 1)
    sent.wallet.coin = change
    assert sent.anchor().made
    child = sent.rows()[1]
    assert inputs(child.transaction) == [change]
    sent.ledger.drop(txid(parent))
    sent.ledger.min_rate = Decimal(5)
    with pytest.raises(ChainError) as caught:
        sent.anchor()
    assert not isinstance(caught.value, TransactionRefusedError)
    assert sent.states() == ["sent", "sent"]
    sent.ledger.min_rate = Decimal("0.1")
    sent.anchor()
    assert {txid(raw) for raw in sent.pool()} == {txid(parent), txid(child.transaction)}
    sent.ledger.mine(3)
    sent.anchor()
    assert (sent.mined(1), sent.mined(2)) == (1, 1)


def test_a_coin_spent_by_what_only_waits_is_no_reason_to_pay_again(sent):
    (coin,) = inputs(sent.pool()[0])
    sent.ledger.mempool.clear()
    sent.ledger.submit(sent.ledger.spend([], coin=coin, fee=50_000))
    for _ in range(2):
        with pytest.raises(ChainError) as caught:
            sent.anchor()
        assert not isinstance(caught.value, TransactionRefusedError)
    assert len(sent.rows()) == 1


def test_one_that_pays_too_little_waits_for_a_better_day_unless_it_is_the_newest(sent):
    sent.ledger.mempool.clear()
    sent.ledger.min_rate = Decimal(5)
    with pytest.raises(ChainError, match="min relay fee not met"):
        sent.anchor()
    sent.stamp()
    sent.chain.rate = Decimal(6)
    assert sent.anchor().made
    assert [txid(raw) for raw in sent.pool()] == [txid(sent.rows()[1].transaction)]


def live(market):
    """Stamp, anchor, be stuck, be replaced, be reorganised, settle; every run may be killed and is run again."""
    market.stamp()
    steps = [lambda: None, lambda: market.ledger.mine(2, transactions=[]), market.ledger.mine]
    steps += [lambda: market.ledger.reorg(2), lambda: market.ledger.mine(3)]
    for step in steps:
        step()
        for _ in range(2):
            try:
                market.anchor()
            except Killed:
                market.anchor()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_call_nothing_is_paid_twice(market, tmp_path, after):
    live(market)
    total = market.calls.count
    assert total > 30
    for deadly in range(1, total + 1):
        another = Market(make_vault(tmp_path / f"vault-{deadly}"), market.ledger, market.signer)
        with another.store as store:
            another.signer = signer_of(store)
            another.calls.deadly, another.calls.after = deadly, after
            live(another)
            assert another.calls.count >= deadly
            assert (another.mined(1), another.states()[-1]) == (1, "settled"), deadly


# Keys elsewhere


def test_a_draft_is_signed_elsewhere_and_sent(market):
    market.stamp()
    drafted = market.draft().newest
    assert (market.states(), market.pool()) == (["unsigned"], [])
    assert market.draft().newest.sending.psbt == drafted.sending.psbt, "the same one again"
    assert market.anchor().newest.number == 1, "cron has nothing to do"
    result = market.complete(drafted.sending.psbt)
    assert (result.made, market.states(), len(market.pool())) == (True, ["sent"], 1)
    with pytest.raises(UsageError, match="did not draft that transaction, or has sent it already"):
        market.complete(drafted.sending.psbt)
    market.ledger.mine(3)
    assert market.draft().newest.evidence
    assert market.mined(1) == 1


def test_a_newer_head_takes_the_coin_of_a_draft_that_nobody_signed(market):
    market.stamp()
    first = market.draft().newest
    market.stamp()
    second = market.draft().newest
    assert (second.size, second.sending.replaces) == (2, first.number)
    assert inputs(first.transaction) == inputs(second.transaction)
    market.complete(second.sending.psbt)
    with pytest.raises(MedanchorError):
        market.complete(first.sending.psbt)
    market.ledger.mine(3)
    market.anchor()
    assert (market.mined(1), market.mined(2), market.states()[1]) == (0, 1, "settled")


def test_a_stuck_one_is_drafted_again_for_more(market):
    market.stamp()
    market.complete(market.draft().newest.sending.psbt)
    market.ledger.mine(2, transactions=[])
    again = market.draft().newest
    assert (again.sending.replaces, market.states()) == (1, ["sent", "unsigned"])
    market.complete(again.sending.psbt)
    assert (market.states(), len(market.pool())) == (["replaced", "sent"], 1)


def test_one_broadcast_by_whoever_signed_it_is_found(market):
    market.stamp()
    drafted = market.draft().newest
    market.ledger.submit(market.wallet.finish(drafted.sending.psbt))
    market.ledger.mine(3)
    assert market.anchor().finished == [1]
    assert market.states() == ["settled"]


class Years(RuleBasedStateMachine):
    """Whatever happens in whatever order: for no head are two transactions in the best chain, and in the end all is."""

    @initialize(data=st.data())
    def begin(self, data):
        self.market = data.draw(st.just(None)) or Years.make()

    @rule()
    def stamp(self):
        self.market.stamp()

    @rule(deadly=st.integers(0, 12), after=st.booleans())
    def anchor(self, deadly, after):
        calls = self.market.calls
        calls.deadly, calls.after = calls.count + deadly if deadly else None, after
        with suppress(Killed, ChainError, WalletError):
            self.market.anchor()
        calls.deadly = None

    @rule(count=st.integers(1, 3))
    def mine(self, count):
        self.market.ledger.mine(count)

    @rule(count=st.integers(1, 3))
    def mine_others(self, count):
        self.market.ledger.mine(count, transactions=[])

    @rule(depth=st.integers(1, 4))
    def reorganise(self, depth):
        self.market.ledger.reorg(depth)

    @precondition(lambda self: self.market.ledger.mempool)
    @rule()
    def forget(self):
        self.market.ledger.drop(next(iter(self.market.ledger.mempool)))

    @rule(rate=st.integers(1, 120))
    def fees(self, rate):
        self.market.chain.rate = Decimal(rate)

    @invariant()
    def nothing_is_paid_twice(self):
        if hasattr(self, "market"):
            assert all(self.market.mined(size) <= 1 for size in range(1, self.market.store.size() + 1))

    def teardown(self):
        if not hasattr(self, "market"):
            return
        self.market.chain.rate = Decimal(1)
        for _ in range(12):
            self.market.ledger.mine(1)
            with suppress(ChainError):
                self.market.anchor()
        assert not self.market.store.size() or self.market.anchor().confirmed
        self.market.store.close()


def test_years(tmp_path, young):
    numbers = iter(range(10_000))
    Years.make = staticmethod(lambda: market_at(tmp_path / str(next(numbers)), young))
    from hypothesis.stateful import run_state_machine_as_test

    checks = list(HealthCheck)
    run_state_machine_as_test(
        Years, settings=settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=checks)
    )
