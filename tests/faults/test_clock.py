"""A clock that is wrong by ten years, either way: nothing is lost, and all goes on when it is right again.

The engine of the embedded chain reads the machine's clock by itself, which no test can bend; so what is bent here is
the time that medanchor sees, and what is held is that the two can disagree.
"""

import json
import time

import pytest
from faulting import assert_anchored_once, chain_of, copy_vault, records_in, stamped
from typer.testing import CliRunner

from medanchor.chain.embedded import EmbeddedChain
from medanchor.cli.main import app
from medanchor.core.header import Header
from medanchor.notary.vaults import CHAIN

TEN_YEARS = 3653 * 86_400
CHAIN_FAILED = 6
REAL_TIME = time.time


@pytest.fixture
def vault(scene, tmp_path, monkeypatch):
    vault = copy_vault(scene.unstamped, tmp_path / "vault")
    monkeypatch.setenv("MEDANCHOR_VAULT", str(vault))
    return vault


def run(*arguments, expect=(0,)):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code in expect, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize("wrong_by", [-TEN_YEARS, TEN_YEARS])
def test_stamping_and_anchoring_by_a_wrong_clock(scene, vault, monkeypatch, wrong_by):
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: REAL_TIME() + wrong_by)
        run("stamp", scene.records)
        anchored = run("anchor", expect=(0, CHAIN_FAILED))
        if anchored.exit_code:
            assert "hint" in anchored.stderr
        standing = json.loads(run("status", "--json").stdout)
        assert standing["waiting_seconds"] >= 0
    run("anchor")
    run("verify", scene.records)
    run("audit")
    assert json.loads(run("status", "--json").stdout)["waiting"] == 0
    assert stamped(vault) == records_in(scene.records)
    assert_anchored_once(vault)


@pytest.mark.usefixtures("vault")
def test_a_clock_set_back_makes_no_waiting_negative(scene, monkeypatch):
    run("stamp", scene.records)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: REAL_TIME() - TEN_YEARS)
        run("status", "--max-age", "1h")
        run("verify", scene.records / "0.txt")
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: REAL_TIME() + TEN_YEARS)
        run("status", "--max-age", "1h", expect=(3,))


@pytest.mark.parametrize("wrong_by", [-TEN_YEARS, TEN_YEARS])
def test_the_chain_makes_blocks_that_the_engine_takes_whatever_it_is_told(vault, wrong_by):
    before = Header.parse(chain_of(vault).tip().header).time
    chain = EmbeddedChain(vault / CHAIN, now=lambda: int(REAL_TIME()) + wrong_by)
    chain.mine(3)
    assert before - 3600 < Header.parse(chain.tip().header).time < REAL_TIME() + 3600
    assert chain.check()
