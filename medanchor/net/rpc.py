"""Bitcoin Core's JSON-RPC: calls, batches of calls in one request, and the cookie that lets this user ask.

What a node answers is read strictly, and judged by whoever asked: here it is only known to be an answer to the call.
Amounts come back as Decimal, never as float.

JSON-RPC 2.0 (Bitcoin Core 28 and later), and what earlier versions make of it: errors with HTTP 500 or 404.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import cast
from urllib.parse import quote

from medanchor.errors import ChainError
from medanchor.net.server import MOST, Answer, BusyError, Patience, Server
from medanchor.net.trees import parse_json

PORTS = {"mainnet": 8332, "testnet3": 18332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
"""Where a node listens unless it is told otherwise (Bitcoin Core, chainparamsbase.cpp), on 127.0.0.1."""

_FOLDERS = {"mainnet": ".", "testnet3": "testnet3", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
_MAX_COOKIE = 1_024
_MAX_TEXT = 300

METHOD_NOT_FOUND = -32601
WARMING_UP = -28
NOT_FOUND = -5
"""RPC_METHOD_NOT_FOUND, RPC_IN_WARMUP and RPC_INVALID_ADDRESS_OR_KEY of Bitcoin Core, rpc/protocol.h."""

_UNAUTHORISED, _FORBIDDEN = 401, 403


class RpcError(ChainError):
    """The node understood the call and answered with an error: its number, and its own words in one line."""

    def __init__(self, message: str, *, code: int, text: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.text = text


class Rpc:
    """A Bitcoin Core node at `url`, asked as the user whose password is in the URL, else by the cookie of the node.

    `cookie` is the file it is in, the usual one of `network` unless given. It is read when it is needed, and again
    whenever the node does not know what it said, as each start of a node makes another one. Neither is ever shown.
    A node is reached directly, whatever proxy the environment names. Raises UsageError for a URL that is none.
    """

    def __init__(self, url: str, network: str, *, cookie: Path | None = None, patience: Patience | None = None) -> None:
        self._server = Server("the Bitcoin Core node", url, local=True, patience=patience)
        self._by_cookie = not self._server.credentials
        self._cookie = cookie
        self._network = network
        self._ids = count(1)

    @property
    def name(self) -> str:
        """What sentences call the node: "the Bitcoin Core node at http://127.0.0.1:18443"."""
        return self._server.name

    def call(
        self, method: str, *params: object, wallet: str | None = None, again: bool = True, most: int = MOST
    ) -> object:
        """Return the result of a call, as JSON is read; `wallet` names which of the node's wallets is asked.

        A node that is busy or starting is asked again; without `again` it is asked once. Raises RpcError for an error
        that the node answers, ChainError if it cannot be asked, or answers something else.
        """
        request = self._request(method, params)
        path = "/" if wallet is None else f"/wallet/{quote(wallet, safe='')}"
        answer = self._send(path, request, most=most, again=again)
        result = self._result(method, self._member(answer, {request["id"]: 0})[1])
        if isinstance(result, RpcError):
            raise result
        return result

    def batch(self, calls: Sequence[tuple[str, tuple[object, ...]]], *, most: int = MOST) -> list[object]:
        """Return the results of `calls` (method, parameters), in that order, of one request; none for none.

        Where the node answers an error, that RpcError is in its place and is not raised. The node may change between
        two calls of a batch: it is one request, not one moment. Raises ChainError as `call` does.
        """
        if not calls:
            return []
        requests = [self._request(method, params) for method, params in calls]
        answers = self._send("/", requests, most=most)
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise self._wrong(f"expected {len(calls)} answers")
        places = {request["id"]: place for place, request in enumerate(requests)}
        placed = dict(self._member(answer, places) for answer in answers)
        if len(placed) != len(calls):
            raise self._wrong("expected an answer to each call")
        return [self._result(method, placed[place]) for place, (method, _) in enumerate(calls)]

    def _request(self, method: str, params: Sequence[object]) -> dict[str, object]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _send(self, path: str, tree: object, *, most: int, again: bool = True) -> object:
        """Return the JSON that the node answers; a node that is starting answers in its own good time."""
        body = _ENCODER.encode(tree).encode()
        return self._server.insist(lambda: self._once(path, body, most)) if again else self._once(path, body, most)

    def _once(self, path: str, body: bytes, most: int) -> object:
        answer = self._authorised(path, body, most)
        if answer.status == _FORBIDDEN:
            raise ChainError(f"{self.name} does not let this machine or this user ask that", hint=_ALLOW)
        tree = self._parse(answer)
        if any(_code(member) == WARMING_UP for member in (tree if isinstance(tree, list) else [tree])):
            raise BusyError(f"{self.name} is still starting", hint="wait until it has started, then try again")
        return tree

    def _authorised(self, path: str, body: bytes, most: int) -> Answer:
        """Return the node's answer to a user it knows. What was refused was not done, so it is asked again."""
        if self._by_cookie and not self._server.credentials:
            self._server.credentials = self._read_cookie()
        known = self._server.credentials
        answer = self._server.post(path, body, most=most, again=False)
        if answer.status == _UNAUTHORISED and self._by_cookie and (cookie := self._read_cookie()) != known:
            self._server.credentials = cookie
            answer = self._server.post(path, body, most=most, again=False)
        if answer.status == _UNAUTHORISED:
            raise ChainError(f"{self.name} does not accept the {self._means}", hint=_REFUSED)
        return answer

    @property
    def _means(self) -> str:
        return f"cookie in {self._cookie_file()}" if self._by_cookie else "user and password"

    def _cookie_file(self) -> Path:
        return self._cookie or Path("~/.bitcoin", _FOLDERS[self._network], ".cookie").expanduser()

    def _read_cookie(self) -> str:
        try:
            path = self._cookie_file()
            with path.open("rb") as file:
                cookie = file.read(_MAX_COOKIE).decode().strip()
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            reason = str(getattr(error, "strerror", None) or "it is no text").lower()
            raise ChainError(f"the cookie of {self.name} cannot be read: {reason}", hint=_COOKIE) from None
        if ":" not in cookie or not cookie.isprintable():
            raise ChainError(f"expected a cookie of {self.name} in {path}, found something else", hint=_COOKIE)
        return cookie

    def _parse(self, answer: Answer) -> object:
        try:
            return parse_json(answer.body)
        except (ValueError, ArithmeticError, RecursionError):
            pass
        if answer.status == _INTERNAL_ERROR:  # an older node that has too much to do
            raise BusyError(f"{self.name} is not able to answer (HTTP 500)", hint="try again later")
        raise self._wrong("it is not JSON, or it is cut short" if answer.well else f"HTTP {answer.status}")

    def _member(self, answer: object, places: Mapping[object, int]) -> tuple[int, Mapping[str, object]]:
        """Return which of the calls sent an answer belongs to, and the answer."""
        if not isinstance(answer, dict):
            raise self._wrong("expected a JSON object for each call")
        number = answer.get("id")
        if type(number) is not int or number not in places:
            self._refuse_unless_error(answer)
            raise self._wrong("it is not an answer to what was asked")
        return places[number], cast("Mapping[str, object]", answer)

    def _refuse_unless_error(self, answer: Mapping[str, object]) -> None:
        """Raise the error that a node answers without an id, as to a request that it could not read."""
        if answer.get("id") is None and isinstance(error := self._result("the request", answer), RpcError):
            raise error

    def _result(self, method: str, answer: Mapping[str, object]) -> object:
        """Return the result that an answer holds, or the RpcError."""
        error = answer.get("error")
        if error is None and "result" in answer:
            return answer["result"]
        code, text = _code(answer), error.get("message") if isinstance(error, dict) else None
        if code is None or not isinstance(text, str):
            raise self._wrong("expected a result or an error")
        said = _one_line(text)
        hint = _VERSION if code == METHOD_NOT_FOUND else _LOG
        return RpcError(f"{self.name} refuses {method}: {said} ({code})", code=code, text=said, hint=hint)

    def _wrong(self, what: str) -> ChainError:
        return ChainError(f"{self.name} gives an answer that is none of Bitcoin Core's: {what}", hint=_OTHER)


_INTERNAL_ERROR = 500
_ENCODER = json.JSONEncoder(default=lambda amount: f"{amount:f}", separators=(",", ":"))
"""It writes Decimals as strings, which Bitcoin Core takes for amounts too: a float would round them."""

_ALLOW = "allow it by rpcallowip or rpcwhitelist in the node's bitcoin.conf"
_REFUSED = "are user and password (or the cookie's path) in config.toml those of this node?"
_COOKIE = "is the node running, as this user? Name its cookie file, or user and password, in config.toml"
_OTHER = "is it a Bitcoin Core node, and the port that of its RPC? Mend its address in config.toml"
_VERSION = "is it Bitcoin Core 28 or later, with its wallet if a wallet is asked? Then try again"
_LOG = "look into the node's debug.log for more"


def _code(answer: object) -> int | None:
    """Return the number of the error that an answer holds, None if it holds none."""
    error = answer.get("error") if isinstance(answer, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if type(code) is int else None


def _one_line(text: str) -> str:
    """Return what a node says so that it fits in a sentence and does nothing to a terminal."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[:_MAX_TEXT])
    return " ".join(line.split()).rstrip(".")
