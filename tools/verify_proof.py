"""Verify one medanchor proof, trusting nobody: this file is the whole check (Python 3.11 or newer, nothing to install).

The construction, from the record up (format version 1; H is SHA-256, | joins bytes, integers are big-endian):
    entry       kind | salt | digest of the record's bytes | digests of its parts
    bundle      RFC 9162 tree over the entries of one stamping: leaf = H(00 | entry), node = H(01 | left | right)
    statement   who says what about the bundle's root and size: in-toto, in a DSSE envelope signed with Ed25519
    ledger      RFC 9162 tree over all envelopes: leaf = H(00 | envelope)
    commitment  H(02 | H(origin) | the ledger's size in 8 bytes | the ledger's root)
    anchor      the one output of a Bitcoin transaction whose script is 6a24 (OP_RETURN) "MDA1" commitment
    block       the 80-byte header whose Merkle root the transaction's branch leads to
Each step recomputes a value and compares it. No file can show that its block is on Bitcoin's chain: get its hash or
header elsewhere and hand it in with --header. Exit codes: 0 verified; 2 wrong usage; 3 something is open; 4 refused.
"""

import argparse
import hashlib
import io
import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from types import SimpleNamespace

TOO_EASY = {"mainnet": 2**224, "testnet3": 2**224, "testnet4": 2**224, "signet": 0x377AE << 216 | 1, "regtest": 2**255}
NAMES = ("FORMAT", "RECORD", "BUNDLE", "STATEMENT", "LEDGER", "COMMITMENT", "TRANSACTION", "HEADER", "TRUST")
# A value has one spelling, so a file is one pattern: what is unsorted, spaced, doubled, unknown, too long or too deep
# does not match. Capitals stand for pieces, put in from top to bottom. Numbers fit 8 bytes; no string needs an escape.
PROOF = """{ANCHORED"bundle":{"index":NUMBER,"path":[PATH],"size":NUMBER},"ledger":{"index":NUMBER,\
"origin":"ORIGIN","path":[PATH],"size":NUMBER},"record":{"components":[PARTS,"raw":"HASH","salt":"SALT"},\
"signer":{"key":"KEY"},"statement":"BASE64","version":1}\n"""
ENVELOPE = """{"payload":"BASE64","payloadType":"application/vnd.in-toto+json","records":"HASH",\
"signatures":[{"keyid":"HASH","sig":"SIGNATURE"}]}"""
STATEMENT = """{"_type":"https://in-toto.io/Statement/v1",\
"predicate":{FOLLOWS"ledger":"ORIGIN","meaning":"MEANING","records":NUMBER,"time":"TIME"},\
"predicateType":"urn:medanchor:stamp:v1","subject":[{"digest":{"rfc9162Sha256":"HASH"},"name":"records"}]}"""
PIECES = {
    "ANCHORED": r'(?:"anchor":\{"block":\{"header":"[0-9a-f]{160}","height":NUMBER,"successors":\['
    r'(?:"[0-9a-f]{160}"(?:,"[0-9a-f]{160}"){0,2015})?\]\},"branch":\{"index":NUMBER,"path":\[PATH\]\},"coinbase":'
    rf'\{{"path":\[PATH\],"transaction":"BYTES"\}},"network":"(?:{"|".join(TOO_EASY)})","transaction":"BYTES"\}},)?',
    "PARTS": r'(?:\],"kind":0|"HASH"(?:,"HASH"){4}\],"kind":1|"HASH","HASH"\],"kind":[234])',
    "FOLLOWS": r'(?:"follows":\[EARLIER(?:,EARLIER)*\],)?',
    "EARLIER": r'\{"entry":NUMBER,"kind":"(?:amendment|addendum|late-entry|retraction)","reason":"REASON"\}',
    "REASON": "(?:correction|new-information|wrong-record|legal-request|administrative)",
    "MEANING": "(?:authorship|review|approval|responsibility|receipt)",
    "PATH": '(?:"HASH"(?:,"HASH"){0,63})?',
    "HASH": "[0-9a-f]{64}",
    "SALT": "[0-9a-f]{32}",
    "BYTES": "(?:[0-9a-f]{2}){0,100000}",
    "KEY": "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=",
    "SIGNATURE": "[A-Za-z0-9+/]{85}[AQgw]==",
    "BASE64": "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?",
    "NUMBER": "(?:0|[1-9][0-9]{0,18})",
    "ORIGIN": "[A-Za-z0-9._~/-]{1,255}",
    "TIME": "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
}


def need(holds: bool, otherwise: str) -> None:
    """Refuse, unless it holds."""
    if not holds:
        raise ValueError(otherwise)


def sha256(*parts: bytes) -> bytes:
    """Return the SHA-256 of the joined parts."""
    return hashlib.sha256(b"".join(parts)).digest()


def read(data: bytes, form: str, what: str) -> SimpleNamespace:
    """Return what JSON of exactly this form says, members as attributes."""
    pattern = re.escape(form)
    for name, piece in PIECES.items():
        pattern = pattern.replace(name, piece)
    fits = re.fullmatch(pattern.encode(), data) and all(int(n) < 2**63 for n in re.findall(rb":([0-9]{19})", data))
    need(bool(fits), f"expected {what} in its one form: was it edited, or cut short?")
    tree: SimpleNamespace = json.loads(data, object_hook=lambda found: SimpleNamespace(**found))
    return tree


def tree_root(leaf: bytes, at: SimpleNamespace) -> bytes:
    """Return the root implied for a leaf (RFC 9162, 2.1.3.2); index and size tell on which side a sibling stands."""
    low = (at.index ^ (at.size - 1)).bit_length()  # so far the index's bits tell; above, all siblings are left ones
    fits = at.index < at.size and len(at.path) == low + (at.index >> low).bit_count()
    need(fits, f"expected as many hashes as the climb takes, found {len(at.path)} from {at.index} of {at.size}")
    node = sha256(b"\0", leaf)
    for level, sibling in enumerate(map(bytes.fromhex, at.path)):
        is_right = level >= low or at.index >> level & 1
        node = sha256(b"\1", sibling, node) if is_right else sha256(b"\1", node, sibling)
    return node


def block_root(at: SimpleNamespace) -> str:
    """Return the Merkle root of a block that has this transaction at this index, as Bitcoin computes it."""
    node = sha256(sha256(bytes.fromhex(at.transaction)))
    need(bool(scripts(at.transaction)[0]), "expected it whole, without witness, over 64 bytes: a tree's node has 64")
    need(at.index >> len(at.path) == 0, f"expected an index that {len(at.path)} levels can hold, found {at.index}")
    for level, sibling in enumerate(map(bytes.fromhex, at.path)):
        need(sibling != node or not at.index >> level & 1, "expected no left sibling like its right (CVE-2012-2459)")
        node = sha256(sha256(sibling, node) if at.index >> level & 1 else sha256(node, sibling))
    return node.hex()


def scripts(transaction: str) -> tuple[list[bytes], list[bytes]]:
    """Return what each input spends with its script, and each output's script; nothing if it is no transaction."""
    stream = io.BytesIO(bytes.fromhex(transaction)[4:])  # the version is not needed

    def count() -> int:
        mark = stream.read(1)
        width, least = {b"\xfd": (2, 0xFD), b"\xfe": (4, 1 << 16), b"\xff": (8, 1 << 32)}.get(mark, (0, 0))
        number = int.from_bytes(stream.read(width) or mark, "little")
        return number if least <= number < len(transaction) else len(transaction)  # this many cannot be there

    inputs = [(stream.read(36) + stream.read(count()), stream.read(4))[0] for _ in range(count())]
    outputs = [(stream.read(8), stream.read(count()))[1] for _ in range(count())]
    return (inputs, outputs) if 2 * (stream.tell() + 8) == len(transaction) > 2 * 64 else ([], [])


class Case(SimpleNamespace):
    """The digest of the record in hand, the data of the proof, the header known elsewhere; and what the steps find."""

    def step_0(self) -> str:
        """FORMAT: the file, the envelope in it and the statement in that are exactly what they are said to be."""
        need(len(self.data) <= 1 << 20, "expected at most 1 MiB, found more")
        self.proof = read(self.data, PROOF, "a proof")
        self.envelope = read(b64decode(self.proof.statement), ENVELOPE, "an envelope")
        self.statement = read(b64decode(self.envelope.payload), STATEMENT, "a statement")
        datetime.fromisoformat(self.statement.predicate.time)  # refuses the thirtieth of February
        vars(self)["anchor"] = getattr(self.proof, "anchor", None)
        return f"{len(self.data)} bytes, exactly a proof"

    def step_1(self) -> str:
        """RECORD: the record in hand is the one the proof is about."""
        record = self.proof.record
        need(self.digest == record.raw, f"expected a record with SHA-256 {record.raw}, found {self.digest}")
        return f"the record has SHA-256 {record.raw}" + ("; its components are not recomputed" if record.kind else "")

    def step_2(self) -> str:
        """BUNDLE: the record's entry leads to the statement's subject, in a bundle of the size the statement says."""
        record, at, said = self.proof.record, self.proof.bundle, self.statement
        entry = bytes([record.kind]) + bytes.fromhex(record.salt + record.raw + "".join(record.components))
        root, subject = tree_root(entry, at).hex(), said.subject[0].digest.rfc9162Sha256
        need(root == subject == self.envelope.records, f"expected the subject {subject}, twice, found {root}")
        need(at.size == said.predicate.records, f"expected {said.predicate.records} records, found {at.size}")
        return f"entry {at.index} of {at.size} leads to the statement's subject {root}"

    def step_3(self) -> str:
        """STATEMENT: signed by the key in the proof. Whose key it is no file can say: compare it with one you know."""
        key, signature = b64decode(self.proof.signer.key), self.envelope.signatures[0]
        y = int.from_bytes(key, "little") % 2**255  # a point of order 1, 2, 4 or 8 makes the next product 0
        need(y * (y**2 - 1) * (121665 * y**4 - 243332 * y**2 + 121666) % (2**255 - 19) > 0, "expected a larger order")
        need(sha256(key).hex() == signature.keyid, f"expected key {sha256(key).hex()}, found {signature.keyid}")
        signed = b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(said := b64decode(self.envelope.payload)), said)
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

            Ed25519PublicKey.from_public_bytes(key).verify(b64decode(signature.sig), signed)
        except ImportError:
            return "OPEN: the signature is NOT CHECKED, for want of the Python package cryptography"
        except Exception:  # noqa: BLE001 - whatever it cannot accept is refused
            raise ValueError(f"expected an Ed25519 signature by key {signature.keyid}, found none") from None
        return f"Ed25519 signature by key {signature.keyid}"

    def step_4(self) -> str:
        """LEDGER: the envelope leads to the root of the ledger that the statement names."""
        at, named = self.proof.ledger, self.statement.predicate.ledger
        need(at.origin == named, f"expected the statement's ledger {named}, found {at.origin}")
        self.root = tree_root(b64decode(self.proof.statement), at)
        return f"entry {at.index} of {at.size} in {at.origin} leads to root {self.root.hex()}"

    def step_5(self) -> str:
        """COMMITMENT: the transaction's one anchor output, found by its script, commits to that ledger."""
        at, (inputs, outputs) = self.proof.ledger, scripts(self.anchor.transaction)
        expected = b"\x6a\x24MDA1" + sha256(b"\2", sha256(at.origin.encode()), at.size.to_bytes(8), self.root)
        anchors = [script for script in outputs if script[:6] == expected[:6] and len(script) == len(expected)]
        need(not inputs or anchors == [expected], f"expected one anchor output, {expected.hex()}, found {len(anchors)}")
        return f"the one anchor output is {expected.hex()}" if inputs else "OPEN: step 6 refuses such a transaction"

    def step_6(self) -> str:
        """TRANSACTION: it and the coinbase, from one depth, lead to the header's Merkle root, at that height."""
        place, first, block = self.anchor.branch, self.anchor.coinbase, self.anchor.block
        need(len(place.path) == len(first.path), f"expected the coinbase's depth {len(first.path)}, found another")
        place.transaction, first.index = self.anchor.transaction, 0  # a coinbase is always first
        roots = [block_root(place), block_root(first)]
        need(roots == [block.header[72:136]] * 2, f"expected Merkle root {block.header[72:136]} twice, found {roots}")
        number = block.height.to_bytes(block.height.bit_length() // 8 + 1, "little")  # signed: the highest bit is clear
        push = bytes([len(number), *number] if block.height not in range(17) else [block.height and 80 + block.height])
        begins = bytes(32) + b"\xff" * 4 + push  # spends nothing and says the height (BIP 34)
        need([x.startswith(begins) for x in scripts(first.transaction)[0]] == [True], f"expected height {block.height}")
        return f"transaction {place.index} and the coinbase of height {block.height} lead to Merkle root {roots[0]}"

    def step_7(self) -> str:
        """HEADER: its work meets its own nBits, which the network allows; so for its successors, each linked."""
        block, network, before = self.anchor.block, self.anchor.network, None
        for header in map(bytes.fromhex, [block.header, *block.successors]):
            need(before in (None, header[4:36]), "expected successors that each name the header before")
            mantissa, before = int.from_bytes(header[72:75], "little"), sha256(sha256(header))
            target = mantissa << 8 * header[75] >> 24
            meets = mantissa >> 23 == 0 and int.from_bytes(before, "little") <= target < TOO_EASY[network]
            need(meets, f"expected a hash that meets nBits, and nBits that {network} allows")
        return f"the header and its {len(block.successors)} successors are linked and have the work they claim"

    def step_8(self) -> str:
        """TRUST: the block is the one that the auditor vouches for."""
        found = sha256(sha256(bytes.fromhex(self.anchor.block.header)))[::-1].hex()
        need(self.header in (None, found, self.anchor.block.header), f"expected block {self.header}, found {found}")
        return f"you confirm block {found}" if self.header else "OPEN: nothing outside this file confirms the block"

    def verdict(self) -> str:
        """Return what the steps yield, what that rests on and what it does not say (docs/format.md, section 7)."""
        if self.anchor is None:
            return "PENDING: consistent, but no block shows yet when the record existed."
        anchor, said, key = self.anchor, self.statement.predicate, self.envelope.signatures[0].keyid
        time = datetime.fromtimestamp(int.from_bytes(bytes.fromhex(anchor.block.header)[68:72], "little"), UTC)
        follows = "".join(f", following entry {past.entry} as {past.kind}" for past in getattr(said, "follows", []))
        return f"""{"CONSISTENT, but " + "; ".join(self.opened) if self.opened else "VERIFIED, you confirm the block"}.
Claim: the record existed, unchanged, no later than about {time:%Y-%m-%dT%H:%M:%SZ}, block {anchor.block.height}
on {anchor.network}, {1 + len(anchor.block.successors)} confirmations; signed by {key} as {said.meaning}{follows}.
It rests on SHA-256, on Ed25519 and on that block being in the chain. A block's clock may be off by two hours. On
testnet3 and testnet4 a block can be had cheaply after 20 minutes, and on regtest by anyone at any time. It does
not say that the content is true, who the person behind a key is, or that nothing was left out before stamping."""


def main() -> int:
    """Settle the steps one by one, print each and then the verdict; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", metavar="RECORD")
    parser.add_argument("path", metavar="PROOF")
    parser.add_argument("--header", metavar="HEX_OR_BLOCK_HASH", type=str.lower)
    case = parser.parse_args(namespace=Case(opened=[], anchor=None))
    if case.header is not None and not re.fullmatch("[0-9a-f]{64}|[0-9a-f]{160}", case.header):
        parser.error("--header: expected the 160 hex digits of a header, or the 64 of a block hash")
    try:
        with open(case.record, "rb") as record, open(case.path, "rb") as proof:  # noqa: PTH123 - a Path adds nothing
            case.digest, case.data = hashlib.file_digest(record, "sha256").hexdigest(), proof.read((1 << 20) + 1)
    except OSError as error:
        parser.error(str(error))
    for number, name in enumerate(NAMES):
        try:
            text = getattr(case, f"step_{number}")() if case.anchor or number in range(5) else "OPEN: no anchor yet"
        except ValueError as refused:
            print(f"{number} {name:<12} FAILED: {refused}\nREFUSED at step {number}, {name}")
            return 4
        print(f"{number} {name:<12} {text if text.startswith('OPEN: ') else 'ok: ' + text}")
        case.opened += [text.removeprefix("OPEN: ")] * text.startswith("OPEN: ")
    print(case.verdict())
    return 3 if case.opened else 0


if __name__ == "__main__":
    raise SystemExit(main())
