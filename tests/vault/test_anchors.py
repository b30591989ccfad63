"""Anchors and signers as the vault keeps them."""

from dataclasses import replace

import pytest
from vaulted import another_signer, in_hand, put, signer_of

from medanchor.core.header import Network
from medanchor.core.proof import Anchor, Block, Branch, Coinbase
from medanchor.core.signature import key_id
from medanchor.errors import VaultError
from medanchor.vault.anchors import add_anchor, add_signer, list_anchors, list_signers, put_anchor

TIME = "2026-11-21T18:04:05Z"
EVIDENCE = Anchor(
    block=Block(bytes(80), 102, (b"\x01" * 80,)),
    branch=Branch(1, (b"\x02" * 32,)),
    coinbase=Coinbase((b"\x03" * 32,), b"\x04" * 70),
    network=Network.REGTEST,
    transaction=b"\x05" * 90,
)


def test_an_anchor_is_prepared_then_confirmed_then_lost_then_confirmed(store):
    row = add_anchor(store, 1, b"transaction", 101, TIME)
    assert list_anchors(store) == [row]
    assert row.evidence is None
    for evidence in (EVIDENCE, None, EVIDENCE):
        row = put_anchor(store, replace(row, evidence=evidence))
        assert list_anchors(store) == [row]
        assert row.evidence == evidence


def test_anchors_keep_their_order_and_what_was_prepared(store):
    rows = [add_anchor(store, size, b"transaction %d" % size, 100 + size, TIME) for size in (1, 4, 9)]
    rows[0] = put_anchor(store, replace(rows[0], evidence=EVIDENCE))
    assert list_anchors(store) == rows
    assert [row.number for row in rows] == [1, 2, 3]


def test_evidence_that_is_none_is_not_believed(store):
    row = add_anchor(store, 1, b"transaction", 101, TIME)
    store.database.execute("UPDATE anchor SET evidence = x'7b7d' WHERE id = ?", (row.number,))
    with pytest.raises(VaultError, match=f"the evidence of anchor {row.number} is damaged") as caught:
        list_anchors(store)
    assert caught.value.hint == "run 'medanchor audit'"


def test_whoever_signed_is_remembered_by_the_key(store):
    other = another_signer(store)
    put(store, in_hand({b"a": b"1"}))
    put(store, in_hand({b"a": b"2"}), signer=other)
    own = signer_of(store)
    assert (own.person, other.person) == ("Dr A. Example (physician)", "Dr B. Example (radiologist)")
    people = {key: row.person for key, row in list_signers(store).items()}
    assert people == {
        key_id(own.public): "Dr A. Example (physician)",
        key_id(other.public): "Dr B. Example (radiologist)",
    }


def test_a_key_keeps_its_first_holder(store):
    with store.writing():
        add_signer(store, bytes(32), "Dr A. Example", "")
        add_signer(store, bytes(32), "Dr M. Mallory", "")
    assert list_signers(store)[key_id(bytes(32))].person == "Dr A. Example"
