"""JSON that strangers send: read exactly, and no deeper than anybody needs."""

import json
from decimal import Decimal

MOST_DEEP = 64
"""Levels of nesting; a node's answers have six. Deeper ones would take Python's own stack to its end."""

_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def parse_json(data: bytes, *, strict: bool = True) -> object:
    """Return what `data` says, its fractions as Decimal; unless `strict`, NaN and the like are None.

    Raises ValueError or ArithmeticError if it is no JSON.
    """
    depth = 0
    for byte in data.translate(None, delete=_ALL_BUT_BRACKETS):
        depth = depth + 1 if byte in b"{[" else max(depth - 1, 0)
        if depth > MOST_DEEP:
            raise ValueError("nested too deeply")
    return json.loads(data, parse_float=Decimal, parse_constant=_refused if strict else _nothing)


def _refused(name: str) -> None:
    raise ValueError(name)


def _nothing(_name: str) -> None:
    return None
