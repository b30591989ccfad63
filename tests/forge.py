"""A whole proof made from nothing: its own record, key, ledger and regtest block, each stage open to change.

A forger can recompute whatever comes before the damage: trees, signature, commitment, work. So can build_proof().
Written from docs/format.md alone, without the package under test: both must agree on the bytes.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Change = Callable[[Any], Any]

RECORD = b"a synthetic record\n"  # what every proof of build_proof() is about
ORIGIN = "records.hospital.example/ward-7"
TYPE = "application/vnd.in-toto+json"
EASY = 0x207FFFFF  # nBits: the least work on regtest
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2))
PAY = (1_000).to_bytes(8, "little") + b"\x22\x00\x20" + bytes(32)  # an output to P2WSH


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def double_sha256(data: bytes) -> bytes:
    return sha256(sha256(data))


def canonical(tree: Any) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def written(tree: Any) -> bytes:
    return canonical(tree) + b"\n"


def root_of(leaves: list[bytes]) -> bytes:
    """The textbook recursion of RFC 9162, 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root_of(leaves[:left]) + root_of(leaves[left:]))


def path_of(index: int, leaves: list[bytes]) -> list[bytes]:
    """The textbook recursion of RFC 9162, 2.1.3.1."""
    if len(leaves) == 1:
        return []
    left = 1 << (len(leaves) - 1).bit_length() - 1
    if index < left:
        return [*path_of(index, leaves[:left]), root_of(leaves[left:])]
    return [*path_of(index - left, leaves[left:]), root_of(leaves[:left])]


def grow(leaf: bytes, index: int, size: int) -> tuple[bytes, dict[str, Any]]:
    leaves = [sha256(b"neighbour %d" % each) for each in range(size)]
    leaves[index] = sha256(b"\0" + leaf)
    path = [node.hex() for node in path_of(index, leaves)]
    return root_of(leaves), {"index": index, "path": path, "size": size}


def climb_block(txids: list[bytes], index: int) -> tuple[bytes, list[str]]:
    path = []
    while len(txids) > 1:
        txids = txids + txids[-1:] * (len(txids) % 2)
        path.append(txids[index ^ 1].hex())
        txids = [double_sha256(left + right) for left, right in zip(txids[::2], txids[1::2], strict=True)]
        index >>= 1
    return txids[0], path


def spend(*outputs: bytes, outpoint: bytes = bytes([7]) * 36, script: bytes = b"") -> bytes:
    counted = bytes([len(script)]) + script
    return b"\2\0\0\0\1" + outpoint + counted + b"\xff" * 4 + bytes([len(outputs)]) + b"".join(outputs) + bytes(4)


def coinbase(script: bytes, *outputs: bytes) -> bytes:
    return spend(*(outputs or (PAY,)), outpoint=bytes(32) + b"\xff" * 4, script=script)


def output(script: bytes) -> bytes:
    return bytes(8) + bytes([len(script)]) + script


def meets(header: bytes) -> bool:
    exponent, mantissa = header[75], int.from_bytes(header[72:75], "little")
    return int.from_bytes(double_sha256(header), "little") <= mantissa << 8 * exponent >> 24


def mine(before: bytes, root: bytes, bits: int = EASY, *, works: bool = True) -> bytes:
    """A header whose work meets `bits`, or, if `works` is false, misses it."""
    head = b"\4\0\0\0" + before + root + (1_700_000_000).to_bytes(4, "little") + bits.to_bytes(4, "little")
    return next(h for nonce in range(1 << 20) if meets(h := head + nonce.to_bytes(4, "little")) is works)


def follow(header: bytes, count: int) -> list[bytes]:
    chain = [header]
    for number in range(count):
        chain.append(mine(double_sha256(chain[-1]), sha256(b"block %d" % number)))
    return chain[1:]


def build_proof(**changes: Change) -> bytes:
    """A fresh proof of RECORD; `changes` maps the name of a stage to what is done to its value then."""

    def stage(name: str, value: Any) -> Any:
        return changes.get(name, lambda same: same)(value)

    record = {"components": [], "kind": 0, "raw": sha256(RECORD).hex(), "salt": "5a" * 16}
    record = stage("record", record)
    entry = bytes([record["kind"]]) + bytes.fromhex(record["salt"] + record["raw"] + "".join(record["components"]))
    root, bundle = grow(entry, 5, 13)
    envelope, key = stage_statement(stage, root.hex())
    ledger_root, ledger = grow(envelope, 5, 9)
    commitment = {"origin": ORIGIN.encode(), "size": 9, "root": ledger_root, "tag": b"\2"}
    anchor = stage_anchor(stage, stage("commitment", commitment))
    proof = {
        "anchor": anchor,
        "bundle": stage("bundle", bundle),
        "ledger": stage("ledger", {**ledger, "origin": ORIGIN}),
        "record": record,
        "signer": {"key": base64.b64encode(key).decode()},
        "statement": base64.b64encode(envelope).decode(),
        "version": 1,
    }
    return written(stage("proof", proof))


def stage_statement(stage: Callable[[str, Any], Any], root: str) -> tuple[bytes, bytes]:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicate": {"ledger": ORIGIN, "meaning": "authorship", "records": 13, "time": "2026-11-21T18:04:05Z"},
        "predicateType": "urn:medanchor:stamp:v1",
        "subject": [{"digest": {"rfc9162Sha256": root}, "name": "records"}],
    }
    payload = stage("payload", canonical(stage("statement", statement)))
    signer = stage("signer", KEY)
    key = stage("key", signer.public_key().public_bytes_raw())
    signed = stage("signed", b"DSSEv1 %d %b %d %b" % (len(TYPE), TYPE.encode(), len(payload), payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": TYPE,
        "records": root,
        "signatures": [
            {"keyid": sha256(key).hex(), "sig": base64.b64encode(stage("signature", signer.sign(signed))).decode()}
        ],
    }
    return stage("written_envelope", canonical(stage("envelope", envelope))), key


def stage_anchor(stage: Callable[[str, Any], Any], head: dict[str, Any]) -> dict[str, Any]:
    digest = sha256(head["tag"] + sha256(head["origin"]) + head["size"].to_bytes(8) + head["root"])
    outputs = stage("outputs", [PAY, output(b"\x6a\x24MDA1" + digest)])
    transaction = stage("transaction", spend(*outputs))
    first = stage("coinbase", coinbase(b"\x01\x7b\x00"))
    block = stage("block", [first, spend(PAY), transaction])  # three: the anchor is the odd one, doubled in the tree
    txids = [double_sha256(each) for each in block]
    root, path = climb_block(txids, len(txids) - 1)
    header = stage("header", mine(sha256(b"the block before"), root))
    anchor = {
        "block": {"header": header.hex(), "height": 123, "successors": [h.hex() for h in follow(header, 2)]},
        "branch": {"index": len(txids) - 1, "path": path},
        "coinbase": {"path": climb_block(txids, 0)[1], "transaction": first.hex()},
        "network": "regtest",
        "transaction": transaction.hex(),
    }
    return stage("anchor", anchor)
