"""A long regtest chain of headers in which the block stands that a set of proofs is anchored in.

The embedded chain mines whole blocks, at the time they are mined: a million of them would take a day, and lie in the
future. So the anchoring block's header is mined once more on top of made-up ones, for the same transactions, and takes
the place of the former one in each proof.
"""

import struct
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from medanchor.core.header import HEADER_LENGTH
from medanchor.core.proof import Anchor, parse_proof, serialise_proof

_FIELDS = struct.Struct("<I32s32sII")
_GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000"
)
_VERSION, _BITS, _SPACING = 0x20000000, 0x207FFFFF, 300


def long_chain(path: Path, count: int, proofs: Path) -> None:
    """Write `count` headers to `path`, and move every proof below `proofs` (of one anchor) into that chain."""
    files = sorted(proofs.rglob("*.medproof"))
    former = parse_proof(files[0].read_bytes()).anchor
    if former is None:
        raise SystemExit("the proofs are pending")
    headers = _headers(count, former)
    path.write_bytes(b"".join(headers))
    above = former.block.height + 1
    successors = tuple(headers[above : above + len(former.block.successors)])
    block = replace(former.block, header=headers[above - 1], successors=successors)
    for file in files:
        proof = parse_proof(file.read_bytes())
        file.write_bytes(serialise_proof(replace(proof, anchor=replace(former, block=block))))


def _headers(count: int, anchor: Anchor) -> list[bytes]:
    """Return regtest headers five minutes apart; that of the anchor's height has the root of the anchor's block."""
    headers, moment = [_GENESIS], int.from_bytes(_GENESIS[68:72], "little")
    previous = _hash(_GENESIS)
    for height in range(1, count):
        moment += _SPACING
        root = anchor.block.header[36:68] if height == anchor.block.height else previous
        headers.append(_mined(_FIELDS.pack(_VERSION, previous, root, moment, _BITS)))
        previous = _hash(headers[-1])
    return headers


def _mined(head: bytes) -> bytes:
    for nonce in range(1 << 32):
        header = head + nonce.to_bytes(HEADER_LENGTH - len(head), "little")
        if _hash(header)[31] < 0x7F:
            return header
    raise SystemExit("no nonce will do")


def _hash(header: bytes) -> bytes:
    return sha256(sha256(header).digest()).digest()
