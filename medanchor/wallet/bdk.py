"""A wallet of the vault's own, by the Bitcoin Development Kit: nothing to run beside medanchor.

Its directory holds what it knows of its coins, and no secret: the words that sign are handed in when they are needed.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.core.header import Network
from medanchor.errors import WalletError
from medanchor.wallet.apart import Job, learn_apart
from medanchor.wallet.database import Opened, opened, rebuilt
from medanchor.wallet.descriptors import Descriptors, private_pair
from medanchor.wallet.draft import check_draft, check_signed
from medanchor.wallet.errand import Start, Way
from medanchor.wallet.funding import Funding, note_sent
from medanchor.wallet.library import library, network_of, refusals
from medanchor.wallet.psbt import read_psbt, spent_by
from medanchor.wallet.wallet import Balance, Draft, Payment, Terms

if TYPE_CHECKING:
    import bdkpython


@dataclass(frozen=True, slots=True)
class Movement:
    """A transaction of a wallet: what it received and what it spent of the wallet's coins, and its fee if it paid it.

    In satoshi. `height` is its block's, None while it waits; `transaction` is serialised, without its witness if peers
    showed it.
    """

    transaction: bytes
    height: int | None
    received: int
    spent: int
    fee: int | None


class BdkWallet:
    """A `CoinWallet` kept in `directory`; nothing is opened, and nobody is asked, before it is needed.

    `sync` returns how it learns of its coins, `start` is a block before all of them, if one is known. `words` returns
    the words that sign, each time they are needed; None if they are elsewhere, and it only watches. `sent` returns the
    transactions (serialised, oldest first) that were sent and that no block may hold yet: their coins are spent.
    `learn` is what has the database brought up to date, while a lock is held.
    """

    name = "this vault's own wallet"

    def __init__(
        self,
        directory: Path,
        descriptors: Descriptors,
        sync: Callable[[], Way],
        *,
        start: Start | None = None,
        words: Callable[[], str] | None = None,
        sent: Callable[[], Sequence[bytes]] = tuple,
        learn: Callable[[Job, int], None] = learn_apart,
    ) -> None:
        self._directory = directory
        self._descriptors = descriptors
        self._sync = sync
        self._start = start
        self._words = words
        self._sent = sent
        self._learns = learn

    @property
    def network(self) -> Network:
        """The network whose coins it spends."""
        return self._descriptors.network

    def address(self) -> str:
        """Return an address, unused as far as the last synchronisation told, to send coins to; nobody is asked."""
        with self._opened() as wallet:
            found = wallet.wallet.next_unused_address(library().KeychainKind.EXTERNAL)
            wallet.keep()
            return str(found.address)

    def balance(self) -> Balance:
        """Return what the wallet has; synchronised first. Raises WalletError, ChainError."""
        with self._synchronised() as wallet:
            return _balance(wallet)

    def movements(self) -> list[Movement]:
        """Return the wallet's transactions, the newest first; synchronised first. Raises WalletError, ChainError."""
        with self._synchronised() as wallet:
            moved = [_movement(wallet.wallet, held) for held in wallet.wallet.transactions()]
        return sorted(moved, key=lambda one: (one.height is not None, -(one.height or 0)))

    def rescan(self) -> Balance:
        """Read all coins anew from the chain, whatever the database says or however damaged it is; return the balance.

        Raises ChainError if that cannot be done; then all is as it was.
        """
        with rebuilt(self._directory, self._descriptors, self._learn_all) as wallet:
            note_sent(wallet, self._sent())
            return _balance(wallet)

    def prepare(self, payload: bytes, terms: Terms, *, replacing: bytes | None = None) -> Payment:
        """Return a complete transaction that carries `payload`, and send nothing.

        Raises WalletError if it cannot be funded or signed, costs more than `terms` allow, or the wallet only watches.
        """
        if self._words is None:
            raise WalletError(
                "this wallet only watches: the keys that sign are elsewhere",
                hint="write what is to be signed with 'medanchor anchor --psbt FILE'",
            )
        words = self._words()  # a wrong passphrase is told before anything is begun
        draft = self.fund(payload, terms, replacing=replacing)
        return Payment(self.finish(sign(draft.psbt, words, self.network)), draft.fee)

    def fund(self, payload: bytes, terms: Terms, *, replacing: bytes | None = None) -> Draft:
        """Return what `prepare` would sign; its coins are kept from the next draft as long as there are others.

        Raises WalletError as `prepare` does, but needs no private key.
        """
        with self._synchronised() as wallet:
            funding = Funding(wallet.wallet, payload, terms)
            found = funding.replacement(replacing) if replacing else funding.anchor()
            draft = self._checked(wallet, found, payload, terms, exact=not replacing)
            if replacing:
                wallet.forget()  # that it counted the other as gone
            wallet.reserve(spent_by(draft.transaction))
            wallet.keep()
        return draft

    def finish(self, psbt: bytes) -> bytes:
        """Return the complete transaction (serialised, with witness) of a signed PSBT, wherever it was signed.

        Raises WalletError if signatures are missing or do not hold, and if it is no PSBT.
        """
        read = read_psbt(psbt)
        with refusals("the PSBT is not signed as it should be", hint="sign the PSBT again, with this wallet's keys"):
            done = library().Psbt(base64.b64encode(read.data).decode()).finalize()
            signed: bytes = done.psbt.extract_tx_unchecked_fee_rate().serialize()
        return check_signed(read, signed)

    def _opened(self) -> AbstractContextManager[Opened]:
        return opened(self._directory, self._descriptors)

    @contextmanager
    def _synchronised(self) -> Iterator[Opened]:
        with opened(self._directory, self._descriptors, self._learn) as wallet:
            note_sent(wallet, self._sent())
            yield wallet

    def _learn(self, database: Path, lock: int, *, full: bool = False) -> None:
        self._learns(Job(self._sync(), database, self._descriptors, full, self._start), lock)

    def _learn_all(self, database: Path, lock: int) -> None:
        self._learn(database, lock, full=True)

    def _checked(self, wallet: Opened, psbt: "bdkpython.Psbt", payload: bytes, terms: Terms, *, exact: bool) -> Draft:
        own = lambda script: bool(wallet.wallet.is_mine(library().Script(script)))  # noqa: E731 - of this wallet
        read = read_psbt(base64.b64decode(psbt.serialize()))
        return check_draft(read, payload, terms, own=own, exact=exact)


def sign(psbt: bytes, words: str, network: Network) -> bytes:
    """Return `psbt` with the signatures that `words` can give; no key is kept.

    Raises WalletError if the library refuses to sign.
    """
    bdk = library()
    signer = bdk.Wallet(*private_pair(words, network), network_of(network), bdk.Persister.new_in_memory())
    options = bdk.SignOptions(
        trust_witness_utxo=False,
        assume_height=None,
        allow_all_sighashes=False,
        try_finalize=False,
        sign_with_tap_internal_key=False,
        allow_grinding=True,
    )
    parsed = bdk.Psbt(base64.b64encode(psbt).decode())
    with refusals("the transaction cannot be signed", hint="nothing was sent; run it again"):
        signer.sign(parsed, options)
    return base64.b64decode(parsed.serialize())


def _balance(opened: Opened) -> Balance:
    found = opened.wallet.balance()
    confirmed = found.confirmed.to_sat()
    return Balance(confirmed, found.total.to_sat() - confirmed)


def _movement(wallet: "bdkpython.Wallet", held: "bdkpython.CanonicalTx") -> Movement:
    moved = wallet.sent_and_received(held.transaction)
    place = held.chain_position
    return Movement(
        transaction=held.transaction.serialize(),
        height=place.confirmation_block_time.block_id.height if place.is_confirmed() else None,
        received=moved.received.to_sat(),
        spent=moved.sent.to_sat(),
        fee=wallet.calculate_fee(held.transaction).to_sat() if moved.sent.to_sat() else None,
    )
