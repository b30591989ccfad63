"""A chain with a mempool, for servers in tests: Bitcoin Core's consensus code judges blocks, bookkeeping the rest.

The embedded chain mines; this keeps what it mined at hand (reorganised blocks too, as a node does), knows which coins
are there, and holds what waits to be mined. Signatures are judged when a block is mined, not before.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from bitcoin.core import COutPoint, CTransaction, CTxIn, CTxInWitness, CTxOut, CTxWitness
from bitcoin.core.script import CScript, CScriptWitness
from bitcoin.core.serialize import SerializationError
from standing_chain import StandingChain

from medanchor.chain import blocks
from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import Hash, display, sha256d

Outpoint = tuple[Hash, int]


class RefusedError(Exception):
    """What the mempool says no to: Bitcoin Core's RPC error code, and its reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Seen:
    """A block that was in the best chain once."""

    height: int
    header: bytes
    transactions: tuple[bytes, ...]  # with their witnesses
    txids: tuple[Hash, ...]
    spends: tuple[Outpoint, ...]
    makes: "dict[Outpoint, Coin]"  # but for what nobody can spend

    @property
    def hash(self) -> Hash:
        return sha256d(self.header)


@dataclass(frozen=True)
class Coin:
    """An output that is not spent; its height is None while it is in the mempool."""

    value: int
    script: bytes
    height: int | None
    coinbase: bool = False


@dataclass
class Pooled:
    """A transaction that waits, its fee in satoshi and its virtual size."""

    transaction: bytes
    fee: int
    size: int
    since: int = field(default_factory=lambda: int(time.time()))


@lru_cache(maxsize=4096)
def parsed(raw: bytes) -> CTransaction:
    return CTransaction.deserialize(raw)


def txid(raw: bytes) -> Hash:
    return blocks.id_of(parsed(raw))


def virtual_size(raw: bytes) -> int:
    return (3 * len(blocks.without_witness(parsed(raw))) + len(raw) + 3) // 4


def inputs(raw: bytes) -> list[Outpoint]:
    return [(Hash(bytes(spend.prevout.hash)), spend.prevout.n) for spend in parsed(raw).vin]


class Ledger:
    """`best` is the best chain by height, `known` every block there was, `mempool` what waits, `coins` what is left.

    `min_rate` is the lowest fee rate that is relayed, in sat/vB.
    """

    def __init__(self, directory: Path, *, min_rate: Decimal = Decimal("0.1")) -> None:
        self.chain = StandingChain(directory)
        self.min_rate = min_rate
        self.best: list[Seen] = []
        self.known: dict[Hash, Seen] = {}
        self.mempool: dict[Hash, Pooled] = {}
        self.coins: dict[Outpoint, Coin] = {}
        self._read()

    @property
    def tip(self) -> Seen:
        return self.best[-1]

    def holds(self, block: Seen) -> bool:
        """Whether the best chain does."""
        return block.height < len(self.best) and self.best[block.height] is block

    def block_of(self, wanted: Hash) -> Seen | None:
        """The best chain's block that holds a transaction."""
        return next((block for block in self.best if wanted in block.txids), None)

    def coin(self, outpoint: Outpoint, *, mempool: bool = True) -> Coin | None:
        """An output that nothing has spent: nothing mined, and with `mempool` nothing that waits either."""
        if not mempool:
            return self.coins.get(outpoint)
        if any(outpoint in inputs(pooled.transaction) for pooled in self.mempool.values()):
            return None
        return self._output(outpoint)

    def submit(self, raw: bytes) -> Hash:
        """Take a transaction into the mempool and return its txid, or raise RefusedError as Bitcoin Core would."""
        try:
            transaction, name = parsed(raw), txid(raw)
        except (SerializationError, ValueError):
            raise RefusedError(-22, "TX decode failed. Make sure the tx has at least one input.") from None
        if any((name, number) in self.coins for number in range(len(transaction.vout))):
            raise RefusedError(-27, "Transaction outputs already in utxo set")
        if name not in self.mempool:
            pooled = Pooled(raw, self._fee(raw), virtual_size(raw))
            self._check_rate(pooled)
            self._replace(pooled)
            self.mempool[name] = pooled
        return name

    def mine(self, count: int = 1, *, transactions: list[bytes] | None = None) -> None:
        """Mine `count` blocks, the first one with `transactions`: all that waits, unless they are given."""
        chosen = [pooled.transaction for pooled in self.mempool.values()] if transactions is None else transactions
        self.chain.mine(count, chosen)
        self._read()
        self._sift()

    def reorg(self, depth: int) -> None:
        """Replace the newest `depth` blocks by `depth` + 1 empty ones; what they held waits again if it may."""
        gone = [raw for block in self.best[len(self.best) - depth :] for raw in block.transactions[1:]]
        self.chain.reorg(depth)
        self._read()
        for raw in gone:
            self.mempool.setdefault(txid(raw), Pooled(raw, 0, virtual_size(raw)))
        self._sift()

    def drop(self, name: Hash) -> None:
        """Forget what waits, and all that spends it, as a node does that restarts or has no room."""
        for child in [
            other for other, pooled in self.mempool.items() if name in {of for of, _ in inputs(pooled.transaction)}
        ]:
            self.drop(child)
        self.mempool.pop(name, None)

    def spend(self, outputs: list[tuple[int, bytes]], *, fee: int = 1_000, coin: Outpoint | None = None) -> bytes:
        """A transaction that pays `outputs` (satoshi, script) from a coin anybody may spend, its change after them.

        `coin` is the first such coin that is mature and that nothing spends, unless it is named.
        """
        chosen = coin or next(self.free_coins())
        left = self._value(chosen) - fee - sum(value for value, _ in outputs)
        spent = CTxIn(COutPoint(*chosen), nSequence=0xFFFFFFFD)
        paid = [CTxOut(value, CScript(script)) for value, script in [*outputs, (left, blocks.OUTPUT_SCRIPT)]]
        witness = CTxWitness((CTxInWitness(CScriptWitness([blocks.ANYONE_CAN_SPEND])),))
        raw: bytes = CTransaction([spent], paid, nLockTime=self.tip.height, nVersion=2, witness=witness).serialize()
        return raw

    def carrying(self, payload: bytes, *, fee: int = 1_000, coin: Outpoint | None = None) -> bytes:
        """An anchoring transaction for `payload` (36 bytes)."""
        return self.spend([(0, anchor_script(payload))], fee=fee, coin=coin)

    def fund(self, script: bytes, satoshi: int) -> bytes:
        """Mine, alone in a block, a transaction that pays `satoshi` to `script`; return it."""
        raw = self.spend([(satoshi, script)])
        self.mine(transactions=[raw])
        return raw

    def free_coins(self):
        """The coins that anybody may spend in the next block, and nobody does yet."""
        waiting = {spent for pooled in self.mempool.values() for spent in inputs(pooled.transaction)}
        for outpoint, coin in self.coins.items():
            if (
                coin.script == blocks.OUTPUT_SCRIPT
                and coin.value > 0
                and outpoint not in waiting
                and self._mature(coin)
            ):
                yield outpoint

    def _read(self) -> None:
        """Read what is new in the best chain; the coins are counted anew, as a reorganisation may have undone any."""
        with self.chain._opened() as kernel:
            headers = [kernel.header(height) for height in range(kernel.height + 1)]
            self.best = [self._block(kernel, height, header) for height, header in enumerate(headers)]
        self.coins = {}
        for block in self.best[1:]:  # nobody can spend what the genesis block pays
            self.coins |= block.makes
            for spent in block.spends:
                del self.coins[spent]

    def _block(self, kernel, height: int, header: bytes) -> Seen:
        known = self.known.get(sha256d(header))
        if known is None:
            transactions = tuple(kernel.transactions(height))
            txids = tuple(map(txid, transactions))
            spends = tuple(spent for raw in transactions[1:] for spent in inputs(raw))
            makes = {
                (name, number): Coin(output.nValue, bytes(output.scriptPubKey), height, place == 0)
                for place, (raw, name) in enumerate(zip(transactions, txids, strict=True))
                for number, output in enumerate(parsed(raw).vout)
                if not bytes(output.scriptPubKey).startswith(b"\x6a")
            }
            known = self.known[sha256d(header)] = Seen(height, header, transactions, txids, spends, makes)
        return known

    def _sift(self) -> None:
        """Let go of what waits and is mined, or could not be in the next block."""
        waiting, self.mempool = self.mempool, {}
        mined = {name for block in self.best for name in block.txids}
        for name, pooled in waiting.items():
            if name not in mined and all(self.coin(spent) for spent in inputs(pooled.transaction)):
                with suppress(RefusedError):
                    pooled.fee = self._fee(pooled.transaction)
                    self.mempool[name] = pooled

    def _output(self, outpoint: Outpoint) -> Coin | None:
        name, number = outpoint
        if name not in self.mempool:
            return self.coins.get(outpoint)
        outputs = parsed(self.mempool[name].transaction).vout
        return (
            Coin(outputs[number].nValue, bytes(outputs[number].scriptPubKey), None) if number < len(outputs) else None
        )

    def _value(self, outpoint: Outpoint) -> int:
        coin = self._output(outpoint)
        if coin is None:
            raise RefusedError(-25, "bad-txns-inputs-missingorspent")
        if not self._mature(coin):
            raise RefusedError(-26, "bad-txns-premature-spend-of-coinbase")
        return coin.value

    def _mature(self, coin: Coin) -> bool:
        return not coin.coinbase or self.tip.height + 1 - (coin.height or 0) >= blocks.COINBASE_MATURITY

    def _fee(self, raw: bytes) -> int:
        transaction = parsed(raw)
        if blocks.first_possible_height(transaction) > self.tip.height + 1:
            raise RefusedError(-26, "non-final")
        fee = sum(map(self._value, inputs(raw))) - sum(output.nValue for output in transaction.vout)
        if fee < 0:
            raise RefusedError(-26, "bad-txns-in-belowout")
        return fee

    def _check_rate(self, pooled: Pooled) -> None:
        least = int(self.min_rate * pooled.size)
        if pooled.fee < least:
            raise RefusedError(-26, f"min relay fee not met, {pooled.fee} < {least}")
        if pooled.fee > 10_000 * pooled.size:  # maxfeerate's default
            raise RefusedError(-25, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")

    def _replace(self, pooled: Pooled) -> None:
        """Let go of what waits and spends the same coins, if the newcomer pays more (BIP 125, rules 3, 4 and 6)."""
        spent = set(inputs(pooled.transaction))
        rivals = [name for name, other in self.mempool.items() if spent & set(inputs(other.transaction))]
        least = sum(self.mempool[name].fee for name in rivals) + int(self.min_rate * pooled.size)
        if rivals and pooled.fee < least:
            raise RefusedError(-26, f"insufficient fee, rejecting replacement {display(txid(pooled.transaction))}")
        for name in rivals:
            self.drop(name)
