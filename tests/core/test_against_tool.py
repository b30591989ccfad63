"""The core held against tools/verify_proof.py, which shares no line with it: one step for whatever both are handed."""

import hashlib
import importlib.util
import json
import random
from pathlib import Path

import pytest
from damage import become, damaged, forged
from forge import RECORD, build_proof, coinbase, output, spend, written
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NAMES, VECTORS, height_push, mutations, pending_bytes, proof_bytes
from test_signature import SMALL_ORDER

from medanchor.core.hashes import sha256
from medanchor.core.proof import parse_proof
from medanchor.core.verify import Trust, verify
from medanchor.errors import PendingError, VerificationError

PASSED = 9
TOOL = Path(__file__).parents[2] / "tools" / "verify_proof.py"
FORGED = forged()
few = settings(deadline=None, max_examples=200)


def load():
    spec = importlib.util.spec_from_file_location("verify_proof", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load()


def step_of_the_tool(record, data):
    case = tool.Case(digest=hashlib.sha256(record).hexdigest(), data=data, header=None, anchor=None)
    for number in range(8):
        try:
            if case.anchor or number < 5:
                getattr(case, f"step_{number}")()
        except ValueError:
            return number
    return PASSED


def step_of_the_core(record, data):
    try:
        verify(parse_proof(data), sha256(record), Trust())
    except VerificationError as error:
        return int(error.step)
    except PendingError:
        return PASSED
    return PASSED


def judged(data, record=RECORD):
    """The step at which both refuse, or PASSED."""
    steps = step_of_the_core(record, data), step_of_the_tool(record, data)
    assert steps[0] == steps[1], f"(core, tool) = {steps}"
    return steps[0]


def record_of(name):
    return (VECTORS / f"{name}.bin").read_bytes()


def test_what_is_whole_passes():
    assert judged(build_proof()) == PASSED
    assert judged(pending_bytes(), record_of("three-levels")) == PASSED
    assert [judged(proof_bytes(name), record_of(name)) for name in NAMES] == [PASSED] * len(NAMES)


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_proof(name):
    data, step = FORGED[name]
    assert judged(data) == step


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_proof(name):
    record = record_of(name)
    cases = damaged(proof_bytes(name))
    assert {damage: judged(data, record) for damage, (data, _) in cases.items()} == {
        damage: step for damage, (_, step) in cases.items()
    }


@pytest.mark.parametrize("data", [build_proof(), pending_bytes(), proof_bytes("block-of-six")], ids=["a", "b", "c"])
def test_a_flipped_bit(data):
    record = next(each for each in (RECORD, *map(record_of, NAMES)) if sha256(each).hex().encode() in data)
    for bit in random.Random(1).sample(range(8 * len(data)), 1500):  # noqa: S311 - a sample, the same at every run
        judged(data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :], record)


def places(tree, path=()):
    """The path of every member and item of a JSON tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [(*path, name) for name, _ in inner] + [
        deeper for name, value in inner for deeper in places(value, (*path, name))
    ]


def put(tree, path, value):
    """A copy of `tree` with `value` at `path`."""
    copy = json.loads(json.dumps(tree))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy


VALUES = [
    None, True, False, -1, 0, 1, 2, 13, 123, (1 << 63) - 1, 1 << 63, 10**19 - 1, 10**19, 1 << 64, 1.0, [], {}, "", "0",
    "00" * 16, "00" * 32, "00" * 64, "00" * 80, "ab" * 32, "AB" * 32, ["00" * 32], ["00" * 32] * 64, ["00" * 32] * 65,
    "A" * 43 + "=", "A" * 86 + "==", "regtest", "mainnet", "authorship", "clinic.example/ward-7", "a" * 255, "a" * 256,
    "a b", "a+b", "a:b", "\xe4", "\ud800", "2024-02-29T00:00:00Z", "2026-02-29T00:00:00Z", "0000-01-01T00:00:00Z",
]  # fmt: skip
FOLLOWS = [{"entry": 5, "kind": "amendment", "reason": "correction"}, {"entry": 0, "kind": "addendum", "reason": "x"}]


def replacing(tree):
    return st.builds(lambda path, value: put(tree, path, value), st.sampled_from(places(tree)), st.sampled_from(VALUES))


@given(replacing(json.loads(build_proof())) | replacing(json.loads(pending_bytes())))
@few
def test_any_member_replaced(tree):
    judged(written(tree))


def seen(stage):
    """What `build_proof` makes at a stage."""
    kept = []
    build_proof(**{stage: lambda value: kept.append(value) or value})
    return kept[0]


STATEMENT = seen("statement")


@given(
    replacing(STATEMENT)
    | replacing(put(STATEMENT, ("predicate", "follows"), FOLLOWS[:1]))
    | replacing(put(STATEMENT, ("predicate", "follows"), FOLLOWS))
)
@few
def test_any_member_of_the_statement_replaced_and_signed(statement):
    judged(build_proof(statement=become(statement)))


@given(replacing(seen("envelope")))
@few
def test_any_member_of_the_envelope_replaced(envelope):
    judged(build_proof(envelope=become(envelope)))


@given(mutations([seen("transaction"), seen("coinbase")]))
@few
def test_any_bytes_in_the_place_of_a_transaction_and_in_the_block(raw):
    judged(build_proof(transaction=become(raw)))
    judged(build_proof(coinbase=become(raw)))


@pytest.mark.parametrize("day", ["02-28", "02-29", "02-30", "04-30", "04-31", "12-31", "00-10", "13-01"])
@pytest.mark.parametrize("year", ["0000", "0001", "1900", "2000", "2024", "2026", "9999"])
def test_a_time_is_a_real_one(year, day):
    statement = put(STATEMENT, ("predicate", "time"), f"{year}-{day}T23:59:59Z")
    assert judged(build_proof(statement=become(statement))) in (0, PASSED)


@pytest.mark.parametrize("code", range(128))
def test_an_origin_is_of_the_same_characters(code):
    origin = f"clinic.example/{chr(code)}"
    data = build_proof(
        statement=lambda it: put(it, ("predicate", "ledger"), origin),
        ledger=lambda it: it | {"origin": origin},
        commitment=lambda it: it | {"origin": origin.encode()},
    )
    assert judged(data) == (PASSED if chr(code).isalnum() or chr(code) in "._~/-" else 0)


@pytest.mark.parametrize("sign", [0, 0x80], ids=["even", "odd"])
@pytest.mark.parametrize("point", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_a_key_of_small_order_is_refused(point, sign):
    """Two of these signatures hold, if OpenSSL alone is asked: no secret is needed to make them."""
    key = point[:31] + bytes([point[31] | sign])
    for commitment in SMALL_ORDER.values():
        assert judged(build_proof(key=become(key), signature=become(commitment + bytes(32)))) == 3


HEIGHTS = [0, 1, 2, 15, 16, 17, 18, 127, 128, 255, 256, 32767, 32768, (1 << 31) - 1, 1 << 32, (1 << 63) - 1]
PUSHES = [*map(height_push, HEIGHTS), b"\1\0", b"\1\1", b"\1\x10", b"\2\x11\0", b"\x4c\1\x11", b"\x4f", b"\1\x80", b""]


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_height_is_spelled_one_way(height):
    for push in PUSHES:
        data = build_proof(
            coinbase=become(coinbase(push + b"\x75" * 9)),
            anchor=lambda it: it | {"block": it["block"] | {"height": height}},
        )
        assert judged(data) == (PASSED if push == height_push(height) else 6)


@pytest.mark.parametrize("length", range(8))
def test_a_transaction_of_about_64_bytes(length):
    script = b"\1\x7b" + b"\x51" * length
    assert judged(build_proof(coinbase=become(coinbase(script, output(b"\x51"))))) == (6 if length < 2 else PASSED)
    assert judged(build_proof(transaction=become(spend(output(b"\x51" * length))))) == (6 if length < 5 else 5)


@pytest.mark.parametrize("outputs", range(4))
def test_a_transaction_without_inputs(outputs):
    raw = b"\2\0\0\0\0" + bytes([outputs]) + output(b"\x51" * 60) * outputs + bytes(4)
    assert judged(build_proof(transaction=become(raw))) == judged(build_proof(coinbase=become(raw))) == 6


def test_a_transaction_without_outputs_is_one_to_both():
    """No valid block holds one, but what makes a block valid is step 8's business; here both judge alike."""
    assert judged(build_proof(transaction=become(spend(script=b"\x51" * 30)))) == 5
    first = spend(outpoint=bytes(32) + b"\xff" * 4, script=b"\1\x7b" + b"\x51" * 30)
    assert judged(build_proof(coinbase=become(first))) == PASSED
