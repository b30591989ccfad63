"""One HTTP server that the user named: every answer bounded in size and in time, and nobody else is ever asked.

Whatever a server does (refuse, hang, drip a byte a second, answer without end, cut off, redirect), what comes back is
an answer that was read to its end, or a ChainError that names the server and says what to do.
"""

import base64
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from medanchor.errors import ChainError, UsageError
from medanchor.net.deadline import within

SECONDS = 30.0
"""For one answer, from the first byte sent to the last one read."""

CONNECT_SECONDS = 10.0

MOST = 4 << 20
"""Bytes in an answer unless a call expects more: a full block's transaction ids are a tenth of it."""

ATTEMPTS = 4
PAUSE = 0.5
"""Seconds before the second attempt; before each further one, twice as long."""

_PIECE = 1 << 16

_AGAIN = {408, 425, 429, 502, 503, 504}
"""What a server answers that is busy or starting: asking again later may do."""

_NO_CONTENT = 204
_SUCCESS = range(200, 300)
_REDIRECTS = range(300, 400)
_CLIENT_ERRORS_AND_500 = range(400, 501)
_JSON = {"Content-Type": "application/json"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that was read to its end: success, a client's error, or 500 (as Bitcoin Core reports errors)."""

    status: int
    body: bytes

    @property
    def well(self) -> bool:
        """Whether the server did as it was asked."""
        return self.status in _SUCCESS


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for: seconds for each answer, attempts, and the pause after the first of them."""

    seconds: float = SECONDS
    attempts: int = ATTEMPTS
    pause: float = PAUSE


class BusyError(ChainError):
    """No answer this time; another attempt may get one."""


class Server:
    """An HTTP server at `url`, called `name` in messages.

    User and password in the URL (percent-encoded) are sent to it and never shown; `credentials` ("user:password", none
    if empty) may be set to others at any time. `local` servers, as all on this machine, are reached directly, whatever
    proxy the environment names. Raises UsageError for a URL that is none.
    """

    def __init__(self, name: str, url: str, *, local: bool = False, patience: Patience | None = None) -> None:
        self.url, self.credentials = split_url(url)
        self.name = f"{name} at {self.url}"
        self.patience = patience or Patience()
        self._session = requests.Session()
        self._session.trust_env = not (local or _on_this_machine(self.url))
        self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True  # without `trust_env` nobody reads it
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # nobody follows us by them
        self._session.auth = self._authorise  # without one of ours, requests would look for a password in ~/.netrc

    def get(self, path: str, *, most: int = MOST) -> Answer:
        """Return the answer to GET `path`, of at most `most` bytes; asked again while the server is busy."""
        return self.insist(partial(self._ask, "GET", path, None, {}, most))

    def post(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = _JSON, most: int = MOST, again: bool = True
    ) -> Answer:
        """Return the answer to POST `body` to `path`; without `again` it is sent once, whatever comes of it."""
        ask = partial(self._ask, "POST", path, body, headers, most)
        return self.insist(ask) if again else ask()

    def insist(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; while it raises BusyError it is called again, with ever longer pauses."""
        for attempt in range(1, self.patience.attempts):
            try:
                return ask()
            except BusyError:
                time.sleep(self.patience.pause * 2 ** (attempt - 1))
        return ask()

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], most: int) -> Answer:
        seconds = self.patience.seconds
        try:
            answer = within(seconds, lambda: self._exchange(method, path, body, headers, most))
        except (requests.RequestException, HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        if answer.status in _REDIRECTS:
            raise ChainError(
                f"{self.name} points elsewhere (HTTP {answer.status}), and nobody is asked whom you did not name",
                hint="name the server it means in config.toml, if that is one you trust",
            )
        if answer.status in _AGAIN or not (answer.well or answer.status in _CLIENT_ERRORS_AND_500):
            raise BusyError(f"{self.name} is not able to answer (HTTP {answer.status})", hint="try again later")
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], most: int) -> Answer:
        seconds = self.patience.seconds
        with self._session.request(
            method,
            self.url + path,
            data=body,
            headers={"Accept-Encoding": "identity", **headers},  # compressed, a small answer can be an endless one
            timeout=(min(CONNECT_SECONDS, seconds), seconds),
            allow_redirects=False,
            stream=True,
        ) as response:
            if not _is_framed(response):
                raise _CutError
            return Answer(response.status_code, self._read(response, most, time.monotonic() + seconds))

    def _read(self, response: requests.Response, most: int, deadline: float) -> bytes:
        """Return the body, read until nothing more comes: only then does urllib3 miss what the server had announced."""
        data = bytearray()
        while piece := response.raw.read1(_PIECE, decode_content=False):
            data += piece
            if len(data) > most:
                raise ChainError(f"{self.name} answers with more than {most:,} bytes", hint=_OTHER)
            if time.monotonic() > deadline:
                raise TimeoutError
        return bytes(data)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return `request` with the credentials of this moment (RFC 7617), if there are any."""
        if self.credentials:
            request.headers["Authorization"] = "Basic " + base64.b64encode(self.credentials.encode()).decode("ascii")
        return request

    def _unreachable(self, error: Exception) -> ChainError:
        reason = _innermost(error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return ChainError(f"{self.name} does not prove who it is: {_words(reason)}", hint=_CERTIFICATE)
        if isinstance(error, TimeoutError | requests.Timeout):
            return BusyError(f"{self.name} did not answer within {self.patience.seconds:g} seconds", hint=_RUNNING)
        if isinstance(error, _NEVER):
            return ChainError(f"{self.name} cannot be asked: {_words(reason)}", hint="mend its address in config.toml")
        if type(error) is OSError:  # what requests raises itself
            return ChainError(f"{self.name} cannot be asked: {error}", hint="is the path in REQUESTS_CA_BUNDLE right?")
        return BusyError(f"{self.name} cannot be reached: {_words(reason)}", hint=_RUNNING)


_NEVER = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.InvalidHeader)
_REASONS = {
    "RemoteDisconnected": "it closes the connection without an answer",
    "IncompleteRead": "its answer is cut off",
    "InvalidChunkLength": "its answer is cut off",
    "InvalidURL": "it has no address that can be one",
    "LocationParseError": "it has no address that can be one",
}
"""What errors that have no words of their own mean."""

_RUNNING = "is it running, and is its address in config.toml right? Then try again"
_OTHER = "is it the server you mean? Name another in config.toml"
_CERTIFICATE = "is the address right? For a certificate of your own, name it in REQUESTS_CA_BUNDLE"


class _CutError(OSError):
    """The headers end without a word of how long the answer is: they were cut off, or it could be at any time."""

    strerror = "the answer is cut off"


def split_url(url: str) -> tuple[str, str]:
    """Return an HTTP URL without its credentials and without a slash at its end, and the credentials (user:password).

    Raises UsageError.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise UsageError("expected a server's address such as http://127.0.0.1:8332", hint="mend it in config.toml")
    credentials, _, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")), unquote(credentials)


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_framed(response: requests.Response) -> bool:
    """Say whether an answer tells where it ends (RFC 9112, section 6.3), so that half of it cannot pass for all."""
    chunked = response.headers.get("Transfer-Encoding", "").lower().endswith("chunked")
    return chunked or "Content-Length" in response.headers or response.status_code == _NO_CONTENT


def _innermost(error: BaseException) -> BaseException:
    """Return the error that began it all: those around it tell of Python objects."""
    while inner := error.__cause__ or error.__context__ or getattr(error, "reason", None):
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


def _words(error: BaseException) -> str:
    """Return the reason of an error in words."""
    told = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return told.lower() if told else _REASONS.get(type(error).__name__, "it does not answer as a web server does")
