"""Proofs written as .ots files: the frozen ones byte for byte, every shape of tree, and what the format cannot hold."""

from pathlib import Path

import pytest
from damage import forged
from forge import build_proof
from opentimestamps.core.op import OpAppend, OpSHA256

from medanchor.core.hashes import sha256
from medanchor.core.header import Header
from medanchor.core.merkle import inclusion_path, leaf_hash, nodes_of, root_of
from medanchor.core.proof import Position, parse_proof
from medanchor.errors import PendingError, Step, UsageError, VerificationError
from medanchor.interop.ots import MAX_OPERATIONS, _climb_tree, _written, detached, parse_ots

VECTORS = Path(__file__).parents[1] / "vectors" / "proofs" / "v1"
PROOFS = sorted(path for path in VECTORS.glob("*.medproof") if ".pending." not in path.name)
DAMAGES = {name: (data, step) for name, (data, step) in forged().items() if step >= Step.BUNDLE}


@pytest.mark.parametrize("path", PROOFS, ids=lambda path: path.stem)
def test_a_frozen_proof_is_written_as_another_implementation_wrote_it(path):
    assert detached(parse_proof(path.read_bytes())) == path.with_suffix(".ots").read_bytes()


def test_every_frozen_proof_was_compared():
    assert len(PROOFS) == len(list(VECTORS.glob("*.ots"))) == 6


def leads_to(data):
    [claim] = parse_ots(data).blocks
    return claim.height, claim.merkle_root


@pytest.mark.parametrize(("kind", "components"), [(0, 0), (1, 5), (2, 2), (3, 2), (4, 2)])
def test_every_kind_of_record_leads_to_its_block(kind, components):
    digests = [sha256(bytes([number])).hex() for number in range(components)]
    proof = parse_proof(build_proof(record=lambda record: record | {"kind": kind, "components": digests}))
    header = Header.parse(proof.anchor.block.header)
    assert leads_to(detached(proof)) == (proof.anchor.block.height, header.merkle_root)


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33])
def test_every_place_in_a_tree_leads_to_its_root(size):
    leaves = [leaf_hash(b"entry %d" % number) for number in range(size)]
    for index in range(size):
        value = leaves[index]
        for step in _climb_tree(Position(index, size, tuple(inclusion_path(nodes_of(leaves), index, size)))):
            value = step(value)
        assert value == root_of(leaves)


def test_a_pending_proof_has_no_ots():
    [pending] = VECTORS.glob("*.pending.medproof")
    with pytest.raises(PendingError):
        detached(parse_proof(pending.read_bytes()))


@pytest.mark.parametrize("name", DAMAGES)
def test_no_ots_is_written_of_a_proof_that_fails(name):
    data, step = DAMAGES[name]
    with pytest.raises(VerificationError) as caught:
        detached(parse_proof(data))
    assert caught.value.step == step


def follows(count):
    many = [{"entry": number, "kind": "amendment", "reason": "correction"} for number in range(count)]
    return lambda statement: statement | {"predicate": statement["predicate"] | {"follows": many}}


def outputs(length):
    return lambda honest: [*honest, bytes(8) + b"\xfd" + length.to_bytes(2, "little") + b"\x51" * length]


@pytest.mark.parametrize(
    ("fits", "changes"),
    [
        (True, {"statement": follows(30)}),
        (False, {"statement": follows(60)}),
        (True, {"outputs": outputs(3000)}),
        (False, {"outputs": outputs(4200)}),
    ],
    ids=["statement", "long-statement", "transaction", "long-transaction"],
)
def test_what_is_too_long_for_the_format_is_said_to_be(fits, changes):
    proof = parse_proof(build_proof(**changes))
    if fits:
        assert leads_to(detached(proof))[0] == proof.anchor.block.height
    else:
        with pytest.raises(UsageError, match=r"too long for OpenTimestamps: expected at most 4,096 bytes"):
            detached(proof)


def test_a_line_of_operations_is_as_long_as_the_library_reads():
    digest = sha256(b"")
    operations = [OpAppend(b"x"), *[OpSHA256()] * (MAX_OPERATIONS - 1)]
    assert leads_to(_written(digest, operations, 7))[0] == 7
    with pytest.raises(UsageError, match="at most 255 operations, found 256"):
        _written(digest, [*operations, OpSHA256()], 7)


def test_what_was_written_is_read_back_before_it_is_returned(monkeypatch):
    monkeypatch.setattr("medanchor.interop.ots._climb_block", lambda _: iter([OpSHA256()]))
    with pytest.raises(VerificationError, match="does not lead to its block"):
        detached(parse_proof(PROOFS[0].read_bytes()))
