"""`medanchor chain`: the source of blocks."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import network_named, open_store, time_text
from medanchor.cli.output import Output, plural
from medanchor.cli.sources import named_chain, open_chain
from medanchor.errors import UsageError

if TYPE_CHECKING:
    from medanchor.chain.header_sync import HeaderSource, Synced
    from medanchor.chain.headers import HeaderChain
    from medanchor.core.header import Network

app = typer.Typer(help="The chain that anchors stand on.", no_args_is_help=True, rich_markup_mode=None)

HeadersFile = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
OptionalFile = Annotated[Path | None, typer.Argument(metavar="FILE", show_default=False)]
From = Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Another file of headers.")]
NetworkName = Annotated[
    str | None, typer.Option("--network", metavar="NETWORK", help="For a new file from a server: such as mainnet.")
]


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
        chain = open_chain(store)
        tip = chain.tip()
    header = Header.parse(tip.header)
    lines = [f"{chain.name}: height {tip.height}, block {display(header.block_hash)} of {time_text(header.time)}"]
    fields = {"height": tip.height, "block": display(header.block_hash), "time": time_text(header.time)}
    Output(json, quiet, verbose).result(*lines, source=chain.name, network=chain.network.value, **fields)


@app.command()
def check(
    file: OptionalFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Check the headers in FILE, or every block of the embedded chain.

    FILE is then known to verify --headers, which need not check it again.

    Example: medanchor chain check
    """
    from medanchor.chain.embedded import EmbeddedChain

    out = Output(json, quiet, verbose)
    if file is not None:
        _check_file(file, out)
        return
    with open_store(vault) as store:
        chain = open_chain(store)
        if not isinstance(chain, EmbeddedChain):
            raise UsageError("this vault has no embedded chain", hint="to check a chain of headers, name its file")
        blocks = chain.check()
    out.result(f"{plural(blocks, 'block')} read again: all of them hold", blocks=blocks)


def _check_file(file: Path, out: Output) -> None:
    from medanchor.chain.header_file import believed_headers
    from medanchor.chain.header_note import usual_note

    with out.progress("headers checked") as advance:
        chain = believed_headers(file, note=usual_note(), progress=advance)
    out.result(f"{file} holds {_reach(chain)}: all of them obey Bitcoin Core's rules", **_fields(chain))


@app.command()
def sync(
    file: HeadersFile,
    origin: From = None,
    node: options.Node = "",
    esplora: options.Esplora = "",
    network: NetworkName = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Bring a file of block headers up to date, checked.

    From the vault's source of blocks, or from one that is named. Verify takes the file as --headers FILE.

    Example: medanchor chain sync headers.bin
    """
    from medanchor.chain.header_note import usual_note
    from medanchor.chain.header_sync import headers_in, sync_headers

    out = Output(json, quiet, verbose)
    if origin and (node or esplora):
        raise UsageError("--from names a file of headers instead of a server", hint="leave one of them out")
    with ExitStack() as closing:
        source: HeaderSource
        if origin:
            source = closing.enter_context(headers_in(origin))
        elif node or esplora:
            source = named_chain(_network(file, network), node, esplora)
        else:
            source = open_chain(closing.enter_context(open_store(vault)))
        progress = closing.enter_context(out.progress("headers fetched and checked"))
        synced = sync_headers(source, file, note=usual_note(), progress=progress)
    out.result(
        *_news(file, source, synced),
        source=source.name,
        **_fields(synced.chain),
        added=synced.added,
        removed=synced.removed,
    )


def _network(file: Path, name: str | None) -> "Network":
    """Return the network that was named, or else the one whose headers `file` holds already."""
    from medanchor.chain.header_sync import headers_in

    if name is not None:
        return network_named(name)
    if not file.exists():
        raise UsageError("expected --network for a new file", hint="such as: --network mainnet")
    with headers_in(file) as headers:
        return headers.network


def _news(file: Path, source: "HeaderSource", synced: "Synced") -> list[str]:
    if synced.added:
        removed = f", {synced.removed} taken out of a chain that has less work" if synced.removed else ""
        return [f"{plural(synced.added, 'header')} added to {file}{removed}: it holds {_reach(synced.chain)}"]
    behind = f"; {source.name} ends at height {synced.offered}" if synced.offered < synced.chain.height else ""
    return [f"nothing new for {file}: it holds {_reach(synced.chain)}{behind}"]


def _reach(chain: "HeaderChain") -> str:
    from medanchor.core.hashes import display

    return f"{plural(chain.height + 1, 'header')} of {chain.network}, up to block {display(chain.tip)}"


def _fields(chain: "HeaderChain") -> dict[str, object]:
    """Return the JSON of a chain of headers (docs/json.md)."""
    from medanchor.core.hashes import display

    return {"network": chain.network.value, "headers": chain.height + 1, "block": display(chain.tip)}


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
    from medanchor.chain.header_sync import export_headers

    out = Output(json, quiet, verbose)
    with open_store(vault) as store, out.progress("headers fetched") as progress:
        count = export_headers(open_chain(store), file, progress=progress)
    out.result(f"{plural(count, 'header')} written to {file}", headers=count)
