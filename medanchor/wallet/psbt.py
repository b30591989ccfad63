"""What a partially signed transaction says: its transaction, and the coins it spends. Pure; nothing here signs.

Bitcoin Core up to version 31 and nearly every signer write version 0 (BIP 174); Bitcoin Core's newest writes version 2
(BIP 370) unless asked otherwise, in a way that an older one refuses. So both are read, and version 0 is handed on.
"""

import base64
import binascii
from dataclasses import dataclass

from bitcoin.core import CTxIn, CTxOut
from bitcoin.core.serialize import SerializationError

from medanchor.core.hashes import Hash
from medanchor.core.transaction import strip_witness, txid
from medanchor.errors import MalformedProofError, WalletError
from medanchor.wallet.psbtfields import (
    MAGIC,
    MOST,
    SPENT_OUTPUT,
    SPENT_TRANSACTION,
    UNSIGNED,
    Fields,
    parsed,
    read_maps,
    refuse,
)

MOST_SATOSHI = 21_000_000 * 100_000_000

_COIN = "ask the signer's software to keep what came with each input"


@dataclass(frozen=True, slots=True)
class Coin:
    """An output of a transaction: its value in satoshi, and its script."""

    value: int
    script: bytes

    @property
    def witness(self) -> bool:
        """Whether it is a witness program (BIP 141): spending it puts nothing into the bytes that a txid hashes."""
        version, length = self.script[:1], len(self.script) - 2
        known = bool(version) and (version[0] == 0 or 0x51 <= version[0] <= 0x60)  # noqa: PLR2004 - OP_1 to OP_16
        return known and 2 <= length <= 40 and self.script[1] == length  # noqa: PLR2004 - as BIP 141 has it


@dataclass(frozen=True, slots=True)
class Psbt:
    """A PSBT, read: `data` is it in version 0, `transaction` the unsigned one, `coins` what its inputs spend, in order.

    The values of coins are its author's word, but where the whole transaction that made one came along: that is hashed.
    A signature for a witness program commits to its coin's value, so a wrong one makes a transaction that nobody mines.
    """

    data: bytes
    transaction: bytes
    coins: tuple[Coin, ...]

    @property
    def fee(self) -> int:
        """What it pays to miners, in satoshi; negative if it spends more than it has."""
        return sum(coin.value for coin in self.coins) - sum(output.value for output in outputs_of(self.transaction))


def is_psbt(data: bytes) -> bool:
    """Say whether `data` begins as a PSBT does, in binary or in Base64."""
    return _binary(data).startswith(MAGIC)


def read_psbt(data: bytes) -> Psbt:
    """Return what the PSBT `data` (binary or Base64) says.

    Raises WalletError unless it is one, to the last byte, of a transaction with inputs, each of which tells its coin.
    """
    raw = _binary(data)
    if not raw.startswith(MAGIC):
        raise WalletError("expected a PSBT (BIP 174), found something else", hint="is it the file the signer wrote?")
    if len(raw) > MOST:
        refuse(f"expected at most {MOST:,} bytes, found {len(raw):,}")
    maps = read_maps(raw)
    transaction = maps.constructed() if maps.version else maps.whole[UNSIGNED]
    coins = tuple(_coin(spend, fields) for spend, fields in zip(parsed(transaction).vin, maps.inputs, strict=True))
    return Psbt(maps.written(transaction), transaction, coins)


def unsigned_transaction(psbt: bytes) -> bytes:
    """Return the transaction (serialised, without witness) that a PSBT is to become. Raises WalletError."""
    return read_psbt(psbt).transaction


def fee(psbt: bytes) -> int:
    """Return what a PSBT pays to miners, in satoshi, by the coins it tells. Raises WalletError."""
    return read_psbt(psbt).fee


def outputs_of(transaction: bytes) -> list[Coin]:
    """Return the outputs of a transaction (serialised, without witness). Raises WalletError if it is none."""
    return [Coin(output.nValue, bytes(output.scriptPubKey)) for output in parsed(transaction).vout]


def spent_by(transaction: bytes) -> list[tuple[Hash, int]]:
    """Return the txid (in hashing order) and the index of every output that a transaction spends, in order.

    It is serialised, without witness. Raises WalletError if it is none.
    """
    return [(Hash(bytes(spend.prevout.hash)), spend.prevout.n) for spend in parsed(transaction).vin]


def _binary(data: bytes) -> bytes:
    """Return a PSBT's binary form, if `data` is its Base64 one; else `data` itself."""
    if data.startswith(MAGIC):
        return data
    try:
        return base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        return data


def _coin(spend: CTxIn, fields: Fields) -> Coin:
    """Return the coin that the input `spend` takes, as its `fields` tell it."""
    told = [_from_transaction(spend, fields[SPENT_TRANSACTION])] if SPENT_TRANSACTION in fields else []
    told += [_from_output(fields[SPENT_OUTPUT])] if SPENT_OUTPUT in fields else []
    if not told:
        refuse("it does not say what an input spends", hint=_COIN)
    if told[0] != told[-1]:
        refuse("it says two things about what an input spends", hint=_COIN)
    if not 0 <= told[0].value <= MOST_SATOSHI:
        refuse("a coin in it is worth more than all there are")
    return told[0]


def _from_transaction(spend: CTxIn, raw: bytes) -> Coin:
    """Return the coin from the whole transaction that made it, which the input names by its hash."""
    try:
        stripped = strip_witness(raw)
    except MalformedProofError as error:
        refuse(error.message)
    outputs = outputs_of(stripped)
    if txid(stripped) != spend.prevout.hash or spend.prevout.n >= len(outputs):
        refuse("an input comes with a transaction that it does not spend", hint=_COIN)
    return outputs[int(spend.prevout.n)]


def _from_output(raw: bytes) -> Coin:
    try:
        output = CTxOut.deserialize(raw)
    except (SerializationError, ValueError, OverflowError, MemoryError):
        refuse("what an input spends is no output", hint=_COIN)
    return Coin(output.nValue, bytes(output.scriptPubKey))
