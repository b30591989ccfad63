"""Ordinary mistakes and a hostile machine: one error, one hint, its exit code, no traceback, and nothing lost."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transcript import Transcript, assert_one_error, run, tree
from world import surroundings

from medanchor.chain.embedded import EmbeddedChain

WRITERS = [["stamp", "visit"], ["anchor"], ["key", "new", "other"], ["key", "rotate", "default"]]
READERS = [
    ["verify", "visit"],
    ["status"],
    ["log"],
    ["audit"],
    ["key", "list"],
    ["proof", "export", "visit", "-o", "p"],
]
EVERYTHING = [*WRITERS, *READERS, ["doctor"]]


@pytest.fixture
def vault(user):
    assert run("stamp", "visit/letter.txt", "--anchor").code == 0
    return user / "home" / ".local" / "share" / "medanchor"


# The vault


def test_a_vault_of_a_newer_version(vault):
    with sqlite3.connect(vault / "medanchor.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = tree(vault)
    for command in EVERYTHING:
        assert_one_error(run(*command), 5, "version", "newer")
    assert tree(vault) == before


def test_a_database_of_another_program(vault):
    (vault / "medanchor.db").unlink()
    with sqlite3.connect(vault / "medanchor.db") as database:
        database.execute("CREATE TABLE shopping (item)")
    database.close()
    (vault / "medanchor.db").chmod(0o600)
    for command in EVERYTHING:
        assert_one_error(run(*command), 5, "is not a vault")


def test_a_database_that_is_rubbish(vault):
    (vault / "medanchor.db").write_bytes(os.urandom(4096))
    for command in EVERYTHING:
        assert_one_error(run(*command), 5, "damaged", "backup")


def test_a_database_cut_short(vault):
    data = (vault / "medanchor.db").read_bytes()
    (vault / "medanchor.db").write_bytes(data[: len(data) // 2])
    for command in ([*READERS[0]], ["audit"]):
        done = run(*command)
        assert done.code in (4, 5)
        assert "Traceback" not in done.err


def test_a_directory_where_the_database_should_be(vault):
    (vault / "medanchor.db").unlink()
    (vault / "medanchor.db").mkdir()
    for command in EVERYTHING:
        assert_one_error(run(*command), 5, "there is no vault")


@pytest.mark.parametrize("path", ["medanchor.db", "keys/default.key", "."], ids=["database", "key", "vault"])
def test_what_others_may_read_is_refused(vault, path):
    (vault / path).chmod(0o755 if path == "." else 0o644)
    assert_one_error(run("stamp", "visit"), 5, "owner's alone", "chmod")
    assert run("doctor").code == 5


def test_a_damaged_key_file(vault):
    key = vault / "keys" / "default.key"
    key.write_bytes(key.read_bytes().replace(b'"role":""', b'"role":"x"'))
    assert_one_error(run("stamp", "visit"), 5, "key file of default is damaged", "backup")


def test_a_damaged_chain(vault):
    for file in (vault / "chain" / "regtest" / "blocks").glob("blk*.dat"):
        data = bytearray(file.read_bytes())
        data[5000:5064] = bytes(64)  # in a block: the file is mostly room for more of them
        file.write_bytes(data)
    assert_one_error(run("chain", "check"), 6, "cannot be read", "backup")
    assert_one_error(run("audit"), 6, "cannot be read", "backup")


def test_a_chain_that_was_reorganised_under_an_anchor(vault):
    EmbeddedChain(vault / "chain", now=lambda: int(time.time())).reorg(6)
    status = run("status")
    assert "1 anchor reorganised away: run 'medanchor anchor'" in status.out
    assert run("status", "--json").json["anchors"][0]["state"] == "reorganised"
    assert_one_error(run("verify", "visit/letter.txt"), 3, "no block is known")
    assert "its block was reorganised away: run 'medanchor anchor'" in run("verify", "visit/letter.txt").out
    assert_one_error(run("audit"), 3, "the blocks of 1 anchor were reorganised away")
    run("proof", "export", "visit/letter.txt", "-o", "proofs")
    assert "1 of them pending" in run("proof", "export", "visit/letter.txt", "-o", "proofs", "--force").out
    done = run("anchor")
    assert (done.code, "had been reorganised away and was made again" in done.out) == (0, True)
    assert run("verify", "visit/letter.txt").code == 0
    assert run("audit").code == 0


def test_a_chain_that_cannot_be_asked_does_not_hide_the_status(vault):
    shutil.rmtree(vault / "chain" / "regtest")
    (vault / "chain" / "regtest").write_bytes(b"")
    done = run("status")
    assert (done.code, "the chain was not asked: " in done.out) == (0, True)
    assert run("doctor").code == 5


def test_a_file_where_the_chain_should_be(vault):
    shutil.rmtree(vault / "chain")
    (vault / "chain").write_bytes(b"")
    run("stamp", "visit")
    assert_one_error(run("anchor"), 6)


@pytest.mark.usefixtures("vault")
def test_the_network_of_another_kind():
    proof = Path("visit/letter.txt.medproof")
    assert run("proof", "export", "visit/letter.txt").code == 0
    proof.write_bytes(proof.read_bytes().replace(b'"regtest"', b'"mainnet"'))
    done = run("verify", "visit/letter.txt", "--proof", proof)
    assert (done.code, done.err.count("error: ")) == (4, 1)
    assert "difficulty that mainnet does not allow" in done.err


# The disk: made small or read-only in a mount namespace of the test's own


def mounted(script: str, user: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script as root of a user namespace of its own, where it may mount; `$M` is the command."""
    command = ["unshare", "--map-root-user", "--mount", "sh", "-euc", script]
    env = surroundings(user / "home") | {"M": f"{sys.executable} -m medanchor"}
    return subprocess.run(command, env=env, cwd=user, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def mounts(user):
    if not shutil.which("unshare") or mounted("mount -t tmpfs none visit", user).returncode:
        pytest.skip("mounting in a user namespace is not allowed here")


@pytest.mark.usefixtures("mounts")
def test_a_read_only_vault_still_verifies_and_says_why_it_cannot_be_written(vault, user):
    command = " ".join
    before = tree(vault)
    bind = f"mount --bind {vault} {vault}; mount -o remount,ro,bind {vault}; "
    for writer in WRITERS:
        done = mounted(f"{bind} $M {command(writer)}", user)
        assert_one_error(Transcript(done.returncode, done.stdout, done.stderr), 5, "read-only")
    done = mounted(f"{bind} $M verify visit/letter.txt", user)
    assert (done.returncode, "consistent" in done.stdout) == (3, True)
    for reader in (["status"], ["log"], ["key", "list"], ["audit"], ["proof", "export", "visit/letter.txt"]):
        assert mounted(f"{bind} $M {command(reader)}", user).returncode == 0, reader
    done = mounted(f"{bind} $M doctor", user)
    assert (done.returncode, "WRONG disk: the vault cannot be written" in done.stdout) == (5, True)
    assert tree(vault) == before


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("command", ["init", "stamp visit", "key new other", "stamp visit --anchor"])
def test_a_full_disk_is_told_and_loses_nothing(user, command):
    fill = "mkdir full; mount -t tmpfs -o size=600k none full; export MEDANCHOR_VAULT=$PWD/full/vault; "
    if command != "init":
        fill += "$M init --quiet; $M stamp visit/letter.txt --quiet; "
    fill += "dd if=/dev/zero of=full/filler bs=1k 2>/dev/null || true; "
    after = "; code=$?; rm full/filler; $M audit >audit || echo BAD; [ -e full/vault ] && $M log >log; exit $code"
    if command == "init":
        after = "; code=$?; ls -A full >left; exit $code"
    done = mounted(f"{fill} set +e; $M {command} {after}", user)
    assert done.returncode in (5, 6)
    assert_one_error(Transcript(done.returncode, "", done.stderr), done.returncode, "space")
    if command == "init":
        assert (user / "left").read_text() == "filler\n"
    else:
        assert "BAD" not in done.stdout
        assert "1 record as authorship" in (user / "log").read_text()


@pytest.mark.usefixtures("vault")
@pytest.mark.usefixtures("mounts")
def test_an_export_onto_a_full_disk_leaves_no_half_a_proof(user):
    script = (
        "mkdir out; mount -t tmpfs -o size=8k none out; dd if=/dev/zero of=out/filler bs=1k 2>/dev/null || true; "
        "set +e; $M proof export visit/letter.txt -o out; code=$?; ls -A out >left; exit $code"
    )
    done = mounted(script, user)
    assert_one_error(Transcript(done.returncode, done.stdout, done.stderr), 2, "no space left")
    assert (user / "left").read_text() == "filler\n"
