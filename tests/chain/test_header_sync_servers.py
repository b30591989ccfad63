"""A file of headers from servers that fail: it is as it was, or right, and the next run finishes."""

import shutil
from pathlib import Path

import pytest
from header_sources import split
from loopback_esplora import LoopbackEsplora
from loopback_http import half, hang, redirect, reset_after, status
from loopback_ledger import Ledger
from loopback_node import LoopbackNode

from medanchor.chain.esplora import EsploraChain
from medanchor.chain.header_sync import sync_headers
from medanchor.chain.node import NodeChain
from medanchor.core.header import Network
from medanchor.errors import ChainError
from medanchor.net.rpc import Rpc
from medanchor.net.server import Patience, Server

# Whatever else a server may do to an answer, each source is tried on by itself (test_node_faults, test_esplora_faults).
FAULTS = {
    "HTTP 404": status(404),
    "HTTP 503": status(503),
    "HTTP 301": redirect(301, "http://127.0.0.1:9/elsewhere"),
    "reset": reset_after,
    "half": half,
    "hang": hang,
}
HASTY = Patience(seconds=0.15, attempts=2, pause=0.001)
CALM = Patience(seconds=5, attempts=2, pause=0.01)


@pytest.fixture(params=["node", "esplora"])
def served(request, tmp_path):
    """A server, and what makes a source of it, given how long it is waited for."""
    if request.param == "node":
        with LoopbackNode(tmp_path) as node:
            node.ledger.mine(20)
            yield (
                node,
                lambda patience: NodeChain(
                    Rpc(node.url, "regtest", cookie=node.cookie, patience=patience), Network.REGTEST
                ),
            )
    else:
        with LoopbackEsplora(Ledger(tmp_path / "chain")) as server:
            server.ledger.mine(20)
            yield (
                server,
                lambda patience: EsploraChain(
                    Server("the Esplora server", server.url, patience=patience), Network.REGTEST
                ),
            )
    shutil.rmtree(tmp_path / "chain", ignore_errors=True)


def served_headers(server) -> list[bytes]:
    return server.ledger.chain.headers(range(server.ledger.tip.height + 1))


def failure(source, file: Path) -> ChainError | None:
    try:
        sync_headers(source, file)
    except ChainError as error:
        return error
    return None


def test_a_new_file_then_more_then_a_reorganisation(served, tmp_path):
    server, source = served
    file = tmp_path / "headers.bin"
    assert sync_headers(source(CALM), file).added == 122
    server.ledger.mine(3)
    assert sync_headers(source(CALM), file).added == 3
    server.ledger.reorg(4)
    synced = sync_headers(source(CALM), file)
    assert (synced.added, synced.removed) == (5, 4)
    assert split(file) == served_headers(server)
    server.requests.clear()
    assert sync_headers(source(CALM), file).added == 0
    assert len(server.requests) <= 3


def test_every_fault_at_every_request(served, tmp_path):
    server, source = served
    file, old = tmp_path / "headers.bin", served_headers(server)[:110]
    server.ledger.reorg(20)
    new = served_headers(server)
    server.requests.clear()
    file.write_bytes(b"".join(old))
    sync_headers(source(CALM), file)
    count = len(server.requests)
    assert count >= 8
    for when in range(count):
        for name, fault in FAULTS.items():
            file.write_bytes(b"".join(old))
            server.plan({when: fault})
            once = failure(source(HASTY), file)
            assert once is None or (once.hint and server.url in once.message), (when, name)
            assert split(file) == (old if once else new), (when, name)
    server.plan()
    for name, fault in FAULTS.items():
        file.write_bytes(b"".join(old))
        server.plan(always=fault)
        assert failure(source(HASTY), file) is not None, name
        assert split(file) == old, name
    server.plan()
    sync_headers(source(CALM), file)
    assert split(file) == new
    assert not file.with_name("headers.bin.part").exists()
