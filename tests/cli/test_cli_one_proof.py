"""`verify --proof`: what is settled before a source is asked, whose fault a failure is, what needs no vault."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transcript import assert_one_error, run
from world import surroundings

LETTER = ("visit/letter.txt", "--proof", "letter.medproof")


@pytest.fixture
def auditor(user, anchored):
    """Return the directory of an auditor who has a record, its proof, a pending proof, headers and a stranger's key."""
    shutil.copy(anchored.proofs / "letter.txt.medproof", user / "letter.medproof")
    shutil.copy(anchored.root / "headers.bin", user)
    clinic = ("--vault", str(user / "clinic"))
    assert run("init", *clinic, "--key", "stranger").code == 0
    Path("stranger.json").write_text(run("key", "export", "stranger", *clinic).out)
    assert run("stamp", "visit/letter.txt", *clinic).code == 0
    assert run("proof", "export", "visit/letter.txt", "-o", "pending", *clinic).code == 0
    Path("signer.json").write_text(run("key", "export", "default", "--vault", str(anchored.vault)).out)
    return user


def assert_refused(done, step):
    assert_one_error(done, 4)
    assert done.out.startswith(f"NOT VERIFIED: step {step}, ")


# Whose key


@pytest.mark.usefixtures("auditor")
def test_another_signer_is_seen_on_a_pending_proof():
    pending = ("visit/letter.txt", "--proof", "pending/letter.txt.medproof")
    assert_refused(run("verify", *pending, "--signer", "signer.json"), 3)
    assert run("verify", *pending, "--signer", "stranger.json").code == 3


def test_another_signer_is_seen_where_the_headers_end_too_early(auditor):
    data = (auditor / "headers.bin").read_bytes()
    (auditor / "short.bin").write_bytes(data[: 80 * 50])
    short = (*LETTER, "--headers", "short.bin")
    assert_refused(run("verify", *short, "--signer", "stranger.json"), 3)
    assert run("verify", *short, "--signer", "signer.json").code == 3


@pytest.mark.usefixtures("auditor")
def test_another_signer_comes_before_a_block_that_is_not_there():
    assert run("stamp", "visit", "--anchor", "--vault", "clinic").code == 0
    assert run("chain", "export", "other.bin", "--vault", "clinic").code == 0
    other = (*LETTER, "--headers", "other.bin")
    assert_refused(run("verify", *other, "--signer", "stranger.json"), 3)
    assert_refused(run("verify", *other, "--signer", "signer.json"), 8)


# Whose fault


def damaged(data):
    return data[: 80 * 103 + 70] + bytes([data[80 * 103 + 70] ^ 1]) + data[80 * 103 + 71 :]


BAD_HEADERS = {
    "damaged": damaged,
    "cut": lambda data: data[:-1],
    "empty": lambda _data: b"",
    "of-another-network": lambda data: data[80:],
    "in-another-order": lambda data: data[:80] + data[160:240] + data[80:160],
}


@pytest.mark.parametrize("damage", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_bad_headers_are_no_fault_of_the_proof_and_hide_none(auditor, damage):
    (auditor / "bad.bin").write_bytes(damage((auditor / "headers.bin").read_bytes()))
    done = run("verify", *LETTER, "--headers", "bad.bin")
    assert_one_error(done, 6, "the headers in bad.bin cannot be believed")
    assert done.out == ""
    (auditor / "visit" / "letter.txt").write_bytes(b"changed")
    assert_refused(run("verify", *LETTER, "--headers", "bad.bin"), 1)


# Without a vault


@pytest.mark.usefixtures("auditor")
def test_a_variable_that_names_no_vault_is_no_hindrance(auditor):
    nowhere = {"MEDANCHOR_VAULT": str(auditor / "nowhere")}
    assert run("verify", *LETTER, "--headers", "headers.bin", env=nowhere).code == 0
    done = run("verify", *LETTER, env=nowhere)
    assert (done.code, done.out.startswith("consistent, ")) == (3, True)
    shutil.copy("letter.medproof", "visit/letter.txt.medproof")
    done = run("verify", "visit/letter.txt", env=nowhere)
    assert (done.code, "using the proof that lies beside the record" in done.err) == (3, True)


def test_a_variable_that_names_a_damaged_vault_is_told_of_and_does_not_stop_it(auditor):
    (auditor / "clinic" / "medanchor.db").write_bytes(b"rubbish" * 1000)
    done = run("verify", *LETTER, env={"MEDANCHOR_VAULT": str(auditor / "clinic")})
    assert (done.code, "the vault here was not asked: " in done.err) == (3, True)
    assert run("verify", *LETTER, "--vault", "clinic").code == 5


@pytest.mark.usefixtures("auditor")
def test_a_vault_that_was_insisted_on_must_be_there():
    assert_one_error(run("verify", *LETTER, "--vault", "nowhere"), 5, "there is no vault")


# What is read


def test_a_record_and_a_proof_come_from_commands(auditor):
    script = f"{sys.executable} -m medanchor verify <(cat visit/letter.txt) --proof <(cat letter.medproof)"
    env = surroundings(auditor / "home")
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.startswith("consistent, ")) == (3, True), done.stderr
    script = script.replace("letter.txt", "image.dcm")
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.startswith("NOT VERIFIED: step 1, ")) == (4, True), done.stderr


@pytest.mark.usefixtures("auditor")
@pytest.mark.parametrize("paths", [["-"], ["visit", "-"]], ids=["alone", "among-others"])
def test_stdin_is_verified_with_a_proof_only(paths):
    assert run("stamp", "visit").code == 0
    assert_one_error(run("verify", *paths, stdin=b"x"), 2, "give it with --proof")
    Path("-").write_bytes(b"a file of that name")
    assert run("verify", "./-").code == 8


# What follows what


@pytest.mark.usefixtures("user")
def test_a_proof_of_a_retraction_says_that_it_is_one():
    assert run("stamp", "visit").code == 0
    Path("visit/letter.txt").write_bytes(b"as it should have been\n")
    follows = ["--follows", "0", "--follows-as", "retraction", "--reason", "wrong-record"]
    assert run("stamp", "visit/letter.txt", *follows, "--anchor").code == 0
    assert run("proof", "export", "visit", "-o", "proofs").code == 0
    told = [{"entry": 0, "kind": "retraction", "reason": "wrong-record"}]
    for arguments in (["visit/letter.txt"], ["visit/letter.txt", "--proof", "proofs/letter.txt.medproof"]):
        sentence = run("verify", *arguments).out.splitlines()[0]
        assert sentence.startswith("verified by ")
        assert sentence.endswith("Z, following entry 0 as retraction")
        value = run("verify", *arguments, "--json").json
        assert (value if "verdict" in value else value["bundles"][0]["attestation"])["follows"] == told
    shown = run("proof", "inspect", "proofs/letter.txt.medproof")
    assert "follows     entry 0 as retraction (wrong-record)" in shown.out.splitlines()
    assert run("proof", "inspect", "proofs/letter.txt.medproof", "--json").json["follows"] == told
    assert "follow" not in run("verify", "visit/image.dcm", "--proof", "proofs/image.dcm.medproof").out
    assert "follow" not in run("proof", "inspect", "proofs/image.dcm.medproof").out
    assert ", following entry 0 as retraction; " in run("log").out
