"""Two sources of blocks that have to agree: whoever wants to deceive must have both of them say the same."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from medanchor.chain.source import SUCCESSORS, Chain, Tip
from medanchor.core.header import Network
from medanchor.core.proof import Anchor
from medanchor.errors import ChainError, TransactionRefusedError, UsageError


class Agreement:
    """A `Chain` that is known as far as `first` and `second` both know it, and where they say the same of it.

    What only one of them has, such as a block that the other one has yet to hear of, is not there. Raises UsageError if
    they are of two networks.
    """

    def __init__(self, first: Chain, second: Chain) -> None:
        if first.network != second.network:
            raise UsageError(
                f"expected two sources of one network, found {first.name} of {first.network}"
                f" and {second.name} of {second.network}",
                hint="mend them in config.toml",
            )
        self._first, self._second = first, second

    @property
    def network(self) -> Network:
        """The network of both."""
        return self._first.network

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self._first.name} and {self._second.name}"

    @property
    def mines(self) -> bool:
        """Whether one of them makes blocks itself."""
        return self._first.mines or self._second.mines

    def tip(self) -> Tip:
        """Return the newest block that both have: the lower one of their tips, once the other has shown it too."""
        ours, theirs = self._first.tip(), self._second.tip()
        lower, other = (ours, self._second) if ours.height <= theirs.height else (theirs, self._first)
        if other.headers([lower.height]) != [lower.header]:
            raise self._disagreement(lower.height)
        return lower

    def headers(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the header at each of `heights` that both have there, None for one that only one of them has.

        Raises ChainError, naming the lowest such height, if they have different ones.
        """
        pairs = list(zip(self._first.headers(heights), self._second.headers(heights), strict=True))
        apart = [height for height, (a, b) in zip(heights, pairs, strict=True) if a and b and a != b]
        if apart:
            raise self._disagreement(min(apart))
        return [a and b for a, b in pairs]

    def locate(self, transaction: bytes, *, since: int, successors: int = SUCCESSORS) -> Anchor | None:
        """Return what ties `transaction` to a block that both have, with as many successors as both have.

        The first one is asked for it; what the second one must say is which blocks there are, as the rest is hashed.
        """
        anchor = self._first.locate(transaction, since=since, successors=successors)
        if anchor is None:
            return None
        block = anchor.block
        headers = [block.header, *block.successors]
        heights = range(block.height, block.height + len(headers))
        found = self._second.headers(heights)
        apart = [
            height for height, ours, theirs in zip(heights, headers, found, strict=True) if theirs not in (ours, None)
        ]
        if apart:
            raise self._disagreement(min(apart))
        both = found.index(None) if None in found else len(found)
        if not both:
            return None
        return replace(anchor, block=replace(block, successors=tuple(headers[1:both])))

    def submit(self, transaction: bytes) -> None:
        """Hand `transaction` to both; one that takes it is enough, as the network carries it to the other.

        Raises TransactionRefusedError only if both say that it can never be mined, otherwise ChainError.
        """
        failures = [error for chain in (self._first, self._second) if (error := _failure(chain, transaction))]
        if len(failures) < 2:  # noqa: PLR2004 - both
            return
        undecided = [error for error in failures if not isinstance(error, TransactionRefusedError)]
        raise (undecided or failures)[0]

    def pending(self, transaction: bytes) -> bool:
        """Say whether `transaction` waits with both: where it does not yet, it may be handed over again."""
        return self._first.pending(transaction) and self._second.pending(transaction)

    def fee_rate(self, blocks: int) -> Decimal | None:
        """Return the lower one of both fee rates (sat/vB), or the only one.

        A source can so not make anybody pay too much. That a transaction pays too little shows, and is put right: it is
        replaced by one that pays more.
        """
        rates = [rate for chain in (self._first, self._second) if (rate := chain.fee_rate(blocks)) is not None]
        return min(rates, default=None)

    def _disagreement(self, height: int) -> ChainError:
        return ChainError(
            f"{self._first.name} and {self._second.name} have different blocks at height {height}:"
            " one of them is on another chain",
            hint="at the newest block that passes: try again in some minutes; if it stays so, believe neither of them",
        )


def _failure(chain: Chain, transaction: bytes) -> ChainError | None:
    try:
        chain.submit(transaction)
    except ChainError as error:
        return error
    return None
