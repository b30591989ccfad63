"""A Bitcoin Core node as a source of blocks, asked over JSON-RPC: whoever runs it need not trust anybody else.

The node needs neither -txindex nor a wallet, and may prune. What it says is hashed here all the same, so that a node
that is somebody else's, or broken, cannot make a proof that no verifier believes.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from medanchor.chain import node_answers as answers
from medanchor.chain.node_answers import State
from medanchor.chain.node_search import Sought, anchor_at, height_of, scan, unspent, waiting
from medanchor.chain.node_view import NodeView
from medanchor.chain.source import SUCCESSORS, Tip
from medanchor.core.hashes import Hash, display, from_display
from medanchor.core.header import Network
from medanchor.core.proof import Anchor
from medanchor.errors import ChainError, MalformedProofError, TransactionRefusedError
from medanchor.net.rpc import Rpc, RpcError

_LOOK_BACK = 4_032
"""Blocks that `submit` looks through for a transaction that nothing tells the age of: those of four weeks."""

_MOST_AHEAD = 1_008  # blocks: Bitcoin Core estimates no further
_IN_A_BLOCK = -27
"""RPC_VERIFY_ALREADY_IN_UTXO_SET (Bitcoin Core, rpc/protocol.h)."""

_CANNOT_TELL = "ask another source, or let the node find every transaction (txindex=1 in its bitcoin.conf)"
_RIVAL = "wait until one of the two is in a block, or let this one pay more"
_FEE = "wait until fees are lower, or let it pay more"
_LATER = "run 'medanchor anchor' again later: what is written down is sent again then"


class NodeChain:
    """The `Chain` of the node behind `rpc`, which has to be on `network` and done with its first synchronisation.

    Nothing is asked before it is needed.
    """

    mines = False

    def __init__(self, rpc: Rpc, network: Network) -> None:
        self.network = network
        self._rpc = rpc
        self._view = NodeView(rpc, network)
        self._since: dict[Hash, int] = {}

    @property
    def name(self) -> str:
        """What a verifier who relied on it names: a Bitcoin Core node, and its address."""
        return self._rpc.name

    def tip(self) -> Tip:
        """Return the newest block of the best chain: two requests."""
        return self._view.steadily(self._tip)

    def headers(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the best chain's header at each of `heights`, None for one above the tip.

        Two requests for up to 2,000 heights, two more for each further 2,000. Neighbours follow each other, and all
        are below a block that was the best one first, and is in the best chain at last.
        """
        wanted = sorted({height for height in heights if height >= 0})
        found = self._view.steadily(lambda: self._headers(wanted))
        return [found.get(height) for height in heights]

    def locate(self, transaction: bytes, *, since: int, successors: int = SUCCESSORS) -> Anchor | None:
        """Return all that ties `transaction` to the best chain, or None if no block from height `since` on holds it.

        One request if it waits in the mempool or one of its coins is not spent; four if an output of its own is not, or
        if the node runs with -txindex. Otherwise the blocks from `since` on are looked through, eight at a time, so
        that memory stays small; a thousand full ones take a minute. Raises ChainError if those that could hold it are
        pruned.
        """
        sought = Sought.read(transaction)
        self._since[sought.txid] = since
        return self._view.steadily(lambda: self._locate(sought, since, successors))

    def submit(self, transaction: bytes) -> None:
        """Hand `transaction` (serialised, with its witness) to the network; handing it over again changes nothing.

        A refusal is looked into, because a node refuses what is mined and spent on as it does what can never be.
        Raises TransactionRefusedError only if a coin it spends is neither in the best chain nor made by what waits in
        the mempool, and the transaction itself is in neither; otherwise a ChainError with the node's reason.
        """
        sought = Sought.read(transaction)
        self._view.ask()
        try:
            answer = self._rpc.call("sendrawtransaction", transaction.hex())
        except RpcError as refusal:
            if refusal.code != _IN_A_BLOCK:
                self._view.steadily(partial(self._look_into, sought, refusal))
            return
        with self._view.believed():
            if from_display(answer) != sought.txid:
                raise MalformedProofError("it took another transaction than it was given")

    def pending(self, transaction: bytes) -> bool:
        """Say whether `transaction` waits in the node's mempool; one in a block does not wait. One request."""
        _, (entry,) = self._view.ask(waiting(Sought.read(transaction).txid))
        with self._view.believed():
            return answers.waits(entry)

    def fee_rate(self, blocks: int) -> Decimal | None:
        """Return the fee rate, in sat/vB, that gets a transaction into one of the next `blocks` blocks. One request.

        It is never below what the node's mempool takes. None if the node has seen too little to tell.
        """
        ahead = min(max(blocks, 1), _MOST_AHEAD)
        _, (estimate, pool) = self._view.ask(("estimatesmartfee", (ahead,)), ("getmempoolinfo", ()))
        with self._view.believed():
            return answers.fee_rate(estimate, pool)

    def _tip(self) -> Tip:
        state, _ = self._view.ask()
        return Tip(state.height, self._view.headers({state.height: state.best}, state)[state.height])

    def _headers(self, wanted: Sequence[int]) -> dict[int, bytes]:
        state, hashes = self._view.hashes(wanted)
        return self._view.headers(hashes, state) if hashes else {}

    def _locate(self, sought: Sought, since: int, successors: int) -> Anchor | None:
        height = height_of(self._view, sought, since)
        return None if height is None else anchor_at(self._view, sought, height, successors)

    def _look_into(self, sought: Sought, refusal: RpcError) -> None:
        """Return if `sought` is in the best chain or in the mempool nonetheless; else raise what is wrong with it."""
        parents = [waiting(txid) for txid, _ in sought.spends]
        free = [unspent(coin, mempool=True) for coin in sought.spends]
        calls = [waiting(sought.txid), *map(unspent, (*sought.makes, *sought.spends)), *free, *parents]
        state, (entry, *rest) = self._view.ask(*calls)
        with self._view.believed():
            made = [answers.coin(rest.pop(0)) for _ in sought.makes]
            left = [answers.coin(rest.pop(0)) for _ in sought.spends]
            unclaimed = [answers.coin(rest.pop(0)) for _ in free]
            coming = [answers.waits(rest.pop(0)) for _ in parents]
            if answers.waits(entry) or any(made):
                return
        if all(map(any, zip(left, coming, strict=True))):
            raise self._refusal(refusal, rival=not all(unclaimed))
        if not self._is_mined(sought, state):
            gone = next(coin for coin, *there in zip(sought.spends, left, coming, strict=True) if not any(there))
            raise TransactionRefusedError(
                f"{self.name} refuses the transaction for good, as the coin it spends ({display(gone[0])}:{gone[1]}) "
                f"is spent by another, or never was: {refusal.text}",
                hint="run 'medanchor anchor' again: it makes another one",
            )

    def _refusal(self, refusal: RpcError, *, rival: bool) -> ChainError:
        """Return the error for what may be mined yet: what the node says, and what to do about it."""
        if rival:
            reason, hint = "another one that waits spends the same coin", _RIVAL
        else:
            reason, hint = refusal.text, _FEE if "fee" in refusal.text.lower() else _LATER
        return ChainError(f"{self.name} does not take the transaction now: {reason}", hint=hint)

    def _is_mined(self, sought: Sought, state: State) -> bool:
        """Say whether a block holds a transaction all of whose outputs are spent; raise ChainError if nobody can tell.

        It is looked for from where the caller last did, or from where its lock time lets it be.
        """
        if state.known > state.height:
            raise ChainError(
                f"{self.name} has {state.height:,} of {state.known:,} blocks, and the coin may be in the others",
                hint="let it catch up, then run 'medanchor anchor' again",
            )
        told = sought.txid in self._since or sought.earliest > 1  # 1 is what a lock time of none comes to
        since = max(sought.earliest, self._since.get(sought.txid, 0))
        start = since if told else max(since, state.height - _LOOK_BACK)
        if scan(self._view, sought.txid, start, state) is not None:
            return True
        if start > since:
            raise ChainError(
                f"{self.name} cannot tell whether a block before {start:,} holds the transaction", hint=_CANNOT_TELL
            )
        return False
