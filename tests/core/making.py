"""Honest things made from scratch for the tests of the core: keys, transactions, mined regtest blocks, whole proofs.

Also the hypothesis strategies that several files share. Nothing here is a test.
"""

import json
import struct
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st

from medanchor.core.commitment import COMPONENTS, Record, TreeHead, anchor_script, payload
from medanchor.core.encoding import MAX_NUMBER, canonical_json
from medanchor.core.hashes import Hash, sha256, sha256d
from medanchor.core.header import Network
from medanchor.core.merkle import MAX_PATH, inclusion_path, leaf_hash, nodes_of, root_of
from medanchor.core.proof import Anchor, Block, Branch, Coinbase, Position, Proof
from medanchor.core.statement import FOLLOWS, MEANINGS, REASONS, Follows, Statement, sign_statement
from medanchor.errors import VerificationError

VECTORS = Path(__file__).parents[1] / "vectors" / "proofs" / "v1"
NAMES = (
    "anchor-output-first",
    "block-of-six",
    "empty-record",
    "last-of-1000",
    "one-record-one-entry",
    "three-levels",
)

modest = settings(deadline=None, max_examples=150)
"""Enough to meet the shapes of the grammar, not so much that anybody stops running the suite."""

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = PRIVATE.public_key().public_bytes_raw()
ORIGIN = "records.hospital.example/ward-7"
TIME = "2026-11-21T18:04:05Z"
EASY = 0x207FFFFF


def attempt(act, *steps):
    """What `act` returns, or None if it refuses at one of `steps`; any other exception fails the test."""
    try:
        return act()
    except VerificationError as error:
        if error.step not in steps:
            raise
        return None


def proof_bytes(name):
    return (VECTORS / f"{name}.bin.medproof").read_bytes()


def pending_bytes():
    return (VECTORS / "three-levels.bin.pending.medproof").read_bytes()


def record_digest(name):
    return sha256((VECTORS / f"{name}.bin").read_bytes())


def changed_member(data, path, value):
    """The proof with one member replaced, canonically written again; `...` takes the member out."""
    tree = json.loads(data)
    *parents, last = path.split(".")
    inner = tree
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return canonical_json(tree) + b"\n"


# -- transactions and blocks ----------------------------------------------------------------------------------------


def from_display(text):
    """The hash that people and explorers write as `text`, reversed."""
    return Hash(bytes.fromhex(text)[::-1])


def compact(number):
    if number < 0xFD:
        return bytes([number])
    return b"\xfd" + struct.pack("<H", number) if number <= 0xFFFF else b"\xfe" + struct.pack("<I", number)


def transaction(scripts, *, script_sig=b"", previous=bytes(32), position=0, lock_time=0):
    """A transaction of one input and an output per script."""
    outputs = b"".join(struct.pack("<q", 1000) + compact(len(script)) + script for script in scripts)
    source = previous + struct.pack("<I", position) + compact(len(script_sig)) + script_sig + b"\xff" * 4
    head = struct.pack("<i", 2) + b"\x01" + source
    return head + compact(len(scripts)) + outputs + struct.pack("<I", lock_time)


def coinbase(script_sig, *, pad=b"\x51" * 20):
    return transaction([pad], script_sig=script_sig, position=0xFFFFFFFF)


def height_push(height):
    """BIP 34's encoding, as Bitcoin Core pushes a number: OP_0, OP_1 to OP_16, or a script number."""
    if height == 0:
        return b"\x00"
    if height <= 16:
        return bytes([0x50 + height])
    data = height.to_bytes(height.bit_length() // 8 + 1, "little")  # a bit more than it has: the sign
    return bytes([len(data)]) + data


def block_root(txids):
    """Bitcoin's tree, the textbook way: an odd last node is doubled."""
    while len(txids) > 1:
        txids = [*txids, txids[-1]] if len(txids) % 2 else txids
        txids = [sha256d(txids[at] + txids[at + 1]) for at in range(0, len(txids), 2)]
    return txids[0]


def block_branch(txids, index):
    path = []
    while len(txids) > 1:
        txids = [*txids, txids[-1]] if len(txids) % 2 else txids
        path.append(txids[index ^ 1])
        txids, index = [sha256d(txids[at] + txids[at + 1]) for at in range(0, len(txids), 2)], index >> 1
    return tuple(path)


def header_bytes(previous, root, *, bits=EASY, nonce=0, time=1_795_284_245):
    return struct.pack("<i", 4) + previous + root + struct.pack("<III", time, bits, nonce)


def mine(previous, root, *, bits=EASY):
    """The first header that has its work: on regtest every second nonce does."""
    target = (bits & 0x7FFFFF) << 8 * ((bits >> 24) - 3)
    nonce = 0
    while int.from_bytes(sha256d(header_bytes(previous, root, bits=bits, nonce=nonce)), "little") > target:
        nonce += 1
    return header_bytes(previous, root, bits=bits, nonce=nonce)


# -- anchors and proofs -----------------------------------------------------------------------------------------------


def make_anchor(head, *, height=133, others=0, successors=2, script_sig=None, scripts=None):
    """An anchor of `head` in a regtest block of `others` more transactions, with everything honest by default."""
    first = coinbase(height_push(height) + b"\x00" if script_sig is None else script_sig)
    anchoring = transaction([anchor_script(payload(head))] if scripts is None else scripts, previous=b"\x07" * 32)
    return in_block(first, anchoring, height=height, others=others, successors=successors)


def in_block(first, anchoring, *, height=133, others=0, successors=2):
    """The anchor whose transaction is `anchoring`, in a block that begins with `first`."""
    filling = [sha256d(b"other %d" % number) for number in range(others)]
    txids = [sha256d(first), *filling, sha256d(anchoring)]
    headers = [mine(bytes(32), block_root(txids))]
    for number in range(successors):
        headers.append(mine(sha256d(headers[-1]), sha256(b"block %d" % number)))
    return Anchor(
        block=Block(headers[0], height, tuple(headers[1:])),
        branch=Branch(len(txids) - 1, block_branch(txids, len(txids) - 1)),
        coinbase=Coinbase(block_branch(txids, 0), first),
        network=Network.REGTEST,
        transaction=anchoring,
    )


def make_statement(root, records=3, **overrides):
    fields = {"time": TIME, "ledger": ORIGIN, "meaning": "authorship", **overrides}
    return Statement(root=root, records=records, **fields)


def position_of(entries, index):
    leaves = [leaf_hash(entry) for entry in entries]
    return Position(index, len(leaves), tuple(inclusion_path(nodes_of(leaves), index, len(leaves))))


def make_proof(raw=sha256(b"a record"), *, bundle=3, ledger=4, **anchoring):  # noqa: B008 - a hash is immutable
    """A proof that passes every step: record 1 of a bundle of `bundle`, entry 2 of a ledger of `ledger`."""
    record = Record(0, b"salt of 16 bytes", raw)
    entries = [b"neighbour %d" % number for number in range(bundle)]
    entries[1] = record.entry()
    root = root_of([leaf_hash(entry) for entry in entries])
    envelope = sign_statement(make_statement(root, bundle), KEY, PRIVATE.sign)
    return around(record, position_of(entries, 1), envelope, ledger=ledger, **anchoring)


def around(record, position, envelope, *, ledger=4, origin=ORIGIN, **anchoring):
    """The rest of a proof, honestly made around an envelope that may be anything."""
    log = [b"entry %d" % number for number in range(ledger)]
    log[2] = envelope
    head = TreeHead(origin, ledger, root_of([leaf_hash(entry) for entry in log]))
    anchor = make_anchor(head, **anchoring)
    return Proof(record, position, envelope, KEY, origin, position_of(log, 2), anchor)


# -- strategies -------------------------------------------------------------------------------------------------------

hashes = st.binary(min_size=32, max_size=32).map(Hash)
paths = st.lists(hashes, max_size=4).map(tuple) | st.just((Hash(b"\x09" * 32),) * MAX_PATH)
numbers = st.integers(0, MAX_NUMBER) | st.sampled_from([0, 1, MAX_NUMBER])
headers = st.binary(min_size=80, max_size=80)
positions = st.builds(Position, numbers, numbers, paths)
anchors = st.builds(
    Anchor,
    block=st.builds(Block, headers, numbers, st.lists(headers, max_size=3).map(tuple)),
    branch=st.builds(Branch, numbers, paths),
    coinbase=st.builds(Coinbase, paths, st.binary(max_size=99)),
    network=st.sampled_from(Network),
    transaction=st.binary(max_size=99),
)
records = st.sampled_from(sorted(COMPONENTS)).flatmap(
    lambda kind: st.builds(
        Record,
        st.just(kind),
        st.binary(min_size=16, max_size=16),
        hashes,
        st.lists(hashes, min_size=len(COMPONENTS[kind]), max_size=len(COMPONENTS[kind])).map(tuple),
    )
)
origins = st.from_regex(r"[A-Za-z0-9._~/-]{1,255}", fullmatch=True)
any_statements = st.builds(
    Statement,
    root=hashes,
    records=numbers,
    time=st.datetimes().map(lambda time: f"{time.isoformat(timespec='seconds')}Z"),
    ledger=origins,
    meaning=st.sampled_from(MEANINGS),
    follows=st.lists(st.builds(Follows, numbers, st.sampled_from(FOLLOWS), st.sampled_from(REASONS)), max_size=3).map(
        tuple
    ),
)
envelopes = st.builds(
    lambda statement, key, signature: sign_statement(statement, key, lambda _: signature),
    any_statements,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=64, max_size=64),
)
proofs = st.builds(
    Proof,
    record=records,
    bundle=positions,
    envelope=envelopes,
    key=st.binary(min_size=32, max_size=32),
    origin=origins,
    ledger=positions,
    anchor=st.none() | anchors,
)

_TOKENS = (
    *b'{ } [ ] , : " \\ null true -0 -1 1.0 1e2 NaN Infinity 9223372036854775808 0'.split(),
    *(rb"\ud800", rb"\u0000", b"\n", b"\xff", b"\xef\xbb\xbf"),
)


@st.composite
def mutations(draw, valid):
    """One of the `valid` byte strings after one to four cuts, insertions, repetitions or flips."""
    data = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        middle = draw(
            st.sampled_from([b"", bytes(data[start:end]) * 2, *_TOKENS])
            | st.binary(max_size=3)
            | st.integers(0, 7).map(lambda bit: bytes(byte ^ 1 << bit for byte in data[start : start + 1]))  # noqa: B023
        )
        data[start:end] = middle
    return bytes(data)
