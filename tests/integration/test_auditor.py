"""The auditor's machine: one record, one proof, no vault, an empty home, and a network that is cut off."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transcript import Transcript
from world import surroundings

from medanchor.chain.embedded import EmbeddedChain


@pytest.fixture
def machine(tmp_path, anchored):
    """Return what runs a command on a machine that has a record, its proof and the headers, and nothing else."""
    shutil.copy(anchored.visit / "letter.txt", tmp_path)
    shutil.copy(anchored.proofs / "letter.txt.medproof", tmp_path)
    shutil.copy(anchored.root / "headers.bin", tmp_path)
    cut_off = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*cut_off, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a network namespace of one's own is not allowed here")

    def run_there(*args: str) -> Transcript:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        command = [*cut_off, sys.executable, "-m", "medanchor", *args]
        done = subprocess.run(
            command, env=surroundings(home), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert list(home.iterdir()) == []  # an auditor is left nothing they did not ask for
        return Transcript(done.returncode, done.stdout, done.stderr)

    return run_there


PROOF = ("--proof", "letter.txt.medproof")


def test_a_record_and_its_proof_are_consistent_and_no_more(machine):
    done = machine("verify", "letter.txt", *PROOF)
    assert done.code == 3
    assert done.out.startswith("consistent, but nothing outside this file confirms the block")
    assert "verified" not in done.out


def test_the_proof_beside_the_record_is_found(machine):
    assert machine("verify", "letter.txt").out.startswith("consistent, ")


def test_headers_make_it_verified(machine):
    done = machine("verify", "letter.txt", *PROOF, "--headers", "headers.bin")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("verified against the header chain up to height 107: the record existed, unchanged,")
    assert "mind: it does not say that the content is true" in done.out
    assert machine("verify", "letter.txt", *PROOF, "--headers", "headers.bin", "--json").json["trust"]["level"] == 2


def test_headers_that_are_no_chain_say_nothing_about_the_proof(machine, tmp_path):
    data = bytearray((tmp_path / "headers.bin").read_bytes())
    data[80 * 103 + 70] ^= 1  # the time of the block after the anchor's
    (tmp_path / "headers.bin").write_bytes(data)
    done = machine("verify", "letter.txt", *PROOF, "--headers", "headers.bin")
    assert (done.code, done.out) == (6, "")
    assert "the headers in headers.bin cannot be believed" in done.err


def test_headers_of_another_chain_contradict_it(machine, tmp_path):
    chain = EmbeddedChain(tmp_path / "another", now=lambda: int(time.time()))
    chain.mine(10)
    headers = chain.headers(range(chain.tip().height + 1))
    (tmp_path / "headers.bin").write_bytes(b"".join(headers))
    done = machine("verify", "letter.txt", *PROOF, "--headers", "headers.bin")
    assert (done.code, done.out[:27]) == (4, "NOT VERIFIED: step 8, TRUST")


def test_one_byte_is_seen(machine, tmp_path):
    record = tmp_path / "letter.txt"
    record.write_bytes(record.read_bytes().replace(b"well", b"weld"))
    done = machine("verify", "letter.txt", *PROOF, "--headers", "headers.bin")
    assert (done.code, done.out[:27]) == (4, "NOT VERIFIED: step 1, RECOR")


def test_nothing_of_the_clinic_is_needed(machine, anchored):
    """The proof alone carries what is shown; the clinic's directory is not looked at."""
    done = machine("proof", "inspect", "letter.txt.medproof")
    assert done.code == 0
    assert str(anchored.root) not in Path(done.out).as_posix()
