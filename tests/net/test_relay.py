"""What a library that speaks HTTP by itself gets through the relay: the server's answers, bounded, and nothing else."""

import time
import urllib.error
import urllib.request

import pytest
from loopback_http import LoopbackServer, Reply, hang, redirect, status

from medanchor.errors import ChainError
from medanchor.net.relay import relayed
from medanchor.net.server import Patience, Server

QUICK = Patience(seconds=1, attempts=1, pause=0)


class Echo(LoopbackServer):
    def respond(self, request):
        return Reply(200, f"{request.method} {request.path}".encode(), "text/plain")


@pytest.fixture
def echo():
    with Echo() as running:
        yield running


@pytest.fixture
def server(echo):
    return Server("the echo", echo.url, patience=QUICK)


def ask(url: str, method: str = "GET") -> tuple[int, bytes]:
    """What comes back, for somebody who believes every redirection."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_what_the_server_says_is_passed_on(server):
    with relayed(server, seconds=5, most=1_000) as relay:
        assert ask(f"{relay.url}/a/b?c=d") == (200, b"GET /a/b?c=d")
        assert relay.failure is None


def test_another_kind_of_success_is_success(echo, server):
    """mempool.space answers some requests with 203, which libraries take for an error."""
    with relayed(server, seconds=5, most=1_000) as relay:
        echo.plan(always=status(203, b"fine"))
        assert ask(f"{relay.url}/") == (200, b"fine")


def test_what_the_server_does_not_know_is_passed_on(echo, server):
    with relayed(server, seconds=5, most=1_000) as relay:
        echo.plan(always=status(404, b"no"))
        assert ask(f"{relay.url}/") == (404, b"no")
        assert relay.failure is None


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (hang, "did not answer within 1 seconds"),
        (redirect(302, "http://127.0.0.1:1/"), "points elsewhere"),
        (status(500), "answers with HTTP 500"),
        (status(403), "answers with HTTP 403"),
        (status(503), "is not able to answer"),
    ],
)
def test_a_failure_ends_it_and_is_told(echo, server, fault, told):
    with relayed(server, seconds=5, most=1_000) as relay:
        echo.plan({0: fault})
        assert ask(f"{relay.url}/") == (502, b"")
        assert told in relay.failure.message
        assert relay.failure.hint
        assert ask(f"{relay.url}/again")[0] == 502
        assert len(echo.requests) == 1


def test_nobody_else_on_this_machine_can_ask_through_it(echo, server):
    with relayed(server, seconds=5, most=1_000) as relay:
        for path in ("/", "/blocks", f"/{'0' * 32}/blocks", relay.secret, f"{relay.secret}x/"):
            assert ask(f"http://127.0.0.1:{relay.port}{path}") == (404, b"")
        assert ask(f"{relay.url}/", "POST")[0] == 501
    assert echo.requests == []


def test_it_ends_after_so_many_bytes(server):
    with relayed(server, seconds=5, most=20) as relay:
        assert ask(f"{relay.url}/123456")[0] == 200
        assert ask(f"{relay.url}/123456")[0] == 502
    assert isinstance(relay.failure, ChainError)
    assert "does not come to an end" in relay.failure.message


def test_it_ends_after_so_long(server):
    with relayed(server, seconds=0.1, most=1_000) as relay:
        time.sleep(0.15)
        assert ask(f"{relay.url}/")[0] == 502
    assert "was not done within 0.1 seconds" in relay.failure.message


def test_it_listens_no_longer_than_it_is_needed(server):
    with relayed(server, seconds=5, most=1_000) as relay:
        pass
    with pytest.raises(urllib.error.URLError):
        ask(f"{relay.url}/")
