"""The two ways in which a JSON tree is written to be hashed: the lexical form, and the canonical form of RFC 8785.

Both: no white space, keys sorted, strings with the fewest escapes. The lexical form keeps every digit of a number;
RFC 8785 writes the nearest double as ECMAScript does.
"""

import re
from functools import lru_cache

import orjson

from medanchor.records.fhir_json import Json, Number

MAX_WHOLE = 2**53 - 1
"""Beyond it, different whole numbers are the same double."""

_MOST_ZEROS = 6
"""ECMAScript writes 0.000001 plainly, and 1e-7 with an exponent."""

_SHORT = 32
"""Longer numbers are not kept, so that nobody fills the memory with them."""

_WIDE = re.compile(rb'[\xf0-\xf4](?:[^"\\]++|\\.)*+"(:?)')
"""A character of four bytes and the rest of the string that it stands in; the group is there after a key."""


class OutOfDomainError(ValueError):
    """A number that has no double of its own."""


def lexical(tree: Json) -> bytes:
    """Return the lexical form of `tree`."""
    try:
        return orjson.dumps(tree, default=as_written, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # more than 254 levels
        return _written(tree, numbers_as_doubles=False)


def numeric(tree: Json, form: bytes) -> bytes | None:
    """Return the canonical form (RFC 8785) of `tree`, whose lexical form is `form`; None where it tells too little.

    That is so for numbers beyond 2^53 - 1, for those so small that they would become zero, and for keys with characters
    beyond the Basic Multilingual Plane: RFC 8785 sorts those by UTF-16 code unit, and FHIR has none.
    """
    if has_wide_keys(form):
        return None
    try:
        return orjson.dumps(tree, default=_double, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # from `_double`, or more than 254 levels
        if isinstance(error.__cause__, OutOfDomainError):
            return None
    try:
        return _written(tree, numbers_as_doubles=True)
    except OutOfDomainError:
        return None


def has_wide_keys(form: bytes) -> bool:
    """Say whether a key in the compact JSON `form` has a character beyond the Basic Multilingual Plane."""
    return not form.isascii() and any(found[1] for found in _WIDE.finditer(form))


def es6(plain: str) -> str:
    """Return how ECMAScript writes the double nearest to the decimal `plain` (RFC 8785, section 3.2.2.3).

    Raises OutOfDomainError.
    """
    value = float(plain)
    if abs(value) > MAX_WHOLE or (not value and plain.strip("-0.")):
        raise OutOfDomainError
    mantissa, _, places = repr(value).partition("e-")
    if not places:
        return mantissa.removesuffix(".0")
    if int(places) > _MOST_ZEROS:
        return f"{mantissa}e-{int(places)}"
    sign = "-" if value < 0 else ""
    return f"{sign}0.{'0' * (int(places) - 1)}{mantissa.removeprefix('-').replace('.', '')}"


def as_written(number: Number) -> orjson.Fragment:
    """Return `number` for orjson to write with every digit."""
    return orjson.Fragment(number.lexical)


def _double(number: Number) -> orjson.Fragment:
    return _short_double(number.lexical) if len(number.lexical) <= _SHORT else orjson.Fragment(es6(number.lexical))


@lru_cache(maxsize=4096)
def _short_double(plain: str) -> orjson.Fragment:
    """Return what `_double` does; an export has the same few numbers again and again."""
    return orjson.Fragment(es6(plain))


def _written(tree: Json, *, numbers_as_doubles: bool) -> bytes:
    """Return `tree` written without recursion: textbook code for what is nested deep."""
    done: list[bytes] = []
    todo: list[Json | bytes] = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, bytes):
            done.append(item)
        elif isinstance(item, Number):
            done.append((es6(item.lexical) if numbers_as_doubles else item.lexical).encode())
        elif isinstance(item, dict):
            members = [part for key in sorted(item) for part in (b",", orjson.dumps(key) + b":", item[key])]
            todo += [b"}", *reversed(members[1:]), b"{"]
        elif isinstance(item, list):
            elements = [part for element in item for part in (b",", element)]
            todo += [b"]", *reversed(elements[1:]), b"["]
        else:
            done.append(orjson.dumps(item))
    return b"".join(done)
