"""A loopback address whose connections go on to one TCP server, for libraries that speak a protocol by themselves.

The TLS is ours, so certificates are judged as everywhere here; and what comes back is counted, so that an answer
without end has one.
"""

import asyncio
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from medanchor.errors import ChainError

CONNECT_SECONDS = 10.0
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP server: reached with TLS (`tls`), and called `name` in messages."""

    name: str
    host: str
    port: int
    tls: bool


class Pipe:
    """Passes bytes on to and from the server at `address`, until `most` bytes have come from it.

    `failure` is the first error that was met; the library only sees that its connection ends.
    """

    def __init__(self, address: Address, *, most: int) -> None:
        self.failure: ChainError | None = None
        self.port = 0
        self._address = address
        self._left = most
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, listening: threading.Event, stop: asyncio.Event) -> None:
        """Listen on a free port of the loopback until `stop`, and say so by `listening`."""
        try:
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
        finally:
            listening.set()
        await stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._pass_on(reader, writer))
        self._tasks.add(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await self._connect()
            try:
                await self._copy_both(reader, onward, there, writer)
            finally:
                onward.transport.abort()
        except OSError as error:
            self.failure = self.failure or self._unreachable(error)
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        vouching = os.environ.get("REQUESTS_CA_BUNDLE") or None  # one variable for all servers
        context = ssl.create_default_context(cafile=vouching) if self._address.tls else None
        opening = asyncio.open_connection(self._address.host, self._address.port, ssl=context)
        return await asyncio.wait_for(opening, CONNECT_SECONDS)

    async def _copy_both(
        self,
        reader: asyncio.StreamReader,
        onward: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Copy both ways until either side ends."""
        ways = [asyncio.ensure_future(_copy(reader, onward)), asyncio.ensure_future(self._copy_back(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _copy_back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(_PIECE):
            self._left -= len(data)
            if self._left < 0:
                self.failure = self.failure or ChainError(
                    f"{self._address.name} does not come to an end", hint="name another one in config.toml"
                )
                return
            writer.write(data)
            await writer.drain()

    def _unreachable(self, error: OSError) -> ChainError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return ChainError(
                f"{self._address.name} does not prove who it is: {error.verify_message.lower()}",
                hint="is the address right? For a certificate of your own, name it in REQUESTS_CA_BUNDLE",
            )
        number = error.errno or 0  # negative for a name that is none
        told = os.strerror(number) if number > 0 else (error.strerror or "no answer")
        return ChainError(
            f"{self._address.name} cannot be reached: {told.lower()}",
            hint="is it running, and is its address in config.toml right? Then try again",
        )


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()


@contextmanager
def piped(address: Address, *, most: int) -> Iterator[Pipe]:
    """Give a `Pipe` to the server at `address` that listens on this machine's loopback until the end."""
    pipe = Pipe(address, most=most)
    listening, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(pipe.serve(listening, stop),), daemon=True)
    thread.start()
    listening.wait()
    try:
        yield pipe
    finally:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
