"""What a synchronisation of the vault's own wallet is given: which way, where to begin, and how long it may take."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.core.hashes import Hash
from medanchor.core.header import Network

if TYPE_CHECKING:
    import bdkpython

    from medanchor.net.server import Patience


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a whole synchronisation may take, how long nothing new may come (seconds), and how many bytes may."""

    seconds: float = 600.0
    quiet: float = 60.0
    most: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Way:
    """A way to learn of coins as it is written: "esplora URL", "electrum ssl://HOST:PORT" or "peers HOST,…"."""

    text: str
    limits: Limits = field(default_factory=Limits)
    patience: "Patience | None" = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a wallet's history begins: a block (height, hash) before all of its own, if one is known."""

    height: int
    block: Hash


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be looked for: all that `wallet` may have on `network` (`full`), or what is new.

    `directory` is where a way of synchronising may keep what it has read; `start` where a full one may begin.
    """

    wallet: "bdkpython.Wallet"
    network: Network
    full: bool
    directory: Path
    start: Start | None = None
