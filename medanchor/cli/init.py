"""`medanchor init`."""

from typing import Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import new_passphrase, vault_directory
from medanchor.cli.output import Output
from medanchor.core.header import Network
from medanchor.errors import UsageError

Origin = Annotated[
    str | None, typer.Option("--origin", metavar="ORIGIN", help="The ledger's name for ever: clinic.example/ward-7.")
]
NetworkName = Annotated[
    str, typer.Option("--network", metavar="NETWORK", help="The Bitcoin network to anchor on: regtest, embedded.")
]
KeyName = Annotated[str, typer.Option("--key", metavar="NAME", help="The first key's file name.")]
Label = Annotated[str, typer.Option("--name", metavar="WHO", help="Who holds it, as people read it: Dr A. Example.")]
Role = Annotated[str, typer.Option("--role", metavar="ROLE", help="What they are: physician.")]
Ask = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase that encrypts the key.")]


def init(
    origin: Origin = None,
    network: NetworkName = Network.REGTEST.value,
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
    chain = check_network(network)
    secret = new_passphrase(passphrase_file, ask=passphrase)
    new = NewVault(origin or new_origin(), chain, key, name or key, role, secret)
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


def check_network(name: str) -> Network:
    """Return the network `name` if this version can anchor on it. Raises UsageError."""
    if name != Network.REGTEST.value:
        raise UsageError(
            f"expected the network regtest, found {name}", hint="this version anchors on the embedded chain"
        )
    return Network.REGTEST
