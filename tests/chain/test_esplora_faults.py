"""Every request to an Esplora server, with every fault there is: what comes of it is right, or told and passes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from esploring import IMPATIENT, OTHER, PATIENT, PAYLOAD, THIRD, outcome, source, told_well
from loopback_esplora import LoopbackEsplora
from loopback_http import AFTER, BROKEN, MOVED, REFUSED, drip, drip_head, hang, lost_answer
from loopback_ledger import Ledger, txid

from medanchor.chain.esplora import EsploraChain
from medanchor.chain.source import Tip
from medanchor.errors import ChainError, TransactionRefusedError

LONGEST = 15.0  # seconds: two attempts of 0.2, and a machine with much else to do
QUICK = {**BROKEN, **REFUSED, **MOVED, **AFTER}


class World:
    """A server whose chain holds a transaction deep down, a young one, one that waits, and one whose coin is spent."""

    def __init__(self, server: LoopbackEsplora) -> None:
        self.server, self.ledger = server, server.ledger
        ledger = self.ledger
        coin = next(ledger.free_coins())
        self.lost, won = (ledger.carrying(payload, coin=coin) for payload in (PAYLOAD, OTHER))
        ledger.mine(transactions=[won])
        ledger.mine(25)
        self.deep = won
        self.young = self.mined()
        ledger.mine()
        self.waiting = ledger.carrying(PAYLOAD)
        ledger.submit(self.waiting)
        self.fresh = ledger.carrying(THIRD)

    def mined(self) -> bytes:
        raw = self.ledger.carrying(THIRD)
        self.ledger.mine(transactions=[raw])
        return raw

    def reset(self) -> None:
        self.ledger.drop(txid(self.fresh))
        self.server.plan()


@dataclass(frozen=True)
class Operation:
    """What is asked, and what is right; `unknown` is what a server that answers 404 makes of it."""

    ask: Callable[[EsploraChain, World], object]
    right: Callable[[World], object]
    unknown: object = None
    changes: bool = False


def submit_fresh(chain, world):
    chain.submit(world.fresh)
    assert txid(world.fresh) in world.ledger.mempool
    return "waits"


def submit_lost(chain, world):
    """It can never be mined, and that is what is right; but it takes a proof."""
    try:
        chain.submit(world.lost)
    except TransactionRefusedError as error:
        return error.message
    return "taken"


def header(world, height):
    return world.ledger.best[height].header


def evidence(world, raw):
    return world.ledger.chain.locate(raw, since=0)


OPERATIONS = {
    "the tip": Operation(lambda chain, _: chain.tip(), lambda world: Tip(129, header(world, 129))),
    "headers of one page": Operation(lambda chain, _: chain.headers([120]), lambda world: [header(world, 120)]),
    "headers of three pages and none": Operation(
        lambda chain, _: chain.headers([130, 129, 60, 7]),
        lambda world: [None, *(header(world, height) for height in (129, 60, 7))],
    ),
    "a young transaction": Operation(
        lambda chain, world: chain.locate(world.young, since=100), lambda world: evidence(world, world.young)
    ),
    "a deep transaction": Operation(
        lambda chain, world: chain.locate(world.deep, since=0), lambda world: evidence(world, world.deep)
    ),
    "what waits": Operation(lambda chain, world: chain.pending(world.waiting), lambda _: True, unknown=False),
    "what is mined": Operation(lambda chain, world: chain.pending(world.young), lambda _: False, unknown=False),
    "to submit": Operation(submit_fresh, lambda _: "waits", changes=True),
    "to submit what is mined": Operation(lambda chain, world: chain.submit(world.young), lambda _: None),
    "to submit what is lost": Operation(
        submit_lost,
        lambda world: f"the transaction can never be mined: {shown(world.deep)} in a block has spent its coin",
    ),
    "a fee rate": Operation(lambda chain, _: chain.fee_rate(3), lambda _: 10.25),
}


def shown(raw):
    return txid(raw)[::-1].hex()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with LoopbackEsplora(Ledger(tmp_path_factory.mktemp("esplora") / "chain")) as server:
        yield World(server)


def well(operation, world):
    """What is right, and how many requests it takes when all is well."""
    world.reset()
    right = operation.right(world)
    assert operation.ask(source(world.server), world) == right
    return right, len(world.server.requests)


def strike(operation, world, right, blow, *, again=True, patience=PATIENT):
    """Do it with one fault at one request, then without."""
    at, name, fault = blow
    world.reset()
    world.server.plan({at: fault})
    chain, started = source(world.server, patience=patience), time.monotonic()
    found = outcome(lambda: operation.ask(chain, world))
    assert time.monotonic() - started < LONGEST
    allowed = (right, operation.unknown) if name == "HTTP 404" else (right,)
    assert isinstance(found, ChainError) or found in allowed, f"{name} at request {at}: {found!r}"
    world.server.plan()
    chain._api._server.patience = PATIENT
    assert not again or operation.ask(chain, world) == right, f"after {name} at request {at}"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_one_fault_at_any_request(world, operation):
    right, requests = well(operation, world)
    for at in range(requests):
        for number, (name, fault) in enumerate(QUICK.items()):
            again = operation.changes or (number + at) % len(QUICK) == 0  # nothing else is kept that could go wrong
            strike(operation, world, right, (at, name, fault), again=again)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_silence_at_any_request(world, operation):
    right, requests = well(operation, world)
    for at in range(requests):
        fault = lost_answer if operation.changes else hang
        strike(operation, world, right, (at, "silence", fault), patience=IMPATIENT)


@pytest.mark.parametrize("fault", [drip, drip_head], ids=["drip", "drip in the headers"])
def test_a_byte_now_and_then(world, fault):
    right, requests = well(OPERATIONS["the tip"], world)
    for at in range(requests):
        strike(OPERATIONS["the tip"], world, right, (at, "drip", fault), patience=IMPATIENT)


ALWAYS = {**QUICK, "hang": hang, "drip": drip}


@pytest.mark.parametrize("fault", ALWAYS.values(), ids=ALWAYS)
def test_a_server_that_never_does_better_is_given_up(world, fault):
    for ask in (lambda chain: chain.tip(), lambda chain: chain.submit(world.fresh)):
        world.reset()
        world.server.plan(always=fault)
        started = time.monotonic()
        with pytest.raises(ChainError) as caught:
            ask(source(world.server, patience=IMPATIENT))
        told_well(caught.value)
        assert not isinstance(caught.value, TransactionRefusedError)
        assert time.monotonic() - started < LONGEST
