"""Genuine Bitcoin Core nodes, where BITCOIND names a binary; elsewhere these tests are skipped.

    BITCOIND=/usr/local/bin/bitcoind pytest tests/genuine

Each node is on a regtest of its own, on free ports of the loopback, and lets in whoever can read its cookie.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from medanchor.errors import ChainError
from medanchor.net.rpc import Rpc
from medanchor.net.server import Patience

PATIENT = 120.0  # seconds: for a node to start or to stop, on a slow machine
OPTIONS = (
    *("-regtest", "-server", "-printtoconsole=0", "-fallbackfee=0.00001"),
    *("-listen=1", "-discover=0", "-dnsseed=0", "-fixedseeds=0", "-listenonion=0"),
)


class Node:
    """A bitcoind of our own: `rpc` asks it, whatever it is called after a restart; `port` is for its peers.

    `options` are those that it is started with beside `OPTIONS`; a restart may give it others.
    """

    def __init__(self, binary: str, datadir: Path, *options: str) -> None:
        self.datadir = datadir
        self.options = options
        self.port, self.rpc_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.rpc_port}"
        self.cookie = datadir / "regtest" / ".cookie"
        self.rpc = Rpc(self.url, "regtest", cookie=self.cookie, patience=Patience(seconds=60))
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.datadir.mkdir(parents=True, exist_ok=True)
        ports = (f"-bind=127.0.0.1:{self.port}", f"-rpcport={self.rpc_port}")
        command = [self._binary, f"-datadir={self.datadir}", *OPTIONS, *ports, *self.options]
        with (self.datadir / "output").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        end = time.monotonic() + PATIENT
        while True:
            try:
                self.rpc.call("getblockcount")
            except ChainError as error:
                self._check_alive(error, end)
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """Have it end as it likes to."""
        if self._process is not None:
            with suppress(ChainError):
                self.rpc.call("stop", again=False)
            try:
                self._process.wait(PATIENT)
            finally:
                self.kill()

    def kill(self) -> None:
        """End it as a power cut does: nothing is written any more, and its old cookie stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self, *options: str) -> None:
        self.stop()
        self.options = options or self.options
        self.start()

    def _check_alive(self, error: ChainError, end: float) -> None:
        dead = self._process is None or self._process.poll() is not None
        if dead or time.monotonic() > end:
            log = self.datadir / "regtest" / "debug.log"
            told = (self.datadir / "output").read_text() + (log.read_text()[-4_000:] if log.exists() else "")
            self.kill()
            pytest.fail(f"{self._binary} {'ended' if dead else 'does not answer'}: {error.message}\n{told}")


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="session")
def bitcoind() -> str:
    """The binary."""
    named = os.environ.get("BITCOIND")
    if not named:
        pytest.skip("BITCOIND names no Bitcoin Core node")
    found = shutil.which(named)
    if found is None:
        pytest.fail(f"BITCOIND names {named}, which cannot be run")
    return found


@pytest.fixture
def start_node(bitcoind: str, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start a node for one test, with such options as "-txindex=1"."""
    with ExitStack() as stack:

        def start(*options: str, name: str = "node") -> Node:
            node = Node(bitcoind, tmp_path / name, *options)
            stack.callback(node.stop)
            node.start()
            return node

        yield start


@pytest.fixture(scope="module")
def node(bitcoind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for all tests of a module: without an index, with nothing pruned."""
    running = Node(bitcoind, tmp_path_factory.mktemp("bitcoind"))
    try:
        running.start()
        yield running
    finally:
        running.stop()
