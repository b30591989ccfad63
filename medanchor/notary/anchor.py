"""Anchoring: the newest tree head goes into one transaction; what an earlier run began is finished first.

Every step is written down before it is taken, so the next run knows what the last one did, wherever it was killed.
"""

from contextlib import suppress
from dataclasses import dataclass, field

from medanchor.chain.source import Chain
from medanchor.core.commitment import payload
from medanchor.core.hashes import Hash, sha256d
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.core.verify import check_anchor
from medanchor.errors import ChainError, TransactionRefusedError
from medanchor.vault.anchors import AnchorRow, add_anchor, list_anchors, set_evidence
from medanchor.vault.store import Store, locked
from medanchor.wallet.wallet import Wallet

LOCK = "anchor.lock"


@dataclass(frozen=True, slots=True)
class AnchorResult:
    """What a run did: the anchor that covers the whole ledger now, and the numbers of those it finished or lost."""

    newest: AnchorRow | None
    made: bool
    finished: list[int] = field(default_factory=list)
    reorganised: list[int] = field(default_factory=list)


def anchor(store: Store, chain: Chain, wallet: Wallet, *, time: str, confirmations: int) -> AnchorResult:
    """Bring every anchor one step on, then anchor the newest head if none covers it; run twice, it anchors once.

    `time` is now (RFC 3339, UTC); `confirmations` how many blocks, the anchor's own included, an anchor keeps headers
    of. Raises ChainError or WalletError; what was done until then stays done.
    """
    with locked(store.directory / LOCK):
        reorganised = _notice_reorganisations(store, chain)
        finished = _finish_earlier(store, chain, confirmations)
        size = store.size()
        newest = covering(store, size)
        if newest is not None or not size:
            return AnchorResult(newest, False, finished, reorganised)
        transaction = wallet.prepare(payload(store.head(size)))
        row = add_anchor(store, size, transaction, chain.tip().height, time)
        return AnchorResult(_finish(store, chain, row, confirmations), True, finished, reorganised)


def covering(store: Store, size: int) -> AnchorRow | None:
    """Return the oldest confirmed anchor whose tree head has at least `size` entries: the strongest claim for them."""
    return next((row for row in list_anchors(store) if row.evidence and row.size >= size), None)


def anchored_size(store: Store) -> int:
    """Return how many of the ledger's entries a confirmed anchor covers."""
    return max((row.size for row in list_anchors(store) if row.evidence), default=0)


def transaction_id(row: AnchorRow) -> Hash:
    """Return the id of the anchoring transaction, in hashing order."""
    return sha256d(strip_witness(row.transaction))


def stale(store: Store, chain: Chain) -> list[AnchorRow]:
    """Return the confirmed anchors whose block is not in the best chain of `chain` (any more)."""
    rows = [(row, row.evidence.block) for row in list_anchors(store) if row.evidence]
    headers = chain.headers([block.height for _, block in rows]) if rows else []
    return [row for (row, block), header in zip(rows, headers, strict=True) if header != block.header]


def _notice_reorganisations(store: Store, chain: Chain) -> list[int]:
    rows = stale(store, chain)
    for row in rows:
        set_evidence(store, row, None)
    return [row.number for row in rows]


def _superseded(store: Store, row: AnchorRow) -> bool:
    """Say whether a confirmed anchor covers all that `row` does: then there is nothing left to pay for."""
    return anchored_size(store) >= row.size


def _finish_earlier(store: Store, chain: Chain, confirmations: int) -> list[int]:
    """Finish what earlier runs began and return its numbers, passing over what the chain will never take.

    A reorganisation can take away the coin that a transaction spends, and a chain begun anew never had it: then another
    one carries the head. The old one stays written down; should its chain come back, a later run finds it there.
    """
    finished = []
    for row in list_anchors(store):
        if row.evidence is None and not _superseded(store, row):
            with suppress(TransactionRefusedError):
                _finish(store, chain, row, confirmations)
                finished.append(row.number)
    return finished


def _finish(store: Store, chain: Chain, row: AnchorRow, confirmations: int) -> AnchorRow:
    """Send `row`'s transaction unless the chain has it, and write down what ties it to its block."""
    wanted = confirmations - 1
    evidence = chain.locate(row.transaction, since=row.since, successors=wanted)
    if evidence is None:
        chain.submit(row.transaction)
        evidence = chain.locate(row.transaction, since=row.since, successors=wanted)
    if evidence is None:
        raise ChainError(f"{chain.name} took the transaction and does not show it", hint="run 'medanchor anchor' again")
    check_anchor(evidence, store.head(row.size))
    return set_evidence(store, row, evidence)


def carries_payload(store: Store, row: AnchorRow) -> bool:
    """Say whether the transaction of `row` carries the payload of its tree head."""
    return anchored_payload(strip_witness(row.transaction)) == payload(store.head(row.size))
