"""What an Esplora server is asked, and the form its answers must have; whether they are true is for `esplora.py`.

Source: https://github.com/Blockstream/esplora/blob/master/API.md, and electrs' rest.rs for what that page leaves open.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from medanchor.core.encoding import number, text
from medanchor.core.hashes import HASH_LENGTH, Hash, display, from_display, from_hex, sha256d
from medanchor.core.header import Header
from medanchor.core.transaction import strip_witness, txid
from medanchor.errors import ChainError, MalformedProofError, VerificationError
from medanchor.net.trees import parse_json

if TYPE_CHECKING:
    from medanchor.net.server import Answer, Patience, Server

T = TypeVar("T")

Coin = tuple[Hash, int]
"""An output of a transaction: that one's txid, and the output's number."""

LOWEST_RATE, HIGHEST_RATE = Decimal("0.001"), Decimal(100_000)
"""In sat/vB: what is not between them is no estimate. Bitcoin Core's own have three digits after the point."""

_MOST_TRANSACTION = 9_000_000  # in hex, of a whole block (4,000,000 bytes)
_MOST_WORDS = 200
_NOT_FOUND = 404
_OTHER = "is it an Esplora server? The address of one often ends in /api; or name another in config.toml"
_NOT_REFUSALS = {401, 403, _NOT_FOUND, 405, 413}
"""HTTP statuses of a server that did not ask its node about a transaction."""

_NAMED_TARGETS = {"fastestFee": 1, "halfHourFee": 3, "hourFee": 6, "economyFee": 144}
"""What mempool.space calls its estimates, and how many blocks they are for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server says that a transaction is: a block's height and hash."""

    height: int
    block: Hash


@dataclass(frozen=True, slots=True)
class Spender:
    """Which transaction a server says spends a coin, and whether it is in a block."""

    txid: Hash
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the node behind a server does not take a transaction: its words, and its error code where there is one."""

    words: str
    code: int | None


class EsploraApi:
    """The questions, each of them one request, or two where servers differ.

    Every one raises ChainError if there is no answer, or one of another form than it should have.
    """

    def __init__(self, server: "Server") -> None:
        self._server = server

    @property
    def name(self) -> str:
        """What people read: the kind of server, and its address."""
        return self._server.name

    @property
    def patience(self) -> "Patience":
        """How often it is asked again, and after what pause."""
        return self._server.patience

    def block_hash(self, height: int) -> Hash | None:
        """Return the hash of the best chain's block at `height`, or None if there is none."""
        return self._ask(f"/block-height/{height}", f"block {height}", _hash)

    def blocks(self, top: int | None = None) -> dict[int, bytes] | None:
        """Return the headers (80 bytes) of about ten blocks by height, from `top` or the newest one downwards.

        They are of one moment, and every one has the hash that the server says, and is said to stand below the one
        before it. None if there is no block at height `top`.
        """
        path, what = ("/blocks", "the newest blocks") if top is None else (f"/blocks/{top}", f"the blocks below {top}")
        return self._ask(path, what, lambda body: _headers(_json(body), top))

    def place(self, transaction: Hash) -> Place | None:
        """Return where the transaction of this id is, or None if it is in no block."""
        name = display(transaction)
        return self._ask(f"/tx/{name}/status", f"transaction {name}", lambda body: _place(_json(body)))

    def txids(self, block: Hash) -> list[Hash] | None:
        """Return the ids of a block's transactions in their order, or None if it is not known."""
        name = display(block)
        return self._ask(f"/block/{name}/txids", f"block {name}", lambda body: _txids(_json(body)))

    def transaction(self, wanted: Hash) -> bytes | None:
        """Return the transaction of this id, without its witness, or None if it is not known."""
        name = display(wanted)
        read = lambda body: _transaction(body.decode(), wanted)  # noqa: E731 - as elsewhere here
        return self._ask(f"/tx/{name}/hex", f"transaction {name}", read, most=_MOST_TRANSACTION)

    def spender(self, coin: Coin) -> Spender | None:
        """Return what spends `coin`, in a block or in the mempool; None if nothing does, or there is no such coin."""
        name = display(coin[0])
        return self._ask(f"/tx/{name}/outspend/{coin[1]}", f"output {coin[1]} of {name}", lambda b: _spender(_json(b)))

    def send(self, transaction: bytes, expected: Hash) -> Refusal | None:
        """Hand over a transaction whose id is `expected`; return why the node does not take it, None if it does."""
        answer = self._server.post("/tx", transaction.hex().encode(), headers={"Content-Type": "text/plain"})
        if answer.well:
            with self.believing("the transaction it took"):
                _same(_hash(answer.body), expected)
            return None
        if answer.status in _NOT_REFUSALS:
            raise self._no_answer(answer)
        return _refusal(answer.body.decode("utf-8", "replace"))

    def fee_rates(self) -> dict[int, Decimal]:
        """Return fee rates (sat/vB) by the number of blocks within which they get a transaction into one.

        mempool.space and its like answer the first question with HTTP 203 or not at all, and the others instead.
        Estimates that are none are left out.
        """
        for path in ("/fee-estimates", "/v1/fees/precise", "/v1/fees/recommended"):
            found = self._ask(path, "fee rates", lambda body: _rates(_json(body)))
            if found:
                return found
        return {}

    @contextmanager
    def believing(self, what: str) -> Iterator[None]:
        """Turn the refusal of what the server says about `what` into a ChainError that names both."""
        try:
            yield
        except VerificationError as error:
            detail = error.message
        except (ValueError, RecursionError):
            detail = "it cannot be read"
        else:
            return
        raise ChainError(f"what {self.name} says about {what} cannot be believed: {detail}", hint=_OTHER)

    def _ask(self, path: str, what: str, read: Callable[[bytes], T], **limits: int) -> T | None:
        """Return what `read` makes of the answer to GET `path`, or None for HTTP 404."""
        answer = self._server.get(path, **limits)
        if answer.status == _NOT_FOUND:
            return None
        if not answer.well:
            raise self._no_answer(answer)
        with self.believing(what):
            return read(answer.body)

    def _no_answer(self, answer: "Answer") -> ChainError:
        return ChainError(f"{self.name} does not answer the question (HTTP {answer.status})", hint=_OTHER)


def _hash(body: bytes) -> Hash:
    return from_display(body.decode().strip())


def _json(body: bytes) -> object:
    return parse_json(body, strict=False)


def _field(tree: object, name: str) -> object:
    """Return a member of a JSON object, which may have others beside it."""
    if not isinstance(tree, dict) or name not in tree:
        raise MalformedProofError(f"expected a JSON object with the member {name}")
    return tree[name]


def _items(tree: object) -> list[object]:
    if not isinstance(tree, list) or not tree:
        raise MalformedProofError("expected a list that is not empty")
    return tree


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise MalformedProofError("expected true or false")
    return value


def _headers(tree: object, top: int | None) -> dict[int, bytes]:
    """Return the headers in a list of blocks, highest first, by height."""
    found: dict[int, bytes] = {}
    height = number(_field(_items(tree)[0], "height")) if top is None else top
    for block in _items(tree):
        if number(_field(block, "height")) != height:
            raise MalformedProofError(f"expected block {height}, found another")
        header = _header(block)
        _same(sha256d(header), from_display(_field(block, "id")))
        if found and Header.parse(found[height + 1]).previous != sha256d(header):
            raise MalformedProofError(f"block {height + 1} does not follow block {height}")
        found[height] = header
        height -= 1
    return found


def _header(block: object) -> bytes:
    """Return the 80 bytes that the fields of a block make."""
    previous = _field(block, "previousblockhash")
    return b"".join(
        (
            _word(_field(block, "version")),
            bytes(HASH_LENGTH) if previous is None else from_display(previous),  # only the genesis block has none
            from_display(_field(block, "merkle_root")),
            *(_word(_field(block, name)) for name in ("timestamp", "bits", "nonce")),
        )
    )


def _word(value: object) -> bytes:
    """Return a number's four bytes in a header; a version is written with and without its sign."""
    if type(value) is not int or not -(1 << 31) <= value < 1 << 32:
        raise MalformedProofError("expected a whole number of 32 bits")
    return (value % (1 << 32)).to_bytes(4, "little")


def _place(tree: object) -> Place | None:
    if not _truth(_field(tree, "confirmed")):
        return None
    return Place(number(_field(tree, "block_height")), from_display(_field(tree, "block_hash")))


def _txids(tree: object) -> list[Hash]:
    return [from_display(item) for item in _items(tree)]


def _transaction(body: str, wanted: Hash) -> bytes:
    stripped = strip_witness(from_hex(body.strip()))
    _same(txid(stripped), wanted)
    return stripped


def _spender(tree: object) -> Spender | None:
    if not _truth(_field(tree, "spent")):
        return None
    confirmed = _truth(_field(_field(tree, "status"), "confirmed"))
    return Spender(from_display(_field(tree, "txid")), confirmed)


def _same(found: Hash, expected: Hash) -> None:
    if found != expected:
        raise MalformedProofError(f"expected one whose hash is {display(expected)}, found {display(found)}")


def _refusal(body: str) -> Refusal:
    """Return a refusal as electrs passes it on: `sendrawtransaction RPC error: {"code":-25,"message":"..."}`."""
    try:
        error = parse_json(body[body.index("{") :].encode())
        code = _field(error, "code")
        return Refusal(_words(text(_field(error, "message"))), code if isinstance(code, int) else None)
    except (ValueError, RecursionError, MalformedProofError):
        return Refusal(_words(body), None)


def _words(said: str) -> str:
    """Return what a server said as one short line without anything that a terminal obeys."""
    line = " ".join(re.sub(r"[^ -~]+", " ", said).split())
    return line[:_MOST_WORDS].rstrip(" .") or "it does not say why"


def _rates(tree: object) -> dict[int, Decimal]:
    """Return the estimates among the members of an object: servers put warnings beside them."""
    if not isinstance(tree, dict):
        raise MalformedProofError("expected a JSON object")
    rates = {_target(name): value for name, value in tree.items()}
    return {target: Decimal(value) for target, value in rates.items() if target and _is_rate(value)}


def _target(name: str) -> int:
    return int(name) if re.fullmatch("[0-9]{1,4}", name) else _NAMED_TARGETS.get(name, 0)


def _is_rate(value: object) -> bool:
    return type(value) in (int, Decimal) and LOWEST_RATE <= value < HIGHEST_RATE  # type: ignore[operator]  # numbers
