"""The Bitcoin Development Kit (bdkpython): there or told how to get it, and its errors turned into ours.

Its exceptions have no common root, and a panic inside it is one more; where they come from is all they share.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from medanchor.core.header import Network
from medanchor.errors import MedanchorError, WalletError

_NETWORKS = {
    Network.MAINNET: "BITCOIN",
    Network.TESTNET3: "TESTNET",
    Network.TESTNET4: "TESTNET4",
    Network.SIGNET: "SIGNET",
    Network.REGTEST: "REGTEST",
}


def library() -> ModuleType:
    """Return bdkpython. Raises WalletError, saying how to install it, if it is not there or not for this machine."""
    try:
        import bdkpython
    except (ImportError, OSError):
        raise WalletError(
            "a wallet of the vault's own needs the package bdkpython, which is not installed",
            hint="pip install 'medanchor[wallet]'; there is none for this machine? Use a Bitcoin Core wallet instead",
        ) from None
    module: ModuleType = bdkpython
    return module


def network_of(network: Network) -> object:
    """Return what the library calls `network`."""
    return library().Network[_NETWORKS[network]]


def network_kind(network: Network) -> object:
    """Return what tells a key for coins of value from one for tests, in the library's words."""
    return library().NetworkKind["MAIN" if network is Network.MAINNET else "TEST"]


@contextmanager
def refusals(what: str, *, hint: str, error: type[MedanchorError] = WalletError) -> Iterator[None]:
    """Turn what the library raises within into an `error` that says `what` went wrong, why, and `hint`."""
    try:
        yield
    except Exception as raised:
        if not from_library(raised):
            raise
        raise error(f"{what}: {reason(raised)}", hint=hint) from None


def from_library(error: Exception) -> bool:
    """Say whether the library raised `error`."""
    return type(error).__module__.partition(".")[0] == "bdkpython"


def reason(error: Exception) -> str:
    """Return in one line what an error of the library says."""
    told = " ".join(str(value) for value in vars(error).values()) or str(error)
    if not told:
        told = re.sub("(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.rpartition(".")[2]).lower()
    return " ".join(told.split())[:_LONGEST]


_LONGEST = 300
"""Characters: some errors hold a whole answer of a server."""
