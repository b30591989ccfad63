"""What is committed to: record digests and a salt make an entry; a tree head makes the 36 bytes in the chain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from medanchor.core.hashes import HASH_LENGTH, SALT_LENGTH, Hash, sha256
from medanchor.errors import MalformedProofError


class Kind(IntEnum):
    """The kinds of records (docs/format.md, section 1)."""

    BYTES = 0x00
    FHIR = 0x01
    DICOM = 0x02
    HL7 = 0x03
    XML = 0x04


COMPONENTS: Mapping[int, tuple[str, ...]] = {
    Kind.BYTES: (),
    Kind.FHIR: ("data", "narrative", "meta", "id", "numeric"),
    Kind.DICOM: ("dataset", "pixels"),
    Kind.HL7: ("message", "body"),
    Kind.XML: ("canonical", "text"),
}
"""Record kind → the parts it has a component digest of, in order (docs/format.md, section 1)."""

PAYLOAD_MAGIC = b"MDA1"
PAYLOAD_LENGTH = 36


class Content(NamedTuple):
    """The digests of one record: its kind, of its bytes, and of its parts in the order that its kind fixes."""

    kind: int
    raw: Hash
    components: tuple[Hash, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What a leaf commits to: the record's kind, its salt (16 bytes), its raw digest and its component digests."""

    kind: int
    salt: bytes
    raw: Hash
    components: tuple[Hash, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no entry can hold. Raises MalformedProofError."""
        if self.kind not in COMPONENTS:
            raise MalformedProofError(f"expected a record kind from 0 to {max(COMPONENTS)}, found {self.kind}")
        if len(self.components) != len(COMPONENTS[self.kind]):
            expected, found = len(COMPONENTS[self.kind]), len(self.components)
            raise MalformedProofError(f"expected {expected} components for kind {self.kind}, found {found}")
        if len(self.salt) != SALT_LENGTH or any(len(digest) != HASH_LENGTH for digest in (self.raw, *self.components)):
            raise MalformedProofError("expected a salt of 16 bytes and digests of 32")

    def entry(self) -> bytes:
        """Return the bytes a leaf hashes: kind ‖ salt ‖ raw ‖ components (docs/format.md, section 1)."""
        return b"".join((bytes([self.kind]), self.salt, self.raw, *self.components))

    @property
    def content(self) -> Content:
        """The record's digests, without the salt."""
        return Content(self.kind, self.raw, self.components)


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The state of a ledger: its origin, its number of entries and its root."""

    origin: str
    size: int
    root: Hash


def commitment(head: TreeHead) -> Hash:
    """Return what an anchor commits to: SHA-256(0x02 ‖ SHA-256(origin) ‖ size, 8 bytes big-endian ‖ root).

    The size is bound because a bare RFC 9162 root is not: a proof of another shape can imply the same root. The hash
    also hides it: how many statements a hospital signs a day is nobody's business.
    """
    return sha256(b"\x02" + sha256(head.origin.encode()) + head.size.to_bytes(8, "big") + head.root)


def payload(head: TreeHead) -> bytes:
    """Return the 36 bytes that an anchoring transaction carries for `head`."""
    return PAYLOAD_MAGIC + commitment(head)


def anchor_script(data: bytes) -> bytes:
    """Return the output script that carries a payload of 36 bytes: OP_RETURN OP_PUSHBYTES_36 payload."""
    return b"\x6a\x24" + data


def raw_leaf_hashes(salts: Sequence[bytes], raws: Sequence[bytes]) -> list[bytes]:
    """Return the leaf hashes of many records of kind 0, each from its salt (16 bytes) and its raw digest (32)."""
    from hashlib import sha256 as digest  # the bare function: this loop is what stamping a million records waits for

    return [digest(b"\x00\x00" + salt + raw).digest() for salt, raw in zip(salts, raws, strict=True)]


def leaf_hashes(salts: Sequence[bytes], raws: Sequence[bytes], kinds: bytes, components: bytes) -> list[bytes]:
    """Return the leaf hashes of many records of any kind: `kinds` one byte each, `components` packed in order."""
    from hashlib import sha256 as digest  # as above

    hashes, at = [], 0
    for kind, salt, raw in zip(kinds, salts, raws, strict=True):
        end = at + WIDTHS[kind]
        hashes.append(digest(_LEAF_STARTS[kind] + salt + raw + components[at:end]).digest())
        at = end
    return hashes


WIDTHS = {int(kind): HASH_LENGTH * len(parts) for kind, parts in COMPONENTS.items()}
"""Record kind → how many bytes its component digests take, packed."""

_LEAF_STARTS = {kind: bytes([0, kind]) for kind in WIDTHS}
