"""Chains of headers that a verifier keeps: trust level 2, without a node and without a network.

A chain is checked from its genesis block on, in one pass over its bytes: that each header names the one before it, that
none breaks a rule of its network (`header_rules.py`), and that all of it is no cheap imitation.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain

from medanchor.chain.header_rules import IN_THE_FUTURE, Judge, judging
from medanchor.core.hashes import HASH_LENGTH, Hash, display, sha256d
from medanchor.core.header import GENESIS, HEADER_LENGTH, Network
from medanchor.core.header import work_of as header_work
from medanchor.errors import MalformedProofError, Step, VerificationError

MINIMUM_WORK = {
    Network.MAINNET: 0x1128750F82F4C366153A3A030,
    Network.TESTNET3: 0x17DDE1C649F3708D14B6,
    Network.TESTNET4: 0x9A0FE15D0177D086304,
    Network.SIGNET: 0xB463EA0A4B8,
    Network.REGTEST: 0,
}
"""Hashes that each network's best chain had taken when the engine was released (chainparams.cpp: nMinimumChainWork)."""

KNOWN_BLOCK = {
    Network.MAINNET: "00000000000000000000ccebd6d74d9194d8dcdc1d177c478e094bfad51ba5ac",
    Network.TESTNET3: "000000007a61e4230b28ac5cb6b5e5a0130de37ac1faf2f8987d2fa6505b67f4",
    Network.TESTNET4: "0000000002368b1e4ee27e2e85676ae6f9f9e69579b29093e9a82c170bf7cf8a",
    Network.SIGNET: "00000008414aab61092ef93f1aacc54cf9e9f16af29ddad493b908a01ff5c329",
}
"""A block that each network's chain must hold, as explorers write it (chainparams.cpp: defaultAssumeValid).

By their heights there: 938,343 on mainnet, 4,842,348 on testnet3, 123,613 on testnet4, 293,175 on signet. It is looked
for by its hash alone.
"""

Progress = Callable[[int], None]
"""Is told that so many more headers are done."""

_PREVIOUS = 4
_BITS = 72


def silent(_count: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class HeaderChain:
    """A chain of headers that obeys the rules of `network` from its genesis block up to `height`, its tip's.

    `tip` is the hash of the last header. Of the headers themselves (80 bytes each) the chain holds the `kept` ones
    alone, those at the heights it was asked for: a whole chain has a million.
    """

    network: Network
    height: int
    tip: Hash
    kept: Mapping[int, bytes]

    def at(self, height: int) -> bytes | None:
        """Return the header at `height`, one of those that were asked for; None if the chain does not reach it."""
        return self.kept[height] if 0 <= height <= self.height else None


def check_headers(
    chunks: Iterable[bytes], network: Network, heights: Collection[int] = (), *, progress: Progress = silent
) -> HeaderChain:
    """Return the chain that `chunks` of headers (80 bytes each, from height 0 on) make, holding those at `heights`.

    Each header must follow the one before it and pass Bitcoin Core's rules for headers. Those alone do not keep a
    forger out, as one who starts at the genesis block may never let the difficulty rise. So the chain must also hold as
    much work as its network is known to have done, and a block that it is known to have. On top of that block anybody
    may still put headers at the price of their work: a high one on mainnet, a low one on testnets, none on regtest. On
    signet, whose blocks are signed, headers do not show the signature.

    `progress` is told of headers as they are done. Raises VerificationError at step 7, naming the first refused height,
    and ChainError if the engine cannot be had.
    """
    chunks = iter(chunks)
    first = next(chunks, b"")
    genesis = first[:HEADER_LENGTH]
    if GENESIS.get(display(sha256d(genesis))) is not network:
        raise _refused(f"expected header 0 to be the genesis block of {network}")
    check = _Check(network, heights, genesis)
    with judging(network, genesis, time.time) as judge:
        for chunk in chain([first[HEADER_LENGTH:]], chunks):
            if not check.pass_on(chunk, judge):
                break
            progress(len(chunk) // HEADER_LENGTH)
        check.conclude(judge.refusal())
    return check.result()


def network_of(genesis: bytes) -> Network:
    """Return the network whose first block's header this is. Raises VerificationError at step 7 if it is none's."""
    network = GENESIS.get(display(sha256d(genesis)))
    if network is None:
        raise _refused("expected header 0 to be the genesis block of a Bitcoin network")
    return network


def work_of(difficulties: Mapping[int, int]) -> int:
    """Return how many hashes headers took, on average: nBits → how many headers have it (chain.cpp: GetBlockProof)."""
    return sum(count * header_work(bits) for bits, count in difficulties.items())


def bits_of(chunk: bytes) -> list[int]:
    """Return the nBits of each header in `chunk`."""
    return [int.from_bytes(chunk[at : at + 4], "little") for at in range(_BITS, len(chunk), HEADER_LENGTH)]


def hashes_of(chunk: bytes) -> list[bytes]:
    """Return the hash of each header in `chunk`. Raises MalformedProofError unless they have 80 bytes each."""
    if len(chunk) % HEADER_LENGTH:
        raise MalformedProofError(f"expected headers of {HEADER_LENGTH} bytes, found {len(chunk)} bytes of them")
    digest = sha256  # a million of them: to call `core.hashes` takes half as long again
    starts = range(0, len(chunk), HEADER_LENGTH)
    return [digest(digest(chunk[at : at + HEADER_LENGTH]).digest()).digest() for at in starts]


def in_line(chunk: bytes, previous: bytes, hashes: Sequence[bytes]) -> int:
    """Return how many headers of `chunk` follow the block `previous` (its hash) one by one; `hashes` are theirs."""
    found = [chunk[at : at + HASH_LENGTH] for at in range(_PREVIOUS, len(chunk), HEADER_LENGTH)]
    expected = [previous, *hashes[:-1]]
    if found == expected:
        return len(found)
    return next(index for index, value in enumerate(found) if value != expected[index])


class Picker:
    """Picks the headers at certain heights out of chunks that pass by, beginning with height 0."""

    def __init__(self, heights: Collection[int]) -> None:
        self._heights = sorted(set(heights))
        self._next = 0
        self.picked: dict[int, bytes] = {}

    def see(self, chunk: bytes) -> None:
        """Pick from the next headers."""
        end = self._next + len(chunk) // HEADER_LENGTH
        for height in self._heights[bisect_left(self._heights, self._next) : bisect_left(self._heights, end)]:
            at = HEADER_LENGTH * (height - self._next)
            self.picked[height] = chunk[at : at + HEADER_LENGTH]
        self._next = end


class _Check:
    """What one pass over a chain of headers has found so far."""

    def __init__(self, network: Network, heights: Collection[int], genesis: bytes) -> None:
        self._network = network
        self._picker = Picker(heights)
        self._known = bytes.fromhex(KNOWN_BLOCK.get(network, ""))[::-1]
        self._holds_known = not self._known
        self._difficulties: Counter[int] = Counter()
        self._count = 0
        self._tip = b""
        self._strays = False
        self._note(genesis, hashes_of(genesis))

    def pass_on(self, chunk: bytes, judge: Judge) -> bool:
        """Hand `judge` the headers of `chunk`, as far as each follows the one before it; say whether to go on."""
        if not chunk:
            return True
        hashes = hashes_of(chunk)
        count = in_line(chunk, self._tip, hashes)
        self._strays = count < len(hashes)
        if not count:
            return False
        chunk, hashes = chunk[: HEADER_LENGTH * count], hashes[:count]
        self._note(chunk, hashes)
        return judge.take(chunk, hashes) and not self._strays

    def conclude(self, refusal: tuple[int, str] | None) -> None:
        """Raise VerificationError for what was found first: a header that a rule refuses, or one out of line."""
        if refusal:
            height, rule = refusal
            found = f"header {height} breaks the rules of {self._network}: {rule}"
            raise _refused(found, hint=_CLOCK if rule == IN_THE_FUTURE else _ALTERED)
        if self._strays:
            raise _refused(f"header {self._count} does not follow header {self._count - 1}")

    def result(self) -> HeaderChain:
        """Return the chain, if it is the network's. Raises VerificationError."""
        self._check_work()
        if not self._holds_known:
            known = display(Hash(self._known))
            found = f"expected {self._network}'s headers to hold the block {known}, found another chain"
            raise _refused(found, hint=_IMITATION)
        return HeaderChain(self._network, self._count - 1, Hash(self._tip), self._picker.picked)

    def _note(self, chunk: bytes, hashes: Sequence[bytes]) -> None:
        self._picker.see(chunk)
        self._difficulties.update(bits_of(chunk))
        self._holds_known = self._holds_known or self._known in hashes
        self._count += len(hashes)
        self._tip = hashes[-1]

    def _check_work(self) -> None:
        least, work = MINIMUM_WORK[self._network], work_of(self._difficulties)
        if work < least:
            wanted = f"expected {self._network}'s headers to hold 2^{least.bit_length() - 1} hashes of work or more"
            raise _refused(f"{wanted}, found 2^{work.bit_length() - 1}", hint=_IMITATION)


_ALTERED = "get the network's headers again, up to today, from whom you trust: a chain made to deceive fails too"
_IMITATION = "a chain made to deceive looks like this, and so does an old one: get the headers up to today"
_CLOCK = "is this machine's clock right? If it is, get the headers from whom you trust"


def _refused(found: str, *, hint: str = _ALTERED) -> VerificationError:
    return VerificationError(found, step=Step.HEADER, hint=hint)
