"""Hashes, their lengths and their spellings. Bitcoin's byte order is turned round here and nowhere else."""

import hashlib
from collections.abc import Sequence
from typing import NewType, cast

from medanchor.errors import MalformedProofError

Hash = NewType("Hash", bytes)
"""32 bytes in the order in which they are hashed, transaction and block hashes included."""

HASH_LENGTH = 32
SALT_LENGTH = 16


def sha256(data: bytes) -> Hash:
    """Return the SHA-256 of `data` (FIPS 180-4)."""
    return Hash(hashlib.sha256(data).digest())


def sha256d(data: bytes) -> Hash:
    """Return the SHA-256 of the SHA-256 of `data`: Bitcoin's hash of transactions, blocks and branches."""
    return sha256(sha256(data))


def display(value: Hash) -> str:
    """Return a transaction's or block's hash as people and explorers write it: hex, byte-reversed."""
    return value[::-1].hex()


def from_hex(text: object, *, length: int | None = None) -> bytes:
    """Return the bytes that `text` spells in lower-case hex, `length` of them where it is given.

    One encoding per value: upper case, white space and odd lengths are refused. Raises MalformedProofError.
    """
    try:
        data = bytes.fromhex(text) if isinstance(text, str) else None
    except ValueError:
        data = None
    if data is None or data.hex() != text:
        raise MalformedProofError("expected lower-case hex")
    if length not in (None, len(data)):
        raise MalformedProofError(f"expected {length} bytes in hex, found {len(data)}")
    return data


def hash_from_hex(text: object) -> Hash:
    """Return the 32-byte hash that `text` spells in lower-case hex. Raises MalformedProofError."""
    return Hash(from_hex(text, length=HASH_LENGTH))


def from_display(text: object) -> Hash:
    """Return the transaction's or block's hash that `text` is as `display` writes it. Raises MalformedProofError."""
    return Hash(hash_from_hex(text)[::-1])


def hashes_from_hex(texts: Sequence[object]) -> tuple[Hash, ...]:
    """Return the 32-byte hashes that `texts` spell in lower-case hex, decoded at one go. Raises MalformedProofError."""
    spelled = [text for text in texts if isinstance(text, str) and len(text) == 2 * HASH_LENGTH]
    if len(spelled) != len(texts):
        raise MalformedProofError(f"expected hashes of {HASH_LENGTH} bytes in hex")
    return cast("tuple[Hash, ...]", tuple(split_hashes(from_hex("".join(spelled)))))


def split_hashes(packed: bytes) -> list[bytes]:
    """Return the 32-byte hashes that stand one after another in `packed`."""
    return [packed[at : at + HASH_LENGTH] for at in range(0, len(packed), HASH_LENGTH)]
