"""Transactions: one reading only, the anchor found by its script, BIP 34's height."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import attempt, coinbase, compact, hashes, height_push, modest, mutations, transaction

from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import display
from medanchor.core.transaction import anchored_payload, coinbase_height, parse_transaction, strip_witness, txid
from medanchor.errors import Step, VerificationError

PAYLOAD = b"MDA1" + bytes(range(32))
ANCHOR = anchor_script(PAYLOAD)
CHANGE = b"\x00\x20" + b"\x0c" * 32
HONEST = transaction([CHANGE, ANCHOR])
SATOSHI = bytes.fromhex(
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d"
    "65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f7220"
    "62616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f"
    "4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
)


def refused(raw, message, *, act=parse_transaction):
    with pytest.raises(VerificationError, match=message) as caught:
        act(raw)
    return caught.value.step


def with_witness(raw):
    """BIP 144: marker, flag, and one empty-ish witness stack for the one input."""
    return raw[:4] + b"\x00\x01" + raw[4:-4] + b"\x01\x01\x07" + raw[-4:]


def test_satoshis_coinbase():
    assert display(txid(SATOSHI)) == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert parse_transaction(SATOSHI).serialize() == SATOSHI
    assert coinbase_height(SATOSHI) == 0x1D00FFFF  # before BIP 34 its nBits stand there: no height of its chain


@pytest.mark.parametrize(
    "raw",
    [
        with_witness(HONEST),
        HONEST[:4] + b"\x00\x01" + HONEST[4:-4] + b"\x00" + HONEST[-4:],  # the same, of nothing: superfluous
        HONEST[:4] + b"\xfd\x01\x00" + HONEST[5:],  # a count in three bytes where one does
    ],
    ids=["witness", "empty-witness", "long-count"],
)
def test_a_transaction_has_one_spelling(raw):
    assert refused(raw, "expected a transaction in canonical form, without witness") is Step.TRANSACTION


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x01", HONEST[:-1], HONEST + b"\x00", HONEST + HONEST, bytes(65), b"\xff" * 99,
        HONEST[:4] + b"\xff" + b"\xff" * 8 + HONEST[5:],  # 2**64 - 1 inputs
        HONEST[:41] + b"\xfe\xff\xff\xff\xff" + HONEST[42:],  # a script of 4 GiB
    ],
    ids=["empty", "one-byte", "cut", "one-more", "twice", "zeros", "ones", "inputs", "script"],
)  # fmt: skip
def test_what_is_no_transaction_is_refused(raw):
    assert refused(raw, "the transaction c|expected a transaction") is Step.TRANSACTION


def test_a_transaction_of_64_bytes_is_a_node_in_disguise():
    """The least is 60 bytes: these differ in their output's script only."""
    for length in range(4):
        raw = transaction([b"\x51" * length])
        assert len(raw) == 60 + length
        assert refused(raw, f"expected a transaction of more than 64 bytes, found {60 + length}") is Step.TRANSACTION
    assert len(transaction([b"\x51" * 4])) == 64
    assert refused(transaction([b"\x51" * 4]), "more than 64 bytes, found 64") is Step.TRANSACTION
    assert parse_transaction(transaction([b"\x51" * 5])).vout


def test_a_witness_is_taken_off_and_the_txid_stays():
    for raw in (HONEST, SATOSHI, coinbase(height_push(500))):
        assert strip_witness(with_witness(raw)) == strip_witness(raw) == raw
    for raw in (b"", HONEST[:-1], with_witness(HONEST)[:-1], with_witness(HONEST) + b"\x00"):
        assert refused(raw, "the transaction cannot be read", act=strip_witness) is Step.TRANSACTION


@given(st.binary(max_size=200) | mutations([HONEST, SATOSHI, with_witness(HONEST), coinbase(b"\x01\x7b")]))
@modest
def test_any_bytes_are_refused_or_mean_one_thing(raw):
    attempt(lambda: anchored_payload(raw), Step.COMMITMENT, Step.TRANSACTION)
    attempt(lambda: coinbase_height(raw), Step.TRANSACTION)
    attempt(lambda: strip_witness(raw), Step.TRANSACTION)
    read = attempt(lambda: parse_transaction(raw), Step.TRANSACTION)
    assert read is None or (read.serialize() == raw and len(raw) > 64)


@pytest.mark.parametrize("scripts", [[ANCHOR], [ANCHOR, CHANGE], [CHANGE, ANCHOR], [CHANGE, ANCHOR, CHANGE, b""]])
def test_the_anchor_is_found_wherever_it_stands(scripts):
    assert anchored_payload(transaction(scripts)) == PAYLOAD


@pytest.mark.parametrize(
    "scripts",
    [
        [CHANGE],
        [CHANGE + ANCHOR],  # not at the script's beginning
        [ANCHOR + b"\x00"],
        [ANCHOR[:-1]],
        [b"\x6a\x4c\x24" + PAYLOAD],  # OP_PUSHDATA1 pushes the same bytes, spelled otherwise
        [b"\x6a\x24" + b"MDA2" + PAYLOAD[4:]],
        [b"\x6a\x24" + b"mda1" + PAYLOAD[4:]],
        [b"\x6b\x24" + PAYLOAD],
        [b"\x6a\x25" + PAYLOAD],
    ],
)
def test_nothing_like_the_anchors_script_is_one(scripts):
    step = refused(transaction([*scripts, CHANGE]), "expected exactly one anchor output, found 0", act=anchored_payload)
    assert step is Step.COMMITMENT


@given(hashes)
@modest
def test_two_anchors_could_commit_to_two_ledgers(other):
    raw = transaction([ANCHOR, CHANGE, anchor_script(b"MDA1" + other)])
    assert refused(raw, "expected exactly one anchor output, found 2", act=anchored_payload) is Step.COMMITMENT


def test_an_anchor_in_an_input_is_none():
    raw = transaction([CHANGE], script_sig=ANCHOR)
    assert refused(raw, "found 0", act=anchored_payload) is Step.COMMITMENT


HEIGHTS = {
    0: "00", 1: "51", 16: "60", 17: "0111", 127: "017f", 128: "028000", 255: "02ff00", 256: "020001", 32767: "02ff7f",
    32768: "03008000", 227931: "035b7a03", 840000: "0340d10c", 8388607: "03ffff7f", 8388608: "0400008000",
    (1 << 31) - 1: "04ffffff7f",
}  # fmt: skip


@pytest.mark.parametrize(("height", "spelled"), HEIGHTS.items())
def test_heights_are_bip_34s(height, spelled):
    assert height_push(height).hex() == spelled  # the tests' own maker of blocks agrees with the table
    script = bytes.fromhex(spelled)
    assert coinbase_height(coinbase(script)) == height
    assert coinbase_height(coinbase(script + b"\x04more")) == height


@given(st.integers(0, (1 << 31) - 1))
@modest
def test_every_height_comes_back(height):
    assert coinbase_height(coinbase(height_push(height) + b"\x51")) == height


NO_HEIGHTS = {
    "nothing": "",
    "one-byte-zero": "0100",
    "one-in-a-byte": "0101",
    "sixteen-in-a-byte": "0110",
    "seventeen-in-two-bytes": "021100",
    "minus-zero": "0180",
    "minus-one": "4f",
    "minus-one-in-a-byte": "0181",
    "negative": "02ff80",
    "pushdata1": "4c0111",
    "pushdata2": "4d010011",
    "pushdata4": "4e0100000011",
    "cut": "03ff",
    "cut-pushdata1": "4c",
    "cut-pushdata2": "4d01",
    "cut-pushdata4": "4e010000",
    "op-dup": "76",
    "op-return": "6a",
    "op-checksig": "ac",
    "reserved": "50",
    "unknown-opcode": "ff",
    "height-second": "7651",
    "nine-bytes": "09" + "01" * 9,
    "seventy-five-bytes": "4b" + "01" * 75,
    "too-long-to-print": "4dd007" + "01" * 2000,
}


@pytest.mark.parametrize("script", NO_HEIGHTS.values(), ids=NO_HEIGHTS)
def test_what_is_not_a_height_in_its_shortest_form_is_none(script):
    step = refused(coinbase(bytes.fromhex(script)), r"does not begin with a height \(BIP 34\)", act=coinbase_height)
    assert step is Step.TRANSACTION


@pytest.mark.parametrize(
    "raw",
    [
        transaction([CHANGE], script_sig=height_push(500), position=0),
        transaction([CHANGE], script_sig=height_push(500), position=0xFFFFFFFE),
        transaction([CHANGE], script_sig=height_push(500), previous=b"\x01" + bytes(31), position=0xFFFFFFFF),
    ],
)
def test_only_a_coinbase_names_a_height(raw):
    assert refused(raw, "first transaction to be a coinbase", act=coinbase_height) is Step.TRANSACTION


def test_a_coinbase_has_one_input():
    raw = coinbase(height_push(500))
    source = raw[5 : 5 + 32 + 4 + 1 + 3 + 4]
    two = raw[:4] + compact(2) + source + raw[5:]
    assert refused(two, "first transaction to be a coinbase", act=coinbase_height) is Step.TRANSACTION


@pytest.mark.parametrize("outputs", [0, 2, 3])
def test_a_transaction_without_inputs_is_none(outputs):
    """Bitcoin Core takes the empty input list for BIP 144's marker, and what follows for its flag: two readings."""
    listed = compact(outputs) + b"".join(bytes(8) + compact(len(ANCHOR)) + ANCHOR for _ in range(outputs))
    raw = b"\x02\x00\x00\x00" + compact(0) + listed + bytes(4)
    for act in (parse_transaction, anchored_payload, coinbase_height):
        assert refused(raw, "expected a transaction in canonical form", act=act) is Step.TRANSACTION
