"""`medanchor wallet`: a wallet of the vault's own, from its words to the anchors it pays for."""

import base64
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

import bdkpython
import pytest
from loopback_esplora import LoopbackEsplora
from loopback_ledger import Ledger
from test_cli_json import documented, members
from transcript import assert_one_error, run, spawn
from world import surroundings

from medanchor.core.header import Network
from medanchor.vault import sealed
from medanchor.wallet.bdk import sign
from medanchor.wallet.descriptors import from_words, new_words

ABANDON = "abandon " * 11 + "about"


@pytest.fixture(scope="module")
def esplora(tmp_path_factory):
    with LoopbackEsplora(Ledger(tmp_path_factory.mktemp("chain"))) as server:
        yield server


@pytest.fixture
def vault(user, esplora, monkeypatch):
    """A vault on regtest that knows its blocks from an Esplora server."""
    monkeypatch.setattr(sealed, "SCRYPT_N", 16)
    esplora.plan()
    esplora.ledger.mine()
    assert run("init").code == 0
    monkeypatch.setenv("MEDANCHOR_ESPLORA", esplora.url)
    return user / "home" / ".local" / "share" / "medanchor"


def done_json(*words: str) -> dict:
    """What a command that goes well prints for scripts: just what docs/json.md has for it."""
    done = run(*words, "--json")
    assert (done.code, done.err) == (0, ""), done.out
    told = documented()[f"`medanchor {' '.join(words[:2])}`"]
    assert {name.removesuffix("[]") for name in members(done.json)} | {"words"} == {
        name.removesuffix("[]") for name in told
    } | {"words"}
    return done.json


def fund(esplora, address: str, satoshi: int = 100_000) -> None:
    esplora.ledger.fund(bdkpython.Address(address, bdkpython.Network.REGTEST).script_pubkey().to_bytes(), satoshi)


def words_file(words: str = ABANDON, mode: int = 0o600) -> Path:
    file = Path("words.txt")
    file.write_text(words + "\n", encoding="ascii")
    file.chmod(mode)
    return file


def test_from_new_words_to_an_anchor_in_a_block(vault, esplora):
    made = done_json("wallet", "create")
    assert len(made["words"]) == 12
    assert (made["network"], made["watches"], made["passphrase"]) == ("regtest", False, False)
    fund(esplora, made["address"])
    assert done_json("wallet", "balance")["confirmed"] == 100_000
    assert done_json("wallet", "address")["address"] != made["address"]
    assert run("stamp", "visit").code == 0
    run("anchor")
    (waiting, received) = done_json("wallet", "list")["transactions"]
    assert (waiting["anchor"], waiting["height"], received["anchor"]) == (True, None, False)
    esplora.ledger.mine()
    assert "anchored 1 entry of the ledger in block" in run("anchor").out
    listed = run("wallet", "list").out.splitlines()
    assert f"block {esplora.ledger.tip.height}: anchor, fee {waiting['fee']} sat, transaction" in listed[0]
    assert "received 100,000 sat" in listed[1]
    left = done_json("wallet", "balance")["confirmed"]
    assert left == 100_000 - waiting["fee"]
    assert run("verify", "visit").code == 0
    assert run("wallet", "forget").code == 0
    words_file(" ".join(made["words"]))
    assert done_json("wallet", "restore", "--words-file", "words.txt")["address"] == made["address"]
    assert done_json("wallet", "balance")["confirmed"] == left
    assert done_json("wallet", "rescan")["confirmed"] == left
    assert vault.is_dir()


def test_the_words_are_shown_once_and_kept_nowhere_in_the_clear(vault):
    Path("passphrase").write_text("correct horse\n", encoding="ascii")
    Path("passphrase").chmod(0o600)
    done = run("wallet", "create", "--passphrase-file", "passphrase")
    assert done.code == 0
    words = done.out.splitlines()[1].split()
    assert len(words) == 12
    assert "encrypted" in done.out
    kept = b"".join(path.read_bytes() for path in vault.rglob("*") if path.is_file())
    assert " ".join(words).encode() not in kept
    assert base64.b64encode(" ".join(words).encode())[:40] not in kept
    pairs = {" ".join(pair) for pair in itertools.pairwise(words)}  # one of them may well be "own"
    for command in ("address", "list", "balance"):
        assert not any(pair in run("wallet", command).out for pair in pairs)


def test_an_encrypted_one_pays_with_its_passphrase_only(vault, esplora, monkeypatch):
    monkeypatch.setenv("MEDANCHOR_WALLET_PASSPHRASE", "correct horse")
    fund(esplora, done_json("wallet", "create")["address"])
    assert run("stamp", "visit").code == 0
    monkeypatch.setenv("MEDANCHOR_WALLET_PASSPHRASE", "wrong")
    done = run("anchor")
    assert_one_error(done, 5, "wrong passphrase for the wallet")
    monkeypatch.delenv("MEDANCHOR_WALLET_PASSPHRASE")
    done = run("anchor")
    assert_one_error(done, 5, "no terminal to ask at", "MEDANCHOR_WALLET_PASSPHRASE")
    assert not esplora.ledger.mempool
    monkeypatch.setenv("MEDANCHOR_PASSPHRASE", "correct horse")
    run("anchor")
    assert len(esplora.ledger.mempool) == 1
    assert (vault / "wallet" / "wallet.json").stat().st_mode & 0o777 == 0o600


def test_one_that_only_watches_anchors_by_way_of_a_file(vault, esplora):
    words = new_words()
    found = from_words(words, Network.REGTEST)
    made = done_json("wallet", "create", "--watch", found.external, "--watch", found.change)
    assert made["watches"]
    assert "words" not in made
    fund(esplora, made["address"])
    assert run("stamp", "visit").code == 0
    assert_one_error(run("anchor"), 7, "only watches", "medanchor anchor --psbt FILE")
    assert run("anchor", "--psbt", "anchor.psbt").code in (0, 3)
    psbt = base64.b64decode(Path("anchor.psbt").read_text("ascii"))
    Path("signed.psbt").write_bytes(sign(psbt, words, Network.REGTEST))
    run("anchor", "--signed", "signed.psbt")
    esplora.ledger.mine()
    assert "in block" in run("anchor").out
    assert vault.is_dir()


def test_there_is_one_wallet_at_a_time(vault):
    assert run("wallet", "create").code == 0
    assert_one_error(run("wallet", "create"), 5, "has a wallet of its own already", "medanchor wallet forget")
    words_file()
    assert_one_error(run("wallet", "restore", "--words-file", "words.txt"), 5, "has a wallet of its own already")
    first = (vault / "wallet" / "wallet.json").read_bytes()
    place = done_json("wallet", "forget")["place"]
    assert (Path(place) / "wallet.json").read_bytes() == first
    assert_one_error(run("wallet", "forget"), 5, "has no wallet of its own")
    assert_one_error(run("wallet", "address"), 5, "has no wallet of its own", "medanchor wallet create")


def test_words_come_from_a_private_file_or_a_terminal(vault):
    words_file(mode=0o644)
    assert_one_error(run("wallet", "restore", "--words-file", "words.txt"), 5, "to be its owner's alone")
    assert_one_error(run("wallet", "restore", "--words-file", "nosuch"), 2, "cannot read the words")
    words_file("abandon " * 12)
    assert_one_error(run("wallet", "restore", "--words-file", "words.txt"), 2, "not the words of a wallet")
    Path("words.txt").write_bytes(b"\xff\xfe")
    assert_one_error(run("wallet", "restore", "--words-file", "words.txt"), 2, "it is no plain text")
    assert_one_error(run("wallet", "restore"), 2, "no terminal to ask at", "--words-file FILE")
    assert not (vault / "wallet").exists()


def test_at_a_terminal_words_and_passphrase_are_asked_for_unseen(vault, monkeypatch):
    answers = iter([ABANDON.upper(), "secret", "secret"])
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda _self: True})())
    monkeypatch.setattr("getpass.getpass", lambda *_prompt: next(answers))
    from medanchor.cli.own_wallet import ask_words, new_passphrase

    assert ask_words() == ABANDON.upper()
    assert new_passphrase(None, ask=True) == b"secret"
    assert vault.is_dir()


def test_a_wallet_of_another_network_is_refused(vault):
    assert run("wallet", "create").code == 0
    file = vault / "wallet" / "wallet.json"
    tree = {**json.loads(file.read_bytes()), "network": "signet"}
    del tree["seal"]
    file.write_bytes(sealed.sealed(tree))
    assert_one_error(run("wallet", "address"), 5, "expected a wallet of regtest, found one of signet")


def test_without_a_way_to_learn_of_coins_it_has_an_address_and_says_what_is_missing(user):
    assert run("init").code == 0
    address = done_json("wallet", "create")["address"]
    assert run("wallet", "address").out.strip() == address
    for command in ("balance", "list", "rescan"):
        assert_one_error(run("wallet", command), 2, "nothing is configured", "wallet_sync")
    assert user.is_dir()


def test_its_way_is_the_configured_one(vault, monkeypatch):
    monkeypatch.setenv("MEDANCHOR_WALLET_SYNC", "electrum tcp://127.0.0.1:1")
    assert run("wallet", "create").code == 0
    assert_one_error(run("wallet", "balance"), 6, "tcp://127.0.0.1:1 cannot be reached")
    assert vault.is_dir()


def test_making_one_chooses_it_unless_one_is_chosen(vault, monkeypatch):
    assert run("wallet", "create").code == 0
    assert 'wallet = "own"' in (vault / "config.toml").read_text("utf-8")
    assert run("wallet", "forget").code == 0
    monkeypatch.setenv("MEDANCHOR_WALLET", "core clinic")
    text = (vault / "config.toml").read_text("utf-8").replace('wallet = "own"', 'wallet = ""')
    (vault / "config.toml").write_text(text, encoding="utf-8")
    assert run("wallet", "create").code == 0
    assert 'wallet = ""' in (vault / "config.toml").read_text("utf-8")


def test_where_its_history_begins_is_noted_if_somebody_knows(vault, esplora):
    esplora.ledger.mine(200)
    assert run("wallet", "create").code == 0
    noted = json.loads((vault / "wallet" / "wallet.json").read_bytes())["birthday"]
    tip = esplora.ledger.tip.height
    assert noted == {"height": tip - 144, "block": esplora.ledger.best[tip - 144].hash.hex()}
    assert run("wallet", "forget").code == 0
    words_file()
    assert run("wallet", "restore", "--words-file", "words.txt", "--since", "5").code == 0
    assert json.loads((vault / "wallet" / "wallet.json").read_bytes())["birthday"]["height"] == 5


def test_it_is_made_all_the_same_if_nobody_can_be_asked(vault, monkeypatch):
    monkeypatch.setenv("MEDANCHOR_ESPLORA", "http://127.0.0.1:1")
    monkeypatch.setattr("medanchor.net.server.PAUSE", 0)
    done = run("wallet", "create")
    assert done.code == 0
    assert "medanchor: warning: its first block is not noted" in done.err
    assert "birthday" not in json.loads((vault / "wallet" / "wallet.json").read_bytes())


def test_without_the_library_it_is_told_how_to_get_it(vault, monkeypatch):
    monkeypatch.setitem(sys.modules, "bdkpython", None)
    for command in (["create"], ["restore", "--words-file", words_file()]):
        assert_one_error(run("wallet", *command), 7, "bdkpython", "pip install 'medanchor[wallet]'")
    assert not (vault / "wallet").exists()


def test_on_mainnet_words_in_plain_are_warned_of(user, monkeypatch):
    assert run("init", "--network", "mainnet", "--yes-mainnet").code == 0
    done = run("wallet", "create")
    assert done.code == 0
    assert "medanchor: warning: the words lie in the vault in plain" in done.err
    assert run("wallet", "address").out.startswith("bc1q")
    assert run("wallet", "forget").code == 0
    monkeypatch.setattr(sealed, "SCRYPT_N", 16)
    monkeypatch.setenv("MEDANCHOR_WALLET_PASSPHRASE", "x")
    assert run("wallet", "create").err == ""
    assert user.is_dir()


def test_a_vault_that_cannot_be_written_is_told(vault, user):
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if powerless and shutil.which("setpriv") is None:
        pytest.skip("run as root and without setpriv, nothing is forbidden")
    vault.chmod(0o500)
    done = spawn("wallet", "create", env=surroundings(user / "home"), under=powerless)
    vault.chmod(0o700)
    assert_one_error(done, 5)


def test_without_a_terminal_nothing_waits(user):
    env = surroundings(user / "home")
    assert spawn("init", env=env).code == 0
    done = spawn("wallet", "create", "--passphrase", env=env)
    assert (done.code, done.out) == (5, "")
    done = spawn("wallet", "create", env=env)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()[1].split()) == 12
