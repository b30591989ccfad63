"""`proof export --ots`: beside each proof the file that OpenTimestamps' own client looks for, once it is anchored."""

import stat
from pathlib import Path

import pytest
from otsfiles import HELLO_WORLD
from transcript import run

from medanchor.errors import UsageError


def test_an_ots_is_written_beside_the_proof_and_for_its_owner_alone():
    assert run("stamp", "visit", "--anchor").code == 0
    assert run("proof", "export", "visit", "--ots").out == "3 proofs written, 3 of them as .ots too\n"
    written = sorted(Path("visit").glob("*.*.*"))
    assert [path.name for path in written] == [
        f"{name}.{suffix}" for name in ("image.dcm", "letter.txt", "results.hl7") for suffix in ("medproof", "ots")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}


def test_a_pending_record_gets_no_ots_and_is_told():
    assert run("stamp", "visit").code == 0
    done = run("proof", "export", "visit", "-o", "proofs", "--ots")
    assert (done.code, list(Path("proofs").glob("*.ots"))) == (3, [])
    assert "3 proofs written, 0 of them as .ots too\n3 of them pending" in done.out
    assert "no .ots yet: 3 records not anchored" in done.err
    done = run("proof", "export", "visit", "-o", "more", "--ots", "--json")
    assert (done.code, done.json["written"], done.json["pending"], done.json["ots"]) == (3, 3, 3, 0)


@pytest.mark.parametrize("there", ["letter.txt.ots", "letter.txt.medproof"])
def test_nothing_is_overwritten_unless_asked(there):
    assert run("stamp", "visit", "--anchor").code == 0
    Path("proofs").mkdir()
    Path("proofs", there).write_bytes(b"mine")
    refused = run("proof", "export", "visit", "-o", "proofs", "--ots")
    assert (refused.code, [path.name for path in Path("proofs").iterdir()]) == (2, [there])
    assert run("proof", "export", "visit", "-o", "proofs", "--ots", "--force").code == 0
    assert Path("proofs", there).read_bytes() != b"mine"


def test_without_ots_a_stranger_s_ots_stays():
    assert run("stamp", "visit", "--anchor").code == 0
    Path("visit/letter.txt.ots").write_bytes(HELLO_WORLD)
    assert run("proof", "export", "visit", "--force").code == 0
    assert Path("visit/letter.txt.ots").read_bytes() == HELLO_WORLD


def test_a_proof_too_long_for_the_format_is_told(monkeypatch):
    assert run("stamp", "visit", "--anchor").code == 0

    def detached(_proof):
        raise UsageError("too long")

    monkeypatch.setattr("medanchor.interop.ots.detached", detached)
    done = run("proof", "export", "visit/letter.txt", "-o", "proofs", "--ots")
    assert (done.code, [path.name for path in Path("proofs").iterdir()]) == (9, ["letter.txt.medproof"])
    assert "letter.txt: its proof is too long for OpenTimestamps" in done.out
    done = run("proof", "export", "visit/letter.txt", "-o", "more", "--ots", "--json")
    assert (done.code, done.json["too_long_for_ots"]) == (9, 1)


def test_ots_files_in_folders_are_no_records():
    assert run("stamp", "visit", "--anchor").code == 0
    assert run("proof", "export", "visit", "--ots").code == 0
    assert "nothing new to stamp" in run("stamp", "visit").out
    assert run("verify", "visit").code == 0
    Path("visit/template.ots").write_bytes(b"PK\x03\x04 a template of a spreadsheet")
    assert "1 record stamped" in run("stamp", "visit").out
