"""`chain sync`, `chain check FILE` and `verify --headers`, as people use them."""

import json
from pathlib import Path

import pytest
from headerchains import mainnet_rival, regtest
from transcript import run

CHAIN = regtest(130)


@pytest.fixture
def headers(user) -> Path:
    path = user / "headers.bin"
    path.write_bytes(b"".join(CHAIN[:120]))
    return path


def test_from_the_vaults_own_chain():
    assert run("init").code == 0
    done = run("chain", "sync", "new.bin")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("102 headers added to new.bin: it holds 102 headers of regtest, up to block ")
    assert run("chain", "sync", "new.bin").out.startswith("nothing new for new.bin: it holds 102 headers of regtest")


def test_from_another_file_without_a_vault(headers, user):
    (user / "more.bin").write_bytes(b"".join(CHAIN))
    done = run("chain", "sync", "headers.bin", "--from", "more.bin")
    assert (done.code, done.out[:32]) == (0, "10 headers added to headers.bin:")
    assert headers.read_bytes() == b"".join(CHAIN)
    assert sorted(path.name for path in user.iterdir()) == ["headers.bin", "home", "more.bin", "visit"]


def test_what_a_reorganisation_took_out_is_told(headers, user):
    (user / "rival.bin").write_bytes(b"".join(regtest(125, base=CHAIN[:110], seconds=7)))
    done = run("chain", "sync", "headers.bin", "--from", "rival.bin")
    assert "15 headers added to headers.bin, 10 taken out of a chain that has less work: it holds 125" in done.out
    value = run("chain", "sync", "headers.bin", "--from", "rival.bin", "--json").json
    assert (value["added"], value["removed"], value["headers"]) == (0, 0, 125)
    assert headers.stat().st_size == 125 * 80


def test_a_source_that_is_behind_is_told(headers, user):
    (user / "old.bin").write_bytes(b"".join(CHAIN[:50]))
    done = run("chain", "sync", "headers.bin", "--from", "old.bin")
    assert done.code == 0
    assert done.out.rstrip().endswith("; the file old.bin ends at height 49")
    assert headers.stat().st_size == 120 * 80


def test_a_file_is_checked_without_a_vault(headers):
    done = run("chain", "check", "headers.bin")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("headers.bin holds 120 headers of regtest, up to block ")
    headers.write_bytes(headers.read_bytes()[:-80] + bytes(80))
    done = run("chain", "check", "headers.bin")
    assert (done.code, done.out) == (6, "")
    assert "the headers in headers.bin cannot be believed: header 119 does not follow header 118" in done.err


def test_a_rival_of_mainnet_is_told_as_what_it_is(user):
    (user / "rival.bin").write_bytes(b"".join(mainnet_rival()))
    done = run("chain", "check", "rival.bin")
    assert done.code == 6
    assert "expected mainnet's headers to hold 2^96 hashes of work or more, found 2^42" in done.err
    assert "a chain made to deceive looks like this" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--from", "headers.bin", "--node", "http://127.0.0.1:1"],
            "--from names a file of headers instead of a server",
        ),
        (["--node", "http://127.0.0.1:1"], "expected --network for a new file"),
        (["--node", "http://127.0.0.1:1", "--network", "moon"], "expected a network out of"),
        (["--from", "nosuch.bin"], "cannot read the headers in nosuch.bin"),
        (["--from", "visit/letter.txt"], "expected headers in visit/letter.txt"),
    ],
)
@pytest.mark.usefixtures("headers")
def test_mistakes(words, told):
    done = run("chain", "sync", "new.bin", *words)
    assert done.code == 2
    assert told in done.err
    assert "hint: " in done.err
    assert not Path("new.bin").exists()


def test_a_node_that_is_not_there(headers):
    """The network is that of the file; nothing is lost."""
    done = run("chain", "sync", "headers.bin", "--node", "http://127.0.0.1:1")
    assert done.code == 6
    assert "http://127.0.0.1:1" in done.err
    assert headers.stat().st_size == 120 * 80
    assert run("chain", "sync", "headers.bin", "--esplora", "http://127.0.0.1:1").code == 6


def test_a_long_file_is_remembered_and_a_damaged_note_only_costs_time(headers, user, monkeypatch):
    monkeypatch.setattr("medanchor.chain.header_file.WORTH_REMEMBERING", 80)
    monkeypatch.setenv("XDG_CACHE_HOME", str(user / "cache"))
    assert run("chain", "check", "headers.bin").code == 0
    note = user / "cache" / "medanchor" / "headers.json"
    (remembered,) = json.loads(note.read_text())["files"]
    assert remembered["length"] == headers.stat().st_size
    note.write_text("garbage")
    assert run("chain", "check", "headers.bin").code == 0
    assert len(json.loads(note.read_text())["files"]) == 1
