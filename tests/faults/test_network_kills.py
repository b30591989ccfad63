"""Kill -9 of `medanchor anchor` at each question it asks the node: before that is looked at, or once it is done."""

import os
import signal
import subprocess
import sys

import pytest
from clinics import PATIENT, Clinic, CoreTown
from loopback_http import Exchange
from stages import LIFE

KILLED_AT = ("sent", "stuck", "mined", "reorganised")
CLINICS = 14
LEAST = 38
"""Kills of each kind: a stage asks from eight to fourteen questions."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_question(tmp_path, after):
    """Each clinic is killed once a stage, each at another question; nothing but a lock on a coin is left of it."""
    with CoreTown(tmp_path, coins=4 * CLINICS) as town:
        clinics = [town.clinic() for _ in range(CLINICS)]
        kills = 0
        for stage in LIFE:
            stage.happens(town, clinics)
            asking = stage.name in KILLED_AT
            for at, clinic in enumerate(clinics):
                asking = asking and killed(clinic, at, after=after)
                kills += asking
                stage.act(clinic, PATIENT)
                assert clinic.states() == stage.states, f"{stage.name}, killed at {at}"
                forgive_lock(clinic)
            carried = town.carried()
            assert all(carried[clinic.script] == 1 for clinic in clinics), stage.name
        for clinic in clinics:
            clinic.assert_paid_once()
    assert kills >= LEAST


def killed(clinic: Clinic, at: int, *, after: bool) -> bool:
    """Run the command, have it killed at its question `at`, and say whether it came so far."""
    town = clinic.town

    def kill(exchange: Exchange) -> None:
        if after:
            exchange.act()
        os.kill(process.pid, signal.SIGKILL)

    town.server.plan({at: kill})
    environment = {**os.environ, **town.environment, "MEDANCHOR_VAULT": str(clinic.vault)}
    command = [sys.executable, "-m", "medanchor", "anchor"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    told = process.communicate(timeout=60)[1].decode()
    reached = len(town.server.requests) > at
    assert process.returncode == (-signal.SIGKILL if reached else 0), told
    town.server.plan()
    return reached


def forgive_lock(clinic: Clinic) -> None:
    """Free the coin of a transaction that was never written down, as a restart of the node does; there is one at most.

    Decision 0020 tells why it cannot be known. All others belong to what is written down.
    """
    unknown = clinic.town.locked() - clinic.spends() - clinic.town.kept
    assert len(unknown) <= 1
    clinic.town.clerk.locked -= unknown
    clinic.town.kept |= clinic.spends()
