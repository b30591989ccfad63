"""Making a vault: whole, or not at all."""

import secrets
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from medanchor.core.checkpoint import check_origin
from medanchor.core.header import Network
from medanchor.errors import MalformedProofError, UsageError, VaultError
from medanchor.vault import private
from medanchor.vault.anchors import add_signer
from medanchor.vault.config import Config, write_config
from medanchor.vault.keys import create_key
from medanchor.vault.store import DATABASE, Store

CHAIN = "chain"
"""The embedded chain's directory in the vault."""


@dataclass(frozen=True, slots=True)
class NewVault:
    """What a new vault is made of; the key's secret is encrypted with `passphrase` unless that is None.

    Of its `preferences`, the key's name is `key`.
    """

    origin: str
    network: Network
    key: str
    label: str
    role: str
    passphrase: bytes | None
    preferences: Config = field(default_factory=lambda: Config(key=""))


def new_origin() -> str:
    """Return an origin nobody else has and that says nothing about whose it is."""
    return f"medanchor.local/{secrets.token_hex(8)}"


def create_vault(directory: Path, new: NewVault) -> None:
    """Make a vault in `directory`, which must not exist or be empty.

    It is made beside its place and moved there whole, so a killed run leaves no half a vault. Raises VaultError if
    there is a vault already, or something else.
    """
    try:
        check_origin(new.origin)
    except MalformedProofError as error:
        raise UsageError(error.message, hint="choose another --origin; it names your ledger for ever") from None
    with private.storage_errors(directory):
        _check_place(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        private.sweep(directory.parent)
        draft = directory.parent / f"{private.DRAFT}{secrets.token_hex(8)}"  # in containers, process ids repeat
        try:
            _fill(draft, new)
            draft.replace(directory)
            private.sync_directory(directory.parent)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def _check_place(directory: Path) -> None:
    if (directory / DATABASE).exists():
        raise VaultError(
            f"there is a vault in {directory} already", hint="use it as it is, or name another with --vault"
        )
    if directory.exists() and any(directory.iterdir()):
        raise VaultError(f"{directory} is not empty and not a vault", hint="name an empty or a new folder")


def _fill(draft: Path, new: NewVault) -> None:
    private.make_directory(draft)
    Store.create(draft, new.origin, new.network)
    key = create_key(draft, new.key, new.label, new.role, new.passphrase)
    with Store(draft) as store, store.writing():
        add_signer(store, key.public, key.label, key.role)
    write_config(draft, replace(new.preferences, key=new.key))
