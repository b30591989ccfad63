"""The two ways in which a JSON tree is written to be hashed: the lexical form, and the canonical form of RFC 8785.

Both: no white space, keys sorted, strings with the fewest escapes. The lexical form keeps every digit of a number and
sorts keys by code point; RFC 8785 writes a number as the nearest double and sorts keys by UTF-16 code unit.
"""

import re
from collections.abc import Callable
from typing import Any

import orjson

from medanchor.records.fhir_json import Json, Number

MAX_WHOLE = 2**53 - 1
"""Beyond it, different whole numbers are the same double."""

NOT_BASIC = re.compile(rb"[\xf0-\xf4]")
"""A character beyond the Basic Multilingual Plane: by UTF-16 it stands before U+E000, by code point after U+FFFF."""

_MOST_ZEROS = 6
"""ECMAScript writes 0.000001 plainly, and 1e-7 with an exponent."""


class OutOfDomainError(ValueError):
    """A number that has no double of its own."""


def lexical(tree: Json) -> bytes:
    """Return the lexical form of `tree`."""
    try:
        return orjson.dumps(tree, default=_plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # more than 254 levels
        return _written(tree, lambda number: number.lexical, str)


def numeric(tree: Json, form: bytes) -> bytes | None:
    """Return the canonical form (RFC 8785) of `tree`, whose lexical form is `form`; None if a number is out of domain.

    Out of domain is what is beyond 2^53 - 1, and what is so small that it would become zero.
    """
    try:
        if not NOT_BASIC.search(form):
            return orjson.dumps(tree, default=_double, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # from `_double`, or more than 254 levels
        if isinstance(error.__cause__, OutOfDomainError):
            return None
    try:
        return _written(tree, lambda number: es6(number.lexical), _utf16)
    except OutOfDomainError:
        return None


def es6(plain: str) -> str:
    """Return how ECMAScript writes the double nearest to the decimal `plain` (RFC 8785, section 3.2.2.3).

    Raises OutOfDomainError.
    """
    digits = plain.removeprefix("-")
    if len(digits.partition(".")[0]) > len(str(MAX_WHOLE)):
        raise OutOfDomainError
    value = float(plain)
    if abs(value) > MAX_WHOLE or (not value and digits.strip("0.")):
        raise OutOfDomainError
    if value.is_integer():
        return str(int(value))
    mantissa, _, places = repr(value).partition("e-")
    if not places:
        return mantissa
    if int(places) > _MOST_ZEROS:
        return f"{mantissa}e-{int(places)}"
    sign = "-" if value < 0 else ""
    return f"{sign}0.{'0' * (int(places) - 1)}{mantissa.removeprefix('-').replace('.', '')}"


def _plain(number: Number) -> orjson.Fragment:
    return orjson.Fragment(number.lexical)


def _double(number: Number) -> orjson.Fragment:
    return orjson.Fragment(es6(number.lexical))


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _written(tree: Json, number: Callable[[Number], str], order: Callable[[str], Any]) -> bytes:
    """Return `tree` written without recursion: textbook code for what is nested deep or has rare keys."""
    done: list[bytes] = []
    todo: list[Json | bytes] = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, bytes):
            done.append(item)
        elif isinstance(item, Number):
            done.append(number(item).encode())
        elif isinstance(item, dict):
            members = [part for key in sorted(item, key=order) for part in (b",", orjson.dumps(key) + b":", item[key])]
            todo += [b"}", *reversed(members[1:]), b"{"]
        elif isinstance(item, list):
            elements = [part for element in item for part in (b",", element)]
            todo += [b"]", *reversed(elements[1:]), b"["]
        else:
            done.append(orjson.dumps(item))
    return b"".join(done)
