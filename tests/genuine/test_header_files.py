"""A file of headers from a genuine node, across reorganisations, judged as the node judged it."""

import pytest
from bitcoin.segwit_addr import encode

from medanchor.chain.blocks import OUTPUT_SCRIPT
from medanchor.chain.header_file import check_header_file
from medanchor.chain.header_sync import sync_headers
from medanchor.chain.node import NodeChain
from medanchor.core.hashes import display, sha256, sha256d
from medanchor.core.header import Network

ANYBODY = encode("bcrt", 0, OUTPUT_SCRIPT[2:])


def headers_of(node) -> bytes:
    """The best chain's headers, each asked for by its hash."""
    height = node.rpc.call("getblockcount")
    hashes = [node.rpc.call("getblockhash", at) for at in range(height + 1)]
    return b"".join(bytes.fromhex(node.rpc.call("getblockheader", name, False)) for name in hashes)


@pytest.fixture
def source(node):
    if node.rpc.call("getblockcount") < 30:
        node.rpc.call("generatetoaddress", 30, ANYBODY)
    return NodeChain(node.rpc, Network.REGTEST)


def test_a_file_follows_the_node(node, source, tmp_path):
    file = tmp_path / "headers.bin"
    height = node.rpc.call("getblockcount")
    assert sync_headers(source, file).added == height + 1
    assert file.read_bytes() == headers_of(node)
    node.rpc.call("generatetoaddress", 7, ANYBODY)
    assert sync_headers(source, file).added == 7
    assert sync_headers(source, file).added == 0
    chain = check_header_file(file, [height])
    assert display(chain.tip) == node.rpc.call("getbestblockhash")
    assert display(sha256d(chain.at(height))) == node.rpc.call("getblockhash", height)


@pytest.mark.parametrize("depth", range(1, 7))
def test_a_reorganisation_is_followed(node, source, tmp_path, depth):
    file = tmp_path / "headers.bin"
    sync_headers(source, file)
    top = node.rpc.call("getblockcount")
    node.rpc.call("invalidateblock", node.rpc.call("getblockhash", top - depth + 1))
    for number in range(depth + 1):
        elsewhere = encode("bcrt", 0, sha256(f"rival {depth} {number}".encode()))
        node.rpc.call("generatetoaddress", 1, elsewhere)
    synced = sync_headers(source, file)
    assert (synced.added, synced.removed) == (depth + 1, depth)
    assert file.read_bytes() == headers_of(node)


def test_a_node_that_lost_blocks_takes_none_away(node, source, tmp_path):
    file = tmp_path / "headers.bin"
    sync_headers(source, file)
    before = file.read_bytes()
    name = node.rpc.call("getblockhash", node.rpc.call("getblockcount") - 2)
    node.rpc.call("invalidateblock", name)
    synced = sync_headers(source, file)
    assert (synced.added, synced.removed) == (0, 0)
    assert file.read_bytes() == before
    node.rpc.call("reconsiderblock", name)
