"""`medanchor anchor`."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import now_text, open_config, open_store
from medanchor.cli.output import Output, plural
from medanchor.cli.payers import coin_wallet, open_wallet
from medanchor.cli.records import read_input
from medanchor.cli.sources import open_chain
from medanchor.cli.words import CHEAP, anchor_sentence, fee_words
from medanchor.errors import UsageError

if TYPE_CHECKING:
    from medanchor.notary.anchor import AnchorResult, Policy
    from medanchor.vault.config import Config
    from medanchor.vault.store import Store

PAUSE = 10.0
"""Seconds between two looks at the chain while waiting for a block."""

Wait = Annotated[bool, typer.Option("--wait", help="Stay until the anchor is settled.")]
PsbtFile = Annotated[
    Path | None, typer.Option("--psbt", metavar="FILE", help="Write the transaction unsigned, as a PSBT; send nothing.")
]
SignedFile = Annotated[
    Path | None, typer.Option("--signed", metavar="FILE", help="Send what --psbt wrote, signed elsewhere since.")
]
MaxFee = Annotated[int | None, typer.Option("--max-fee", metavar="SAT", help="The most to pay, in satoshi.")]
MaxFeeRate = Annotated[
    int | None, typer.Option("--max-fee-rate", metavar="SAT/VB", help="The highest fee rate to pay.")
]
ConfirmTarget = Annotated[
    int | None, typer.Option("--confirm-target", metavar="BLOCKS", help="Pay for one of so many blocks.")
]


def anchor(
    wait: Wait = False,
    psbt: PsbtFile = None,
    signed: SignedFile = None,
    max_fee: MaxFee = None,
    max_fee_rate: MaxFeeRate = None,
    confirm_target: ConfirmTarget = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Put the newest state of the ledger into Bitcoin.

    What an earlier run began is brought one step on first; run twice, it anchors once. Made for cron.

    Example: medanchor anchor --quiet
    """
    if psbt and (signed or wait):
        raise UsageError(
            "--psbt sends nothing: --signed and --wait do", hint="sign the file, then name it with --signed"
        )
    out = Output(json, quiet, verbose)
    limits = {"max_fee": max_fee, "max_fee_rate": max_fee_rate, "confirm_target": confirm_target}
    with open_store(vault) as store:
        config = _with_limits(open_config(store), limits)
        if psbt:
            result = _draft(store, config, psbt)
        elif signed:
            result = _complete(store, config, signed)
        else:
            result = run_anchor(store, config)
        if wait:
            result = _settle(store, config, result, out)
        tell_anchor(result, store.network.value, config, out)


def _with_limits(config: "Config", limits: dict[str, int | None]) -> "Config":
    """Return the configuration with the flags that were given over it. Raises UsageError if one is out of bounds."""
    from medanchor.vault.config import BOUNDS

    given = {name: value for name, value in limits.items() if value is not None}
    for name, value in given.items():
        least, most, hint = BOUNDS[name]
        if not least <= value <= most:
            flag = name.replace("_", "-")
            raise UsageError(f"expected --{flag} from {least:,} to {most:,}, found {value}", hint=hint)
    return replace(config, **given)  # type: ignore[arg-type]  # the names are those of whole numbers


def policy(config: "Config") -> "Policy":
    """Return what an anchor may cost, and when it is done."""
    from medanchor.notary.anchor import Policy

    return Policy(config.confirmations, config.confirm_target, config.bump_after, config.max_fee, config.max_fee_rate)


def run_anchor(store: "Store", config: "Config") -> "AnchorResult":
    """Anchor the ledger of `store` on its chain."""
    from medanchor.notary.anchor import anchor as anchor_ledger

    chain = open_chain(store)
    return anchor_ledger(store, chain, open_wallet(store, config, chain), policy(config), time=now_text())


def _draft(store: "Store", config: "Config", file: Path) -> "AnchorResult":
    from base64 import b64encode

    from medanchor.notary.airgap import draft

    result = draft(store, open_chain(store), coin_wallet(store, config), policy(config), time=now_text())
    if result.newest and result.newest.sending.psbt:
        try:
            file.write_text(b64encode(result.newest.sending.psbt).decode() + "\n", encoding="ascii")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot write {file}: {reason}", hint="name another; it is the same one again") from None
    return result


def _complete(store: "Store", config: "Config", file: Path) -> "AnchorResult":
    from medanchor.notary.airgap import complete

    data = read_input(file, what="PSBT")
    return complete(store, open_chain(store), coin_wallet(store, config), policy(config), data, time=now_text())


def _settle(store: "Store", config: "Config", result: "AnchorResult", out: Output) -> "AnchorResult":
    """Run again until the anchor is as deep in the chain as was asked for; return what came of all the runs."""
    from medanchor.notary.standing import is_settled

    told = ""
    while result.newest and not is_settled(result.newest, config.confirmations):
        if (sentence := anchor_sentence(result.newest)) != told:
            told = sentence
            out.note(sentence)
        time.sleep(PAUSE)
        latest = run_anchor(store, config)
        finished = [*result.finished, *latest.finished]
        result = replace(latest, made=result.made or latest.made, finished=finished)
    return result


def tell_anchor(result: "AnchorResult", network: str, config: "Config", out: Output) -> None:
    """Say what a run of `anchor` did: what it sent for the first time, and what an earlier run had begun."""
    row = result.newest
    if row is None:
        out.result("nothing to anchor: the ledger is empty", **anchor_fields(result))
        return
    sent = result.made or result.finished or result.bumped
    news = sent or not result.confirmed
    lines = [anchor_sentence(row) if news else f"nothing to do: {plural(row.size, 'entry')} anchored"]
    if row.sending.fee and news:
        lines.append(fee_words(row, config.bitcoin_price))
    if gone := len(result.reorganised):
        again = ("was" if gone == 1 else "were") + (" made again" if result.confirmed else " sent again")
        lines.append(f"{plural(gone, 'anchor')} had been reorganised away and {again}")
    if sent and network in CHEAP:
        lines.append(f"mind: {CHEAP[network]}")
    out.result(*lines, **anchor_fields(result))


def anchor_fields(result: "AnchorResult") -> dict[str, object]:
    """Return the JSON of a run of `anchor`; what was stamped while it ran is not counted, as it is not anchored."""
    from medanchor.core.hashes import display
    from medanchor.notary.standing import transaction_id

    row = result.newest
    return {
        "anchored": result.confirmed and (result.made or bool(result.finished)),
        "entries": row.size if row else 0,
        "finished": len(result.finished),
        "reorganised": len(result.reorganised),
        "sent": result.made or result.bumped,
        "replaced": result.bumped,
        "fee": row.sending.fee if row else None,
        "height": row.evidence.block.height if row and row.evidence else None,
        "transaction": display(transaction_id(row)) if row else None,
    }
