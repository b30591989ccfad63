"""A node on loopback for the tests of a module, and for each test a wallet of its own in it."""

from itertools import count

import pytest
from loopback_node import LoopbackNode
from loopback_wallet import LoopbackWallet

_numbers = count(1)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with LoopbackNode(tmp_path_factory.mktemp("node")) as node:
        yield node


@pytest.fixture
def clinic(node):
    """Return a wallet of the node that no other test has, and leave nothing waiting in the node afterwards."""
    methods, wallets = dict(node.methods), dict(node.wallets)
    node.chain = "regtest"
    yield LoopbackWallet(node, f"clinic {next(_numbers)}")
    node.plan()
    node.methods, node.wallets = methods, wallets
    node.ledger.mine()
