"""The form that a Bitcoin Core node's answers must have; whether they are true is for `node.py`.

Each of these takes what `Rpc.batch` gave for one call: the result, or the RpcError in its place, which is raised here
unless it is an answer too. Anything of another form raises MalformedProofError. Other members are passed over.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from io import BytesIO

from bitcoin.core import CTransaction
from bitcoin.core.serialize import SerializationError, VarIntSerializer

from medanchor.chain.blocks import without_witness
from medanchor.core.encoding import number, text
from medanchor.core.hashes import Hash, display, from_display, from_hex, sha256d
from medanchor.core.header import HEADER_LENGTH, Header, Network, check_proof_of_work
from medanchor.core.transaction import strip_witness
from medanchor.errors import MalformedProofError
from medanchor.net.rpc import NOT_FOUND, RpcError

OUT_OF_RANGE = -8
"""RPC_INVALID_PARAMETER (Bitcoin Core, rpc/protocol.h): the answer for a height above the tip."""

CHAINS = {
    "main": Network.MAINNET,
    "test": Network.TESTNET3,
    "testnet4": Network.TESTNET4,
    "signet": Network.SIGNET,
    "regtest": Network.REGTEST,
}
"""What Bitcoin Core calls the networks."""

_SATOSHI_PER_VBYTE = 100_000
"""In one BTC/kvB, above which there is no fee rate."""

_FINEST_RATE = Decimal("0.001")
"""In sat/vB: what one satoshi/kvB is, the last digit that Bitcoin Core writes."""


@dataclass(frozen=True, slots=True)
class State:
    """What a node says of itself: its network, its best block, how many headers it knows, and what it has pruned.

    `pruned` is the height of the first block that it still has; 0 for a node that has them all.
    """

    network: Network | None
    height: int
    best: Hash
    known: int
    syncing: bool
    pruned: int


@dataclass(frozen=True, slots=True)
class Coin:
    """An output that no block has spent: how deep its block lies under the best block, `best`."""

    best: Hash
    confirmations: int


def state(answer: object) -> State:
    """Return what `getblockchaininfo` answers."""
    pruned = truth(member(answer, "pruned"))
    return State(
        network=CHAINS.get(text(member(answer, "chain"))),
        height=number(member(answer, "blocks")),
        best=from_display(member(answer, "bestblockhash")),
        known=number(member(answer, "headers")),
        syncing=truth(member(answer, "initialblockdownload")),
        pruned=number(member(answer, "pruneheight")) if pruned else 0,
    )


def block_hash(answer: object) -> Hash | None:
    """Return what `getblockhash` answers; None for a height above the tip."""
    return None if _is_error(answer, OUT_OF_RANGE) else from_display(result(answer))


def header(answer: object, expected: Hash, network: Network) -> bytes:
    """Return what `getblockheader` answers (80 bytes), which has to hash to `expected` and to have its proof of work.

    Raises VerificationError at step 7 if it has no work.
    """
    raw = from_hex(result(answer), length=HEADER_LENGTH)
    if sha256d(raw) != expected:
        raise MalformedProofError(f"expected header {display(expected)}, found {display(sha256d(raw))}")
    check_proof_of_work(Header.parse(raw), network)
    return raw


def place(answer: object) -> int | None:
    """Return the height of a block in the best chain, of which `getblockheader` or `getblock` tells; None if stale."""
    confirmations, height = member(answer, "confirmations"), number(member(answer, "height"))
    if type(confirmations) is not int:
        raise MalformedProofError("expected a number of confirmations")
    return height if confirmations > 0 else None


def txids(answer: object) -> list[Hash]:
    """Return the ids of a block's transactions, of which `getblock` tells."""
    spelled = member(answer, "tx")
    if not isinstance(spelled, list) or not spelled:
        raise MalformedProofError("expected a block's transactions")
    return [from_display(one) for one in spelled]


def coin(answer: object) -> Coin | None:
    """Return what `gettxout` answers; None if there is no such output, or it is spent."""
    if result(answer) is None:
        return None
    return Coin(from_display(member(answer, "bestblock")), number(member(answer, "confirmations")))


def waits(answer: object) -> bool:
    """Say whether the transaction that `getmempoolentry` was asked for is in the mempool."""
    if _is_error(answer, NOT_FOUND):
        return False
    member(answer, "fees")
    return True


def mined_in(answer: object) -> Hash | None:
    """Return the block in which `getrawtransaction` finds a transaction, None if it does not.

    A node without -txindex finds none. One with it may find a block that is stale.
    """
    if _is_error(answer, NOT_FOUND):
        return None
    tree = result(answer)
    return from_display(tree["blockhash"]) if isinstance(tree, dict) and "blockhash" in tree else None


def fee_rate(estimate: object, pool: object) -> Decimal | None:
    """Return the fee rate, in sat/vB, that `estimatesmartfee` tells; none below what `getmempoolinfo` says is taken.

    None if the node has no estimate, which is no error.
    """
    least = max(_rate(member(pool, "mempoolminfee")), _rate(member(pool, "minrelaytxfee")))
    tree = result(estimate)
    if isinstance(tree, dict) and "feerate" not in tree:
        return None
    return max(_rate(member(tree, "feerate")), least)


def transaction(answer: object) -> bytes:
    """Return the transaction, without its witness, that `getrawtransaction` answers."""
    return strip_witness(from_hex(result(answer)))


def first_transaction(answer: object) -> bytes:
    """Return the first transaction, without its witness, of the block that `getblock` answers as it is serialised."""
    stream = BytesIO(from_hex(result(answer))[HEADER_LENGTH:])
    try:
        VarIntSerializer.stream_deserialize(stream)
        return without_witness(CTransaction.stream_deserialize(stream))
    except (SerializationError, ValueError, IndexError, OverflowError, MemoryError):
        raise MalformedProofError("the block cannot be read") from None


def result(answer: object) -> object:
    """Return the result of a call; raise the RpcError in its place."""
    if isinstance(answer, RpcError):
        raise answer
    return answer


def member(answer: object, name: str) -> object:
    """Return a member of the JSON object that a call resulted in."""
    tree = result(answer)
    if not isinstance(tree, dict) or name not in tree:
        raise MalformedProofError(f"expected a JSON object with the member {name}")
    return tree[name]


def truth(value: object) -> bool:
    """Return `value`, true or false."""
    if not isinstance(value, bool):
        raise MalformedProofError("expected true or false")
    return value


def _is_error(answer: object, code: int) -> bool:
    return isinstance(answer, RpcError) and answer.code == code


def _rate(value: object) -> Decimal:
    """Return a fee rate in BTC/kvB, which JSON writes with or without a point, in sat/vB."""
    if not (isinstance(value, Decimal) or type(value) is int) or not 0 <= value <= 1:
        raise MalformedProofError(f"expected a fee rate of {_SATOSHI_PER_VBYTE:,} sat/vB at the most")
    return (Decimal(value) * _SATOSHI_PER_VBYTE).quantize(_FINEST_RATE, rounding=ROUND_CEILING)
