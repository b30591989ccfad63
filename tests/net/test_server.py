"""One server, however it behaves: an answer read to its end, or an error that names it; and nobody else is asked."""

import itertools
import socket
import ssl
import threading
import time

import pytest
from certificates import certificate
from loopback_http import BROKEN, FAULTS, MOVED, SILENT, LoopbackServer, Reply, half, redirect, reset_after, status

from medanchor.errors import ChainError, UsageError
from medanchor.net.server import Answer, BusyError, Patience, Server, split_url

QUICK = Patience(seconds=1, attempts=2, pause=0.01)
LONG = "long" * 1_000


class Echo(LoopbackServer):
    """Answers with what it was asked."""

    def respond(self, request):
        return Reply(200, f"{request.method} {request.path} ".encode() + request.body, "text/plain")


class Chatty(Echo):
    """Sets a cookie that a browser would bring back."""

    def fault(self, request):
        super().fault(request)
        return lambda exchange: exchange.send(exchange.act(), headers={"Set-Cookie": "visitor=42"})


@pytest.fixture
def echo():
    with Echo() as running:
        yield running


@pytest.fixture
def server(echo):
    return Server("the echo", echo.url, patience=QUICK)


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch, tmp_path):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def outcome_of(ask):
    try:
        return ask()
    except ChainError as error:
        return error


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class TestAnswers:
    def test_what_is_asked_is_answered(self, server):
        assert server.get("/tip") == Answer(200, b"GET /tip ")
        assert server.post("/tx", b"00ff") == Answer(200, b"POST /tx 00ff")

    @pytest.mark.parametrize("code", [200, 201, 203, 204, 299])
    def test_every_success_is_one(self, echo, server, code):
        echo.plan({0: status(code)})
        assert server.get("/").well

    @pytest.mark.parametrize("code", [400, 401, 403, 404, 418, 499, 500])
    def test_what_the_caller_did_wrong_is_an_answer_too(self, echo, server, code):
        echo.plan({0: status(code, b"why")})
        answer = server.get("/")
        assert (answer, answer.well) == (Answer(code, b"why"), False)
        assert len(echo.requests) == 1

    def test_as_many_bytes_as_allowed_and_not_one_more(self, server):
        assert len(server.get("/tip", most=9).body) == 9
        with pytest.raises(ChainError, match="answers with more than 8 bytes"):
            server.get("/tip", most=8)

    def test_an_error_page_is_bounded_too(self, echo, server):
        echo.plan({0: status(404, b"x" * 100)})
        with pytest.raises(ChainError, match="more than 99 bytes"):
            server.get("/", most=99)

    def test_a_connection_is_used_again(self, echo, server):
        ports = [server.get("/").body for _ in range(3)]
        assert len(ports) == len(echo.requests) == 3


class TestFaults:
    @pytest.mark.parametrize("name", FAULTS)
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_each_is_survived_and_told_in_time(self, echo, server, name, method):
        echo.plan(always=FAULTS[name])
        started = time.monotonic()
        outcome = outcome_of(lambda: server.get(f"/{LONG}") if method == "get" else server.post("/", LONG.encode()))
        assert time.monotonic() - started < QUICK.attempts * QUICK.seconds + 15
        if isinstance(outcome, ChainError):
            assert outcome.message.startswith(f"the echo at {echo.url} ")
            assert outcome.hint
        else:
            assert name not in SILENT.keys() | MOVED.keys()
            assert outcome.status in (200, 400, 401, 403, 404, 500)
        echo.plan()
        assert server.get("/again").body == b"GET /again "

    @pytest.mark.parametrize(
        "name", [*SILENT, *sorted(set(BROKEN) - {"empty", "garbage", "a page", "deep", "a huge number"})]
    )
    def test_what_is_no_whole_answer_is_never_taken_for_one(self, echo, server, name):
        echo.plan(always=FAULTS[name])
        with pytest.raises(ChainError):
            server.get(f"/{LONG}")

    def test_half_an_answer_is_none(self, echo, server):
        echo.plan({0: half})
        assert server.post("/", LONG.encode() * 100).body == b"POST / " + LONG.encode() * 100
        assert len(echo.requests) == 2

    def test_a_dripping_answer_takes_no_thread_for_ever(self, echo, server):
        echo.plan(always=SILENT["drip"])
        with pytest.raises(BusyError, match=r"did not answer within 1 seconds"):
            server.get(f"/{LONG}")
        time.sleep(0.2)
        assert not {thread for thread in threading.enumerate() if "(run)" in thread.name}

    def test_a_port_that_nobody_listens_on(self):
        server = Server("the echo", f"http://127.0.0.1:{closed_port()}", patience=QUICK)
        with pytest.raises(ChainError, match=r"cannot be reached: connection refused$") as caught:
            server.get("/")
        assert caught.value.hint.startswith("is it running")

    def test_a_name_that_nobody_has(self, monkeypatch):
        def nobody(*_arguments, **_options):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", nobody)
        with pytest.raises(ChainError, match="cannot be reached: name or service not known"):
            Server("the echo", "http://nobody.invalid", patience=QUICK).get("/")

    @pytest.mark.parametrize("url", ["http://a..b", "http://*", f"http://{'a' * 300}.example"])
    def test_an_address_that_cannot_be_one(self, url):
        with pytest.raises(ChainError) as caught:
            Server("the echo", url, patience=QUICK).get("/")
        assert caught.value.hint


class TestInsisting:
    @pytest.fixture
    def pauses(self, monkeypatch):
        taken = []
        monkeypatch.setattr("medanchor.net.server.time.sleep", taken.append)
        return taken

    @pytest.mark.parametrize("code", [408, 425, 429, 501, 502, 503, 504, 507, 599])
    def test_a_busy_server_is_asked_again_after_ever_longer_pauses(self, echo, pauses, code):
        server = Server("the echo", echo.url, patience=Patience(seconds=5, attempts=4, pause=0.5))
        echo.plan({0: status(code), 1: status(503), 2: reset_after})
        assert server.get("/").well
        assert pauses == [0.5, 1.0, 2.0]
        assert len(echo.requests) == 4

    def test_but_not_for_ever(self, echo, pauses):
        server = Server("the echo", echo.url, patience=Patience(seconds=5, attempts=3, pause=1))
        echo.plan(always=status(503))
        with pytest.raises(BusyError, match=r"is not able to answer \(HTTP 503\)"):
            server.post("/", b"")
        assert (len(echo.requests), pauses) == (3, [1, 2])

    @pytest.mark.parametrize("fault", [status(503), reset_after], ids=["busy", "reset"])
    def test_what_must_be_sent_once_is(self, echo, pauses, fault):
        server = Server("the echo", echo.url, patience=Patience(seconds=5, attempts=3, pause=1))
        echo.plan({0: fault})
        with pytest.raises(ChainError):
            server.post("/", b"", again=False)
        assert (len(echo.requests), pauses) == (1, [])

    @pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308, 399])
    def test_nobody_is_asked_whom_the_user_did_not_name(self, echo, server, code, pauses):
        with Echo() as other:
            echo.plan(always=redirect(code, other.url))
            with pytest.raises(ChainError, match=rf"points elsewhere \(HTTP {code}\)") as caught:
                server.get("/")
            assert other.requests == []
        assert (len(echo.requests), pauses) == (1, [])
        assert "config.toml" in caught.value.hint


class TestSecrets:
    def test_credentials_are_sent_and_never_shown(self, echo):
        server = Server("the echo", echo.url.replace("//", "//cl%40nic:s%3Ecret@"), patience=QUICK)
        server.get("/")
        assert echo.requests[0].headers["Authorization"] == "Basic Y2xAbmljOnM+Y3JldA=="  # cl@nic:s>cret
        echo.plan(always=status(503))
        with pytest.raises(ChainError) as caught:
            server.get("/")
        shown = " ".join((server.name, server.url, repr(server), repr(caught.value), str(caught.value.hint)))
        assert "cret" not in shown
        assert "@" not in shown

    def test_without_any_none_are_sent_not_even_those_of_netrc(self, echo, server, tmp_path):
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        server.get("/")
        assert "Authorization" not in echo.requests[0].headers

    def test_cookies_are_not_brought_back(self):
        with Chatty() as chatty:
            server = Server("the echo", chatty.url, patience=QUICK)
            for _ in range(2):
                server.get("/")
            assert "Cookie" not in chatty.requests[1].headers


class TestProxies:
    @pytest.fixture
    def proxy(self, monkeypatch):
        with Echo() as running:
            monkeypatch.setenv("http_proxy", running.url)
            monkeypatch.setenv("all_proxy", running.url)
            yield running

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_this_machine_is_asked_directly(self, echo, proxy, host):
        Server("the echo", f"http://{host}:{echo.port}", patience=QUICK).get("/")
        assert (len(echo.requests), proxy.requests) == (1, [])

    def test_others_are_asked_through_the_proxy_of_the_surroundings(self, proxy):
        assert Server("the echo", "http://esplora.invalid", patience=QUICK).get("/tip").well
        assert [asked.path for asked in proxy.requests] == ["http://esplora.invalid/tip"]

    def test_those_of_this_house_are_not(self, proxy, monkeypatch):
        asked = []

        def resolve(host, *_arguments, **_options):
            asked.append(host)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with pytest.raises(ChainError):
            Server("the node", "http://node.invalid", local=True, patience=QUICK).get("/")
        assert (set(asked), proxy.requests) == ({"node.invalid"}, [])


class TestTLS:
    @pytest.fixture
    def secure(self, tmp_path):
        """An echo behind TLS, and the file that vouches for it."""
        vouching, key = certificate(tmp_path)
        with Echo() as running:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(vouching, key)
            running._http.socket = context.wrap_socket(running._http.socket, server_side=True)
            yield running, vouching

    def test_a_server_that_nobody_vouches_for_is_not_talked_to(self, secure):
        running, _ = secure
        server = Server("the echo", running.url.replace("http:", "https:"), patience=QUICK)
        with pytest.raises(ChainError, match=r"does not prove who it is: self.signed certificate") as caught:
            server.get("/")
        assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        assert running.requests == []

    def test_unless_the_user_does(self, secure, monkeypatch):
        running, vouching = secure
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(vouching))
        server = Server("the echo", running.url.replace("http:", "https:"), patience=QUICK)
        assert server.get("/").body == b"GET / "

    def test_for_another_name_it_does_not_count(self, secure, monkeypatch):
        running, vouching = secure
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(vouching))
        server = Server("the echo", f"https://localhost:{running.port}", patience=QUICK)
        with pytest.raises(ChainError, match="does not prove who it is: hostname mismatch"):
            server.get("/")

    def test_a_bundle_that_is_not_there_is_told(self, secure, monkeypatch):
        running, _ = secure
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
        with pytest.raises(ChainError, match=r"/nowhere\.pem"):
            Server("the echo", running.url.replace("http:", "https:"), patience=QUICK).get("/")

    def test_tls_asked_of_a_server_without_it(self, echo):
        with pytest.raises(ChainError, match="cannot be reached") as caught:
            Server("the echo", echo.url.replace("http:", "https:"), patience=QUICK).get("/")
        assert caught.value.hint


class TestURL:
    @pytest.mark.parametrize(
        ("url", "kept", "credentials"),
        [
            ("http://127.0.0.1:8332", "http://127.0.0.1:8332", ""),
            ("http://127.0.0.1:8332/", "http://127.0.0.1:8332", ""),
            ("https://explorer.example/testnet4/api/", "https://explorer.example/testnet4/api", ""),
            ("http://user:pass@host", "http://host", "user:pass"),
            ("http://user:p%40ss%3A@host:1/a", "http://host:1/a", "user:p@ss:"),
            ("http://a@b:c@host", "http://host", "a@b:c"),
            ("http://[::1]:18443", "http://[::1]:18443", ""),
            ("HTTP://Host", "http://Host", ""),
        ],
    )
    def test_one_that_is(self, url, kept, credentials):
        assert split_url(url) == (kept, credentials)

    @pytest.mark.parametrize(
        "url",
        [
            *("", "127.0.0.1:8332", "localhost", "ftp://host", "file:///etc/passwd", "http://", "http://:80"),
            *("http://h:0", "http://h:99999", "http://h:x", "http://[::1", "http://h?q=1", "http://h#f", "http:/h"),
        ],
    )
    def test_one_that_is_not(self, url):
        with pytest.raises(UsageError, match="expected a server's address such as") as caught:
            Server("the echo", url)
        assert caught.value.hint


def test_many_servers_and_threads_do_not_mix_their_answers(echo):
    server = Server("the echo", echo.url, patience=Patience(seconds=10))
    answers = {}

    def ask(number):
        answers[number] = server.get(f"/{number}").body

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for act in itertools.chain((t.start for t in threads), (t.join for t in threads)):
        act()
    assert answers == {number: b"GET /%d " % number for number in range(20)}
