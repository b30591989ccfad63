"""Regtest blocks as bytes: transactions, Merkle tree, proof of work. Pure; nothing here judges them.

Whether a block is valid is Bitcoin Core's to say (`kernel.py`). Every output made here pays to P2WSH(OP_TRUE), which
anybody may spend: no key to keep, no signature to make, right for a chain whose coins are worth nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bitcoin.core import COIN, CMutableTxIn, CMutableTxOut, COutPoint, CTransaction, CTxInWitness, CTxWitness
from bitcoin.core.script import CScript, CScriptWitness
from bitcoin.core.serialize import SerializationError, VarIntSerializer

from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import HASH_LENGTH, Hash, sha256, sha256d
from medanchor.core.header import Header
from medanchor.core.proof import Branch
from medanchor.errors import ChainError

COINBASE_MATURITY = 100
"""How many blocks deep a coinbase must lie before it is spent (Bitcoin Core, consensus/consensus.h)."""

ANYONE_CAN_SPEND = b"\x51"  # OP_TRUE
OUTPUT_SCRIPT = b"\x00\x20" + sha256(ANYONE_CAN_SPEND)

_SUBSIDY = 50 * COIN
_HALVING_INTERVAL = 150
_BITS = 0x207FFFFF
_TARGET = 0x7FFFFF << 232
_BLOCK_VERSION = 0x20000000
_WITNESS_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"
_WITNESS_RESERVED = bytes(HASH_LENGTH)
_REPLACEABLE = 0xFFFFFFFD


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a block is to stand: on which block (its hash), at which height, at what time (seconds since 1970).

    `tag` (up to 75 bytes) goes into the coinbase, so that two empty blocks at one place and time differ.
    """

    previous: Hash
    height: int
    time: int
    tag: bytes = b""


def make_block(slot: Slot, transactions: Sequence[bytes] = ()) -> bytes:
    """Return a serialised regtest block at `slot` that holds a coinbase and `transactions`, its proof of work done.

    The coinbase claims the subsidy and leaves any fee unclaimed, which consensus allows. Raises ChainError if one of
    `transactions` is none.
    """
    parsed = [deserialised(raw) for raw in transactions]
    coinbase = _coinbase(slot, witness_hashes=[sha256d(raw) for raw in transactions])
    hashes = [id_of(transaction) for transaction in (coinbase, *parsed)]
    fields = (
        _BLOCK_VERSION.to_bytes(4, "little"),
        slot.previous,
        merkle_root(hashes),
        slot.time.to_bytes(4, "little"),
        _BITS.to_bytes(4, "little"),
    )
    header = _with_nonce(b"".join(fields))
    return b"".join((header, VarIntSerializer.serialize(1 + len(parsed)), coinbase.serialize(), *transactions))


def anchoring_transaction(coin: Hash, value: int, payload: bytes, *, height: int) -> bytes:
    """Return a serialised transaction that carries `payload` (36 bytes) and returns the coin of `value` satoshi.

    `coin` is the txid of the coinbase whose output 0 it spends. It pays no fee: the miner is this program itself. Its
    lock time is `height`, the tip's, as Bitcoin Core's wallet sets it against fee sniping; here it also says below
    which height nobody need look for it. Without its witness it has 141 bytes, far from the 64 of a forged Merkle
    node.
    """
    change = CMutableTxOut(value, CScript(OUTPUT_SCRIPT))
    anchor = CMutableTxOut(0, CScript(anchor_script(payload)))
    spend = CMutableTxIn(COutPoint(coin, 0), nSequence=_REPLACEABLE)
    return bytes(_transaction(spend, (change, anchor), height, witness=ANYONE_CAN_SPEND).serialize())


def deserialised(raw: bytes) -> CTransaction:
    """Return the transaction that `raw` is, with or without witness. Raises ChainError if it is none."""
    try:
        return CTransaction.deserialize(raw)
    except (SerializationError, ValueError) as error:
        raise ChainError("expected a serialised transaction, found something else") from error


def without_witness(transaction: CTransaction) -> bytes:
    """Return the bytes that a txid hashes: the transaction without its witness (BIP 144)."""
    return bytes(transaction.serialize(params={"include_witness": False}))


def first_possible_height(transaction: CTransaction) -> int:
    """Return the lowest height of a block that can hold `transaction`, as consensus enforces it: lock time + 1, or 0.

    A lock time binds only as a height (below 500,000,000), and only if an input is not final (BIP 113, BIP 125).
    """
    binding = any(not spend.is_final() for spend in transaction.vin)
    return transaction.nLockTime + 1 if binding and transaction.nLockTime < 500_000_000 else 0  # noqa: PLR2004 - then a time


def id_of(transaction: CTransaction) -> Hash:
    """Return the hash that names `transaction` in a block's Merkle tree, in hashing order."""
    return sha256d(without_witness(transaction))


def merkle_root(hashes: Sequence[Hash]) -> Hash:
    """Return the root that a block header commits to for transactions of `hashes`, of which there is at least one."""
    level = list(hashes)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def branch(hashes: Sequence[Hash], index: int) -> Branch:
    """Return the place of the transaction at `index` among a block's `hashes`: its siblings up to the root.

    The last node of an odd level is its own sibling, as in every Bitcoin block. `core.header.root_from_branch` climbs
    what this descends.
    """
    level, position, path = list(hashes), index, []
    while len(level) > 1:
        path.append(level[min(position ^ 1, len(level) - 1)])
        level, position = _parents(level), position >> 1
    return Branch(index=index, path=tuple(path))


def holds(header: Header, transactions: Sequence[bytes]) -> bool:
    """Return whether `header` commits to exactly `transactions`: their txids, and by the coinbase their witnesses too.

    The genesis block has no witness commitment, nor has any other block whose coinbase has no witness (BIP 141).
    """
    parsed = [deserialised(raw) for raw in transactions]
    if merkle_root([id_of(transaction) for transaction in parsed]) != header.merkle_root:
        return False
    if not parsed[0].has_witness():
        return len(parsed) == 1
    reserved = bytes(parsed[0].wit.vtxinwit[0].scriptWitness.stack[0])
    script = _commitment_script([sha256d(raw) for raw in transactions[1:]], reserved)
    return any(output.scriptPubKey == script for output in parsed[0].vout)


def _commitment_script(witness_hashes: Sequence[Hash], reserved: bytes) -> bytes:
    """Return the output script by which a coinbase commits to the wtxids of the transactions after it (BIP 141)."""
    root = merkle_root([Hash(bytes(HASH_LENGTH)), *witness_hashes])
    return _WITNESS_COMMITMENT + sha256d(root + reserved)


def _parents(level: Sequence[Hash]) -> list[Hash]:
    last = len(level) - 1
    return [sha256d(level[left] + level[min(left + 1, last)]) for left in range(0, len(level), 2)]


def _coinbase(slot: Slot, witness_hashes: Sequence[Hash]) -> CTransaction:
    """Return a block's first transaction: height (BIP 34), subsidy, and the commitment to all witnesses (BIP 141)."""
    script = CScript([slot.height, slot.tag])
    commitment = _commitment_script(witness_hashes, _WITNESS_RESERVED)
    outputs = (
        CMutableTxOut(_SUBSIDY >> (slot.height // _HALVING_INTERVAL), CScript(OUTPUT_SCRIPT)),
        CMutableTxOut(0, CScript(commitment)),
    )
    return _transaction(CMutableTxIn(COutPoint(), script), outputs, 0, witness=_WITNESS_RESERVED)


def _transaction(spend: CMutableTxIn, outputs: Sequence[CMutableTxOut], lock_time: int, witness: bytes) -> CTransaction:
    stack = CTxWitness((CTxInWitness(CScriptWitness([witness])),))
    return CTransaction((spend,), outputs, nLockTime=lock_time, nVersion=2, witness=stack)


def _with_nonce(header: bytes) -> bytes:
    """Return the 76 bytes of `header` with the first nonce that meets regtest's target: the second or so does."""
    for nonce in range(1 << 32):
        candidate = header + nonce.to_bytes(4, "little")
        if int.from_bytes(sha256d(candidate), "little") <= _TARGET:
            return candidate
    raise ChainError("found no proof of work for a block")  # one header in 2^(2^32) has none
