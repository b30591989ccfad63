"""Anchoring on the embedded chain: once a head, finished after any break, found again after a reorganisation."""

import pytest
from desk import CONFIRMATIONS, TIME

from medanchor.chain.embedded import EmbeddedChain
from medanchor.core.commitment import PAYLOAD_MAGIC, payload
from medanchor.core.header import Network
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.errors import ChainError, VaultError, WalletError
from medanchor.notary.standing import anchored_size, carries_payload, covering, stale, transaction_id
from medanchor.vault.anchors import add_anchor, list_anchors


def test_an_empty_ledger_needs_no_anchor(desk):
    result = desk.anchor()
    assert (result.newest, result.made, list_anchors(desk.store)) == (None, False, [])


def test_one_anchor_covers_everything_before_it(desk):
    for _ in range(3):
        desk.stamp(again=True)
    result = desk.anchor()
    assert (result.made, result.newest.size, anchored_size(list_anchors(desk.store))) == (True, 3, 3)
    assert [covering(list_anchors(desk.store), size) for size in (1, 2, 3, 4)] == [result.newest] * 3 + [None]
    head = payload(desk.store.head(3))
    assert anchored_payload(strip_witness(result.newest.transaction)) == head
    assert carries_payload(desk.store, result.newest)


def test_anchoring_twice_pays_once(desk):
    desk.stamp()
    first = desk.anchor()
    height = desk.chain.tip().height
    second = desk.anchor()
    assert (second.newest, second.made, second.finished, second.reorganised) == (first.newest, False, [], [])
    assert desk.chain.tip().height == height


def test_of_several_anchors_the_oldest_that_covers_counts(desk):
    rows = []
    for _ in range(3):
        desk.stamp(again=True)
        rows.append(desk.anchor().newest)
    assert [covering(list_anchors(desk.store), size).number for size in (1, 2, 3)] == [row.number for row in rows]


def test_what_was_prepared_and_never_sent_is_sent_by_the_next_run(desk):
    desk.stamp()
    transaction = desk.chain.prepare(payload(desk.store.head(1)))
    add_anchor(desk.store, 1, transaction, desk.chain.tip().height, "2026-11-21T18:04:05Z")
    result = desk.anchor()
    assert (result.made, result.finished) == (False, [1])
    assert transaction_id(result.newest) == transaction_id(list_anchors(desk.store)[0])
    assert len(list_anchors(desk.store)) == 1


def test_what_was_sent_and_never_noted_is_found_and_not_sent_again(desk):
    desk.stamp()
    transaction = desk.chain.prepare(payload(desk.store.head(1)))
    add_anchor(desk.store, 1, transaction, desk.chain.tip().height, "2026-11-21T18:04:05Z")
    desk.chain.submit(transaction)
    height = desk.chain.tip().height
    result = desk.anchor()
    assert (result.made, result.finished, result.newest.evidence.block.height) == (False, [1], 102)
    assert desk.chain.tip().height == height


@pytest.mark.parametrize("killed_at", range(CONFIRMATIONS))
def test_what_was_killed_between_its_block_and_the_next_ones_gets_them(desk, killed_at):
    desk.stamp()
    transaction = desk.chain.prepare(payload(desk.store.head(1)))
    add_anchor(desk.store, 1, transaction, desk.chain.tip().height, "2026-11-21T18:04:05Z")
    desk.chain.mine(1 + killed_at, [transaction])
    result = desk.anchor()
    assert (result.made, result.finished) == (False, [1])
    assert len(result.newest.evidence.block.successors) == CONFIRMATIONS - 1
    assert desk.chain.tip().height == 101 + CONFIRMATIONS


def test_what_was_prepared_for_less_than_is_anchored_by_now_is_not_paid_for(desk):
    desk.stamp()
    desk.stamp(again=True)
    stale_transaction = desk.chain.prepare(payload(desk.store.head(1)))
    desk.anchor()
    add_anchor(desk.store, 1, stale_transaction, 101, "2026-11-21T18:04:05Z")
    result = desk.anchor()
    assert (result.made, result.finished) == (False, [])


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_an_anchor_that_was_reorganised_away_is_noticed_and_comes_back(desk, depth):
    desk.stamp()
    before = desk.anchor().newest
    desk.chain.reorg(min(depth, desk.chain.tip().height - 1))
    lost = stale(list_anchors(desk.store), desk.chain)
    assert [row.number for row in lost] == ([1] if depth >= 2 else [])
    result = desk.anchor()
    assert result.reorganised == result.finished == [row.number for row in lost]
    assert transaction_id(result.newest) == transaction_id(before)
    assert stale(list_anchors(desk.store), desk.chain) == []
    assert desk.damage() == []


class Behind:
    """A source of blocks that has seen them up to the height `seen` only."""

    def __init__(self, chain, network, seen):
        self._chain, self.network, self.seen = chain, network, seen

    def __getattr__(self, name):
        return getattr(self._chain, name)

    def headers(self, heights):
        found = self._chain.headers(heights)
        return [header if height <= self.seen else None for height, header in zip(heights, found, strict=True)]


def test_evidence_is_kept_while_a_source_has_not_caught_up_with_it(desk):
    desk.stamp()
    newest = desk.anchor().newest
    desk.chain = Behind(desk.chain, Network.TESTNET4, seen=101)
    assert stale(list_anchors(desk.store), desk.chain) == []
    result = desk.anchor()
    assert (result.newest, result.made, result.finished, result.reorganised) == (newest, False, [], [])
    assert list_anchors(desk.store) == [newest]
    desk.chain.reorg(2)
    assert stale(list_anchors(desk.store), desk.chain) == []
    desk.chain.seen = 200
    assert stale(list_anchors(desk.store), desk.chain) == [newest], "it has caught up, and has another block there"


def test_on_regtest_a_chain_that_ends_below_an_anchor_is_another_one(desk):
    desk.stamp()
    newest = desk.anchor().newest
    assert stale(list_anchors(desk.store), Behind(desk.chain, Network.REGTEST, seen=101)) == [newest]


def test_a_chain_that_takes_a_transaction_and_does_not_show_it_is_told(desk):
    class Forgetful(EmbeddedChain):
        def locate(self, *_asked, **_how):
            return None

    desk.stamp()
    desk.chain.__class__ = Forgetful
    with pytest.raises(ChainError, match="does not show it"):
        desk.anchor()
    assert [row.evidence for row in list_anchors(desk.store)] == [None]
    desk.chain.__class__ = EmbeddedChain
    assert desk.anchor().finished == [1]


def test_a_transaction_that_is_none_is_damage_of_the_vault(desk):
    desk.stamp()
    desk.anchor()
    desk.store.database.execute("UPDATE anchor SET transaction_bytes = zeroblob(100)")
    (row,) = list_anchors(desk.store)
    for ask in (transaction_id, lambda row: carries_payload(desk.store, row)):
        with pytest.raises(VaultError, match="the transaction of anchor 1 is damaged") as caught:
            ask(row)
        assert caught.value.hint == "run 'medanchor audit'"


def test_a_wallet_that_pays_for_something_else_is_not_believed(desk):
    class Careless(EmbeddedChain):
        def prepare(self, payload):
            return super().prepare(payload[:4] + bytes(32))

    desk.stamp()
    desk.chain.__class__ = Careless
    with pytest.raises(WalletError, match="carries something else"):
        desk.anchor()
    assert (list_anchors(desk.store), desk.damage()) == ([], [])


def test_a_transaction_that_was_changed_since_it_was_made_is_not_sent(desk):
    desk.stamp()
    other = desk.chain.prepare(PAYLOAD_MAGIC + bytes(32))
    add_anchor(desk.store, 1, other, desk.chain.tip().height, TIME)
    with pytest.raises(VaultError, match="anchor 1 is not about its tree head") as caught:
        desk.anchor()
    assert "medanchor audit" in caught.value.hint
    assert desk.chain.locate(other, since=0, successors=0) is None
    assert any("carries another head" in line for line in desk.damage())


def test_evidence_for_another_head_is_not_taken_down(desk):
    """A source that shows another transaction than the one it was asked for."""

    class Lying(EmbeddedChain):
        def locate(self, _transaction, *, since, successors):  # noqa: ARG002 - whatever is asked
            return super().locate(sent, since=0, successors=successors)

    desk.stamp()
    desk.anchor()
    sent = list_anchors(desk.store)[0].transaction
    desk.stamp(again=True)
    desk.chain.__class__ = Lying
    with pytest.raises(ChainError, match="cannot be believed: the transaction anchors another ledger") as caught:
        desk.anchor()
    assert "medanchor audit" in caught.value.hint
    assert anchored_size(list_anchors(desk.store)) == 1
