"""What every source of blocks offers.

All it says can be checked by hashing, and is, except one thing: which chain is the best one, for which it is trusted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from medanchor.core.header import Network
from medanchor.core.proof import Anchor

SUCCESSORS = 5
"""How many headers after the anchoring block an anchor carries unless asked otherwise: six confirmations in all."""


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block of the best chain: its height and its header (80 bytes)."""

    height: int
    header: bytes


class Chain(Protocol):
    """A source of blocks: the embedded chain, a node, a server; anything that can answer these questions.

    Each call is complete in itself: nothing stays open between two of them, and each sees one best chain throughout.
    Every one of them raises ChainError if the source cannot be reached or contradicts itself.
    """

    @property
    def network(self) -> Network:
        """The network whose blocks these are."""
        ...

    @property
    def name(self) -> str:
        """What a verifier who relied on it names: "verified by NAME"."""
        ...

    @property
    def mines(self) -> bool:
        """Whether `submit` itself makes the blocks that confirm a transaction: then nothing ever waits."""
        ...

    def tip(self) -> Tip:
        """Return the newest block of the best chain."""
        ...

    def headers(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the best chain's header (80 bytes) at each of `heights`, in that order; None for one above the tip."""
        ...

    def locate(self, transaction: bytes, *, since: int, successors: int = SUCCESSORS) -> Anchor | None:
        """Return all that ties `transaction` to the best chain, or None if no block from height `since` on holds it.

        `transaction` is serialised, with or without its witness: the txid decides. The anchor carries as many of the
        headers that follow the block as there are, `successors` at the most.
        """
        ...

    def submit(self, transaction: bytes) -> None:
        """Hand `transaction` (serialised, with its witness) to the network; handing it over again changes nothing.

        Raises TransactionRefusedError if it can never be mined as it is: the best chain has spent its coin, or never
        had it. A ChainError for any other refusal, such as of a fee too low, leaves it to be tried again.
        """
        ...

    def pending(self, transaction: bytes) -> bool:
        """Say whether `transaction` (serialised) waits in the source's mempool; one in a block does not wait."""
        ...

    def fee_rate(self, blocks: int) -> Decimal | None:
        """Return the fee rate, in sat/vB, that gets a transaction into one of the next `blocks` blocks.

        None if the source does not know, as a node that has just started.
        """
        ...
