"""`medanchor log`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import open_store
from medanchor.cli.output import Output, plural

if TYPE_CHECKING:
    from medanchor.vault.store import Store

Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="So many entries, newest first.")]


def log(
    limit: Limit = 50,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show the ledger, newest entry first.

    Each with when, who, meaning, how many records, which anchor.

    Example: medanchor log --limit 10
    """
    out = Output(json, quiet, verbose)
    with open_store(vault, read_only=True) as store:
        entries = list(_entries(store, limit))
    out.result(*(map(_line, entries) if entries else ["the ledger is empty"]), entries=entries)


def _entries(store: "Store", limit: int) -> Iterator[dict[str, object]]:
    from medanchor.cli.words import follows_fields
    from medanchor.notary.prove import people
    from medanchor.vault.anchors import list_anchors

    names = people(store)
    anchors = [(row.size, row.evidence.block.height) for row in list_anchors(store) if row.evidence]
    size = store.size()
    for entry in range(size - 1, max(size - limit, 0) - 1, -1):
        envelope = store.entry(entry)
        statement = envelope.statement
        yield {
            "entry": entry,
            "time": statement.time,
            "signer": names.get(envelope.key_id, envelope.key_id.hex()[:16]),
            "meaning": statement.meaning,
            "records": statement.records,
            "follows": follows_fields(statement),
            "height": next((height for covered, height in anchors if covered > entry), None),
        }


def _line(entry: dict[str, object]) -> str:
    from medanchor.cli.words import follows_words

    height = entry["height"]
    where = "waiting for an anchor" if height is None else f"anchored in block {height}"
    follows = entry["follows"]
    after = (
        "".join(f", following {follows_words(item['kind'], item['entry'])}" for item in follows)
        if isinstance(follows, list)
        else ""
    )
    records = plural(int(str(entry["records"])), "record")
    return f"{entry['entry']:>6}  {entry['time']}  {records} as {entry['meaning']} by {entry['signer']}{after}; {where}"
