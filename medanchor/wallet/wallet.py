"""What every wallet offers: a transaction that carries a payload, paid for and ready to be sent."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from medanchor.core.header import Network


@dataclass(frozen=True, slots=True)
class Terms:
    """What an anchor may cost: `rate` is the fee rate to pay, in sat/vB, `max_fee` the most in all, in satoshi."""

    rate: Decimal
    max_fee: int


@dataclass(frozen=True, slots=True)
class Payment:
    """A complete transaction (funded, signed, serialised with its witness), and its fee in satoshi."""

    transaction: bytes
    fee: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A funded transaction that is not signed: as a PSBT (BIP 174, bytes), and its fee in satoshi.

    All its inputs are segregated witnesses, so `transaction` (serialised, without witness) has the txid already.
    """

    psbt: bytes
    transaction: bytes
    fee: int


@dataclass(frozen=True, slots=True)
class Balance:
    """What a wallet has, in satoshi: in blocks, and not yet."""

    confirmed: int
    pending: int


class Wallet(Protocol):
    """Who pays for an anchor. To prepare is not to send: what comes back is kept safe before a `Chain` is handed it."""

    @property
    def network(self) -> Network:
        """The network whose coins it spends."""
        ...

    def prepare(self, payload: bytes, terms: Terms, *, replacing: bytes | None = None) -> Payment:
        """Return a complete transaction that carries `payload`, and send nothing.

        Exactly one of its outputs is `core.commitment.anchor_script(payload)`. Until it is sent, the next call may
        spend the same coin again, so a caller that has prepared one either sends that one or forgets it for good.
        With `replacing`, an unconfirmed transaction of this wallet (serialised), it spends one of that one's coins at
        least and pays more, so that only one of the two can ever be mined (BIP 125).

        Raises WalletError if it cannot be funded or signed, or would cost more than `terms` allow.
        """
        ...


class CoinWallet(Wallet, Protocol):
    """A wallet with coins to look after, whose signing can be done elsewhere: on a machine without a network."""

    @property
    def name(self) -> str:
        """What people read: "the Bitcoin Core wallet clinic", "this vault's own wallet"."""
        ...

    def fund(self, payload: bytes, terms: Terms, *, replacing: bytes | None = None) -> Draft:
        """Return what `prepare` would sign; the coins it spends are kept from the next draft where that is possible.

        Raises WalletError as `prepare` does, but needs no private key.
        """
        ...

    def finish(self, psbt: bytes) -> bytes:
        """Return the complete transaction (serialised, with witness) of a signed PSBT, wherever it was signed.

        Raises WalletError if signatures are missing or do not hold, and if it is no PSBT.
        """
        ...

    def balance(self) -> Balance:
        """Return what the wallet has; synchronised first. Raises WalletError, ChainError."""
        ...

    def address(self) -> str:
        """Return an address of this wallet's network, unused so far, to send coins to."""
        ...
