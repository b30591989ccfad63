"""Blocks as bytes: the Merkle tree against python-bitcoinlib's, branches against the verifier's climb."""

import contextlib

import pytest
from bitcoin.core import CBlock, CMutableTxIn, CMutableTxOut, COutPoint, CTransaction
from hypothesis import given
from hypothesis import strategies as st

from medanchor.chain import blocks
from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import Hash, sha256d
from medanchor.core.header import Header, Network, check_proof_of_work, root_from_branch
from medanchor.errors import ChainError

PAYLOAD = b"MDA1" + bytes(32)
COIN = Hash(b"\x07" * 32)
GENESIS = Hash(bytes(32))


def hashes_of(count: int) -> list[Hash]:
    return [sha256d(number.to_bytes(4, "big")) for number in range(count)]


def spend(number: int) -> bytes:
    return blocks.anchoring_transaction(sha256d(bytes([number])), 1000 + number, PAYLOAD, height=7)


def split(block: bytes) -> tuple[Header, list[bytes]]:
    parsed = CBlock.deserialize(block)
    return Header.parse(block[:80]), [transaction.serialize() for transaction in parsed.vtx]


@pytest.mark.parametrize("count", range(1, 34))
def test_the_merkle_root_is_bitcoinlibs(count):
    hashes = hashes_of(count)
    assert blocks.merkle_root(hashes) == CBlock.build_merkle_tree_from_txids(hashes)[-1]


@pytest.mark.parametrize("count", range(1, 34))
def test_every_branch_climbs_to_the_root(count):
    hashes = hashes_of(count)
    for index, leaf in enumerate(hashes):
        branch = blocks.branch(hashes, index)
        assert branch.index == index
        assert root_from_branch(leaf, branch.index, branch.path) == blocks.merkle_root(hashes)


def test_all_branches_of_a_block_have_one_depth():
    assert {len(blocks.branch(hashes_of(11), index).path) for index in range(11)} == {4}


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_block_holds_its_transactions_and_nothing_else(count):
    wanted = [spend(number) for number in range(count)]
    header, transactions = split(blocks.make_block(blocks.Slot(GENESIS, 1, 1_700_000_000), wanted))
    check_proof_of_work(header, Network.REGTEST)
    assert transactions[1:] == wanted
    assert blocks.holds(header, transactions)
    assert not blocks.holds(header, transactions[:-1] if count else [*transactions, spend(9)])
    assert not blocks.holds(header, [*transactions, spend(9)])


def test_a_changed_witness_is_seen_though_no_txid_changes():
    header, transactions = split(blocks.make_block(blocks.Slot(GENESIS, 1, 1_700_000_000), [spend(1)]))
    changed = transactions[1].replace(b"\x01\x01\x51", b"\x01\x01\x52")
    assert changed != transactions[1]
    assert blocks.id_of(blocks.deserialised(changed)) == blocks.id_of(blocks.deserialised(transactions[1]))
    assert not blocks.holds(header, [transactions[0], changed])


def test_a_changed_reserved_value_is_seen():
    header, transactions = split(blocks.make_block(blocks.Slot(GENESIS, 1, 1_700_000_000), [spend(1)]))
    reserved = transactions[0][-36:-4]
    assert reserved == bytes(32)
    coinbase = transactions[0][:-36] + b"\x01" + reserved[1:] + transactions[0][-4:]
    assert not blocks.holds(header, [coinbase, *transactions[1:]])


def test_only_a_block_without_company_may_lack_a_witness_commitment():
    header, transactions = split(blocks.make_block(blocks.Slot(GENESIS, 1, 1_700_000_000), [spend(1)]))
    bare = blocks.without_witness(blocks.deserialised(transactions[0]))
    assert not blocks.holds(header, [bare, transactions[1]])


@pytest.mark.parametrize(
    ("height", "subsidy"), [(1, 50 * 10**8), (149, 50 * 10**8), (150, 25 * 10**8), (4_949, 1), (4_950, 0), (99_999, 0)]
)
def test_the_subsidy_halves_every_150_blocks(height, subsidy):
    _, transactions = split(blocks.make_block(blocks.Slot(GENESIS, height, 1_700_000_000)))
    assert blocks.deserialised(transactions[0]).vout[0].nValue == subsidy


def test_a_tag_tells_two_empty_blocks_apart():
    place = blocks.Slot(GENESIS, 1, 1_700_000_000)
    tagged = blocks.Slot(GENESIS, 1, 1_700_000_000, tag=b"rival")
    assert blocks.make_block(place) == blocks.make_block(place) != blocks.make_block(tagged)


def test_an_anchoring_transaction_is_one_input_change_and_the_anchor():
    raw = blocks.anchoring_transaction(COIN, 5_000, PAYLOAD, height=101)
    parsed = blocks.deserialised(raw)
    assert (parsed.nVersion, parsed.nLockTime) == (2, 101)
    assert [(spent.prevout.hash, spent.prevout.n, spent.nSequence) for spent in parsed.vin] == [(COIN, 0, 0xFFFFFFFD)]
    assert [(out.nValue, bytes(out.scriptPubKey)) for out in parsed.vout] == [
        (5_000, blocks.OUTPUT_SCRIPT),
        (0, anchor_script(PAYLOAD)),
    ]
    assert len(blocks.without_witness(parsed)) == 141 < len(raw)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_transaction_raise_nothing_but_our_error(raw):
    with contextlib.suppress(ChainError):
        assert len(blocks.id_of(blocks.deserialised(raw))) == 32


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 10, 60, 145])
def test_a_cut_transaction_is_refused(cut):
    with pytest.raises(ChainError, match="expected a serialised transaction"):
        blocks.deserialised(spend(1)[:cut])


def test_a_transaction_with_something_after_it_is_refused():
    with pytest.raises(ChainError, match="expected a serialised transaction"):
        blocks.deserialised(spend(1) + b"\x00")


@pytest.mark.parametrize(
    ("lock_time", "sequence", "height"),
    [
        (0, 0xFFFFFFFD, 1),
        (101, 0xFFFFFFFD, 102),
        (101, 0xFFFFFFFF, 0),
        (500_000_000, 0, 0),
        (499_999_999, 0, 500_000_000),
    ],
)
def test_a_lock_time_tells_the_first_possible_height(lock_time, sequence, height):
    spent = CMutableTxIn(COutPoint(COIN, 0), nSequence=sequence)
    transaction = CTransaction([spent], [CMutableTxOut(0)], nLockTime=lock_time)
    assert blocks.first_possible_height(transaction) == height
