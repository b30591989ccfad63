"""Proofs on disk: private, whole, never over anything, and enough for the core alone."""

import os
import stat

import pytest

from medanchor.core.proof import parse_proof
from medanchor.core.verify import TrustLevel
from medanchor.errors import UsageError, VaultError
from medanchor.notary.export import export
from medanchor.notary.prove import Prover
from medanchor.vault.bundles import Place


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_exported_proof_verifies_with_the_core_alone(desk):
    desk.stamp()
    assert desk.attest("letter", desk.export_somewhere("letter")) is None
    desk.anchor()
    attestation = desk.attest("letter", desk.export_somewhere("letter"))
    assert (attestation.level, attestation.height) == (TrustLevel.CONSISTENT, 102)
    assert attestation.statement.records == 3


def test_the_oldest_anchor_that_covers_an_entry_proves_it(desk):
    for _ in range(3):
        desk.stamp(again=True)
        desk.anchor()
    desk.stamp(again=True)
    proofs = [Prover(desk.store, {}).proof(Place(entry, 0)) for entry in range(4)]
    assert [proof.ledger.size for proof in proofs] == [1, 2, 3, 4]
    assert [proof.anchor and proof.anchor.block.height for proof in proofs] == [102, 104, 106, None]


def test_after_the_oldest_anchor_is_lost_the_next_one_proves(desk):
    desk.stamp()
    desk.stamp(again=True)
    desk.anchor()
    desk.stamp(again=True)
    desk.anchor()
    desk.store.database.execute("UPDATE anchor SET evidence = NULL WHERE id = 1")
    assert [Prover(desk.store, {}).proof(Place(entry, 0)).ledger.size for entry in range(3)] == [3, 3, 3]


def test_proofs_lie_beside_their_records_unless_told_otherwise(desk):
    desk.stamp()
    exported = desk.export()
    assert (exported.written, exported.pending, exported.unproved) == (3, 3, [])
    names = ["image", "letter", "results"]
    assert tree(desk.records) == sorted(names + [f"{name}.medproof" for name in names])


def test_records_of_one_name_from_different_folders_keep_apart(desk, tmp_path):
    for folder in ("a", "b/c", "b/d"):
        desk.write(f"{folder}/record", folder.encode())
    desk.stamp("a", "b")
    assert desk.export(tmp_path / "proofs", "a", "b").written == 3
    assert tree(tmp_path / "proofs") == ["a/record.medproof", "b/c/record.medproof", "b/d/record.medproof"]
    for folder in ("a", "b/c", "b/d"):
        proof = parse_proof((tmp_path / "proofs" / folder / "record.medproof").read_bytes())
        assert proof.record.raw == desk.in_hand(f"{folder}/record")[0].raw_list()[0]


def test_records_of_one_folder_need_no_folders(desk, tmp_path):
    desk.stamp()
    desk.export(tmp_path / "proofs")
    assert tree(tmp_path / "proofs") == ["image.medproof", "letter.medproof", "results.medproof"]


def test_nothing_is_overwritten_unless_asked_and_then_nothing_but_the_proof(desk, tmp_path):
    desk.stamp()
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / "letter.medproof").write_bytes(b"mine")
    (tmp_path / "proofs" / "letter.medproof.new").write_bytes(b"mine too")
    with pytest.raises(UsageError, match="1 of these proofs"):
        desk.export(tmp_path / "proofs")
    assert tree(tmp_path / "proofs") == ["letter.medproof", "letter.medproof.new"]
    assert desk.export(tmp_path / "proofs", replace=True).written == 3
    assert (tmp_path / "proofs" / "letter.medproof.new").read_bytes() == b"mine too"
    assert parse_proof((tmp_path / "proofs" / "letter.medproof").read_bytes())


def test_a_link_in_the_place_of_a_proof_is_replaced_and_what_it_names_is_not(desk, tmp_path):
    desk.stamp()
    (tmp_path / "precious").write_bytes(b"precious")
    (desk.records / "letter.medproof").symlink_to(tmp_path / "precious")
    with pytest.raises(UsageError):
        desk.export(None, "letter")
    desk.export(None, "letter", replace=True)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (desk.records / "letter.medproof").is_symlink()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_proofs_and_the_folders_made_for_them_are_their_owners_alone(desk, tmp_path, umask):
    desk.write("a/b/record", b"1")
    desk.stamp()
    former = os.umask(umask)
    try:
        desk.export(tmp_path / "new" / "proofs")
    finally:
        os.umask(former)
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {0o600}


def test_only_what_is_as_it_was_stamped_is_proved(desk, tmp_path):
    desk.stamp()
    desk.write("letter", b"edited")
    desk.write("new", b"new")
    (desk.records / "image").rename(desk.records / "picture")
    exported = desk.export(tmp_path / "proofs")
    assert tree(tmp_path / "proofs") == ["picture.medproof", "results.medproof"]
    assert [(desk.name(each.path), each.verdict.value) for each in exported.unproved] == [
        ("letter", "changed"),
        ("new", "unknown"),
    ]


def test_names_as_long_as_names_can_be_are_exported(desk, tmp_path):
    name = "x" * (255 - len(".medproof"))
    desk.write(name, b"long")
    desk.stamp(name)
    assert desk.export(tmp_path / "proofs", name).written == 1
    assert tree(tmp_path / "proofs") == [f"{name}.medproof"]


def test_names_that_are_no_text_are_exported(desk, tmp_path):
    name = os.fsdecode(b"\xff\xfe\n")
    desk.write(name, b"odd")
    desk.stamp(name)
    desk.export(tmp_path / "proofs", name)
    assert [os.fsencode(path.name) for path in (tmp_path / "proofs").iterdir()] == [b"\xff\xfe\n.medproof"]


def test_a_write_that_fails_leaves_no_half_a_proof(desk, tmp_path, monkeypatch):
    desk.stamp()

    def fail(*_arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        desk.export(tmp_path / "proofs")
    assert tree(tmp_path / "proofs") == []


def test_a_file_in_the_place_of_a_folder_stops_the_export_before_it_begins(desk, tmp_path):
    desk.write("a/record", b"1")
    desk.stamp()
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / "a").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not a directory"):
        desk.export(tmp_path / "proofs", replace=True)
    assert tree(tmp_path / "proofs") == ["a"]
    (tmp_path / "proofs" / "a").unlink()
    (tmp_path / "proofs" / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError):
        desk.export(tmp_path / "proofs")


def test_other_files_are_written_with_the_proofs_or_nothing_is(desk, tmp_path):
    desk.stamp()
    prover, (found,) = Prover(desk.store, {}), desk.examined("letter")
    also = {os.fsencode(tmp_path / "proofs" / "note.json"): b"{}"}
    assert export(prover, [found], tmp_path / "proofs", replace=False, also=also).written == 1
    assert tree(tmp_path / "proofs") == ["letter.medproof", "note.json"]
    assert stat.S_IMODE((tmp_path / "proofs" / "note.json").stat().st_mode) == 0o600
    (tmp_path / "proofs" / "letter.medproof").unlink()
    with pytest.raises(UsageError, match="1 of these"):
        export(prover, [found], tmp_path / "proofs", replace=False, also=also)
    assert tree(tmp_path / "proofs") == ["note.json"]


def test_what_is_not_a_draft_survives_an_export_beside_it(desk, tmp_path):
    desk.stamp()
    (tmp_path / "proofs" / ".medanchor-clinic").mkdir(parents=True)
    os.utime(tmp_path / "proofs" / ".medanchor-clinic", (0, 0))
    draft = tmp_path / "proofs" / ".medanchor-draft-0123456789abcdef.medproof"
    draft.write_bytes(b"cut short")
    os.utime(draft, (0, 0))
    desk.export(tmp_path / "proofs")
    assert (tmp_path / "proofs" / ".medanchor-clinic").is_dir()
    assert not draft.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET envelope = x'7b7d'",
        "UPDATE tile SET records = substr(records, 2)",
        "UPDATE anchor SET evidence = x'7b7d'",
        "DELETE FROM signer",
        "DELETE FROM entry",
    ],
)
def test_what_is_damaged_is_the_vault_and_not_the_proof(desk, statement):
    desk.stamp()
    desk.anchor()
    desk.store.database.execute(statement)
    with pytest.raises(VaultError) as caught:
        Prover(desk.store, {}).proof(Place(0, 0))
    assert caught.value.hint == "run 'medanchor audit'"


def test_nothing_to_export_is_nothing_exported(desk, tmp_path):
    exported = desk.export(tmp_path / "proofs")
    assert (exported.written, len(exported.unproved)) == (0, 3)
    assert not (tmp_path / "proofs").exists()
