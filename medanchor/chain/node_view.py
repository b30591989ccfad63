"""What a Bitcoin Core node shows: batches of questions, answered by one best chain or asked again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from medanchor.chain import node_answers as answers
from medanchor.chain.node_answers import State
from medanchor.core.hashes import Hash, display
from medanchor.core.header import Header, Network
from medanchor.errors import ChainError, VerificationError
from medanchor.net.rpc import Rpc

T = TypeVar("T")
Call = tuple[str, tuple[object, ...]]

_TRIES = 4
"""How often a question is asked whose answers are of several best chains: a reorganisation takes a moment."""

_CALLS = 2_000
"""Calls in one request: of headers, half a megabyte."""

_AGAIN = "try again in a minute; if it stays so, look into the node's debug.log"
_OTHER = "is it the node you mean, and is it sound? Name another in config.toml"


class MovedError(Exception):
    """The best chain became another one between two answers, or one of them is untrue."""


class NodeView:
    """The node behind `rpc`, which has to be on `network` and done with its first synchronisation."""

    def __init__(self, rpc: Rpc, network: Network) -> None:
        self.rpc = rpc
        self.network = network

    def ask(self, *calls: Call) -> tuple[State, list[object]]:
        """Return what the node says of itself, and its answers to `calls`; all in one request.

        Raises ChainError if it is on another network, or still in its initial block download. On regtest a node says
        that it is whenever its newest block is a day old; there it means nothing.
        """
        info, *rest = self.rpc.batch([("getblockchaininfo", ()), *calls])
        with self.believed():
            state = answers.state(info)
        if state.network != self.network:
            found = state.network or "another network"
            raise ChainError(
                f"expected a node of {self.network}, found {self.rpc.name} to be of {found}",
                hint=f"name a node of {self.network} in config.toml",
            )
        if state.syncing and self.network is not Network.REGTEST:
            raise ChainError(
                f"{self.rpc.name} is still downloading the blocks: it has {state.height:,} of {state.known:,} or more",
                hint="wait until it has them all: it knows too little of today's chain",
            )
        return state, rest

    def hashes(self, heights: Sequence[int]) -> tuple[State, dict[int, Hash]]:
        """Return the hashes of the best chain's blocks at those of `heights` that it reaches, and its state before."""
        state, first = self.ask(*_hash_calls(heights[:_CALLS]))
        rest = self._batches(_hash_calls(heights[_CALLS:]))
        with self.believed():
            found = {height: answers.block_hash(one) for height, one in zip(heights, [*first, *rest], strict=True)}
        return state, {height: one for height, one in found.items() if one is not None and height <= state.height}

    def headers(self, hashes: Mapping[int, Hash], state: State) -> dict[int, bytes]:
        """Return the headers (80 bytes) by height of `hashes`, all of the best chain that `state` tells of.

        Each is hashed and has its proof of work, and follows the one before it, if that is there. At last the node has
        to say that the block which was its best one is still in its best chain. Raises MovedError.
        """
        return self.headers_and(hashes, state)[0]

    def headers_and(
        self, hashes: Mapping[int, Hash], state: State, *more: Call
    ) -> tuple[dict[int, bytes], list[object]]:
        """Return `headers`, and the answers to `more` questions about these blocks, asked in the same request."""
        calls: list[Call] = [("getblockheader", (display(one), False)) for one in hashes.values()]
        *raws, best = self._batches([*more, *calls, ("getblockheader", (display(state.best), True))])
        rest, raws = raws[: len(more)], raws[len(more) :]
        with self.believed():
            pairs = zip(hashes.items(), raws, strict=True)
            found = {height: answers.header(raw, name, self.network) for (height, name), raw in pairs}
            if answers.place(best) != state.height or not _linked(found, hashes):
                raise MovedError
        return found, rest

    def steadily(self, act: Callable[[], T]) -> T:
        """Return what `act` returns; it is called again while it raises MovedError. Raises ChainError after a while."""
        for _ in range(_TRIES):
            try:
                return act()
            except MovedError:
                continue
        raise ChainError(f"{self.rpc.name} contradicts itself, or its best chain keeps changing", hint=_AGAIN)

    @contextmanager
    def believed(self) -> Iterator[None]:
        """Turn what is found wrong with an answer into a ChainError that says whose it is."""
        try:
            yield
        except VerificationError as error:
            raise ChainError(
                f"{self.rpc.name} gives an answer that cannot be believed: {error.message}", hint=_OTHER
            ) from None

    def _batches(self, calls: Sequence[Call]) -> list[object]:
        starts = range(0, len(calls), _CALLS)
        return [answer for start in starts for answer in self.rpc.batch(calls[start : start + _CALLS])]


def _hash_calls(heights: Sequence[int]) -> list[Call]:
    return [("getblockhash", (height,)) for height in heights]


def _linked(headers: Mapping[int, bytes], hashes: Mapping[int, Hash]) -> bool:
    """Say whether each header follows the one of the height below it, where that one is there."""
    below = ((raw, hashes[height - 1]) for height, raw in headers.items() if height - 1 in hashes)
    return all(Header.parse(raw).previous == previous for raw, previous in below)
