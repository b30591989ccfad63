"""A node that fails: at each request of each operation each fault, and each answer of each call of another form.

The outcome is right, or a ChainError with a hint, soon; and when the node is well again, so is the operation.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest
from loopback_http import FAULTS, SILENT, status
from loopback_ledger import txid
from loopback_node import LoopbackNode, fails, replaced

from medanchor.chain.node import NodeChain
from medanchor.core.header import Network
from medanchor.errors import ChainError, TransactionRefusedError
from medanchor.net.rpc import Rpc
from medanchor.net.server import Patience

CALM = Patience(seconds=10, attempts=2, pause=0.001)
HASTY = Patience(seconds=0.2, attempts=2, pause=0.001)
PAYLOAD = b"MDA1" + bytes(range(32))
ELSEWHERE = (
    "HTTP 302",
    "HTTP 303",
    "HTTP 307",
    "HTTP 308",
    "HTTP 400",
    "HTTP 403",
    "HTTP 504",
    "endless headers",
    "deep",
)
"""Faults that tests/net tries, and that `Rpc` makes the same of as of the others."""

PLAN = {
    **{name: fault for name, fault in FAULTS.items() if name not in ELSEWHERE},
    "starting": fails(-28, "Loading wallet…"),
    "an error": fails(-1, "internal bug detected"),
    "not found": fails(-5, "Block not found"),
    "not known": fails(-32601, "Method not found"),
    "not JSON-RPC": status(404, b'{"error":"not found"}'),
}
WRONG = [
    *(None, True, -1, 10**30, 0.5, "", "f" * 64, "00" * 80, [], ["00" * 32], {}, {"tx": []}),
    *({"blockhash": 1}, {"confirmations": "1", "height": 7, "bestblock": "00" * 32}, {"chain": "main", "blocks": -1}),
    *({"fees": 1, "feerate": "x"}, {"bestblock": "00" * 32, "confirmations": 1, "height": 7}),
]


@dataclass(frozen=True)
class World:
    """A node with all that can be asked about: transactions that are mined, spent, waiting, lost, or not sent yet."""

    node: LoopbackNode
    chain: NodeChain
    mined: bytes
    spent: bytes
    waiting: bytes
    lost: bytes
    fresh: bytes
    since: int


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    directory = tmp_path_factory.mktemp("node")
    with LoopbackNode(directory) as node:
        ledger = node.ledger
        ledger.mine(8)
        since = ledger.tip.height
        mined, spent = ledger.carrying(PAYLOAD), None
        ledger.mine(transactions=[mined])
        spent = ledger.carrying(PAYLOAD)
        ledger.mine(transactions=[spent])
        ledger.mine(transactions=[ledger.spend([], coin=(txid(spent), 1))])
        lost = ledger.carrying(PAYLOAD)
        ledger.mine(transactions=[ledger.carrying(PAYLOAD[::-1])])
        waiting = ledger.carrying(PAYLOAD)
        ledger.submit(waiting)
        fresh = ledger.carrying(PAYLOAD)
        chain = NodeChain(Rpc(node.url, "regtest", cookie=node.cookie, patience=CALM), Network.REGTEST)
        yield World(node, chain, mined, spent, waiting, lost, fresh, since)
    shutil.rmtree(directory, ignore_errors=True)


def submit(world):
    """Send what was not sent before, and say whether it waits once, and nothing else does but what did before."""
    world.node.ledger.drop(txid(world.fresh))
    world.chain.submit(world.fresh)
    return set(world.node.ledger.mempool) == {txid(world.waiting), txid(world.fresh)}


def submit_lost(world):
    try:
        world.chain.submit(world.lost)
    except TransactionRefusedError:
        return "refused for good"


OPERATIONS: dict[str, Callable[[World], object]] = {
    "tip": lambda world: world.chain.tip(),
    "headers": lambda world: world.chain.headers([0, 7, 8, world.since, 10_000]),
    "locate mined": lambda world: world.chain.locate(world.mined, since=world.since),
    "locate spent": lambda world: world.chain.locate(world.spent, since=world.since),
    "locate waiting": lambda world: world.chain.locate(world.waiting, since=world.since),
    "locate lost": lambda world: world.chain.locate(world.lost, since=world.since),
    "submit": submit,
    "submit mined": lambda world: world.chain.submit(world.mined),
    "submit spent": lambda world: world.chain.submit(world.spent),
    "submit lost": submit_lost,
    "pending": lambda world: world.chain.pending(world.waiting),
    "not pending": lambda world: world.chain.pending(world.fresh),
    "fee rate": lambda world: world.chain.fee_rate(6),
}


def outcome_of(operation, world):
    try:
        return operation(world)
    except ChainError as error:
        return error


def check(outcome, right, *, allowed=None):
    if isinstance(outcome, ChainError):
        assert outcome.hint
        assert outcome.message.startswith(("the Bitcoin Core node at", "expected a node of regtest"))
        assert not isinstance(outcome, TransactionRefusedError)
    else:
        assert outcome in (right, allowed)


@pytest.fixture(params=OPERATIONS)
def operation(request, world):
    """An operation with its right outcome and how many requests it takes; repeated, it is still right."""
    world.node.plan()
    world.node.ledger.drop(txid(world.fresh))
    right = OPERATIONS[request.param](world)
    world.node.ledger.drop(txid(world.fresh))
    yield request.param, right
    world.node.plan()
    assert OPERATIONS[request.param](world) == right
    world.node.ledger.drop(txid(world.fresh))


@pytest.mark.parametrize("fault", sorted(PLAN.keys() - SILENT.keys()))
def test_at_each_request(world, operation, fault):
    name, right = operation
    for request in count():
        world.node.ledger.drop(txid(world.fresh))
        world.node.plan({request: PLAN[fault]})
        check(outcome_of(OPERATIONS[name], world), right)
        if len(world.node.requests) <= request:
            return


@pytest.mark.parametrize("fault", SILENT)
def test_silence_at_some_request(world, operation, fault):
    name, right = operation
    for request in (0, 2):
        world.node.plan({request: SILENT[fault]})
        started = time.monotonic()
        world.chain._rpc._server.patience = HASTY
        outcome = outcome_of(OPERATIONS[name], world)
        world.chain._rpc._server.patience = CALM
        check(outcome, right)
        assert time.monotonic() - started < 15


@pytest.mark.parametrize("fault", ["reset", "half an answer", "garbage", "HTTP 503", "HTTP 500", "endless"])
def test_all_the_time(world, operation, fault):
    name, _ = operation
    world.node.plan(always=PLAN[fault])
    outcome = outcome_of(OPERATIONS[name], world)
    assert isinstance(outcome, ChainError)
    check(outcome, None)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: repr(wrong)[:20])
def test_an_answer_of_another_form_to_each_call(world, operation, wrong):
    """What has the form of an answer may be believed where hashes cannot tell: that something waits, or does not."""
    name, right = operation
    believable = {
        "locate mined": None,
        "locate spent": None,
        "submit lost": None,
        "fee rate": None,
        "not pending": True,
    }
    for request in count():
        world.node.ledger.drop(txid(world.fresh))
        world.node.plan({request: replaced(0, wrong)})
        check(outcome_of(OPERATIONS[name], world), right, allowed=believable.get(name, right))
        if len(world.node.requests) <= request:
            return
        body = world.node.requests[request].body
        for place in range(1, body.count(b'"method"')):
            world.node.ledger.drop(txid(world.fresh))
            world.node.plan({request: replaced(place, wrong)})
            check(outcome_of(OPERATIONS[name], world), right, allowed=believable.get(name, right))
