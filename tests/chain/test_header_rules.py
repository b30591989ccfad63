"""Regtest's rules as they are written here, against Bitcoin Core's engine: the same verdict, height and words."""

import copy
import random
import struct
import time

import pytest
from headerchains import REGTEST_GENESIS, on_top, regtest

from medanchor.chain.header_rules import FUTURE_SECONDS, RegtestRules, judging
from medanchor.chain.headers import hashes_of
from medanchor.chain.kernel import opened
from medanchor.core.header import Network

VERSIONS = (0x20000000, 4, 3, 2, 1, 0, -1, -0x80000000, 0x7FFFFFFF)
BITS = (0x207FFFFF, 0x207FFFFE, 0x2100FFFF, 0x1D00FFFF, 0x217FFFFF, 0x20FFFFFF, 0x00000000, 0xFF7FFFFF, 0x1F7FFFFF)


def take(rules: RegtestRules, *headers: bytes) -> tuple[int, str] | None:
    chunk = b"".join(headers)
    assert rules.take(chunk, hashes_of(chunk)) is (rules.refusal() is None)
    return rules.refusal()


def new_rules(now: int | None = None) -> RegtestRules:
    return RegtestRules(REGTEST_GENESIS, now=int(time.time()) if now is None else now)


def proposals(chance: random.Random, tip: bytes):
    """Headers on top of `tip`, each of them odd in some respect, or in several."""
    while True:
        version = chance.choice((VERSIONS[0], VERSIONS[0], *VERSIONS))
        seconds = chance.choice((1, 600, -600, -1500, -1200, -3000, -100_000))
        header = on_top(tip, version=version, seconds=seconds)
        if chance.random() < 0.3:
            header = header[:72] + struct.pack("<I", chance.choice(BITS)) + header[76:]
        if chance.random() < 0.2:
            header = header[:76] + chance.randbytes(4)
        yield header


def test_the_engine_and_the_rules_here_agree_on_every_header(tmp_path):
    chance, rules, tip, height = random.Random(8), new_rules(), REGTEST_GENESIS, 0  # noqa: S311 - the same on every run
    told = set()
    with opened(tmp_path, Network.REGTEST, in_memory=True) as kernel:
        while height < 150:
            header = next(proposals(chance, tip))
            judged, engines = take(copy.copy(rules), header), kernel.offer_headers(header)
            assert judged == (engines and (height + 1, engines[1])), header.hex()
            told.add(engines and engines[1].split("=")[0])
            if engines is None:
                take(rules, header)
                tip, height = header, height + 1
    # All but the future, for which this machine's clock would have to be known to the second.
    assert told == {
        None,
        "incorrect proof of work",
        "proof of work failed",
        "block's timestamp is too early",
        "rejected nVersion",
    }


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 12, 13, 30])
@pytest.mark.parametrize("later", [0, 1])
def test_the_median_of_few_headers_and_of_eleven(tmp_path, count, later):
    """Times that go up and down, then one at their median, and one a second above it."""
    chance, headers = random.Random(count), [REGTEST_GENESIS]  # noqa: S311 - as above
    while len(headers) < count:
        headers.append(on_top(headers[-1], seconds=chance.choice((2000, 900, 300))))
    times = sorted(int.from_bytes(header[68:72], "little") for header in headers[-11:])
    last = int.from_bytes(headers[-1][68:72], "little")
    tried = on_top(headers[-1], seconds=times[len(times) // 2] + later - last)
    wanted = None if later else (count, "block's timestamp is too early")
    assert take(new_rules(), *headers[1:], tried) == wanted
    with opened(tmp_path, Network.REGTEST, in_memory=True) as kernel:
        engines = kernel.offer_headers(b"".join([*headers[1:], tried]))
    assert engines == (wanted and (count - 1, wanted[1]))


@pytest.mark.parametrize("size", [1, 3, 11, 12, 60])
def test_a_chain_in_pieces_is_judged_as_in_one(size):
    headers = regtest(61)
    late = [*headers[:50], on_top(headers[49], seconds=-4000)]
    for chain, wanted in ((headers, None), (late, (50, "block's timestamp is too early"))):
        rules = new_rules()
        for at in range(1, len(chain), size):
            take(rules, *chain[at : at + size])
        assert rules.refusal() == wanted


def test_two_hours_ahead_of_the_clock_and_no_more():
    header = on_top(REGTEST_GENESIS, seconds=FUTURE_SECONDS + 1000)
    now = int.from_bytes(REGTEST_GENESIS[68:72], "little") + 1000
    assert take(new_rules(now), header) is None
    assert take(new_rules(now - 1), header) == (1, "block timestamp too far in the future")


def test_the_engine_says_the_same_of_the_future(tmp_path):
    with opened(tmp_path, Network.REGTEST, in_memory=True) as kernel:
        assert kernel.offer_headers(on_top(REGTEST_GENESIS, seconds=1 << 31)) == (
            0,
            "block timestamp too far in the future",
        )


@pytest.mark.parametrize("network", Network)
def test_who_judges(network):
    with judging(network, REGTEST_GENESIS, time.time) as judge:
        assert (type(judge).__name__ == "RegtestRules") == (network is Network.REGTEST)
        assert judge.refusal() is None
