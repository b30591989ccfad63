"""The audit: silent about a sound vault, and never silent about a damaged one."""

import shutil
from dataclasses import replace

import pytest
from desk import Desk, ignore
from vaulted import another_signer, in_hand, numbered, pack, put

from medanchor.errors import ChainError
from medanchor.notary.audit import audit
from medanchor.notary.examine import Verdict
from medanchor.vault.anchors import list_anchors, put_anchor
from medanchor.vault.digest_index import rows_of
from medanchor.vault.rows import seal
from medanchor.vault.tiles import Tile


@pytest.fixture(scope="module")
def full_template(template, tmp_path_factory):
    """A vault with two signers, two anchors, a pending entry, and a bundle of two tiles."""
    root = tmp_path_factory.mktemp("full")
    shutil.copytree(template, root / "vault")
    with Desk(root / "vault", root / "records") as desk:
        desk.write("letter", b"letter")
        desk.write("image", b"image")
        desk.stamp()
        desk.anchor()
        put(desk.store, in_hand(numbered(1500), b"/not/here"))
        desk.stamp(signer=another_signer(desk.store))
        desk.anchor()
        desk.stamp("letter", meaning="review")
    return root


@pytest.fixture
def full(full_template, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(full_template, tmp_path, dirs_exist_ok=True)
    with Desk(tmp_path / "vault", tmp_path / "records") as ready:
        yield ready


def test_a_sound_vault_is_sound(full):
    result = full.audit()
    assert result.damage == []
    assert (result.entries, result.records, result.anchors) == (4, 2 + 1500 + 2 + 1, 2)


def test_an_empty_vault_is_sound(desk):
    result = desk.audit(sweep=True)
    assert (result.damage, result.findings, result.unreadable, result.entries) == ([], [], [], 0)


DAMAGE = {
    "vault": "UPDATE vault SET origin = 'another.example/ledger'",
    "entry-envelope": "UPDATE entry SET envelope = CAST(replace(envelope, '1', '2') AS BLOB) WHERE position = 1",
    "entry-checkpoint": "UPDATE entry SET checkpoint = replace(checkpoint, 'clinic', 'another') WHERE position = 1",
    "entry-checkpoint-of-another": "UPDATE entry SET checkpoint = (SELECT checkpoint FROM entry WHERE position = 0)"
    " WHERE position = 1",
    "entry-checkpoint-gone": "UPDATE entry SET checkpoint = '' WHERE position = 3",
    "entry-gone": "DELETE FROM entry WHERE position = 1",
    "node": "UPDATE node SET hash = zeroblob(32) WHERE level = 0 AND position = 1",
    "node-gone": "DELETE FROM node WHERE level = 1",
    "tile-salt": "UPDATE tile SET records = CAST(zeroblob(16) || substr(records, 17) AS BLOB) WHERE id = 2",
    "tile-raw": "UPDATE tile SET records = CAST(substr(records, 1, length(records) - 32) || zeroblob(32) AS BLOB)"
    " WHERE id = 3",
    "tile-root": "UPDATE tile SET root = zeroblob(32) WHERE id = 2",
    "tile-names": "UPDATE tile SET names = zeroblob(8) WHERE id = 2",
    "tile-gone": "DELETE FROM tile WHERE id = 3",
    "folder": "UPDATE folder SET path = x'2f' WHERE id = 2",
    "span": "UPDATE span SET first = first + 1",
    "digest": "DELETE FROM digest WHERE location % 2",
    "signer-name": "UPDATE signer SET name = 'Dr M. Mallory'",
    "signer-gone": "DELETE FROM signer WHERE name LIKE '%B.%'",
    "anchor-size": "UPDATE anchor SET size = 1 WHERE id = 2",
    "anchor-size-none": "UPDATE anchor SET size = 0, evidence = NULL WHERE id = 1",
    "anchor-size-negative": "UPDATE anchor SET size = -3, evidence = NULL WHERE id = 2",
    "anchor-size-huge": "UPDATE anchor SET size = 9223372036854775807, evidence = NULL WHERE id = 2",
    "tile-records-odd": "UPDATE tile SET records = substr(records, 2) WHERE id = 2",
    "tile-number-huge": "UPDATE tile SET id = 9223372036854775807 WHERE id = 3",
    "anchor-size-beyond": "UPDATE anchor SET size = 99 WHERE id = 2",
    "anchor-evidence": "UPDATE anchor SET evidence = x'7b7d' WHERE id = 1",
    "anchor-evidence-of-another": "UPDATE anchor SET evidence = (SELECT evidence FROM anchor WHERE id = 1)"
    " WHERE id = 2",
    "anchor-transaction": "UPDATE anchor SET transaction_bytes = zeroblob(100) WHERE id = 1",
    "anchor-transaction-of-another": "UPDATE anchor SET transaction_bytes = (SELECT transaction_bytes FROM anchor"
    " WHERE id = 1) WHERE id = 2",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_told_with_the_rest(full, name):
    changed = full.store.database.execute(DAMAGE[name]).rowcount
    assert changed
    result = full.audit(sweep=True)
    assert result.damage
    assert len(result.damage) == len(set(result.damage)), "each is told once"
    assert result.entries in (3, 4)
    assert not result.findings, "records are not judged by a damaged vault"


def test_evidence_for_another_head_is_found_although_its_row_is_whole(full):
    first, second = list_anchors(full.store)
    put_anchor(full.store, replace(second, evidence=first.evidence))
    assert full.damage() == ["the transaction anchors another ledger, or another state of it"]


def test_records_exchanged_by_someone_who_mends_seals_and_indices_are_found(full):
    """Seals find accidents; what finds an intruder is the signature on the bundle's root."""
    database = full.store.database
    row = list(database.execute("SELECT * FROM tile WHERE id = 1").fetchone()[:-1])
    names = [column[1] for column in database.execute("PRAGMA table_info(tile)")][:-1]
    old = Tile(*(row[names.index(column)] for column in ("records", "root", "names")))
    new = pack(old.salts, [bytes(32), *old.raws()[1:]], old.name_list())
    for column in ("records", "root", "names"):
        row[names.index(column)] = getattr(new, column)
    database.execute("DELETE FROM tile WHERE id = 1")
    database.execute("INSERT INTO tile VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, seal("tile", *row)))
    database.execute("DELETE FROM digest WHERE location >> 10 = 1")
    database.executemany("INSERT INTO digest VALUES (?, ?)", rows_of(1, new.digests))
    assert full.damage() == ["the records of entry 0 are not those that were signed for"]


def test_entries_that_were_signed_for_another_ledger_are_found(full):
    full.store.origin = "another.example/ledger"
    damage = full.damage()
    for entry in range(4):
        assert f"entry {entry} was made for another ledger" in damage
        assert f"the checkpoint of entry {entry} is of another ledger, or of another state of it" in damage


def test_without_a_chain_anchors_are_checked_for_consistency_alone(full):
    full.chain.reorg(3)
    result = audit(full.store, None, sweep=False, progress=ignore)
    assert (result.damage, result.anchors) == ([], 2)


def test_a_damaged_key_file_is_found(full):
    path = full.store.directory / "keys" / "other.key"
    path.write_bytes(path.read_bytes().replace(b"radiologist", b"administrat"))
    assert full.damage() == ["the key file of other is damaged: its seal, its version or its name is another"]


def test_a_key_file_for_others_to_read_is_found(full):
    (full.store.directory / "keys" / "default.key").chmod(0o644)
    assert "found mode 0644" in full.damage()[0]


def test_an_anchor_whose_block_is_gone_is_told(full):
    full.chain.reorg(3)
    found = full.audit(sweep=True)
    assert (found.damage, found.reorganised) == ([], [2])
    assert found.swept
    full.anchor()
    found = full.audit()
    assert (found.damage, found.reorganised) == ([], [])


def test_a_chain_that_cannot_be_asked_ends_the_audit(full, monkeypatch):
    def unreachable(_heights):
        raise ChainError("nobody answers")

    monkeypatch.setattr(full.chain, "headers", unreachable)
    with pytest.raises(ChainError, match="nobody answers"):
        full.audit()


def test_a_sweep_reads_every_stamped_path_again(desk):
    for folder in ("a", "b", "c", "d"):
        for number in range(60):
            desk.write(f"{folder}/{number:02}", f"{folder}{number}".encode())
    desk.stamp()
    result = desk.audit(sweep=True)
    assert (result.damage, result.findings, result.unreadable) == ([], [], [])
    assert result.swept == 3 + 240


def test_a_sweep_tells_what_is_not_as_it_was_last_stamped(desk):
    desk.write("a/gone", b"1")
    desk.write("folder", b"2")
    desk.stamp()
    desk.write("letter", b"edited")
    for name in ("a/gone", "image", "folder"):
        (desk.records / name).unlink()
    (desk.records / "folder").mkdir()
    result = desk.audit(sweep=True)
    assert sorted((desk.name(each.path), each.verdict) for each in result.findings) == [
        ("a/gone", Verdict.MISSING),
        ("image", Verdict.MISSING),
        ("letter", Verdict.CHANGED),
    ]
    assert [(desk.name(each.path), each.reason) for each in result.unreadable] == [("folder", "is a directory")]
    assert result.swept == 2


def test_a_sweep_tells_an_earlier_version_put_back(desk):
    for content in (b"one", b"two"):
        desk.write("letter", content)
        desk.stamp()
    desk.write("letter", b"one")
    (finding,) = desk.audit(sweep=True).findings
    assert (desk.name(finding.path), finding.verdict, finding.later) == ("letter", Verdict.UNCHANGED, 1)
    desk.stamp("letter", again=True)
    assert desk.audit(sweep=True).findings == []


def test_what_cannot_be_reached_is_not_called_missing(desk, monkeypatch):
    desk.stamp()

    def refuse(*_arguments, **_keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.lstat", refuse)
    assert desk.audit(sweep=True).findings == []
