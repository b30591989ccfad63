"""From configuration and flags to where blocks come from; nobody is asked who was not named."""

import os
import time
from typing import TYPE_CHECKING

from medanchor.cli.context import open_config
from medanchor.core.header import Network
from medanchor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medanchor.chain.embedded import EmbeddedChain
    from medanchor.chain.source import Chain
    from medanchor.net.rpc import Rpc
    from medanchor.vault.config import Config
    from medanchor.vault.store import Store

NO_SOURCE = "name a node, an Esplora server, or both in config.toml: docs/operations.md tells how"


def has_chain(store: "Store") -> bool:
    """Say whether there is a source to ask: one that is configured, or an embedded chain that can be opened.

    The embedded chain's engine writes even to read.
    """
    from medanchor.notary.vaults import CHAIN

    config = open_config(store)
    if config.node or config.esplora:
        return True
    return (store.directory / CHAIN).is_dir() and os.access(store.directory / CHAIN, os.W_OK)


def open_chain(store: "Store", *, sources: int = 1) -> "Chain":
    """Return the source of blocks that the vault is configured with; nothing is asked of it yet.

    A node goes before an Esplora server; with 2 `sources`, both are asked and have to agree. Raises UsageError if there
    are not so many.
    """
    config = open_config(store)
    named = list(_named(store.network, config.node, config.node_cookie, config.esplora))
    if embedded(store, config):
        named = [_embedded(store, config)]
    if len(named) < sources:
        found = "none" if not named else named[0].name
        wanted = "a source" if sources == 1 else "two sources"
        raise UsageError(f"expected {wanted} of {store.network}'s blocks, found {found}", hint=NO_SOURCE)
    return named[0] if sources == 1 else _agreement(named)


def named_chain(network: Network, node: str, esplora: str) -> "Chain":
    """Return the sources of `network`'s blocks at these addresses, of which one may be empty; both have to agree."""
    named = list(_named(network, node, "", esplora))
    return named[0] if len(named) == 1 else _agreement(named)


def _named(network: Network, node: str, cookie: str, esplora: str) -> "Iterator[Chain]":
    if node:
        yield node_chain(node, network, cookie)
    if esplora:
        yield esplora_chain(esplora, network)


def _agreement(chains: "list[Chain]") -> "Chain":
    from medanchor.chain.agreement import Agreement

    return Agreement(*chains)


def node_chain(url: str, network: Network, cookie: str = "") -> "Chain":
    """Return a Bitcoin Core node as a source of `network`'s blocks."""
    from medanchor.chain.node import NodeChain

    return NodeChain(core_rpc(url, network, cookie), network)


def esplora_chain(url: str, network: Network) -> "Chain":
    """Return an Esplora server as a source of `network`'s blocks."""
    from medanchor.chain.esplora import EsploraChain
    from medanchor.net.server import Server

    return EsploraChain(Server("the Esplora server", url), network)


def core_rpc(url: str, network: Network, cookie: str) -> "Rpc":
    """Return a way to ask the Bitcoin Core node at `url`; by the cookie in the file `cookie`, or in the usual place."""
    from pathlib import Path

    from medanchor.net.rpc import Rpc

    return Rpc(url, network.value, cookie=Path(cookie).expanduser() if cookie else None)


def _embedded(store: "Store", config: "Config") -> "EmbeddedChain":
    from medanchor.chain.embedded import EmbeddedChain
    from medanchor.notary.vaults import CHAIN

    now = lambda: int(time.time())  # noqa: E731 - a clock
    return EmbeddedChain(store.directory / CHAIN, now=now, confirmations=config.confirmations)


def embedded(store: "Store", config: "Config") -> bool:
    """Say whether the vault's source of blocks is the embedded chain."""
    return store.network is Network.REGTEST and not (config.node or config.esplora)


def embedded_chain(store: "Store") -> "EmbeddedChain | None":
    """Return the embedded chain if it is this vault's source of blocks, and is there."""
    config = open_config(store)
    return _embedded(store, config) if embedded(store, config) and has_chain(store) else None
