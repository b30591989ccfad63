"""Kill -9 at every call by which a command changes what is kept: the next run finishes, nothing is lost or twice."""

import pytest
from faulting import (
    KILLED,
    assert_anchored_once,
    assert_tidy,
    copy_vault,
    records_in,
    stamped,
)
from test_kill_making import RANDOM_KILLS

CHUNKS = 12
FRESH_EVERY = 10
"""Of the kills of `anchor`, every tenth hits the real command line, whose imports take 2 s under strace; those of
`stamp` all do.
"""

STAMP_KILLS = 30
ANCHOR_KILLS = 18 * CHUNKS
FIRST_EVERY = 25
FIRST_KILLS = 15
"""At least so many must land, else the enumeration has lost sight of what the commands do."""


def test_the_kills_held_here_are_as_many_as_promised():
    assert STAMP_KILLS + ANCHOR_KILLS + FIRST_KILLS + RANDOM_KILLS >= 300
    assert STAMP_KILLS + ANCHOR_KILLS / FRESH_EVERY >= 50


@pytest.fixture(scope="session")
def anchor_events(runner, scene, tmp_path_factory):
    return runner.events(copy_vault(scene.unanchored, tmp_path_factory.mktemp("dry") / "vault"), "anchor")


def assert_whole(runner, scene, vault):
    """No record lost, none twice, one transaction a head, the whole audit in order, nothing left over."""
    assert stamped(vault) == records_in(scene.records)
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)
    assert_tidy(vault)


def test_stamp_killed_at_every_call(runner, scene, tmp_path):
    events = runner.events(copy_vault(scene.unstamped, tmp_path / "vault"), "stamp", scene.records)
    landed = 0
    for event in events:
        vault = copy_vault(scene.unstamped, tmp_path / "vault")
        ended = runner.run_fresh(vault, "stamp", scene.records, tracing=event.injection(tmp_path, "signal=KILL"))
        landed += ended.code == KILLED
        runner.run(vault, "stamp", scene.records, "--anchor").expect()
        assert_whole(runner, scene, vault)
    assert landed == len(events) >= STAMP_KILLS


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_anchor_killed_at_every_call(runner, scene, anchor_events, tmp_path, chunk):
    mine = anchor_events[chunk::CHUNKS]
    landed = 0
    for number, event in enumerate(mine):
        vault = copy_vault(scene.unanchored, tmp_path / "vault")
        run = runner.run_fresh if number % FRESH_EVERY == 0 else runner.run
        landed += run(vault, "anchor", tracing=event.injection(tmp_path, "signal=KILL")).code == KILLED
        runner.run(vault, "anchor").expect()
        assert_whole(runner, scene, vault)
    assert landed >= ANCHOR_KILLS // CHUNKS


def test_the_first_anchor_killed_while_its_chain_is_made(runner, scene, tmp_path):
    """The chain is made beside its place; every so many calls are enough for what is moved there whole."""
    stamped_only = copy_vault(scene.empty, tmp_path / "stamped")
    runner.run(stamped_only, "stamp", scene.records).expect()
    events = runner.events(copy_vault(stamped_only, tmp_path / "vault"), "anchor")[::FIRST_EVERY]
    landed = 0
    for event in events:
        vault = copy_vault(stamped_only, tmp_path / "vault")
        landed += runner.run(vault, "anchor", tracing=event.injection(tmp_path, "signal=KILL")).code == KILLED
        runner.run(vault, "anchor").expect()
        assert_whole(runner, scene, vault)
    assert landed >= FIRST_KILLS
