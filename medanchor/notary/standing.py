"""How anchors stand: what is on its way, what a block holds, what is over. Nothing is changed here."""

from collections.abc import Sequence
from enum import StrEnum

from medanchor.chain.source import Chain
from medanchor.core.commitment import payload
from medanchor.core.hashes import Hash, sha256d
from medanchor.core.header import Network
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.vault.anchors import AnchorRow
from medanchor.vault.rows import sound
from medanchor.vault.store import Store


class State(StrEnum):
    """The life of an anchor, in the words of `status` (docs/format.md, section 10).

    UNSIGNED, PREPARED, SENT and CONFIRMED follow each other; SETTLED is as deep as was asked for. REORGANISED was
    confirmed and waits to be so again. REPLACED gave way to one that pays more, CONFLICTED can never be mined, and
    ABANDONED needs not be, as a later anchor covers what it does.
    """

    UNSIGNED = "unsigned"
    PREPARED = "prepared"
    SENT = "sent"
    CONFIRMED = "confirmed"
    SETTLED = "settled"
    REPLACED = "replaced"
    CONFLICTED = "conflicted"
    REORGANISED = "reorganised"
    ABANDONED = "abandoned"


SENDABLE = (State.PREPARED, State.SENT, State.REORGANISED)
WAITING = (State.UNSIGNED, *SENDABLE)
"""What may still come into a block, and is helped there."""


def states(rows: Sequence[AnchorRow], confirmations: int) -> dict[int, State]:
    """Return each anchor's state by its number; settled are those with `confirmations` blocks, their own included."""
    covered = anchored_size(rows)
    replaced = {row.sending.replaces for row in rows if not row.sending.refused and not row.sending.psbt}
    return {row.number: _state(row, covered, replaced, confirmations) for row in rows}


def _state(row: AnchorRow, covered: int, replaced: set[int | None], confirmations: int) -> State:
    sending = row.sending
    if row.evidence:
        return State.SETTLED if is_settled(row, confirmations) else State.CONFIRMED
    facts = (
        (sending.refused, State.CONFLICTED),
        (row.number in replaced, State.REPLACED),
        (row.size <= covered, State.ABANDONED),
        (sending.psbt, State.UNSIGNED),
        (sending.reorganised, State.REORGANISED),
        (sending.sent, State.SENT),
    )
    return next((state for fact, state in facts if fact), State.PREPARED)


def is_settled(row: AnchorRow, confirmations: int) -> bool:
    """Say whether `row` was seen with `confirmations` blocks, its own included."""
    return row.evidence is not None and len(row.evidence.block.successors) + 1 >= confirmations


def covering(rows: Sequence[AnchorRow], size: int) -> AnchorRow | None:
    """Return the oldest confirmed anchor whose tree head has at least `size` entries: the strongest claim for them."""
    return next((row for row in rows if row.evidence and row.size >= size), None)


def anchored_size(rows: Sequence[AnchorRow]) -> int:
    """Return how many of the ledger's entries a confirmed anchor covers."""
    return max((row.size for row in rows if row.evidence), default=0)


def transaction_id(row: AnchorRow) -> Hash:
    """Return the id of the anchoring transaction, in hashing order. Raises VaultError if that is damaged."""
    return sha256d(stripped(row))


def stripped(row: AnchorRow) -> bytes:
    """Return the anchoring transaction without its witness. Raises VaultError if it is damaged."""
    with sound(f"the transaction of anchor {row.number}"):
        return strip_witness(row.transaction)


def virtual_size(row: AnchorRow) -> int:
    """Return the size of the anchoring transaction in vB: a quarter of its weight, rounded up (BIP 141)."""
    return -(-(3 * len(stripped(row)) + len(row.transaction)) // 4)


def carries_payload(store: Store, row: AnchorRow) -> bool:
    """Say whether the transaction of `row` carries the payload of its tree head. Raises VaultError if it is damaged."""
    return anchored_payload(stripped(row)) == payload(store.head(row.size))


def stale(rows: Sequence[AnchorRow], chain: Chain, *, confirmations: int | None = None) -> list[AnchorRow]:
    """Return those of the confirmed anchors in `rows` whose block is not in the best chain of `chain` (any more).

    With `confirmations`, the settled ones are asked about by the highest of them alone: the blocks below it are those
    that it was built on, so they stand as long as it does. A source is asked for a few headers then, not for those of
    twenty years.

    A chain that ends below a block says nothing about it: its source has to catch up, and the evidence is kept until it
    did. Only on regtest, where there is nobody to catch up with, is it another chain.
    """
    confirmed = [row for row in rows if row.evidence]
    asked = confirmed if confirmations is None else _telling(confirmed, confirmations)
    gone = _gone(asked, chain)
    if gone and len(asked) < len(confirmed):
        return _gone(confirmed, chain)
    return gone


def _telling(confirmed: Sequence[AnchorRow], confirmations: int) -> list[AnchorRow]:
    known = states(confirmed, confirmations)
    settled = [row for row in confirmed if known[row.number] is State.SETTLED]
    highest = max(settled, key=_height, default=None)
    return [row for row in confirmed if known[row.number] is not State.SETTLED or row is highest]


def _height(row: AnchorRow) -> int:
    return row.evidence.block.height if row.evidence else -1


def _gone(rows: Sequence[AnchorRow], chain: Chain) -> list[AnchorRow]:
    blocks = [row.evidence.block for row in rows if row.evidence]
    headers = chain.headers([block.height for block in blocks]) if blocks else []
    catches_up = chain.network != Network.REGTEST
    return [
        row
        for row, block, header in zip(rows, blocks, headers, strict=True)
        if header != block.header and not (header is None and catches_up)
    ]
