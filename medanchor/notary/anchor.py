"""Anchoring: the newest tree head goes into one transaction; what an earlier run began is brought one step on first.

Every step is written down before it is taken, so the next run knows what the last one did, wherever it was killed. Only
one transaction for a head can ever be mined: a second one is made to spend a coin of the first, or after the best chain
has spent that coin elsewhere.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from medanchor.chain.source import Chain
from medanchor.core.commitment import payload
from medanchor.core.proof import Anchor
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.core.verify import check_anchor
from medanchor.errors import ChainError, TransactionRefusedError, VaultError, VerificationError, WalletError
from medanchor.notary.standing import (
    SENDABLE,
    WAITING,
    State,
    anchored_size,
    carries_payload,
    covering,
    stale,
    states,
    stripped,
    transaction_id,
    virtual_size,
)
from medanchor.vault.anchors import AnchorRow, Sending, add_anchor, list_anchors, put_anchor
from medanchor.vault.store import Store, locked
from medanchor.wallet.psbt import spent_by
from medanchor.wallet.wallet import Payment, Terms, Wallet

LOCK = "anchor.lock"

LOWEST_RATE = Decimal(1)
"""In sat/vB: what to start with where no source knows better. It is raised as blocks pass without the transaction."""

_STEP = Decimal("1.25")
"""By how much more a replacement pays, at least; nodes want one sat/vB more (Bitcoin Core's incremental relay fee)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What an anchor may cost, and when it is done.

    `confirmations` blocks, its own included, settle it. It pays what gets it into one of `confirm_target` blocks, again
    and more if it is in none of `bump_after` blocks, up to `max_fee_rate` (sat/vB) and `max_fee` (satoshi).
    """

    confirmations: int = 6
    confirm_target: int = 6
    bump_after: int = 6
    max_fee: int = 20_000
    max_fee_rate: int = 100


@dataclass(frozen=True, slots=True)
class AnchorResult:
    """What a run did: the anchor that covers the whole ledger now, or the one on its way there.

    `made` says that a transaction was sent for the first time, `bumped` that it replaces one that paid less. `finished`
    and `reorganised` are the numbers of those that came into a block, or lost theirs.
    """

    newest: AnchorRow | None
    made: bool
    finished: list[int] = field(default_factory=list)
    reorganised: list[int] = field(default_factory=list)
    bumped: bool = False

    @property
    def confirmed(self) -> bool:
        """Whether a block holds the newest one."""
        return self.newest is not None and self.newest.evidence is not None


def anchor(store: Store, chain: Chain, wallet: Wallet, policy: Policy, *, time: str) -> AnchorResult:
    """Bring every anchor one step on, then anchor the newest head if none covers it; run twice, it anchors once.

    `time` is now (RFC 3339, UTC). Raises ChainError or WalletError; what was done until then stays done.
    """
    with locked(store.directory / LOCK):
        run = Run(store, chain, policy, time)
        reorganised, finished = run.notice_reorganisations(), run.follow()
        size = store.size()
        newest = run.newest(size)
        if newest is None and size:
            return AnchorResult(run.begin(wallet, size), True, finished, reorganised)
        bumped = run.bump(wallet, newest) if newest and newest.evidence is None else None
        if run.trouble and newest and not (bumped or newest.evidence):
            raise run.trouble
        return AnchorResult(bumped or newest, False, finished, reorganised, bumped is not None)


class Run:
    """One run over a vault's anchors, while nobody else makes one: `locked(LOCK)` is held around it."""

    def __init__(self, store: Store, chain: Chain, policy: Policy, time: str) -> None:
        self._store, self._chain, self._policy, self._time = store, chain, policy, time
        self._rows = {row.number: row for row in list_anchors(store)}
        self.trouble: ChainError | None = None
        """Why the newest of those that were sent again was not taken, for now."""

    @property
    def rows(self) -> list[AnchorRow]:
        """All anchors as they are now, oldest first."""
        return list(self._rows.values())

    @cached_property
    def height(self) -> int:
        """The chain's height when this run first looked.

        It is asked for before a wallet is: once that has locked coins for a transaction, nothing may fail that keeps it
        from being written down.
        """
        return self._chain.tip().height

    def newest(self, size: int) -> AnchorRow | None:
        """Return the anchor that covers `size` entries: the oldest one in a block, or else the newest on its way."""
        waiting = (row for row in reversed(self.rows) if row.size >= size and self._state(row) in WAITING)
        return covering(self.rows, size) or next(waiting, None)

    def notice_reorganisations(self) -> list[int]:
        """Take back what is written about blocks that left the chain; return the numbers of their anchors."""
        gone = stale(self.rows, self._chain, confirmations=self._policy.confirmations)
        for row in gone:
            sending = replace(row.sending, reorganised=self._time, waits_from=self.height)
            self.put(row, evidence=None, sending=sending)
        return [row.number for row in gone]

    def follow(self) -> list[int]:
        """Look for every anchor that is not over, send again what no source has, and return what came into a block.

        A transaction that the chain will never take stops nothing: another one carries the head. The old one stays
        written down; should its chain come back, a later run finds it there.
        """
        known = states(self.rows, self._policy.confirmations)
        settled = [number for number, state in known.items() if state is State.SETTLED]
        done = max((self._rows[number].size for number in settled), default=0)
        over = {row.number for row in self.rows if row.evidence is None and row.size <= done}.union(settled)
        waited = {row.number for row in self.rows if row.evidence is None}
        looked = [self._look(row) for row in self.rows if row.number not in over]
        for row in looked:
            if row.evidence is None and self._state(row) in SENDABLE:
                self._send_again(row)
        return [row.number for row in self.rows if row.evidence and row.number in waited]

    def _send_again(self, row: AnchorRow) -> None:
        """Send an anchor that may be on its way already; what goes wrong is told unless another takes its place."""
        try:
            self.send(row)
        except TransactionRefusedError:
            return
        except ChainError as error:
            self.trouble = error

    def begin(self, wallet: Wallet, size: int) -> AnchorRow:
        """Prepare the transaction for the tree head of `size` entries, write it down and send it."""
        terms, height = self.terms(), self.height
        payment = self._prepare(wallet, size, terms, None)
        return self.send(self.add(size, payment.transaction, Sending(payment.fee, waits_from=height)))

    def bump(self, wallet: Wallet, row: AnchorRow) -> AnchorRow | None:
        """Replace `row` by one that pays more, if it has waited for long enough; None if it has not, or may not."""
        rate = self.higher_rate(row)
        if rate is None or self._state(row) not in SENDABLE:
            return None
        payment = self._prepare(wallet, row.size, Terms(rate, self._policy.max_fee), row.transaction)
        return self.send(
            self.add(row.size, payment.transaction, Sending(payment.fee, waits_from=self.height, replaces=row.number))
        )

    def higher_rate(self, row: AnchorRow) -> Decimal | None:
        """Return the fee rate at which to send `row` again: None before its time, and at the policy's limits."""
        if self._chain.mines or self.height - row.sending.waits_from < self._policy.bump_after:
            return None
        size = virtual_size(row)
        paid = Decimal(row.sending.fee) / size
        limit = min(Decimal(self._policy.max_fee_rate), Decimal(self._policy.max_fee) / size)
        least = max(paid * _STEP, paid + 1)
        wanted = min(max(least, self._chain.fee_rate(self._policy.confirm_target) or least), limit)
        return wanted if wanted >= paid + 1 else None

    def terms(self) -> Terms:
        """Return what a new transaction may cost now. Raises WalletError if that is more than the policy allows."""
        rate = self._chain.fee_rate(self._policy.confirm_target) or LOWEST_RATE
        if rate > self._policy.max_fee_rate:
            raise WalletError(
                f"the fee rate is {rate:.1f} sat/vB, above the limit of {self._policy.max_fee_rate}: nothing was sent",
                hint="run it again when fees are lower, or allow more with --max-fee-rate or in config.toml",
            )
        return Terms(rate, self._policy.max_fee)

    def _prepare(self, wallet: Wallet, size: int, terms: Terms, replacing: bytes | None) -> Payment:
        """Return what `wallet` signs for the head of `size` entries; what carries something else is not even kept."""
        wanted = payload(self._store.head(size))
        payment = wallet.prepare(wanted, terms, replacing=replacing)
        if anchored_payload(strip_witness(payment.transaction)) != wanted:
            raise WalletError(
                "the wallet made a transaction that carries something else", hint="it was not sent; mend it"
            )
        return payment

    def add(self, size: int, transaction: bytes, sending: Sending) -> AnchorRow:
        """Write down the intent to send `transaction`, which waits from `sending.waits_from` on."""
        row = add_anchor(self._store, size, transaction, sending.waits_from, self._time, sending)
        self._rows[row.number] = row
        return row

    def send(self, row: AnchorRow) -> AnchorRow:
        """Hand `row`'s transaction to the chain unless it waits there already, and write down what came of it."""
        if not carries_payload(self._store, row):
            raise VaultError(
                f"the transaction of anchor {row.number} is not about its tree head: it was not sent",
                hint="run 'medanchor audit', then restore the vault from a backup",
            )
        try:
            if not self._chain.pending(row.transaction):
                self._chain.submit(row.transaction)
        except TransactionRefusedError as error:
            if self._spends_what_waits(row):
                raise ChainError(error.message, hint="run 'medanchor anchor' again: what it spends waits too") from None
            self.put(row, sending=replace(row.sending, refused=self._time))
            raise
        if self._chain.mines:
            return self._look(row, must=True)
        return row if row.sending.sent else self.put(row, sending=replace(row.sending, sent=self._time))

    def _spends_what_waits(self, row: AnchorRow) -> bool:
        """Say whether `row` spends the change of an anchor that no source has now, and that may still be mined."""
        parents = {txid for txid, _ in spent_by(stripped(row))}
        covered = anchored_size(self.rows)
        waiting = (other for other in self.rows if other.size > covered and not other.sending.refused)
        return any(transaction_id(other) in parents for other in waiting)

    def _look(self, row: AnchorRow, *, must: bool = False) -> AnchorRow:
        """Write down what ties `row` to its block, if there is one; with `must`, raise ChainError if there is none."""
        wanted = self._policy.confirmations - 1
        evidence = self._chain.locate(row.transaction, since=row.since, successors=wanted)
        if evidence and self._chain.mines and row.evidence is None and len(evidence.block.successors) < wanted:
            self._chain.submit(row.transaction)  # it was killed on its way there
            evidence = self._chain.locate(row.transaction, since=row.since, successors=wanted)
        if evidence is None and must:
            raise ChainError(
                f"{self._chain.name} took the transaction and does not show it", hint="run 'medanchor anchor' again"
            )
        if evidence is None or evidence == row.evidence:
            return row
        self._check_answer(row, evidence)
        return self.put(row, evidence=evidence)

    def _check_answer(self, row: AnchorRow, evidence: Anchor) -> None:
        """Hold what the chain says about `row` against the ledger: nothing is kept that no verifier would believe."""
        try:
            check_anchor(evidence, self._store.head(row.size))
        except VerificationError as error:
            raise ChainError(
                f"what {self._chain.name} says about anchor {row.number} cannot be believed: {error.message}",
                hint="run 'medanchor audit'; if it finds no damage, ask another source",
            ) from None

    def _state(self, row: AnchorRow) -> State:
        return states(self.rows, self._policy.confirmations)[row.number]

    def put(self, row: AnchorRow, **changes: Any) -> AnchorRow:  # noqa: ANN401 - fields of an AnchorRow
        """Write down what changed of an anchor, and return it."""
        changed = put_anchor(self._store, replace(row, **changes))
        self._rows[row.number] = changed
        return changed
