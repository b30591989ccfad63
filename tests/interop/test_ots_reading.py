"""Any .ots file, from whomever: read exactly, or refused as malformed; never a traceback, never more than it says."""

import hashlib
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentimestamps.core.timestamp import DetachedTimestampFile
from otsfiles import (
    BITCOIN,
    DIGEST,
    ETHEREUM,
    HELLO_WORLD,
    HEXLIFY,
    KECCAK256,
    LITECOIN,
    MAGIC,
    PENDING,
    REVERSE,
    RIPEMD160,
    SHA1,
    SHA256,
    UNKNOWN,
    append,
    attest,
    bitcoin,
    fork,
    number,
    ots,
    pending,
    prepend,
    text,
)

from medanchor.core.hashes import display, sha256
from medanchor.core.header import Network
from medanchor.core.proof import parse_proof
from medanchor.core.verify import TrustLevel, Witness
from medanchor.errors import MalformedProofError, PendingError, Step, UsageError, VerificationError
from medanchor.interop.existence import BlockClaim, OtsFile, judge
from medanchor.interop.ots import MAX_BYTES, MAX_HEIGHT, MAX_OPERATIONS, parse_ots

VECTORS = Path(__file__).parents[1] / "vectors" / "proofs" / "v1"
FILES = sorted(VECTORS.glob("*.ots"))
VALID = [path.read_bytes() for path in FILES]
SAMPLE = 700

NEEDS_RIPEMD160 = pytest.mark.skipif("ripemd160" not in hashlib.algorithms_available, reason="OpenSSL has none")

modest = settings(deadline=None, max_examples=300)


def refused(data):
    with pytest.raises(MalformedProofError) as caught:
        parse_ots(data)
    assert caught.value.step is Step.FORMAT
    assert caught.value.hint
    return caught.value.message


def test_the_magic_is_the_library_s():
    assert MAGIC == DetachedTimestampFile.HEADER_MAGIC


def test_all_kinds_of_attestations_are_told_apart():
    lines = (
        pending("https://b.example"),
        pending("https://a.example"),
        append(b"1") + SHA256 + fork(bitcoin(8), bitcoin(7)),
        append(b"2") + SHA256 + fork(attest(LITECOIN, number(9)), pending("https://a.example")),
        append(b"3") + SHA256 + fork(attest(ETHEREUM, number(9)), attest(UNKNOWN, b"whatever")),
    )
    root = sha256(DIGEST + b"1")
    assert parse_ots(ots(fork(*lines))) == OtsFile(
        DIGEST,
        (BlockClaim(7, root), BlockClaim(8, root)),
        ("https://a.example", "https://b.example"),
        ("Ethereum", "Litecoin", "the unknown kind 00000000000000ff"),
    )


def test_every_sound_operation_is_run():
    way = prepend(b"<") + append(b">") + REVERSE + HEXLIFY + SHA256
    [claim] = parse_ots(ots(way + bitcoin(1))).blocks
    assert claim.merkle_root == hashlib.sha256((b"<" + DIGEST + b">")[::-1].hex().encode()).digest()


@pytest.mark.parametrize(
    ("name", "other"),
    [("Keccak-256", KECCAK256), pytest.param("RIPEMD-160", RIPEMD160, marks=NEEDS_RIPEMD160), ("SHA-1", SHA1)],
)
def test_a_way_through_another_hash_is_told_as_such(name, other):
    found = parse_ots(ots(fork(append(b"1") + SHA256 + bitcoin(5), append(b"2") + other + SHA256 + bitcoin(4))))
    assert [(claim.height, claim.hashes) for claim in found.blocks] == [(4, (name,)), (5, ())]


@NEEDS_RIPEMD160
def test_the_first_one_ever_leads_to_block_358391():
    """ "Hello World!", of 2015: put together from what stands in the blockchain; the way goes through RIPEMD-160."""
    [claim] = parse_ots(HELLO_WORLD).blocks
    root = "8a1b66ecb7cbd07d8139a7e7d7f2c41aab1f5009b8364aaf61d03ad245e47e00"
    assert (claim.height, display(claim.merkle_root), claim.hashes) == (358_391, root, ("RIPEMD-160",))


def test_a_hash_that_openssl_does_not_offer_is_no_damage(monkeypatch):
    def new(name, *_data):
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr("opentimestamps.core.op.hashlib.new", new)
    with pytest.raises(UsageError, match="a hash that this machine's OpenSSL does not offer"):
        parse_ots(HELLO_WORLD)


@pytest.mark.parametrize(("operation", "length"), [(SHA1, 20), (RIPEMD160, 20), (KECCAK256, 32)])
def test_another_digest_of_the_record_is_refused_and_named(operation, length):
    message = refused(ots(bitcoin(1), digest=bytes(length), operation=operation))
    assert message.startswith("expected the record's SHA-256 in the OpenTimestamps file, found its ")


DAMAGED = {
    "nothing": b"",
    "another-file": b'{"anchor":',
    "magic-alone": MAGIC,
    "magic-flipped": b"\x01" + ots(bitcoin(1))[1:],
    "no-operations": ots(),
    "version-2": ots(bitcoin(1), version=b"\x02"),
    "version-too-long-to-print": ots(bitcoin(1), version=b"\xff" * 20_000 + b"\x01"),
    "digest-cut": MAGIC + b"\x01\x08" + bytes(31),
    "trailing-byte": ots(bitcoin(1)) + b"\x00",
    "twice": ots(bitcoin(1)) * 2,
    "unknown-operation": ots(b"\x55" + bitcoin(1)),
    "append-of-nothing": ots(append(b"") + bitcoin(1)),
    "append-of-too-much": ots(append(b"x" * 4097) + bitcoin(1)),
    "result-too-long": ots(append(b"x" * 4096) + bitcoin(1)),
    "hexlify-too-long": ots(append(b"x" * 3000) + HEXLIFY + bitcoin(1)),
    "arguments-that-read-like-an-error": ots(append(b"unsupported hash type" * 190) + append(b"x" * 999) + bitcoin(1)),
    "length-without-end": ots(b"\xf0" + b"\xff" * 20_000),
    "attestation-payload-longer-than-told": ots(attest(BITCOIN, number(1) + b"\x00")),
    "attestation-payload-cut": ots(b"\x00" + BITCOIN + b"\x02\x01"),
    "attestation-payload-too-long": ots(attest(UNKNOWN, bytes(8193))),
    "height-without-end": ots(attest(BITCOIN, b"\xff")),
    "height-too-great": ots(bitcoin(MAX_HEIGHT + 1)),
    "height-too-long-to-print": ots(attest(BITCOIN, b"\xff" * 8191 + b"\x01")),
    "merkle-root-of-33-bytes": ots(append(b"x") + bitcoin(1)),
    "calendar-with-a-query": ots(pending("https://a.example/?name=x")),
    "calendar-with-an-escape": ots(attest(PENDING, text(b"\x1b[2Jhttps"))),
    "calendar-not-utf-8": ots(attest(PENDING, text(b"\xff\xfe"))),
    "calendar-too-long": ots(pending("a" * 1001)),
    "one-operation-too-many": ots(SHA256 * (MAX_OPERATIONS + 1) + bitcoin(1)),
    "thousands-of-operations": ots(SHA256 * 20_000 + bitcoin(1)),
    "fork-without-a-second-line": ots(b"\xff" + bitcoin(1)),
    "larger-than-allowed": ots(bitcoin(1)) + bytes(MAX_BYTES),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_malformed(name):
    refused(DAMAGED[name])


def test_the_reason_is_told():
    reasons = {name: refused(DAMAGED[name]).rpartition(": ")[2] for name in DAMAGED}
    assert reasons["another-file"] == "it does not begin as one"
    assert reasons["digest-cut"] == "it is cut short"
    assert reasons["trailing-byte"] == "bytes follow its end"
    assert reasons["one-operation-too-many"] == "it has more than 255 operations in one line"
    assert reasons["version-too-long-to-print"] == "it is damaged"


def test_the_greatest_height_and_the_longest_line_are_read():
    assert parse_ots(ots(SHA256 * MAX_OPERATIONS + bitcoin(MAX_HEIGHT))).blocks[0].height == MAX_HEIGHT


@pytest.mark.untraced
@pytest.mark.parametrize("data", VALID, ids=[path.stem for path in FILES])
def test_every_cut_is_malformed(data):
    for length in range(len(data)):
        refused(data[:length])


def known_to(name):
    """What a node that has the frozen proof's block says about it, and about any other height."""
    block = parse_proof((VECTORS / f"{name}.medproof").read_bytes()).anchor.block

    class Node(dict):
        def __missing__(self, height):
            header = block.header if height == block.height else None
            return Witness(TrustLevel.CONFIRMED, "a node", Network.REGTEST, block.height + 5, header)

    return Node(ready=True)


def flip(data, bit):
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def survivors(data, raw, known, bits):
    """The bits whose flip is called verified; any exception but a refusal is the test's failure."""
    found = []
    for bit in bits:
        try:
            judge(parse_ots(flip(data, bit)), raw, known)
        except (VerificationError, PendingError):
            continue
        found.append(bit)
    return found


DOUBLED = {"anchor-output-first.bin.ots": 8120, "block-of-six.bin.ots": 8968}
"""Makes "append" of a node that Bitcoin doubles, as the odd last one, a "prepend": the same bytes either way."""


@pytest.mark.untraced
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_flipped_bit_is_verified_but_one_that_changes_nothing(path):
    """All bits of one file, a sample of the others, the same at every run."""
    data, raw = path.read_bytes(), sha256((VECTORS / path.stem).read_bytes())
    known = known_to(path.stem)
    assert judge(parse_ots(data), raw, known).level is TrustLevel.CONFIRMED
    bits = range(8 * len(data))
    if "three-levels" not in path.name:
        bits = {*random.Random(path.name).sample(bits, SAMPLE), DOUBLED.get(path.name, 0)}  # noqa: S311 - a sample
    harmless = [DOUBLED[path.name]] if path.name in DOUBLED else []
    assert survivors(data, raw, known, bits) == harmless
    assert all(parse_ots(flip(data, bit)) == parse_ots(data) for bit in harmless)


def read_or_refused(data):
    try:
        found = parse_ots(data)
    except MalformedProofError:
        return
    assert all(0 <= claim.height <= MAX_HEIGHT and len(claim.merkle_root) == 32 for claim in found.blocks)
    assert all(name.isprintable() for name in (*found.calendars, *found.others))


@st.composite
def mutations(draw):
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        data[start:end] = draw(st.binary(max_size=9) | st.just(bytes(data[start:end]) * 2))
    return bytes(data)


@modest
@given(mutations())
def test_a_mutated_file_is_read_or_refused(data):
    read_or_refused(data)


@modest
@given(st.binary(max_size=300))
def test_any_bytes_after_the_head_are_read_or_refused(body):
    read_or_refused(ots(body))


ends = st.one_of(
    st.builds(bitcoin, st.integers(0, 1 << 40)),
    st.builds(pending, st.from_regex(r"[a-z:/.]{0,20}", fullmatch=True)),
    st.builds(attest, st.sampled_from([BITCOIN, LITECOIN, ETHEREUM, PENDING, UNKNOWN]), st.binary(max_size=12)),
)
steps = st.one_of(
    st.sampled_from([SHA256, SHA1, KECCAK256, REVERSE, HEXLIFY]),
    st.builds(append, st.binary(max_size=40)),
    st.builds(prepend, st.binary(max_size=40)),
)
trees = st.recursive(
    ends,
    lambda below: st.builds(lambda step, rest: step + rest, steps, below) | st.builds(fork, below, below),
    max_leaves=12,
)


@modest
@given(trees)
def test_any_tree_of_operations_is_read_or_refused(tree):
    read_or_refused(ots(tree))


def test_the_worst_file_stays_within_bounds():
    """Forks of long lines over the longest message: memory is what the bound on the size allows, and no more."""
    line = REVERSE * 250 + attest(UNKNOWN, b"")
    lines = [prepend(b"%03d" % index) + line for index in range(107)]
    data = ots(append(b"x" * 4060) + fork(*lines))
    assert MAX_BYTES - 1000 < len(data) <= MAX_BYTES
    script = (
        "import resource, sys; from medanchor.interop.ots import parse_ots; data = sys.stdin.buffer.read();"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = used();"
        "assert parse_ots(data).others; print(used() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True, timeout=60)
    assert int(done.stdout) * 1024 < 4_500 * MAX_BYTES


def test_reading_warns_of_nothing():
    for action in ("error", "always"):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter(action)
            parse_ots(ots(REVERSE + SHA256 + bitcoin(1)))
        assert told == []


def test_nothing_is_imported_that_opens_a_connection():
    script = "import sys, medanchor.interop.ots; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert "opentimestamps.core.timestamp" in loaded
    assert not loaded & {"opentimestamps.calendar", "urllib.request", "http.client", "socket", "ssl", "git"}
