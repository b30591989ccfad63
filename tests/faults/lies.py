"""What a Bitcoin Core node may answer that is an error, or plainly untrue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loopback_node import LoopbackNode, Method, RpcFault, fails

from medanchor.core.hashes import display, sha256d

CALLS = {
    f"error {code} {message}": fails(code, message)
    for code, message in (
        (-1, "internal bug detected"),
        (-4, "Insufficient funds"),
        (-5, "No such mempool or blockchain transaction"),
        (-6, "Insufficient funds"),
        (-8, "Invalid parameter, output already locked"),
        (-13, "Error: Please enter the wallet passphrase with walletpassphrase first."),
        (-18, "Requested wallet does not exist or is not loaded"),
        (-22, "TX decode failed"),
        (-25, "bad-txns-inputs-missingorspent"),
        (-26, "insufficient fee, rejecting replacement"),
        (-26, "txn-already-in-mempool"),
        (-27, "Transaction outputs already in utxo set"),
        (-28, "Verifying blocks…"),
        (-32601, "Method not found"),
    )
}

Methods = dict[str, Method]


def another_network(node: LoopbackNode) -> Methods:
    return {"getblockchaininfo": lambda: node._getblockchaininfo() | {"chain": "signet"}}


def an_old_tip(node: LoopbackNode) -> Methods:
    height = node.ledger.tip.height - 1
    old = {"blocks": height, "headers": height, "bestblockhash": display(node.ledger.best[height].hash)}
    return {"getblockchaininfo": lambda: node._getblockchaininfo() | old}


def another_branch(node: LoopbackNode) -> Methods:
    def getblock(*asked: object) -> object:
        told = node._getblock(*asked)
        return told | {"tx": [*told["tx"], told["tx"][0]]} if isinstance(told, dict) else told

    return {"getblock": getblock}


def no_work(node: LoopbackNode) -> Methods:
    """At each height a header that nobody worked for, by its own hash."""
    idle = {block.height: _without_work(block.header) for block in node.ledger.best[1:]}
    names = {display(sha256d(header)): header for header in idle.values()}

    def getblockheader(name: str, verbose: bool = True) -> object:
        return names[name].hex() if name in names and not verbose else node._getblockheader(name, verbose)

    return {"getblockhash": lambda height: display(sha256d(idle[height])), "getblockheader": getblockheader}


def _without_work(header: bytes) -> bytes:
    tries = (header[:76] + nonce.to_bytes(4, "little") for nonce in range(256))
    return next(one for one in tries if sha256d(one)[31] >> 7)


def stale_blocks(node: LoopbackNode) -> Methods:
    """At each height a block that was there before a reorganisation, if there is one."""
    old = {block.height: block for block in node.ledger.known.values() if not node.ledger.holds(block)}

    def getblockhash(height: int) -> object:
        return display(old[height].hash) if height in old else node._getblockhash(height)

    return {"getblockhash": getblockhash}


def nothing_waits(_node: LoopbackNode) -> Methods:
    def getmempoolentry(_name: str) -> object:
        raise RpcFault(-5, "Transaction not in mempool")

    return {"getmempoolentry": getmempoolentry}


def taken_and_forgotten(node: LoopbackNode) -> Methods:
    def sendrawtransaction(raw: str) -> object:
        name = node._sendrawtransaction(raw)
        node.ledger.mempool.popitem()
        return name

    return {"sendrawtransaction": sendrawtransaction}


def nothing_taken(_node: LoopbackNode) -> Methods:
    def sendrawtransaction(_raw: str) -> object:
        raise RpcFault(-26, "mempool min fee not met")

    return {"sendrawtransaction": sendrawtransaction}


def dear(_node: LoopbackNode) -> Methods:
    return {"estimatesmartfee": lambda *_: {"feerate": 0.9, "blocks": 6}}


LIES = (
    *(another_network, an_old_tip, another_branch, no_work, stale_blocks),
    *(nothing_waits, taken_and_forgotten, nothing_taken, dear),
)


@contextmanager
def lying(node: LoopbackNode, lie: Callable[[LoopbackNode], Methods]) -> Iterator[None]:
    honest = dict(node.methods)
    node.methods |= lie(node)
    try:
        yield
    finally:
        node.methods = honest
