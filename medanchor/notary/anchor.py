"""Anchoring: the newest tree head goes into one transaction; what an earlier run began is finished first.

Every step is written down before it is taken, so the next run knows what the last one did, wherever it was killed.
"""

from contextlib import suppress
from dataclasses import dataclass, field

from medanchor.chain.source import Chain
from medanchor.core.commitment import payload
from medanchor.core.hashes import Hash, sha256d
from medanchor.core.header import Network
from medanchor.core.proof import Anchor
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.core.verify import check_anchor
from medanchor.errors import ChainError, TransactionRefusedError, VaultError, VerificationError, WalletError
from medanchor.vault.anchors import AnchorRow, add_anchor, list_anchors, set_evidence
from medanchor.vault.rows import sound
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
        transaction = _prepare(wallet, payload(store.head(size)))
        row = add_anchor(store, size, transaction, chain.tip().height, time)
        return AnchorResult(_finish(store, chain, row, confirmations), True, finished, reorganised)


def _prepare(wallet: Wallet, wanted: bytes) -> bytes:
    """Return the signed transaction that `wallet` makes for the payload `wanted`; one for another is not even kept."""
    transaction = wallet.prepare(wanted)
    if anchored_payload(strip_witness(transaction)) != wanted:
        raise WalletError("the wallet made a transaction that carries something else", hint="it was not sent; mend it")
    return transaction


def covering(store: Store, size: int) -> AnchorRow | None:
    """Return the oldest confirmed anchor whose tree head has at least `size` entries: the strongest claim for them."""
    return next((row for row in list_anchors(store) if row.evidence and row.size >= size), None)


def anchored_size(store: Store) -> int:
    """Return how many of the ledger's entries a confirmed anchor covers."""
    return max((row.size for row in list_anchors(store) if row.evidence), default=0)


def transaction_id(row: AnchorRow) -> Hash:
    """Return the id of the anchoring transaction, in hashing order. Raises VaultError if that is damaged."""
    return sha256d(_stripped(row))


def _stripped(row: AnchorRow) -> bytes:
    with sound(f"the transaction of anchor {row.number}"):
        return strip_witness(row.transaction)


def stale(store: Store, chain: Chain) -> list[AnchorRow]:
    """Return the confirmed anchors whose block is not in the best chain of `chain` (any more).

    A chain that ends below a block says nothing about it: its source has to catch up, and the evidence is kept until it
    did. Only on regtest, where there is nobody to catch up with, is it another chain.
    """
    rows = [(row, row.evidence.block) for row in list_anchors(store) if row.evidence]
    headers = chain.headers([block.height for _, block in rows]) if rows else []
    catches_up = chain.network != Network.REGTEST
    return [
        row
        for (row, block), header in zip(rows, headers, strict=True)
        if header != block.header and not (header is None and catches_up)
    ]


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
    if not carries_payload(store, row):
        raise VaultError(
            f"the transaction of anchor {row.number} is not about its tree head: it was not sent",
            hint="run 'medanchor audit', then restore the vault from a backup",
        )
    wanted = confirmations - 1
    evidence = chain.locate(row.transaction, since=row.since, successors=wanted)
    if evidence is None or len(evidence.block.successors) < wanted:  # the embedded chain was killed on its way there
        chain.submit(row.transaction)
        evidence = chain.locate(row.transaction, since=row.since, successors=wanted)
    if evidence is None:
        raise ChainError(f"{chain.name} took the transaction and does not show it", hint="run 'medanchor anchor' again")
    _check_answer(store, chain, row, evidence)
    return set_evidence(store, row, evidence)


def _check_answer(store: Store, chain: Chain, row: AnchorRow, evidence: Anchor) -> None:
    """Hold what `chain` says about `row` against the ledger: nothing is written down that no verifier would believe."""
    try:
        check_anchor(evidence, store.head(row.size))
    except VerificationError as error:
        raise ChainError(
            f"what {chain.name} says about anchor {row.number} cannot be believed: {error.message}",
            hint="run 'medanchor audit'; if it finds no damage, ask another source",
        ) from None


def carries_payload(store: Store, row: AnchorRow) -> bool:
    """Say whether the transaction of `row` carries the payload of its tree head. Raises VaultError if it is damaged."""
    return anchored_payload(_stripped(row)) == payload(store.head(row.size))
