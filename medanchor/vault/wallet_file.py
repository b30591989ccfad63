"""The file of a vault's own wallet: what its coins are found by, and the words that spend them.

`VAULT/wallet/wallet.json`, 0600: public descriptors (BIP 380) and the BIP 39 words, in plain or encrypted with a
passphrase and bound to network and descriptors; a wallet that only watches has no words. It is sealed (`vault.sealed`).
All else in that directory can be made again from the chain.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from medanchor.core.encoding import canonical_json, from_base64, members, number, text, to_base64
from medanchor.core.hashes import Hash, hash_from_hex
from medanchor.core.header import Network
from medanchor.errors import MalformedProofError, VaultError
from medanchor.vault import private
from medanchor.vault.sealed import Encryption, decrypt, encrypt, encryption_fields, read_encryption, sealed, unsealed

DIRECTORY = "wallet"
FILE = "wallet.json"
_ASIDE = "wallet-aside"


@dataclass(frozen=True, slots=True)
class Birthday:
    """A block that was there before the wallet was: none up to it holds coins of its."""

    height: int
    block: Hash


@dataclass(frozen=True, slots=True)
class WalletFile:
    """A wallet as its file holds it: the public descriptors of its addresses and of its change.

    `words` are empty if it only watches.
    """

    network: Network
    external: str
    change: str
    birthday: Birthday | None = None
    words: bytes = field(default=b"", repr=False)  # what is logged or raised must not tell them
    locked: Encryption | None = None

    @property
    def watches(self) -> bool:
        """Whether its keys are elsewhere."""
        return not self.words


def create_wallet_file(directory: Path, new: WalletFile, passphrase: bytes | None) -> None:
    """Keep the wallet `new`, its words in plain, in the vault `directory`; encrypted unless `passphrase` is None.

    Raises VaultError if there is a wallet already: one is never overwritten.
    """
    if passphrase is not None and not new.watches:
        words, locked = encrypt(new.words, passphrase, _bound(new))
        new = replace(new, words=words, locked=locked)
    path = _path(directory)
    with private.storage_errors(directory):
        private.make_directory(path.parent)
        try:
            private.write_file(path, _serialise(new), replace=False)
        except FileExistsError:
            raise VaultError(
                "the vault has a wallet of its own already",
                hint="to have another one, set it aside first: medanchor wallet forget",
            ) from None


def has_wallet_file(directory: Path) -> bool:
    """Say whether the vault `directory` has a wallet of its own."""
    return _path(directory).exists()


def read_wallet_file(directory: Path) -> WalletFile:
    """Return the wallet of the vault `directory`. Raises VaultError if others could read it, or it is damaged."""
    path = _path(directory)
    with private.storage_errors(directory):
        try:
            private.check_private(path)
            data = path.read_bytes()
        except FileNotFoundError:
            raise VaultError(
                "the vault has no wallet of its own", hint="make one: medanchor wallet create, or wallet restore"
            ) from None
    try:
        return _parse(data)
    except MalformedProofError as error:
        raise VaultError(
            f"the wallet's file {path} is damaged: {error.message}",
            hint="restore it from a backup; or 'medanchor wallet forget', then 'wallet restore' with its words",
        ) from None


def unlock_words(file: WalletFile, passphrase: Callable[[], bytes]) -> str:
    """Return the words of the wallet `file`, asking for the passphrase if it has one.

    Raises VaultError if that is wrong, or if the wallet only watches.
    """
    if file.watches:
        raise VaultError("this wallet only watches: its words are not here", hint=_ELSEWHERE)
    if file.locked is None:
        return file.words.decode()
    return decrypt(file.words, file.locked, passphrase(), _bound(file), of="the wallet").decode()


_ELSEWHERE = "'medanchor anchor --psbt FILE' writes what is to be signed where its keys are"


def set_aside(directory: Path) -> Path:
    """Move the wallet of the vault `directory` out of the way and return where to: nothing of it is removed."""
    with private.storage_errors(directory):
        taken = {path.name for path in directory.glob(f"{_ASIDE}-*")}
        place = directory / next(name for number in range(1, 10_000) if (name := f"{_ASIDE}-{number}") not in taken)
        (directory / DIRECTORY).rename(place)
        private.sync_directory(directory)
    return place


def _path(directory: Path) -> Path:
    return directory / DIRECTORY / FILE


def _bound(file: WalletFile) -> bytes:
    return canonical_json([file.network.value, file.external, file.change])


def _serialise(file: WalletFile) -> bytes:
    tree: dict[str, object] = {
        "change": file.change,
        "external": file.external,
        "network": file.network.value,
        "version": 1,
        "words": to_base64(file.words),
    }
    if file.birthday:
        tree["birthday"] = {"block": file.birthday.block.hex(), "height": file.birthday.height}
    if file.locked:
        tree["scrypt"] = encryption_fields(file.locked)
    return sealed(tree)


def _parse(data: bytes) -> WalletFile:
    """Return the wallet that `data` is, exactly. Raises MalformedProofError."""
    names = ("change", "external", "network", "seal", "version", "words")
    tree = members(unsealed(data), *names, optional=("birthday", "scrypt"))
    if tree["network"] not in list(Network):
        raise MalformedProofError("it names no network")
    file = WalletFile(
        network=Network(text(tree["network"])),
        external=text(tree["external"]),
        change=text(tree["change"]),
        birthday=_birthday(tree["birthday"]) if "birthday" in tree else None,
        words=from_base64(tree["words"]),
        locked=read_encryption(tree["scrypt"]) if "scrypt" in tree else None,
    )
    if number(tree["version"]) != 1 or _serialise(file) != data:
        raise MalformedProofError("its seal or its version is another")
    return file


def _birthday(value: object) -> Birthday:
    tree = members(value, "block", "height")
    return Birthday(number(tree["height"]), hash_from_hex(tree["block"]))
