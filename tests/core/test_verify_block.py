"""Steps 6 to 8: the block, its work, and what is known of the chain; each fails where it should."""

import pytest
from making import (
    block_branch,
    block_root,
    coinbase,
    header_bytes,
    height_push,
    in_block,
    make_proof,
    make_statement,
    mine,
    transaction,
)
from steps import HEAD, OTHER, PROOF, RAW, ROOT, refused, replaced, with_anchor, witness

from medanchor.core.commitment import anchor_script, payload
from medanchor.core.hashes import sha256d
from medanchor.core.header import Network
from medanchor.core.verify import (
    Trust,
    TrustLevel,
    check_evidence,
    verify,
)
from medanchor.errors import PendingError, Step

# -- step 6 -----------------------------------------------------------------------------------------------------------


def test_step_6_another_place_in_the_block():
    proof = make_proof(RAW, others=2)
    branch, coinbase_path = proof.anchor.branch, proof.anchor.coinbase.path
    wrong = (OTHER, *branch.path[1:])
    refused(replaced(proof, "anchor.branch.path", wrong), Step.TRANSACTION, "the transaction is not in the block")
    refused(replaced(proof, "anchor.branch.index", branch.index - 1), Step.TRANSACTION, "the transaction is not in the")
    refused(replaced(proof, "anchor.branch.index", branch.index + 4), Step.TRANSACTION, "index lies outside the block")
    wrong = (OTHER, *coinbase_path[1:])
    refused(replaced(proof, "anchor.coinbase.path", wrong), Step.TRANSACTION, "the coinbase transaction is not in the")
    for path in (coinbase_path[1:], (*coinbase_path, OTHER)):
        message = "the coinbase's branch is not as deep as the transaction's"
        refused(replaced(proof, "anchor.coinbase.path", path), Step.TRANSACTION, message)


def test_step_6_the_second_place_of_a_doubled_transaction():
    proof = make_proof(RAW, others=1)
    refused(replaced(proof, "anchor.branch.index", 3), Step.TRANSACTION, "CVE-2012-2459")


def test_step_6_a_transaction_made_of_inner_nodes():
    """A 64-byte "transaction" is two txids: its branch is one shorter than the coinbase's."""
    anchor = make_proof(RAW, others=2).anchor
    txids = [
        sha256d(anchor.coinbase.transaction),
        sha256d(b"other 0"),
        sha256d(b"other 1"),
        sha256d(anchor.transaction),
    ]
    node = replaced(replaced(anchor, "transaction", txids[2] + txids[3]), "branch.path", anchor.branch.path[1:])
    refused(with_anchor(replaced(node, "branch.index", 1)), Step.TRANSACTION, "transaction")


def test_step_6_a_branch_below_a_transaction():
    """Core's own miner once took a 64-byte transaction; a leaf below it hangs deeper than the coinbase does."""
    buried = transaction([anchor_script(payload(HEAD))], previous=b"\x07" * 32)
    fake = OTHER + sha256d(buried)
    first = coinbase(height_push(133) + b"\x00")
    txids = [sha256d(first), sha256d(fake)]
    anchor = in_block(first, buried, successors=0)
    anchor = replaced(replaced(anchor, "block.header", mine(bytes(32), block_root(txids))), "branch.index", 3)
    anchor = replaced(anchor, "branch.path", (OTHER, *block_branch(txids, 1)))
    anchor = replaced(anchor, "coinbase.path", block_branch(txids, 0))
    refused(with_anchor(anchor), Step.TRANSACTION, "the coinbase's branch is not as deep as the transaction's")


def test_step_6_the_height():
    wrong = replaced(PROOF, "anchor.block.height", 134)
    refused(wrong, Step.TRANSACTION, "expected block height 133 as its coinbase says, found 134")
    for script in ("4dd007" + "01" * 2000, "7600", "021100"):
        found = make_proof(RAW, height=118, script_sig=bytes.fromhex(script))
        refused(found, Step.TRANSACTION, "the coinbase does not begin with a height (BIP 34)")
    first = transaction([b"\x51" * 9], script_sig=height_push(133), position=7)
    anchor = in_block(first, PROOF.anchor.transaction)
    refused(with_anchor(anchor), Step.TRANSACTION, "expected the block's first transaction to be a coinbase")


@pytest.mark.parametrize("path", ["anchor.transaction", "anchor.coinbase.transaction"])
@pytest.mark.parametrize("raw", [b"", bytes(64), bytes(65), PROOF.anchor.transaction + b"\x00"])
def test_step_6_no_transaction_at_all(path, raw):
    refused(replaced(PROOF, path, raw), Step.TRANSACTION, "transaction")


# -- step 7 -----------------------------------------------------------------------------------------------------------


def test_step_7_work():
    root = PROOF.anchor.block.header[36:68]
    lazy = next(
        header for nonce in range(99) if sha256d(header := header_bytes(bytes(32), root, nonce=nonce))[31] >= 0x80
    )
    proof = replaced(replaced(PROOF, "anchor.block.header", lazy), "anchor.block.successors", ())
    refused(proof, Step.HEADER, "the block header does not meet its own proof of work")
    for network in set(Network) - {Network.REGTEST}:
        refused(replaced(PROOF, "anchor.network", network), Step.HEADER, f"a difficulty that {network} does not allow")


def test_step_7_successors():
    first, second = PROOF.anchor.block.successors
    for wrong, number in (((second,), 1), ((second, first), 1), ((first, first), 2), ((first, second, second), 3)):
        refused(replaced(PROOF, "anchor.block.successors", wrong), Step.HEADER, f"successor {number} does not follow")


# -- step 8, and what is pending --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [TrustLevel.HEADER_CHAIN, TrustLevel.CONFIRMED])
@pytest.mark.parametrize(("tip", "confirmations"), [(133, 1), (140, 8)])
def test_step_8_a_witness_confirms(level, tip, confirmations):
    found = verify(PROOF, RAW, Trust(witness=witness(level=level, tip=tip)))
    assert (found.level, found.confirmations, found.witness) == (level, confirmations, "the clinic's node")


def test_step_8_a_witness_contradicts():
    trust = Trust(witness=witness(header=PROOF.anchor.block.successors[0]))
    error = refused(PROOF, Step.TRUST, "block 133 of the proof is not the one the clinic's node has", trust=trust)
    assert "reorganised" in error.hint
    trust = Trust(witness=witness(network=Network.MAINNET))
    refused(PROOF, Step.TRUST, "the proof is anchored on regtest, the clinic's node is on mainnet", trust=trust)


def test_step_8_one_bit_of_the_header_is_another_block():
    header = bytearray(PROOF.anchor.block.header)
    header[0] ^= 1
    refused(PROOF, Step.TRUST, "is not the one", trust=Trust(witness=witness(header=bytes(header))))


def test_step_8_a_witness_that_has_not_come_so_far_cannot_say():
    with pytest.raises(
        PendingError, match="the clinic's node ends at height 132, below the proof's block 133"
    ) as caught:
        verify(PROOF, RAW, Trust(witness=witness(tip=132, header=None)))
    assert caught.value.hint == "let it catch up, then verify again"


def test_a_pending_proof_is_judged_as_far_as_it_goes():
    pending = with_anchor(None)
    assert check_evidence(pending) == make_statement(ROOT, 3)
    with pytest.raises(PendingError, match="the proof is not anchored yet") as caught:
        verify(pending, RAW, Trust(witness=witness()))
    assert "medanchor anchor" in caught.value.hint
    refused(pending, Step.RECORD, "", raw=OTHER)
    refused(replaced(pending, "bundle.index", 0), Step.BUNDLE, "")
    refused(replaced(pending, "key", bytes(32)), Step.STATEMENT, "")
    refused(replaced(pending, "ledger.index", 4), Step.LEDGER, "")
