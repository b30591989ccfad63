"""A Bitcoin Core node on loopback, with a wallet, as the tests have it: real in its consensus code, else made up."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"


@contextmanager
def loopback_node(directory: Path) -> Iterator[tuple[Any, str]]:
    """Give a node whose wallet has some coins, and that wallet as the configuration names it."""
    sys.path.append(str(TESTS))
    from loopback_node import LoopbackNode
    from loopback_wallet import LoopbackWallet

    directory.mkdir(parents=True, exist_ok=True)
    with LoopbackNode(directory) as node:
        LoopbackWallet(node, "clinic").receive(100_000)
        os.environ["MEDANCHOR_NODE_COOKIE"] = str(node.cookie)
        try:
            yield node, "core clinic"
        finally:
            del os.environ["MEDANCHOR_NODE_COOKIE"]
