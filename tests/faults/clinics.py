"""Clinics that anchor on a network others mine: a vault each, one server, one wallet; and what must hold in the end.

with CoreTown(directory) as town, town.clinic() as clinic:
    clinic.stamp()
    clinic.anchor()
    clinic.settle()
    clinic.assert_paid_once()
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path

from loopback_esplora import LoopbackEsplora
from loopback_http import LoopbackServer
from loopback_ledger import Ledger, inputs, parsed
from loopback_node import LoopbackNode
from loopback_wallet import LoopbackWallet
from paying import signed_elsewhere
from vaulted import TIME, make_vault, signer_of

from medanchor.chain.esplora import EsploraChain
from medanchor.chain.node import NodeChain
from medanchor.core.commitment import anchor_script, payload
from medanchor.core.header import Network
from medanchor.net.rpc import Rpc
from medanchor.net.server import Patience, Server
from medanchor.notary.airgap import complete, draft
from medanchor.notary.anchor import AnchorResult, Policy, anchor
from medanchor.notary.audit import audit
from medanchor.notary.stamp import StampRequest, stamp
from medanchor.notary.standing import SENDABLE, states
from medanchor.records.digest import Hashed
from medanchor.vault.anchors import AnchorRow, list_anchors
from medanchor.vault.store import Store
from medanchor.wallet.apart import learn_here
from medanchor.wallet.bdk import BdkWallet, sign
from medanchor.wallet.core import CoreWallet
from medanchor.wallet.descriptors import from_words, new_words
from medanchor.wallet.errand import Limits, Way
from medanchor.wallet.wallet import Terms

PATIENT = Patience(seconds=20, attempts=4, pause=0.05)
"""For runs without a fault, on a machine with much else to do."""

HASTY = Patience(seconds=0.25, attempts=2, pause=0.01)
POLICY = Policy(confirmations=3, bump_after=2)
RIVAL = b"MDA1" + b"\xee" * 32
COIN = 1_000_000
_SETTLING = 5


class Town:
    """A server over a ledger, a wallet with coins, and one clinic at a time that uses them."""

    server: LoopbackServer
    ledger: Ledger

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.empty = make_vault(directory / "empty")
        self.current: Clinic | None = None
        self.kept: set = set()
        self._numbers = count(1)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    def clinic(self) -> "Clinic":
        vault = self.directory / f"vault-{next(self._numbers)}"
        shutil.copytree(self.empty, vault)
        self.current = Clinic(self, vault)
        return self.current

    def chain(self, patience: Patience):
        raise NotImplementedError

    def wallet(self, patience: Patience):
        raise NotImplementedError

    def signed(self, psbt: bytes) -> bytes:
        """What whoever has the keys makes of a PSBT."""
        raise NotImplementedError

    def locked(self) -> set:
        """Coins that the wallet keeps from everybody."""
        return set()

    def carried(self) -> Counter[bytes]:
        """How many transactions carry each payload, by its output script: in the best chain, or on their way."""
        mined = (raw for block in self.ledger.best for raw in block.transactions[1:])
        waiting = (pooled.transaction for pooled in self.ledger.mempool.values())
        outputs = (output for raw in (*mined, *waiting) for output in parsed(raw).vout)
        return Counter(bytes(output.scriptPubKey) for output in outputs)


class CoreTown(Town):
    """A Bitcoin Core node, and its wallet."""

    def __init__(self, directory: Path, *, coins: int = 3) -> None:
        super().__init__(directory)
        self.server = self.node = LoopbackNode(directory)
        self.ledger = self.node.ledger
        self.ledger.mine(2)
        self.clerk = LoopbackWallet(self.node, "clinic")
        scripts = [self.clerk.new_script() for _ in range(coins)]
        self.ledger.mine(transactions=[self.ledger.spend([(COIN, script) for script in scripts])])

    def _rpc(self, patience: Patience) -> Rpc:
        return Rpc(self.node.url, "regtest", cookie=self.node.cookie, patience=patience)

    def chain(self, patience: Patience) -> NodeChain:
        return NodeChain(self._rpc(patience), Network.REGTEST)

    def wallet(self, patience: Patience) -> CoreWallet:
        return CoreWallet(self._rpc(patience), Network.REGTEST, self.clerk.name)

    def signed(self, psbt: bytes) -> bytes:
        return signed_elsewhere(self.clerk, psbt, final=True)

    def locked(self) -> set:
        return self.clerk.locked

    @property
    def environment(self) -> dict[str, str]:
        """How the command line learns of all this."""
        return {
            "MEDANCHOR_NODE": self.node.url,
            "MEDANCHOR_NODE_COOKIE": str(self.node.cookie),
            "MEDANCHOR_WALLET": f"core {self.clerk.name}",
            "MEDANCHOR_CONFIRMATIONS": str(POLICY.confirmations),
            "MEDANCHOR_BUMP_AFTER": str(POLICY.bump_after),
        }


class EsploraTown(Town):
    """An Esplora server, and a wallet of the clinic's own that learns from it."""

    def __init__(self, directory: Path, *, coins: int = 3) -> None:
        super().__init__(directory)
        self.ledger = Ledger(directory / "chain")
        self.ledger.mine(2)
        self.server = LoopbackEsplora(self.ledger)
        self.words = new_words()
        self._coins = coins

    def __enter__(self):
        import bdkpython

        super().__enter__()
        script = bdkpython.Address(self.wallet(PATIENT).address(), bdkpython.Network.REGTEST).script_pubkey().to_bytes()
        self.ledger.mine(transactions=[self.ledger.spend([(COIN, script)] * self._coins)])
        self.wallet(PATIENT).balance()
        return self

    def chain(self, patience: Patience) -> EsploraChain:
        return EsploraChain(Server("the Esplora server", self.server.url, patience=patience), Network.REGTEST)

    def wallet(self, patience: Patience) -> BdkWallet:
        limits = Limits(seconds=patience.seconds * 10)
        return BdkWallet(
            self.directory / "wallet",
            from_words(self.words, Network.REGTEST),
            lambda: Way(f"esplora {self.server.url}", limits, patience),
            words=lambda: self.words,
            learn=learn_here,  # in a child takes half a second more
            sent=lambda: self.current.on_their_way() if self.current else [],
        )

    def signed(self, psbt: bytes) -> bytes:
        return sign(psbt, self.words, Network.REGTEST)


class Clinic:
    """A vault, and everything one does with it in one call each."""

    def __init__(self, town: Town, vault: Path) -> None:
        self.town, self.vault = town, vault
        self.ledger = town.ledger
        self.store = Store(vault)
        self.signed = b""

    def __enter__(self):
        return self

    def __exit__(self, *_error: object) -> None:
        self.store.close()
        shutil.rmtree(self.vault)

    def stamp(self) -> None:
        """Stamp a record nobody has seen."""
        record = Hashed(b"", [b""], os.urandom(32))
        stamp(self.store, signer_of(self.store), [record], StampRequest("authorship", TIME, (), False), os.urandom)

    def anchor(self, patience: Patience = PATIENT) -> AnchorResult:
        return self._run(anchor, patience)

    def draft(self, patience: Patience = PATIENT) -> AnchorResult:
        return self._run(draft, patience)

    def complete(self, psbt: bytes, patience: Patience = PATIENT) -> AnchorResult:
        chain, wallet = self.town.chain(patience), self.town.wallet(patience)
        return complete(self.store, chain, wallet, POLICY, psbt, time=TIME)

    def _run(self, act: Callable[..., AnchorResult], patience: Patience) -> AnchorResult:
        return act(self.store, self.town.chain(patience), self.town.wallet(patience), POLICY, time=TIME)

    def rows(self) -> list[AnchorRow]:
        return list_anchors(self.store)

    def states(self) -> list[str]:
        return [str(state) for state in states(self.rows(), POLICY.confirmations).values()]

    def on_their_way(self) -> list[bytes]:
        standing = states(self.rows(), POLICY.confirmations)
        return [row.transaction for row in self.rows() if standing[row.number] in SENDABLE]

    def rival(self) -> bytes:
        """A rival of the newest transaction, paid by the same wallet for something else."""
        newest = self.rows()[-1].transaction
        wallet, terms = self.town.wallet(PATIENT), Terms(Decimal(9), 20_000)
        return wallet.prepare(RIVAL, terms, replacing=newest).transaction

    def settle(self) -> None:
        """Go on as cron does, with nothing in the way any more, until all is done."""
        for _ in range(_SETTLING):
            self.ledger.mine(POLICY.confirmations)
            result = self.anchor()
            if result.newest and result.newest.sending.psbt:
                self.complete(self.town.signed(result.newest.sending.psbt))
            elif "settled" in self.states():
                return

    def assert_paid_once(self) -> None:
        """Hold that the head stands in the best chain once, and that nothing else was begun that still costs."""
        size = self.store.size()
        settled = [row for row, state in zip(self.rows(), self.states(), strict=True) if state == "settled"]
        assert [row.size for row in settled] == [size], self.states()
        assert self.town.carried()[self.script] == 1, self.states()
        assert not self.ledger.mempool
        assert self.town.locked() == set()
        found = audit(self.store, self.town.chain(PATIENT), sweep=False, progress=lambda _count: None)
        assert (found.damage, found.reorganised, found.anchors) == ([], [], 1)

    @property
    def script(self) -> bytes:
        """The output script that carries the ledger's head."""
        return anchor_script(payload(self.store.head(self.store.size())))

    def spends(self) -> set:
        """The coins that this vault's anchors spend."""
        return {coin for row in self.rows() for coin in inputs(row.transaction)}
