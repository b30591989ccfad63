"""`medanchor status`."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import has_chain, open_chain, open_store
from medanchor.cli.output import Output, plural
from medanchor.cli.words import anchor_sentence
from medanchor.errors import ChainError, PendingError, UsageError

if TYPE_CHECKING:
    from medanchor.vault.anchors import AnchorRow
    from medanchor.vault.store import Store

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

MaxAge = Annotated[
    str | None,
    typer.Option("--max-age", metavar="AGE", help="Exit 3 if a statement waits longer: 90m, 26h, 2d."),
]


def status(
    max_age: MaxAge = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Say what is anchored and what waits, and for how long.

    Example: medanchor status --max-age 26h
    """
    out = Output(json, quiet, verbose)
    limit = parse_age(max_age) if max_age else None
    with open_store(vault, read_only=True) as store:
        standing = _Standing(store)
        out.result(*standing.lines(), **standing.fields())
        if limit is not None and standing.waiting_for > limit:
            message = f"the oldest statement that waits for an anchor is {_told(standing.waiting_for)} old"
            hint = "run 'medanchor anchor' and see what it says"
            out.fail(PendingError(f"expected at most {max_age}: {message}", hint=hint))


def parse_age(text: str) -> timedelta:
    """Return the duration that `text` (90m, 26h, 2d) says. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not match:
        raise UsageError(f"expected an age such as 90m, 26h or 2d, found {text}", hint="a number and s, m, h or d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


class _Standing:
    """What the ledger and its anchors look like at this moment."""

    def __init__(self, store: "Store") -> None:
        from medanchor.vault.anchors import list_anchors

        self.store = store
        self.size = store.size()
        self.rows = list_anchors(store)
        self.tip, self.stale, self.chain_error = self._ask_chain()
        self.confirmed = [row for row in self.rows if row.evidence and row.number not in self.stale]
        self.covered = max((row.size for row in self.confirmed), default=0)
        self.waiting_for = timedelta()
        if self.covered < self.size:
            oldest = self.store.entry(self.covered).statement.time
            stamped = datetime.strptime(oldest, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            self.waiting_for = max(datetime.fromtimestamp(time.time(), UTC) - stamped, timedelta())

    def _ask_chain(self) -> "tuple[int | None, set[int], str | None]":
        """Return the chain's height, the anchors that are not in it any more, and why it could not be asked."""
        from medanchor.notary.anchor import stale

        if not has_chain(self.store):
            return None, set(), None
        chain = open_chain(self.store, 1)
        try:
            return chain.tip().height, {row.number for row in stale(self.store, chain)}, None
        except ChainError as error:
            return None, set(), error.message

    def confirmations(self, row: "AnchorRow") -> int:
        """Return how many blocks confirm `row`: as the chain says, or as its own headers show."""
        if row.evidence is None or row.number in self.stale:
            return 0
        block = row.evidence.block
        return (self.tip - block.height if self.tip is not None else len(block.successors)) + 1

    def lines(self) -> list[str]:
        waiting = self.size - self.covered
        lines = [
            f"ledger {self.store.origin} on {self.store.network}: {plural(self.size, 'entry')}",
            f"{plural(self.covered, 'entry')} anchored; "
            + (f"{waiting:,} waiting, the oldest for {_told(self.waiting_for)}" if waiting else "nothing is waiting"),
        ]
        if self.confirmed:
            newest = self.confirmed[-1]
            lines.append(f"{anchor_sentence(newest)}; {plural(self.confirmations(newest), 'confirmation')} now")
        if self.stale:
            lines.append(f"{plural(len(self.stale), 'anchor')} reorganised away: run 'medanchor anchor'")
        if self.chain_error:
            lines.append(f"the chain was not asked: {self.chain_error}")
        return lines

    def fields(self) -> dict[str, object]:
        return {
            "origin": self.store.origin,
            "network": self.store.network.value,
            "entries": self.size,
            "anchored": self.covered,
            "waiting": self.size - self.covered,
            "waiting_seconds": int(self.waiting_for.total_seconds()),
            "tip": self.tip,
            "anchors": [
                {
                    "entries": row.size,
                    "confirmations": self.confirmations(row),
                    "height": row.evidence.block.height if row.evidence else None,
                    "state": "reorganised" if row.number in self.stale else "confirmed" if row.evidence else "prepared",
                }
                for row in self.rows
            ],
        }


def _told(age: timedelta) -> str:
    """Return a duration as a person says it, in its largest unit."""
    seconds = int(age.total_seconds())
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return (
                plural(seconds // size, noun) if noun != "day" else f"{seconds // size} day{'s'[: seconds // size - 1]}"
            )
    return plural(seconds, "second")
