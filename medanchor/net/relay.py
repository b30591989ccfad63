"""A loopback address that passes requests on to one server, for libraries that speak HTTP by themselves.

Such a library follows redirects, waits without end and reads without end. Here it only ever speaks to this process, and
`Server` asks for it: the same bounds, the same certificates, nobody who was not named.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from medanchor.errors import ChainError
from medanchor.net.server import Answer, Server

_FAILED = 502
_UNKNOWN = 404
_OK = 200


class Relay:
    """Passes GET requests on to `server`, until `seconds` are over or `most` bytes have come in all.

    `failure` is the first error that was met; the library that asked only hears that there was one.
    """

    def __init__(self, server: Server, *, seconds: float, most: int) -> None:
        self.failure: ChainError | None = None
        self.secret = f"/{secrets.token_hex(16)}"  # or other users of this machine could ask through it
        self.port = 0
        self._server = server
        self._turn = threading.Lock()
        self._ends = time.monotonic() + seconds
        self._seconds, self._left = seconds, most

    @property
    def url(self) -> str:
        """Where the library is to ask."""
        return f"http://127.0.0.1:{self.port}{self.secret}"

    def ask(self, path: str) -> Answer:
        """Return the server's answer to GET `path`; a failure as an answer too, the same to all that is asked later."""
        if not path.startswith(f"{self.secret}/"):
            return Answer(_UNKNOWN, b"")
        with self._turn:
            try:
                return self._ask(path.removeprefix(self.secret))
            except ChainError as error:
                self.failure = self.failure or error
                return Answer(_FAILED, b"")

    def _ask(self, path: str) -> Answer:
        if self.failure:
            raise self.failure
        if time.monotonic() > self._ends:
            raise ChainError(
                f"{self._server.name} was not done within {self._seconds:g} seconds",
                hint="try again later, or name a faster one in config.toml",
            )
        answer = self._server.get(path)
        self._left -= len(answer.body)
        if self._left < 0:
            raise ChainError(f"{self._server.name} does not come to an end", hint="name another one in config.toml")
        if not answer.well and answer.status != _UNKNOWN:
            raise ChainError(f"{self._server.name} answers with HTTP {answer.status}", hint="is its address right?")
        return Answer(_OK, answer.body) if answer.well else answer  # some say 203 where others say 200


@contextmanager
def relayed(server: Server, *, seconds: float, most: int) -> Iterator[Relay]:
    """Give a `Relay` to `server` that listens on a free port of this machine's loopback until the end."""
    relay = Relay(server, seconds=seconds, most=most)
    listener = _Listener(("127.0.0.1", 0), _handler(relay))
    relay.port = listener.server_port
    threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield relay
    finally:
        listener.shutdown()
        listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Say nothing: the library hung up."""


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_GET(self) -> None:
            answer = relay.ask(self.path)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
