"""docs/format.md says what the code does: its worked example is recomputed, its tables are held against the constants.

The example is recomputed from the frozen proof with hashlib alone, so that page and code cannot be wrong together.
"""

import base64
import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from medanchor.core import statement as statements
from medanchor.core.commitment import COMPONENTS
from medanchor.core.header import PROOF_OF_WORK_LIMIT, Network, target_from_bits
from medanchor.core.proof import MAX_BYTES, MAX_SUCCESSORS, MAX_TRANSACTION
from medanchor.errors import MalformedProofError, Step
from medanchor.vault.rows import seal
from medanchor.vault.store import apply_migrations

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
VECTOR = ROOT / "tests" / "vectors" / "proofs" / "v1" / "one-record-one-entry.bin"


def block(kind: str) -> str:
    """Return the one fenced block of the page that is marked `kind`."""
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


def rows(kind: str) -> dict[str, bytes]:
    pairs = (re.split(r" {2,}", line) for line in block(kind).splitlines())
    return {name: bytes.fromhex(value) for name, value in pairs}


def section(number: int) -> str:
    return PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0]


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def sha256d(*parts: bytes) -> bytes:
    return sha256(sha256(*parts))


def recomputed() -> dict[str, bytes]:
    """Return what the worked example must say, by hashing alone."""
    record, proof = VECTOR.read_bytes(), json.loads(VECTOR.with_suffix(".bin.medproof").read_bytes())
    envelope, key = base64.b64decode(proof["statement"]), base64.b64decode(proof["signer"]["key"])
    anchor, origin = proof["anchor"], proof["ledger"]["origin"].encode()
    transactions = [bytes.fromhex(anchor["coinbase"]["transaction"]), bytes.fromhex(anchor["transaction"])]
    salt, raw, size = bytes.fromhex(proof["record"]["salt"]), sha256(record), proof["ledger"]["size"].to_bytes(8, "big")
    entry = b"\x00" + salt + raw
    leaf, ledger = sha256(b"\x00", entry), sha256(b"\x00", envelope)
    commitment = sha256(b"\x02", sha256(origin), size, ledger)
    coinbase_id, txid = map(sha256d, transactions)
    return {
        "record": record,
        "raw digest": raw,
        "salt": salt,
        "entry": entry,
        "leaf hash": leaf,
        "bundle root": leaf,
        "public key": key,
        "key id": sha256(key),
        "ledger leaf hash": ledger,
        "ledger root": ledger,
        "H(origin)": sha256(origin),
        "size": size,
        "commitment": commitment,
        "payload": b"MDA1" + commitment,
        "script": b"\x6a\x24MDA1" + commitment,
        "txid": txid,
        "coinbase txid": coinbase_id,
        "Merkle root": sha256d(coinbase_id, txid),
        "block hash": sha256d(bytes.fromhex(anchor["block"]["header"])),
    }


def test_every_line_of_the_worked_example_is_recomputed():
    assert rows("worked") == recomputed()


def test_the_worked_example_ends_in_the_transaction_and_the_header_of_the_frozen_proof():
    proof = json.loads(VECTOR.with_suffix(".bin.medproof").read_bytes())
    assert recomputed()["script"] in bytes.fromhex(proof["anchor"]["transaction"])
    assert b"".join(rows("header").values()).hex() == proof["anchor"]["block"]["header"]
    assert rows("header")["Merkle root"] == rows("worked")["Merkle root"]


def test_the_statement_on_the_page_is_the_one_that_was_signed():
    envelope = json.loads(base64.b64decode(json.loads(VECTOR.with_suffix(".bin.medproof").read_bytes())["statement"]))
    payload = base64.b64decode(envelope["payload"])
    assert block("statement").rstrip("\n").encode("ascii") == payload
    assert f"DSSEv1 28 application/vnd.in-toto+json {len(payload)} " in PAGE
    assert envelope["records"] == rows("worked")["bundle root"].hex()


def test_the_lists_of_codes_are_the_codes():
    for codes in (statements.MEANINGS, statements.FOLLOWS, statements.REASONS):
        assert "| " + ", ".join(f"`{code}`" for code in codes) in section(3)


def test_the_time_expression_is_the_code_s():
    pattern = statements._TIME.pattern.removesuffix(r"\Z").replace(r"\d", "[0-9]").replace("?:", "")
    assert f"    {pattern}\n\nIt is also a date that the calendar has" in section(3)
    with pytest.raises(MalformedProofError):
        statements._time("2026-02-30T00:00:00Z")


def test_the_kinds_have_the_number_of_components_that_the_code_knows():
    found = re.findall(r"^\| 0x(\d\d) \| [^|]+ \| (\d)", section(1), re.MULTILINE)
    assert {int(kind, 16): int(count) for kind, count in found} == {
        kind: len(parts) for kind, parts in COMPONENTS.items()
    }


def test_the_limits_are_the_code_s():
    for limit in (MAX_BYTES, MAX_TRANSACTION, MAX_SUCCESSORS):
        assert f"| {limit:,} " in section(6)


@pytest.mark.parametrize("step", Step)
def test_the_steps_are_numbered_and_named_as_in_the_code(step):
    assert f"| {step.value} | {step.name} |" in section(7)


@pytest.mark.parametrize("network", Network)
def test_the_limits_of_proof_of_work_are_the_code_s(network):
    [(bits, mantissa, exponent)] = re.findall(
        rf"^\| [a-z0-9, ]*\b{network}\b[a-z0-9, ]* \| (\w+) \| 0x(\w+) . 2(\S+) \|$", section(7), re.MULTILINE
    )
    shift = int(exponent.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))
    assert target_from_bits(int(bits, 16)) == int(mantissa, 16) << shift == PROOF_OF_WORK_LIMIT[network]


def test_the_tables_of_the_vault_are_the_schema_s():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        apply_migrations(database)
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        schema = {table: [row[1] for row in database.execute(f"PRAGMA table_info({table})")] for table in tables}
    found = re.findall(r"^\| `(\w+)` \| ([a-z_, ]+) \| ", section(10), re.MULTILINE)
    assert {table: columns.split(", ") for table, columns in found} == schema


def test_a_seal_is_what_the_page_says():
    values = (7, "Dr Å", b"\n\x00", None)
    spelled = [b"int:1:7", "str:5:Dr Å".encode(), b"bytes:2:\n\x00", b"NoneType:4:None"]
    assert seal("table", *values) == sha256(b"\n".join([b"table", *spelled]))
