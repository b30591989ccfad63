"""Kill -9 while a vault, a key or proofs are made, at random moments, and while other processes do the hashing."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from faulting import (
    KILLED,
    age_drafts,
    assert_anchored_once,
    assert_tidy,
    copy_vault,
    processes_of,
    records_in,
    stamped,
)

from medanchor.core.proof import parse_proof

EXISTS = 5
RANDOM_KILLS = 40
ROUNDS = 2


def test_init_killed_at_every_call_leaves_a_whole_vault_or_none(runner, tmp_path):
    place = tmp_path / "place"
    vault = place / "vault"
    place.mkdir()
    events = runner.events(vault, "init")
    landed = 0
    for event in events:
        subprocess.run(["rm", "-rf", str(vault)], check=True)
        landed += runner.run(vault, "init", tracing=event.injection(place, "signal=KILL")).code == KILLED
        if vault.exists():
            runner.run(vault, "audit").expect()
            runner.run(vault, "init").expect(EXISTS)
        else:
            runner.run(vault, "init").expect()
        runner.run(vault, "key", "list").expect()
        assert_tidy(vault)
    assert landed == len(events) >= 20
    subprocess.run(["rm", "-rf", str(vault)], check=True)
    assert age_drafts(place)
    runner.run(vault, "init").expect()
    assert list(place.iterdir()) == [vault]


def test_key_new_killed_at_every_call_leaves_a_whole_key_or_none(runner, scene, tmp_path):
    vault = copy_vault(scene.empty, tmp_path / "vault")
    events = runner.events(vault, "key", "new", "dr-b")
    landed = 0
    for event in events:
        vault = copy_vault(scene.empty, tmp_path / "vault")
        landed += (
            runner.run(vault, "key", "new", "dr-b", tracing=event.injection(tmp_path, "signal=KILL")).code == KILLED
        )
        runner.run(vault, "key", "new", "dr-b").expect(0, EXISTS)
        runner.run(vault, "stamp", scene.records, "--key", "dr-b").expect()
        runner.run(vault, "audit").expect()
        if age_drafts(vault / "keys"):
            runner.run(vault, "key", "new", "dr-c").expect()
        assert_tidy(vault)
    assert landed == len(events) >= 8


def test_proof_export_killed_at_every_call_leaves_no_half_proof(runner, scene, tmp_path):
    vault = copy_vault(scene.unanchored, tmp_path / "vault")
    proofs = tmp_path / "proofs"
    command = ("proof", "export", scene.records, "-o", proofs)
    events = runner.events(vault, *command)
    whole = {path.name: path.read_bytes() for path in proofs.iterdir()}
    landed = 0
    for event in events:
        subprocess.run(["rm", "-rf", str(proofs)], check=True)
        landed += runner.run(vault, *command, tracing=event.injection(tmp_path, "signal=KILL")).code == KILLED
        for path in proofs.glob("[!.]*.medproof") if proofs.exists() else ():
            parse_proof(path.read_bytes())
        age_drafts(proofs)
        runner.run(vault, *command, "--force").expect()
        assert {path.name: path.read_bytes() for path in proofs.iterdir()} == whole
    assert len(events) >= len(whole)
    assert landed >= len(events) * 0.8  # the engine's databases do not write the same number of times in each run


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_random_moments_again_and_again(runner, scene, tmp_path, seed):
    """No repair in between: each run meets what several killed ones left."""
    chance = random.Random(seed)  # noqa: S311 - the same kills every time
    records = tmp_path / "records"
    records.mkdir()
    vault = copy_vault(scene.empty, tmp_path / "vault")
    landed = tries = 0
    while landed < RANDOM_KILLS and tries < 4 * RANDOM_KILLS:
        tries += 1
        (records / f"{tries}.txt").write_text(f"made-up record {tries} of round {seed}\n")
        command = chance.choice([("stamp", records), ("anchor",), ("anchor",), ("stamp", records, "--anchor")])
        longest = 0.02 if command == ("stamp", records) else 0.2
        landed += runner.run(vault, *command, kill_after=chance.uniform(0, longest)).code == KILLED
        if landed % 6 == 5:
            runner.run(vault, "stamp", records, "--anchor").expect()
    runner.run(vault, "stamp", records, "--anchor").expect()
    assert stamped(vault) == records_in(records)
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)
    assert_tidy(vault)
    assert landed == RANDOM_KILLS


def test_the_hashing_processes_end_with_a_killed_parent(runner, scene, tmp_path):
    records = tmp_path / "records"
    records.mkdir()
    for number in range(2000):
        (records / f"{number}.bin").write_bytes(os.urandom(2000))
    vault = copy_vault(scene.empty, tmp_path / "vault")
    environment = {**os.environ, "MEDANCHOR_VAULT": str(vault)}
    for _ in range(4):
        parent = subprocess.Popen([sys.executable, "-m", "medanchor", "stamp", str(records)], env=environment)
        assert _soon(lambda: len(processes_of(vault)) > 1)
        parent.send_signal(signal.SIGKILL)
        assert parent.wait() == KILLED
        assert _soon(lambda: not processes_of(vault))
    runner.run(vault, "stamp", records, "--anchor").expect()
    assert stamped(vault) == records_in(records)
    runner.run(vault, "audit").expect()


def _soon(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.002)
    return False
