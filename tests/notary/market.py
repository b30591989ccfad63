"""A network that others mine: a source of blocks and a wallet over `Ledger`, with a kill between any two calls."""

import os
from decimal import Decimal

from loopback_ledger import RefusedError, inputs, parsed, txid, virtual_size

from medanchor.chain.blocks import OUTPUT_SCRIPT
from medanchor.chain.source import Tip
from medanchor.core.commitment import anchor_script, payload
from medanchor.core.header import Network
from medanchor.errors import ChainError, TransactionRefusedError, WalletError
from medanchor.notary.airgap import complete, draft
from medanchor.notary.anchor import Policy, anchor
from medanchor.notary.stamp import StampRequest, stamp
from medanchor.notary.standing import states
from medanchor.records.digest import Hashed
from medanchor.vault.anchors import list_anchors
from medanchor.vault.store import Store
from medanchor.wallet.wallet import Balance, Draft, Payment

TIME = "2026-11-21T18:04:05Z"


class Killed(BaseException):
    """The process is gone."""


class Calls:
    """Counts calls, and ends the process before or after one of them."""

    def __init__(self):
        self.count, self.deadly, self.after = 0, None, False

    def __call__(self, act):
        self.count += 1
        if self.count == self.deadly and not self.after:
            raise Killed
        done = act()
        if self.count == self.deadly:
            raise Killed
        return done


class LedgerChain:
    """What a node offers, without the node."""

    network = Network.REGTEST
    name = "the ledger"
    mines = False

    def __init__(self, ledger, calls):
        self.ledger, self.calls, self.rate = ledger, calls, None

    def tip(self):
        return self.calls(lambda: Tip(self.ledger.tip.height, self.ledger.tip.header))

    def headers(self, heights):
        return self.calls(lambda: self.ledger.chain.headers(heights))

    def locate(self, transaction, *, since, successors=5):
        return self.calls(lambda: self.ledger.chain.locate(transaction, since=since, successors=successors))

    def pending(self, transaction):
        return self.calls(lambda: txid(transaction) in self.ledger.mempool)

    def fee_rate(self, _blocks):
        return self.calls(lambda: self.rate)

    def submit(self, transaction):
        self.calls(lambda: self._submit(transaction))

    def _submit(self, transaction):
        try:
            self.ledger.submit(transaction)
        except RefusedError as refused:
            if refused.code == -27:
                return
            there = [
                self.ledger.coin(spent, mempool=False) or spent[0] in self.ledger.mempool
                for spent in inputs(transaction)
            ]
            error = ChainError if all(there) else TransactionRefusedError
            raise error(refused.reason) from None


class LedgerWallet:
    """Spends coins that anybody may spend; a draft of it is 'signed' by adding the witness."""

    network = Network.REGTEST
    name = "the ledger's wallet"

    def __init__(self, ledger, calls):
        self.ledger, self.calls, self.made, self.coin = ledger, calls, [], None

    def prepare(self, payload, terms, *, replacing=None):
        return self.calls(lambda: self._prepare(payload, terms, replacing))

    def _prepare(self, payload, terms, replacing):
        coin = inputs(replacing)[0] if replacing else self.coin
        fee = int(terms.rate * virtual_size(self._made(payload, 1_000, coin)) + Decimal("0.999"))
        if fee > terms.max_fee:
            raise WalletError(f"expected a fee of at most {terms.max_fee} sat, found {fee}")
        raw = self._made(payload, fee, coin)
        self.made.append(raw)
        return Payment(raw, fee)

    def _made(self, payload, fee, coin):
        if coin is None or self.ledger.coin(coin):
            return self.ledger.carrying(payload, fee=fee, coin=coin)
        waiting, self.ledger.mempool = self.ledger.mempool, {}  # a wallet replaces what it spent itself
        try:
            return self.ledger.carrying(payload, fee=fee, coin=coin)
        finally:
            self.ledger.mempool = waiting

    def fund(self, payload, terms, *, replacing=None):
        payment = self.prepare(payload, terms, replacing=replacing)
        bare = parsed(payment.transaction).serialize(params={"include_witness": False})
        return Draft(b"psbt\xff" + payment.transaction, bytes(bare), payment.fee)

    def finish(self, psbt):
        return self.calls(lambda: psbt.removeprefix(b"psbt\xff"))

    def balance(self):
        return Balance(sum(coin.value for coin in self.ledger.coins.values()), 0)

    def address(self):
        return OUTPUT_SCRIPT.hex()


class Market:
    """A vault of its own and the network it anchors on."""

    policy = Policy(confirmations=3, bump_after=2)

    def __init__(self, vault, ledger, signer):
        self.store, self.ledger, self.signer = Store(vault), ledger, signer
        self.calls = Calls()
        self.chain, self.wallet = LedgerChain(ledger, self.calls), LedgerWallet(ledger, self.calls)

    def stamp(self):
        """Stamp a record nobody has seen."""
        record = Hashed(b"", [b""], os.urandom(32))
        return stamp(self.store, self.signer, [record], StampRequest("authorship", TIME, (), False), os.urandom)

    def anchor(self):
        return anchor(self.store, self.chain, self.wallet, self.policy, time=TIME)

    def draft(self):
        return draft(self.store, self.chain, self.wallet, self.policy, time=TIME)

    def complete(self, psbt):
        return complete(self.store, self.chain, self.wallet, self.policy, psbt, time=TIME)

    def rows(self):
        return list_anchors(self.store)

    def states(self):
        return [str(state) for state in states(self.rows(), self.policy.confirmations).values()]

    def mined(self, size):
        """How many transactions of the best chain carry the head of `size` entries."""
        script = anchor_script(payload(self.store.head(size)))
        raws = [raw for block in self.ledger.best for raw in block.transactions]
        return sum(bytes(output.scriptPubKey) == script for raw in raws for output in parsed(raw).vout)

    def pool(self):
        return [pooled.transaction for pooled in self.ledger.mempool.values()]
