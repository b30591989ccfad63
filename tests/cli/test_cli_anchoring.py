"""What `anchor`, `stamp --anchor` and `doctor` say when a run was interrupted, others stamp, or the chain fails."""

import json
import os
import time
from pathlib import Path

import pytest
from transcript import assert_one_error, run

from medanchor.chain.embedded import EmbeddedChain
from medanchor.cli.context import has_vault
from medanchor.errors import ChainError
from medanchor.vault import private
from medanchor.vault.store import DATABASE

MINUTE = 60


def broken(*_arguments, **_named):
    raise ChainError("the chain is not there", hint="come back later")


@pytest.fixture
def interrupted(monkeypatch):
    """Leave a transaction behind that was written down and not sent."""
    assert run("stamp", "visit/letter.txt").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedChain, "submit", broken)
        assert run("anchor").code == 6


# What was anchored


@pytest.mark.usefixtures("interrupted")
def test_a_run_that_sends_what_another_prepared_says_that_it_anchored():
    done = run("anchor")
    assert done.code == 0
    assert done.out.startswith("anchored 1 entry of the ledger in block ")
    assert "mind: on regtest" in done.out
    assert run("anchor").out == "nothing to do: 1 entry anchored\n"


@pytest.mark.usefixtures("interrupted")
def test_a_script_is_told_so_too():
    value = run("anchor", "--json").json
    assert (value["anchored"], value["finished"], value["entries"]) == (True, 1, 1)
    value = run("anchor", "--json").json
    assert (value["anchored"], value["finished"], value["entries"]) == (False, 0, 1)


@pytest.mark.parametrize("command", [["anchor"], ["stamp", "visit/letter.txt", "--anchor"]], ids=["anchor", "stamp"])
def test_what_is_stamped_while_it_runs_is_not_called_anchored(monkeypatch, command):
    from medanchor.notary import anchor as module

    honest = module.anchor

    def slow(*arguments, **named):
        result = honest(*arguments, **named)
        assert run("stamp", "visit/image.dcm").code == 0
        return result

    assert run("stamp", "visit/results.hl7").code == 0
    monkeypatch.setattr(module, "anchor", slow)
    value = run(*command, "--json").json
    anchored = value.get("anchor", value)["entries"]
    assert anchored == (2 if "stamp" in command else 1)
    assert run("status", "--json").json["entries"] == anchored + 1
    assert run("status", "--json").json["anchored"] == anchored


def test_while_nothing_is_to_do_too(monkeypatch):
    from medanchor.notary import anchor as module

    honest = module.anchor
    assert run("stamp", "visit/letter.txt", "--anchor").code == 0
    monkeypatch.setattr(module, "anchor", lambda *a, **n: (honest(*a, **n), run("stamp", "visit/image.dcm"))[0])
    assert run("anchor").out == "nothing to do: 1 entry anchored\n"


def test_an_empty_ledger_has_no_entries_anchored():
    assert run("init").code == 0
    assert run("anchor", "--json").json["entries"] == 0


@pytest.mark.parametrize(("records", "told"), [(1, "1 anchor had been"), (2, "2 anchors had been")])
def test_anchors_that_were_made_again_are_counted(user, records, told):
    for name in ("letter.txt", "image.dcm")[:records]:
        assert run("stamp", f"visit/{name}", "--anchor").code == 0
    chain = EmbeddedChain(user / "home/.local/share/medanchor/chain", now=lambda: int(time.time()))
    chain.reorg(6 * records)
    done = run("anchor")
    verb = "was" if records == 1 else "were"
    assert f"{told} reorganised away and {verb} made again" in done.out


# A chain that fails


def test_a_stamp_whose_anchor_fails_is_told_all_the_same(monkeypatch):
    assert run("init").code == 0
    monkeypatch.setattr(EmbeddedChain, "tip", broken)
    done = run("stamp", "visit", "--anchor", "--json")
    assert (done.code, done.err) == (6, "")
    value = json.loads(done.out)
    assert (value["entry"], value["records"], "anchor" in value) == (0, 3, False)
    assert value["error"] == {
        "class": "ChainError", "exit": 6, "message": "the chain is not there", "hint": "come back later",
    }  # fmt: skip
    done = run("stamp", "visit", "--anchor", "--again")
    assert_one_error(done, 6, "the chain is not there")
    assert done.out.startswith("3 records stamped")


# The same bytes twice


def test_bytes_without_a_name_are_stamped_once_however_they_are_given():
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of x
    for arguments in (["-"], ["--digest", digest], ["-", "--digest", digest.upper(), "--digest", digest]):
        value = run("stamp", *arguments, "--again", "--json", stdin=b"x").json
        assert value["records"] == 1, arguments


# The doctor


@pytest.fixture
def anchored_here(user):
    assert run("stamp", "visit", "--anchor").code == 0
    return user / "home" / ".local" / "share" / "medanchor"


def checks() -> dict[str, dict]:
    return {check["name"]: check for check in run("doctor", "--json").json["checks"]}


@pytest.mark.usefixtures("anchored_here")
@pytest.mark.parametrize(
    ("behind", "well"), [(-3653 * 24 * 60, True), (0, True), (0.5, True), (2, False), (3653 * 24 * 60, False)]
)
def test_a_clock_that_went_back_is_told(monkeypatch, behind, well):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - behind * MINUTE)
    clock = checks()["clock"]
    assert (clock["well"], run("doctor").code) == (well, 0 if well else 5)
    if not well:
        assert "expected it to be past 20" in clock["found"]
        assert "the time of the newest statement, found 20" in clock["found"]
        assert "set the clock" in clock["mend"]


def test_a_clock_behind_the_newest_block_alone_is_told_too(anchored_here, monkeypatch):
    now = time.time()
    EmbeddedChain(anchored_here / "chain", now=lambda: int(now)).mine()
    monkeypatch.setattr("medanchor.vault.anchors.list_anchors", lambda _store: [])
    monkeypatch.setattr("medanchor.vault.store.Store.size", lambda _store: 0)
    monkeypatch.setattr(time, "time", lambda: now - 2 * MINUTE)
    assert "the time of the newest block, found 20" in checks()["clock"]["found"]


@pytest.mark.usefixtures("anchored_here")
def test_a_chain_that_fails_is_not_the_clocks_fault(monkeypatch):
    monkeypatch.setattr(EmbeddedChain, "tip", broken)
    found = checks()
    assert (found["clock"]["well"], found["chain"]["well"]) == (True, False)


@pytest.mark.usefixtures("anchored_here")
def test_a_file_that_goes_while_it_is_looked_at_is_no_illness(monkeypatch):
    honest = private.check_private

    def late(path: Path) -> None:
        if path.name == "lock":
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        honest(path)

    monkeypatch.setattr(private, "check_private", late)
    assert (run("doctor").code, checks()["permissions"]["well"]) == (0, True)


@pytest.mark.usefixtures("anchored_here")
def test_a_disk_that_fails_while_the_doctor_looks_is_one_line_of_many(monkeypatch):
    honest = private.check_private

    def failing(path: Path) -> None:
        if path.name == "config.toml":
            raise OSError(5, "Input/output error")
        honest(path)

    monkeypatch.setattr(private, "check_private", failing)
    done = run("doctor", "--json")
    assert done.code == 5
    (ill,) = [check for check in done.json["checks"] if not check["well"]]
    assert (ill["name"], ill["found"]) == ("permissions", "it cannot be looked at: input/output error")
    assert len(done.json["checks"]) == 9


# Where the vault is


def test_the_database_has_the_name_that_is_looked_for(tmp_path):
    assert not has_vault(tmp_path)
    (tmp_path / DATABASE).write_bytes(b"")
    assert has_vault(tmp_path)


@pytest.mark.parametrize(
    "command", [["status"], ["verify", "visit"], ["stamp", "visit"], ["init"]], ids=lambda it: it[0]
)
def test_a_home_of_nobody_is_wrong_usage(command):
    assert_one_error(
        run(*command, "--vault", "~nosuchuser/vault"), 2, "there is no home for the ~ in ~nosuchuser/vault"
    )
    assert_one_error(run(*command, env={"MEDANCHOR_VAULT": "~nosuchuser/vault"}), 2, "no home")
