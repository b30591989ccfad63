"""A server on loopback that does as it is asked, except where a plan of faults says otherwise.

with SomeServer(...) as server:
    server.plan({2: lost_answer})  # the third request from here on is carried out, and its answer never comes
"""

import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

LONGEST_HANG = 20.0  # seconds: whoever is tested gives up long before


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    kind: str = "application/json"


@dataclass
class Request:
    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


class Exchange:
    """One request, and all that a server can do about it."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: "LoopbackServer", request: Request) -> None:
        self.handler = handler
        self.server = server
        self.request = request

    def act(self) -> Reply:
        """What the server answers when it is well; what is asked is done."""
        with self.server.turn:
            return self.server.respond(self.request)

    def send(self, reply: Reply, *, headers: Mapping[str, str] | None = None, length: int | None = None) -> None:
        self.head(reply.status, {"Content-Type": reply.kind, "Content-Length": str(length or len(reply.body))}, headers)
        self.write(reply.body)

    def head(self, status: int, *headers: Mapping[str, str] | None) -> None:
        self.handler.send_response(status)
        for name, value in ((name, value) for some in headers if some for name, value in some.items()):
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def pause(self, seconds: float) -> bool:
        """Wait; True when the server is being closed."""
        return self.server.closing.wait(seconds)

    def hang(self) -> None:
        self.pause(LONGEST_HANG)
        self.reset()

    def reset(self) -> None:
        """Close the connection as a crashed process does: with a reset, not with an end."""
        connection = self.handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        self.handler.close_connection = True


Fault = Callable[[Exchange], None]


class LoopbackServer:
    """`respond` is what it is; `plan` says at which of the next requests (from 0) it fails, and how.

    `always` is the fault of every request that the plan does not name. `requests` are those since the last plan.
    """

    def __init__(self) -> None:
        self.turn = Lock()
        self.closing = Event()
        self.requests: list[Request] = []
        self.broken: list[Exception] = []
        self._plan: Mapping[int, Fault] = {}
        self._always: Fault | None = None
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self.port = self._http.server_port

    def respond(self, request: Request) -> Reply:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def plan(self, faults: Mapping[int, Fault] | None = None, *, always: Fault | None = None) -> None:
        self._plan, self._always = faults or {}, always
        self.requests = []

    def fault(self, request: Request) -> Fault:
        with self.turn:
            self.requests.append(request)
            return self._plan.get(len(self.requests) - 1, self._always) or well

    def __enter__(self):
        Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        if self.broken:
            raise self.broken[0]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_connection: object) -> None:
        """Whoever was tested hung up; anything else was kept in `broken`."""


def _handler(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = LONGEST_HANG
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if len(body) < int(self.headers.get("Content-Length", 0)):
                self.close_connection = True  # whoever asked was killed
                return
            request = Request(self.command, self.path, body, dict(self.headers))
            try:
                server.fault(request)(Exchange(self, server, request))
            except OSError:
                self.close_connection = True
            except Exception as error:
                server.broken.append(error)
                raise

        do_GET = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, *_arguments: object) -> None:
            """Nobody reads it."""

    return Handler


def well(exchange: Exchange) -> None:
    exchange.send(exchange.act())


def hang(exchange: Exchange) -> None:
    """Nothing is done, and no answer comes."""
    exchange.hang()


def lost_answer(exchange: Exchange) -> None:
    """It is done, and no answer comes: the time-out after accepting."""
    exchange.act()
    exchange.hang()


def reset(exchange: Exchange) -> None:
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    """It is done, and the connection breaks."""
    exchange.act()
    exchange.reset()


def half(exchange: Exchange) -> None:
    """Half an answer, then the end."""
    reply = exchange.act()
    exchange.send(Reply(reply.status, reply.body[: len(reply.body) // 2]), length=len(reply.body))
    exchange.handler.close_connection = True


def half_head(exchange: Exchange) -> None:
    """The end in the middle of the headers."""
    exchange.act()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.handler.close_connection = True


def endless(exchange: Exchange) -> None:
    exchange.head(200)
    while not exchange.server.closing.is_set():
        exchange.write(b"0" * 65536)


def endless_chunks(exchange: Exchange) -> None:
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    while not exchange.server.closing.is_set():
        exchange.write(b"10000\r\n" + b"0" * 65536 + b"\r\n")


def endless_head(exchange: Exchange) -> None:
    exchange.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not exchange.server.closing.is_set():
        exchange.write(b"0" * 65536)


def bad_chunks(exchange: Exchange) -> None:
    exchange.head(200, {"Transfer-Encoding": "chunked"})
    exchange.write(b"zz\r\n" + exchange.act().body)
    exchange.handler.close_connection = True


def drip(exchange: Exchange) -> None:
    """A byte now and then: a socket's own time-out never comes."""
    reply = exchange.act()
    exchange.head(200, {"Content-Length": str(len(reply.body))})
    _drip(exchange, reply.body)


def drip_head(exchange: Exchange) -> None:
    exchange.act()
    _drip(exchange, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + b"y" * 9_000)


def _drip(exchange: Exchange, data: bytes) -> None:
    for at in range(len(data)):
        exchange.write(data[at : at + 1])
        if exchange.pause(0.05):
            return


def not_http(exchange: Exchange) -> None:
    exchange.write(b"220 mail.example ESMTP\r\n")
    exchange.handler.close_connection = True


def status(code: int, body: bytes = b"") -> Fault:
    """Nothing is done, and `code` is answered."""

    def answer(exchange: Exchange) -> None:
        exchange.send(Reply(code, body, "text/html"))

    return answer


def status_after(code: int) -> Fault:
    """It is done, and `code` is answered nonetheless."""

    def answer(exchange: Exchange) -> None:
        exchange.act()
        exchange.send(Reply(code, b"<html>bad gateway</html>", "text/html"))

    return answer


def redirect(code: int, where: str) -> Fault:
    def answer(exchange: Exchange) -> None:
        exchange.send(Reply(code, b""), headers={"Location": where})

    return answer


def garbage(body: bytes) -> Fault:
    """It is done, and `body` is answered with all the signs of success."""

    def answer(exchange: Exchange) -> None:
        exchange.act()
        exchange.send(Reply(200, body))

    return answer


def rewrite(change: Callable[[object], object]) -> Fault:
    """It is done, and what `change` makes of the answer's JSON is answered."""

    def answer(exchange: Exchange) -> None:
        reply = exchange.act()
        exchange.send(Reply(reply.status, json.dumps(change(json.loads(reply.body))).encode()))

    return answer


def meanwhile(happens: Callable[[], object]) -> Fault:
    """No fault of the server's: something happens right before it does as it is asked."""

    def answer(exchange: Exchange) -> None:
        happens()
        well(exchange)

    return answer


SILENT = {"hang": hang, "lost answer": lost_answer, "drip": drip, "drip in the headers": drip_head}
"""Faults that only a deadline ends."""

BROKEN = {
    "reset": reset,
    "reset after": reset_after,
    "half an answer": half,
    "half the headers": half_head,
    "endless": endless,
    "endless chunks": endless_chunks,
    "endless headers": endless_head,
    "bad chunks": bad_chunks,
    "not HTTP": not_http,
    "empty": garbage(b""),
    "garbage": garbage(b"\xff\xfe not JSON at all"),
    "a page": garbage(b"<html><body>Welcome to the hotel's network</body></html>"),
    "deep": garbage(b"[" * 100_000),
    "a huge number": garbage(b"1" * 10_000),
}
REFUSED = {f"HTTP {code}": status(code) for code in (400, 401, 403, 404, 429, 500, 502, 503, 504)}
MOVED = {f"HTTP {code}": redirect(code, "http://127.0.0.1:9/elsewhere") for code in (301, 302, 303, 307, 308)}
AFTER = {f"HTTP {code} after": status_after(code) for code in (429, 500, 502, 503)}
FAULTS: dict[str, Fault] = {**SILENT, **BROKEN, **REFUSED, **MOVED, **AFTER}
"""All that can happen to an answer whatever it is about, by name."""
