"""Anchoring on a network that others mine, as users do it: from init to a settled anchor, and when things fail."""

import base64
import shutil
from decimal import Decimal

import pytest
from loopback_esplora import LoopbackEsplora
from loopback_ledger import Ledger
from loopback_node import LoopbackNode
from loopback_wallet import LoopbackWallet
from paying import signed_elsewhere
from transcript import assert_one_error, run

from medanchor.vault.config import CONFIG

VAULT = "home/.local/share/medanchor"


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    directory = tmp_path_factory.mktemp("young")
    with LoopbackNode(directory) as node:
        node.ledger.mine(5)
        node.ledger.chain.close()
    return directory / "chain"


@pytest.fixture
def node(tmp_path, young, monkeypatch):
    (tmp_path / "node").mkdir()
    shutil.copytree(young, tmp_path / "node" / "chain")
    with LoopbackNode(tmp_path / "node") as node:
        monkeypatch.setenv("MEDANCHOR_NODE_COOKIE", str(node.cookie))
        yield node


@pytest.fixture
def wallet(node):
    wallet = LoopbackWallet(node, "clinic")
    wallet.receive(100_000)
    return wallet


@pytest.fixture
def vault(node, wallet):
    assert run("init", "--node", node.url, "--wallet", f"core {wallet.name}").code == 0
    return wallet


@pytest.fixture
def sent(vault):
    assert run("stamp", "visit").code == 0
    assert run("anchor").code == 0
    return vault


def states():
    return [anchor["state"] for anchor in run("status", "--json").json["anchors"]]


@pytest.mark.usefixtures("vault")
def test_from_init_to_settled(node):
    done = run("stamp", "visit", "--anchor")
    assert done.code == 0
    assert "for 1 entry of the ledger waits for a block\nfee: 157 sat, 1.0 sat/vB\n" in done.out
    assert states() == ["mempool"]
    again = run("anchor", "--json").json
    assert (again["sent"], again["anchored"], again["height"], len(node.ledger.mempool)) == (False, False, None, 1)
    done = run("verify", "visit")
    assert_one_error(done, 3)
    assert "its transaction waits for a block" in done.out
    node.ledger.mine()
    done = run("anchor")
    assert done.out.startswith("anchored 1 entry of the ledger in block ")
    assert ", 1 confirmation, transaction " in done.out
    assert states() == ["confirmed"]
    node.ledger.mine(5)
    assert run("anchor").out == "nothing to do: 1 entry anchored\n"
    assert states() == ["settled"]
    done = run("verify", "visit")
    assert (done.code, f"verified by the Bitcoin Core node at {node.url}" in done.out) == (0, True)
    assert run("audit").code == 0
    balance = run("status", "--json").json["balance"]
    assert balance == {"confirmed": 100_000 - 157, "pending": 0}


@pytest.mark.usefixtures("sent")
def test_what_it_costs_is_told_in_money():
    assert (
        "fee: 157 sat, 1.0 sat/vB, about 0.141 EUR\n" in run("anchor", env={"MEDANCHOR_BITCOIN_PRICE": "90000 EUR"}).out
    )


@pytest.mark.usefixtures("sent")
def test_a_run_with_nothing_to_do_asks_five_times_at_most(node):
    node.ledger.mine(6)
    run("anchor")
    node.plan()
    assert run("anchor").code == 0
    assert 0 < len(node.requests) <= 5
    done = run("status", env={"MEDANCHOR_BITCOIN_PRICE": "90000 EUR"})
    assert "anchoring has cost 157 sat so far, 52.3 sat a record, about 0.0471 EUR\n" in done.out


@pytest.mark.usefixtures("vault")
def test_wait_stays_until_it_is_settled(node, monkeypatch):
    from medanchor.cli import anchor

    monkeypatch.setattr(anchor.time, "sleep", lambda _seconds: node.ledger.mine(2))
    assert run("stamp", "visit").code == 0
    done = run("anchor", "--wait")
    assert done.code == 0
    assert ", 6 confirmations, transaction " in done.out
    assert done.err.count("waits for a block") == 1
    assert states() == ["settled"]


@pytest.mark.usefixtures("sent")
def test_what_waits_for_too_long_pays_more(node, monkeypatch):
    monkeypatch.setenv("MEDANCHOR_BUMP_AFTER", "1")
    node.ledger.mine(1, transactions=[])
    value = run("anchor", "--json").json
    assert (value["replaced"], value["sent"]) == (True, True)
    assert value["fee"] >= 2 * 157
    assert states() == ["replaced", "mempool"]
    assert len(node.ledger.mempool) == 1


@pytest.mark.parametrize("depth", [1, 3, 6])
@pytest.mark.usefixtures("sent")
def test_after_a_reorganisation_it_is_anchored_again(node, depth):
    node.ledger.mine(1)
    run("anchor")
    node.ledger.mine(depth - 1)
    node.ledger.reorg(depth)
    assert states() == ["reorganised"]
    assert_one_error(run("verify", "visit"), 3)
    assert run("anchor", "--json").json["reorganised"] == 1
    node.ledger.mine(6)
    run("anchor")
    assert (states(), run("verify", "visit").code) == (["settled"], 0)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--max-fee-rate", "0"], "expected --max-fee-rate from 1 to 10,000, found 0"),
        (["--max-fee", "10"], "expected --max-fee from 200 to 10,000,000, found 10"),
        (["--confirm-target", "0"], "expected --confirm-target from 1 to 1,008, found 0"),
        (["--psbt", "a", "--signed", "b"], "--psbt sends nothing"),
    ],
)
@pytest.mark.usefixtures("vault")
def test_limits_that_make_no_sense_are_refused(flags, told):
    done = run("anchor", *flags)
    assert_one_error(done, 2)
    assert told in done.err


@pytest.mark.usefixtures("vault")
def test_above_the_fee_limit_nothing_is_sent(node):
    assert run("stamp", "visit").code == 0
    node.fee = Decimal("0.00050000")  # 50 sat/vB
    assert_one_error(run("anchor", "--max-fee-rate", "49"), 7, "fees are lower")
    assert not node.ledger.mempool
    assert states() == []
    assert run("anchor", "--max-fee-rate", "50").code == 0
    assert states() == ["mempool"]


def test_without_coins_the_statement_stands_and_waits(node):
    wallet = LoopbackWallet(node, "empty")
    assert run("init", "--node", node.url, "--wallet", "core empty").code == 0
    done = run("stamp", "visit", "--anchor")
    assert_one_error(done, 7, "medanchor wallet address")
    assert "3 records stamped" in done.out
    assert_one_error(run("doctor"), 5)
    wallet.receive(50_000)
    assert run("doctor").code == 0
    assert run("anchor").code == 0
    assert states() == ["mempool"]


def test_without_a_wallet_it_says_so(node):
    assert run("init", "--node", node.url).code == 0
    assert_one_error(run("stamp", "visit", "--anchor"), 7, "medanchor wallet create")
    assert_one_error(run("anchor", "--psbt", "draft"), 2, "medanchor wallet create")
    assert "none is configured" in run("doctor").out


@pytest.mark.usefixtures("sent")
def test_while_the_node_is_down_all_that_needs_none_works(node, user):
    node.ledger.mine(6)
    run("anchor")
    node.__exit__()
    assert_one_error(run("anchor"), 6, "is it running")
    assert_one_error(run("verify", "visit"), 6, "is it running")
    assert_one_error(run("audit"), 6)
    assert run("stamp", "visit", "--meaning", "review").code == 0
    done = run("status")
    assert done.code == 0
    assert "the chain was not asked: " in done.out
    assert "the wallet was not asked: " in done.out
    done = run("proof", "export", "visit", "-o", "proofs")
    assert done.code == 0
    assert "the chain was not asked" in done.err
    assert len(list((user / "proofs").iterdir())) == 3


@pytest.mark.usefixtures("vault")
def test_a_node_of_another_network_is_refused(node):
    node.chain = "test"
    for command in (["anchor"], ["verify", "visit"]):
        run("stamp", "visit")
        done = run(*command)
        assert done.code in (3, 6)
    done = run("anchor")
    assert_one_error(done, 6)
    assert "regtest" in done.err
    assert "testnet3" in done.err


@pytest.mark.usefixtures("vault")
def test_a_password_in_the_address_is_never_shown(node, user):
    node.users["hospital"] = "open-sesame"
    config = user / VAULT / CONFIG
    config.write_text(config.read_text().replace(node.url, node.url_for("hospital")))
    told = [run(*command) for command in (["doctor"], ["status"], ["stamp", "visit", "--anchor"], ["chain", "show"])]
    assert [done.code for done in told] == [0] * 4
    node.users["hospital"] = "another"
    told += [run("anchor"), run("doctor"), run("chain", "show", "--json")]
    assert all("open-sesame" not in done.out + done.err for done in told)


# Two sources


@pytest.fixture
def esplora(node):
    with LoopbackEsplora(node.ledger) as esplora:
        yield esplora


@pytest.mark.usefixtures("sent")
def test_two_sources_that_agree(node, esplora, monkeypatch):
    node.ledger.mine(6)
    run("anchor")
    assert_one_error(run("verify", "visit", "--sources", "2"), 2, "config.toml")
    assert_one_error(run("verify", "visit", "--sources", "3"), 2, "an Esplora server")
    monkeypatch.setenv("MEDANCHOR_ESPLORA", esplora.url)
    done = run("verify", "visit", "--sources", "2")
    assert done.code == 0
    assert f"the Bitcoin Core node at {node.url} and the Esplora server at {esplora.url}" in done.out


@pytest.mark.usefixtures("sent")
def test_two_sources_that_do_not(node, monkeypatch, tmp_path, young):
    shutil.copytree(young, tmp_path / "other")
    node.ledger.mine(6)
    run("anchor")
    with LoopbackEsplora(Ledger(tmp_path / "other")) as other:
        other.ledger.mine(12)
        monkeypatch.setenv("MEDANCHOR_ESPLORA", other.url)
        done = run("verify", "visit", "--sources", "2")
    assert_one_error(done, 6)
    assert node.url in done.err
    assert other.url in done.err


@pytest.mark.usefixtures("sent")
def test_an_auditor_asks_a_source_of_their_own(node, esplora, user):
    node.ledger.mine(6)
    run("anchor")
    assert run("proof", "export", "visit/letter.txt", "-o", "proofs").code == 0
    proof = ["verify", "visit/letter.txt", "--proof", "proofs/letter.txt.medproof"]
    (user / VAULT).rename(user / "gone")
    assert run(*proof).code == 3
    done = run(*proof, "--esplora", esplora.url)
    assert (done.code, "verified by the Esplora server at" in done.out) == (0, True)
    node.users["auditor"] = "word"
    done = run(*proof, "--node", node.url_for("auditor"), "--esplora", esplora.url)
    assert (done.code, " and the Esplora server at" in done.out) == (0, True)
    node.ledger.reorg(7)
    done = run(*proof, "--esplora", esplora.url)
    assert done.code == 4
    assert "step 8" in done.out
    assert_one_error(run("verify", "visit/letter.txt", "--esplora", esplora.url), 2)


@pytest.mark.usefixtures("sent")
def test_a_proof_that_holds_all_the_headers_there_are_tells_the_work_in_them(node, user):
    node.ledger.mine(40)
    run("anchor")
    export = ["proof", "export", "visit/letter.txt", "-o"]
    assert run(*export, "short").code == run(*export, "long", "--self-contained").code == 0
    (user / VAULT).rename(user / "gone")
    proof = ["verify", "visit/letter.txt", "--proof"]
    short = run(*proof, "short/letter.txt.medproof")
    long = run(*proof, "long/letter.txt.medproof")
    assert (short.code, long.code) == (3, 3)
    assert (", 6 confirmations;" in short.out, ", 40 confirmations;" in long.out) == (True, True)
    assert "whose headers took 2^3 hashes of work" in short.out
    assert "whose headers took 2^6 hashes of work" in long.out


def test_without_a_chain_there_are_no_more_headers(user):
    assert run("stamp", "visit", "--anchor").code == 0
    (user / VAULT / "chain").rename(user / "gone")
    assert_one_error(run("proof", "export", "visit", "-o", "proofs", "--self-contained"), 2, "leave it out")
    assert not (user / VAULT / "chain").exists()
    assert run("proof", "export", "visit", "-o", "proofs").code == 0


# Keys elsewhere


def test_signed_on_a_machine_without_a_network(node, vault, user):
    vault.watches_only = True
    assert run("stamp", "visit").code == 0
    done = run("anchor", "--psbt", "draft.psbt")
    assert done.code == 0
    assert "waits for its signature: nothing is sent" in done.out
    assert states() == ["unsigned"]
    draft = (user / "draft.psbt").read_text()
    assert run("anchor", "--psbt", "again.psbt").code == 0
    assert (user / "again.psbt").read_text() == draft
    assert "waits for its signature" in run("anchor").out
    signed = signed_elsewhere(vault, base64.b64decode(draft), final=False)
    (user / "signed.psbt").write_bytes(signed)
    assert_one_error(run("anchor", "--signed", "draft.psbt"), 7)
    done = run("anchor", "--signed", "signed.psbt")
    assert done.code == 0
    assert states() == ["mempool"]
    assert_one_error(run("anchor", "--signed", "signed.psbt"), 2, "--psbt FILE")
    node.ledger.mine(6)
    assert run("anchor").code == 0
    assert states() == ["settled"]


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"cHNidP8=", b"\xff" * 99], ids=["empty", "text", "stub", "bytes"]
)
@pytest.mark.usefixtures("vault")
def test_what_is_no_psbt_is_refused(user, content):
    (user / "signed.psbt").write_bytes(content)
    assert_one_error(run("anchor", "--signed", "signed.psbt"), 7)
    assert_one_error(run("anchor", "--signed", "nosuch.psbt"), 2)


@pytest.mark.usefixtures("vault")
def test_a_psbt_that_cannot_be_written_is_not_lost():
    assert run("stamp", "visit").code == 0
    assert_one_error(run("anchor", "--psbt", "nowhere/draft.psbt"), 2, "name another")
    assert run("anchor", "--psbt", "draft.psbt").code == 0
    assert states() == ["unsigned"]


# Making the vault


def test_mainnet_is_asked_for_twice(user):
    done = run("init", "--network", "mainnet")
    assert_one_error(done, 2, "--yes-mainnet")
    assert not (user / VAULT).exists()
    done = run("init", "--network", "mainnet", "--yes-mainnet")
    assert done.code == 0
    assert "there is no source of mainnet's blocks yet" in done.err
    assert run("stamp", "visit").code == 0
    assert_one_error(run("anchor"), 2, "docs/operations.md")
    assert run("status").code == 0
    assert run("verify", "visit").code == 3


@pytest.mark.parametrize(
    "flags",
    [
        ["--network", "litecoin"],
        ["--node", "127.0.0.1:8332"],
        ["--esplora", "ftp://host"],
        ["--wallet", "mine"],
        ["--wallet", "core"],
    ],
    ids=str,
)
def test_settings_that_make_no_sense_make_no_vault(user, flags):
    assert_one_error(run("init", *flags), 2)
    assert not (user / VAULT).exists()
