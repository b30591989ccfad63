"""What is made of an .ots file's claims: who confirms which, and what is never called verified."""

import dataclasses

import pytest

from medanchor.core.hashes import sha256
from medanchor.core.header import Header, Network
from medanchor.core.verify import TrustLevel, Witness
from medanchor.errors import PendingError, Step, VerificationError
from medanchor.interop.existence import BlockClaim, Confirmation, OtsFile, judge

RAW, ROOT, OTHER = sha256(b"a record"), sha256(b"a block's Merkle root"), sha256(b"another one")
TIP = 120


def header(root, time=1_700_000_000):
    return b"\4\0\0\0" + bytes(32) + root + time.to_bytes(4, "little") + bytes(8)


def witness(root, level=TrustLevel.CONFIRMED):
    return Witness(level, "a node", Network.TESTNET4, TIP, root and header(root))


def file(*heights, calendars=(), others=()):
    return OtsFile(RAW, tuple(BlockClaim(height, ROOT) for height in heights), calendars, others)


def test_a_known_block_confirms_it():
    found = judge(file(100), RAW, {100: witness(ROOT)})
    assert found.level is TrustLevel.CONFIRMED
    assert found.claim.height == 100
    assert found.confirmation == Confirmation(
        TrustLevel.CONFIRMED, Header.parse(header(ROOT)), Network.TESTNET4, 21, "a node"
    )


def test_a_chain_of_headers_confirms_it_at_its_own_level():
    assert judge(file(100), RAW, {100: witness(ROOT, TrustLevel.HEADER_CHAIN)}).level is TrustLevel.HEADER_CHAIN


def test_the_newest_block_confirms_it_once():
    assert judge(file(TIP), RAW, {TIP: witness(ROOT)}).confirmation.confirmations == 1


def test_without_a_witness_it_is_consistent_and_no_more():
    found = judge(file(100, 110), RAW, {})
    assert (found.level, found.claim.height) == (TrustLevel.CONSISTENT, 100)
    assert found.confirmation is None


@pytest.mark.parametrize("known", [{}, {100: witness(ROOT)}])
def test_another_record_is_refused_at_step_1(known):
    with pytest.raises(VerificationError) as caught:
        judge(file(100), sha256(b"another record"), known)
    assert caught.value.step is Step.RECORD


def test_another_record_is_refused_before_its_promises_are_told():
    with pytest.raises(VerificationError):
        judge(file(calendars=("https://a.example",)), sha256(b"another record"), {})


def test_another_merkle_root_is_refused_at_step_8():
    with pytest.raises(VerificationError) as caught:
        judge(file(100), RAW, {100: witness(OTHER)})
    assert caught.value.step is Step.TRUST


@pytest.mark.parametrize("wrong", [bytes(32), ROOT[::-1], ROOT[:-1] + bytes([ROOT[-1] ^ 1])])
def test_only_the_very_merkle_root_will_do(wrong):
    with pytest.raises(VerificationError):
        judge(file(100), RAW, {100: witness(wrong)})


def test_a_witness_that_ends_below_cannot_say():
    with pytest.raises(PendingError, match="ends at height 120, below the OpenTimestamps file's block 121"):
        judge(file(121), RAW, {121: witness(None)})


def test_the_earliest_claim_that_holds_is_told():
    known = {100: witness(OTHER), 110: witness(ROOT), 115: witness(ROOT)}
    assert judge(file(100, 110, 115), RAW, known).claim.height == 110


def test_two_claims_about_one_block_are_judged_apart():
    both = dataclasses.replace(file(), blocks=(BlockClaim(100, OTHER), BlockClaim(100, ROOT)))
    assert judge(both, RAW, {100: witness(ROOT)}).claim.merkle_root == ROOT


def test_while_one_claim_is_above_the_tip_the_file_is_not_refuted():
    with pytest.raises(PendingError):
        judge(file(100, 121), RAW, {100: witness(OTHER), 121: witness(None)})


def test_a_promise_is_no_block():
    with pytest.raises(PendingError, match=r"promise of https://a\.example, https://b\.example") as caught:
        judge(file(calendars=("https://a.example", "https://b.example")), RAW, {100: witness(ROOT)})
    assert "ots upgrade" in caught.value.hint


@pytest.mark.parametrize("known", [{}, {100: witness(ROOT)}])
def test_other_chains_and_unknown_kinds_attest_nothing(known):
    with pytest.raises(PendingError, match="names no Bitcoin block, only Ethereum, Litecoin"):
        judge(file(others=("Ethereum", "Litecoin")), RAW, known)
