"""The proof file: what it holds, a parser that accepts one spelling only, and the bytes it is written as."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from medanchor.core.checkpoint import check_origin
from medanchor.core.commitment import Record
from medanchor.core.encoding import Fields, canonical_json, from_base64, members, number, text, to_base64
from medanchor.core.hashes import SALT_LENGTH, Hash, from_hex, hash_from_hex, hashes_from_hex
from medanchor.core.header import HEADER_LENGTH, Network
from medanchor.core.merkle import MAX_PATH
from medanchor.core.signature import PUBLIC_KEY_LENGTH
from medanchor.core.statement import parse_envelope
from medanchor.errors import MalformedProofError

VERSION = 1
MAX_BYTES = 1 << 20
MAX_DEPTH = 8
MAX_TRANSACTION = 100_000
MAX_SUCCESSORS = 2_016


@dataclass(frozen=True, slots=True)
class Position:
    """Where a leaf stands in a tree: its zero-based index, the tree's size, and the inclusion path, sibling first."""

    index: int
    size: int
    path: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A transaction's place in its block: its index and the sibling hashes up to the header's Merkle root."""

    index: int
    path: tuple[Hash, ...]


@dataclass(frozen=True, slots=True)
class Coinbase:
    """The block's first transaction (without witness) and its branch; its index is 0."""

    path: tuple[Hash, ...]
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The header (80 bytes) of the anchoring block, its height, and the headers right after it, in order."""

    header: bytes
    height: int
    successors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Anchor:
    """All that ties an anchoring transaction (without witness) to a block header."""

    block: Block
    branch: Branch
    coinbase: Coinbase
    network: Network
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """One record's proof; `anchor` is None while it is pending. `key` is the signer's 32-byte Ed25519 public key."""

    record: Record
    bundle: Position
    envelope: bytes
    key: bytes
    origin: str
    ledger: Position
    anchor: Anchor | None


def parse_proof(data: bytes) -> Proof:
    """Return the proof that `data` is, exactly; verification's step 0.

    Size and depth are bounded before anything is decoded, members are neither missing nor more than named, and
    serialising the result must give `data` back. Raises MalformedProofError (step 0) otherwise.
    """
    if len(data) > MAX_BYTES:
        raise MalformedProofError(f"expected at most {MAX_BYTES} bytes, found {len(data)}")
    _check_depth(data)
    anchor, rest = _parse_anchor_of(data)
    try:
        tree = json.loads(rest.decode("ascii"))
    except (ValueError, RecursionError):
        raise MalformedProofError(
            "this is not a proof: it is not JSON, or it is cut short",
            hint="expected a .medproof file made by 'medanchor proof export'; ask for it again",
        ) from None
    proof = _proof(tree, anchor)
    if serialise_proof(proof) != data:
        raise MalformedProofError(
            "the proof is not written in its one canonical form",
            hint="was it edited or re-formatted? Ask for the file as it was exported",
        )
    return proof


def serialise_proof(proof: Proof) -> bytes:
    """Return the one way to write `proof`: JSON, keys sorted, no insignificant white space, newline at the end.

    What is inside needs no escape but the origin, so it is written out here: a third of the time of a JSON encoder.
    """
    bundle, ledger, record = proof.bundle, proof.ledger, proof.record
    head = b"{" if proof.anchor is None else b'{"anchor":' + serialise_anchor(proof.anchor) + b","
    rest = (
        f'"bundle":{{"index":{bundle.index},"path":{_hex_list(bundle.path)},"size":{bundle.size}}},'
        f'"ledger":{{"index":{ledger.index},"origin":{json.dumps(proof.origin)},'
        f'"path":{_hex_list(ledger.path)},"size":{ledger.size}}},'
        f'"record":{{"components":{_hex_list(record.components)},"kind":{record.kind},'
        f'"raw":"{record.raw.hex()}","salt":"{record.salt.hex()}"}},'
        f'"signer":{{"key":"{to_base64(proof.key)}"}},"statement":"{_base64_of(proof.envelope)}","version":{VERSION}}}\n'
    )
    return head + rest.encode("ascii")


def _hex_list(values: Sequence[bytes]) -> str:
    return '["' + '","'.join([value.hex() for value in values]) + '"]' if values else "[]"


@lru_cache(maxsize=64)
def serialise_anchor(anchor: Anchor) -> bytes:
    """Return the one way to write `anchor`: the JSON object that is the proof's member of that name.

    "anchor" sorts before every other member, so a proof begins with it. Remembered: the records of a day share it.
    """
    return canonical_json(
        {
            "block": {
                "header": anchor.block.header.hex(),
                "height": anchor.block.height,
                "successors": [header.hex() for header in anchor.block.successors],
            },
            "branch": {"index": anchor.branch.index, "path": [node.hex() for node in anchor.branch.path]},
            "coinbase": {
                "path": [node.hex() for node in anchor.coinbase.path],
                "transaction": anchor.coinbase.transaction.hex(),
            },
            "network": anchor.network.value,
            "transaction": anchor.transaction.hex(),
        }
    )


def _parse_anchor_of(data: bytes) -> tuple[Anchor | None, bytes]:
    """Return the anchor that a proof begins with, if it does, and the proof without it.

    The records of a day share the longest part of their proofs, so it is read once. Where it ends is guessed here, and
    settled by `parse_proof`, which writes the proof again and compares.
    """
    anchor, comma, rest = data.partition(_AFTER_ANCHOR)
    if not comma or not anchor.startswith(_BEFORE_ANCHOR):
        return None, data
    try:
        return parse_anchor(anchor[len(_BEFORE_ANCHOR) :]), b"{" + _AFTER_ANCHOR[1:] + rest
    except MalformedProofError:
        return None, data  # what is wrong is told when the whole is read


_BEFORE_ANCHOR = b'{"anchor":'
_AFTER_ANCHOR = b',"bundle":'


@lru_cache(maxsize=16)
def parse_anchor(data: bytes) -> Anchor:
    """Return the anchor that `data` is, as `serialise_anchor` wrote it. Raises MalformedProofError."""
    try:
        anchor = _anchor(json.loads(data.decode("ascii")))
    except (ValueError, RecursionError):
        raise MalformedProofError("this is not an anchor: it is not JSON") from None
    if serialise_anchor(anchor) != data:
        raise MalformedProofError("the anchor is not written in its one canonical form")
    return anchor


def _check_depth(data: bytes) -> None:
    """Refuse deep nesting before the decoder recurses; brackets never stand inside the strings of an honest proof."""
    brackets = inner = data.translate(_AS_ROUND, delete=_ALL_BUT_BRACKETS)
    for _ in range(MAX_DEPTH):
        inner = inner.replace(b"()", b"")
    if not inner:
        return  # all of them close in pairs and none is too deep: an honest proof, told fast
    depth = 0
    for byte in brackets:
        depth = depth + 1 if byte in b"(" else max(depth - 1, 0)  # nothing closed too often pays for nesting later
        if depth > MAX_DEPTH:
            raise MalformedProofError(f"expected at most {MAX_DEPTH} levels of nesting")


_AS_ROUND = bytes.maketrans(b"{[]}", b"(())")
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def _proof(value: object, anchor: Anchor | None) -> Proof:
    tree = members(value, "bundle", "ledger", "record", "signer", "statement", "version", optional=("anchor",))
    if number(tree["version"]) != VERSION:
        raise MalformedProofError(
            f"expected proof version {VERSION}, found {tree['version']}",
            hint="a newer medanchor made this proof; use that version to verify it",
        )
    ledger = members(tree["ledger"], "index", "origin", "path", "size")
    envelope = _envelope(text(tree["statement"]))
    return Proof(
        record=_record(tree["record"]),
        bundle=_position(members(tree["bundle"], "index", "path", "size")),
        envelope=envelope,
        key=from_base64(members(tree["signer"], "key")["key"], length=PUBLIC_KEY_LENGTH),
        origin=check_origin(text(ledger["origin"])),
        ledger=_position(ledger),
        anchor=_anchor(tree["anchor"]) if "anchor" in tree else anchor,
    )


def _record(value: object) -> Record:
    tree = members(value, "components", "kind", "raw", "salt")
    return Record(
        kind=number(tree["kind"]),
        salt=from_hex(tree["salt"], length=SALT_LENGTH),
        raw=hash_from_hex(tree["raw"]),
        components=_hashes(tree["components"]),
    )


def _position(tree: Fields) -> Position:
    return Position(index=number(tree["index"]), size=number(tree["size"]), path=_hashes(tree["path"]))


def _anchor(value: object) -> Anchor:
    tree = members(value, "block", "branch", "coinbase", "network", "transaction")
    branch = members(tree["branch"], "index", "path")
    coinbase = members(tree["coinbase"], "path", "transaction")
    return Anchor(
        block=_block(tree["block"]),
        branch=Branch(index=number(branch["index"]), path=_hashes(branch["path"])),
        coinbase=Coinbase(path=_hashes(coinbase["path"]), transaction=_transaction(coinbase["transaction"])),
        network=_network(tree["network"]),
        transaction=_transaction(tree["transaction"]),
    )


def _block(value: object) -> Block:
    tree = members(value, "header", "height", "successors")
    successors = _list(tree["successors"], MAX_SUCCESSORS)
    return Block(
        header=from_hex(tree["header"], length=HEADER_LENGTH),
        height=number(tree["height"]),
        successors=tuple(from_hex(header, length=HEADER_LENGTH) for header in successors),
    )


def _network(value: object) -> Network:
    try:
        return Network(text(value))
    except ValueError:
        raise MalformedProofError(f"expected one of the networks {', '.join(Network)}") from None


def _transaction(value: object) -> bytes:
    if len(text(value)) > 2 * MAX_TRANSACTION:
        raise MalformedProofError(f"expected a transaction of at most {MAX_TRANSACTION} bytes")
    return from_hex(value)


def _hashes(value: object) -> tuple[Hash, ...]:
    return hashes_from_hex(_list(value, MAX_PATH))


def _list(value: object, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        raise MalformedProofError(f"expected a list of at most {most}")
    return value


@lru_cache(maxsize=16)
def _envelope(spelled: str) -> bytes:
    """Return the envelope that `spelled` is in Base64; remembered, because the records of a bundle share it."""
    envelope = from_base64(spelled)
    parse_envelope(envelope)  # malformed is malformed, however well the rest verifies
    return envelope


_base64_of = lru_cache(maxsize=16)(to_base64)
