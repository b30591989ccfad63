"""Verification, in the numbered steps of docs/format.md section 7; one function a step.

Step 0 is `core.proof.parse_proof`. Step 1 takes the digest of the record in hand, which the caller computes, because it
reads the file. Step 8 takes what the caller knows of the chain: a checked chain of headers, or a source that it asked.
Each step recomputes something and compares it with what is already believed; nothing in a proof says how.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from medanchor.core.commitment import Content, Kind, TreeHead, payload
from medanchor.core.hashes import Hash
from medanchor.core.header import (
    Header,
    Network,
    check_links,
    check_proof_of_work,
    parse_headers,
    root_from_branch,
    work_of,
)
from medanchor.core.ladder import Likeness, accepting, compare
from medanchor.core.merkle import leaf_hash, root_from_inclusion
from medanchor.core.proof import Anchor, Block, Proof
from medanchor.core.signature import key_id
from medanchor.core.statement import Envelope, Statement, parse_envelope, verify_envelope
from medanchor.core.transaction import anchored_payload, coinbase_height, parse_transaction, txid
from medanchor.errors import PendingError, Step, VerificationError


class TrustLevel(IntEnum):
    """Where the block header is known from (docs/format.md, section 7)."""

    CONSISTENT = 1
    HEADER_CHAIN = 2
    CONFIRMED = 3


@dataclass(frozen=True, slots=True)
class Witness:
    """What the verifier knows of the best chain, apart from the proof.

    `level` is HEADER_CHAIN for headers checked by the full rules from a checkpoint, CONFIRMED for a source that was
    asked. `name` is how a sentence calls it; `header` the 80 bytes at the anchor's height in the chain, None above its
    `tip`.
    """

    level: TrustLevel
    name: str
    network: Network
    tip: int
    header: bytes | None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom and what the verifier believes: key id → the name of its holder, and what is known of the chain."""

    signers: Mapping[Hash, str] = field(default_factory=dict)
    witness: Witness | None = None


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a proof that passed every step yields. `time` is the block's, in Unix seconds.

    `work` is how many hashes the headers in the proof took, its block's and those after it: so many would somebody need
    who made them up. Nothing is said about a chain that has more.
    """

    statement: Statement
    key_id: Hash
    signer: str | None
    network: Network
    height: int
    block_hash: Hash
    txid: Hash
    time: int
    confirmations: int
    level: TrustLevel
    witness: str | None
    work: int


def verify(proof: Proof, raw: Hash, trust: Trust) -> Attestation:
    """Return what `proof` attests about the record whose SHA-256 is `raw`, believing only `trust`.

    Raises VerificationError with the first step that failed, and PendingError for a proof that has no anchor yet or an
    anchor above the tip that `trust` knows. Never calls a proof verified at level 1: the caller reads `level`.
    """
    check_record(proof, raw)
    statement = check_evidence(proof)
    if proof.anchor is None:
        raise PendingError(
            "the proof is not anchored yet",
            hint="run 'medanchor anchor' where it was stamped, then export the proof again",
        )
    header = check_anchor(proof.anchor, TreeHead(proof.origin, proof.ledger.size, ledger_root(proof)))
    level, confirmations = check_trust(proof.anchor, trust.witness)
    return Attestation(
        statement=statement,
        key_id=key_id(proof.key),
        signer=trust.signers.get(key_id(proof.key)),
        network=proof.anchor.network,
        height=proof.anchor.block.height,
        block_hash=header.block_hash,
        txid=txid(proof.anchor.transaction),
        time=header.time,
        confirmations=confirmations,
        level=level,
        witness=trust.witness.name if trust.witness else None,
        work=_work(proof.anchor.block),
    )


@lru_cache(maxsize=16)
def _work(block: Block) -> int:
    return sum(work_of(Header.parse(raw).bits) for raw in (block.header, *block.successors))


def check_record(proof: Proof, raw: Hash) -> None:
    """Step 1, RECORD: the digest of the record in hand is the one in the proof. Raises VerificationError."""
    if raw != proof.record.raw:
        raise VerificationError(
            "the record does not match the proof: its bytes have another SHA-256",
            step=Step.RECORD,
            hint="was the record edited after it was stamped, or is this the proof of another record?",
        )


def check_content(proof: Proof, found: Content, accepted: frozenset[str] = frozenset()) -> Likeness:
    """Step 1, RECORD, for a document: return how like it is to the record in the proof, by the digests of its parts.

    Raises VerificationError if it is not the same content, and differs in more than what a reviewer `accepted`.
    """
    likeness = compare(proof.record.content, found)
    if likeness.within(accepted):
        return likeness
    if proof.record.kind == Kind.BYTES:
        check_record(proof, found.raw)
    if not likeness.parts:
        raise VerificationError(
            "the record does not match the proof: what it says was changed, not only how it is written",
            step=Step.RECORD,
            hint="was the record edited after it was stamped, or is this the proof of another record?",
        )
    raise VerificationError(
        f"{likeness.rung}: not as in the record that was stamped: {', '.join(likeness.parts)}",
        step=Step.RECORD,
        hint=f"where a reviewer finds that harmless: --accept {accepting(likeness.parts)}",
    )


def check_evidence(proof: Proof) -> Statement:
    """Steps 2 to 4, BUNDLE, STATEMENT and LEDGER: the record's leaf is in a bundle that `proof.key` signed for.

    Returns the statement, which is only believed once step 3 has passed. Raises VerificationError with the first of
    these steps that failed.
    """
    check_bundle(proof, parse_envelope(proof.envelope))
    statement = verify_envelope(proof.envelope, proof.key)
    if statement.ledger != proof.origin:
        raise VerificationError("the statement was made for another ledger than the proof's", step=Step.LEDGER)
    ledger_root(proof)
    return statement


def check_bundle(proof: Proof, envelope: Envelope) -> None:
    """Step 2, BUNDLE: the root implied by the entry is the statement's subject, and the sizes agree.

    Raises VerificationError.
    """
    statement, position = envelope.statement, proof.bundle
    if envelope.root != statement.root:
        raise VerificationError("the root beside the statement's payload is not its subject", step=Step.BUNDLE)
    if position.size != statement.records:
        raise VerificationError(
            f"expected a bundle of {statement.records} records as signed, found {position.size}", step=Step.BUNDLE
        )
    leaf = leaf_hash(proof.record.entry())
    if root_from_inclusion(leaf, position.index, position.size, position.path, step=Step.BUNDLE) != statement.root:
        raise VerificationError("the record is not in the bundle that was signed", step=Step.BUNDLE)


def ledger_root(proof: Proof) -> Hash:
    """Step 4, LEDGER: return the root that the envelope, at its place in the ledger, implies.

    Nothing is compared with it before step 5. Raises VerificationError if that place is outside the ledger's tree, or
    if the path has not the length of the climb from it.
    """
    return _ledger_root(proof.envelope, proof.ledger.index, proof.ledger.size, proof.ledger.path)


@lru_cache(maxsize=128)
def _ledger_root(envelope: bytes, index: int, size: int, path: tuple[Hash, ...]) -> Hash:
    return root_from_inclusion(leaf_hash(envelope), index, size, path, step=Step.LEDGER)


@lru_cache(maxsize=128)
def check_anchor(anchor: Anchor, head: TreeHead) -> Header:
    """Steps 5 to 7, COMMITMENT, TRANSACTION and HEADER: `anchor` ties `head` to a block header, which is returned.

    Remembered, because the records of a day share it. Raises VerificationError with the first of these steps that
    failed.
    """
    check_commitment(anchor, head)
    header = Header.parse(anchor.block.header)
    check_transaction(anchor, header)
    check_header(anchor, header)
    return header


def check_commitment(anchor: Anchor, head: TreeHead) -> None:
    """Step 5, COMMITMENT: the tree head's commitment is what the transaction's one anchor output carries.

    Raises VerificationError; a transaction that cannot be read is told as step 6.
    """
    if anchored_payload(anchor.transaction) != payload(head):
        raise VerificationError("the transaction anchors another ledger, or another state of it", step=Step.COMMITMENT)


def check_transaction(anchor: Anchor, header: Header) -> None:
    """Step 6, TRANSACTION: the transaction is in the block, at its depth, and the block is at its height.

    A forged "transaction" made of inner nodes needs a branch of another depth than the coinbase's, which the coinbase's
    own bytes pin: together with the 64-byte rule this settles the known weakness of Bitcoin's tree. Raises
    VerificationError.
    """
    parse_transaction(anchor.transaction)
    branch, coinbase = anchor.branch, anchor.coinbase
    if len(coinbase.path) != len(branch.path):
        raise VerificationError("the coinbase's branch is not as deep as the transaction's", step=Step.TRANSACTION)
    if root_from_branch(txid(anchor.transaction), branch.index, branch.path) != header.merkle_root:
        raise VerificationError("the transaction is not in the block", step=Step.TRANSACTION)
    height = coinbase_height(coinbase.transaction)
    if root_from_branch(txid(coinbase.transaction), 0, coinbase.path) != header.merkle_root:
        raise VerificationError("the coinbase transaction is not in the block", step=Step.TRANSACTION)
    if height != anchor.block.height:
        raise VerificationError(
            f"expected block height {height} as its coinbase says, found {anchor.block.height}", step=Step.TRANSACTION
        )


def check_header(anchor: Anchor, header: Header) -> None:
    """Step 7, HEADER: the header has its proof of work, and the successors follow it. Raises VerificationError."""
    check_proof_of_work(header, anchor.network)
    check_links(header, parse_headers(anchor.block.successors), anchor.network)


def check_trust(anchor: Anchor, witness: Witness | None) -> tuple[TrustLevel, int]:
    """Step 8, TRUST: return where the header is known from, and how many blocks confirm the transaction.

    With no witness that is level 1 and what the proof itself holds. A witness whose chain has another block at the
    height contradicts the proof (VerificationError); one whose tip is below it cannot say (PendingError).
    """
    if witness is None:
        return TrustLevel.CONSISTENT, 1 + len(anchor.block.successors)
    if witness.network != anchor.network:
        raise VerificationError(
            f"the proof is anchored on {anchor.network}, {witness.name} is on {witness.network}",
            step=Step.TRUST,
            hint=f"ask a source of blocks of {anchor.network}",
        )
    if witness.header is None:
        raise PendingError(
            f"{witness.name} ends at height {witness.tip}, below the proof's block {anchor.block.height}",
            hint="let it catch up, then verify again",
        )
    if witness.header != anchor.block.header:
        raise VerificationError(
            f"block {anchor.block.height} of the proof is not the one {witness.name} has at that height",
            step=Step.TRUST,
            hint="the block was reorganised away, or never was: run 'medanchor anchor' and export the proof again",
        )
    return witness.level, witness.tip - anchor.block.height + 1
