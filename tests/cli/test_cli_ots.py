"""`verify --proof FILE.ots`: judged at each level as a proof is, and never more than it says."""

import json
import shutil
from hashlib import sha1
from pathlib import Path

import pytest
from otsfiles import LITECOIN, SHA1, SHA256, append, attest, bitcoin, fork, number, ots, pending
from transcript import run

from medanchor.core.hashes import sha256
from medanchor.core.header import Network
from medanchor.core.verify import TrustLevel, Witness

LETTER = b"Dear colleague, all is well.\n"
OTS = ("visit/letter.txt", "--proof", "letter.ots")


@pytest.fixture(autouse=True)
def auditor(user, anchored):
    """Who has a record, its .ots and the headers, and no vault; `clinic` is the vault that knows the block."""
    shutil.copytree(anchored.vault, user / "clinic")
    exported = run("proof", "export", anchored.visit / "letter.txt", "-o", "made", "--ots", "--vault", "clinic")
    assert exported.code == 0
    shutil.copy("made/letter.txt.ots", "letter.ots")
    shutil.copy(anchored.root / "headers.bin", "headers.bin")


def made(*body):
    Path("letter.ots").write_bytes(ots(*body, digest=sha256(LETTER)))


def test_the_vault_s_chain_verifies_it():
    done = run("verify", *OTS, "--vault", "clinic")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("verified by the embedded regtest chain: the record existed, unchanged, no later than")
    assert "block 102 on regtest, 6 confirmations\nrests on: what the embedded regtest chain says is" in done.out
    assert "mind: an OpenTimestamps file names no signer, no statement and no meaning" in done.out
    assert "signed" not in done.out
    value = run("verify", *OTS, "--vault", "clinic", "--json").json
    assert (value["verdict"], value["trust"]["level"], value["signer"]["key_id"]) == ("verified", 3, None)


def test_this_user_s_own_vault_verifies_it_too(monkeypatch):
    monkeypatch.setenv("MEDANCHOR_VAULT", "clinic")
    assert run("verify", *OTS).code == 0


def test_a_chain_of_headers_verifies_it():
    done = run("verify", *OTS, "--headers", "headers.bin")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("verified against the header chain up to height 107: the record existed, unchanged")
    assert run("verify", *OTS, "--headers", "headers.bin", "--json").json["trust"]["level"] == 2


def test_alone_it_is_consistent_and_no_more():
    done = run("verify", *OTS)
    assert done.code == 3
    assert done.out.startswith("consistent, but nobody here knows the block: the record leads to the Merkle root ")
    assert "verified" not in done.out
    value = run("verify", *OTS, "--json").json
    assert (value["verdict"], value["trust"]) == ("consistent", {"level": 1, "witness": None})
    assert (value["block"]["height"], value["block"]["network"], value["block"]["time"]) == (102, None, None)


def test_a_record_on_stdin_is_judged():
    assert run("verify", "-", "--proof", "letter.ots", "--vault", "clinic", stdin=LETTER).code == 0


def test_it_is_found_beside_the_record_unless_there_is_a_proof():
    shutil.copy("letter.ots", "visit/letter.txt.ots")
    done = run("verify", "visit/letter.txt")
    assert (done.code, "nobody here knows the block" in done.out) == (3, True)
    shutil.copy("made/letter.txt.medproof", "visit/letter.txt.medproof")
    assert "signed by the key" in run("verify", "visit/letter.txt").out


@pytest.mark.parametrize("source", [[], ["--vault", "clinic"], ["--headers", "headers.bin"]])
def test_another_record_is_refused(source):
    done = run("verify", "visit/image.dcm", "--proof", "letter.ots", *source)
    assert (done.code, done.out[:35]) == (4, "NOT VERIFIED: step 1, RECORD: the r")


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[:200]])
def test_damage_is_malformed(damage):
    Path("letter.ots").write_bytes(damage(Path("letter.ots").read_bytes()))
    done = run("verify", *OTS, "--vault", "clinic")
    assert (done.code, done.out[:29]) == (4, "NOT VERIFIED: step 0, FORMAT:")
    assert run("proof", "inspect", "letter.ots").code == 4
    assert run("verify", *OTS, "--json").json["error"]["step"]["number"] == 0


def test_what_it_is_shows_in_the_file_and_not_in_its_name():
    shutil.copy("letter.ots", "timestamp")
    assert run("verify", "visit/letter.txt", "--proof", "timestamp", "--vault", "clinic").code == 0
    shutil.copy("made/letter.txt.medproof", "letter.ots")
    assert "signed by" in run("verify", *OTS).out
    Path("letter.ots").write_bytes(b"")
    assert "not an OpenTimestamps file" in run("verify", *OTS).err


def test_a_signer_cannot_be_asked_for():
    Path("key.json").write_bytes(b"{}")
    done = run("verify", *OTS, "--signer", "key.json")
    assert (done.code, "names no signer" in done.err) == (2, True)


def test_a_vault_on_another_chain_contradicts_it_only_if_it_was_named():
    assert run("init", "--vault", "other").code == 0
    assert run("stamp", "visit", "--anchor", "--vault", "other").code == 0
    done = run("verify", *OTS, "--vault", "other")
    assert (done.code, done.out[:27]) == (4, "NOT VERIFIED: step 8, TRUST")
    done = run("verify", *OTS, env={"MEDANCHOR_VAULT": "other"})
    assert (done.code, done.out[:12]) == (3, "consistent, ")
    assert "the vault here does not confirm it, and may be for another chain" in done.err


def test_a_chain_that_ends_below_the_block_cannot_say():
    genuine = Path("letter.ots").read_bytes()
    made(append(b"1") + SHA256 + bitcoin(358_391))
    done = run("verify", *OTS, "--vault", "clinic")
    assert (done.code, done.out) == (3, "")
    assert "ends at height 107, below the OpenTimestamps file's block 358391" in done.err
    assert "block 358391 of a Bitcoin network" in run("verify", *OTS).out
    Path("letter.ots").write_bytes(genuine)
    Path("short.bin").write_bytes(Path("headers.bin").read_bytes()[: 80 * 50])
    assert run("verify", *OTS, "--headers", "short.bin").code == 3


@pytest.mark.parametrize("source", ["--node", "--esplora"])
def test_a_source_of_an_unknown_network_is_not_asked(source):
    done = run("verify", *OTS, source, "http://127.0.0.1:1")
    assert (done.code, "does not say which network" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[80:], "expected header 0 to be the genesis block of a Bitcoin network"),
        (lambda _: b"", "expected headers of 80 bytes in headers.bin, found 0 bytes"),
        (lambda data: data[:-1], "expected headers of 80 bytes"),
        (lambda data: data[:8240] + bytes(80) + data[8320:], "header 103 does not follow header 102"),
    ],
)
def test_headers_that_are_no_chain_are_not_the_file_s_fault(damage, told):
    Path("headers.bin").write_bytes(damage(Path("headers.bin").read_bytes()))
    done = run("verify", *OTS, "--headers", "headers.bin")
    assert (done.code, told in done.err) == (6, True)


def test_headers_of_another_chain_contradict_it():
    assert run("init", "--vault", "other").code == 0
    assert run("stamp", "visit", "--anchor", "--vault", "other").code == 0
    assert run("chain", "export", "other.bin", "--vault", "other").code == 0
    assert run("verify", *OTS, "--headers", "other.bin").code == 4


def test_a_promise_is_pending():
    made(fork(pending("https://a.example"), pending("https://b.example")))
    done = run("verify", *OTS, "--vault", "clinic")
    assert (done.code, done.out) == (3, "")
    assert "names no block yet: it holds the promise of https://a.example, https://b.example to anchor it" in done.err
    assert "ots upgrade" in done.err
    assert run("verify", *OTS, "--json").json["error"]["class"] == "PendingError"


@pytest.mark.parametrize("source", [[], ["--vault", "clinic"], ["--headers", "headers.bin"]])
def test_another_chain_s_attestation_is_never_verified(source):
    made(attest(LITECOIN, number(102)))
    done = run("verify", *OTS, *source)
    assert (done.code, done.out) == (3, "")
    assert "names no Bitcoin block, only Litecoin" in done.err


def test_what_was_not_judged_is_told():
    data = Path("letter.ots").read_bytes()
    start = 31 + 2 + 32
    lines = fork(pending("https://a.example"), attest(LITECOIN, number(7)), data[start:])
    Path("letter.ots").write_bytes(data[:start] + lines)
    done = run("verify", *OTS, "--vault", "clinic")
    assert done.code == 0
    assert "not judged, as they are no blocks of Bitcoin: https://a.example, Litecoin" in done.out
    value = run("verify", *OTS, "--vault", "clinic", "--json").json
    assert value["not_judged"] == ["https://a.example", "Litecoin"]
    shown = run("proof", "inspect", "letter.ots")
    assert "promised by https://a.example\nother       Litecoin\n" in shown.out
    shown = run("proof", "inspect", "letter.ots", "--json").json
    assert (shown["calendars"], shown["others"]) == (["https://a.example"], ["Litecoin"])


def test_the_hashes_that_a_verdict_rests_on_are_told(monkeypatch):
    root = sha256(sha1(sha256(LETTER), usedforsecurity=False).digest())
    made(SHA1 + SHA256 + bitcoin(102))
    assert run("verify", *OTS, "--json").json["hashes"] == ["SHA-256", "SHA-1"]
    known = {102: Witness(TrustLevel.CONFIRMED, "a node", Network.REGTEST, 107, bytes(36) + root + bytes(12))}
    monkeypatch.setattr("medanchor.cli.ots._vault_witnesses", lambda *_: known)
    assert "rests on: what a node says is the best chain, and on SHA-256 and SHA-1\n" in run("verify", *OTS).out


def test_json_names_nothing():
    for source in ([], ["--vault", "clinic"]):
        assert "letter" not in json.dumps(run("verify", *OTS, *source, "--json").json)


def test_a_vault_that_cannot_be_asked_is_told_of_and_one_that_was_named_ends_it(monkeypatch):
    assert run("verify", *OTS, "--vault", "nosuch").code == 5
    database = Path("clinic/medanchor.db")
    database.write_bytes(b"no database" * 1000)
    assert run("verify", *OTS, "--vault", "clinic").code == 5
    monkeypatch.setenv("MEDANCHOR_VAULT", "clinic")
    done = run("verify", *OTS)
    assert (done.code, "the vault here was not asked" in done.err) == (3, True)


def test_a_vault_without_its_chain_knows_no_block():
    shutil.rmtree("clinic/chain")
    assert run("verify", *OTS, "--vault", "clinic").out[:12] == "consistent, "
