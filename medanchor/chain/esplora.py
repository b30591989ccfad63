"""An Esplora server as a source of blocks: somebody's, reached over HTTP, and believed only as far as hashes go.

Which chain is the best one is its word, as it is any source's; `agreement.py` has a second source say it too.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from medanchor.chain import blocks
from medanchor.chain.esplora_api import Coin, EsploraApi, Place, Refusal, Spender
from medanchor.chain.source import SUCCESSORS, Tip
from medanchor.core.hashes import Hash, display, sha256d
from medanchor.core.header import GENESIS, Header, Network, check_proof_of_work
from medanchor.core.proof import Anchor, Block, Coinbase
from medanchor.core.verify import check_header, check_transaction
from medanchor.errors import ChainError, TransactionRefusedError

if TYPE_CHECKING:
    from bitcoin.core import CTransaction

    from medanchor.net.server import Server

T = TypeVar("T")

_IN_A_BLOCK = -27
"""Bitcoin Core's RPC_VERIFY_ALREADY_IN_UTXO_SET (rpc/protocol.h)."""

_KNOWN = ("txn-already", "already in")
_MISSING = ("missingorspent", "missing inputs")
_FEES = ("relay fee", "min fee", "insufficient fee", "insufficient priority")
_ANOTHER = "try again in a minute; if it stays so, name another server in config.toml"
_FEE_TOO_LOW = "fees have risen: run 'medanchor anchor' again when they are lower, or let it pay more"
_ANEW = "run 'medanchor anchor' again: it makes another one"
_LATER = "run 'medanchor anchor' again later: what is written down is sent again then"


class EsploraChain:
    """A `Chain` over an Esplora server, such as one of Blockstream's or mempool.space's make.

    Every header, transaction and branch is hashed here before it is given on. Before the first question the server's
    genesis block is compared with the network's.
    """

    mines = False

    def __init__(self, server: "Server", network: Network) -> None:
        self.network = network
        self._api = EsploraApi(server)
        self._met = False

    @property
    def name(self) -> str:
        """The kind of server, and its address."""
        return self._api.name

    def tip(self) -> Tip:
        """Return the newest block of the best chain: one request."""
        newest = self._checked(self._newest())
        return Tip(max(newest), newest[max(newest)])

    def headers(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the best chain's header at each of `heights`, None for one above the tip.

        One request for about ten neighbours, and one more at the end if there were several: unless the chain has still
        the same block at the highest of these heights, some headers may be of another one, and all are asked for again.
        """
        found = self._consistent(lambda: self._best(height for height in heights if height >= 0))
        return [found.get(height) for height in heights]

    def locate(self, transaction: bytes, *, since: int, successors: int = SUCCESSORS) -> Anchor | None:
        """Return all that ties `transaction` to the best chain, or None if no block from height `since` on holds it.

        Four requests for a new block. The server's own branches are not asked for: the ids of a whole block's
        transactions never change, and give both branches, of one depth, in one answer.
        """
        stripped = blocks.without_witness(blocks.deserialised(transaction))
        return self._consistent(lambda: self._locate(stripped, since, successors))

    def submit(self, transaction: bytes) -> None:
        """Hand `transaction` to the network; one that waits already or is in a block may be handed over again.

        Raises TransactionRefusedError only if another transaction has spent its coin, which is proved as an anchor is,
        or if node and server both know nothing of that coin. For any other refusal it is a ChainError.
        """
        parsed = blocks.deserialised(transaction)
        refusal = self._esplora.send(transaction, blocks.id_of(parsed))
        if refusal and not _is_known(refusal):
            self._look_into(refusal, parsed)

    def pending(self, transaction: bytes) -> bool:
        """Say whether `transaction` waits in the server's mempool.

        Asks what spends its first coin: of the transaction itself some servers say "not confirmed" without knowing it,
        and electrs shows what was in a replaced block for ever.
        """
        parsed = blocks.deserialised(transaction)
        return self._esplora.spender(_coins(parsed)[0]) == Spender(blocks.id_of(parsed), confirmed=False)

    def fee_rate(self, blocks: int) -> Decimal | None:
        """Return the fee rate, in sat/vB, that gets a transaction into one of the next `blocks` blocks.

        The estimate for the most blocks that are not more than these: one for more blocks than asked promises too
        little. None if the server has no estimates.
        """
        rates = self._esplora.fee_rates()
        soon = [target for target in rates if target <= blocks]
        return rates[max(soon) if soon else min(rates)] if rates else None

    @property
    def _esplora(self) -> EsploraApi:
        """The server, once it has shown that it is of this network."""
        if not self._met:
            self._check_network()
            self._met = True
        return self._api

    def _check_network(self) -> None:
        genesis = self._api.block_hash(0)
        if genesis is None:
            raise ChainError(
                f"{self.name} has no block 0", hint="is it an Esplora server? The address of one often ends in /api"
            )
        found = GENESIS.get(display(genesis))
        if found != self.network:
            raise ChainError(
                f"expected a server of {self.network}, found {self.name} to be of {found or 'an unknown network'}",
                hint=f"name a server of {self.network} in config.toml",
            )

    def _newest(self) -> dict[int, bytes]:
        newest = self._esplora.blocks()
        if newest is None:
            raise ChainError(f"{self.name} does not show its newest blocks", hint=_ANOTHER)
        return newest

    def _best(self, heights: Iterable[int], newest: dict[int, bytes] | None = None) -> dict[int, bytes]:
        """Return the best chain's headers at `heights`, and maybe at others; none for those above the tip.

        `newest` are the newest blocks where they have been asked for already.
        """
        found, tip = dict(newest or {}), max(newest) if newest else None
        pages = 1 if newest else 0
        for height in sorted(set(heights), reverse=True):
            if height in found or (tip is not None and height > tip):
                continue
            page, pages = self._esplora.blocks(height), pages + 1
            if page is None and tip is None:
                page = self._newest()
                tip = max(page)
            if page is None or (height not in page and height <= max(page)):
                raise self._contradiction(f"no block {height} below its newest one")
            found |= page
        if pages > 1 and self._esplora.block_hash(max(found)) != sha256d(found[max(found)]):
            raise self._contradiction(f"two blocks {max(found)}")
        return self._checked(found)

    def _checked(self, found: dict[int, bytes]) -> dict[int, bytes]:
        """Return headers by height that have their proof of work and, where they are neighbours, follow each other."""
        for height, raw in found.items():
            header = Header.parse(raw)
            with self._api.believing(f"block {height}"):
                check_proof_of_work(header, self.network)
            if height - 1 in found and header.previous != sha256d(found[height - 1]):
                raise self._contradiction(f"a block {height} that does not follow its block {height - 1}")
        return found

    def _locate(self, stripped: bytes, since: int, successors: int) -> Anchor | None:
        place = self._esplora.place(sha256d(stripped))
        if place is None or place.height < since:
            return None
        wanted = range(place.height, place.height + successors + 1)
        found = self._best(wanted, self._newest())
        if place.height not in found:
            return None  # it was mined since the server last looked which block is the newest
        if sha256d(found[place.height]) != place.block:
            raise self._contradiction(f"a transaction in a block {place.height} that is not in its best chain")
        return self._anchor(stripped, place, [found[height] for height in wanted if height in found])

    def _anchor(self, stripped: bytes, place: Place, headers: Sequence[bytes]) -> Anchor:
        """Return the evidence for a transaction (without witness) in the first of `headers`, hashed from end to end."""
        txids = self._esplora.txids(place.block) or []
        coinbase = self._esplora.transaction(txids[0]) if sha256d(stripped) in txids else None
        if coinbase is None:
            raise self._contradiction(f"a transaction in block {place.height}, and that block without it")
        anchor = Anchor(
            block=Block(header=headers[0], height=place.height, successors=tuple(headers[1:])),
            branch=blocks.branch(txids, txids.index(sha256d(stripped))),
            coinbase=Coinbase(path=blocks.branch(txids, 0).path, transaction=coinbase),
            network=self.network,
            transaction=stripped,
        )
        with self._api.believing(f"block {place.height}"):
            check_transaction(anchor, Header.parse(headers[0]))
            check_header(anchor, Header.parse(headers[0]))
        return anchor

    def _look_into(self, refusal: Refusal, parsed: "CTransaction") -> None:
        """Raise what it means that the node refused a transaction, unless it turns out to be known already."""
        spenders = {coin: self._esplora.spender(coin) for coin in _coins(parsed)}
        if blocks.id_of(parsed) in [spender.txid for spender in spenders.values() if spender]:
            return
        for coin, spender in spenders.items():
            if spender and spender.confirmed and self._is_spent(coin, spender.txid):
                raise TransactionRefusedError(
                    f"the transaction can never be mined: {display(spender.txid)} in a block has spent its coin",
                    hint=_ANEW,
                )
        if _says(refusal, _MISSING) and any(self._is_gone(coin) for coin, spender in spenders.items() if not spender):
            raise TransactionRefusedError(
                f"the transaction can never be mined: {self.name} does not know its coin", hint=_ANEW
            )
        raise ChainError(
            f"{self.name} does not take the transaction: {refusal.words}",
            hint=_FEE_TOO_LOW if _says(refusal, _FEES) else _LATER,
        )

    def _is_spent(self, coin: Coin, spender: Hash) -> bool:
        """Say whether it is proved that the transaction `spender` spends `coin`, and is in the best chain.

        On a server's mere word another transaction would be made, and both might be mined and paid for.
        """
        stripped = self._esplora.transaction(spender)
        if stripped is None or coin not in _coins(blocks.deserialised(stripped)):
            return False
        return self.locate(stripped, since=0, successors=0) is not None

    def _is_gone(self, coin: Coin) -> bool:
        """Say whether the transaction that made `coin` is in no block, and in no mempool either."""
        stripped = self._esplora.transaction(coin[0])
        return stripped is None or not (self._esplora.place(coin[0]) or self.pending(stripped))

    def _consistent(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; it is tried again, with pauses, while its answers contradict each other.

        So they do when a block comes between two of them, and where a server keeps some of its answers for a second.
        """
        patience = self._api.patience
        for attempt in range(patience.attempts - 1):
            try:
                return ask()
            except _ContradictionError:
                time.sleep(patience.pause * 2**attempt)
        return ask()

    def _contradiction(self, found: str) -> ChainError:
        return _ContradictionError(f"{self.name} contradicts itself: it shows {found}", hint=_ANOTHER)


class _ContradictionError(ChainError):
    """Two answers that cannot both be true at one time."""


def _coins(parsed: "CTransaction") -> list[Coin]:
    return [(Hash(bytes(spend.prevout.hash)), spend.prevout.n) for spend in parsed.vin]


def _says(refusal: Refusal, signs: Iterable[str]) -> bool:
    return any(sign in refusal.words.lower() for sign in signs)


def _is_known(refusal: Refusal) -> bool:
    """Say whether the transaction is refused because it is in the mempool, or in a block, already."""
    return refusal.code == _IN_A_BLOCK or _says(refusal, _KNOWN)
