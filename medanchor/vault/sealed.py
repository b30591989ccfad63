"""Secrets at rest: encrypted with a passphrase, in files that carry a seal over themselves.

ChaCha20-Poly1305 (RFC 8439) encrypts, under a key that scrypt (RFC 7914) makes of the passphrase, and binds the secret
to what stands beside it. The seal is no signature: it finds a changed byte without the passphrase.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from medanchor.core.encoding import canonical_json, from_base64, members, number, to_base64
from medanchor.core.hashes import sha256
from medanchor.errors import MalformedProofError, VaultError

SCRYPT_N = 1 << 17
SCRYPT_R = 8
SCRYPT_P = 1
MAX_SCRYPT_N = 1 << 20
"""scrypt's cost: 128 MiB and about half a second; a file may ask for more, up to 1 GiB."""

SALT_LENGTH = 16
NONCE_LENGTH = 12
KEY_LENGTH = 32
TAG_LENGTH = 16

MOST = 1 << 16
"""Bytes of a sealed file."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a secret is encrypted: scrypt's cost and salt, the cipher's nonce."""

    n: int
    salt: bytes
    nonce: bytes


def encrypt(secret: bytes, passphrase: bytes, bound: bytes) -> tuple[bytes, Encryption]:
    """Return `secret` encrypted with `passphrase` and bound to the bytes `bound`, and how that was done."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    how = Encryption(SCRYPT_N, os.urandom(SALT_LENGTH), os.urandom(NONCE_LENGTH))
    return ChaCha20Poly1305(_stretch(passphrase, how)).encrypt(how.nonce, secret, bound), how


def decrypt(encrypted: bytes, how: Encryption, passphrase: bytes, bound: bytes, *, of: str) -> bytes:
    """Return the secret in `encrypted`. Raises VaultError, naming what the passphrase is `of`, if it is another."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(_stretch(passphrase, how)).decrypt(how.nonce, encrypted, bound)
    except InvalidTag:
        raise VaultError(f"wrong passphrase for {of}", hint="try again; nothing was changed") from None


def encryption_fields(how: Encryption) -> dict[str, object]:
    """Return the JSON of `how`."""
    return {"n": how.n, "nonce": to_base64(how.nonce), "salt": to_base64(how.salt)}


def read_encryption(value: object) -> Encryption:
    """Return how a secret is encrypted, as the JSON `value` says. Raises MalformedProofError."""
    tree = members(value, "n", "nonce", "salt")
    cost = number(tree["n"])
    if not 1 < cost <= MAX_SCRYPT_N or cost & (cost - 1):
        raise MalformedProofError(f"expected a scrypt cost that is a power of two up to {MAX_SCRYPT_N}")
    return Encryption(
        cost, from_base64(tree["salt"], length=SALT_LENGTH), from_base64(tree["nonce"], length=NONCE_LENGTH)
    )


def sealed(tree: Mapping[str, object]) -> bytes:
    """Return the file that holds `tree`: canonical JSON with a seal, and a newline."""
    seal = sha256(canonical_json(tree)).hex()
    return canonical_json({**tree, "seal": seal}) + b"\n"


def unsealed(data: bytes) -> object:
    """Return the JSON in the file `data`; whoever reads it compares it with `sealed`. Raises MalformedProofError."""
    try:
        return json.loads(data[:MOST])
    except (ValueError, RecursionError):
        raise MalformedProofError("it is not JSON") from None


def _stretch(passphrase: bytes, how: Encryption) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=how.salt, length=KEY_LENGTH, n=how.n, r=SCRYPT_R, p=SCRYPT_P).derive(passphrase)
