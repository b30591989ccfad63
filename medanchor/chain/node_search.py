"""Where a Bitcoin Core node has a transaction, and what ties it to the best chain; with or without its -txindex."""

from collections.abc import Iterable
from dataclasses import dataclass

from medanchor.chain import blocks
from medanchor.chain import node_answers as answers
from medanchor.chain.node_answers import State
from medanchor.chain.node_view import Call, MovedError, NodeView
from medanchor.core.hashes import Hash, display
from medanchor.core.header import Header
from medanchor.core.proof import Anchor, Block, Coinbase
from medanchor.core.verify import check_header, check_transaction
from medanchor.errors import ChainError
from medanchor.net.rpc import RpcError

Outpoint = tuple[Hash, int]

_BLOCKS = 8
_MOST_BLOCKS = 16 << 20
"""Blocks in one request while a transaction is looked for, and bytes in its answer: the ids of 30,000 in each."""

_MOST_BLOCK = 9 << 20  # a whole block (4,000,000 bytes) in hex
_OP_RETURN = b"\x6a"
_PRUNED = "ask another source, or let the node keep more blocks (prune in its bitcoin.conf)"


@dataclass(frozen=True, slots=True)
class Sought:
    """A transaction that is looked for: its bytes without witness, its id, and the outputs it spends and makes.

    Those that nobody can spend are not among those it makes: no node remembers them. `earliest` is the lowest height at
    which consensus lets it be, 0 if that is any.
    """

    stripped: bytes
    txid: Hash
    spends: tuple[Outpoint, ...]
    makes: tuple[Outpoint, ...]
    earliest: int

    @classmethod
    def read(cls, transaction: bytes) -> "Sought":
        """Return what there is to look for of a serialised transaction. Raises ChainError if it is none."""
        parsed = blocks.deserialised(transaction)
        txid = blocks.id_of(parsed)
        scripts = [bytes(output.scriptPubKey) for output in parsed.vout]
        return cls(
            stripped=blocks.without_witness(parsed),
            txid=txid,
            spends=tuple((Hash(bytes(spend.prevout.hash)), spend.prevout.n) for spend in parsed.vin),
            makes=tuple((txid, place) for place, script in enumerate(scripts) if not script.startswith(_OP_RETURN)),
            earliest=blocks.first_possible_height(parsed),
        )


def waiting(txid: Hash) -> Call:
    """Return the question whether a transaction is in the mempool."""
    return ("getmempoolentry", (display(txid),))


def unspent(outpoint: Outpoint, *, mempool: bool = False) -> Call:
    """Return the question whether an output is spent: by the best chain, or with `mempool` by either."""
    return ("gettxout", (display(outpoint[0]), outpoint[1], mempool))


def height_of(view: NodeView, sought: Sought, since: int) -> int | None:
    """Return the height of the best chain's block that holds `sought`, at `since` or above, or None if none does.

    What waits in the mempool is in no block, and neither is what spends a coin that is not spent. Raises ChainError if
    blocks that could hold it are pruned, MovedError.
    """
    question = ("getrawtransaction", (display(sought.txid), 1))
    outputs = map(unspent, (*sought.makes, *sought.spends))
    state, (mined, entry, *coins) = view.ask(question, waiting(sought.txid), *outputs)
    with view.believed():
        left = [answers.coin(one) for one in coins]
        if answers.waits(entry) or any(left[len(sought.makes) :]):
            return None
        height = _by_coin(left[: len(sought.makes)], state)
        block = answers.mined_in(mined) if height is None else None
    if block is not None:
        height = _by_hash(view, block)
    if height is None:
        return scan(view, sought.txid, max(since, sought.earliest), state)
    return height if height >= since else None


def scan(view: NodeView, txid: Hash, since: int, state: State) -> int | None:
    """Return the height of the best chain's block that holds `txid`, at `since` or above: block after block is read.

    Raises ChainError if it could be in one that is pruned, MovedError.
    """
    for low in range(max(since, state.pruned, 0), state.height + 1, _BLOCKS):
        _, hashes = view.hashes(range(low, min(low + _BLOCKS, state.height + 1)))
        calls = [("getblock", (display(one), 1)) for one in hashes.values()]
        found = view.rpc.batch(calls, most=_MOST_BLOCKS)
        with view.believed():
            for height, block in zip(hashes, found, strict=True):
                if txid in answers.txids(block):
                    return height
    if since < state.pruned:
        raise _pruned(view, state)
    view.headers({}, state)
    return None


def anchor_at(view: NodeView, sought: Sought, height: int, successors: int) -> Anchor:
    """Return the evidence for `sought` in the best chain's block at `height`: three requests.

    It is checked as a verifier does, but for what it commits to. Raises ChainError if the block is pruned, MovedError
    if it does not hold `sought` (any more).
    """
    state, hashes = view.hashes(range(height, height + successors + 1))
    if height not in hashes:
        raise MovedError
    if height < state.pruned:
        raise _pruned(view, state)
    name = display(hashes[height])
    headers, (block,) = view.headers_and(hashes, state, ("getblock", (name, 1)))
    with view.believed():
        txids = answers.txids(block)
        if sought.txid not in txids:
            raise MovedError
        anchor = Anchor(
            block=Block(headers[height], height, tuple(headers[above] for above in sorted(headers)[1:])),
            branch=blocks.branch(txids, txids.index(sought.txid)),
            coinbase=Coinbase(blocks.branch(txids, 0).path, _coinbase(view, name, txids[0])),
            network=view.network,
            transaction=sought.stripped,
        )
        header = Header.parse(anchor.block.header)
        check_transaction(anchor, header)
        check_header(anchor, header)
    return anchor


def _by_coin(made: Iterable[answers.Coin | None], state: State) -> int | None:
    """Return the height at which an output was made that is not spent; None if all are, or there never were any."""
    coin = next(filter(None, made), None)
    if coin is None:
        return None
    if coin.best != state.best or not 0 < coin.confirmations <= state.height:
        raise MovedError
    return state.height - coin.confirmations + 1


def _by_hash(view: NodeView, block: Hash) -> int | None:
    """Return the height of a block, None if it is not in the best chain."""
    _, (header,) = view.ask(("getblockheader", (display(block), True)))
    with view.believed():
        return answers.place(header)


def _coinbase(view: NodeView, block: str, txid: Hash) -> bytes:
    """Return the first transaction of a block, without its witness; out of the whole block if it is not given alone."""
    (alone,) = view.rpc.batch([("getrawtransaction", (display(txid), 0, block))])
    if not isinstance(alone, RpcError):
        return answers.transaction(alone)
    return answers.first_transaction(view.rpc.call("getblock", block, 0, most=_MOST_BLOCK))


def _pruned(view: NodeView, state: State) -> ChainError:
    return ChainError(
        f"{view.rpc.name} has pruned the blocks below {state.pruned:,}, one of which may hold the transaction",
        hint=_PRUNED,
    )
