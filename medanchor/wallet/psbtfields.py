"""The bytes of a PSBT: maps of fields, in version 0 (BIP 174) or 2 (BIP 370). Pure; `psbt.py` says what they mean.

Only what decides about money is read: the transaction, and which coins it spends. All else is handed on as it came;
whoever signs or finishes the PSBT judges it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from bitcoin.core import CTransaction

from medanchor.core.hashes import HASH_LENGTH
from medanchor.core.transaction import parse_transaction
from medanchor.errors import MalformedProofError, WalletError

MAGIC = b"psbt\xff"
MOST = 4 << 20
"""Bytes of a PSBT: those of an anchoring transaction are about 500, and a spent one that comes along 400,000."""

UNSIGNED = b"\x00"
SPENT_TRANSACTION, SPENT_OUTPUT = b"\x00", b"\x01"

_TX_VERSION, _LOCK_TIME, _INPUTS, _OUTPUTS, _MODIFIABLE, _VERSION = b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\xfb"
_PREVIOUS, _INDEX, _SEQUENCE, _TIME_LOCK, _HEIGHT_LOCK = b"\x0e", b"\x0f", b"\x10", b"\x11", b"\x12"
_AMOUNT, _SCRIPT = b"\x03", b"\x04"

_ONLY_2 = (
    frozenset((_TX_VERSION, _LOCK_TIME, _INPUTS, _OUTPUTS, _MODIFIABLE)),
    frozenset((_PREVIOUS, _INDEX, _SEQUENCE, _TIME_LOCK, _HEIGHT_LOCK)),
    frozenset((_AMOUNT, _SCRIPT)),
)
"""What only version 2 may hold: of the whole, of an input, of an output (BIP 370, "Specification")."""

_BARE = (
    _ONLY_2[0] | {UNSIGNED, _VERSION},
    _ONLY_2[1] | {SPENT_TRANSACTION, SPENT_OUTPUT},
    _ONLY_2[2],
)
"""Types of fields read here; a key of theirs is the type and nothing more."""

Fields = Mapping[bytes, bytes]

_FILE = "is it the file that the signer wrote, and whole?"


def refuse(found: str, *, hint: str = _FILE) -> NoReturn:
    """Raise WalletError: the PSBT is none, for what was `found`."""
    raise WalletError(f"the PSBT cannot be read: {found}", hint=hint)


@dataclass(frozen=True, slots=True)
class Maps:
    """The fields of the whole, of each input and of each output, and which version they came in."""

    version: int
    whole: Fields
    inputs: list[Fields]
    outputs: list[Fields]

    def written(self, transaction: bytes) -> bytes:
        """Return the PSBT in version 0: `transaction`, its own, in one piece; all else as it was."""
        whole = {key: value for key, value in self.whole.items() if key not in (UNSIGNED, _VERSION)}
        rest = Maps(0, {UNSIGNED: transaction} | whole, self.inputs, self.outputs)
        return MAGIC + b"".join(_written(fields, only) for fields, only in rest.beside(_ONLY_2))

    def beside(self, of_kind: tuple[frozenset[bytes], ...]) -> Iterator[tuple[Fields, frozenset[bytes]]]:
        """Yield every map in order, beside what `of_kind` has for its kind: the whole, an input, an output."""
        for maps, each in zip(([self.whole], self.inputs, self.outputs), of_kind, strict=True):
            yield from ((fields, each) for fields in maps)

    def constructed(self) -> bytes:
        """Return the transaction that the fields of version 2 make (BIP 370), without a signature."""
        parts = [_field(self.whole, _TX_VERSION, 4), _field(self.whole, _INPUTS)]
        for fields in self.inputs:
            sequence = _number(fields, _SEQUENCE, default=0xFFFFFFFF).to_bytes(4, "little")
            parts += (_field(fields, _PREVIOUS, HASH_LENGTH), _field(fields, _INDEX, 4), b"\x00", sequence)
        parts.append(_field(self.whole, _OUTPUTS))
        parts += [_field(fields, _AMOUNT, 8) + _sized(_field(fields, _SCRIPT)) for fields in self.outputs]
        parts.append(_number(self.whole, _LOCK_TIME, default=0).to_bytes(4, "little"))
        return b"".join(parts)


def read_maps(data: bytes) -> Maps:
    """Return the maps that `data` (binary, with the magic before them) consists of, to its last byte.

    Raises WalletError: for another version than 0 and 2, a field that its version has not, a key that stands there
    twice or is none; and for inputs with lock times of their own, which an anchor's never have.
    """
    reader = _Reader(data, len(MAGIC))
    whole = reader.fields()
    version = _number(whole, _VERSION, default=0)
    if version not in (0, 2):
        refuse(f"expected version 0 or 2, found {version}")
    counts = (_count(whole, _INPUTS), _count(whole, _OUTPUTS)) if version else _counts(_field(whole, UNSIGNED))
    inputs, outputs = ([reader.fields() for _ in range(count)] for count in counts)
    reader.end()
    maps = Maps(version, whole, list(inputs), list(outputs))
    if any(len(key) > 1 and key[:1] in bare for fields, bare in maps.beside(_BARE) for key in fields):
        refuse("a key is longer than its type")
    if UNSIGNED in whole if version else any(fields.keys() & only for fields, only in maps.beside(_ONLY_2)):
        refuse(f"it is of version {version} and has a field of another")
    if any(fields.keys() & {_TIME_LOCK, _HEIGHT_LOCK} for fields in inputs):
        refuse("an input asks for a lock time", hint="an anchor's inputs never do: is it the file of another payment?")
    return maps


class _Reader:
    """Reads bytes from a place on, each of them once."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            refuse("it ends too early")
        self._at += count
        return taken

    def size(self) -> int:
        """Read a number in the shortest of Bitcoin's variable lengths."""
        first = self.take(1)[0]
        length, least = {0xFD: (2, 0xFD), 0xFE: (4, 1 << 16), 0xFF: (8, 1 << 32)}.get(first, (0, 0))
        number = int.from_bytes(self.take(length), "little") if length else first
        if number < least:
            refuse("a length is not in its shortest form")
        return number

    def fields(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        while length := self.size():
            key = self.take(length)
            if key in found:
                refuse("a key stands there twice")
            found[key] = self.take(self.size())
        return found

    def end(self) -> None:
        if self._at != len(self._data):
            refuse("something follows its end")


def _field(fields: Fields, key: bytes, length: int | None = None) -> bytes:
    """Return the field `key`, of `length` bytes where that is given."""
    if key not in fields:
        refuse(f"it has no field 0x{key.hex()} where one has to be")
    if length not in (None, len(fields[key])):
        refuse(f"expected {length} bytes in field 0x{key.hex()}, found {len(fields[key])}")
    return fields[key]


def _number(fields: Fields, key: bytes, *, default: int) -> int:
    """Return the field `key` as a number of four bytes, or `default` where there is none."""
    return int.from_bytes(_field(fields, key, 4), "little") if key in fields else default


def _count(whole: Fields, key: bytes) -> int:
    """Return how many maps version 2 says there are."""
    reader = _Reader(_field(whole, key))
    count = reader.size()
    reader.end()
    return count or refuse("its transaction has no input, or no output")


def _counts(unsigned: bytes) -> tuple[int, int]:
    """Return how many inputs and outputs the transaction of version 0 has, if it has no signature in it."""
    transaction = parsed(unsigned)
    if any(spend.scriptSig for spend in transaction.vin):
        refuse("its transaction is signed already")
    return len(transaction.vin), len(transaction.vout)


def parsed(transaction: bytes) -> CTransaction:
    """Return a transaction that is serialised without witness. Raises WalletError if the bytes are none."""
    try:
        return parse_transaction(transaction)
    except MalformedProofError as error:
        refuse(error.message)


def _written(fields: Fields, left_out: frozenset[bytes]) -> bytes:
    kept = (_sized(key) + _sized(value) for key, value in fields.items() if key not in left_out)
    return b"".join(kept) + b"\x00"


def _sized(data: bytes) -> bytes:
    """Return `data` after its length, in the shortest of Bitcoin's variable lengths."""
    length = len(data)
    for mark, width, below in ((b"", 1, 0xFD), (b"\xfd", 2, 1 << 16)):
        if length < below:
            return mark + length.to_bytes(width, "little") + data
    return b"\xfe" + length.to_bytes(4, "little") + data
