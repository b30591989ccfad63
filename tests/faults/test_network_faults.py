"""Anchoring on a network while something fails, at every stage of an anchor's life: told, bounded, and paid once.

A town's clinics live in lock-step, so that one block serves them all. At each stage every clinic has a fault of its
own, at one request of one run; then the same run goes well. Not every fault meets every request of a stage: the golden
section spreads those that are tried over all pairs of them.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from clinics import HASTY, PATIENT, Clinic, CoreTown, EsploraTown, Town
from lies import CALLS, LIES, Methods, lying
from loopback_http import FAULTS, Fault, meanwhile
from loopback_node import LoopbackNode
from stages import ELSEWHERE, LIFE, Stage

from medanchor.errors import ChainError, WalletError
from medanchor.net.server import Patience

LONGEST = 10.0  # seconds: some attempts of a quarter, and a machine with much else to do
GOLDEN = 0.6180339887
PARTS = 2
NODE, NODE_ELSEWHERE, ESPLORA, ESPLORA_ELSEWHERE = 340, 165, 145, 110
"""Faults that each test has to meet, lest the enumeration loses sight of what a run asks."""

BELIEVED = ("stale_blocks", "HTTP 404")
"""What no hash can tell from the truth: which chain is the best one, and that a server does not know a transaction."""


def failure(stage: Stage, clinic: Clinic, patience: Patience) -> ChainError | WalletError | None:
    """How a run ended, if it did not end well; any other exception is a bug."""
    try:
        stage.act(clinic, patience)
    except (ChainError, WalletError) as error:
        return error
    return None


class Trial:
    """A town with clinics, each of which meets a fault at each stage. `met` are the faults that came to pass."""

    def __init__(self, town: Town, clinics: int, part: int, faults: Mapping[str, Fault]) -> None:
        self.town, self.part = town, part
        self.clinics = [town.clinic() for _ in range(clinics)]
        self.faults = list(faults.items())
        self.lies = LIES if isinstance(town, CoreTown) and part == 0 else ()
        self.met = 0
        self.case = ""
        self.ours: set = set()

    def live(self, stages: Sequence[Stage]) -> None:
        for stage in stages:
            stage.happens(self.town, self.clinics)
            requests = 0
            for number, clinic in enumerate(self.clinics):
                self.town.current = clinic
                if number == 0:
                    self.town.server.plan()
                elif number <= len(self.lies):
                    self.lie(stage, clinic, self.lies[number - 1])
                else:
                    self.strike(stage, clinic, self.part * len(self.clinics) + number, requests)
                self.well(stage, clinic)
                requests = requests or len(self.town.server.requests)
            carried = self.town.carried()
            assert all(carried[clinic.script] <= 1 for clinic in self.clinics), stage.name
        for clinic in self.clinics:
            clinic.assert_paid_once()

    def strike(self, stage: Stage, clinic: Clinic, number: int, requests: int) -> None:
        pairs = len(self.faults) * requests
        at, which = divmod(int(number * GOLDEN * pairs) % pairs, len(self.faults))
        name, fault = self.faults[which]
        self.town.server.plan({at: fault})
        self.outcome(stage, clinic, f"{stage.name}: {name} at request {at}")
        self.met += len(self.town.server.requests) > at

    def lie(self, stage: Stage, clinic: Clinic, lie: Callable[[LoopbackNode], Methods]) -> None:
        with lying(self.town.server, lie):
            self.town.server.plan()
            self.outcome(stage, clinic, f"{stage.name}: {lie.__name__}")
        self.met += 1

    def outcome(self, stage: Stage, clinic: Clinic, case: str) -> None:
        """Act, and hold that what comes of it is right, or an error that is told well, in time."""
        self.case = case
        began = time.monotonic()
        error = failure(stage, clinic, HASTY)
        assert time.monotonic() - began < LONGEST, case
        if error is None:
            assert clinic.states() == stage.states or any(word in case for word in BELIEVED), case
        else:
            assert error.hint, case
            assert error.message.isprintable(), case
            assert "__cookie__" not in error.message + error.hint, case

    def well(self, stage: Stage, clinic: Clinic) -> None:
        self.town.server.plan()
        stage.act(clinic, PATIENT)
        assert clinic.states() == stage.states, self.case
        self.ours |= clinic.spends()
        assert self.town.locked() <= self.ours, self.case


def test_the_faults_held_here_are_as_many_as_promised():
    assert PARTS * NODE + NODE_ELSEWHERE + ESPLORA + ESPLORA_ELSEWHERE >= 1_000


@pytest.mark.parametrize("part", range(PARTS))
def test_a_node_and_its_wallet(tmp_path, part):
    with CoreTown(tmp_path, coins=50) as town:
        trial = Trial(town, 48, part, FAULTS | CALLS)
        trial.live(LIFE)
    assert trial.met >= NODE


def test_a_node_and_keys_elsewhere(tmp_path):
    with CoreTown(tmp_path, coins=70) as town:
        trial = Trial(town, 32, 0, FAULTS | CALLS)
        trial.live(ELSEWHERE)
    assert trial.met >= NODE_ELSEWHERE


@pytest.mark.parametrize(
    ("stages", "least"), [(LIFE, ESPLORA), (ELSEWHERE, ESPLORA_ELSEWHERE)], ids=["own keys", "keys elsewhere"]
)
def test_an_esplora_server_and_a_wallet_of_ones_own(tmp_path, stages, least):
    with EsploraTown(tmp_path, coins=50) as town:
        trial = Trial(town, 22, 0, FAULTS)
        trial.live(stages)
    assert trial.met >= least


def restarted(town: CoreTown) -> None:
    """The node starts again: with another cookie, with nothing waiting, and no coin locked."""
    town.node.rotate_cookie()
    town.ledger.mempool.clear()
    town.clerk.locked = set()


MEANWHILE: dict[str, Callable[[CoreTown], object]] = {
    "a block": lambda town: town.ledger.mine(),
    "an empty block": lambda town: town.ledger.mine(transactions=[]),
    "a reorganisation": lambda town: town.ledger.reorg(2),
    "a restart": restarted,
}
PLACES = {"sent": range(0, 12, 4), "stuck": range(0, 14, 3), "mined": range(0, 8, 3)}


@pytest.mark.parametrize("name", MEANWHILE)
def test_what_happens_between_two_requests(tmp_path, name):
    """No fault, and yet what a run has heard may not be so any more."""
    with CoreTown(tmp_path, coins=40) as town:
        for last, at in ((last, at) for last, places in PLACES.items() for at in places):
            with lived(town, last) as clinic:
                interrupt(clinic, last, at, MEANWHILE[name])


def test_a_rival_is_mined_between_two_requests(tmp_path):
    with CoreTown(tmp_path, coins=40) as town:
        for at in PLACES["stuck"]:
            with lived(town, "stuck") as clinic:
                rival = clinic.rival()
                interrupt(clinic, "stuck", at, lambda town, rival=rival: town.ledger.mine(transactions=[rival]))
                assert clinic.states()[0] == "conflicted"


@contextmanager
def lived(town: Town, last: str) -> Iterator[Clinic]:
    """A clinic to which all has happened up to the stage called `last`, but for what it does there."""
    with town.clinic() as clinic:
        for stage in LIFE:
            stage.happens(town, [clinic])
            if stage.name == last:
                break
            stage.act(clinic, PATIENT)
        yield clinic


def interrupt(clinic: Clinic, last: str, at: int, happens: Callable[[CoreTown], object]) -> None:
    town = clinic.town
    town.server.plan({at: meanwhile(lambda: happens(town))})
    error = failure(next(stage for stage in LIFE if stage.name == last), clinic, PATIENT)
    assert error is None or error.hint
    assert len(town.server.requests) > at
    town.server.plan()
    clinic.settle()
    clinic.assert_paid_once()
