"""From flags, environment and configuration to an open vault, its chain, its signer and the clock."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.output import Output
from medanchor.core.header import Network
from medanchor.errors import UsageError, VaultError

if TYPE_CHECKING:
    from medanchor.vault.config import Config
    from medanchor.vault.keys import Passphrase, Signer
    from medanchor.vault.store import Store

PASSPHRASE = "MEDANCHOR_PASSPHRASE"  # noqa: S105 - the name of a variable
VAULT = "MEDANCHOR_VAULT"
DATABASE = "medanchor.db"
"""As in `vault.store`, which loads SQLite: too much only to look whether a vault is there. A test compares the two."""


def vault_directory(vault: Path | None) -> Path:
    """Return the vault that is meant: --vault or MEDANCHOR_VAULT, else the platform's place for a user's data.

    Raises UsageError for a ~ that means nobody.
    """
    if vault is not None:
        try:
            return vault.expanduser().absolute()
        except RuntimeError:
            raise UsageError(f"there is no home for the ~ in {vault}", hint="name the vault by its path") from None
    import platformdirs

    return Path(platformdirs.user_data_dir("medanchor"))


def insists(vault: Path | None) -> bool:
    """Say whether `vault` was named with --vault; MEDANCHOR_VAULT is a default, and may name what is not there."""
    return vault is not None and str(vault) != os.environ.get(VAULT)


def open_store(vault: Path | None, *, read_only: bool = False) -> "Store":
    """Return the vault's store. Raises VaultError if there is none."""
    from medanchor.vault.store import Store

    return Store(vault_directory(vault), read_only=read_only)


def readable_store(vault: Path | None) -> "Store":
    """Return the vault's store for reading, with a hint for those who have a proof instead."""
    try:
        return open_store(vault, read_only=True)
    except VaultError as error:
        if has_vault(vault_directory(vault)):
            raise
        raise VaultError(error.message, hint="if you have a proof, give it with --proof FILE") from None


def open_config(store: "Store") -> "Config":
    """Return the vault's preferences, with the environment's over them."""
    from medanchor.vault.config import read_config

    return read_config(store.directory, os.environ)


def open_signer(store: "Store", key: str | None, passphrase_file: Path | None) -> "Signer":
    """Return the signer that `key`, or the configuration, names, unlocked."""
    from medanchor.vault.keys import read_key, unlock

    return unlock(read_key(store.directory, key_name(store, key)), passphrase_source(passphrase_file))


def key_name(store: "Store", key: str | None) -> str:
    """Return the name of the key that signs: `key`, or the configuration's. Raises UsageError if there is neither."""
    if name := key or open_config(store).key:
        return name
    raise UsageError(
        "no key is chosen", hint="choose one for good with 'medanchor key use NAME', or name it with --key"
    )


def passphrase_source(file: Path | None) -> "Passphrase":
    """Return what finds a passphrase: in `file`, in MEDANCHOR_PASSPHRASE, or by asking at a terminal."""

    def find(name: str) -> bytes:
        if file is not None:
            return read_passphrase(file)
        if value := os.environ.get(PASSPHRASE):
            return os.fsencode(value)  # as it was typed, whether or not it is text
        return ask_passphrase(f"passphrase of the key {name}: ")

    return find


def read_passphrase(file: Path) -> bytes:
    """Return the first line of `file`, which only its owner may read."""
    from medanchor.vault.private import check_private

    try:
        check_private(file)
        line = file.read_bytes().split(b"\n", 1)[0].removesuffix(b"\r")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot read the passphrase file {file}: {reason}", hint="name a file with one line"
        ) from None
    if not line:
        raise UsageError(f"the passphrase file {file} is empty", hint="write the passphrase on its first line")
    return line


def ask_passphrase(prompt: str, *, instead: str = f"give --passphrase-file FILE or set {PASSPHRASE}") -> bytes:
    """Ask at the terminal; without one, raise VaultError: nothing ever waits for an answer that cannot come.

    `instead` is the hint for those who have none.
    """
    if not sys.stdin.isatty():
        raise VaultError("a passphrase is needed and there is no terminal to ask at", hint=instead)
    import getpass

    try:
        return getpass.getpass(prompt, sys.stderr).encode()
    except EOFError:
        raise VaultError("no passphrase was given", hint=instead) from None


def new_passphrase(file: Path | None, *, ask: bool) -> bytes | None:
    """Return the passphrase for a new key: from `file`, the environment or two prompts; None if none is wanted."""
    if file is not None or os.environ.get(PASSPHRASE):
        return passphrase_source(file)("")
    return ask_twice() if ask else None


def ask_twice(*, instead: str = f"give --passphrase-file FILE or set {PASSPHRASE}") -> bytes:
    """Ask for a new passphrase, and once more: a slip of the finger would lock the key for ever."""
    first = ask_passphrase("new passphrase: ", instead=instead)
    if not first or first != ask_passphrase("the same again: ", instead=instead):
        raise UsageError("the two passphrases differ, or are empty", hint="try again; nothing was changed")
    return first


def network_named(name: str) -> Network:
    """Return the Bitcoin network called `name`. Raises UsageError."""
    if name not in list(Network):
        known = ", ".join(Network)
        raise UsageError(f"expected a network out of {known}, found {name}", hint="regtest is for trying out")
    return Network(name)


def now_text() -> str:
    """Return the time now: RFC 3339, UTC, whole seconds."""
    return time_text(int(time.time()))


def time_text(seconds: int) -> str:
    """Return a Unix time as RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ensure_vault(directory: Path, out: Output) -> None:
    """Make a vault on the embedded regtest if there is none, for someone who just wants to stamp, and say so."""
    if has_vault(directory):
        return
    import getpass

    from medanchor.notary.vaults import NewVault, create_vault, new_origin

    try:
        label = getpass.getuser()
    except (KeyError, OSError):
        label = "unnamed"
    try:
        create_vault(directory, NewVault(new_origin(), Network.REGTEST, "default", label, "", None))
    except VaultError:
        if not has_vault(directory):
            raise  # otherwise another command made it in the same moment
    out.warn(f"there was no vault: made one in {directory}, on the embedded regtest chain, for trying out")


def has_vault(directory: Path) -> bool:
    """Say whether there is a vault in `directory`."""
    return (directory / DATABASE).exists()
