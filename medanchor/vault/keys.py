"""Signing keys: one file each, 0600, named and with a role; its secret in plain or encrypted with a passphrase.

The file is sealed (`vault.sealed`), and an encrypted secret bound to the name, role and public key beside it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from medanchor.core.encoding import canonical_json, from_base64, members, number, text, to_base64
from medanchor.core.hashes import Hash
from medanchor.core.signature import PUBLIC_KEY_LENGTH, key_id
from medanchor.errors import MalformedProofError, UsageError, VaultError
from medanchor.vault import private
from medanchor.vault.sealed import (
    TAG_LENGTH,
    Encryption,
    decrypt,
    encrypt,
    encryption_fields,
    read_encryption,
    sealed,
    unsealed,
)

KEYS = "keys"
SUFFIX = ".key"
SECRET_LENGTH = 32

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z", re.ASCII)
MAX_LABEL = 100

Passphrase = Callable[[str], bytes]
"""A key's name → its passphrase."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key as its file holds it: `label` is whose it is ("Dr A. Example"), `role` what they are ("physician")."""

    name: str
    label: str
    role: str
    public: bytes
    secret: bytes = field(repr=False)  # what is logged or raised must not tell it
    locked: Encryption | None

    @property
    def key_id(self) -> Hash:
        """The SHA-256 of the public key, which statements name."""
        return key_id(self.public)

    @property
    def person(self) -> str:
        """How people read it: label and role."""
        return person(self.label, self.role)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that can sign: the public half, who holds it, and the function that signs (Ed25519, 64 bytes)."""

    public: bytes
    label: str
    role: str
    sign: Callable[[bytes], bytes]

    @property
    def person(self) -> str:
        """How people read it: label and role."""
        return person(self.label, self.role)


def person(label: str, role: str) -> str:
    """Return how people read who holds a key: "Dr A. Example (physician)"."""
    return f"{label} ({role})" if role else label


def check_name(name: str) -> str:
    """Return `name` if it can name a key file. Raises UsageError."""
    if not _NAME.match(name):
        raise UsageError("expected a key's name of a-z, 0-9 and . _ - only, 64 at most", hint="such as dr-example")
    return name


def check_label(label: str) -> str:
    """Return `label` if it can be printed on one line. Raises UsageError."""
    if len(label) > MAX_LABEL or not label.isprintable():
        raise UsageError(
            f"expected at most {MAX_LABEL} printable characters in a key's label or role",
            hint="such as 'Dr A. Example'",
        )
    return label


def create_key(directory: Path, name: str, label: str, role: str, passphrase: bytes | None) -> KeyFile:
    """Make an Ed25519 key in the vault `directory`, its secret encrypted with `passphrase` unless that is None.

    Raises VaultError if a key of that name is there already: a key is never overwritten.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = _path(directory, check_name(name))
    private_key = Ed25519PrivateKey.generate()
    public, secret = private_key.public_key().public_bytes_raw(), private_key.private_bytes_raw()
    key = KeyFile(name, check_label(label), check_label(role), public, secret, None)
    if passphrase is not None:
        key = _encrypted(key, passphrase)
    with private.storage_errors(directory):
        private.make_directory(path.parent)
        try:
            private.write_file(path, _serialise(key), replace=False)
        except FileExistsError:
            raise VaultError(f"there is a key named {name} already", hint="choose another name") from None
    return key


def read_key(directory: Path, name: str) -> KeyFile:
    """Return the key `name` of the vault `directory`. Raises VaultError if others could read it, or it is damaged."""
    path = _path(directory, check_name(name))
    with private.storage_errors(directory):
        try:
            private.check_private(path)
            data = path.read_bytes()
        except FileNotFoundError:
            raise VaultError(
                f"there is no key named {name} in the vault",
                hint="see 'medanchor key list', or make one: medanchor key new",
            ) from None
    try:
        return _parse(data, name)
    except MalformedProofError as error:
        raise VaultError(
            f"the key file of {name} is damaged: {error.message}", hint="restore it from a backup"
        ) from None


def list_keys(directory: Path) -> list[str]:
    """Return the names of the keys in the vault `directory`, sorted."""
    with private.storage_errors(directory):
        return sorted(path.name.removesuffix(SUFFIX) for path in (directory / KEYS).glob(f"[!.]*{SUFFIX}"))


def unlock(key: KeyFile, passphrase: Passphrase) -> Signer:
    """Return the signer that `key` is, asking for its passphrase if it has one. Raises VaultError if that is wrong."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = key.secret if key.locked is None else _decrypted(key, key.locked, passphrase(key.name))
    private_key = Ed25519PrivateKey.from_private_bytes(secret)
    if private_key.public_key().public_bytes_raw() != key.public:
        raise VaultError(
            f"the key file of {key.name} is damaged: its halves do not match", hint="restore it from a backup"
        )
    return Signer(key.public, key.label, key.role, private_key.sign)


def change_passphrase(directory: Path, key: KeyFile, old: Passphrase, new: bytes | None) -> None:
    """Encrypt the secret of `key` with the passphrase `new`, or store it in plain if that is None."""
    secret = key.secret if key.locked is None else _decrypted(key, key.locked, old(key.name))
    bare = KeyFile(key.name, key.label, key.role, key.public, secret, None)
    with private.storage_errors(directory):
        private.write_file(_path(directory, key.name), _serialise(bare if new is None else _encrypted(bare, new)))


def _path(directory: Path, name: str) -> Path:
    return directory / KEYS / f"{name}{SUFFIX}"


def _encrypted(key: KeyFile, passphrase: bytes) -> KeyFile:
    secret, locked = encrypt(key.secret, passphrase, _bound(key))
    return KeyFile(key.name, key.label, key.role, key.public, secret, locked)


def _decrypted(key: KeyFile, locked: Encryption, passphrase: bytes) -> bytes:
    return decrypt(key.secret, locked, passphrase, _bound(key), of=f"the key {key.name}")


def _bound(key: KeyFile) -> bytes:
    return canonical_json([key.name, key.label, key.role, key.public.hex()])


def _serialise(key: KeyFile) -> bytes:
    tree: dict[str, object] = {
        "label": key.label,
        "name": key.name,
        "public": to_base64(key.public),
        "role": key.role,
        "secret": to_base64(key.secret),
        "version": 1,
    }
    if key.locked:
        tree["scrypt"] = encryption_fields(key.locked)
    return sealed(tree)


def _parse(data: bytes, name: str) -> KeyFile:
    """Return the key that `data` is, exactly. Raises MalformedProofError."""
    names = ("label", "name", "public", "role", "secret", "seal", "version")
    tree = members(unsealed(data), *names, optional=("scrypt",))
    locked = read_encryption(tree["scrypt"]) if "scrypt" in tree else None
    key = KeyFile(
        name=text(tree["name"]),
        label=text(tree["label"]),
        role=text(tree["role"]),
        public=from_base64(tree["public"], length=PUBLIC_KEY_LENGTH),
        secret=from_base64(tree["secret"], length=SECRET_LENGTH + (TAG_LENGTH if locked else 0)),
        locked=locked,
    )
    if key.name != name or number(tree["version"]) != 1 or _serialise(key) != data:
        raise MalformedProofError("its seal, its version or its name is another")
    return key
