"""The embedded chain: a Bitcoin regtest network of one, mined here and judged by Bitcoin Core's own consensus code.

It proves nothing to anybody who does not trust this machine, as its blocks cost no work; it is there to try everything
on a real chain with nothing to install. Its coins are worth nothing and anybody may spend them.

`DIRECTORY/lock` is held while an operation runs, reading ones included; `DIRECTORY/regtest` is a data directory that
Bitcoin Core opens too (`bitcoind -regtest -datadir=DIRECTORY`, on a copy or while nothing else uses it).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from medanchor.chain.kernel import AFTER_REFUSAL, START_AFRESH, Kernel, opened, refuse_if_full
from medanchor.chain.lock import Lock, exclusive
from medanchor.chain.source import SUCCESSORS, Tip
from medanchor.core.commitment import PAYLOAD_LENGTH
from medanchor.core.hashes import HASH_LENGTH, Hash, sha256d
from medanchor.core.header import HEADER_LENGTH, Header, Network
from medanchor.core.proof import Anchor, Block, Coinbase
from medanchor.errors import ChainError, TransactionRefusedError, UsageError, WalletError

CONFIRMATIONS = 6
INITIAL_HEIGHT = 101
"""A new chain's height: a coinbase, that of block 2, is mature for the block that comes next."""

_INITIAL_SPACING = 600
_MEDIAN_SPAN = 11


class EmbeddedChain:
    """A `Chain` that also pays for what it is given, kept in `directory`. Nothing is opened before it is needed.

    `now` tells the time in seconds since 1970; `confirmations`, at least 1, is how deep `submit` buries a transaction,
    its own block included. Any number of processes may use one directory: each operation waits for its turn.
    """

    network = Network.REGTEST
    name = "the embedded regtest chain"
    mines = True

    def __init__(self, directory: Path, *, now: Callable[[], int], confirmations: int = CONFIRMATIONS) -> None:
        self._directory = directory
        self._data = directory / "regtest"
        self._now = now
        self._confirmations = max(confirmations, 1)

    def create(self) -> None:
        """Make the chain, 101 blocks high, if it is not there; every other operation does so too when it needs it."""
        with self._opened():
            pass

    def tip(self) -> Tip:
        """Return the newest block of the best chain."""
        with self._opened() as kernel:
            return Tip(kernel.height, kernel.header(kernel.height))

    def headers(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the best chain's header at each of `heights`, None for one above the tip; one opening for all."""
        with self._opened() as kernel:
            tip = kernel.height
            return [kernel.header(height) if 0 <= height <= tip else None for height in heights]

    def locate(self, transaction: bytes, *, since: int, successors: int = SUCCESSORS) -> Anchor | None:
        """Return all that ties `transaction` to the best chain, or None if no block from height `since` on holds it."""
        from medanchor.chain import blocks

        parsed = blocks.deserialised(transaction)
        with self._opened() as kernel:
            height = _find(kernel, blocks.id_of(parsed), max(since, blocks.first_possible_height(parsed)))
            return None if height is None else _anchor(kernel, height, blocks.without_witness(parsed), successors)

    def prepare(self, payload: bytes) -> bytes:
        """Return a transaction that carries `payload` (36 bytes), valid in the next block; nothing is sent.

        It spends the coinbase 99 blocks below the tip, which matures for exactly the next block. So each block has a
        coin of its own to anchor with, and coins need no bookkeeping; after a reorg, a transaction made before it
        still finds its coin, and one made after it, on a higher tip, takes another.

        Raises WalletError if `payload` has another length.
        """
        from medanchor.chain import blocks

        if len(payload) != PAYLOAD_LENGTH:
            raise WalletError(f"expected a payload of {PAYLOAD_LENGTH} bytes, found {len(payload)}")
        with self._opened() as kernel:
            tip = kernel.height
            coinbase = blocks.deserialised(kernel.transactions(tip + 1 - blocks.COINBASE_MATURITY)[0])
        return blocks.anchoring_transaction(blocks.id_of(coinbase), coinbase.vout[0].nValue, payload, height=tip)

    def submit(self, transaction: bytes) -> None:
        """Mine `transaction`, then empty blocks until it has its confirmations; if it is mined, only those it lacks.

        Raises TransactionRefusedError if it is not valid in the next block; then nothing is mined.
        """
        from medanchor.chain import blocks

        parsed = blocks.deserialised(transaction)
        with self._opened() as kernel:
            tip = kernel.height
            height = _find(kernel, blocks.id_of(parsed), blocks.first_possible_height(parsed))
            if height is None:
                self._grow(kernel, tip, _batches(self._confirmations, [transaction]))
            else:
                self._grow(kernel, tip, _batches(self._confirmations - (tip - height + 1)))

    def pending(self, _transaction: bytes) -> bool:
        """Return False: here a transaction is mined at once."""
        return False

    def fee_rate(self, _blocks: int) -> None:
        """Return None: blocks cost nothing here."""

    def mine(self, count: int = 1, transactions: Sequence[bytes] = ()) -> None:
        """Mine `count` blocks; the first one holds `transactions`, the others are empty.

        Raises ChainError if `transactions` are not valid there; then nothing is mined.
        """
        with self._opened() as kernel:
            self._grow(kernel, kernel.height, _batches(count, transactions))

    def reorg(self, depth: int) -> None:
        """Replace the newest `depth` blocks by `depth` + 1 empty ones, as a rival miner with more work would.

        Raises UsageError if `depth` is not positive, or the chain has not so many blocks.
        """
        with self._opened() as kernel:
            tip = kernel.height
            if not 0 < depth <= tip:
                raise UsageError(f"expected a depth from 1 to {tip}, found {depth}")
            # The rivals would be the replaced blocks themselves, had those been empty too: the tag makes them others.
            self._grow(kernel, tip - depth, _batches(depth + 1), tag=sha256d(kernel.header(tip)))

    def check(self) -> int:
        """Return how many blocks the best chain has, each of them read from the disk and hashed again.

        Recomputes each block's hash, link, Merkle root and witness commitment, because the engine itself looks at an
        old block only when asked for it. The databases are not looked at, nor the four bytes before each block that
        give its length: what they say is made again from the blocks, or missed in a rebuild. Raises ChainError naming
        the first damaged block.
        """
        from medanchor.chain import blocks

        with self._opened() as kernel:
            previous = Hash(bytes(HASH_LENGTH))
            for height in range(kernel.height + 1):
                header = Header.parse(kernel.header(height))
                if header.previous != previous or not blocks.holds(header, kernel.transactions(height)):
                    raise self._damaged(f"block {height} is not the one that its header commits to")
                previous = header.block_hash
            return kernel.height + 1

    @contextmanager
    def _opened(self) -> Iterator[Kernel]:
        """Give the chain, opened, while nobody else has it; make it first if it is not there."""
        with exclusive(self._directory) as lock:
            if not self._data.exists():
                self._make(lock)
            # No reorg lowers a chain whose blocks all cost the same, so one that is lower than it was has lost blocks:
            # a rebuild stops at the first damaged one. To go on from there would hide it.
            at_least, interrupted = max(lock.highest, INITIAL_HEIGHT), lock.interrupted
            lock.begin()
            with opened(self._data, self.network, at_least=at_least, rebuild=interrupted, sound=lock.done) as kernel:
                yield kernel

    def _make(self, lock: Lock) -> None:
        """Make a new chain beside its place and move it there whole: a chain that is there is a complete one."""
        import shutil

        if lock.highest:
            raise self._damaged("its blocks are gone")
        refuse_if_full(self._directory)
        unfinished = self._directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        with opened(unfinished, self.network) as kernel:
            self._grow(kernel, 0, _batches(INITIAL_HEIGHT), spacing=_INITIAL_SPACING)
        unfinished.rename(self._data)

    def _grow(
        self, kernel: Kernel, base: int, batches: Sequence[Sequence[bytes]], *, tag: bytes = b"", spacing: int = 0
    ) -> None:
        """Mine a block of each of `batches` of transactions, the first one on the best chain's block at height `base`.

        The last block is made now, each other one `spacing` seconds before the next. The engine takes a block with an
        invalid transaction without a word and does not connect it; so each that is higher than the tip must become it.
        """
        from medanchor.chain.blocks import Slot, make_block

        refuse_if_full(self._directory)
        tip = kernel.height
        recent = [kernel.header(height) for height in range(max(0, base + 1 - _MEDIAN_SPAN), base + 1)]
        for height, batch in enumerate(batches, start=base + 1):
            moment = self._block_time(recent, age=spacing * (base + len(batches) - height))
            block = make_block(Slot(sha256d(recent[-1]), height, moment, tag), batch)
            kernel.offer(block)
            recent = [*recent[1 - _MEDIAN_SPAN :], block[:HEADER_LENGTH]]
            if height > tip and (kernel.height != height or kernel.header(height) != recent[-1]):
                refused = TransactionRefusedError if batch else ChainError  # an empty block can hold nothing wrong
                raise refused(f"Bitcoin Core's rules refuse the block: {kernel.reason}", hint=AFTER_REFUSAL)

    def _block_time(self, recent: Sequence[bytes], *, age: int) -> int:
        """Return a time for the block after `recent` headers: `age` seconds ago, but above their median (BIP 113).

        Never later than this machine's clock: the engine reads that one, and refuses what is two hours ahead of it.
        """
        times = sorted(Header.parse(header).time for header in recent)
        return max(min(self._now(), int(time.time())) - age, times[len(times) // 2] + 1)

    def _damaged(self, found: str) -> ChainError:
        return ChainError(f"the chain in {self._directory} is damaged: {found}", hint=START_AFRESH)


def _batches(count: int, first: Sequence[bytes] = ()) -> list[Sequence[bytes]]:
    """Return the transactions of `count` blocks, none at all if that is not positive: `first` in the first one."""
    return [first, *[()] * (count - 1)] if count > 0 else []


def _find(kernel: Kernel, txid: Hash, since: int) -> int | None:
    """Return the height of the best chain's block that holds `txid`, at `since` or above."""
    heights = range(max(since, 0), kernel.height + 1)
    return next((height for height in heights if txid in kernel.txids(height)), None)


def _anchor(kernel: Kernel, height: int, stripped: bytes, successors: int) -> Anchor:
    """Return the evidence for a transaction (without witness) in the best chain's block at `height`."""
    from medanchor.chain import blocks

    hashes = kernel.txids(height)
    last = min(height + successors, kernel.height)
    return Anchor(
        block=Block(
            header=kernel.header(height),
            height=height,
            successors=tuple(kernel.header(above) for above in range(height + 1, last + 1)),
        ),
        branch=blocks.branch(hashes, hashes.index(sha256d(stripped))),
        coinbase=Coinbase(
            path=blocks.branch(hashes, 0).path,
            transaction=blocks.without_witness(blocks.deserialised(kernel.transactions(height)[0])),
        ),
        network=Network.REGTEST,
        transaction=stripped,
    )
