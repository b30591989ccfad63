"""The named damaged proofs, made without this package: each is refused by the core at exactly its step."""

import pytest
from damage import damaged, forged
from forge import RECORD, build_proof
from making import NAMES, attempt, proof_bytes, record_digest

from medanchor.core.hashes import sha256
from medanchor.core.header import Network
from medanchor.core.proof import parse_proof
from medanchor.core.verify import Trust, TrustLevel, Witness, verify
from medanchor.errors import Step, VerificationError

DIGEST = sha256(RECORD)
FORGED = forged()


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
    assert failed_step(data, DIGEST) is Step(step)


@pytest.mark.parametrize("name", NAMES)
def test_every_frozen_proof_damaged_is_refused_at_its_step(name):
    cases = damaged(proof_bytes(name))
    assert len(cases) > 60
    found = {damage: failed_step(data, record_digest(name)) for damage, (data, _) in cases.items()}
    assert found == {damage: Step(step) for damage, (_, step) in cases.items()}
