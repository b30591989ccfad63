"""The same proofs as OpenTimestamps files, so that both verify the same evidence (docs/format.md, section 8)."""

from pathlib import Path

from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.op import OpAppend, OpHexlify, OpPrepend, OpSHA256
from opentimestamps.core.serialize import BytesSerializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

from medanchor.core.commitment import TreeHead, commitment
from medanchor.core.hashes import sha256
from medanchor.core.proof import Anchor, Position, Proof, parse_proof
from medanchor.core.statement import parse_envelope
from medanchor.core.verify import ledger_root


def convert(proofs: Path) -> None:
    """Write NAME.ots beside every NAME.medproof below `proofs`, and the header that all of them rest on."""
    for path in proofs.rglob("*.medproof"):
        proof = parse_proof(path.read_bytes())
        path.with_suffix(".ots").write_bytes(detached(proof))
        if proof.anchor:
            (proofs / "header.bin").write_bytes(proof.anchor.block.header)


def detached(proof: Proof) -> bytes:
    """Return the .ots file that proves what `proof` proves; it must be anchored."""
    if proof.anchor is None:
        raise ValueError("the proof is pending")
    start = Timestamp(proof.record.raw)
    leaf = _hashed(start, OpPrepend(b"\0" + proof.record.entry()[:17]))
    root = _climb(leaf, proof.bundle)
    before, after = proof.envelope.split(parse_envelope(proof.envelope).statement.root.hex().encode())
    entry = _hashed(root, OpHexlify(), OpPrepend(b"\0" + before), OpAppend(after))
    head = _climb(entry, proof.ledger)
    size = proof.ledger.size.to_bytes(8, "big")
    bound = _hashed(head, OpPrepend(b"\x02" + sha256(proof.origin.encode()) + size))
    committed = commitment(TreeHead(proof.origin, proof.ledger.size, ledger_root(proof)))
    _attest(bound, proof.anchor, committed)
    context = BytesSerializationContext()
    DetachedTimestampFile(OpSHA256(), start).serialize(context)
    return bytes(context.getbytes())


def _attest(bound: Timestamp, anchor: Anchor, committed: bytes) -> None:
    before, after = anchor.transaction.split(committed)
    node = _hashed(_hashed(bound, OpPrepend(before), OpAppend(after)))
    for level, sibling in enumerate(anchor.branch.path):
        node = _hashed(_hashed(node, OpPrepend(sibling) if anchor.branch.index >> level & 1 else OpAppend(sibling)))
    node.attestations.add(BitcoinBlockHeaderAttestation(anchor.block.height))


def _climb(node: Timestamp, position: Position) -> Timestamp:
    """Climb a tree of RFC 9162, as `medanchor.core.merkle.root_from_inclusion` does."""
    index, last = position.index, position.size - 1
    for sibling in position.path:
        while not index & 1 and index == last:
            index, last = index >> 1, last >> 1
        steps = (OpPrepend(b"\x01" + sibling),) if index & 1 else (OpAppend(sibling), OpPrepend(b"\x01"))
        node = _hashed(node, *steps)
        index, last = index >> 1, last >> 1
    return node


def _hashed(node: Timestamp, *steps: object) -> Timestamp:
    for step in (*steps, OpSHA256()):
        node = node.ops.add(step)
    return node
