"""Ed25519 (RFC 8032): what a public key is called, and whether a signature holds."""

from collections.abc import Callable

from medanchor.core.hashes import Hash, sha256

PUBLIC_KEY_LENGTH = 32
SIGNATURE_LENGTH = 64

Sign = Callable[[bytes], bytes]
"""A message → its signature, 64 bytes."""

_FIELD = 2**255 - 19
_Y_BITS = 2**255 - 1
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _FIELD, _FIELD + 1, _ORDER_8, _FIELD - _ORDER_8})
"""The y of each point of order 1, 2, 4 or 8, in every spelling: a signature under such a key fits many messages."""


def key_id(key: bytes) -> Hash:
    """Return the name a statement gives its signer's public key (32 bytes): its SHA-256 (docs/format.md, section 9)."""
    return sha256(key)


def signature_holds(key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether `signature` (64 bytes) over `message` is of the Ed25519 public key `key` (32 bytes): RFC 8032.

    A key of small order signs nothing: OpenSSL would find the same signature good for one message in eight, or for all.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if int.from_bytes(key, "little") & _Y_BITS in _SMALL_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True
