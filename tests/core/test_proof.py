"""The proof file: one spelling, every limit, and no input that raises anything but a refusal."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import (
    KEY,
    NAMES,
    PRIVATE,
    anchors,
    attempt,
    changed_member,
    make_proof,
    make_statement,
    modest,
    mutations,
    pending_bytes,
    proof_bytes,
    proofs,
)

from medanchor.core.encoding import canonical_json
from medanchor.core.proof import (
    MAX_BYTES,
    MAX_TRANSACTION,
    parse_anchor,
    parse_proof,
    serialise_anchor,
    serialise_proof,
)
from medanchor.core.statement import Follows, sign_statement
from medanchor.errors import MalformedProofError, Step

PROOF = make_proof()
DATA = serialise_proof(PROOF)
PENDING = serialise_proof(dataclasses.replace(PROOF, anchor=None))
VALID = [DATA, PENDING, *(proof_bytes(name) for name in NAMES), pending_bytes()]


def refused(data, message="", *, parse=parse_proof):
    with pytest.raises(MalformedProofError) as caught:
        parse(data)
    assert message in caught.value.message
    assert caught.value.step is Step.FORMAT
    return caught.value


def changed(path, value):
    return changed_member(DATA, path, value)


def test_changing_nothing_changes_nothing():
    assert changed("version", 1) == DATA
    assert parse_proof(DATA) == PROOF


@given(proofs)
@modest
def test_any_proof_comes_back(proof):
    data = serialise_proof(proof)
    assert parse_proof(data) == proof
    assert data == canonical_json(json.loads(data)) + b"\n"


@given(anchors)
@modest
def test_any_anchor_comes_back(anchor):
    data = serialise_anchor(anchor)
    assert parse_anchor(data) == anchor
    assert data == canonical_json(json.loads(data))


@given(st.binary(max_size=60) | mutations(VALID))
@modest
def test_any_bytes_are_refused_or_are_the_one_spelling(data):
    proof = attempt(lambda: parse_proof(data), Step.FORMAT)
    assert proof is None or serialise_proof(proof) == data


@given(st.binary(max_size=60) | mutations([serialise_anchor(PROOF.anchor)]))
@modest
def test_any_bytes_are_no_anchor_or_its_one_spelling(data):
    anchor = attempt(lambda: parse_anchor(data), Step.FORMAT)
    assert anchor is None or serialise_anchor(anchor) == data


def test_an_anchor_spelled_otherwise_is_refused():
    data = serialise_anchor(PROOF.anchor)
    for other in (data + b"\n", b" " + data, data.replace(b":", b": ", 1)):
        refused(other, "the anchor is not written in its one canonical form", parse=parse_anchor)
    for other in (b"", data[:-1], b"\xff", b"[" * 100_000, b"1" * 5000):
        refused(other, "this is not an anchor", parse=parse_anchor)


SPELLINGS = {
    "newline-missing": DATA[:-1],
    "two-newlines": DATA + b"\n",
    "carriage-return": DATA[:-1] + b"\r\n",
    "space-before": b" " + DATA,
    "space-after-colon": DATA.replace(b":", b": ", 1),
    "space-after-comma": DATA.replace(b",", b", ", 1),
    "escaped-letter": DATA.replace(b'"bundle"', b'"\\u0062undle"'),
    "escaped-slash": DATA.replace(b"/ward", b"\\/ward"),
    "member-twice": DATA.replace(b'"version":1', b'"version":1,"version":1'),
    "inner-member-twice": DATA.replace(b'"height":133', b'"height":134,"height":133'),
    "member-not-sorted": b'{"version":1,' + DATA[1:].replace(b',"version":1', b""),
    "minus-zero": DATA.replace(b'"kind":0', b'"kind":-0'),
    "escaped-letter-in-the-origin": DATA.replace(b"ward", b"w\\u0061rd"),
}


@pytest.mark.parametrize("data", SPELLINGS.values(), ids=SPELLINGS)
def test_a_proof_spelled_otherwise_is_refused(data):
    refused(data, "the proof is not written in its one canonical form")


NO_JSON = {
    "empty": b"",
    "nothing-but-a-newline": b"\n",
    "cut": DATA[:-2],
    "half": DATA[: len(DATA) // 2],
    "more-after": DATA + b"{}",
    "byte-order-mark": b"\xef\xbb\xbf" + DATA,
    "utf-16": DATA.decode().encode("utf-16"),
    "not-ascii": DATA.replace(b"hospital", "höpital".encode()),
    "latin-1": DATA.replace(b"hospital", "höpital".encode("latin-1")),
    "control-character": DATA.replace(b"hospital", b"hos\x01ital"),
    "zero-before": DATA.replace(b'"version":1', b'"version":01'),
    "plus": DATA.replace(b'"version":1', b'"version":+1'),
    "hexadecimal": DATA.replace(b'"version":1', b'"version":0x1'),
    "too-many-digits": DATA.replace(b'"version":1', b'"version":' + b"1" * 5000),
    "comma-at-the-end": DATA.replace(b"}\n", b",}\n"),
    "single-quotes": DATA.replace(b'"', b"'"),
    "comment": DATA.replace(b"{", b"{/**/", 1),
    "not-a-proof": b"%PDF-1.7\n",
}


@pytest.mark.parametrize("data", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_refused(data):
    assert "ask for it again" in refused(data, "this is not a proof").hint


@pytest.mark.parametrize("data", [b"null\n", b"[]\n", b'"proof"\n', b"1\n", b"NaN\n", b"-0\n", b"true\n"])
def test_what_is_no_object_is_refused(data):
    refused(data, "expected a JSON object")


def test_one_byte_above_the_limit_of_size():
    refused(bytes(MAX_BYTES + 1), f"expected at most {MAX_BYTES} bytes, found {MAX_BYTES + 1}")
    assert MAX_BYTES == 1 << 20
    assert serialise_proof(parse_proof(proof_of_size(MAX_BYTES))) == proof_of_size(MAX_BYTES)
    refused(proof_of_size(MAX_BYTES + 1), f"expected at most {MAX_BYTES} bytes, found {MAX_BYTES + 1}")


def proof_of_size(size):
    """A well-formed proof of exactly `size` bytes, about 1 MiB, in which nothing is beyond its own limit."""
    follows = (Follows(0, "retraction", "administrative"),) * 4_000
    envelope = sign_statement(make_statement(PROOF.record.raw, follows=follows), KEY, PRIVATE.sign)
    block = dataclasses.replace(PROOF.anchor.block, successors=(bytes(80),) * 2_016)
    coinbase = dataclasses.replace(PROOF.anchor.coinbase, transaction=bytes(MAX_TRANSACTION))
    anchor = dataclasses.replace(PROOF.anchor, block=block, coinbase=coinbase, transaction=b"")
    proof = dataclasses.replace(PROOF, envelope=envelope, origin="a", anchor=anchor)
    missing = size - len(serialise_proof(proof))
    anchor = dataclasses.replace(anchor, transaction=bytes(missing // 2))
    data = serialise_proof(dataclasses.replace(proof, origin="a" * (1 + missing % 2), anchor=anchor))
    assert len(data) == size
    return data


@pytest.mark.parametrize(
    "bomb",
    [b"[" * 9, b'{"a":' * 9, b"[" * 500_000, b'{"a":' * 200_000, b"[" * 9 + b"]" * 9, b'{"a":[' * 5 + b"]}" * 5],
    ids=["lists", "objects", "deep-lists", "deep-objects", "closed", "mixed"],
)
def test_nine_levels_are_refused_before_anything_is_decoded(bomb, monkeypatch):
    monkeypatch.setattr(json, "loads", None)
    refused(bomb, "expected at most 8 levels of nesting")


def test_eight_levels_are_let_through_to_be_refused_for_what_they_are():
    refused(b"[" * 8 + b"]" * 8, "expected a JSON object")
    refused(b"[]" * 100, "this is not a proof")


def test_closing_brackets_in_a_string_buy_no_depth(monkeypatch):
    monkeypatch.setattr(json, "loads", None)
    bomb = b'{"a":"' + b"]" * 100_000 + b'","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    refused(bomb, "expected at most 8 levels of nesting")


LONGEST = {
    "bundle.path": (64, "00" * 32),
    "ledger.path": (64, "00" * 32),
    "anchor.branch.path": (64, "00" * 32),
    "anchor.coinbase.path": (64, "00" * 32),
    "record.components": (64, "00" * 32),
    "anchor.block.successors": (2016, "00" * 80),
}


@pytest.mark.parametrize(("path", "most", "item"), [(path, *rest) for path, rest in LONGEST.items()])
def test_one_item_above_the_limit_of_a_list(path, most, item):
    refused(changed(path, [item] * (most + 1)), f"expected a list of at most {most}")
    if path == "record.components":
        refused(changed(path, [item] * most), f"expected 0 components for kind 0, found {most}")
    else:
        parse_proof(changed(path, [item] * most))
    refused(changed(path, {}), "expected a list")
    refused(changed(path, item), "expected a list")
    refused(changed(path, [item[2:]]), "bytes in hex")
    refused(changed(path, [item + "00"]), "bytes in hex")
    refused(changed(path, [None]), "hex")


@pytest.mark.parametrize("path", ["anchor.transaction", "anchor.coinbase.transaction"])
def test_one_byte_above_the_limit_of_a_transaction(path):
    assert MAX_TRANSACTION == 100_000
    parse_proof(changed(path, "00" * MAX_TRANSACTION))
    refused(changed(path, "00" * (MAX_TRANSACTION + 1)), "expected a transaction of at most 100000 bytes")
    refused(changed(path, "0"), "expected lower-case hex")
    refused(changed(path, 0), "expected a string")
