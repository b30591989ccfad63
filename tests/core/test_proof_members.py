"""The members of a proof one by one: what each may be, and everything it may not."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import KEY, attempt, changed_member, make_proof, modest

from medanchor.core.encoding import from_base64, members, number, text
from medanchor.core.header import Network
from medanchor.core.proof import parse_proof, serialise_proof
from medanchor.errors import MalformedProofError, Step

PROOF = make_proof()
DATA = serialise_proof(PROOF)


def refused(data, message="", *, parse=parse_proof):
    with pytest.raises(MalformedProofError) as caught:
        parse(data)
    assert message in caught.value.message
    assert caught.value.step is Step.FORMAT
    return caught.value


def changed(path, value):
    return changed_member(DATA, path, value)


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
    expected = f"with the members {', '.join(sorted(set(tree) - {'anchor'}))} and no others"
    for name in ("algorithm", "\ud800", "\x1b[2J"):
        assert name not in refused(changed(lead + name, 1), expected).message  # a terminal is not to be written to
    for name in set(tree) - {"anchor"}:
        refused(changed(lead + name, ...), expected)
    for value in [None, [], "", 1, True] if path else []:
        refused(changed(path, value), "expected a JSON object")


def test_an_empty_object_is_told_what_is_missing():
    refused(b"{}\n", "expected a JSON object with the members bundle, ledger, record, signer, statement, version and")


HEX = {"record.raw": 32, "record.salt": 16, "anchor.block.header": 80}
SPELLED = ["", "0", "zz", "0G", " 00", None, 0, [], "\ud800", "é", "\uff10"]


@pytest.mark.parametrize(("path", "length"), HEX.items())
def test_hex_of_its_length_in_lower_case(path, length):
    for value in SPELLED:
        refused(changed(path, value))
    for wrong in ("ab" * (length - 1), "ab" * (length + 1), "AB" * length, " " + "ab" * length, "ab" * length + "\n"):
        refused(changed(path, wrong))
    parse_proof(changed(path, "ab" * length))


KEY_TEXT = base64.b64encode(KEY).decode()
NO_KEYS = [
    KEY_TEXT[:-1], KEY_TEXT + "=", KEY_TEXT.replace("=", "A="),
    f"{KEY_TEXT}\n", f" {KEY_TEXT}", KEY_TEXT[:-2] + "9=",
    base64.b64encode(KEY[:31]).decode(), base64.b64encode(KEY + KEY).decode(),
    "", "é", "\ud800", "A", None, 0, [KEY_TEXT],
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


def test_an_origin_is_of_a_few_characters_only():
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~/-")
    for character in map(chr, range(256)):
        data = changed("ledger.origin", f"a{character}")
        if character in allowed:
            assert parse_proof(data).origin == f"a{character}"
        else:
            refused(data, "expected an origin of letters, digits")


@pytest.mark.parametrize(
    "origin", ["\ud800", "\U0001f600", "\u0660", "\u2028", "\uff0e", "", "a" * 256, "clinic\n", "a b"]
)
def test_no_origin_but_those(origin):
    """Whether it is the ledger that the statement names is asked in step 4; whether it is one at all, here."""
    refused(changed("ledger.origin", origin), "expected an origin of letters, digits")
    for value in (None, 7, ["clinic.example"]):
        refused(changed("ledger.origin", value), "expected a string")


def test_the_longest_origin_comes_back():
    data = changed("ledger.origin", "a" * 255)
    assert serialise_proof(parse_proof(data)) == data


MALFORMED = {
    "empty": b"", "no-json": b"\xff", "no-envelope": b"{}", "spaced": PROOF.envelope + b"\n",
    "unsigned": json.dumps({**json.loads(PROOF.envelope), "signatures": []}).encode(),
    "deep": b"[" * 100_000 + b"]" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("envelope", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_statement_is_a_malformed_proof(envelope):
    """Read as the file is read: no step after the first sees a statement that is none."""
    refused(changed("statement", base64.b64encode(envelope).decode()))


def test_the_small_readers_refuse_by_themselves():
    assert (number(0), text("a"), members({"a": 1}, "a")) == (0, "a", {"a": 1})
    assert members({"a": 1, "b": 2}, "a", optional=("b",)) == {"a": 1, "b": 2}
    for act in (lambda: number(-1), lambda: text(1), lambda: members({}, "a"), lambda: members({"a": 1, "b": 1}, "a")):
        with pytest.raises(MalformedProofError):
            act()
