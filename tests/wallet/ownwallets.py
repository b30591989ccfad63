"""A chain with an Esplora server, an Electrum server and a peer in front of it, and wallets that learn from them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import bdkpython
from loopback_electrum import LoopbackElectrum
from loopback_esplora import LoopbackEsplora
from loopback_ledger import Ledger, inputs
from loopback_peer import LoopbackPeer

from medanchor.core.header import Network
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.net.server import Patience
from medanchor.wallet.apart import learn_here
from medanchor.wallet.bdk import BdkWallet
from medanchor.wallet.descriptors import Descriptors, from_words, new_words
from medanchor.wallet.errand import Limits, Way
from medanchor.wallet.wallet import Terms

WAYS = ("esplora", "electrum", "peers")
PAYLOAD = b"MDA1" + b"\x01" * 32
NEWER = b"MDA1" + b"\x02" * 32
TERMS = Terms(Decimal(3), 5_000)
LIMITS = Limits(seconds=20, quiet=3)


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledger = Ledger(directory / "chain")
        self.esplora = LoopbackEsplora(self.ledger)
        self.electrum = LoopbackElectrum(self.ledger)
        self.peer = LoopbackPeer(self.ledger)
        self._servers = ExitStack()
        self._count = 0

    def __enter__(self):
        for server in (self.esplora, self.electrum, self.peer):
            self._servers.enter_context(server)
        return self

    def __exit__(self, *error: object) -> None:
        self._servers.__exit__(*error)

    def sync(self, way: str, *, limits: Limits = LIMITS, patience: Patience | None = None) -> Callable[[], Way]:
        where = {
            "esplora": self.esplora.url,
            "electrum": f"tcp://127.0.0.1:{self.electrum.port}",
            "peers": f"127.0.0.1:{self.peer.port}",
        }
        return lambda: Way(f"{way} {where[way]}", limits, patience)

    def wallet(self, way: str = "esplora", words: str | None = None, **options: object) -> "Own":
        """A wallet in a new directory; of new words, unless they are given."""
        self._count += 1
        return Own(self, self.directory / f"wallet-{self._count}", words or new_words(), self.sync(way), **options)

    def mined(self, transaction: bytes) -> None:
        """Have a transaction mined; Bitcoin Core's rules judge it."""
        self.ledger.submit(transaction)
        self.ledger.mine()
        assert transaction in self.ledger.tip.transactions


class Own(BdkWallet):
    """A wallet of one's own, and what a test does with it. `on_their_way` is what its vault has sent.

    It learns of its coins in this process, which is faster; with `learn_apart` as it does outside of tests, in a child.
    """

    def __init__(
        self,
        world: World,
        directory: Path,
        words: str,
        sync: Callable[[], Way],
        *,
        descriptors: Descriptors | None = None,
        watches: bool = False,
        **options: object,
    ) -> None:
        self.world, self.directory, self.secret = world, directory, words
        self.on_their_way: Sequence[bytes] = []
        found = descriptors or from_words(words, Network.REGTEST)
        options = {"learn": learn_here} | options | ({} if watches else {"words": lambda: words})
        super().__init__(directory, found, sync, sent=lambda: self.on_their_way, **options)

    def receive(self, *amounts: int) -> None:
        script = script_of(self.address())
        paying = self.world.ledger.spend([(satoshi, script) for satoshi in amounts])
        self.world.ledger.mine(transactions=[paying])


def script_of(address: str) -> bytes:
    script: bytes = bdkpython.Address(address, bdkpython.Network.REGTEST).script_pubkey().to_bytes()
    return script


def payload_of(transaction: bytes) -> bytes:
    return anchored_payload(strip_witness(transaction))


def spent(transaction: bytes) -> set:
    return set(inputs(transaction))
