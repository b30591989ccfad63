"""One honest proof, ways to damage one part of it, and the refusal that must name the step."""

import dataclasses

import pytest
from making import (
    KEY,
    ORIGIN,
    PRIVATE,
    around,
    make_proof,
    make_statement,
    position_of,
)

from medanchor.core.commitment import TreeHead
from medanchor.core.hashes import sha256
from medanchor.core.header import Network
from medanchor.core.merkle import leaf_hash, root_of
from medanchor.core.statement import sign_statement
from medanchor.core.verify import (
    Trust,
    TrustLevel,
    Witness,
    ledger_root,
    verify,
)
from medanchor.errors import VerificationError

RAW = sha256(b"a record")
PROOF = make_proof(RAW)
HEAD = TreeHead(ORIGIN, PROOF.ledger.size, ledger_root(PROOF))
RECORD = PROOF.record
ENTRIES = [b"neighbour 0", RECORD.entry(), b"neighbour 2"]
ROOT = root_of([leaf_hash(entry) for entry in ENTRIES])
OTHER = sha256(b"other")


def refused(proof, step, message, *, raw=RAW, trust=Trust()):  # noqa: B008 - frozen, and never written to
    with pytest.raises(VerificationError) as caught:
        verify(proof, raw, trust)
    assert message in caught.value.message
    assert caught.value.step is step
    return caught.value


def replaced(proof, path, value):
    """`proof` with the attribute at `path` set to `value`, all the rest as it was."""
    first, _, rest = path.partition(".")
    return dataclasses.replace(proof, **{first: replaced(getattr(proof, first), rest, value) if rest else value})


def signed(**overrides):
    statement = make_statement(**{"root": ROOT, "records": 3, **overrides})
    return around(RECORD, position_of(ENTRIES, 1), sign_statement(statement, KEY, PRIVATE.sign))


def with_anchor(anchor):
    return dataclasses.replace(PROOF, anchor=anchor)


def witness(**overrides):
    known = {
        "level": TrustLevel.CONFIRMED,
        "name": "the clinic's node",
        "network": Network.REGTEST,
        "tip": 140,
        "header": PROOF.anchor.block.header,
    }
    return Witness(**{**known, **overrides})
