"""Sources of headers that answer as they were told to, and a process that ends at a chosen moment."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headerchains import on_top

from medanchor.chain.header_sync import sync_headers
from medanchor.chain.source import Tip
from medanchor.core.header import Network
from medanchor.errors import ChainError

Headers = list[bytes | None]


@dataclass
class Source:
    """A source with these headers. At request number `when` (from 0), `fault` decides what is answered instead."""

    chain: list[bytes]
    network: Network = Network.REGTEST
    when: int = -1
    fault: str = ""
    lasting: bool = False
    asked: list[object] = field(default_factory=list)
    name: str = "the scripted source"

    def tip(self) -> Tip:
        answer = Tip(len(self.chain) - 1, self.chain[-1])
        return TIP_FAULTS[self.fault](answer) if self._strikes("tip", TIP_FAULTS) else answer

    def headers(self, heights: Sequence[int]) -> Headers:
        answer: Headers = [self.chain[height] if 0 <= height < len(self.chain) else None for height in heights]
        return FAULTS[self.fault](answer) if self._strikes(list(heights), FAULTS) else answer

    def _strikes(self, request: object, faults: dict[str, Callable]) -> bool:
        number = len(self.asked)
        self.asked.append(request)
        strikes = number == self.when or (self.lasting and number > self.when)
        return strikes and self.fault in faults


def down(_answer: object) -> Headers:
    raise ChainError("the scripted source cannot be reached", hint="start it")


def middle_changed(change: Callable[[bytes], bytes]) -> Callable[[Headers], Headers]:
    def fault(answer: Headers) -> Headers:
        at = len(answer) // 2
        return [*answer[:at], change(answer[at] or bytes(80)), *answer[at + 1 :]]

    return fault


FAULTS: dict[str, Callable[[Headers], Headers]] = {
    "down": down,
    "nothing": lambda _: [],
    "unknown": lambda answer: [None] * len(answer),
    "half": lambda answer: answer[: len(answer) // 2],
    "half unknown": lambda answer: [*answer[: len(answer) // 2], *[None] * (len(answer) - len(answer) // 2)],
    "hole": middle_changed(lambda _: b""),
    "short header": middle_changed(lambda header: header[:79]),
    "long header": middle_changed(lambda header: header + b"\0"),
    "zeros": middle_changed(lambda _: bytes(80)),
    "another root": middle_changed(lambda header: header[:40] + bytes([header[40] ^ 1]) + header[41:]),
    "another version": middle_changed(lambda header: b"\1\0\0\0" + header[4:]),
    "eased": middle_changed(lambda header: header[:72] + b"\xff\xff\x7f\x21" + header[76:]),
    "turned round": lambda answer: answer[::-1],
    "twice": lambda answer: [*answer, *answer],
    "sibling": middle_changed(on_top),
}
TIP_FAULTS: dict[str, Callable[[Tip], Tip]] = {
    "down": down,
    "too high": lambda tip: Tip(tip.height + 5, tip.header),
    "endless": lambda tip: Tip(1 << 40, tip.header),
    "below zero": lambda tip: Tip(-1, tip.header),
    "lower": lambda tip: Tip(tip.height // 2, tip.header),
    "zero": lambda tip: Tip(0, tip.header),
}

CHANGING = ("pwrite", "ftruncate", "fsync", "replace", "rename", "unlink")
KILLED = 9


def split(path: Path) -> list[bytes]:
    """Return the headers in a file."""
    data = path.read_bytes()
    return [data[at : at + 80] for at in range(0, len(data), 80)]


def end_at_call(nth: int) -> None:
    """End this process, as a kill would, before the `nth` call by which it changes a file."""
    counted = iter(range(nth))

    def guarded(genuine: Callable) -> Callable:
        def call(*arguments, **options):
            if next(counted, None) is None:
                os._exit(KILLED)
            return genuine(*arguments, **options)

        return call

    for name in CHANGING:
        setattr(os, name, guarded(getattr(os, name)))


if __name__ == "__main__":
    source, target, number = sys.argv[1:]
    end_at_call(int(number))
    sync_headers(Source(split(Path(source))), Path(target))
