"""Anchoring by the command line on a node, from init to a settled anchor, whatever happens in between.

Each test runs on the loopback node, and on a genuine Bitcoin Core node where BITCOIND names one.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sites import FILTERS, GenuineSite, LoopbackSite, Site, mined
from transcript import Transcript, assert_one_error, run
from world import surroundings, write_visit

from medanchor.vault.anchors import list_anchors
from medanchor.vault.store import Store

KINDS = ("loopback", "genuine")
OTS = Path(sys.executable).with_name("ots")
TEN_YEARS = 3653 * 86_400
DEEPEST = 6
KILLS = 12
REAL_TIME = time.time
PASSPHRASE = "correct horse"  # noqa: S105 - of a wallet that holds nothing


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's directory, where they stand: an empty home, and `visit/` with three records."""
    for name in os.environ:
        if name.startswith(("MEDANCHOR_", "XDG_")):
            monkeypatch.delenv(name)
    for name, value in surroundings(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "home").mkdir()
    write_visit(tmp_path / "visit")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_site(request, tmp_path, monkeypatch) -> Iterator[Callable[..., Site]]:
    """Make a site: "loopback", or "genuine" with a node of these options."""
    with ExitStack() as stack:

        def make(kind: str, *options: str) -> Site:
            if kind == "loopback":
                site = stack.enter_context(LoopbackSite(tmp_path / "site"))
            else:
                site = GenuineSite(request.getfixturevalue("start_node"), *options)
            monkeypatch.setenv("MEDANCHOR_NODE_COOKIE", str(site.cookie))
            return site

        yield make


@pytest.fixture(params=KINDS)
def site(request, make_site) -> Site:
    return make_site(request.param)


class Clinic:
    """A vault that anchors at a site with one of the node's wallets, unless it has one of its own."""

    def __init__(self, site: Site, directory: Path, wallet: str = "clinic", *, coins: int = 3) -> None:
        self.site, self.vault, self.wallet = site, directory / f"vault of {wallet}", wallet
        self.environment = {"MEDANCHOR_VAULT": str(self.vault)}
        chosen = ["--wallet", f"core {wallet}"] if coins else []
        if coins:
            site.make_wallet(wallet, coins=coins)
        self.good("init", "--node", site.url, *chosen)

    def run(self, *arguments: str) -> Transcript:
        return run(*arguments, env=self.environment)

    def good(self, *arguments: str) -> Transcript:
        done = self.run(*arguments)
        assert done.code == 0, done
        return done

    def stamp(self, meaning: str = "authorship", *flags: str) -> None:
        self.good("stamp", "visit", "--meaning", meaning, *flags)

    def anchor(self) -> dict:
        return self.good("anchor", "--json").json

    def states(self) -> list[str]:
        return [anchor["state"] for anchor in self.good("status", "--json").json["anchors"]]

    def settle(self) -> None:
        """Mine until all is settled, and hold that no head was paid for twice, and that nothing is left over."""
        self.site.mine(1)
        self.anchor()
        self.site.mine(5)
        self.anchor()
        assert "settled" in self.states()
        assert self.site.waiting() == 0
        self.good("verify", "visit")
        self.good("audit")
        counts = mined(self.site, self.vault)
        assert counts[-1] == 1
        assert max(counts) == 1

    def spawn(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "medanchor", "anchor"]
        return subprocess.Popen(
            command, env={**os.environ, **self.environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )


@pytest.fixture
def clinic(site, tmp_path) -> Clinic:
    return Clinic(site, tmp_path)


@pytest.fixture
def sent(clinic) -> Clinic:
    """A clinic with one anchor on its way."""
    clinic.stamp()
    assert clinic.anchor()["sent"] is True
    return clinic


def test_from_init_to_settled(site, clinic):
    clinic.good("doctor")
    clinic.stamp("authorship", "--anchor")
    assert (clinic.states(), site.waiting()) == (["mempool"], 1)
    assert clinic.anchor()["sent"] is False
    assert clinic.run("verify", "visit").code == 3
    site.mine()
    assert clinic.anchor()["finished"] == 1
    assert clinic.states() == ["confirmed"]
    clinic.settle()
    again = clinic.anchor()
    assert (again["sent"], again["finished"]) == (False, 0)
    assert site.locked("clinic") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_wallet_of_its_own(make_site, tmp_path, monkeypatch, kind):
    """It learns of its coins from the node as a peer, by compact block filters."""
    site = make_site(kind, *FILTERS)
    monkeypatch.setenv("MEDANCHOR_WALLET_SYNC", f"peers {site.peer}")
    clinic = Clinic(site, tmp_path, "own", coins=0)
    assert len(clinic.good("wallet", "create", "--json").json["words"]) == 12
    assert_one_error(clinic.run("stamp", "visit", "--anchor"), 7, "medanchor wallet address")
    site.earn(clinic.good("wallet", "address", "--json").json["address"])
    assert clinic.good("wallet", "balance", "--json").json["confirmed"] > 0
    assert clinic.anchor()["sent"] is True
    site.mine_empty(6)
    assert clinic.anchor()["replaced"] is True
    assert (clinic.states(), site.waiting()) == (["replaced", "mempool"], 1)
    site.mine(1)
    clinic.anchor()
    site.reorg(2)
    assert clinic.anchor()["reorganised"] == 1
    clinic.settle()
    clinic.stamp("review")
    assert clinic.anchor()["sent"] is True
    clinic.settle()
    assert len(clinic.good("wallet", "list", "--json").json["transactions"]) == 3


def test_another_cookie_after_a_restart(site, sent):
    cookie = site.cookie.read_text()
    site.restart()
    assert site.cookie.read_text() != cookie
    assert sent.anchor()["sent"] is False
    assert site.waiting() == 1
    sent.stamp("review")
    site.restart()
    assert sent.anchor()["sent"] is True
    sent.settle()


def test_a_wallet_that_is_encrypted_and_locked(site, clinic):
    site.make_wallet("locked", passphrase=PASSPHRASE)
    clinic.environment["MEDANCHOR_WALLET"] = "core locked"
    clinic.stamp()
    site.lock("locked")
    for _ in range(2):
        assert_one_error(clinic.run("anchor"), 7, "is locked", "walletpassphrase")
    assert (clinic.states(), site.waiting(), site.locked("locked")) == ([], 0, 0)
    site.unlock("locked", PASSPHRASE)
    assert clinic.anchor()["sent"] is True
    site.lock("locked")
    clinic.settle()


def test_one_that_is_stuck_pays_more_until_it_may_not(site, sent, monkeypatch):
    monkeypatch.setenv("MEDANCHOR_BUMP_AFTER", "2")
    fees = [sent.good("status", "--json").json["anchors"][0]["fee"]]
    for _ in range(3):
        site.mine_empty(2)
        told = sent.anchor()
        assert (told["replaced"], site.waiting()) == (True, 1)
        fees.append(told["fee"])
    assert fees == sorted(set(fees))
    monkeypatch.setenv("MEDANCHOR_MAX_FEE", str(fees[-1] + 10))
    site.mine_empty(2)
    assert sent.anchor()["replaced"] is False
    assert sent.states() == ["replaced"] * 3 + ["mempool"]
    sent.settle()


def test_the_original_is_mined_instead_of_its_replacement(site, sent):
    with Store(sent.vault) as store:
        original = list_anchors(store)[0].transaction
    site.mine_empty(6)
    assert sent.anchor()["replaced"] is True
    site.mine_alone(original)
    assert sent.anchor()["finished"] == 1
    sent.settle()
    assert sent.states() == ["settled", "abandoned"]


@pytest.mark.parametrize("depth", range(1, DEEPEST + 1))
def test_a_reorganisation_of_this_depth(site, sent, depth):
    site.mine(1)
    sent.anchor()
    site.mine_empty(depth - 1)
    sent.anchor()
    site.reorg(depth)
    assert sent.states() == ["reorganised"]
    assert sent.run("verify", "visit").code in {3, 4}
    told = sent.anchor()
    assert (told["reorganised"], told["anchored"]) == (1, False)
    assert site.waiting() == 1
    sent.settle()
    assert sent.states() == ["settled"]


def test_reorganised_again_and_again_while_it_is_followed(site, sent):
    for depth in range(1, DEEPEST + 1):
        site.mine(depth)
        sent.anchor()
        site.reorg(depth)
        sent.anchor()
        assert site.waiting() == 1
    sent.settle()


def test_killed_at_any_moment(site, tmp_path):
    """By -9, at a twelfth of its usual time, at two of them, and so on; its next run goes on."""
    clinic = Clinic(site, tmp_path, coins=2 * KILLS)
    clinic.stamp()
    began = time.monotonic()
    assert clinic.spawn().communicate(timeout=120)[1] == b""
    usual = time.monotonic() - began
    waiting = 1
    for number in range(1, KILLS + 1):
        clinic.stamp("review", "--again")
        process = clinic.spawn()
        time.sleep(usual * number / KILLS)
        process.kill()
        told = process.communicate()[1].decode()
        assert "Traceback" not in told
        clinic.anchor()
        waiting += 1
        assert site.waiting() == waiting, number
        if number % 4 == 0:
            site.mine(1)
            waiting = 0
    clinic.settle()


def test_the_node_is_killed_in_between(site, sent):
    """Whatever it forgets (what waits, its newest blocks) is sent again."""
    site.restart()  # all blocks so far are written down now
    site.kill()
    assert_one_error(sent.run("anchor"), 6)
    site.start()
    assert sent.anchor()["sent"] is False
    assert site.waiting() == 1
    site.mine(1)
    sent.anchor()
    site.kill()
    site.start()
    sent.anchor()
    sent.stamp("review")
    sent.anchor()
    sent.settle()


def test_without_an_index_it_is_found_though_its_change_is_spent(site, tmp_path):
    clinic = Clinic(site, tmp_path, coins=1)
    clinic.stamp()
    clinic.anchor()
    clinic.stamp("review")
    clinic.anchor()  # of the change of the first one, which waits
    assert site.waiting() == 2
    site.mine(1)
    clinic.stamp("approval")
    clinic.anchor()
    site.mine(1)
    assert clinic.anchor()["finished"] == 1
    clinic.settle()
    assert clinic.states() == ["settled"] * 3
    assert mined(site, clinic.vault) == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_that_prunes(make_site, tmp_path, kind):
    site = make_site(kind, "-prune=1", "-fastprune")
    clinic = Clinic(site, tmp_path)
    clinic.stamp()
    clinic.anchor()
    clinic.settle()
    site.prune()
    assert clinic.anchor()["sent"] is False
    clinic.good("verify", "visit")
    clinic.good("audit")
    assert clinic.states() == ["settled"]
    clinic.stamp("review")
    clinic.anchor()
    site.mine(6)
    clinic.anchor()
    assert clinic.states() == ["settled"] * 2


def test_the_genuine_ots_client_verifies_on_the_node_itself(site, clinic, user):
    clinic.stamp()
    clinic.anchor()
    clinic.settle()
    clinic.good("proof", "export", "visit", "--ots")
    told = ots(site, user / "visit" / "letter.txt.ots")
    assert told[0] == 0, told
    assert "Success! Bitcoin block " in told[1]
    site.reorg(7)
    assert ots(site, user / "visit" / "letter.txt.ots")[0] == 1


def ots(site: Site, file: Path) -> tuple[int, str]:
    """What the client says when it asks the node, as whoever may read its cookie; it asks nobody else."""
    address = site.url.replace("//", f"//{site.cookie.read_text().strip()}@")
    command = [OTS, "--no-cache", "--no-default-whitelist", "--btc-regtest", "--bitcoin-node", address, "verify", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_two_vaults_and_two_wallets_on_one_node(site, tmp_path):
    clinics = [Clinic(site, tmp_path, name) for name in ("ward-7", "ward-8")]
    for meaning in ("authorship", "review"):
        for clinic in clinics:
            clinic.stamp(meaning)
        processes = [clinic.spawn() for clinic in clinics]
        assert [(process.wait(120), process.communicate()[1]) for process in processes] == [(0, b"")] * 2
        assert site.waiting() == 2
        site.mine(1)
    for clinic in clinics:
        clinic.settle()
        assert clinic.states() == ["settled"] * 2
        assert mined(site, clinic.vault) == [1, 1]


@pytest.mark.parametrize("wrong_by", [-TEN_YEARS, TEN_YEARS], ids=["ten years ago", "in ten years"])
def test_a_clock_that_is_wrong_by_ten_years_changes_no_verdict(site, clinic, monkeypatch, wrong_by):
    clinic.stamp()
    clinic.anchor()
    clinic.settle()
    right = clinic.good("verify", "visit").out
    clinic.stamp("review")
    set_clock = lambda by: monkeypatch.setattr(time, "time", lambda: REAL_TIME() + by)  # noqa: E731
    set_clock(wrong_by)
    assert clinic.good("verify", "visit").out == right
    assert clinic.anchor()["sent"] is True
    set_clock(0)  # the loopback chain's own blocks go by it
    site.mine(6)
    set_clock(wrong_by)
    clinic.anchor()
    assert clinic.states() == ["settled"] * 2
    clinic.good("audit")
    set_clock(0)
    clinic.settle()
