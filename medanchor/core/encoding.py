"""One encoding per value: canonical JSON, Base64 that re-encodes to itself, and members of the expected names only."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import cast

from medanchor.errors import MalformedProofError

MAX_NUMBER = (1 << 63) - 1

Fields = Mapping[str, object]


def canonical_json(tree: object) -> bytes:
    """Return `tree` as ASCII JSON with keys sorted and no white space."""
    return _CANONICAL.encode(tree).encode("ascii")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def members(value: object, *names: str, optional: Sequence[str] = ()) -> Fields:
    """Return `value` as a JSON object with exactly `names`, and maybe `optional`. Raises MalformedProofError."""
    if not isinstance(value, dict):
        raise MalformedProofError("expected a JSON object")
    if value.keys() != set(names) and not value.keys() ^ names <= set(optional):
        raise MalformedProofError(f"expected a JSON object with the members {', '.join(names)} and no others")
    return cast("Fields", value)


def text(value: object) -> str:
    """Return `value` as a string. Raises MalformedProofError."""
    if not isinstance(value, str):
        raise MalformedProofError("expected a string")
    return value


def number(value: object) -> int:
    """Return `value` as an integer from 0 to 2**63 - 1 (a bool is none). Raises MalformedProofError."""
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise MalformedProofError("expected a whole number from 0 to 2^63 - 1")
    return value


def from_base64(value: object, *, length: int | None = None) -> bytes:
    """Return the bytes that `value` spells in padded standard Base64, and only so. Raises MalformedProofError."""
    try:
        data = base64.b64decode(text(value), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedProofError("expected padded standard Base64") from None
    if to_base64(data) != value or length not in (None, len(data)):
        raise MalformedProofError("expected Base64 that re-encodes to itself, of the right length")
    return data


def to_base64(data: bytes) -> str:
    """Return `data` in padded standard Base64 (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")
