"""From configuration to who pays for anchors; nobody is asked, and nothing unlocked, before there is need."""

from typing import TYPE_CHECKING

from medanchor.cli.sources import core_rpc
from medanchor.errors import UsageError

if TYPE_CHECKING:
    from medanchor.chain.source import Chain
    from medanchor.vault.config import Config
    from medanchor.vault.store import Store
    from medanchor.wallet.wallet import CoinWallet, Wallet


def open_wallet(store: "Store", config: "Config", chain: "Chain") -> "Wallet":
    """Return who pays for anchors; nobody is asked, and nothing unlocked, before there is something to pay for."""
    from medanchor.chain.embedded import EmbeddedChain
    from medanchor.wallet.free import FreeWallet, NoWallet

    if isinstance(chain, EmbeddedChain):
        return FreeWallet(chain.prepare)
    return coin_wallet(store, config) if config.wallet else NoWallet(store.network)


def coin_wallet(store: "Store", config: "Config") -> "CoinWallet":
    """Return the wallet that is configured. Raises UsageError if none is."""
    if config.wallet == "own":
        from medanchor.cli.own_wallet import own_wallet

        return own_wallet(store, config)
    if not config.wallet:
        from medanchor.wallet.free import NO_WALLET

        raise UsageError("no wallet is configured", hint=NO_WALLET)
    if not config.node:
        raise UsageError("a wallet of Bitcoin Core needs its node", hint="name it in config.toml as node")
    from medanchor.wallet.core import CoreWallet

    name = config.wallet.removeprefix("core ")
    return CoreWallet(core_rpc(config.node, store.network, config.node_cookie), store.network, name)
