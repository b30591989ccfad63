"""Strict JSON (RFC 8259) to a tree in which no number has lost a digit. What is not sound is refused, with its place.

The standard library's decoder reads nearly everything. What it or orjson refuses, and what is nested too deep for
recursion, is read once more by a textbook reader without recursion: that one is the definition, and it knows the place.
"""

import json
import re
from collections.abc import Callable
from typing import NoReturn, TypeAlias, Union

import orjson

from medanchor.errors import MalformedRecordError

MAX_DEPTH = 1000
MAX_EXPONENT = 400
MAX_ZEROS = 1 << 24
"""So many zeros may stand behind the exponents of one document: `1e400` is five bytes that mean 401."""

MAX_VALUES = 5_000_000
"""So many commas and opening brackets a document may have, in strings or not: each may be a value, of 200 bytes."""

MAX_TOKENS = 2_000_000
"""So many tokens are read by the textbook reader, which is slow; then the reason is told without the place."""

_SHORT = 15
"""So many characters, a sign among them, are exact in every number type."""

BOM = b"\xef\xbb\xbf"


class Number:
    """A number as its plain decimal form: no exponent, trailing zeros kept, no minus before zero.

    No dataclass, as orjson would write the fields of one and never ask us.
    """

    __slots__ = ("lexical",)

    def __init__(self, lexical: str) -> None:
        self.lexical = lexical


Json: TypeAlias = Union[dict[str, "Json"], list["Json"], str, bool, int, Number, None]  # noqa: UP007 - it names itself


class _RefusedError(ValueError):
    """A number or an object that JSON's grammar allows and we refuse."""


def parse(data: bytes) -> Json:
    """Return the tree of the JSON document `data`; keys stand in the order of the document.

    A leading byte order mark is passed over. Raises MalformedRecordError, with the byte offset, for what is no JSON,
    and for duplicate keys, NaN, lone surrogates, more than 1,000 levels and exponents beyond 400. Without a place: more
    than five million values; and more than 254 levels, and numbers beyond a double, in more than two million tokens.
    """
    check_values(data)
    start = len(BOM) if data.startswith(BOM) else 0
    try:
        text = str(memoryview(data)[start:], "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRecordError(f"it is not UTF-8 at byte {start + error.start}") from None
    try:
        return _decoded(text)
    except (ValueError, TypeError, RecursionError) as error:
        refused = str(error) if isinstance(error, _RefusedError) else "it is no JSON, or nested too deeply"
        return _Reader(text, start, refused).document()


def check_values(data: bytes) -> None:
    """Refuse a document of so many values that its tree would take gigabytes. Raises MalformedRecordError."""
    if len(data) > MAX_VALUES and sum(map(data.count, (b",", b"{", b"["))) > MAX_VALUES:
        raise MalformedRecordError(f"it has more than {MAX_VALUES:,} values")


def _decoded(text: str) -> Json:
    orjson.loads(text)  # refuses what is nested too deep for the decoder's recursion
    numbers = _Numbers()
    tree: Json = json.JSONDecoder(
        object_pairs_hook=_object, parse_float=numbers.read, parse_int=_whole, parse_constant=_constant
    ).decode(text)
    orjson.dumps(tree, default=_opaque)  # refuses lone surrogates, and 255 levels
    return tree


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RefusedError("a key is there twice in one object")
    return members


def _constant(_: str) -> NoReturn:
    raise _RefusedError("NaN and Infinity are no JSON numbers")


def _opaque(_: object) -> None:
    return None


class _Numbers:
    """Reads the numbers of one document."""

    def __init__(self) -> None:
        self._zeros = MAX_ZEROS

    def read(self, token: str) -> Number:
        """Return the number that `token` spells."""
        mantissa, _, exponent = token.replace("E", "e").partition("e")
        if not exponent:
            return Number(_unsigned_zero(mantissa))
        size = exponent.lstrip("+-0") or "0"
        if len(size) > len(str(MAX_EXPONENT)) or int(size) > MAX_EXPONENT:  # int() takes no text of any length
            raise _RefusedError(f"a number's exponent is beyond {MAX_EXPONENT}")
        self._zeros -= int(size)
        if self._zeros < 0:
            raise _RefusedError("the exponents of its numbers stand for too many zeros")
        shift = -int(size) if exponent[0] == "-" else int(size)
        return Number(_unsigned_zero(_shifted(mantissa, shift)))


def _whole(token: str) -> Number | int:
    """Return a whole number; a short one as what it is, which takes a tenth of the memory."""
    return int(token) if len(token) <= _SHORT else Number(_unsigned_zero(token))


def _unsigned_zero(plain: str) -> str:
    return plain[1:] if plain[0] == "-" and not plain.strip("-0.") else plain


def _shifted(mantissa: str, shift: int) -> str:
    """Return the plain decimal form of `mantissa` times ten to the power of `shift`; it keeps every digit it has."""
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    places = len(fraction) - shift
    digits = whole + fraction
    if places <= 0:
        return sign + ((digits + "0" * -places).lstrip("0") or "0")
    digits = digits.rjust(places + 1, "0")
    return f"{sign}{digits[:-places].lstrip('0') or '0'}.{digits[-places:]}"


_TOKEN = re.compile(
    r"[ \t\n\r]*+"
    r"([\[\]{},:]"
    r'|"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
    r"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
    r"|true|false|null|\Z)"
)
_NO_NUMBERS = re.compile(r"[ \t\n\r]*+-?(?:NaN|Infinity)")
_LITERALS: dict[str, Json] = {"true": True, "false": False, "null": None}


class _Reader:
    """The textbook reader: token after token, the open objects and arrays in a list."""

    def __init__(self, text: str, start: int, refused: str) -> None:
        self._text, self._start, self._refused = text, start, refused
        self._at = self._token_at = 0
        self._left = MAX_TOKENS
        self._numbers = _Numbers()
        self._open: list[dict[str, Json] | list[Json]] = []

    def document(self) -> Json:
        """Return the tree of the whole text."""
        root: list[Json] = []
        self._value(self._next(), root.append)
        while self._open:
            self._member(self._open[-1])
        if self._next():
            self._fail("expected the end of the document")
        return root[0]

    def _member(self, container: dict[str, Json] | list[Json]) -> None:
        """Read one member of the innermost open container, or its end."""
        token = self._next()
        if token == ("}" if isinstance(container, dict) else "]"):
            self._open.pop()
            return
        if container:
            self._expect(",", token, "a comma or the end of the object or array")
            token = self._next()
        if isinstance(container, list):
            self._value(token, container.append)
            return
        key = self._key(token, container)
        self._expect(":", self._next(), "a colon")
        self._value(self._next(), lambda value: container.__setitem__(key, value))

    def _expect(self, wanted: str, found: str, told: str) -> None:
        if found != wanted:
            self._fail(f"expected {told}")

    def _key(self, token: str, container: dict[str, Json]) -> str:
        if token[:1] != '"':
            self._fail("expected a key")
        key = self._string(token)
        if key in container:
            self._fail("a key is there twice in one object")
        return key

    def _value(self, token: str, put: Callable[[Json], None]) -> None:
        if token in {"{", "["}:
            if len(self._open) == MAX_DEPTH:
                self._fail(f"it is nested deeper than {MAX_DEPTH} levels")
            is_array = token == "["  # noqa: S105 - no password
            container: dict[str, Json] | list[Json] = [] if is_array else {}
            self._open.append(container)
            put(container)
        elif token in _LITERALS:
            put(_LITERALS[token])
        elif token[:1] == '"':
            put(self._string(token))
        elif token[:1].isdigit() or token[:1] == "-":
            put(self._number(token))
        else:
            self._fail("expected a value")

    def _string(self, token: str) -> str:
        try:
            return str(orjson.loads(token))
        except ValueError:  # the grammar is checked already
            self._fail("a string has half of a surrogate pair")

    def _number(self, token: str) -> Number | int:
        try:
            return _whole(token) if token.lstrip("-").isdigit() else self._numbers.read(token)
        except _RefusedError as error:
            self._fail(str(error))

    def _next(self) -> str:
        """Return the next token; nothing at the end of the text."""
        match = _TOKEN.match(self._text, self._at)
        self._left -= 1
        if self._left < 0:
            raise MalformedRecordError(self._refused)
        if not match:
            self._token_at = len(self._text) - len(self._text[self._at :].lstrip(" \t\n\r"))
            no_number = _NO_NUMBERS.match(self._text, self._at)
            self._fail("NaN and Infinity are no JSON numbers" if no_number else "it is no JSON from here on")
        self._token_at, self._at = match.start(1), match.end()
        return match[1]

    def _fail(self, what: str) -> NoReturn:
        offset = self._start + len(self._text[: self._token_at].encode())
        raise MalformedRecordError(f"{what}, at byte {offset}")
