"""An Esplora server that is well: what it is asked, how often, and what is made of its answers."""

from decimal import Decimal

import pytest
from esploring import OTHER, PAYLOAD, THIRD, refusal, source, told_well
from loopback_esplora import NO_TRANSACTION, LoopbackEsplora
from loopback_http import garbage, rewrite, status
from loopback_ledger import Ledger, inputs, txid

from medanchor.chain.blocks import deserialised, without_witness
from medanchor.chain.source import Chain, Tip
from medanchor.core.commitment import TreeHead, payload
from medanchor.core.hashes import Hash, display
from medanchor.core.header import Network
from medanchor.core.verify import check_anchor
from medanchor.errors import ChainError, TransactionRefusedError

MAINNET_GENESIS = b"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
FAR = 1 << 40


@pytest.fixture
def server(tmp_path):
    with LoopbackEsplora(Ledger(tmp_path / "chain")) as server:
        yield server


@pytest.fixture
def ledger(server):
    return server.ledger


@pytest.fixture
def chain(server):
    return source(server)


def paths(server):
    return [request.path for request in server.requests]


def anchored(ledger, payload=PAYLOAD, depth=1):
    raw = ledger.carrying(payload)
    ledger.submit(raw)
    ledger.mine(depth)
    return raw


def test_it_is_a_chain(chain, server):
    kept: Chain = chain
    assert kept.network is Network.REGTEST
    assert kept.name == f"the Esplora server at {server.url}"
    assert not kept.mines


def test_nothing_is_asked_before_it_is_needed(chain, server):
    assert chain.name
    assert not server.requests


def test_the_tip_costs_one_request_after_the_first_meeting(chain, server, ledger):
    assert chain.tip() == Tip(101, ledger.tip.header)
    assert paths(server) == ["/block-height/0", "/blocks"]
    ledger.mine()
    assert chain.tip() == Tip(102, ledger.tip.header)
    assert paths(server)[2:] == ["/blocks"]


@pytest.mark.parametrize(
    ("heights", "requests"),
    [
        ([], 0),
        ([-1, -FAR], 0),
        ([101], 1),
        ([0], 1),
        ([95, 101, 101, 96], 1),
        ([5, 60], 3),
        (range(40, 61), 4),
        ([102], 2),
        ([102, 101, FAR, 92], 2),
        ([102, 91], 4),
        (range(104), 13),
    ],
)
def test_headers_come_by_the_page(chain, server, ledger, heights, requests):
    known = [block.header for block in ledger.best]
    expected = [known[height] if 0 <= height < len(known) else None for height in heights]
    assert chain.headers(heights) == expected
    if requests:
        assert len(server.requests) == requests + 1


def test_headers_of_a_server_whose_pages_are_longer_or_shorter(chain, ledger, monkeypatch):
    for length in (1, 2, 25, 1_000):
        monkeypatch.setattr("loopback_esplora.BLOCKS_PAGE", length)
        assert chain.headers(range(80, 101)) == [block.header for block in ledger.best[80:101]]


@pytest.mark.parametrize("depth", [1, 2, 5, 6, 7, 9, 10, 11, 30])
def test_a_transaction_is_located_with_its_successors(chain, server, ledger, depth):
    raw = anchored(ledger, depth=depth)
    for successors in (0, 5, 15):
        server.plan()
        anchor = chain.locate(raw, since=0, successors=successors)
        assert anchor == ledger.chain.locate(raw, since=0, successors=successors)
        assert len(anchor.block.successors) == min(successors, depth - 1)
        assert len(server.requests) <= (5 if depth < 10 else 8)


def test_a_new_block_is_located_in_four_requests(chain, server, ledger):
    raw = anchored(ledger)
    block, name = display(ledger.tip.hash), display(txid(raw))
    coinbase = display(ledger.tip.txids[0])
    assert chain.locate(raw, since=101)
    assert paths(server)[1:] == [f"/tx/{name}/status", "/blocks", f"/block/{block}/txids", f"/tx/{coinbase}/hex"]


def test_a_transaction_among_others(chain, ledger):
    raws = [ledger.spend([(5_000, bytes(22))], coin=coin) for coin in list(ledger.free_coins())[:1]]
    ledger.submit(raws[0])
    child = ledger.spend([(4_000, bytes(22))], coin=(txid(raws[0]), 1))
    ledger.submit(child)
    last = ledger.carrying(PAYLOAD, coin=(txid(child), 1))
    ledger.submit(last)
    ledger.mine()
    assert len(ledger.tip.txids) == 4
    for raw in (*raws, child, last):
        assert chain.locate(raw, since=0) == ledger.chain.locate(raw, since=0)
        assert chain.locate(without_witness(deserialised(raw)), since=0) == ledger.chain.locate(raw, since=0)


def test_what_is_located_passes_verification(chain, ledger):
    head = TreeHead("clinic.example/ward-7", 1, Hash(bytes(32)))
    raw = anchored(ledger, payload(head), depth=6)
    anchor = chain.locate(raw, since=0)
    assert check_anchor(anchor, head).block_hash == ledger.best[102].hash


def test_a_transaction_below_the_height_asked_for_is_none(chain, ledger):
    raw = anchored(ledger)
    assert chain.locate(raw, since=102)
    assert chain.locate(raw, since=103) is None


def test_what_waits_and_what_never_was_are_nowhere(chain, server, ledger):
    raw = ledger.carrying(PAYLOAD)
    assert chain.locate(raw, since=0) is None
    assert not chain.pending(raw)
    ledger.submit(raw)
    assert chain.locate(raw, since=0) is None
    assert chain.pending(raw)
    ledger.mine()
    server.plan()
    assert not chain.pending(raw)
    assert len(server.requests) == 1


def test_what_is_no_transaction_is_refused(chain):
    for ask in (lambda: chain.locate(b"\x00", since=0), lambda: chain.submit(b""), lambda: chain.pending(b"x" * 70)):
        with pytest.raises(ChainError, match="expected a serialised transaction"):
            ask()


def test_unknown_transactions_may_be_404_too(chain, server, ledger):
    server.plan(always=lambda exchange: exchange.send(NO_TRANSACTION))
    chain._met = True
    assert chain.locate(ledger.carrying(PAYLOAD), since=0) is None
    assert not chain.pending(ledger.carrying(PAYLOAD))


def test_after_a_reorganisation_it_waits_again(chain, ledger):
    raw = anchored(ledger, depth=3)
    old = chain.locate(raw, since=0)
    ledger.reorg(3)
    assert chain.locate(raw, since=0) is None
    assert chain.pending(raw)
    ledger.mine()
    new = chain.locate(raw, since=0)
    assert new == ledger.chain.locate(raw, since=0)
    assert new.block.height == old.block.height + 4
    assert chain.headers([old.block.height]) == [ledger.best[old.block.height].header]
    assert chain.headers([old.block.height]) != [old.block.header]


def test_a_block_that_is_newer_than_the_newest_shown_is_not_there_yet(chain, server, ledger):
    """As with servers that keep an answer for some seconds."""
    chain.tip()
    kept = server.blocks().body
    raw = anchored(ledger)
    server.plan({1: garbage(kept)})
    assert chain.locate(raw, since=0) is None
    assert chain.locate(raw, since=0)


def test_to_submit_is_to_have_it_wait(chain, server, ledger):
    raw = ledger.carrying(PAYLOAD)
    chain.submit(raw)
    assert list(ledger.mempool) == [txid(raw)]
    assert len(server.requests) == 2
    chain.submit(raw)
    ledger.mine()
    chain.submit(raw)
    assert len(server.requests) == 4
    ledger.mine()
    assert len(ledger.block_of(txid(raw)).txids) == 2


def test_to_submit_again_what_is_mined_and_spent_since(chain, server, ledger):
    raw = anchored(ledger)
    change = ledger.spend([(1_000, bytes(22))], coin=(txid(raw), 1))
    ledger.submit(change)
    ledger.mine()
    server.plan()
    chain.submit(raw)
    assert paths(server)[2:] == [f"/tx/{display(inputs(raw)[0][0])}/outspend/0"]


@pytest.mark.parametrize(
    "words",
    [
        'sendrawtransaction RPC error: {"code":-27,"message":"Transaction already in block chain"}',
        'sendrawtransaction RPC error: {"code":-27,"message":"Anything"}',
        'sendrawtransaction RPC error -27: {"code":"-27","message":"Transaction outputs already in utxo set"}',
        "sendrawtransaction RPC error: txn-already-in-mempool",
        'sendrawtransaction RPC error: {"code":-26,"message":"txn-already-known"}',
    ],
)
def test_what_is_there_already_is_no_refusal(chain, server, ledger, words):
    server.plan({1: status(400, words.encode())})
    chain.submit(ledger.carrying(PAYLOAD))
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", [401, 403, 404, 405, 413])
def test_a_server_that_takes_no_transactions_has_refused_none(chain, server, ledger, code):
    server.plan({1: status(code, b"txn-already-known")})
    error = refusal(lambda: chain.submit(ledger.carrying(PAYLOAD)))
    assert f"does not answer the question (HTTP {code})" in error.message
    assert len(server.requests) == 2


def test_a_spent_coin_is_proved(chain, server, ledger):
    coin = next(ledger.free_coins())
    lost, won = (ledger.carrying(payload, coin=coin) for payload in (PAYLOAD, OTHER))
    ledger.mine(transactions=[won])
    with pytest.raises(TransactionRefusedError, match=f"{display(txid(won))} in a block has spent its coin") as caught:
        chain.submit(lost)
    assert caught.value.hint
    assert f"/tx/{display(txid(won))}/hex" in paths(server)


def test_a_coin_spent_in_the_mempool_may_come_back(chain, ledger):
    coin = next(ledger.free_coins())
    ledger.submit(ledger.carrying(OTHER, coin=coin, fee=5_000))
    with pytest.raises(ChainError, match="insufficient fee, rejecting replacement") as caught:
        chain.submit(ledger.carrying(PAYLOAD, coin=coin))
    assert not isinstance(caught.value, TransactionRefusedError)
    assert "fees have risen" in caught.value.hint
    told_well(caught.value)


def test_a_coin_that_never_was(chain, ledger):
    parent = ledger.carrying(OTHER)
    ledger.submit(parent)
    child = ledger.carrying(PAYLOAD, coin=(txid(parent), 1))
    ledger.drop(txid(parent))
    with pytest.raises(TransactionRefusedError, match="does not know its coin"):
        chain.submit(child)


def test_a_coin_that_a_reorganisation_took(chain, server, ledger):
    """electrs shows its transaction for ever, as one that is not confirmed."""
    parent = anchored(ledger, OTHER)
    child = ledger.carrying(PAYLOAD, coin=(txid(parent), 1))
    ledger.reorg(1)
    ledger.drop(txid(parent))
    server.remembered[txid(parent)] = parent
    with pytest.raises(TransactionRefusedError, match="does not know its coin"):
        chain.submit(child)
    ledger.submit(parent)
    chain.submit(child)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ('{"code":-26,"message":"min relay fee not met, 0 < 14"}', "fees have risen"),
        ('{"code":-26,"message":"mempool min fee not met, 141 < 300"}', "fees have risen"),
        ('{"code":-26,"message":"dust"}', "again later"),
        ('{"code":-25,"message":"bad-txns-inputs-missingorspent"}', "again later"),
        ('{"message":7}', "again later"),
        ("{", "again later"),
        ("", "again later"),
        ("[" * 9_999, "again later"),
        ('{"a":' * 9_999, "again later"),
        ('{"code":-22,"message":"TX decode failed. Make sure the tx has at least one input."}', "again later"),
        ("a\x1b[2Jb\r\n\x00é" * 99, "again later"),
    ],
)
def test_any_other_refusal_is_told_and_may_pass(chain, server, ledger, answer, hint):
    raw = ledger.carrying(THIRD)
    chain.tip()
    for code in (400, 409, 500):
        server.plan({0: status(code, f"sendrawtransaction RPC error: {answer}".encode())})
        error = refusal(lambda: chain.submit(raw))
        assert "does not take the transaction: " in error.message
        assert hint in error.hint
    chain.submit(raw)
    assert txid(raw) in ledger.mempool


def test_a_mere_word_is_no_proof_that_a_coin_is_spent(chain, server, ledger):
    """Otherwise another transaction would be made, and both might be mined."""
    raw = ledger.carrying(PAYLOAD)
    stranger = display(ledger.best[50].txids[0])
    claim = {"spent": True, "txid": stranger, "vin": 0, "status": {"confirmed": True}}
    refusing = status(400, b'{"code":-25,"message":"bad-txns-inputs-missingorspent"}')
    server.plan({1: refusing, 2: rewrite(lambda _answer: claim)})
    assert refusal(lambda: chain.submit(raw))
    assert f"/tx/{stranger}/hex" in paths(server)


def test_a_rival_that_only_waits_is_no_proof_either(chain, server, ledger):
    coin = next(ledger.free_coins())
    rival = ledger.carrying(OTHER, coin=coin, fee=5_000)
    ledger.submit(rival)
    claim = {"spent": True, "txid": display(txid(rival)), "vin": 0, "status": {"confirmed": True}}
    server.plan({2: rewrite(lambda _answer: claim)})
    assert refusal(lambda: chain.submit(ledger.carrying(PAYLOAD, coin=coin)))
    assert paths(server)[-1] == f"/tx/{display(txid(rival))}/status"


def test_a_server_that_lags_behind_its_node_is_no_proof_of_an_unknown_coin(chain, server, ledger):
    """Unless the node itself says that the coin is missing; and what waits in the server's mempool is not."""
    parent = ledger.carrying(OTHER)
    ledger.submit(parent)
    child = ledger.carrying(PAYLOAD, coin=(txid(parent), 1))
    server.plan({1: status(400, b"bad-txns-inputs-missingorspent")})
    assert refusal(lambda: chain.submit(child))
    ledger.drop(txid(parent))
    server.plan({0: status(400, b"min relay fee not met")})
    assert refusal(lambda: chain.submit(child))


def test_another_id_than_its_own_is_no_success(chain, server, ledger):
    server.plan({1: garbage(b"00" * 32)})
    with pytest.raises(ChainError, match="says about the transaction it took cannot be believed"):
        chain.submit(ledger.carrying(PAYLOAD))


@pytest.mark.parametrize(
    ("blocks", "rate"),
    [(1, "20.5"), (2, "20.5"), (3, "10.25"), (5, "10.25"), (6, "5"), (143, "5"), (144, "1.0"), (9_999, "1.0")],
)
def test_a_fee_rate_is_never_one_for_more_blocks_than_asked(chain, server, blocks, rate):
    assert chain.fee_rate(blocks) == Decimal(rate)
    assert len(server.requests) == 2


def test_the_fastest_estimate_is_the_best_there_is(chain, server):
    server.fees = {"3": 7, "2": 8}
    assert chain.fee_rate(1) == 8


@pytest.mark.parametrize(
    "fees",
    [
        {"1": "20", "2": True, "3": None, "4": [], "5": {}, "6": 0, "7": -1, "8": 100_000, "9": 1e300, "x": 3},
        {"1": float("nan"), "2": float("inf"), "0": 5, "-1": 5, "\uff11": 5, "10000": 5, "": 5, "1.5": 5, " 1": 5},
        {},
    ],
)
def test_what_is_no_estimate_is_left_out(chain, server, fees):
    server.fees = fees
    assert chain.fee_rate(6) is None
    server.fees = {**fees, "6": 2}
    assert chain.fee_rate(6) == 2


def test_mempool_space_answers_203_and_warns(chain, server):
    server.fees_status = 203
    server.fees = {"1": 4.8, "1008": 0.1, "warning": "This endpoint is deprecated"}
    assert chain.fee_rate(3) == Decimal("4.8")


@pytest.mark.parametrize(("blocks", "rate"), [(1, 9), (2, 9), (3, "4.5"), (6, 3), (100, 3), (144, 2)])
def test_its_like_know_only_their_own_names(chain, server, blocks, rate):
    server.fees = None
    server.precise = {"fastestFee": 9, "halfHourFee": 4.5, "hourFee": 3, "economyFee": 2, "minimumFee": 1}
    assert chain.fee_rate(blocks) == Decimal(rate)


def test_estimates_that_are_no_map(chain, server):
    server.plan({1: garbage(b"[20]")})
    assert "about fee rates cannot be believed: expected a JSON object" in refusal(lambda: chain.fee_rate(6)).message


def test_a_server_without_estimates_does_not_know(chain, server):
    server.fees = None
    assert chain.fee_rate(6) is None
    assert len(server.requests) == 4


@pytest.mark.parametrize("network", [network for network in Network if network is not Network.REGTEST])
def test_a_server_of_another_network_is_named_with_both(server, network):
    chain = source(server, network=network)
    with pytest.raises(ChainError, match=f"expected a server of {network}, found .* to be of regtest") as caught:
        chain.tip()
    told_well(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("genesis", "found"), [(MAINNET_GENESIS, "mainnet"), (b"00" * 32, "an unknown network")], ids=["mainnet", "unknown"]
)
def test_a_server_that_turns_out_to_be_another_is_asked_nothing_more(chain, server, genesis, found):
    asks = (
        chain.tip,
        lambda: chain.headers([5]),
        lambda: chain.locate(server.ledger.carrying(PAYLOAD), since=0),
        lambda: chain.submit(server.ledger.carrying(PAYLOAD)),
        lambda: chain.pending(server.ledger.carrying(PAYLOAD)),
        lambda: chain.fee_rate(6),
    )
    for ask in asks:
        server.plan({0: garbage(genesis)})
        with pytest.raises(ChainError, match=f"to be of {found}"):
            ask()
        assert len(server.requests) == 1
    assert not server.ledger.mempool


def test_a_page_of_another_kind_is_no_esplora_server(server):
    chain = source(server)
    chain._api._server.url += "/wiki"
    with pytest.raises(ChainError, match="has no block 0") as caught:
        chain.tip()
    assert "/api" in caught.value.hint
