"""`medanchor status`."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import open_config, open_store
from medanchor.cli.output import Output, plural
from medanchor.cli.payers import coin_wallet
from medanchor.cli.sources import has_chain, open_chain
from medanchor.cli.words import anchor_sentence, balance_words, cost_words
from medanchor.errors import ChainError, MedanchorError, PendingError, UsageError

if TYPE_CHECKING:
    from medanchor.vault.anchors import AnchorRow
    from medanchor.vault.store import Store
    from medanchor.wallet.wallet import Balance

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
        self.config = open_config(store)
        self.size = store.size()
        self.rows = list_anchors(store)
        self.tip: int | None = None
        self.stale: set[int] = set()
        self.mempool: set[int] = set()
        self.chain_error = self._ask_chain()
        self.balance, self.wallet_error = self._ask_wallet()
        self.confirmed = [row for row in self.rows if row.evidence and row.number not in self.stale]
        self.covered = max((row.size for row in self.confirmed), default=0)
        self.waiting_for = timedelta()
        if self.covered < self.size:
            oldest = self.store.entry(self.covered).statement.time
            stamped = datetime.strptime(oldest, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            self.waiting_for = max(datetime.fromtimestamp(time.time(), UTC) - stamped, timedelta())

    def _ask_chain(self) -> str | None:
        """Ask for the chain's height, which anchors are not in it any more, and which wait; return why that failed."""
        from medanchor.notary.standing import WAITING, stale, states

        if not has_chain(self.store):
            return None
        try:
            chain = open_chain(self.store)
            known = states(self.rows, self.config.confirmations)
            waiting = [row for row in self.rows if known[row.number] in WAITING]
            self.mempool = {row.number for row in waiting if chain.pending(row.transaction)}
            gone = stale(self.rows, chain, confirmations=self.config.confirmations)
            self.stale = {row.number for row in gone}
            self.tip = chain.tip().height
        except ChainError as error:
            return error.message
        return None

    def _ask_wallet(self) -> "tuple[Balance | None, str | None]":
        """Return what the configured wallet has, and why it could not be asked."""
        if not self.config.wallet:
            return None, None
        try:
            return coin_wallet(self.store, self.config).balance(), None
        except MedanchorError as error:
            return None, error.message

    def states(self) -> dict[int, str]:
        """Return the state of each anchor by its number, as the chain says it is at this moment."""
        from medanchor.notary.standing import states

        known = {number: str(state) for number, state in states(self.rows, self.config.confirmations).items()}
        return known | dict.fromkeys(self.mempool, "mempool") | dict.fromkeys(self.stale, "reorganised")

    def confirmations(self, row: "AnchorRow") -> int:
        """Return how many blocks confirm `row`: as the chain says, or as its own headers show."""
        if row.evidence is None or row.number in self.stale:
            return 0
        block = row.evidence.block
        return max(len(block.successors), (self.tip or 0) - block.height) + 1  # a source may lag behind

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
        known = self.states()
        lines += [f"{anchor_sentence(row)}: {known[row.number]}" for row in self.waiting()]
        if self.stale:
            lines.append(f"{plural(len(self.stale), 'anchor')} reorganised away: run 'medanchor anchor'")
        if fees := sum(row.sending.fee for row in self.confirmed):
            lines.append(cost_words(fees, self.records(), self.config.bitcoin_price))
        if self.balance:
            lines.append(balance_words(self.balance))
        for what, error in (("chain", self.chain_error), ("wallet", self.wallet_error)):
            if error:
                lines.append(f"the {what} was not asked: {error}")
        return lines

    def records(self) -> int:
        """Return how many records the confirmed anchors cover."""
        from medanchor.vault.bundles import count_records_before

        return count_records_before(self.store, self.covered)

    def waiting(self) -> "list[AnchorRow]":
        """Return the anchors that may still come into a block."""
        from medanchor.notary.standing import WAITING

        known = self.states()
        return [row for row in self.rows if known[row.number] in (*WAITING, "mempool") and row.number not in self.stale]

    def fields(self) -> dict[str, object]:
        from medanchor.core.hashes import display
        from medanchor.notary.standing import transaction_id

        known = self.states()
        return {
            "origin": self.store.origin,
            "network": self.store.network.value,
            "entries": self.size,
            "anchored": self.covered,
            "waiting": self.size - self.covered,
            "waiting_seconds": int(self.waiting_for.total_seconds()),
            "tip": self.tip,
            "balance": self.balance and {"confirmed": self.balance.confirmed, "pending": self.balance.pending},
            "anchors": [
                {
                    "entries": row.size,
                    "confirmations": self.confirmations(row),
                    "height": row.evidence.block.height if row.evidence else None,
                    "state": known[row.number],
                    "fee": row.sending.fee,
                    "transaction": display(transaction_id(row)),
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
