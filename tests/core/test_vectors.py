"""The frozen proofs of format version 1, which another implementation made: they must verify for ever."""

import dataclasses
import json

import pytest
from making import NAMES, VECTORS, pending_bytes, proof_bytes, record_digest
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.serialize import BytesDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

from medanchor.core.hashes import sha256
from medanchor.core.header import Header, Network
from medanchor.core.proof import parse_anchor, parse_proof, serialise_anchor, serialise_proof
from medanchor.core.statement import parse_envelope
from medanchor.core.verify import Trust, TrustLevel, Witness, verify
from medanchor.errors import PendingError, Step, VerificationError

PINNED = {
    "anchor-output-first": (137, 2, 3, 2),
    "block-of-six": (130, 7, 6, 5),
    "empty-record": (128, 2, 2, 3),
    "last-of-1000": (126, 2, 1000, 8),
    "one-record-one-entry": (121, 2, 1, 1),
    "three-levels": (123, 3, 13, 9),
}
"""Height, confirmations in the file, records in the bundle, entries in the ledger."""


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_proof_verifies(name):
    found = verify(parse_proof(proof_bytes(name)), record_digest(name), Trust())
    height, confirmations, *sizes = PINNED[name]
    assert (found.network, found.height, found.confirmations) == (Network.REGTEST, height, confirmations)
    assert (found.level, found.signer) == (TrustLevel.CONSISTENT, None)
    assert (found.statement.records, parse_proof(proof_bytes(name)).ledger.size) == tuple(sizes)


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_proof_verifies_against_its_block(name):
    proof = parse_proof(proof_bytes(name))
    tip = proof.anchor.block.height + 5
    known = Witness(TrustLevel.CONFIRMED, "a node", Network.REGTEST, tip, proof.anchor.block.header)
    found = verify(proof, record_digest(name), Trust(witness=known))
    assert (found.level, found.confirmations) == (TrustLevel.CONFIRMED, 6)
    with pytest.raises(VerificationError) as caught:
        verify(proof, record_digest(name), Trust(witness=dataclasses.replace(known, header=bytes(80))))
    assert caught.value.step is Step.TRUST


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_proof_is_written_as_it_was(name):
    proof = parse_proof(proof_bytes(name))
    assert serialise_proof(proof) == proof_bytes(name)
    anchor = serialise_anchor(proof.anchor)
    assert anchor in proof_bytes(name)
    assert parse_anchor(anchor) == proof.anchor


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_proof_proves_no_other_record(name):
    for other in set(NAMES) - {name}:
        with pytest.raises(VerificationError) as caught:
            verify(parse_proof(proof_bytes(name)), record_digest(other), Trust())
        assert caught.value.step is Step.RECORD


@pytest.mark.parametrize("name", NAMES)
def test_opentimestamps_reads_the_same_out_of_the_same_record(name):
    """Their library, their operations: from the record's bytes to our header's Merkle root."""
    data = (VECTORS / f"{name}.bin.ots").read_bytes()
    detached = DetachedTimestampFile.deserialize(BytesDeserializationContext(data))
    proof = parse_proof(proof_bytes(name))
    assert detached.file_digest == record_digest(name) == proof.record.raw
    [(digest, attestation)] = detached.timestamp.all_attestations()
    assert isinstance(attestation, BitcoinBlockHeaderAttestation)
    assert attestation.height == proof.anchor.block.height
    assert digest == Header.parse(proof.anchor.block.header).merkle_root


def test_what_each_vector_pins():
    proofs = {name: parse_proof(proof_bytes(name)) for name in NAMES}
    one, levels, last = (proofs[name] for name in ("one-record-one-entry", "three-levels", "last-of-1000"))
    assert (one.bundle.path, one.ledger.path, one.bundle.size, one.ledger.size) == ((), (), 1, 1)
    assert (levels.bundle.size, levels.ledger.size, len(levels.anchor.block.successors)) == (13, 9, 2)
    assert (last.bundle.index, last.bundle.size, last.ledger.index, last.ledger.size) == (999, 1000, 7, 8)
    six = proofs["block-of-six"].anchor.branch
    assert (six.index, len(six.path)) == (4, 3)
    assert (VECTORS / "empty-record.bin").read_bytes() == b""
    first = proofs["anchor-output-first"].anchor.transaction
    assert first.index(b"\x6a\x24MDA1") < first.index(b"\x22\x00\x20")
    assert all(proof.record.kind == 0 for proof in proofs.values())


def test_the_pending_vector_is_the_same_proof_before_its_anchor():
    pending = parse_proof(pending_bytes())
    assert pending.anchor is None
    assert serialise_proof(pending) == pending_bytes()
    with pytest.raises(PendingError):
        verify(pending, record_digest("three-levels"), Trust())
    anchored = parse_proof(proof_bytes("three-levels"))
    assert pending.record == anchored.record
    assert dataclasses.replace(anchored, anchor=None, ledger=pending.ledger) == pending


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_envelope_holds_nothing_but_what_is_read(name):
    proof = parse_proof(proof_bytes(name))
    envelope = parse_envelope(proof.envelope)
    outer = json.loads(proof.envelope)
    assert outer["records"] == envelope.statement.root.hex()
    assert envelope.statement.ledger == proof.origin
    assert outer["signatures"][0]["keyid"] == envelope.key_id.hex() == sha256(proof.key).hex()
