"""The numbered steps: each fails where it should, with everything before and after it honestly made."""

import dataclasses

import pytest
from making import (
    KEY,
    ORIGIN,
    around,
    coinbase,
    height_push,
    in_block,
    make_proof,
    make_statement,
    mine,
    position_of,
    transaction,
)
from steps import ENTRIES, HEAD, OTHER, PROOF, RAW, RECORD, ROOT, refused, replaced, signed, with_anchor, witness

from medanchor.core.commitment import Record, TreeHead, anchor_script, payload
from medanchor.core.hashes import sha256d
from medanchor.core.header import Network
from medanchor.core.merkle import leaf_hash, root_of
from medanchor.core.proof import parse_proof, serialise_proof
from medanchor.core.signature import key_id
from medanchor.core.statement import sign_statement
from medanchor.core.verify import (
    Trust,
    TrustLevel,
    check_anchor,
    check_record,
    ledger_root,
    verify,
)
from medanchor.errors import Step, VerificationError


def test_an_honest_proof_yields_what_it_attests():
    found = verify(parse_proof(serialise_proof(PROOF)), RAW, Trust())
    header = PROOF.anchor.block.header
    assert found.statement == make_statement(ROOT, 3)
    assert (found.key_id, found.signer) == (key_id(KEY), None)
    assert (found.network, found.height, found.time) == (Network.REGTEST, 133, 1_795_284_245)
    assert (found.block_hash, found.txid) == (sha256d(header), sha256d(PROOF.anchor.transaction))
    assert (found.level, found.confirmations, found.witness) == (TrustLevel.CONSISTENT, 3, None)


def test_a_trusted_key_is_called_by_its_holders_name():
    assert verify(PROOF, RAW, Trust({key_id(KEY): "Dr Example"})).signer == "Dr Example"
    assert verify(PROOF, RAW, Trust({OTHER: "Dr Other"})).signer is None


@pytest.mark.parametrize("bundle", [2, 3, 9])
@pytest.mark.parametrize("ledger", [3, 8])
@pytest.mark.parametrize("others", [0, 1, 4])
@pytest.mark.parametrize("successors", [0, 1])
def test_proofs_of_many_shapes(bundle, ledger, others, successors):
    proof = make_proof(RAW, bundle=bundle, ledger=ledger, others=others, successors=successors)
    assert verify(proof, RAW, Trust()).confirmations == 1 + successors


@pytest.mark.parametrize("height", [0, 1, 16, 17, 127, 128, 32767, 32768, 8388608])
def test_proofs_at_many_heights(height):
    assert verify(make_proof(RAW, height=height), RAW, Trust()).height == height


def test_an_anchor_in_the_coinbase_itself():
    """A miner may anchor: the block may hold nothing else."""
    both = transaction([anchor_script(payload(HEAD))], script_sig=height_push(133) + b"\x00", position=0xFFFFFFFF)
    lone = in_block(both, both)
    header = mine(bytes(32), sha256d(both))
    anchor = replaced(replaced(lone, "block.header", header), "block.successors", ())
    anchor = replaced(replaced(anchor, "branch.path", ()), "branch.index", 0)
    assert verify(with_anchor(replaced(anchor, "coinbase.path", ())), RAW, Trust()).confirmations == 1


# -- step 1 -----------------------------------------------------------------------------------------------------------


def test_step_1_another_record():
    error = refused(PROOF, Step.RECORD, "the record does not match the proof", raw=OTHER)
    assert error.hint
    with pytest.raises(VerificationError):
        check_record(PROOF, OTHER)
    check_record(PROOF, RAW)


# -- step 2 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("record", Record(0, b"SALT of 16 bytes", RAW)),
        ("record", Record(3, RECORD.salt, RAW, (OTHER, OTHER))),
        ("bundle.index", 0),
        ("bundle.path", (OTHER, PROOF.bundle.path[1])),
        ("bundle.path", PROOF.bundle.path[::-1]),
    ],
)
def test_step_2_another_place_or_another_entry(path, value):
    refused(replaced(PROOF, path, value), Step.BUNDLE, "the record is not in the bundle that was signed")


def test_step_2_the_root_beside_the_payload_is_the_subject():
    """What OpenTimestamps can reach: a payload for one bundle and a hexadecimal root for another must not pass."""
    envelope = PROOF.envelope.replace(b'"records":"' + ROOT.hex().encode(), b'"records":"' + OTHER.hex().encode())
    assert OTHER.hex().encode() in envelope
    proof = around(RECORD, position_of(ENTRIES, 1), envelope)
    refused(proof, Step.BUNDLE, "the root beside the statement's payload is not its subject")
    refused(parse_proof(serialise_proof(proof)), Step.BUNDLE, "is not its subject")


def test_step_2_shape():
    path = PROOF.bundle.path
    refused(replaced(PROOF, "bundle.path", path[1:]), Step.BUNDLE, "expected a path of 2 hashes, found 1")
    refused(replaced(PROOF, "bundle.path", (*path, OTHER)), Step.BUNDLE, "expected a path of 2 hashes, found 3")
    refused(replaced(PROOF, "bundle.index", 3), Step.BUNDLE, "expected an index below the tree size 3, found 3")
    for size in (0, 1, 2, 4, (1 << 63) - 1):
        refused(replaced(PROOF, "bundle.size", size), Step.BUNDLE, "expected a bundle of 3 records as signed, found")


def test_step_2_a_size_that_is_signed_and_not_the_trees():
    """Sizes 3 and 4 climb alike from index 1: a signer who miscounts is held to the root all the same."""
    for size in (5, 9):
        proof = replaced(signed(records=size), "bundle.size", size)
        refused(proof, Step.BUNDLE, "expected a path of")
    refused(signed(records=4), Step.BUNDLE, "expected a bundle of 4 records as signed, found 3")
    refused(signed(root=OTHER), Step.BUNDLE, "the record is not in the bundle that was signed")


# -- step 3 -----------------------------------------------------------------------------------------------------------


def test_step_3_signature_and_key():
    forged = sign_statement(make_statement(ROOT), KEY, lambda _: bytes(64))
    position = position_of(ENTRIES, 1)
    refused(
        around(RECORD, position, forged), Step.STATEMENT, "the signature under the statement is not of the proof's key"
    )
    refused(
        replaced(PROOF, "key", bytes(32)), Step.STATEMENT, "the statement names another key than the proof's signer"
    )


def test_step_0_a_malformed_statement_whoever_made_the_proof():
    """parse_proof has refused it before; a Proof put together by other means is refused for the same reason."""
    position = position_of(ENTRIES, 1)
    refused(around(RECORD, position, b"{}"), Step.FORMAT, "expected a JSON object with the members")
    refused(around(RECORD, position, b"[" * 991 + b"]" * 991), Step.FORMAT, "expected")
    refused(signed(meaning="blessing"), Step.FORMAT, "expected one of authorship, review")


def test_step_3_a_key_of_small_order_signs_nothing():
    key = b"\x01" + bytes(31)
    envelope = sign_statement(make_statement(ROOT), key, lambda _: b"\x01" + bytes(63))
    proof = dataclasses.replace(around(RECORD, position_of(ENTRIES, 1), envelope), key=key)
    refused(proof, Step.STATEMENT, "is not of the proof's key")


# -- step 4 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["other.example", "", "\ud800", "ä"])
def test_step_4_a_statement_for_another_ledger(origin):
    refused(
        replaced(PROOF, "origin", origin), Step.LEDGER, "the statement was made for another ledger than the proof's"
    )
    refused(signed(ledger="other.example"), Step.LEDGER, "for another ledger")


def test_step_4_shape():
    path = PROOF.ledger.path
    refused(replaced(PROOF, "ledger.path", path[1:]), Step.LEDGER, "expected a path of 2 hashes, found 1")
    refused(replaced(PROOF, "ledger.path", (*path, OTHER)), Step.LEDGER, "expected a path of 2 hashes, found 3")
    refused(replaced(PROOF, "ledger.index", 4), Step.LEDGER, "expected an index below the tree size 4, found 4")
    refused(replaced(PROOF, "ledger.size", 0), Step.LEDGER, "expected an index below the tree size 0, found 2")


# -- step 5 -----------------------------------------------------------------------------------------------------------

ANOTHER_STATE = "the transaction anchors another ledger, or another state of it"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ledger.path", (OTHER, PROOF.ledger.path[1])),
        ("ledger.path", PROOF.ledger.path[::-1]),
        ("ledger.index", 3),
        ("ledger.index", 0),
    ],
)
def test_step_5_another_root(path, value):
    refused(replaced(PROOF, path, value), Step.COMMITMENT, ANOTHER_STATE)


def test_step_5_a_size_that_implies_the_same_root():
    """Index 0 of 5 climbs as index 0 of 6 to 8 does: without the size in the commitment these would all verify."""
    entries = [PROOF.envelope, *(b"entry %d" % number for number in range(4))]
    position = position_of(entries, 0)
    head = TreeHead(ORIGIN, 5, root_of([leaf_hash(entry) for entry in entries]))
    anchor = in_block(coinbase(height_push(133) + b"\x00"), transaction([anchor_script(payload(head))]))
    proof = dataclasses.replace(PROOF, ledger=position, anchor=anchor)
    verify(proof, RAW, Trust())
    for size in (6, 7, 8):
        larger = replaced(proof, "ledger.size", size)
        assert ledger_root(larger) == head.root
        refused(larger, Step.COMMITMENT, ANOTHER_STATE)


def test_step_5_the_transaction_of_another_head():
    for head in (TreeHead("other.example", 4, HEAD.root), TreeHead(ORIGIN, 5, HEAD.root), TreeHead(ORIGIN, 4, OTHER)):
        scripts = [anchor_script(payload(head))]
        refused(make_proof(RAW, scripts=scripts), Step.COMMITMENT, ANOTHER_STATE)
    script = anchor_script(payload(HEAD))
    refused(make_proof(RAW, scripts=[b"\x51" * 9]), Step.COMMITMENT, "expected exactly one anchor output, found 0")
    refused(make_proof(RAW, scripts=[script] * 2), Step.COMMITMENT, "expected exactly one anchor output, found 2")


def test_step_5_a_remembered_anchor_is_not_good_for_another_head():
    check_anchor(PROOF.anchor, HEAD)
    with pytest.raises(VerificationError):
        check_anchor(PROOF.anchor, TreeHead(ORIGIN, 5, HEAD.root))


# -- order ------------------------------------------------------------------------------------------------------------


def test_the_first_step_that_fails_is_the_one_that_is_named():
    first, second = PROOF.anchor.block.successors
    damage = [
        (Step.TRUST, "anchor.block.successors", (first, second)),
        (Step.HEADER, "anchor.block.successors", (second, first)),
        (Step.TRANSACTION, "anchor.block.height", 134),
        (Step.COMMITMENT, "ledger.index", 3),
        (Step.LEDGER, "origin", "other.example"),
        (Step.STATEMENT, "key", bytes(32)),
        (Step.BUNDLE, "bundle.index", 0),
    ]
    proof, trust = PROOF, Trust(witness=witness(header=first))
    for step, path, value in damage:
        proof = replaced(proof, path, value)
        refused(proof, step, "", trust=trust)
    refused(proof, Step.RECORD, "", raw=OTHER, trust=trust)
