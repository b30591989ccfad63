"""Which rule a header breaks, if any: two who judge that, one for regtest and one for every other network.

Where work counts it is Bitcoin Core's own engine (`header_engine.py`). On regtest it goes through all the headers it
has at each new one, to test itself (validation.cpp, `CheckBlockIndex`): 20,000 of them take half a minute, and twice as
many four times as long. What is left of the rules there, where the difficulty is always the same and the least, is the
five comparisons below; the tests hold them against the engine's, header by header and word for word.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from medanchor.core.header import PROOF_OF_WORK_LIMIT, Network, target_from_bits

MEDIAN_SPAN = 11
FUTURE_SECONDS = 7200
"""A header's time may be so far ahead of the clock (chain.h: MAX_FUTURE_BLOCK_TIME)."""

IN_THE_FUTURE = "block timestamp too far in the future"
"""What the engine says of a header that is later than the clock allows, which the clock may be to blame for."""

_FIELDS = struct.Struct("<i32s32sIII")
_TIME = slice(68, 72)
_REGTEST_BITS = 0x207FFFFF
_VERSION = 4
"""The least a header may have since BIP 65, which is in force on regtest from height 1 on."""


class Judge(Protocol):
    """Takes a chain's headers from height 1 on, in order, and says which is the first that may not stand there.

    That each follows the one before it is for the caller to see to.
    """

    def take(self, headers: bytes, hashes: Sequence[bytes]) -> bool:
        """Take the next `headers` (80 bytes each, and what they hash to); say whether any more need be brought."""
        ...

    def refusal(self) -> tuple[int, str] | None:
        """Return the height of the first header that breaks a rule, and which; None if all that were taken obey."""
        ...


@contextmanager
def judging(network: Network, genesis: bytes, now: Callable[[], float]) -> Iterator[Judge]:
    """Give the judge of `network`'s headers, which begin with `genesis`; `now` is the time in seconds since 1970.

    Raises ChainError if the engine cannot be started; the engine reads the machine's own clock.
    """
    if network is Network.REGTEST:
        yield RegtestRules(genesis, now=int(now()))
        return
    from medanchor.chain.header_engine import engine

    with engine(network) as judge:
        yield judge


class RegtestRules:
    """The `Judge` of regtest headers, at a time `now` in seconds since 1970.

    Bitcoin Core: validation.cpp (CheckBlockHeader, ContextualCheckBlockHeader) and pow.cpp, with the parameters of
    CRegTestParams, where nothing changes the difficulty.
    """

    def __init__(self, genesis: bytes, *, now: int) -> None:
        self._latest = now + FUTURE_SECONDS
        self._recent = [int.from_bytes(genesis[_TIME], "little")]
        self._height = 1
        self._refusal: tuple[int, str] | None = None

    def take(self, headers: bytes, hashes: Sequence[bytes]) -> bool:
        """Take the next headers; False once one is refused."""
        versions, _, _, times, bits, _ = zip(*_FIELDS.iter_unpack(headers), strict=True)
        limit = PROOF_OF_WORK_LIMIT[Network.REGTEST]
        allowed = {value: target for value in set(bits) if 0 < (target := target_from_bits(value)) <= limit}
        medians = self._medians(times)
        # In the engine's order: the first rule that a header breaks is the one that is told.
        broken = (
            (
                index
                for index, value in enumerate(hashes)
                if int.from_bytes(value, "little") > allowed.get(bits[index], -1)
            ),
            (index for index, value in enumerate(bits) if value != _REGTEST_BITS),
            (index for index, median in enumerate(medians) if times[index] <= median),
            (index for index, value in enumerate(times) if value > self._latest),
            (index for index, value in enumerate(versions) if value < _VERSION),
        )
        first, rule = min((next(found, len(times)), rule) for rule, found in enumerate(broken))
        if first < len(times) and not self._refusal:
            self._refusal = self._height + first, _RULES[rule].format(versions[first] & 0xFFFFFFFF)
        self._height += len(times)
        return self._refusal is None

    def refusal(self) -> tuple[int, str] | None:
        """Return the height of the first header that breaks a rule, and which."""
        return self._refusal

    def _medians(self, times: Sequence[int]) -> list[int]:
        """Return the median time of the headers before each of the next ones, eleven of them or as many as there are.

        BIP 113; chain.h: GetMedianTimePast.
        """
        known = [*self._recent, *times]
        ends = range(len(self._recent), len(known))
        self._recent = known[-MEDIAN_SPAN:]
        windows = (sorted(known[max(end - MEDIAN_SPAN, 0) : end]) for end in ends)
        return [window[len(window) // 2] for window in windows]


_RULES = (
    "proof of work failed",
    "incorrect proof of work",
    "block's timestamp is too early",
    IN_THE_FUTURE,
    "rejected nVersion=0x{:08x} block",
)
"""What the engine says of each."""
