"""The proof file: one spelling, every limit, and no input that raises anything but a refusal."""

import base64
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import (KEY, NAMES, anchors, attempt, make_proof, modest, mutations, pending_bytes, proof_bytes, proofs)

from medanchor.core.header import Network
from medanchor.core.proof import (
    MAX_BYTES,
    MAX_SUCCESSORS,
    MAX_TRANSACTION,
    canonical_json,
    from_base64,
    members,
    number,
    parse_anchor,
    parse_proof,
    serialise_anchor,
    serialise_proof,
    text,
)
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


def changed(path, value, *, data=DATA):
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
    "upper-case-escape": serialise_proof(dataclasses.replace(PROOF, origin="é")).replace(b"\\u00e9", b"\\u00E9"),
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
    room = MAX_BYTES - len(serialise_proof(dataclasses.replace(PROOF, origin="")))
    widest = serialise_proof(dataclasses.replace(PROOF, origin="a" * room))
    assert len(widest) == MAX_BYTES == 1 << 20
    assert parse_proof(widest).origin == "a" * room
    refused(serialise_proof(dataclasses.replace(PROOF, origin="a" * (room + 1))), "expected at most")


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


def test_closing_brackets_in_a_string_do_not_buy_depth_that_leaks():
    refused(b'{"a":"' + b"]" * 100_000 + b'","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "this is not a proof")


LONGEST = {
    "bundle.path": (64, "00" * 32),
    "ledger.path": (64, "00" * 32),
    "anchor.branch.path": (64, "00" * 32),
    "anchor.coinbase.path": (64, "00" * 32),
    "record.components": (64, "00" * 32),
    "anchor.block.successors": (MAX_SUCCESSORS, "00" * 80),
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
    refused(changed(path, [item[2:]]), "bytes in hex, found")
    refused(changed(path, [item + "00"]), "bytes in hex, found")
    refused(changed(path, [None]), "expected lower-case hex")


@pytest.mark.parametrize("path", ["anchor.transaction", "anchor.coinbase.transaction"])
def test_one_byte_above_the_limit_of_a_transaction(path):
    assert MAX_TRANSACTION == 100_000
    parse_proof(changed(path, "00" * MAX_TRANSACTION))
    refused(changed(path, "00" * (MAX_TRANSACTION + 1)), "expected a transaction of at most 100000 bytes")
    refused(changed(path, "0"), "expected lower-case hex")
    refused(changed(path, 0), "expected a string")


NUMBERS = [
    "anchor.block.height", "anchor.branch.index", "bundle.index", "bundle.size", "ledger.index", "ledger.size",
    "record.kind", "version",
]  # fmt: skip
NO_NUMBERS = [
    True, False, 1.0, 0.0, -0.0, -1, 1 << 63, 10**400, 1e400, float("nan"), "1", None, [], [1], {},
]  # fmt: skip


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_is_a_whole_one_to_63_bits(path, value):
    refused(changed(path, value), "expected a whole number from 0 to 2^63 - 1")


@pytest.mark.parametrize("path", sorted(set(NUMBERS) - {"record.kind", "version"}))
def test_the_largest_number_comes_back(path):
    data = changed(path, (1 << 63) - 1)
    assert serialise_proof(parse_proof(data)) == data


@pytest.mark.parametrize("version", [0, 2, (1 << 63) - 1])
def test_another_version_says_what_to_do(version):
    assert "newer medanchor" in refused(changed("version", version), f"expected proof version 1, found {version}").hint


OBJECTS = ["", "anchor", "anchor.block", "anchor.branch", "anchor.coinbase", "bundle", "ledger", "record", "signer"]


@pytest.mark.parametrize("path", OBJECTS)
def test_an_object_has_its_members_and_no_others(path):
    tree = json.loads(DATA)
    for name in filter(None, path.split(".")):
        tree = tree[name]
    lead = f"{path}." if path else ""
    refused(changed(f"{lead}algorithm", "sha256"), "expected the members")
    refused(changed(f"{lead}\ud800", 1), "expected the members")
    for name in set(tree) - {"anchor"}:
        refused(changed(lead + name, ...), "expected the members")
    for value in [None, [], "", 1, True] if path else []:
        refused(changed(path, value), "expected a JSON object")


def test_an_empty_object_is_named_as_such():
    refused(b"{}\n", "found none")


HEX = {"record.raw": 32, "record.salt": 16, "anchor.block.header": 80}
SPELLED = ["", "0", "zz", "0G", " 00", None, 0, [], "\ud800", "é", "０"]


@pytest.mark.parametrize(("path", "length"), HEX.items())
def test_hex_of_its_length_in_lower_case(path, length):
    for value in SPELLED:
        refused(changed(path, value))
    for wrong in ("ab" * (length - 1), "ab" * (length + 1), "AB" * length, " " + "ab" * length, "ab" * length + "\n"):
        refused(changed(path, wrong))
    parse_proof(changed(path, "ab" * length))


KEY_TEXT = base64.b64encode(KEY).decode()
NO_KEYS = [
    KEY_TEXT[:-1], KEY_TEXT + "=", KEY_TEXT.replace("=", "A="), f"{KEY_TEXT}\n", f" {KEY_TEXT}", KEY_TEXT[:-2] + "9=",
    base64.b64encode(KEY[:31]).decode(), base64.b64encode(KEY + KEY).decode(), "", "é", "\ud800", "A", None, 0, [KEY_TEXT],
    "-" * 43 + "=", "____" * 10 + "___=",
]  # fmt: skip


@pytest.mark.parametrize("value", NO_KEYS, ids=repr)
def test_base64_that_re_encodes_to_itself(value):
    refused(changed("signer.key", value))


@given(st.binary(max_size=80))
@modest
def test_base64_comes_back(data):
    text_of = base64.b64encode(data).decode()
    assert from_base64(text_of) == from_base64(text_of, length=len(data)) == data


@given(st.text(max_size=9) | st.text("AQgwz019+/=-_\n ", max_size=9))
@modest
def test_any_text_is_refused_or_is_base64(value):
    data = attempt(lambda: from_base64(value), Step.FORMAT)
    assert data is None or base64.b64encode(data).decode() == value


@pytest.mark.parametrize("name", ["Mainnet", "testnet", "", "bitcoin", None, 0, ["mainnet"], "regtest ", "\ud800"])
def test_a_network_is_one_of_five(name):
    refused(changed("anchor.network", name))
    for network in Network:
        assert parse_proof(changed("anchor.network", network.value)).anchor.network is network


@pytest.mark.parametrize("kind", [5, 255, 256])
def test_an_unknown_kind_is_refused(kind):
    refused(changed("record.kind", kind), "expected a record kind from 0 to 4")


@pytest.mark.parametrize("origin", ["\ud800", "\udfff\ud800", "\U0001f600", "é", "\x00", '"\\', "\x7f", "\u2028", ""])
def test_any_origin_comes_back_as_it_is_spelled(origin):
    """Whether it is an origin at all is the statement's business: it must name the same (step 4)."""
    data = changed("ledger.origin", origin)
    assert serialise_proof(parse_proof(data)) == data


def test_the_small_readers_refuse_by_themselves():
    assert (number(0), text("a"), members({"a": 1}, "a")) == (0, "a", {"a": 1})
    assert members({"a": 1, "b": 2}, "a", optional=("b",)) == {"a": 1, "b": 2}
    for act in (lambda: number(-1), lambda: text(1), lambda: members({}, "a"), lambda: members({"a": 1, "b": 1}, "a")):
        with pytest.raises(MalformedProofError):
            act()
