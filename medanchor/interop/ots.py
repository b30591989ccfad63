"""OpenTimestamps files (.ots): a proof written as the one that proves the same, and any of them read.

The library `opentimestamps` (LGPL) runs their operations. Importing this module imports it, so that is done only with a
file at hand. What the library would let pass is refused here. docs/format.md, section 8, tells the way from a record to
a block; `existence` judges what was read.
"""

import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from opentimestamps.core.dubious.notary import EthereumBlockHeaderAttestation
from opentimestamps.core.notary import (
    BitcoinBlockHeaderAttestation,
    LitecoinBlockHeaderAttestation,
    PendingAttestation,
    TimeAttestation,
)
from opentimestamps.core.op import (
    Op,
    OpAppend,
    OpHexlify,
    OpKECCAK256,
    OpPrepend,
    OpRIPEMD160,
    OpSHA1,
    OpSHA256,
)
from opentimestamps.core.serialize import (
    BadMagicError,
    BytesDeserializationContext,
    BytesSerializationContext,
    DeserializationError,
    RecursionLimitError,
    TrailingGarbageError,
    TruncationError,
)
from opentimestamps.core.timestamp import DetachedTimestampFile, Timestamp

from medanchor.core.commitment import Record, TreeHead, commitment
from medanchor.core.hashes import HASH_LENGTH, SALT_LENGTH, Hash, sha256
from medanchor.core.header import Header
from medanchor.core.proof import Anchor, Branch, Position, Proof
from medanchor.core.statement import parse_envelope
from medanchor.core.verify import check_anchor, check_evidence, ledger_root
from medanchor.errors import MalformedProofError, PendingError, Step, UsageError, VerificationError
from medanchor.interop.existence import BlockClaim, OtsFile

MAX_BYTES = 1 << 15
"""Twice what the longest way of one record needs. Read, the worst file takes 4,096 times its size in memory."""

MAX_OPERATIONS = 255
"""In one line; more than these OpenTimestamps writes and does not read."""

MAX_HEIGHT = (1 << 31) - 1
"""Bitcoin Core counts blocks in 32 bits; the format would hold numbers too long to print."""

NO_HASH = "the OpenTimestamps file goes through a hash that this machine's OpenSSL does not offer"
HINT = "is it the .ots file, whole and unedited? Ask for it again"


def detached(proof: Proof) -> bytes:
    """Return the .ots file that proves when the record of `proof` existed; read back and checked before it is returned.

    It leads from the record's SHA-256 to the Merkle root in the anchor's header, and attests its height; who signed,
    and as what, is on the way as bytes that no reader of .ots files looks at. Raises PendingError for a proof without
    an anchor, UsageError if it is too long for the format, VerificationError if one of the steps 2 to 7 fails.
    """
    if proof.anchor is None:
        raise PendingError("a proof that is not anchored has no .ots", hint="run 'medanchor anchor', then export again")
    check_evidence(proof)
    head = TreeHead(proof.origin, proof.ledger.size, ledger_root(proof))
    check_anchor(proof.anchor, head)
    operations = list(_operations(proof, head, proof.anchor))
    data = _written(proof.record.raw, operations, proof.anchor.block.height)
    expected = BlockClaim(proof.anchor.block.height, Header.parse(proof.anchor.block.header).merkle_root)
    if parse_ots(data) != OtsFile(proof.record.raw, (expected,), (), ()):
        raise VerificationError("the proof does not lead to its block", step=Step.TRANSACTION)
    return data


def _operations(proof: Proof, head: TreeHead, anchor: Anchor) -> Iterator[Op]:
    """Return the way from the record's digest to the Merkle root, as docs/format.md, section 8, tells it."""
    yield from _entry(proof.record)
    yield from _climb_tree(proof.bundle)
    yield OpHexlify()
    yield from _within(b"\x00" + proof.envelope, parse_envelope(proof.envelope).root.hex().encode())
    yield from _climb_tree(proof.ledger)
    yield OpPrepend(b"\x02" + sha256(head.origin.encode()) + head.size.to_bytes(8, "big"))
    yield OpSHA256()
    yield from _within(anchor.transaction, commitment(head))
    yield OpSHA256()
    yield from _climb_block(anchor.branch)


def _entry(record: Record) -> Iterator[Op]:
    entry, before = record.entry(), 1 + SALT_LENGTH
    yield OpPrepend(b"\x00" + entry[:before])
    if components := entry[before + HASH_LENGTH :]:
        yield OpAppend(components)
    yield OpSHA256()


def _climb_tree(position: Position) -> Iterator[Op]:
    """Climb a tree of RFC 9162 from `position`, as `medanchor.core.merkle.root_from_inclusion` does."""
    index, last = position.index, position.size - 1
    for sibling in position.path:
        while not index & 1 and index == last:
            index, last = index >> 1, last >> 1
        if index & 1:
            yield OpPrepend(b"\x01" + sibling)
        else:
            yield OpAppend(sibling)
            yield OpPrepend(b"\x01")
        yield OpSHA256()
        index, last = index >> 1, last >> 1


def _within(whole: bytes, part: bytes) -> Iterator[Op]:
    """Put what surrounds `part` in `whole` around it, and hash."""
    if len(whole) > Op.MAX_RESULT_LENGTH:
        raise _too_long(f"at most {Op.MAX_RESULT_LENGTH:,} bytes in a statement or a transaction, found {len(whole):,}")
    before, _, after = whole.partition(part)  # it is there: steps 2 and 5 found it
    yield OpPrepend(before)
    yield OpAppend(after)
    yield OpSHA256()


def _climb_block(branch: Branch) -> Iterator[Op]:
    for level, sibling in enumerate(branch.path):
        yield OpPrepend(sibling) if branch.index >> level & 1 else OpAppend(sibling)
        yield OpSHA256()
        yield OpSHA256()


def _written(digest: Hash, operations: list[Op], height: int) -> bytes:
    if len(operations) > MAX_OPERATIONS:
        raise _too_long(f"at most {MAX_OPERATIONS} operations, found {len(operations)}")
    start = node = Timestamp(digest)
    for operation in operations:
        node = node.ops.add(operation)
    node.attestations.add(BitcoinBlockHeaderAttestation(height))
    context = BytesSerializationContext()
    DetachedTimestampFile(OpSHA256(), start).serialize(context)
    return bytes(context.getbytes())


def _too_long(message: str) -> UsageError:
    return UsageError(f"the proof is too long for OpenTimestamps: expected {message}", hint="the .medproof holds it")


def parse_ots(data: bytes) -> OtsFile:
    """Return what an .ots file says, whoever made it; verification's step 0.

    Its size is bounded before it is read, which bounds the memory that its operations take. Only a SHA-256 of the
    record is taken. Raises MalformedProofError; UsageError if it needs a hash that is not to be had here.
    """
    if len(data) > MAX_BYTES:
        raise MalformedProofError(f"expected an OpenTimestamps file of at most {MAX_BYTES:,} bytes", hint=HINT)
    file = _deserialised(data)
    if not isinstance(file.file_hash_op, OpSHA256):
        found = file.file_hash_op.TAG_NAME
        raise MalformedProofError(
            f"expected the record's SHA-256 in the OpenTimestamps file, found its {found}",
            hint="stamp the record anew: 'ots stamp' takes SHA-256",
        )
    return _sorted_out(Hash(file.file_digest), _attestations(file.timestamp))


def _deserialised(data: bytes) -> DetachedTimestampFile:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # the library's remark on one operation
            return DetachedTimestampFile.deserialize(BytesDeserializationContext(data))
    except (DeserializationError, ValueError, TypeError, OverflowError, AssertionError, RecursionError) as error:
        if isinstance(error, ValueError) and str(error).startswith("unsupported hash type"):
            raise UsageError(NO_HASH, hint="verify it on a machine that has RIPEMD-160") from None
        wrong = next((told for kind, told in _WRONG.items() if isinstance(error, kind)), "it is damaged")
        raise MalformedProofError(f"this is not an OpenTimestamps file: {wrong}", hint=HINT) from None


_WRONG = {
    BadMagicError: "it does not begin as one",
    TruncationError: "it is cut short",
    TrailingGarbageError: "bytes follow its end",
    RecursionLimitError: f"it has more than {MAX_OPERATIONS} operations in one line",
}

_OTHER_HASHES = {OpSHA1: "SHA-1", OpRIPEMD160: "RIPEMD-160", OpKECCAK256: "Keccak-256"}


class _Found(NamedTuple):
    """An attestation, the message it stands at, and the hashes other than SHA-256 on the way there."""

    attestation: TimeAttestation
    message: bytes
    hashes: frozenset[str]


def _attestations(start: Timestamp) -> Iterator[_Found]:
    waiting: list[tuple[Timestamp, frozenset[str]]] = [(start, frozenset())]
    while waiting:
        node, hashes = waiting.pop()
        yield from (_Found(attestation, node.msg, hashes) for attestation in node.attestations)
        for step, below in node.ops.items():
            waiting.append((below, hashes | {_OTHER_HASHES[type(step)]} if type(step) in _OTHER_HASHES else hashes))


def _sorted_out(digest: Hash, found: Iterable[_Found]) -> OtsFile:
    blocks, calendars, others = set(), set(), set()
    for attestation, message, hashes in found:
        if isinstance(attestation, PendingAttestation):
            calendars.add(str(attestation.uri))
        elif isinstance(attestation, BitcoinBlockHeaderAttestation):
            blocks.add(_block_claim(attestation.height, message, hashes))
        else:
            others.add(_name_of(attestation))
    in_order = sorted(blocks, key=lambda claim: (claim.height, claim.merkle_root, claim.hashes))
    return OtsFile(digest, tuple(in_order), tuple(sorted(calendars)), tuple(sorted(others)))


def _block_claim(height: int, message: bytes, hashes: Iterable[str]) -> BlockClaim:
    if height > MAX_HEIGHT:
        raise MalformedProofError(f"expected a block height of at most {MAX_HEIGHT:,}", hint=HINT)
    if len(message) != HASH_LENGTH:
        raise MalformedProofError(f"expected a Merkle root of {HASH_LENGTH} bytes, found {len(message)}", hint=HINT)
    return BlockClaim(height, Hash(message), tuple(sorted(hashes)))


def _name_of(attestation: TimeAttestation) -> str:
    """Return how a sentence calls an attestation that is not judged."""
    names = {LitecoinBlockHeaderAttestation: "Litecoin", EthereumBlockHeaderAttestation: "Ethereum"}
    return names.get(type(attestation)) or f"the unknown kind {attestation.TAG.hex()}"
