"""`medanchor init`."""

from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import network_named, new_passphrase, vault_directory
from medanchor.cli.output import Output
from medanchor.core.header import Network
from medanchor.errors import UsageError, VaultError

if TYPE_CHECKING:
    from medanchor.vault.config import Config

Origin = Annotated[
    str | None, typer.Option("--origin", metavar="ORIGIN", help="The ledger's name for ever: clinic.example/ward-7.")
]
NetworkName = Annotated[
    str, typer.Option("--network", metavar="NETWORK", help="regtest, testnet3, testnet4, signet or mainnet.")
]
KeyName = Annotated[str, typer.Option("--key", metavar="NAME", help="The first key's file name.")]
Label = Annotated[str, typer.Option("--name", metavar="WHO", help="Who holds it, as people read it: Dr A. Example.")]
Role = Annotated[str, typer.Option("--role", metavar="ROLE", help="What they are: physician.")]
YesMainnet = Annotated[bool, typer.Option("--yes-mainnet", help="Yes: anchors there cost real money.")]
WalletName = Annotated[str, typer.Option("--wallet", metavar="WALLET", help="Who pays: 'core NAME', or own.")]
Ask = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase that encrypts the key.")]


def init(
    origin: Origin = None,
    network: NetworkName = Network.REGTEST.value,
    yes_mainnet: YesMainnet = False,
    node: options.Node = "",
    esplora: options.Esplora = "",
    wallet: WalletName = "",
    key: KeyName = "default",
    name: Label = "",
    role: Role = "",
    passphrase: Ask = False,
    passphrase_file: options.PassphraseFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a vault: its ledger, its network and a signing key.

    Example: medanchor init --name "Dr A. Example" --role physician
    """
    from medanchor.notary.vaults import NewVault, create_vault, new_origin

    out = Output(json, quiet, verbose)
    directory = vault_directory(vault)
    chain = check_network(network, yes_mainnet=yes_mainnet)
    preferences = _preferences(node=node, esplora=esplora, wallet=wallet)
    secret = new_passphrase(passphrase_file, ask=passphrase)
    new = NewVault(origin or new_origin(), chain, key, name or key, role, secret, preferences)
    create_vault(directory, new)
    kept = "encrypted with a passphrase" if secret else "in a file that only you can read"
    out.result(
        f"made the vault {directory}",
        f"ledger {new.origin} on {new.network}; key {key} of {new.label}, {kept}",
        "back it up whenever you stamp: without its salts no proof can be made again",
        vault=str(directory),
        origin=new.origin,
        network=new.network.value,
        key=key,
    )
    if chain is not Network.REGTEST and not (node or esplora):
        out.warn(f"there is no source of {chain}'s blocks yet: name a node or an Esplora server in config.toml")


def _preferences(**given: str) -> "Config":
    """Return a configuration with what was given. Raises UsageError if it makes no sense."""
    from medanchor.vault.config import checked

    try:
        return checked(given, {name: f"--{name}" for name in given})
    except VaultError as error:
        raise UsageError(error.message, hint=error.hint) from None


def check_network(name: str, *, yes_mainnet: bool) -> Network:
    """Return the network `name`; mainnet is asked for twice, as anchors cost real money there. Raises UsageError."""
    network = network_named(name)
    if network is Network.MAINNET and not yes_mainnet:
        raise UsageError(
            "on mainnet every anchor costs real money, some hundred to some thousand satoshi",
            hint="say so with --yes-mainnet; testnet4 is there for trying out",
        )
    return network
