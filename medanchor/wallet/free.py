"""Who pays where nobody has to: the wallet of a chain whose coins are worth nothing; and where nobody can."""

from collections.abc import Callable
from dataclasses import dataclass

from medanchor.core.header import Network
from medanchor.errors import WalletError
from medanchor.wallet.wallet import Payment, Terms

NO_WALLET = 'name one in config.toml: wallet = "core NAME", or "own" after \'medanchor wallet create\''


@dataclass(frozen=True, slots=True)
class FreeWallet:
    """A `Wallet` on regtest; `make` returns a complete transaction that carries a payload."""

    make: Callable[[bytes], bytes]
    network: Network = Network.REGTEST

    def prepare(self, payload: bytes, _terms: Terms, *, replacing: bytes | None = None) -> Payment:
        """Return a transaction that carries `payload`; `replacing` never comes, as nothing ever waits there."""
        del replacing
        return Payment(self.make(payload), 0)


@dataclass(frozen=True, slots=True)
class NoWallet:
    """A `Wallet` that cannot pay, for a vault that has none: what is on its way is followed all the same."""

    network: Network

    def prepare(self, payload: bytes, terms: Terms, *, replacing: bytes | None = None) -> Payment:
        """Raise WalletError."""
        del payload, terms, replacing
        raise WalletError(f"there is no wallet to pay for an anchor on {self.network}", hint=NO_WALLET)
