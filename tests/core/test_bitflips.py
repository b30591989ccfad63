"""Every single-bit flip of a proof is refused, but for the one exception of docs/format.md, section 6, held exactly."""

import random

import pytest
from making import NAMES, pending_bytes, proof_bytes, record_digest

from medanchor.core.hashes import sha256d
from medanchor.core.header import Network
from medanchor.core.proof import parse_proof
from medanchor.core.verify import Trust, TrustLevel, Witness, verify
from medanchor.errors import PendingError, VerificationError

HEX = frozenset(b"0123456789abcdef")
SAMPLE = 1500


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def survivors(data, raw, bits):
    """The bits whose flip verifies; any exception but a refusal is the test's failure."""
    found = set()
    for bit in bits:
        try:
            verify(parse_proof(flipped(data, bit)), raw, Trust())
        except VerificationError:
            continue
        found.add(bit)
    return found


def unbound(data):
    """The flips of the last successor that leave lower-case hex, its link to the header before, and its work alone.

    Computed from the file's bytes, apart from the code under test; nBits may become a harder target than regtest's.
    """
    start = data.index(b'"]},"branch"') - 160
    bits = set()
    for bit in range(8 * start, 8 * (start + 160)):
        text = flipped(data, bit)[start : start + 160]
        if set(text) <= HEX:
            header = bytes.fromhex(text.decode())
            linked = header[4:36] == bytes.fromhex(data[start + 8 : start + 72].decode())
            if linked and has_work(header):
                bits.add(bit)
    return bits


def has_work(header):
    size, mantissa = header[75], int.from_bytes(header[72:75], "little")
    if mantissa & 0x800000:
        return False
    target = int((mantissa * 256**size) // 256**3)
    return 0 < target <= 0x7FFFFF << 232 and int.from_bytes(sha256d(header), "little") <= target


def test_every_bit_of_a_proof_is_bound_but_for_its_last_successor():
    data, raw = proof_bytes("three-levels"), record_digest("three-levels")
    expected = unbound(data)
    assert len(expected) > 50  # about every second one that leaves the link alone: regtest's work is a coin toss
    assert survivors(data, raw, range(8 * len(data))) == expected


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"three-levels"}))
def test_bits_of_the_other_proofs(name):
    data = proof_bytes(name)
    bits = random.Random(name).sample(range(8 * len(data)), SAMPLE)  # noqa: S311 - a sample, the same at every run
    assert survivors(data, record_digest(name), bits) == unbound(data) & set(bits)


def test_every_bit_of_a_pending_proof_is_refused_but_where_only_an_anchor_binds():
    """Nothing binds the ledger's path and place before the anchor does: these flips stay pending, and never pass."""
    data, raw = pending_bytes(), record_digest("three-levels")
    start, end = data.index(b'"ledger"'), data.index(b'"record"')
    for bit in range(8 * len(data)):
        try:
            verify(parse_proof(flipped(data, bit)), raw, Trust())
        except VerificationError:
            continue
        except PendingError:
            assert start < bit // 8 < end
            continue
        pytest.fail(f"bit {bit} passes")


def test_a_flip_of_the_last_successor_cannot_lend_confirmations():
    """Step 8 does not read the successors: once the chain itself is asked, it is the chain that counts."""
    data, raw = proof_bytes("three-levels"), record_digest("three-levels")
    honest = parse_proof(data)
    tip = honest.anchor.block.height
    witness = Witness(TrustLevel.CONFIRMED, "a node", Network.REGTEST, tip, honest.anchor.block.header)
    for bit in sorted(unbound(data))[:9]:
        assert verify(parse_proof(flipped(data, bit)), raw, Trust(witness=witness)).confirmations == 1
