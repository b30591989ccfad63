"""Anchoring on the embedded chain: once a head, finished after any break, found again after a reorganisation."""

import pytest

from medanchor.chain.embedded import EmbeddedChain
from medanchor.core.commitment import payload
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.errors import ChainError
from medanchor.notary.anchor import anchored_size, carries_payload, covering, stale, transaction_id
from medanchor.vault.anchors import add_anchor, list_anchors


def test_an_empty_ledger_needs_no_anchor(desk):
    result = desk.anchor()
    assert (result.newest, result.made, list_anchors(desk.store)) == (None, False, [])


def test_one_anchor_covers_everything_before_it(desk):
    for _ in range(3):
        desk.stamp(again=True)
    result = desk.anchor()
    assert (result.made, result.newest.size, anchored_size(desk.store)) == (True, 3, 3)
    assert [covering(desk.store, size) for size in (1, 2, 3, 4)] == [result.newest] * 3 + [None]
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
    assert [covering(desk.store, size).number for size in (1, 2, 3)] == [row.number for row in rows]


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
    lost = stale(desk.store, desk.chain)
    assert [row.number for row in lost] == ([1] if depth >= 2 else [])
    result = desk.anchor()
    assert result.reorganised == result.finished == [row.number for row in lost]
    assert transaction_id(result.newest) == transaction_id(before)
    assert stale(desk.store, desk.chain) == []
    assert desk.damage() == []


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


def test_evidence_for_another_head_is_not_taken_down(desk):
    """A wallet that pays for something else than it was asked for."""

    class Careless(EmbeddedChain):
        def prepare(self, payload):
            return super().prepare(payload[:4] + bytes(32))

    desk.stamp()
    desk.chain.__class__ = Careless
    with pytest.raises(Exception, match="anchors another ledger"):
        desk.anchor()
    assert anchored_size(desk.store) == 0
    assert any("carries another head" in line for line in desk.damage())
