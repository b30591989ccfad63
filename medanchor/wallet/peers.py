"""Coins found by compact block filters (BIP 157, BIP 158), from Bitcoin peers that the user named and nobody else.

A peer hands out the same filters to everybody and learns of no address; headers and blocks are checked by their work
and hashes. It can keep new blocks back, and nothing more.
"""

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING

from medanchor.core.header import Network
from medanchor.errors import ChainError
from medanchor.net.deadline import within
from medanchor.wallet.library import from_library, library

if TYPE_CHECKING:
    import bdkpython

    from medanchor.wallet.errand import Errand, Limits

DIRECTORY = "peers"

_SCRIPTS = 1_000
"""How many addresses are looked for when all is looked for: a filter tells of any, so none has to be asked about."""

_LOOK_SECONDS = 0.2
_LOST = "unexpected sync error"
_REORGANISED = "after a deep reorganisation, 'medanchor wallet rescan' finds the way again"
_HINT = "does it run, on this network, with -blockfilterindex=1 -peerblockfilters=1, and is its port open to this one?"


def fetch_from_peers(
    name: str, places: Sequence[tuple[str, int]], errand: "Errand", limits: "Limits"
) -> "bdkpython.Update":
    """Return what the peers at `places` (host, port) know that is new; `name` is what sentences call them.

    Raises ChainError if none of them can be used, or nothing new comes for too long.
    """
    peers = [peer for host, port in places for peer in _peers(host, port, limits)]
    with _private_files():
        try:
            return within(limits.seconds, lambda: asyncio.run(_fetch(name, _built(peers, errand, limits), limits)))
        except TimeoutError:
            raise ChainError(
                f"{name} was not done within {limits.seconds:g} seconds", hint="run it again: it goes on from there"
            ) from None


def _peers(host: str, port: int, limits: "Limits") -> "Iterator[bdkpython.Peer]":
    """Yield the peers that `host` stands for: an address, or a name that this machine's own resolver knows."""
    bdk = library()
    try:
        found = within(limits.quiet, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        told = (error.strerror or "no answer").lower()
        raise ChainError(f"the peer {host} has no address: {told}", hint="mend wallet_sync in config.toml") from None
    for text in dict.fromkeys(str(where[0]) for *_, where in found):
        address = ip_address(text.partition("%")[0])
        make = bdk.IpAddress.from_ipv4 if isinstance(address, IPv4Address) else bdk.IpAddress.from_ipv6
        size = 1 if isinstance(address, IPv4Address) else 2
        packed = address.packed
        parts = [int.from_bytes(packed[at : at + size], "big") for at in range(0, len(packed), size)]
        yield bdk.Peer(address=make(*parts), port=port, v2_transport=False)


def _built(peers: "list[bdkpython.Peer]", errand: "Errand", limits: "Limits") -> "bdkpython.CbfComponents":
    """Return the library's node and client for what `errand` asks; it knows no peers but these, and seeks none."""
    directory = errand.directory / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    waits = int(limits.quiet * 1000)
    builder = library().CbfBuilder().peers(peers).only_configured_peers().connections(1).data_dir(str(directory))
    return builder.scan_type(_scan(errand)).configure_timeout_millis(waits, waits).build(errand.wallet)


def _scan(errand: "Errand") -> "bdkpython.ScanType":
    bdk = library()
    if not errand.full:
        return bdk.ScanType.SYNC()
    if errand.start is not None:
        block = bdk.BlockId(height=errand.start.height, hash=bdk.BlockHash.from_bytes(errand.start.block))
        return bdk.ScanType.RECOVERY(_SCRIPTS, bdk.RecoveryPoint.OTHER(block))
    mainnet = errand.network is Network.MAINNET
    first = bdk.RecoveryPoint.SEGWIT_ACTIVATION() if mainnet else bdk.RecoveryPoint.GENESIS_BLOCK()
    return bdk.ScanType.RECOVERY(_SCRIPTS, first)


async def _fetch(name: str, parts: "bdkpython.CbfComponents", limits: "Limits") -> "bdkpython.Update":
    """Run the library's node until it is up to date; give it up if nothing new has come for too long."""
    parts.node.run()
    heard = _Heard()
    update = asyncio.ensure_future(parts.client.update())
    listening = [asyncio.ensure_future(heard.news(parts.client)), asyncio.ensure_future(heard.warnings(parts.client))]
    try:
        while not update.done() and heard.silence < limits.quiet:
            await asyncio.wait([update], timeout=_LOOK_SECONDS)
        if update.done() and (update.exception() is None or not from_library(update.exception())):
            return update.result()
        raise ChainError(f"{name} cannot be used: {heard.told}", hint=_REORGANISED if heard.lost else _HINT)
    finally:
        for task in (update, *listening):
            task.cancel()
        await asyncio.gather(update, *listening, return_exceptions=True)
        with suppress(Exception):  # it has stopped by itself
            parts.client.shutdown()


class _Heard:
    """What the library's node says while it runs."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._warnings: list[str] = []

    @property
    def silence(self) -> float:
        """For how many seconds there was nothing new."""
        return time.monotonic() - self._last

    @property
    def lost(self) -> bool:
        """Whether it found no way on from the blocks that it knew: a reorganisation has taken away too many."""
        return any(_LOST in warning for warning in self._warnings)

    @property
    def told(self) -> str:
        """What it complained of, each once."""
        return ", ".join(dict.fromkeys(self._warnings)) or "no answer"

    async def news(self, client: "bdkpython.CbfClient") -> None:
        while True:
            await client.next_info()
            self._last = time.monotonic()

    async def warnings(self, client: "bdkpython.CbfClient") -> None:
        while True:
            warning = await client.next_warning()
            self._warnings.append(type(warning).__name__.rpartition(".")[2].lower().replace("_", " "))


@contextmanager
def _private_files() -> Iterator[None]:
    """Have the files that the library makes 0600: it takes no mode, so a chmod afterwards would come too late."""
    former = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(former)
