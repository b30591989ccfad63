"""The named damaged proofs, made without this package: each is refused by the core at exactly its step."""

import sys
from pathlib import Path

import pytest
from making import NAMES, attempt, proof_bytes, record_digest

from medanchor.core.hashes import sha256
from medanchor.core.header import Network
from medanchor.core.proof import parse_proof
from medanchor.core.verify import Trust, TrustLevel, Witness, verify
from medanchor.errors import Step, VerificationError

sys.path.insert(0, str(Path(__file__).parents[1]))  # damage.py and forge.py stand there

from damage import damaged, forged
from forge import RECORD, build_proof

DIGEST = sha256(RECORD)
FORGED = forged()

MALFORMED_STATEMENTS = {
    "envelope-two-signatures", "envelope-no-signature", "envelope-spaced", "envelope-with-newline", "envelope-not-json",
    "envelope-member-unknown", "envelope-without-records", "envelope-of-another-type", "payload-not-json",
    "payload-duplicate-member", "statement-of-another-type", "statement-two-subjects", "statement-meaning-unknown",
    "statement-time-with-offset", "statement-names-a-patient", "signature-one-byte-short",
}  # fmt: skip
"""The proof file is well formed, the envelope in it is not: the core reads that in step 3, the tool in step 0."""

MALFORMED_TRANSACTIONS = {
    "transaction-empty", "transaction-cut-short", "transaction-and-more", "transaction-with-witness",
    "transaction-without-inputs", "transaction-count-in-long-form", "transaction-count-of-2-to-64",
    "transaction-64-bytes",
}  # fmt: skip
"""The table of docs/format.md, section 7, demands the canonical form in step 6; the tool stumbles on it in step 5."""


def expected(name, step):
    if name in MALFORMED_STATEMENTS:
        return Step.STATEMENT
    return Step.TRANSACTION if name in MALFORMED_TRANSACTIONS else Step(step)


def failed_step(data, digest):
    with pytest.raises(VerificationError) as caught:
        verify(parse_proof(data), digest, Trust())
    return caught.value.step


def test_a_whole_without_damage_verifies_up_to_its_block():
    proof = parse_proof(build_proof())
    assert verify(proof, DIGEST, Trust()).level is TrustLevel.CONSISTENT
    witness = Witness(TrustLevel.CONFIRMED, "a node", Network.REGTEST, 123, proof.anchor.block.header)
    assert verify(proof, DIGEST, Trust(witness=witness)).confirmations == 1
    other = Witness(TrustLevel.CONFIRMED, "a node", Network.REGTEST, 123, proof.anchor.block.successors[0])
    assert attempt(lambda: verify(proof, DIGEST, Trust(witness=other)), Step.TRUST) is None


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_proof_is_refused_at_its_step(name):
    data, step = FORGED[name]
    assert failed_step(data, DIGEST) is expected(name, step)


@pytest.mark.parametrize("name", NAMES)
def test_every_frozen_proof_damaged_is_refused_at_its_step(name):
    cases = damaged(proof_bytes(name))
    assert len(cases) > 60
    found = {damage: failed_step(data, record_digest(name)) for damage, (data, _) in cases.items()}
    assert found == {damage: expected(damage, step) for damage, (_, step) in cases.items()}


def test_the_differences_listed_above_are_still_there_to_be_listed():
    assert set(FORGED) >= MALFORMED_STATEMENTS | MALFORMED_TRANSACTIONS
