"""Proofs damaged on purpose, each named after the damage, with the number of the step that must refuse it.

`damaged(data)` edits a finished proof and recomputes nothing: what an accident or a clumsy forger does.
`forged()` builds whole proofs in which all that comes before the damage is recomputed, signed and mined again.
A transaction that cannot be read fails at step 6, whose business it is, although step 5 is the first to look into it.
"""

import base64
import copy
import json
import re
from typing import Any

from forge import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    PAY,
    Change,
    build_proof,
    coinbase,
    double_sha256,
    follow,
    mine,
    output,
    sha256,
    spend,
    written,
)

Damaged = dict[str, tuple[bytes, int]]

FORMAT, RECORD, BUNDLE, STATEMENT, LEDGER, COMMITMENT, TRANSACTION, HEADER = range(8)
TOO_EASY = 0x2100FFFF  # nBits of less work than regtest asks for
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def alter(where: str, do: Change) -> Change:
    """A change of one member of a JSON tree, named by its path; the tree it is given stays as it was."""
    *parents, last = [int(name) if name.isdigit() else name for name in where.split(".")]

    def change(tree: Any) -> Any:
        changed = node = copy.deepcopy(tree)
        for name in parents:
            node = node[name]
        node[last] = do(node[last])
        return changed

    return change


def become(value: Any) -> Change:
    return lambda _: value


def flip(text: str) -> str:
    """Hex with its first digit changed."""
    return ("1" if text[0] == "0" else "0") + text[1:]


def without(name: str) -> Change:
    return lambda tree: {each: tree[each] for each in tree if each != name}


def longer(path: list[str]) -> list[str]:
    return [*path, "11" * 32]


def damaged(data: bytes) -> Damaged:
    """Variants of any finished, anchored proof; nothing is recomputed."""
    tree = json.loads(data)
    variants = {name: (text, FORMAT) for name, text in rewritten(data).items()}
    return variants | {name: (written(edit(tree)), step) for name, (edit, step) in EDITS.items()}


def forged() -> Damaged:
    """Variants of build_proof(), about forge.RECORD; all that comes before the damage is recomputed."""
    return {name: (build_proof(**changes), step) for name, (changes, step) in FORGERIES.items()}


def rewritten(data: bytes) -> dict[str, bytes]:
    """The same proof in every spelling but its own."""
    tree = json.loads(data)
    spaced, indented = json.dumps(tree, sort_keys=True), json.dumps(tree, sort_keys=True, indent=1)
    unsorted = json.dumps(dict(reversed(tree.items())), separators=(",", ":"))
    bundle, ledger, record = (f'"{name}":'.encode() for name in ("bundle", "ledger", "record"))
    return {
        "empty-file": b"",
        "half-a-file": data[: len(data) // 2],
        "trailing-newline-missing": data[:-1],
        "trailing-newline-twice": data + b"\n",
        "carriage-return": data[:-1] + b"\r\n",
        "byte-order-mark": b"\xef\xbb\xbf" + data,
        "utf-16": data.decode().encode("utf-16"),
        "not-json": b"%PDF-1.7\n" + data,
        "spaced": spaced.encode() + b"\n",
        "indented": indented.encode() + b"\n",
        "keys-unsorted": unsorted.encode() + b"\n",
        "duplicate-member": data.replace(b',"version":1}', b',"version":1,"version":1}'),
        "nested-too-deep": b"[" * 100_000 + b"]" * 100_000 + b"\n",
        "larger-than-1-mib": data + b" " * (1 << 20),
        "nan": data.replace(b'"version":1', b'"version":NaN'),
        "infinity": re.sub(rb'"size":\d+', b'"size":Infinity', data),
        "number-with-fraction": data.replace(b'"version":1', b'"version":1.0'),
        "number-with-leading-zero": re.sub(rb'"index":', b'"index":0', data, count=1),
        "number-negative": re.sub(rb'"index":\d+', b'"index":-1', data),
        "number-of-5000-digits": re.sub(rb'"index":\d+', b'"index":' + b"9" * 5000, data),
        "number-over-8-bytes": re.sub(rb'"size":\d+', b'"size":18446744073709551616', data),
        "uppercase-hex": data.replace(b"ffffffff", b"FFFFFFFF"),
        "escaped-letter": data.replace(b"regtest", rb"\u0072egtest"),
        "another-file-format": data.replace(bundle, b'"batch":').replace(ledger, b'"log":').replace(record, b'"file":'),
    }


EDITS: dict[str, tuple[Change, int]] = {
    "top-is-a-list": (lambda whole: [whole], FORMAT),
    "member-missing": (without("signer"), FORMAT),
    "member-unknown": (lambda whole: {**whole, "security": 0}, FORMAT),
    "algorithm-named": (alter("record", lambda member: {**member, "algorithm": "md5"}), FORMAT),
    "version-2": (alter("version", become(2)), FORMAT),
    "version-true": (alter("version", become(True)), FORMAT),
    "kind-unknown": (alter("record.kind", become(5)), FORMAT),
    "kind-without-its-components": (alter("record.kind", become(1)), FORMAT),
    "components-too-many": (alter("record.components", become(["00" * 32])), FORMAT),
    "salt-one-byte-short": (alter("record.salt", lambda salt: salt[2:]), FORMAT),
    "salt-with-spaces": (alter("record.salt", lambda salt: salt[:2] + " " + salt[3:]), FORMAT),
    "raw-is-null": (alter("record.raw", become(None)), FORMAT),
    "hash-one-digit-short": (alter("record.raw", lambda raw: raw[1:]), FORMAT),
    "path-of-65-hashes": (alter("bundle.path", become(["00" * 32] * 65)), FORMAT),
    "path-is-an-object": (alter("ledger.path", become({})), FORMAT),
    "key-one-byte-short": (alter("signer.key", become(base64.b64encode(bytes(31)).decode())), FORMAT),
    "base64-unpadded": (alter("signer.key", lambda key: key.rstrip("=")), FORMAT),
    "base64-with-leftover-bits": (alter("signer.key", lambda key: key[:-2] + "B="), FORMAT),
    "base64-url-alphabet": (alter("signer.key", lambda key: "-_" + key[2:]), FORMAT),
    "network-unknown": (alter("anchor.network", become("litecoin")), FORMAT),
    "header-one-byte-short": (alter("anchor.block.header", lambda header: header[2:]), FORMAT),
    "successors-2017": (alter("anchor.block.successors", become(["00" * 80] * 2017)), FORMAT),
    "transaction-over-100-kb": (alter("anchor.transaction", become("00" * 100_001)), FORMAT),
    "transaction-of-half-a-byte": (alter("anchor.transaction", lambda raw: raw + "0"), FORMAT),
    "anchor-is-null": (alter("anchor", become(None)), FORMAT),
    "raw-digest-of-another-record": (alter("record.raw", flip), RECORD),
    "salt-changed": (alter("record.salt", flip), BUNDLE),
    "kind-changed": (alter("record", lambda it: {**it, "kind": 4, "components": ["00" * 32, "00" * 32]}), BUNDLE),
    "bundle-path-too-long": (alter("bundle.path", longer), BUNDLE),
    "bundle-size-zero": (alter("bundle.size", become(0)), BUNDLE),
    "bundle-index-beyond-size": (lambda it: alter("bundle.index", become(it["bundle"]["size"]))(it), BUNDLE),
    "signer-replaced": (alter("signer.key", become(base64.b64encode(bytes(32)).decode())), STATEMENT),
    "ledger-path-too-long": (alter("ledger.path", longer), LEDGER),
    "ledger-size-zero": (alter("ledger.size", become(0)), LEDGER),
    "ledger-index-beyond-size": (lambda it: alter("ledger.index", become(it["ledger"]["size"]))(it), LEDGER),
    "origin-of-another-ledger": (alter("ledger.origin", lambda origin: origin + "8"), LEDGER),
    "commitment-changed": (
        alter("anchor.transaction", lambda raw: re.sub("(?<=4d444131).", lambda it: flip(it[0]), raw)),
        COMMITMENT,
    ),
    "coinbase-branch-deeper": (alter("anchor.coinbase.path", longer), TRANSACTION),
    "branch-deeper": (alter("anchor.branch.path", longer), TRANSACTION),
    "branch-shorter": (alter("anchor.branch.path", lambda path: path[1:]), TRANSACTION),
    "branch-sibling-changed": (alter("anchor.branch.path.0", flip), TRANSACTION),
    "coinbase-sibling-changed": (alter("anchor.coinbase.path.0", flip), TRANSACTION),
    "index-beyond-branch": (alter("anchor.branch.index", lambda index: index + (1 << 40)), TRANSACTION),
    "height-not-in-coinbase": (alter("anchor.block.height", lambda height: height + 1), TRANSACTION),
    "height-zero": (alter("anchor.block.height", become(0)), TRANSACTION),
    "header-merkle-root-changed": (alter("anchor.block.header", lambda it: it[:72] + flip(it[72:])), TRANSACTION),
    "work-below-mainnet-limit": (alter("anchor.network", become("mainnet")), HEADER),
    "work-below-signet-limit": (alter("anchor.network", become("signet")), HEADER),
    "successor-does-not-link": (alter("anchor.block.successors.0", lambda it: it[:8] + flip(it[8:])), HEADER),
    "successors-doubled": (alter("anchor.block.successors", lambda headers: headers[:1] + headers), HEADER),
}


def from_head(**members: Any) -> dict[str, Change]:
    return {"commitment": lambda head: head | members}


def header_with(bits: int, *, works: bool = True) -> dict[str, Change]:
    return {"header": lambda header: mine(header[4:36], header[36:68], bits, works=works)}


def add_order(signature: bytes) -> bytes:
    """The same signature in its other spelling, which RFC 8032 forbids."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ED25519_ORDER).to_bytes(32, "little")


def hide_in_64_bytes(block: list[bytes]) -> list[bytes]:
    """A block whose second transaction is 64 bytes that pose as a node above the anchoring transaction."""
    return [block[0], bytes(32) + double_sha256(block[2])]


def below_the_leaf(anchor: Any) -> Any:
    return anchor | {"branch": {"index": 3, "path": ["00" * 32, *anchor["branch"]["path"]]}}


def successors(*, bits: int = 0x207FFFFF, works: bool = True) -> dict[str, Change]:
    def change(anchor: Any) -> Any:
        before = double_sha256(bytes.fromhex(anchor["block"]["header"]))
        return alter("block.successors", become([mine(before, bytes(32), bits, works=works).hex()]))(anchor)

    return {"anchor": change}


FORGERIES: dict[str, tuple[dict[str, Change], int]] = {
    "record-of-another-person": ({"record": alter("raw", become(sha256(b"another").hex()))}, RECORD),
    "component-changed-later": (
        {
            "record": lambda it: it | {"kind": 3, "components": ["00" * 32, "11" * 32]},
            "proof": alter("record.components.0", flip),
        },
        BUNDLE,
    ),
    "bundle-path-one-hash-short": ({"bundle": alter("path", lambda path: path[:-1])}, BUNDLE),
    "bundle-path-order-swapped": ({"bundle": alter("path", lambda path: path[::-1])}, BUNDLE),
    "bundle-sibling-changed": ({"bundle": alter("path.0", flip)}, BUNDLE),
    "bundle-index-of-the-neighbour": ({"bundle": alter("index", become(4))}, BUNDLE),
    "bundle-size-one-more": ({"bundle": alter("size", become(14))}, BUNDLE),
    "statement-of-fewer-records": ({"statement": alter("predicate.records", become(12))}, BUNDLE),
    "subject-of-another-bundle": (
        {"statement": alter("subject.0.digest.rfc9162Sha256", flip), "envelope": alter("records", become("00" * 32))},
        BUNDLE,
    ),
    "envelope-records-not-the-subject": ({"envelope": alter("records", flip)}, BUNDLE),
    "subject-not-the-envelope-records": ({"statement": alter("subject.0.digest.rfc9162Sha256", flip)}, BUNDLE),
    "envelope-two-signatures": ({"envelope": alter("signatures", lambda each: each * 2)}, FORMAT),
    "envelope-no-signature": ({"envelope": alter("signatures", become([]))}, FORMAT),
    "envelope-spaced": ({"written_envelope": lambda text: text.replace(b",", b", ")}, FORMAT),
    "envelope-with-newline": ({"written_envelope": lambda text: text + b"\n"}, FORMAT),
    "envelope-not-json": ({"written_envelope": become(b"\xff\xfe")}, FORMAT),
    "envelope-member-unknown": ({"envelope": lambda it: it | {"alg": "none"}}, FORMAT),
    "envelope-without-records": ({"envelope": without("records")}, FORMAT),
    "envelope-of-another-type": ({"envelope": alter("payloadType", become("text/plain"))}, FORMAT),
    "payload-not-json": ({"payload": become(b"I was here")}, FORMAT),
    "payload-duplicate-member": ({"payload": lambda text: text.replace(b'{"_type"', b'{"_type":"","_type"')}, FORMAT),
    "statement-of-another-type": ({"statement": alter("predicateType", become("urn:medanchor:stamp:v2"))}, FORMAT),
    "statement-two-subjects": ({"statement": alter("subject", lambda each: each * 2)}, FORMAT),
    "statement-meaning-unknown": ({"statement": alter("predicate.meaning", become("doubt"))}, FORMAT),
    "statement-time-with-offset": ({"statement": alter("predicate.time", become("2026-11-21T18:04:05+00"))}, FORMAT),
    "statement-names-a-patient": ({"statement": alter("predicate", lambda it: it | {"patient": "Jane"})}, FORMAT),
    "signed-by-another-key": (
        {"signer": become(OTHER_KEY), "key": become(KEY.public_key().public_bytes_raw())},
        STATEMENT,
    ),
    "signed-without-dsse": ({"signed": lambda text: text[text.index(b"{") :]}, STATEMENT),
    "signed-as-another-type": ({"signed": lambda text: text.replace(b"+json", b"+cbor", 1)}, STATEMENT),
    "signature-bit-flipped": ({"signature": lambda it: bytes([it[0] ^ 1]) + it[1:]}, STATEMENT),
    "signature-of-zeros": ({"signature": become(bytes(64))}, STATEMENT),
    "signature-respelled": ({"signature": add_order}, STATEMENT),
    "signature-one-byte-short": ({"signature": lambda it: it[:-1]}, FORMAT),
    "keyid-of-another-key": ({"envelope": alter("signatures.0.keyid", flip)}, STATEMENT),
    "statement-names-another-ledger": ({"statement": alter("predicate.ledger", become("elsewhere.example"))}, LEDGER),
    "ledger-path-one-hash-short": ({"ledger": alter("path", lambda path: path[:-1])}, LEDGER),
    "ledger-sibling-changed": ({"ledger": alter("path.3", flip)}, COMMITMENT),
    "ledger-index-of-the-neighbour": ({"ledger": alter("index", become(4))}, COMMITMENT),
    "ledger-size-one-more": ({"ledger": alter("size", lambda size: size + 1)}, COMMITMENT),
    "commitment-to-another-size": (from_head(size=10), COMMITMENT),
    "commitment-to-another-root": (from_head(root=bytes(32)), COMMITMENT),
    "commitment-to-another-origin": (from_head(origin=ORIGIN.encode() + b"8"), COMMITMENT),
    "commitment-tagged-as-node": (from_head(tag=b"\1"), COMMITMENT),
    "anchor-output-missing": ({"outputs": lambda it: it[:1]}, COMMITMENT),
    "anchor-output-twice": ({"outputs": lambda it: [*it, it[1]]}, COMMITMENT),
    "anchor-output-beside-another": ({"outputs": lambda it: [*it, output(b"\x6a\x24MDA1" + bytes(32))]}, COMMITMENT),
    "anchor-pushed-by-pushdata1": ({"outputs": lambda it: [output(b"\x6a\x4c" + it[1][10:])]}, COMMITMENT),
    "anchor-of-format-2": ({"outputs": lambda it: [it[1].replace(b"MDA1", b"MDA2")]}, COMMITMENT),
    "anchor-one-byte-more": ({"outputs": lambda it: [output(b"\x6a\x25" + it[1][11:] + b"\0")]}, COMMITMENT),
    "transaction-empty": ({"transaction": become(b"")}, TRANSACTION),
    "transaction-cut-short": ({"transaction": lambda raw: raw[:-1]}, TRANSACTION),
    "transaction-and-more": ({"transaction": lambda raw: raw + b"\0"}, TRANSACTION),
    "transaction-with-witness": (
        {"transaction": lambda raw: raw[:4] + b"\0\1" + raw[4:-4] + b"\0" + raw[-4:]},
        TRANSACTION,
    ),
    "transaction-without-inputs": ({"transaction": lambda raw: raw[:4] + b"\0" + raw[46:]}, TRANSACTION),
    "transaction-count-in-long-form": ({"transaction": lambda raw: raw[:4] + b"\xfd\1\0" + raw[5:]}, TRANSACTION),
    "transaction-count-of-2-to-64": ({"transaction": lambda raw: raw[:4] + b"\xff" * 9 + raw[5:]}, TRANSACTION),
    "transaction-64-bytes": ({"transaction": become(spend(output(b"\x51" * 4)))}, TRANSACTION),
    "anchor-below-a-64-byte-transaction": ({"block": hide_in_64_bytes, "anchor": below_the_leaf}, TRANSACTION),
    "left-sibling-equals-right": ({"anchor": alter("branch.index", become(3))}, TRANSACTION),
    "branch-of-the-neighbour": ({"anchor": alter("branch.index", become(1))}, TRANSACTION),
    "coinbase-64-bytes": ({"coinbase": become(coinbase(b"\x01\x7b", output(b"\x51\x51")))}, TRANSACTION),
    "coinbase-of-another-block": ({"anchor": alter("coinbase.transaction", flip)}, TRANSACTION),
    "coinbase-spends-something": ({"coinbase": become(spend(PAY, script=b"\x01\x7b\x00"))}, TRANSACTION),
    "coinbase-cut-short": ({"coinbase": lambda raw: raw[:-1]}, TRANSACTION),
    "coinbase-of-another-height": ({"coinbase": become(coinbase(b"\x01\x7c\x00"))}, TRANSACTION),
    "coinbase-height-in-long-form": ({"coinbase": become(coinbase(b"\x02\x7b\x00"))}, TRANSACTION),
    "coinbase-without-height": ({"coinbase": become(coinbase(b"\x51\x51"))}, TRANSACTION),
    "header-of-another-block": ({"header": lambda header: mine(header[4:36], bytes(32))}, TRANSACTION),
    "header-work-too-easy": (header_with(TOO_EASY), HEADER),
    "header-work-missed": (header_with(0x207FFFFF, works=False), HEADER),
    "header-target-negative": (header_with(0x1FFFFFFF), HEADER),
    "header-target-zero": (header_with(0x20000000, works=False), HEADER),
    "header-target-over-256-bits": (header_with(0xFF7FFFFF), HEADER),
    "successors-of-another-block": (
        {"anchor": alter("block.successors", become([it.hex() for it in follow(mine(bytes(32), bytes(32)), 2)]))},
        HEADER,
    ),
    "successors-swapped": ({"anchor": alter("block.successors", lambda it: it[::-1])}, HEADER),
    "successor-left-out": ({"anchor": alter("block.successors", lambda it: it[1:])}, HEADER),
    "successor-work-too-easy": (successors(bits=TOO_EASY), HEADER),
    "successor-work-missed": (successors(works=False), HEADER),
}
