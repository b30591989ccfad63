"""How an anchor is paid for by a wallet of the vault's own: which coins, which change, at which fee rate.

Confirmed coins go first, then the wallet's own change that is on its way; a coin that somebody else promises and that
no block holds is never spent. All change goes to one address: whoever looks sees in every anchor's transaction which
output is the change, as the other one carries the payload; and a synchronisation asks for a few addresses for ever, not
for one more with every anchor.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from medanchor.core.transaction import strip_witness
from medanchor.errors import WalletError
from medanchor.wallet.database import Opened
from medanchor.wallet.draft import virtual_size
from medanchor.wallet.library import library, refusals
from medanchor.wallet.psbt import spent_by

if TYPE_CHECKING:
    import bdkpython

    from medanchor.wallet.wallet import Terms

ANCHOR_VBYTES = 160
"""What an anchoring transaction takes at the most, of one coin and change."""

_SENT = 1 << 40
_REPLACED = 1 << 41
"""Seconds since 1970, far from now: what the vault has sent counts as seen last, and what is replaced as gone after."""

_PER_VBYTE = Decimal("252.5")
"""The library's unit, sat/kwu, in one sat/vB: 250, and a hundredth more, as it leaves out a few bytes of a signature.

Without that, what is to pay the least that is relayed pays a satoshi less, and is not.
"""

_RELAYED = 1  # sat/vB more than what is replaced: Bitcoin Core's incremental relay fee, before version 30 lowered it


def note_sent(opened: Opened, transactions: Sequence[bytes]) -> None:
    """Count `transactions` (serialised, oldest first) as on their way, as long as the wallet is open.

    Peers show no mempool; and what is written down nowhere else is not missed if it never comes into a block.
    """
    _count_sent(opened.wallet, transactions)
    opened.forget()


def _count_sent(wallet: "bdkpython.Wallet", transactions: Sequence[bytes]) -> None:
    bdk = library()
    with refusals("a transaction that was sent cannot be read", hint="run 'medanchor audit'"):
        parsed = [bdk.Transaction(transaction) for transaction in transactions]
    seen = [bdk.UnconfirmedTx(tx=tx, last_seen=_SENT + number) for number, tx in enumerate(parsed)]
    wallet.apply_unconfirmed_txs(seen)


class Funding:
    """The ways to pay for an anchor of `payload` on `terms`, from the coins that `wallet` knows of."""

    def __init__(self, wallet: "bdkpython.Wallet", payload: bytes, terms: "Terms") -> None:
        self._wallet = wallet
        self._payload = payload
        self._terms = terms
        self._change = wallet.peek_address(library().KeychainKind.INTERNAL, 0).address.script_pubkey()

    def anchor(self) -> "bdkpython.Psbt":
        """Return an unsigned transaction from coins that are free, of drafts too where that is possible.

        Raises WalletError if there is not enough.
        """
        for choose in (self._confirmed, self._trusted, self._drafted):
            if psbt := self._tried(choose(self._builder(self._terms.rate))):
                return psbt
        raise self._insufficient()

    def replacement(self, replaced: bytes) -> "bdkpython.Psbt":
        """Return one that spends the coins of `replaced` (serialised) and pays more, of confirmed coins if it must.

        Raises WalletError if that is in a block, or not this wallet's, or spent from, or there is not enough.
        """
        rate = self._rate_over(replaced)
        coins = self._release(replaced)
        builder = self._confirmed(self._builder(rate)).add_utxos(coins)
        if psbt := self._tried(builder):
            return psbt
        raise self._insufficient()

    def _builder(self, rate: Decimal) -> "bdkpython.TxBuilder":
        bdk = library()
        per_kwu = int((rate * _PER_VBYTE).to_integral_value(ROUND_CEILING))
        builder = bdk.TxBuilder().add_data(self._payload).drain_to(self._change)
        return builder.fee_rate(bdk.FeeRate.from_sat_per_kwu(per_kwu)).coin_selection(
            bdk.CoinSelectionAlgorithm.LARGEST_FIRST
        )

    def _confirmed(self, builder: "bdkpython.TxBuilder") -> "bdkpython.TxBuilder":
        return builder.exclude_unconfirmed()

    def _trusted(self, builder: "bdkpython.TxBuilder") -> "bdkpython.TxBuilder":
        """Leave out unconfirmed coins but those of transactions that this wallet signed."""
        return builder.unspendable([coin.outpoint for coin in self._wallet.list_unspent() if not self._is_safe(coin)])

    def _drafted(self, builder: "bdkpython.TxBuilder") -> "bdkpython.TxBuilder":
        """Take coins of earlier drafts too: one of them that was never sent would keep its coin for ever."""
        for outpoint in self._wallet.list_locked_outpoints():
            self._wallet.unlock_outpoint(outpoint)
        return self._trusted(builder)

    def _is_safe(self, coin: "bdkpython.LocalOutput") -> bool:
        if coin.chain_position.is_confirmed():
            return True
        made_by = self._wallet.get_tx(coin.outpoint.txid)
        return made_by is not None and self._wallet.sent_and_received(made_by.transaction).sent.to_sat() > 0

    def _tried(self, builder: "bdkpython.TxBuilder") -> "bdkpython.Psbt | None":
        """Return what `builder` makes, or None if there are not coins enough. Raises WalletError for all else."""
        poor = library().CreateTxError
        with refusals("the transaction cannot be made", hint="'medanchor wallet rescan' reads all coins anew"):
            try:
                return builder.finish(self._wallet)
            except (poor.CoinSelection, poor.InsufficientFunds, poor.NoUtxosSelected):
                return None

    def _insufficient(self) -> WalletError:
        balance = self._wallet.balance()
        needed = int((self._terms.rate * ANCHOR_VBYTES).to_integral_value(ROUND_CEILING))
        return WalletError(
            f"the wallet has {balance.confirmed.to_sat():,} sat in blocks, {_pending(balance):,} more on their way:"
            f" an anchor at {self._terms.rate:f} sat/vB takes about {needed:,}",
            hint="send it some to the address that 'medanchor wallet address' gives",
        )

    def _rate_over(self, replaced: bytes) -> Decimal:
        """Return a fee rate at which nodes let a transaction replace `replaced` (BIP 125, rules 3 and 4)."""
        bdk = library()
        _count_sent(self._wallet, [replaced])
        with refusals("the transaction to replace is not this wallet's", hint=_NOT_OURS):
            paid = self._wallet.calculate_fee(bdk.Transaction(replaced)).to_sat()
        return max(self._terms.rate, Decimal(paid) / virtual_size(replaced) + _RELAYED)

    def _release(self, replaced: bytes) -> "list[bdkpython.OutPoint]":
        """Return the coins that `replaced` spends, free again in this wallet's eyes."""
        wanted = set(spent_by(strip_witness(replaced)))
        bdk = library()
        while rivals := [held for held in self._wallet.transactions() if wanted & _spends(held)]:
            if any(held.chain_position.is_confirmed() for held in rivals):
                raise WalletError(
                    "a block holds the transaction to replace, or one that spends its coins",
                    hint="run 'medanchor anchor' again: it looks for it first",
                )
            gone = [held.transaction.compute_txid() for held in rivals]
            if not self._evicted(gone):
                raise WalletError("the transaction to replace is spent from already", hint=_NOT_OURS)
        return [bdk.OutPoint(txid=bdk.Txid.from_bytes(txid), vout=index) for txid, index in wanted]

    def _evicted(self, txids: "list[bdkpython.Txid]") -> bool:
        """Take transactions out of sight; say whether they are. One that spends from them keeps them there."""
        bdk = library()
        self._wallet.apply_evicted_txs([bdk.EvictedTx(txid=txid, evicted_at=_REPLACED) for txid in txids])
        return not any(self._wallet.get_tx(txid) for txid in txids)


_NOT_OURS = "replace the newest transaction, with the wallet that made it"


def _spends(held: "bdkpython.CanonicalTx") -> set[tuple[bytes, int]]:
    spent = (spend.previous_output for spend in held.transaction.input())
    return {(outpoint.txid.serialize(), outpoint.vout) for outpoint in spent}


def _pending(balance: "bdkpython.Balance") -> int:
    total: int = balance.total.to_sat() - balance.confirmed.to_sat()
    return total
