"""What a library that speaks over TCP by itself gets through the pipe: the server's bytes, counted, over our TLS."""

import socket
import socketserver
import ssl
import threading

import pytest
from certificates import certificate

from medanchor.net.pipe import Address, piped


class Echo(socketserver.ThreadingTCPServer):
    """Gives back each line as often as it asks for: "3 word"."""

    daemon_threads = True
    block_on_close = False

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                count, _, word = line.partition(b" ")
                self.wfile.write(word * int(count))

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.port = self.server_address[1]

    def handle_error(self, *_connection: object) -> None:
        """The other side hung up."""


@pytest.fixture
def echo():
    with Echo() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def address(server: Echo, *, tls: bool = False, host: str = "127.0.0.1") -> Address:
    return Address("the echo", host, server.port, tls)


def ask(port: int, line: bytes, most: int = 1 << 20) -> bytes:
    """What comes back, up to the end or to `most` bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(line)
        data = b""
        while len(data) < most and (piece := received(connection)):
            data += piece
        return data


def received(connection: socket.socket) -> bytes:
    """What comes next; nothing if the other side has ended it, in whatever way."""
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


def test_bytes_are_passed_on_both_ways(echo):
    with piped(address(echo), most=10_000) as pipe:
        assert ask(pipe.port, b"2 word\n", 10) == b"word\nword\n"
        assert ask(pipe.port, b"1 again\n", 6) == b"again\n"
        assert pipe.failure is None


def test_much_at_once_is_passed_on(echo):
    with piped(address(echo), most=1 << 24) as pipe:
        assert len(ask(pipe.port, b"200000 0123456789\n", 2_200_000)) == 2_200_000


def test_what_does_not_come_to_an_end_has_one(echo):
    with piped(address(echo), most=10_000) as pipe:
        assert len(ask(pipe.port, b"1000000 0123456789\n", 1 << 30)) <= 10_000
    assert "the echo does not come to an end" in pipe.failure.message
    assert pipe.failure.hint


def test_a_server_that_is_not_there_is_told(echo):
    echo.shutdown()
    echo.server_close()
    with piped(address(echo), most=10_000) as pipe:
        assert ask(pipe.port, b"1 a\n") == b""
    assert pipe.failure.message == "the echo cannot be reached: connection refused"


def test_a_name_that_is_none_is_told(echo):
    with piped(address(echo, host="nobody.invalid"), most=10_000) as pipe:
        assert ask(pipe.port, b"1 a\n") == b""
    assert "the echo cannot be reached: " in pipe.failure.message


def test_leaving_ends_what_is_under_way(echo):
    with piped(address(echo), most=10_000) as pipe:
        connection = socket.create_connection(("127.0.0.1", pipe.port), timeout=5)
        connection.sendall(b"1 a\n")
        assert connection.recv(10) == b"a\n"
    with connection:
        assert received(connection) == b""


class TestTLS:
    @pytest.fixture
    def secure(self, echo, tmp_path, monkeypatch):
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        vouching, key = certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(vouching, key)
        echo.socket = context.wrap_socket(echo.socket, server_side=True)
        return echo, vouching

    def test_one_that_somebody_vouches_for_is_talked_to(self, secure, monkeypatch):
        echo, vouching = secure
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(vouching))
        with piped(address(echo, tls=True), most=10_000) as pipe:
            assert ask(pipe.port, b"2 word\n", 10) == b"word\nword\n"

    def test_one_that_nobody_vouches_for_is_not(self, secure):
        echo, _ = secure
        with piped(address(echo, tls=True), most=10_000) as pipe:
            assert ask(pipe.port, b"1 a\n") == b""
        assert "the echo does not prove who it is: self" in pipe.failure.message
        assert "REQUESTS_CA_BUNDLE" in pipe.failure.hint

    def test_for_another_name_it_does_not_count(self, secure, monkeypatch):
        echo, vouching = secure
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(vouching))
        with piped(address(echo, tls=True, host="localhost"), most=10_000) as pipe:
            assert ask(pipe.port, b"1 a\n") == b""
        assert "does not prove who it is: hostname mismatch" in pipe.failure.message

    def test_a_bundle_that_is_not_there_is_told(self, secure, monkeypatch):
        echo, _ = secure
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
        with piped(address(echo, tls=True), most=10_000) as pipe:
            assert ask(pipe.port, b"1 a\n") == b""
        assert "no such file" in pipe.failure.message


def test_tls_asked_of_a_server_without_it_is_told(echo):
    with piped(address(echo, tls=True), most=10_000) as pipe:
        assert ask(pipe.port, b"1 a\n") == b""
    assert pipe.failure.hint
