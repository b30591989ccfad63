"""`medanchor anchor`."""

from typing import TYPE_CHECKING

from medanchor.cli import options
from medanchor.cli.context import now_text, open_chain, open_config, open_store
from medanchor.cli.output import Output, plural
from medanchor.cli.words import anchor_sentence, regtest_remark

if TYPE_CHECKING:
    from medanchor.notary.anchor import AnchorResult
    from medanchor.vault.store import Store


def anchor(
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Put the newest state of the ledger into Bitcoin.

    What an earlier run began is finished first; run twice, it anchors once. Made for cron.

    Example: medanchor anchor --quiet
    """
    out = Output(json, quiet, verbose)
    with open_store(vault) as store:
        tell_anchor(run_anchor(store), out)


def run_anchor(store: "Store") -> "AnchorResult":
    """Anchor the ledger of `store` on its chain."""
    from medanchor.notary.anchor import anchor as anchor_ledger

    confirmations = open_config(store).confirmations
    chain = open_chain(store, confirmations)
    return anchor_ledger(store, chain, chain, time=now_text(), confirmations=confirmations)


def tell_anchor(result: "AnchorResult", out: Output) -> None:
    """Say what a run of `anchor` did: what it sent for the first time, and what an earlier run had begun."""
    if result.newest is None:
        out.result("nothing to anchor: the ledger is empty", **anchor_fields(result))
        return
    sent = result.made or result.finished
    entries = plural(result.newest.size, "entry")
    lines = [anchor_sentence(result.newest) if sent else f"nothing to do: {entries} anchored"]
    if gone := len(result.reorganised):
        again = "was made again" if gone == 1 else "were made again"
        lines.append(f"{plural(gone, 'anchor')} had been reorganised away and {again}")
    if sent:
        lines.append(regtest_remark())
    out.result(*lines, **anchor_fields(result))


def anchor_fields(result: "AnchorResult") -> dict[str, object]:
    """Return the JSON of a run of `anchor`; what was stamped while it ran is not counted, as it is not anchored."""
    from medanchor.core.hashes import display
    from medanchor.notary.anchor import transaction_id

    row = result.newest
    return {
        "anchored": result.made or bool(result.finished),
        "entries": row.size if row else 0,
        "finished": len(result.finished),
        "reorganised": len(result.reorganised),
        "height": row.evidence.block.height if row and row.evidence else None,
        "transaction": display(transaction_id(row)) if row else None,
    }
