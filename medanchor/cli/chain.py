"""`medanchor chain`: the source of blocks."""

from pathlib import Path
from typing import Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import open_chain, open_store, time_text
from medanchor.cli.output import Output, plural
from medanchor.errors import UsageError

app = typer.Typer(help="The chain that anchors stand on.", no_args_is_help=True, rich_markup_mode=None)

HeadersFile = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@app.command()
def show(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Say which source of blocks is asked, and its newest block.

    Example: medanchor chain show
    """
    from medanchor.core.hashes import display
    from medanchor.core.header import Header

    with open_store(vault) as store:
        chain = open_chain(store, 1)
        tip = chain.tip()
    header = Header.parse(tip.header)
    lines = [f"{chain.name}: height {tip.height}, block {display(header.block_hash)} of {time_text(header.time)}"]
    fields = {"height": tip.height, "block": display(header.block_hash), "time": time_text(header.time)}
    Output(json, quiet, verbose).result(*lines, source=chain.name, network=chain.network.value, **fields)


@app.command()
def check(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Read every block of the embedded chain again and check it.

    Example: medanchor chain check
    """
    with open_store(vault) as store:
        blocks = open_chain(store, 1).check()
    Output(json, quiet, verbose).result(f"{plural(blocks, 'block')} read again: all of them hold", blocks=blocks)


@app.command()
def export(
    file: HeadersFile,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write the chain's block headers to a file, for auditors.

    They give it to verify as --headers FILE.

    Example: medanchor chain export headers.bin
    """
    with open_store(vault) as store:
        chain = open_chain(store, 1)
        headers = [header for header in chain.headers(range(chain.tip().height + 1)) if header]
    try:
        file.write_bytes(b"".join(headers))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot write {file}: {reason}", hint="name a file in a folder you can write to") from None
    Output(json, quiet, verbose).result(f"{plural(len(headers), 'header')} written to {file}", headers=len(headers))
