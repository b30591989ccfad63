"""An Esplora server that lies, or whose chain moves on between two answers: nothing false is ever given on."""

import json
import re
from dataclasses import replace
from functools import partial

import pytest
from esploring import OTHER, PAYLOAD, THIRD, outcome, refusal, source
from loopback_esplora import NO_BLOCK, NO_TRANSACTION, LoopbackEsplora, as_json, block_json, text
from loopback_http import garbage, well
from loopback_ledger import Ledger, txid

from medanchor.chain.blocks import Slot, make_block
from medanchor.chain.source import Tip
from medanchor.core.hashes import display, sha256d
from medanchor.core.proof import Anchor
from medanchor.errors import ChainError

NONSENSE = [None, True, False, -1, 1.5, "x", "ff" * 32, "FF" * 32, [], {}, 1 << 70, [[]], {"": 0}]
IGNORED = ("tx_count", "size", "weight", "mediantime", "block_time")
EASIEST = 0x207FFFFF


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LoopbackEsplora(Ledger(tmp_path_factory.mktemp("esplora") / "chain")) as server:
        server.ledger.mine(20)
        yield server


@pytest.fixture
def moving(tmp_path):
    with LoopbackEsplora(Ledger(tmp_path / "chain")) as server:
        yield server


@pytest.fixture(scope="module")
def raw(server):
    raw = server.ledger.carrying(PAYLOAD)
    server.ledger.submit(raw)
    server.ledger.mine(4)
    return raw


@pytest.fixture(scope="module")
def waiting(server, raw):
    waiting = server.ledger.carrying(OTHER)
    assert txid(waiting) != txid(raw)
    server.ledger.submit(waiting)
    return waiting


def leaves(tree, path=()):
    """The places of all values in a JSON document, the document itself among them; of a list, the first and last."""
    yield path
    if isinstance(tree, dict):
        items = [(name, value) for name, value in tree.items() if name not in IGNORED]
    elif isinstance(tree, list):
        items = [(at, tree[at]) for at in {0, len(tree) - 1} if tree]
    else:
        items = ()
    for name, value in items:
        yield from leaves(value, (*path, name))


def with_value(tree, path, value):
    """The document with another value at a place."""
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = with_value(tree[path[0]], path[1:], value)
    return copy


def without(tree, path):
    """The document without the member or item at a place."""
    copy = tree.copy()
    if path[1:]:
        copy[path[0]] = without(tree[path[0]], path[1:])
    else:
        del copy[path[0]]
    return copy


def damaged(body, nonsense):
    """An answer's JSON, with each value in turn replaced by nonsense or left out, and lists cut, doubled and turned."""
    tree = json.loads(body)
    for path in leaves(tree):
        yield from (with_value(tree, path, value) for value in nonsense)
        if path:
            yield without(tree, path)
    if isinstance(tree, list):
        yield from (tree[::-1], tree[1:], tree[:-1], tree + tree, tree + tree[-1:], tree[:1] + tree)


OPERATIONS = {
    "the tip": lambda chain, **_: chain.tip(),
    "headers": lambda chain, **_: chain.headers([4, 200]),
    "a transaction": lambda chain, raw, **_: chain.locate(raw, since=0),
    "what waits": lambda chain, waiting, **_: chain.pending(waiting),
    "what is mined": lambda chain, raw, **_: chain.pending(raw),
    "to submit again": lambda chain, waiting, **_: chain.submit(waiting),
}
SAFE = {"a transaction": (None,), "what waits": (False,), "what is mined": (True,)}
"""What cannot be told from the truth: that a server does not know something, and what it says of its own mempool."""


def old_news(found, server):
    """Whether it was right some blocks ago: nobody can tell from a server that has yet to hear of the newest one."""
    if isinstance(found, Tip):
        return found.header == server.ledger.best[found.height].header
    if isinstance(found, Anchor):
        now = server.ledger.chain.locate(found.transaction, since=0, successors=len(found.block.successors))
        return found == now
    return False


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_with_any_value_wrong(server, raw, waiting, name):
    ask = lambda: OPERATIONS[name](chain, raw=raw, waiting=waiting)  # noqa: E731
    chain, bodies = source(server), []
    nonsense = NONSENSE[::4] if name == "headers" else NONSENSE  # those of a page are tried with the tip already

    def keep(exchange):
        bodies.append(exchange.act().body)
        well(exchange)

    server.plan(always=keep)
    right = ask()
    runs = 0
    for at, body in enumerate(bodies):
        try:
            answers = [json.dumps(tree).encode() for tree in damaged(body, nonsense)]
        except json.JSONDecodeError:
            answers = [
                body[:-1],
                body[1:],
                body.upper(),
                b" " + body,
                body + b"0",
                body[:-2] + b"00",
                b'"' + body + b'"',
            ]
        for answer in answers:
            chain = source(server)
            server.plan({at: garbage(answer)})
            found = outcome(ask)
            harmless = isinstance(found, ChainError) or found in (right, *SAFE.get(name, ()))
            assert harmless or old_news(found, server), answer
            runs += 1
    assert runs > 5


def forged(previous, height, *, bits=EASIEST, work=True):
    """A header on `previous`, with or without its proof of work."""
    block = make_block(Slot(previous, height, 1_700_000_000))
    nonces = (nonce.to_bytes(4, "little") for nonce in range(1 << 20))
    headers = (block[:72] + bits.to_bytes(4, "little") + nonce for nonce in nonces)
    return next(header for header in headers if (int.from_bytes(sha256d(header), "little") >> 255 == 0) is work)


def met(server):
    """A source that has seen that the server is of its network."""
    chain = source(server)
    server.plan()
    chain.headers([0])
    return chain


def answering(path, reply, **more):
    """The fault of a server that answers one question with `reply` (and `more`), and all others well."""
    replies = {path: reply, **more}

    def answer(exchange):
        given = replies.get(exchange.request.path)
        exchange.send(given) if given else well(exchange)

    return answer


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ({"work": False}, "does not meet its own proof of work"),
        ({"bits": 0x2100FFFF}, "claims a difficulty that regtest does not allow"),
        ({"bits": 0x01800001}, "claims a difficulty that regtest does not allow"),
        ({"previous": sha256d(b"")}, "does not follow block"),
    ],
    ids=["no work", "too easy", "a negative target", "on no block"],
)
def test_a_block_that_no_chain_has(server, lie, told):
    tip = server.ledger.tip
    header = forged(**{"previous": tip.hash, "height": tip.height + 1, **lie})
    newest = replace(tip, height=tip.height + 1, header=header)
    blocks = [block_json(newest), *json.loads(server.blocks().body)]
    chain = met(server)
    server.plan(always=answering("/blocks", as_json(blocks)))
    assert told in refusal(chain.tip).message


def test_a_fork_of_the_newest_page_does_not_fit_the_pages_below(server):
    """Which chain is the best is the server's to say; that it is one chain is not."""
    top = server.ledger.tip.height
    fork = [server.ledger.best[top - 10]]
    for height in range(top - 9, top + 1):
        fork.append(replace(fork[-1], height=height, header=forged(fork[-1].hash, height)))
    chain = met(server)
    server.plan(always=answering(f"/blocks/{top}", as_json([block_json(block) for block in reversed(fork[1:])])))
    assert chain.headers([top]) == [fork[-1].header]
    assert f"it shows two blocks {top}" in refusal(lambda: chain.headers([top, 5])).message
    apart = replace(fork[1], header=forged(sha256d(b""), top - 9))
    lies = {f"/blocks/{top - 9}": as_json([block_json(apart)]), f"/block-height/{top - 9}": text(display(apart.hash))}
    server.plan(always=answering("", None, **lies))
    found = refusal(lambda: chain.headers(range(top - 12, top - 8)))
    assert f"a block {top - 9} that does not follow its block {top - 10}" in found.message


def test_a_block_that_is_denied_below_the_tip(server):
    chain = met(server)
    server.plan(always=answering("/blocks/50", NO_BLOCK))
    assert "it shows no block 50 below its newest one" in refusal(lambda: chain.headers([50])).message
    assert "it shows no block 50 below its newest one" in refusal(lambda: chain.headers([130, 50])).message


def test_a_server_that_has_no_newest_blocks(server):
    chain = met(server)
    server.plan(always=answering("/blocks", NO_BLOCK))
    assert "does not show its newest blocks" in refusal(chain.tip).message


def test_a_stale_block_is_never_given_on(moving):
    ledger = moving.ledger
    raw = ledger.carrying(PAYLOAD)
    ledger.submit(raw)
    ledger.mine(3)
    chain, path = source(moving), f"/tx/{display(txid(raw))}/status"
    status = moving.status(display(txid(raw)))
    assert chain.locate(raw, since=0)
    ledger.reorg(3)
    moving.plan(always=answering(path, status))
    assert (
        "a transaction in a block 102 that is not in its best chain"
        in refusal(lambda: chain.locate(raw, since=0)).message
    )
    moving.plan()
    assert chain.locate(raw, since=0) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda ids, _: ids[:1], "and that block without it"),
        (lambda ids, _: ids[1:], "not in the block"),
        (lambda ids, _: ids[::-1], "not in the block"),
        (lambda ids, _: [*ids, ids[-1], ids[-1]], "not in the block"),
        (lambda ids, other: [other[0], *ids[1:]], "not in the block"),
        (lambda _, other: other, "and that block without it"),
        (lambda ids, _: [ids[0], ids[1], *ids], "not in the block"),
    ],
    ids=["cut", "no coinbase", "turned round", "doubled", "another coinbase", "another block's", "moved"],
)
def test_a_branch_that_does_not_fit(server, raw, change, told):
    block = server.ledger.block_of(txid(raw))
    ids = [display(one) for one in block.txids]
    other = [display(one) for one in server.ledger.best[7].txids]
    chain = met(server)
    server.plan(always=answering(f"/block/{display(block.hash)}/txids", as_json(change(ids, other))))
    assert told in refusal(lambda: chain.locate(raw, since=0)).message


def test_a_coinbase_that_is_not_the_block_s(server, raw):
    block = server.ledger.block_of(txid(raw))
    other = server.ledger.best[block.height + 1].transactions[0]
    lies = {
        "expected one whose hash is": (other.hex(), raw.hex()),
        "cannot be read": ("00", ""),
        "lower-case": ("0" * 999,),
    }
    for told, reply in [(told, reply) for told, replies in lies.items() for reply in replies]:
        chain = met(server)
        server.plan(always=answering(f"/tx/{display(block.txids[0])}/hex", text(reply)))
        assert told in refusal(lambda chain=chain: chain.locate(raw, since=0)).message
    chain = met(server)
    server.plan(always=answering(f"/tx/{display(block.txids[0])}/hex", NO_TRANSACTION))
    assert "that block without it" in refusal(lambda: chain.locate(raw, since=0)).message


def test_heights_that_are_all_moved_by_one(server, raw):
    """Hashes do not tell heights; the coinbase does (BIP 34)."""

    def deceive(exchange):
        reply = exchange.act()
        if exchange.request.path.startswith(("/blocks", f"/tx/{display(txid(raw))}")):
            reply = replace(
                reply, body=re.sub(rb'height": (\d+)', lambda m: b'height": %d' % (int(m[1]) + 1), reply.body)
            )
        exchange.send(reply)

    chain = met(server)
    server.plan(always=deceive)
    assert re.search(
        r"expected block height \d+ as its coinbase says", refusal(lambda: chain.locate(raw, since=0)).message
    )


def then(act):
    """It is answered, and the chain moves on before the next question."""

    def answer(exchange):
        reply = exchange.act()
        with exchange.server.turn:
            act()
        exchange.send(reply)

    return answer


MOVES = {
    "a block": lambda ledger: ledger.mine(),
    "a reorganisation of 1": lambda ledger: ledger.reorg(1),
    "a reorganisation of 4": lambda ledger: ledger.reorg(4),
    "a reorganisation of 4 and a block": lambda ledger: (ledger.reorg(4), ledger.mine()),
}
QUESTIONS = {
    "the tip": lambda chain, *_: chain.tip(),
    "headers": lambda chain, height, _: chain.headers([102, 90, height, 104, 55, 3_000]),
    "a transaction": lambda chain, _, raw: chain.locate(raw, since=0),
    "many successors": lambda chain, _, raw: chain.locate(raw, since=0, successors=20),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_the_chain_moves_on_between_two_answers(moving, question, move):
    ledger = moving.ledger
    raw = ledger.carrying(THIRD)
    ledger.submit(raw)
    at, requests = 0, 1
    while at < requests:
        ledger.mine(3)
        moving.plan()
        ask = partial(question, source(moving), ledger.tip.height, raw)
        before, requests = ask(), max(requests, len(moving.requests))
        moving.plan({at: then(lambda: move(ledger))})
        found = ask()
        moving.plan()
        assert found in (before, ask()), f"at request {at}"
        at += 1
    assert requests > 1


def test_a_chain_that_never_stands_still_is_told(moving):
    chain = met(moving)
    moving.plan(always=then(lambda: moving.ledger.reorg(moving.ledger.tip.height - 100)))
    assert "contradicts itself" in refusal(lambda: chain.headers([90, 101])).message
