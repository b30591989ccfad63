"""Chains of headers for the tests: made up on regtest, with real work in them elsewhere (vectors/headers)."""

import struct
from functools import cache
from itertools import groupby
from pathlib import Path

from medanchor.core.hashes import sha256d
from medanchor.core.header import Network

VECTORS = Path(__file__).parent / "vectors" / "headers"
REGTEST_GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000"
)
_PAYOUT = bytes.fromhex("76a914eadbac7f36c37e39361168b7aaee3cb24a25312d88ac")


def mined(head: bytes) -> bytes:
    """Return the 76 bytes of `head` and the first nonce that gives them regtest's proof of work."""
    nonces = (head + nonce.to_bytes(4, "little") for nonce in range(1 << 32))
    return next(header for header in nonces if sha256d(header)[31] < 0x7F)


def on_top(header: bytes, *, seconds: int = 300, version: int = 0x20000000, bits: int = 0x207FFFFF) -> bytes:
    """Return a regtest header that follows `header`, `seconds` later."""
    previous, moment = sha256d(header), int.from_bytes(header[68:72], "little") + seconds
    fields = struct.pack("<I32s32sII", version & 0xFFFFFFFF, previous, sha256d(previous), moment, bits)
    return mined(fields)


def regtest(count: int, *, seconds: int = 300, base: list[bytes] | None = None) -> list[bytes]:
    """Return `count` regtest headers from height 0 on, beginning with `base` if it is given."""
    headers = list(base or [REGTEST_GENESIS])
    while len(headers) < count:
        headers.append(on_top(headers[-1], seconds=seconds))
    return headers


@cache
def real() -> dict[Network, list[bytes]]:
    """Return the first headers of the networks whose headers cost work."""
    lines = [line.split() for line in (VECTORS / "real.txt").read_text("ascii").splitlines()]
    return {
        Network(name): [bytes.fromhex(raw) for _, _, raw in group]
        for name, group in groupby(lines, lambda line: line[0])
    }


@cache
def mainnet_rival() -> list[bytes]:
    """Return 2,017 headers that obey mainnet's rules, and are not mainnet's; at height 2,016 the difficulty rises."""
    headers = [real()[Network.MAINNET][0]]
    for height, (moment, nonce) in enumerate(
        struct.iter_unpack("<II", (VECTORS / "mainnet-rival.bin").read_bytes()), 1
    ):
        bits = 0x1D00FFFF if height < 2016 else 0x1C3FFFC0
        root = sha256d(_coinbase(height))
        headers.append(struct.pack("<I32s32sIII", 0x20000000, sha256d(headers[-1]), root, moment, bits, nonce))
    return headers


def _coinbase(height: int) -> bytes:
    """Return the transaction that a rival block consists of: 50 coins to one address, the height in its input."""
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")
    script = bytes([0x50 + height, 0]) if height <= 16 else bytes([len(number)]) + number  # BIP 34
    coin = bytes(32) + b"\xff\xff\xff\xff" + bytes([len(script)]) + script + b"\xff\xff\xff\xff"
    payment = (50 * 10**8).to_bytes(8, "little") + bytes([len(_PAYOUT)]) + _PAYOUT
    return b"\x02\x00\x00\x00" + b"\x01" + coin + b"\x01" + payment + bytes(4)
