"""Verdicts against the vault: unchanged, renamed, changed, missing, unknown, and what the vault can prove."""

import base64
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaulted import another_signer, in_hand, numbered, put

from medanchor.core.statement import Follows
from medanchor.core.verify import TrustLevel
from medanchor.errors import PendingError, Step, VaultError
from medanchor.notary.examine import Examiner, Known, Run, Verdict, each, examine
from medanchor.notary.missing import missing, missing_file
from medanchor.vault.bundles import Place
from medanchor.vault.followers import followers
from medanchor.vault.store import Store


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


def folder_of(names, *, contents):
    """Any folder of some of `names`, each with one of so many contents."""
    return st.dictionaries(st.sampled_from(names), st.integers(0, contents - 1), min_size=1)


@given(
    versions=st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), min_size=1), min_size=1, max_size=4
    ),
    now=st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 3), min_size=1),
)
@settings(max_examples=60, deadline=None)
def test_a_run_says_what_a_look_at_each_record_says(template, versions, now):
    """Whatever was stamped in whatever order, with and without the short way."""
    with TemporaryDirectory() as folder, Store(shutil.copytree(template, Path(folder, "vault"))) as store:
        for version in versions:
            put(store, in_hand({name.encode(): b"%d" % content for name, content in version.items()}))
        hand = [in_hand({name.encode(): b"%d" % now[name] for name in sorted(now)})]
        found = list(each(examine(store, hand)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Known, "run", lambda *_: None)
            assert found == list(examine(store, hand))


def test_a_folder_as_it_was_stamped_is_one_run(desk):
    desk.stamp()
    (run,) = examine(desk.store, desk.in_hand())
    assert (run.names, run.place, run.verdict) == ([b"image", b"letter", b"results"], Place(0, 0), Verdict.UNCHANGED)


def test_followers_are_told_with_the_bundle(desk):
    desk.stamp()
    desk.stamp("letter", follows=(Follows(0, "retraction", "wrong-record"),))
    desk.stamp("image", follows=(Follows(0, "addendum", "correction"), Follows(1, "amendment", "correction")))
    examiner = Examiner(desk.store, {})
    assert [examiner.bundle(entry).followed_by for entry in range(3)] == [
        ((1, "retraction"), (2, "addendum")),
        ((2, "amendment"),),
        (),
    ]


def test_a_damaged_statement_that_may_be_a_follower_is_not_passed_over(desk):
    desk.stamp()
    for damaged in (b"", b"{}", b'{"payload":"?"}', b'{"payload":"' + base64.b64encode(b'{"follows":1}') + b'"}'):
        desk.store.database.execute("UPDATE entry SET envelope = ?", (damaged,))
        with pytest.raises(VaultError, match="entry 0 of the ledger is damaged"):
            followers(desk.store)


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
    assert isinstance(lost.failure, PendingError)
    assert "reorganised away" in lost.failure.message


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
    verdict = examiner.record(Place(0, 1))
    assert (verdict.attestation, verdict.failure.step) == (None, Step.BUNDLE)


def test_one_changed_tile_casts_no_doubt_on_the_others(desk):
    put(desk.store, in_hand(numbered(2500)))
    desk.store.database.execute(
        "UPDATE tile SET records = CAST(zeroblob(16) || substr(records, 17) AS BLOB) WHERE number = 1"
    )
    examiner = Examiner(desk.store, {})
    for leaf, step in ((0, None), (1023, None), (1024, Step.BUNDLE), (2047, Step.BUNDLE), (2048, None)):
        failure = examiner.record(Place(0, leaf)).failure
        assert getattr(failure, "step", None) is step
    names = [b"%05d" % number for number in range(4)]
    assert examiner.run(Run(b"/r", names, Place(0, 1020))) is examiner.bundle(0)
    assert examiner.run(Run(b"/r", names, Place(0, 1022))) is None
    assert examiner.run(Run(b"/r", names, Place(0, 1030))).failure.step is Step.BUNDLE


@pytest.mark.parametrize("table", ["tile", "signer", "entry", "node"])
def test_a_vault_that_lacks_its_rows_vouches_for_nothing(desk, table):
    desk.stamp()
    desk.stamp(again=True)
    desk.store.database.execute(f"DELETE FROM {table}")  # noqa: S608 - the names stand above
    with pytest.raises(VaultError):
        Examiner(desk.store, {}).record(Place(0, 0))
