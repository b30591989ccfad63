"""PSBTs made and signed for tests, by another hand than the code under test: version 0 and version 2, P2WPKH keys."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from bitcoin.core import CTransaction, CTxInWitness, CTxWitness
from bitcoin.core.script import (
    OP_CHECKSIG,
    OP_DUP,
    OP_EQUALVERIFY,
    OP_HASH160,
    SIGHASH_ALL,
    SIGVERSION_WITNESS_V0,
    CScript,
    CScriptWitness,
    SignatureHash,
)
from bitcoin.core.serialize import Hash160, VarIntSerializer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MAGIC = b"psbt\xff"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of the group of secp256k1 (SEC 2)."""

Map = dict[bytes, bytes]


class Key:
    """A private key made of `seed`, and the P2WPKH script that it may spend."""

    def __init__(self, seed: str) -> None:
        secret = int.from_bytes(hashlib.sha256(seed.encode()).digest()) % (ORDER - 1) + 1
        self._key = ec.derive_private_key(secret, ec.SECP256K1())
        self.public = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.hash = Hash160(self.public)
        self.script = b"\x00\x14" + self.hash

    def sign(self, transaction: CTransaction, number: int, value: int) -> bytes:
        """Return a signature for an input that spends a coin of this key worth `value` satoshi (BIP 143)."""
        code = CScript([OP_DUP, OP_HASH160, self.hash, OP_EQUALVERIFY, OP_CHECKSIG])
        digest = SignatureHash(code, transaction, number, SIGHASH_ALL, value, SIGVERSION_WITNESS_V0)
        r, s = decode_dss_signature(self._key.sign(digest, ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)))
        return encode_dss_signature(r, min(s, ORDER - s)) + bytes([SIGHASH_ALL])


@dataclass
class Raw:
    """The maps of a PSBT, as they stand."""

    whole: Map
    inputs: list[Map] = field(default_factory=list)
    outputs: list[Map] = field(default_factory=list)

    def written(self) -> bytes:
        return MAGIC + b"".join(
            b"".join(sized(key) + sized(value) for key, value in fields.items()) + b"\x00"
            for fields in (self.whole, *self.inputs, *self.outputs)
        )


def sized(data: bytes) -> bytes:
    return VarIntSerializer.serialize(len(data)) + data


def version_0(transaction: CTransaction, spent: Sequence[tuple[int, bytes]], made_by: Sequence[bytes] = ()) -> Raw:
    """The PSBT of an unsigned transaction that spends `spent` (value, script), made by the transactions `made_by`."""
    inputs = [{b"\x01": output(value, script)} for value, script in spent]
    for fields, raw in zip(inputs, made_by, strict=False):
        fields[b"\x00"] = raw
    return Raw({b"\x00": transaction.serialize()}, inputs, [{} for _ in transaction.vout])


def version_2(psbt: Raw) -> Raw:
    """The same in version 2 (BIP 370)."""
    transaction = CTransaction.deserialize(psbt.whole[b"\x00"])
    whole = {
        b"\x02": transaction.nVersion.to_bytes(4, "little"),
        b"\x03": transaction.nLockTime.to_bytes(4, "little"),
        b"\x04": VarIntSerializer.serialize(len(transaction.vin)),
        b"\x05": VarIntSerializer.serialize(len(transaction.vout)),
        b"\xfb": (2).to_bytes(4, "little"),
    }
    inputs = [
        {
            b"\x0e": spend.prevout.hash,
            b"\x0f": spend.prevout.n.to_bytes(4, "little"),
            b"\x10": spend.nSequence.to_bytes(4, "little"),
        }
        for spend in transaction.vin
    ]
    outputs = [
        {b"\x03": paid.nValue.to_bytes(8, "little"), b"\x04": bytes(paid.scriptPubKey)} for paid in transaction.vout
    ]
    return Raw(
        {key: value for key, value in psbt.whole.items() if key != b"\x00"} | whole,
        [fields | more for fields, more in zip(psbt.inputs, inputs, strict=True)],
        [fields | more for fields, more in zip(psbt.outputs, outputs, strict=True)],
    )


def read(data: bytes) -> Raw:
    """The maps of a PSBT of version 0. Raises ValueError, IndexError or bitcoin.core's errors if it is none."""
    if not data.startswith(MAGIC):
        raise ValueError("no PSBT")
    at = len(MAGIC)

    def size() -> int:
        nonlocal at
        first = data[at]
        width = {0xFD: 2, 0xFE: 4, 0xFF: 8}.get(first, 0)
        number = int.from_bytes(data[at + 1 : at + 1 + width], "little") if width else first
        at += 1 + width
        return number

    def fields() -> Map:
        nonlocal at
        found = {}
        while length := size():
            key = data[at : at + length]
            at += length
            length = size()
            found[key] = data[at : at + length]
            at += length
        return found

    whole = fields()
    transaction = CTransaction.deserialize(whole[b"\x00"])
    return Raw(whole, [fields() for _ in transaction.vin], [fields() for _ in transaction.vout])


def output(value: int, script: bytes) -> bytes:
    return value.to_bytes(8, "little") + sized(script)


def witness(*stack: bytes) -> bytes:
    """A witness as it stands in a transaction and in a PSBT's final field."""
    return VarIntSerializer.serialize(len(stack)) + b"".join(map(sized, stack))


def complete(transaction: CTransaction, stacks: Sequence[Sequence[bytes]]) -> bytes:
    """An unsigned transaction with its witnesses, serialised."""
    wit = CTxWitness(tuple(CTxInWitness(CScriptWitness(list(stack))) for stack in stacks))
    fields = (transaction.vin, transaction.vout, transaction.nLockTime, transaction.nVersion)
    raw: bytes = CTransaction(*fields, witness=wit).serialize()
    return raw
