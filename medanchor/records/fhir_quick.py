"""The quick way to read JSON: msgspec reads, orjson writes it anew; where that gives the same tokens, nothing was lost.

Neither is trusted to be strict. A key that was dropped, a digit, a sign or an escape that changed: each shows in what
is written, and then the exact way (`fhir_json`) decides. Wherever both ways can be gone, both give the same digests.
"""

import re
from functools import lru_cache

import msgspec
import orjson

from medanchor.records.fhir_form import as_written
from medanchor.records.fhir_json import Json, Number, check_values, parse

_DECIMAL = re.compile(r"(?!-0\.0++\Z)-?(?:0|[1-9][0-9]*+)\.[0-9]++")
"""A number with a point, without an exponent, and no negative zero; one without a point msgspec reads as an `int`."""

_DIGITS = 15
"""So many digits are exact in a double: ECMAScript writes them as they stand, but for zeros at the end."""

_LONGEST = 300
"""Decimals of more characters may be beyond a double, which the exact way refuses in long documents."""

_SHORT = 32
"""Longer numbers are not kept, so that nobody fills the memory with them."""

_SPACES = b" \t\r\n"


class Parser:
    """Parses documents, one after another; the decoder is made once."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(float_hook=self._number).decode
        self._canonical = True

    def parse(self, data: bytes) -> tuple[Json, bool]:
        """Return the tree of the JSON document `data`, and whether RFC 8785 is known to write its numbers as it does.

        The tree is for writing only: instead of a number of which that is known it may hold what orjson writes by
        itself. Raises MalformedRecordError as `fhir_json.parse` does.
        """
        check_values(data)
        return self.quick(data) or (parse(data), False)

    def quick(self, data: bytes) -> tuple[Json, bool] | None:
        """Return what `parse` does, the quick way; None where something would be lost.

        White space is left out of account; in strings it is kept. A TypeError is a whole number beyond 53 bits, or 255
        levels.
        """
        self._canonical = True
        try:
            tree = self._decode(data)
            form = orjson.dumps(tree, default=as_written, option=orjson.OPT_STRICT_INTEGER)
        except (ValueError, TypeError, RecursionError):
            return None
        if form != data and form.translate(None, _SPACES) != data.translate(None, _SPACES):
            return None
        return tree, self._canonical

    def _number(self, text: str) -> Number | orjson.Fragment:
        number = _read_short(text) if len(text) <= _SHORT else _read(text)
        if isinstance(number, Number):
            self._canonical = False
        return number


def _read(text: str) -> Number | orjson.Fragment:
    """Return the number that is spelled so, as what orjson writes by itself if RFC 8785 is known to write it so.

    Raises ValueError.
    """
    if len(text) > _LONGEST or not _DECIMAL.fullmatch(text):
        raise ValueError
    if text[-1] == "0" or len(text) > _DIGITS + 1 or ".00000" in text:
        return Number(text)
    return orjson.Fragment(text)


@lru_cache(maxsize=4096)
def _read_short(text: str) -> Number | orjson.Fragment:
    """Return what `_read` does; an export has the same few numbers again and again."""
    return _read(text)
