"""`medanchor key`: the keys that sign."""

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import ask_twice, new_passphrase, open_config, open_store, passphrase_source
from medanchor.cli.output import Output
from medanchor.cli.public_key import public_key_fields

if TYPE_CHECKING:
    from medanchor.vault.keys import KeyFile
    from medanchor.vault.store import Store

app = typer.Typer(help="Make, show and choose the keys that sign.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="KEY", show_default=False)]
Label = Annotated[str, typer.Option("--name", metavar="WHO", help="Who holds it, as people read it: Dr B. Example.")]
Role = Annotated[str, typer.Option("--role", metavar="ROLE", help="What they are: nurse.")]
Ask = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase that seals the key.")]
Remove = Annotated[bool, typer.Option("--remove", help="Keep the key in plain, in a file only you can read.")]
NewFile = Annotated[Path | None, typer.Option("--new-passphrase-file", metavar="FILE", help="The new passphrase.")]


@app.command("list")
def list_(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """List the keys in the vault.

    Example: medanchor key list
    """
    from medanchor.vault.keys import list_keys, read_key

    with open_store(vault, read_only=True) as store:
        chosen = open_config(store).key
        keys = [read_key(store.directory, name) for name in list_keys(store.directory)]
    lines = [
        f"{'*' if key.name == chosen else ' '} {key.name}: {key.person}, key {key.key_id.hex()[:16]},"
        f" {'with a passphrase' if key.locked else 'in plain'}"
        for key in keys
    ]
    out = Output(json, quiet, verbose)
    out.result(*(lines or ["there are no keys"]), keys=[{**_fields(key), "chosen": key.name == chosen} for key in keys])


@app.command()
def new(
    key: Name,
    name: Label = "",
    role: Role = "",
    passphrase: Ask = False,
    passphrase_file: options.PassphraseFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a key for one more person.

    Example: medanchor key new dr-b --name "Dr B. Example" --role nurse
    """
    with open_store(vault) as store:
        made = _make(store, key, name or key, role, new_passphrase(passphrase_file, ask=passphrase))
    out = Output(json, quiet, verbose)
    out.result(f"made the key {made.name} of {made.person}; sign with --key {made.name}", **_fields(made))


@app.command()
def rotate(
    key: Name,
    passphrase: Ask = False,
    passphrase_file: options.PassphraseFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make a successor for a key and sign with it from now on.

    Holder and role stay the same, and one with a passphrase gets one again. What the old one signed stays valid.

    Example: medanchor key rotate default
    """
    from medanchor.vault.keys import list_keys, read_key

    with open_store(vault) as store:
        old = read_key(store.directory, key)
        successor = _successor(key, list_keys(store.directory))
        secret = new_passphrase(passphrase_file, ask=passphrase or old.locked is not None)
        made = _make(store, successor, old.label, old.role, secret)
        _choose(store, made.name)
    line = (
        f"made the key {made.name} of {made.person} and chose it; {key} is kept, destroy its file to retire it for good"
    )
    Output(json, quiet, verbose).result(line, **_fields(made), follows=key)


@app.command()
def use(
    key: Name,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Choose the key that signs unless --key says otherwise.

    Example: medanchor key use default
    """
    from medanchor.vault.keys import read_key

    with open_store(vault) as store:
        chosen = read_key(store.directory, key)
        _choose(store, key)
    Output(json, quiet, verbose).result(f"{key} of {chosen.person} signs from now on", **_fields(chosen))


@app.command()
def export(
    key: Name,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Print a public key with its holder's name, for auditors.

    They give it to verify as --signer FILE.

    Example: medanchor key export default
    """
    from medanchor.core.checkpoint import verifier_key
    from medanchor.vault.keys import read_key

    with open_store(vault, read_only=True) as store:
        found = read_key(store.directory, key)
        note = verifier_key(store.origin, found.public)
    public = public_key_fields(found)
    out = Output(json, quiet, verbose)
    out.result(dumps(public, sort_keys=True), **public, checkpoint_key=note)


@app.command()
def passphrase(
    key: Name,
    remove: Remove = False,
    passphrase_file: options.PassphraseFile = None,
    new_passphrase_file: NewFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Change the passphrase of a key, or give it one.

    Example: medanchor key passphrase default --remove
    """
    from medanchor.cli.context import read_passphrase
    from medanchor.vault.keys import change_passphrase, read_key

    with open_store(vault) as store:
        found = read_key(store.directory, key)
        secret = None
        if not remove:
            instead = "give --new-passphrase-file FILE, or --remove"
            secret = read_passphrase(new_passphrase_file) if new_passphrase_file else ask_twice(instead=instead)
        change_passphrase(store.directory, found, passphrase_source(passphrase_file), secret)
    told = "is in plain now, in a file that only you can read" if remove else "has its new passphrase"
    Output(json, quiet, verbose).result(f"{key} {told}", key=key, passphrase=not remove)


def _make(store: "Store", name: str, label: str, role: str, secret: bytes | None) -> "KeyFile":
    from medanchor.vault.anchors import add_signer
    from medanchor.vault.keys import create_key

    made = create_key(store.directory, name, label, role, secret)
    with store.writing():
        add_signer(store, made.public, made.label, made.role)
    return made


def _successor(name: str, taken: list[str]) -> str:
    """Return the first of NAME-2, NAME-3, … that is free."""
    stem = name.rsplit("-", 1)[0] if name.rsplit("-", 1)[-1].isdecimal() else name
    return next(candidate for number in range(2, 10_000) if (candidate := f"{stem}-{number}") not in taken)


def _choose(store: "Store", name: str) -> None:
    """Write the chosen key into the configuration, whose other entries stay."""
    from dataclasses import replace

    from medanchor.vault.config import read_config, write_config

    write_config(store.directory, replace(read_config(store.directory, {}), key=name))


def _fields(key: "KeyFile") -> dict[str, object]:
    return {
        "key": key.name,
        "key_id": key.key_id.hex(),
        "name": key.label,
        "role": key.role,
        "passphrase": key.locked is not None,
    }
