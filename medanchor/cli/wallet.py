"""`medanchor wallet`: who pays for anchors; and the making of a wallet of the vault's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import open_config, open_store
from medanchor.cli.output import Output
from medanchor.cli.own_wallet import ask_words, birthday_at, keep, new_passphrase, own_wallet, read_words_file
from medanchor.errors import VaultError

if TYPE_CHECKING:
    from medanchor.wallet.bdk import Movement

app = typer.Typer(help="The coins that pay for anchors.", no_args_is_help=True, rich_markup_mode=None)

Watch = Annotated[
    list[str] | None,
    typer.Option("--watch", metavar="DESCRIPTOR", help="Only watch these public descriptors; the keys are elsewhere."),
]
Ask = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase that seals the words in the vault.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The wallet's passphrase: the first line of this file."),
]
WordsFile = Annotated[
    Path | None, typer.Option("--words-file", metavar="FILE", help="The words, in a file that only you can read.")
]
Since = Annotated[
    int | None,
    typer.Option("--since", metavar="HEIGHT", min=0, help="A block before the wallet's first coin; it saves time."),
]


@app.command()
def create(
    watch: Watch = None,
    passphrase: Ask = False,
    passphrase_file: PassphraseFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a wallet of the vault's own, and show its 12 words, once.

    Example: medanchor wallet create --passphrase
    """
    from medanchor.wallet.descriptors import from_words, new_words, watched

    out = Output(json, quiet, verbose)
    with open_store(vault) as store:
        words = "" if watch else new_words()
        found = watched(watch, store.network) if watch else from_words(words, store.network)
        secret = None if watch else new_passphrase(passphrase_file, ask=passphrase)
        fields = keep(store, found, words, secret, birthday_at(store, None, out))
    _warn(out, fields)
    shown = {"words": words.split()} if words else {}
    lines = [_made("made", fields), f"its first address: {fields['address']}"]
    out.result(*_words_lines(words), *lines, **fields, **shown)


@app.command()
def restore(
    words_file: WordsFile = None,
    since: Since = None,
    passphrase: Ask = False,
    passphrase_file: PassphraseFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make the vault's own wallet again, from its words.

    Its coins are found when it is next asked for them.

    Example: medanchor wallet restore --words-file words.txt
    """
    from medanchor.wallet.descriptors import from_words, read_words

    out = Output(json, quiet, verbose)
    with open_store(vault) as store:
        words = read_words(read_words_file(words_file) if words_file else ask_words())
        secret = new_passphrase(passphrase_file, ask=passphrase)
        start = birthday_at(store, since, out) if since is not None else None
        fields = keep(store, from_words(words, store.network), words, secret, start)
    _warn(out, fields)
    out.result(_made("restored", fields), "see what it has with 'medanchor wallet balance'", **fields)


@app.command()
def address(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Print an address to send coins to.

    Example: medanchor wallet address
    """
    from medanchor.cli.payers import coin_wallet

    with open_store(vault) as store:
        wallet = coin_wallet(store, open_config(store))
        found = wallet.address()
    Output(json, quiet, verbose).result(found, address=found, network=wallet.network.value, wallet=wallet.name)


@app.command()
def balance(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Say what the wallet has, in satoshi.

    Example: medanchor wallet balance
    """
    from medanchor.cli.payers import coin_wallet

    with open_store(vault) as store:
        wallet = coin_wallet(store, open_config(store))
        found = wallet.balance()
    line = f"{wallet.name} on {wallet.network}: {found.confirmed:,} sat in blocks, {found.pending:,} on their way"
    fields = {"network": wallet.network.value, "wallet": wallet.name}
    Output(json, quiet, verbose).result(line, confirmed=found.confirmed, pending=found.pending, **fields)


@app.command("list")
def list_(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """List the transactions of the vault's own wallet, the newest first.

    Example: medanchor wallet list
    """
    with open_store(vault) as store:
        moved = own_wallet(store, open_config(store)).movements()
    lines = [_movement_line(movement) for movement in moved] or ["there are no transactions"]
    Output(json, quiet, verbose).result(*lines, transactions=[_movement_fields(movement) for movement in moved])


@app.command()
def rescan(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Read all coins of the vault's own wallet anew from the chain, however damaged its database is.

    Example: medanchor wallet rescan
    """
    with open_store(vault) as store:
        wallet = own_wallet(store, open_config(store))
        found = wallet.rescan()
    line = f"read anew: {found.confirmed:,} sat in blocks, {found.pending:,} on their way"
    fields = {"network": wallet.network.value, "wallet": wallet.name}
    Output(json, quiet, verbose).result(line, confirmed=found.confirmed, pending=found.pending, **fields)


@app.command()
def forget(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Set the vault's own wallet aside, to make another one; nothing of it is removed.

    Example: medanchor wallet forget
    """
    from medanchor.vault.wallet_file import has_wallet_file, set_aside

    with open_store(vault) as store:
        if not has_wallet_file(store.directory):
            raise VaultError("the vault has no wallet of its own", hint="there is nothing to set aside")
        place = set_aside(store.directory)
    lines = [
        f"the wallet is in {place} now, words and all",
        "remove that only once its words, or its coins, are elsewhere",
    ]
    Output(json, quiet, verbose).result(*lines, place=str(place))


def _made(done: str, fields: dict[str, object]) -> str:
    kind = "that only watches" if fields["watches"] else "encrypted" if fields["passphrase"] else "in plain"
    return f"{done} this vault's own wallet on {fields['network']}, {kind}"


def _words_lines(words: str) -> list[str]:
    if not words:
        return []
    return [
        "these words are the wallet: write them down on paper now, they are not shown again",
        f"    {words}",
        "whoever has them has its coins; if the vault is lost, 'medanchor wallet restore' needs them",
    ]


def _warn(out: Output, fields: dict[str, object]) -> None:
    if fields["network"] == "mainnet" and not (fields["passphrase"] or fields["watches"]):
        out.warn("the words lie in the vault in plain: whoever reads it has the wallet's coins")


def _movement_line(movement: "Movement") -> str:
    fields = _movement_fields(movement)
    where = "not in a block" if movement.height is None else f"block {movement.height}"
    if movement.fee is None:
        return f"{where}: received {movement.received:,} sat, transaction {fields['transaction']}"
    kind = "anchor" if fields["anchor"] else f"spent {movement.spent - movement.received - movement.fee:,} sat"
    return f"{where}: {kind}, fee {movement.fee:,} sat, transaction {fields['transaction']}"


def _movement_fields(movement: "Movement") -> dict[str, object]:
    from medanchor.core.hashes import display, sha256d
    from medanchor.core.transaction import anchored_payload, strip_witness
    from medanchor.errors import VerificationError

    stripped = strip_witness(movement.transaction)
    try:
        anchors = bool(anchored_payload(stripped))
    except VerificationError:
        anchors = False
    return {
        "transaction": display(sha256d(stripped)),
        "height": movement.height,
        "anchor": anchors,
        "received": movement.received,
        "spent": movement.spent,
        "fee": movement.fee,
    }
