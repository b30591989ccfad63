"""Verdicts against the vault: unchanged, renamed, changed, missing, unknown, and what the vault can prove."""

import os

import pytest
from vaulted import another_signer, in_hand, numbered, put

from medanchor.core.verify import TrustLevel
from medanchor.errors import PendingError, Step, VaultError, VerificationError
from medanchor.notary.examine import Examiner, Verdict, missing, missing_file
from medanchor.vault.bundles import Place


def verdict_of(desk, name):
    (finding,) = desk.examined(name)
    return finding


def test_every_verdict(desk):
    desk.write("gone", b"gone")
    desk.write("moved", b"moved")
    desk.stamp()
    desk.write("letter", b"edited")
    desk.write("new", b"new")
    (desk.records / "gone").unlink()
    (desk.records / "moved").rename(desk.records / "elsewhere")
    assert desk.verdicts() == {
        "elsewhere": "renamed",
        "gone": "missing",
        "image": "unchanged",
        "letter": "changed",
        "new": "unknown",
        "results": "unchanged",
    }


def test_a_finding_names_the_place_of_its_bytes(desk):
    desk.stamp()
    desk.stamp("letter", again=True)
    found = verdict_of(desk, "letter")
    assert (found.verdict, found.place, found.later) == (Verdict.UNCHANGED, Place(0, 1), None)


def test_an_earlier_version_is_unchanged_and_a_later_one_is_told(desk):
    for content in (b"one", b"two", b"three"):
        desk.write("letter", content)
        desk.stamp("letter")
    desk.write("letter", b"two")
    found = verdict_of(desk, "letter")
    assert (found.verdict, found.place, found.later) == (Verdict.UNCHANGED, Place(1, 0), 2)
    desk.write("letter", b"four")
    found = verdict_of(desk, "letter")
    assert (found.verdict, found.place) == (Verdict.CHANGED, Place(2, 0))


def test_a_renamed_record_is_told_with_its_former_path(desk):
    desk.stamp()
    (desk.records / "letter").rename(desk.records / "brief")
    found = verdict_of(desk, "brief")
    assert (found.verdict, found.stamped_as) == (Verdict.RENAMED, desk.path("letter"))


def test_a_record_with_the_bytes_of_another_that_it_is_not_is_changed(desk):
    """Two records exchanged: both names are known, so neither is taken for renamed."""
    desk.stamp()
    desk.write("letter", b"image")
    desk.write("image", b"letter")
    assert {desk.verdicts()[name] for name in ("letter", "image")} == {"changed"}


@pytest.mark.parametrize("present", [0, 1, 2, 3])
def test_each_renamed_twin_excuses_one_missing_twin(desk, present):
    for name in ("a", "b", "c"):
        desk.write(name, b"twin")
    desk.stamp()
    for number, name in enumerate(("a", "b", "c")):
        (desk.records / name).unlink()
        if number < present:
            desk.write(f"new-{name}", b"twin")
    verdicts = list(desk.verdicts().values())
    assert (verdicts.count("renamed"), verdicts.count("missing")) == (present, 3 - present)


def test_a_lost_version_is_not_excused_by_an_earlier_one_under_another_name(desk):
    desk.write("letter", b"draft")
    desk.stamp()
    desk.write("letter", b"final")
    desk.stamp()
    (desk.records / "letter").unlink()
    desk.write("old-letter", b"draft")
    assert desk.verdicts()["letter"] == "missing"


def test_what_lies_in_an_unreadable_folder_is_not_called_missing(desk):
    desk.write("closed/inner/record", b"1")
    desk.write("closed-not/record", b"2")
    desk.stamp()
    folder = os.fsencode(desk.records.resolve())
    found = missing(desk.store, folder, desk.examined("image", "letter", "results"), {desk.path("closed")})
    assert [finding.path for finding in found] == [desk.path("closed-not/record")]
    assert missing(desk.store, folder, [], {b"/"}) == []
    assert len(missing(desk.store, folder, [], set())) == 5


def test_a_proof_that_was_stamped_by_name_is_not_missing_although_folders_pass_it_over(desk):
    desk.write("letter.medproof", b"a proof, and a record")
    desk.stamp("letter.medproof")
    assert desk.verdicts() == dict.fromkeys(("image", "letter", "results"), "unknown")
    (desk.records / "letter.medproof").unlink()
    assert desk.verdicts()["letter.medproof"] == "missing"


def test_a_single_path_that_is_gone_is_missing_only_if_it_was_stamped(desk):
    desk.stamp("letter")
    assert missing_file(desk.store, desk.path("letter")).verdict is Verdict.MISSING
    assert missing_file(desk.store, desk.path("image")) is None
    assert missing_file(desk.store, b"/letter") is None


def test_a_bundle_is_pending_then_attested_then_in_question(desk):
    desk.stamp()
    pending = Examiner(desk.store, desk.witnesses()).bundle(0)
    assert isinstance(pending.failure, PendingError)
    desk.anchor()
    attested = Examiner(desk.store, desk.witnesses()).bundle(0)
    assert (attested.failure, attested.attestation.level) == (None, TrustLevel.CONFIRMED)
    assert (attested.signer, attested.attestation.confirmations) == ("Dr A. Example (physician)", 2)
    alone = Examiner(desk.store, {}).bundle(0)
    assert alone.attestation.level is TrustLevel.CONSISTENT
    desk.chain.reorg(5)
    lost = Examiner(desk.store, desk.witnesses()).bundle(0)
    assert lost.failure.step is Step.TRUST


def test_records_are_vouched_for_tile_by_tile(desk):
    put(desk.store, in_hand(numbered(2500)))
    examiner = Examiner(desk.store, {})
    for index in (0, 1, 2499, 1024, 0, 1023):
        assert examiner.record(Place(0, index)) is examiner.bundle(0)


def test_signers_are_named_each_by_its_own_name(desk):
    desk.stamp()
    desk.stamp(signer=another_signer(desk.store))
    examiner = Examiner(desk.store, {})
    assert [examiner.bundle(entry).signer for entry in (0, 1)] == [
        "Dr A. Example (physician)",
        "Dr B. Example (radiologist)",
    ]


def test_a_record_in_a_tile_that_was_changed_is_not_vouched_for(desk):
    desk.stamp()
    desk.anchor()
    desk.store.database.execute("UPDATE tile SET records = CAST(zeroblob(16) || substr(records, 17) AS BLOB)")
    examiner = Examiner(desk.store, desk.witnesses())
    with pytest.raises(VerificationError) as caught:
        examiner.record(Place(0, 1))
    assert caught.value.step is Step.BUNDLE


@pytest.mark.parametrize("table", ["tile", "signer", "entry", "node"])
def test_a_vault_that_lacks_its_rows_vouches_for_nothing(desk, table):
    desk.stamp()
    desk.stamp(again=True)
    desk.store.database.execute(f"DELETE FROM {table}")  # noqa: S608 - the names stand above
    with pytest.raises(VaultError):
        Examiner(desk.store, {}).record(Place(0, 0))
