"""Where anchoring is tried: a genuine Bitcoin Core node, or the loopback one with the same face.

What runs on the loopback node everywhere runs on a genuine one where BITCOIND names it. Of a genuine node only calls
are made that Bitcoin Core 28 to 31 document.
"""

import time
from itertools import count
from pathlib import Path

import pytest
from bitcoin.segwit_addr import decode, encode
from loopback_ledger import parsed
from loopback_node import LoopbackNode
from loopback_peer import LoopbackPeer
from loopback_wallet import LoopbackWallet

from medanchor.core.commitment import anchor_script, payload
from medanchor.core.hashes import sha256
from medanchor.vault.store import Store

FILTERS = ("-blockfilterindex=1", "-peerblockfilters=1")
INDEX = "basic block filter index"
MATURE = 120
"""Blocks over a coinbase before it is spent: so many that no reorganisation here makes it young again."""


class GenuineSite:
    """A node of its own, on a chain of its own; `start` is the fixture `start_node`, `options` are the node's."""

    def __init__(self, start, *options: str) -> None:
        self.node = start(*options)
        self._filters = set(options) >= set(FILTERS)
        self._strangers = count(1)
        self.mine(MATURE)

    @property
    def url(self) -> str:
        return self.node.url

    @property
    def cookie(self) -> Path:
        return self.node.cookie

    @property
    def peer(self) -> str:
        return f"127.0.0.1:{self.node.port}"

    def ask(self, method: str, *params: object, wallet: str | None = None):
        return self.node.rpc.call(method, *params, wallet=wallet)

    def make_wallet(self, name: str, *, coins: int = 3, passphrase: str = "") -> None:
        """Make a wallet in the node, with coins that are mature."""
        self.ask("createwallet", name, *((False, False, passphrase) if passphrase else ()))
        self.earn(self.ask("getnewaddress", "", "bech32", wallet=name), coins=coins)

    def earn(self, address: str, *, coins: int = 1) -> None:
        self.ask("generatetoaddress", coins, address)
        self.mine(MATURE)

    def lock(self, name: str) -> None:
        self.ask("walletlock", wallet=name)

    def unlock(self, name: str, passphrase: str) -> None:
        self.ask("walletpassphrase", passphrase, 600, wallet=name)

    def locked(self, name: str) -> int:
        return len(self.ask("listlockunspent", wallet=name))

    def mine(self, blocks: int = 1) -> None:
        """Mine what waits, then empty blocks."""
        self.ask("generatetoaddress", blocks, self._stranger())
        self._wait_for_filters()

    def mine_empty(self, blocks: int = 1) -> None:
        """Mine blocks that leave waiting what waits."""
        for _ in range(blocks):
            self.mine_alone()

    def mine_alone(self, *transactions: bytes) -> None:
        """Mine a block with these transactions and no others."""
        self.ask("generateblock", self._stranger(), [raw.hex() for raw in transactions])
        self._wait_for_filters()

    def reorg(self, depth: int) -> None:
        """Replace the newest `depth` blocks by empty ones, and one more."""
        self.ask("invalidateblock", self.ask("getblockhash", self.height - depth + 1))
        self.mine_empty(depth + 1)

    @property
    def height(self) -> int:
        return self.ask("getblockcount")

    def waiting(self) -> int:
        return len(self.ask("getrawmempool"))

    def restart(self) -> None:
        self.node.restart()
        self._wait_for_mempool()
        self._wait_for_filters()

    def kill(self) -> None:
        self.node.kill()

    def start(self) -> None:
        self.node.start()
        self._wait_for_mempool()
        self._wait_for_filters()

    def prune(self) -> None:
        """Have the node forget the blocks that it may: it keeps the newest 288, and whole files."""
        for _ in range(12):
            self.mine(100)
        self.ask("pruneblockchain", self.height - 400)
        assert self.ask("getblockchaininfo")["pruneheight"] > MATURE

    def scripts(self) -> list[bytes]:
        """The scripts of all outputs in the best chain that the node still has."""
        info = self.ask("getblockchaininfo")
        heights = range(max(1, info.get("pruneheight", 0)), info["blocks"] + 1)
        blocks = (self.ask("getblock", self.ask("getblockhash", height), 2) for height in heights)
        outputs = (output for block in blocks for one in block["tx"] for output in one["vout"])
        return [bytes.fromhex(output["scriptPubKey"]["hex"]) for output in outputs]

    def _stranger(self) -> str:
        """An address of nobody's, never the same twice: so no two blocks are the same."""
        return encode("bcrt", 0, sha256(next(self._strangers).to_bytes(4, "big")))

    def _wait_for_mempool(self) -> None:
        eventually(lambda: self.ask("getmempoolinfo")["loaded"])

    def _wait_for_filters(self) -> None:
        """Peers are told of a block before its filter is made."""
        if not self._filters:
            return
        height = self.height

        def made() -> bool:
            index = self.ask("getindexinfo", INDEX).get(INDEX, {})
            return index.get("synced", False) and index["best_block_height"] == height

        eventually(made)


class LoopbackSite:
    """The same on the loopback node; `directory` is where it keeps its chain."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.node = LoopbackNode(directory)
        self.ledger = self.node.ledger
        self.ledger.mine(30)
        self._peer = LoopbackPeer(self.ledger)
        self._wallets: dict[str, LoopbackWallet] = {}
        self.url, self.cookie, self.peer = self.node.url, self.node.cookie, f"127.0.0.1:{self._peer.port}"
        self._down = False

    def __enter__(self):
        self.node.__enter__()
        self._peer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._peer.__exit__(*error)
        if not self._down:
            self.node.__exit__(*error)

    def make_wallet(self, name: str, *, coins: int = 3, passphrase: str = "") -> None:
        self._wallets[name] = LoopbackWallet(self.node, name)
        self._wallets[name].passphrase_needed = bool(passphrase)
        for _ in range(coins):
            self._wallets[name].receive(1_000_000)

    def earn(self, address: str, *, coins: int = 1) -> None:
        version, program = decode("bcrt", address)
        for _ in range(coins):
            self.ledger.fund(bytes([version, len(program), *program]), 1_000_000)

    def lock(self, name: str) -> None:
        self._wallets[name].passphrase_needed = True

    def unlock(self, name: str, _passphrase: str) -> None:
        self._wallets[name].passphrase_needed = False

    def locked(self, name: str) -> int:
        return len(self._wallets[name].locked)

    def mine(self, blocks: int = 1) -> None:
        self.ledger.mine(blocks)

    def mine_empty(self, blocks: int = 1) -> None:
        self.ledger.mine(blocks, transactions=[])

    def mine_alone(self, *transactions: bytes) -> None:
        self.ledger.mine(transactions=list(transactions))

    def reorg(self, depth: int) -> None:
        self.ledger.reorg(depth)

    @property
    def height(self) -> int:
        return self.ledger.tip.height

    def waiting(self) -> int:
        return len(self.ledger.mempool)

    def restart(self) -> None:
        self.node.rotate_cookie()
        for wallet in self._wallets.values():
            wallet.locked = set()

    def kill(self) -> None:
        """Nothing answers any more, and what waits is forgotten."""
        self.ledger.mempool.clear()
        self.node.plan(always=lambda exchange: exchange.reset())

    def start(self) -> None:
        self.node.plan()
        self.restart()

    def prune(self) -> None:
        self.ledger.mine(20)
        self.node.pruned_to = self.height - 5

    def scripts(self) -> list[bytes]:
        raws = [raw for block in self.ledger.best[1:] for raw in block.transactions]
        return [bytes(output.scriptPubKey) for raw in raws for output in parsed(raw).vout]


Site = GenuineSite | LoopbackSite


def eventually(look, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            pytest.fail("it takes too long")
        time.sleep(0.05)


def mined(site: Site, vault: Path) -> list[int]:
    """How often each head of a vault's ledger, the smallest first, stands in the best chain."""
    scripts = site.scripts()
    with Store(vault) as store:
        return [scripts.count(anchor_script(payload(store.head(size)))) for size in range(1, store.size() + 1)]
