"""A wallet of the vault's own: from its file, the configuration and the environment to one that can be used."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.context import PASSPHRASE, ask_passphrase, ask_twice, open_config, read_passphrase
from medanchor.cli.output import Output
from medanchor.errors import ChainError, UsageError, VaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medanchor.vault.config import Config
    from medanchor.vault.store import Store
    from medanchor.vault.wallet_file import Birthday
    from medanchor.wallet.bdk import BdkWallet
    from medanchor.wallet.descriptors import Descriptors
    from medanchor.wallet.errand import Way

WALLET_PASSPHRASE = "MEDANCHOR_WALLET_PASSPHRASE"  # noqa: S105 - the name of a variable
_DAY = 144  # blocks: none that deep is reorganised, and peers could not begin at one that was
_INSTEAD = f"give --passphrase-file FILE or set {WALLET_PASSPHRASE}"


def own_wallet(store: "Store", config: "Config", passphrase_file: Path | None = None) -> "BdkWallet":
    """Return the vault's own wallet; nothing is unlocked, and nobody asked, before it is needed.

    Raises VaultError if there is none, or it is damaged, or another network's.
    """
    from medanchor.vault.wallet_file import DIRECTORY, read_wallet_file, unlock_words
    from medanchor.wallet.bdk import BdkWallet
    from medanchor.wallet.descriptors import Descriptors
    from medanchor.wallet.errand import Start

    file = read_wallet_file(store.directory)
    if file.network is not store.network:
        raise VaultError(
            f"expected a wallet of {store.network}, found one of {file.network}",
            hint="it is another vault's: put it back there, and make one here with 'medanchor wallet create'",
        )
    return BdkWallet(
        store.directory / DIRECTORY,
        Descriptors(file.network, file.external, file.change),
        lambda: _sync(config),
        start=Start(file.birthday.height, file.birthday.block) if file.birthday else None,
        words=None if file.watches else lambda: unlock_words(file, lambda: _passphrase(passphrase_file)),
        sent=lambda: _sent(store, config),
    )


def _sync(config: "Config") -> "Way":
    """Return how the wallet learns of its coins: as configured, else from the Esplora server that knows the blocks."""
    from medanchor.wallet.errand import Way

    if text := config.wallet_sync or (config.esplora and f"esplora {config.esplora}"):
        return Way(text)
    raise UsageError(
        "nothing is configured that tells the wallet of its coins",
        hint="set wallet_sync in config.toml: docs/operations.md tells how",
    )


def _sent(store: "Store", config: "Config") -> "Sequence[bytes]":
    """Return the transactions of anchors that may be on their way."""
    from medanchor.notary.standing import SENDABLE, states
    from medanchor.vault.anchors import list_anchors

    rows = list_anchors(store)
    standing = states(rows, config.confirmations)
    return [row.transaction for row in rows if standing[row.number] in SENDABLE]


def _passphrase(file: Path | None) -> bytes:
    if file is not None:
        return read_passphrase(file)
    if value := os.environ.get(WALLET_PASSPHRASE) or os.environ.get(PASSPHRASE):
        return os.fsencode(value)  # as it was typed, whether or not it is text
    return ask_passphrase("passphrase of the wallet: ", instead=_INSTEAD)


def new_passphrase(file: Path | None, *, ask: bool) -> bytes | None:
    """Return the passphrase for a new wallet: from `file`, the environment or two prompts; None if none is wanted."""
    if file is not None or os.environ.get(WALLET_PASSPHRASE) or os.environ.get(PASSPHRASE):
        return _passphrase(file)
    return ask_twice(instead=_INSTEAD) if ask else None


def read_words_file(file: Path) -> str:
    """Return what stands in `file`, which only its owner may read. Raises VaultError, UsageError."""
    from medanchor.vault.private import check_private

    try:
        check_private(file)
        return file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        told = (getattr(error, "strerror", None) or "it is no plain text").lower()
        raise UsageError(f"cannot read the words in {file}: {told}", hint="name a file with the words in it") from None


def ask_words() -> str:
    """Ask for the words at the terminal, unseen. Raises UsageError if there is none."""
    if not sys.stdin.isatty():
        raise UsageError("the words are needed and there is no terminal to ask at", hint="give --words-file FILE")
    return ask_passphrase("words: ").decode()


def birthday_at(store: "Store", height: int | None, out: Output) -> "Birthday | None":
    """Return the block at `height`, or one of yesterday: where peers are later asked from. None if nobody knows it."""
    from medanchor.cli.sources import embedded, open_chain
    from medanchor.core.hashes import sha256d
    from medanchor.vault.wallet_file import Birthday

    config = open_config(store)
    if embedded(store, config) or not (config.node or config.esplora):
        return None
    try:
        chain = open_chain(store)
        known = height if height is not None else max(0, chain.tip().height - _DAY)
        header = chain.headers([known])[0]
    except ChainError as error:
        out.warn(f"its first block is not noted, which only costs time later: {error.message}")
        return None
    return Birthday(known, sha256d(header)) if header else None


def keep(
    store: "Store", found: "Descriptors", words: str, secret: bytes | None, start: "Birthday | None"
) -> dict[str, object]:
    """Write the wallet into the vault, choose it if none is chosen, and return what is told of it."""
    from dataclasses import replace

    from medanchor.vault.config import read_config, write_config
    from medanchor.vault.wallet_file import WalletFile, create_wallet_file

    file = WalletFile(found.network, found.external, found.change, start, words.encode())
    create_wallet_file(store.directory, file, secret)
    if not open_config(store).wallet:
        write_config(store.directory, replace(read_config(store.directory, {}), wallet="own"))
    return {
        "network": found.network.value,
        "address": own_wallet(store, open_config(store)).address(),
        "watches": not words,
        "passphrase": secret is not None,
    }
