"""How a wallet of the vault's own learns of its coins: from an Esplora server, an Electrum server, or peers.

None of them is believed about money: a signature commits to the value of the coin it spends, so who lies about that
makes a transaction that nobody mines. What they can do is to hide coins, or to invent some.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medanchor.core.hashes import display, sha256d
from medanchor.core.header import GENESIS, Network
from medanchor.errors import ChainError, UsageError
from medanchor.net.deadline import within
from medanchor.wallet.errand import Errand, Limits, Way
from medanchor.wallet.library import library, refusals

if TYPE_CHECKING:
    import bdkpython

    from medanchor.net.pipe import Pipe
    from medanchor.net.server import Patience

GAP = 20
"""Unused addresses in a row after which there are no more (BIP 44): in a full scan, and with words elsewhere."""

_BATCH = 10
_LAST_PORT = 65535
_ADDRESS = re.compile(r"(?:(?P<scheme>ssl|tcp)://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\s/:@]+)(?::(?P<port>\d{1,5}))?/?\Z")
_PORTS = {"ssl": 50002, "tcp": 50001}
_PEER_PORTS = {
    Network.MAINNET: 8333,
    Network.TESTNET3: 18333,
    Network.TESTNET4: 48333,
    Network.SIGNET: 38333,
    Network.REGTEST: 18444,
}


@dataclass(frozen=True, slots=True)
class Sync:
    """A way to learn of coins: its `name` in sentences, and what returns what is new."""

    name: str
    fetch: Callable[[Errand], "bdkpython.Update"]


def parse_sync(way: Way) -> Sync:
    """Return what `way` means. Nothing is asked yet. Raises UsageError."""
    kind, _, where = way.text.strip().partition(" ")
    if kind == "esplora":
        return _esplora(where.strip(), way.patience, way.limits)
    if kind == "electrum":
        return _electrum(where.strip(), way.patience, way.limits)
    if kind == "peers":
        return _peers(where.strip(), way.limits)
    raise UsageError(
        "expected 'esplora URL', 'electrum ssl://HOST:PORT' or 'peers HOST:PORT' as the way to learn of coins",
        hint="set wallet_sync in config.toml: docs/operations.md tells how",
    )


def synchronise(sync: Sync, errand: Errand) -> None:
    """Bring the wallet up to date; what is new is not kept yet.

    Raises ChainError if `sync` cannot be reached, contradicts itself or what was known, or is of another network.
    """
    update = sync.fetch(errand)
    with refusals(f"what {sync.name} says does not fit what was known", hint=_CONTRADICTION, error=ChainError):
        errand.wallet.apply_update(update)


_CONTRADICTION = "is it of the right network? 'medanchor wallet rescan' begins anew"
_BROKEN = "try again later, or name another one in config.toml"


def _esplora(url: str, patience: "Patience | None", limits: Limits) -> Sync:
    from medanchor.net.relay import relayed
    from medanchor.net.server import Server

    server = Server("the Esplora server", url, patience=patience)

    def fetch(errand: Errand) -> "bdkpython.Update":
        genesis = server.get("/block-height/0")
        _check_network(server.name, genesis.body.decode("ascii", "replace").strip() if genesis.well else "", errand)
        with relayed(server, seconds=limits.seconds, most=limits.most) as relay:
            client = library().EsploraClient(relay.url)
            act = _asking(client, errand, (1,), (GAP, 1))
            return _fetched(server.name, act, limits, lambda: relay.failure)

    return Sync(server.name, fetch)


def _electrum(where: str, patience: "Patience | None", limits: Limits) -> Sync:
    from medanchor.net.pipe import Address, piped
    from medanchor.net.server import Patience

    found = _ADDRESS.match(where)
    if not found or not found["scheme"]:
        raise UsageError("expected an Electrum server such as ssl://127.0.0.1:50002", hint="mend it in config.toml")
    scheme, (host, port) = found["scheme"], _place(found)
    port = port or _PORTS[scheme]
    address = Address(f"the Electrum server at {scheme}://{found['host']}:{port}", host, port, scheme == "ssl")
    waits = max(1, int((patience or Patience()).seconds))

    def ask(pipe: "Pipe", errand: Errand, waits: int) -> "bdkpython.Update":
        client = library().ElectrumClient(f"tcp://127.0.0.1:{pipe.port}", None, waits, 0, False)
        _check_network(address.name, _hash_of(client.block_header(0)), errand)
        return _asking(client, errand, (_BATCH, False), (GAP, _BATCH, False))()

    def fetch(errand: Errand) -> "bdkpython.Update":
        with piped(address, most=limits.most) as pipe:
            return _fetched(address.name, lambda: ask(pipe, errand, waits), limits, lambda: pipe.failure)

    return Sync(address.name, fetch)


def _peers(where: str, limits: Limits) -> Sync:
    found = [_ADDRESS.match(one) for one in where.split(",")]
    if not all(one and not one["scheme"] for one in found):
        raise UsageError(
            "expected peers such as 127.0.0.1:8333, with commas between them", hint="mend them in config.toml"
        )
    hosts = [_place(one) for one in found if one]
    name = f"the Bitcoin peer{'s' if len(hosts) > 1 else ''} {', '.join(where.split(','))}"

    def fetch(errand: Errand) -> "bdkpython.Update":
        from medanchor.wallet.peers import fetch_from_peers

        places = [(host, port or _PEER_PORTS[errand.network]) for host, port in hosts]
        return fetch_from_peers(name, places, errand, limits)

    return Sync(name, fetch)


def _place(found: re.Match[str]) -> tuple[str, int]:
    """Return the host of an address and its port, 0 if it has none. Raises UsageError."""
    port = int(found["port"] or 0)
    if port > _LAST_PORT:
        raise UsageError(f"expected a port up to {_LAST_PORT}, found {port}", hint="mend it in config.toml")
    return found["host"].strip("[]"), port


def _asking(
    client: "bdkpython.EsploraClient | bdkpython.ElectrumClient",
    errand: Errand,
    rest: tuple[object, ...],
    whole: tuple[object, ...],
) -> Callable[[], "bdkpython.Update"]:
    """Return what asks `client`; the wallet itself is not touched by it, as it may have to be given up."""
    if errand.full:
        scan = errand.wallet.start_full_scan().build()
        return lambda: client.full_scan(scan, *whole)
    request = errand.wallet.start_sync_with_revealed_spks().build()
    return lambda: client.sync(request, *rest)


def _fetched(
    name: str, act: Callable[[], "bdkpython.Update"], limits: Limits, failure: Callable[[], ChainError | None]
) -> "bdkpython.Update":
    """Return what `act` does, in time; what went wrong on the way to the server goes before the library's own word."""
    try:
        with refusals(f"{name} cannot be believed, or was cut off", hint=_BROKEN, error=ChainError):
            return within(limits.seconds, act)
    except TimeoutError:
        raise failure() or ChainError(f"{name} was not done within {limits.seconds:g} seconds", hint=_BROKEN) from None
    except ChainError as error:
        raise failure() or error from None


def _check_network(name: str, genesis: str, errand: Errand) -> None:
    """Refuse a server whose first block is another network's."""
    found = GENESIS.get(genesis)
    if found is not errand.network:
        raise ChainError(
            f"expected a server of {errand.network}, found one of {found or 'no Bitcoin network'}: {name}",
            hint="name one of the right network in config.toml",
        )


def _hash_of(header: "bdkpython.Header") -> str:
    """Return the hash of a block's header as explorers write it."""
    fields = (header.version % (1 << 32), header.time, header.bits, header.nonce)
    version, *rest = (field.to_bytes(4, "little") for field in fields)
    return display(
        sha256d(version + header.prev_blockhash.serialize() + header.merkle_root.serialize() + b"".join(rest))
    )
