"""Bitcoin transactions without their witness: one canonical reading, the txid, the anchor output, BIP 34's height.

python-bitcoinlib does the parsing; what it would let pass is refused here, so that bytes and meaning are one to one.
"""

from functools import lru_cache

from bitcoin.core import CTransaction
from bitcoin.core.script import CScript, CScriptInvalidError
from bitcoin.core.serialize import SerializationError

from medanchor.core.commitment import PAYLOAD_LENGTH, PAYLOAD_MAGIC, anchor_script
from medanchor.core.hashes import Hash, sha256d
from medanchor.errors import MalformedProofError, Step, VerificationError

NODE_LENGTH = 64
"""Two hashes side by side: a transaction of this length could be an inner node of a block's tree in disguise."""

_PAYLOAD_START = len(anchor_script(b""))

_MAX_HEIGHT = 8
"""Bytes of a height: what a proof's own number can say. A longer push would be a number too long to print."""


@lru_cache(maxsize=256)
def parse_transaction(raw: bytes) -> CTransaction:
    """Return the transaction that `raw` is, exactly: without witness, no byte left over, over 64 bytes.

    Raises MalformedProofError at step 6.
    """
    try:
        transaction = CTransaction.deserialize(raw)
    except (SerializationError, ValueError, IndexError, OverflowError, MemoryError):
        raise MalformedProofError("the transaction cannot be read", step=Step.TRANSACTION) from None
    # Without inputs the bytes have two readings: Bitcoin Core takes the empty list for the marker of BIP 144.
    if transaction.has_witness() or not transaction.vin or transaction.serialize() != raw:
        raise MalformedProofError("expected a transaction in canonical form, without witness", step=Step.TRANSACTION)
    if len(raw) <= NODE_LENGTH:
        raise MalformedProofError(
            f"expected a transaction of more than 64 bytes, found {len(raw)}", step=Step.TRANSACTION
        )
    return transaction


def txid(raw: bytes) -> Hash:
    """Return the id of the transaction whose bytes without witness are `raw`, in hashing order."""
    return sha256d(raw)


def anchored_payload(raw: bytes) -> bytes:
    """Return the 36 bytes that the one anchor output of a transaction carries.

    The output is found by its script, wherever it stands: wallets shuffle outputs. Two of them could commit to two
    ledgers, so two are as wrong as none. Raises VerificationError at step 5, or at step 6 if `raw` is no transaction.
    """
    scripts = [bytes(output.scriptPubKey) for output in parse_transaction(raw).vout]
    payloads = [script[_PAYLOAD_START:] for script in scripts if _is_anchor(script)]
    if len(payloads) != 1:
        raise VerificationError(f"expected exactly one anchor output, found {len(payloads)}", step=Step.COMMITMENT)
    return payloads[0]


def coinbase_height(raw: bytes) -> int:
    """Return the height that a coinbase transaction's script begins with (BIP 34).

    Raises VerificationError at step 6 if `raw` is no coinbase, or names no height.
    """
    inputs = parse_transaction(raw).vin
    if len(inputs) != 1 or not inputs[0].prevout.is_null():
        raise VerificationError("expected the block's first transaction to be a coinbase", step=Step.TRANSACTION)
    height = _pushed_number(inputs[0].scriptSig)
    if height is None:
        raise VerificationError("the coinbase does not begin with a height (BIP 34)", step=Step.TRANSACTION)
    return height


def _is_anchor(script: bytes) -> bool:
    return len(script) == _PAYLOAD_START + PAYLOAD_LENGTH and script.startswith(anchor_script(PAYLOAD_MAGIC))


def _pushed_number(script: CScript) -> int | None:
    """Return the number that the first operation of `script` pushes in its shortest form, or None (BIP 34)."""
    try:
        first = next(iter(script), None)
    except CScriptInvalidError:
        return None
    height = int.from_bytes(first, "little") if isinstance(first, bytes) and len(first) <= _MAX_HEIGHT else first
    if type(height) is not int:  # an opcode is an int too, of a subclass: OP_DUP is no height of 118
        return None
    return height if bytes(script).startswith(bytes(CScript([height]))) else None


def strip_witness(raw: bytes) -> bytes:
    """Return the transaction in `raw` without its witness (BIP 144), as it is hashed to its txid.

    Raises MalformedProofError at step 6.
    """
    try:
        transaction = CTransaction.deserialize(raw)
    except (SerializationError, ValueError, IndexError, OverflowError, MemoryError):
        raise MalformedProofError("the transaction cannot be read", step=Step.TRANSACTION) from None
    fields = (transaction.vin, transaction.vout, transaction.nLockTime, transaction.nVersion)
    stripped: bytes = CTransaction(*fields).serialize()
    return stripped
