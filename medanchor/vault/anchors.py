"""Anchors and signers in the vault: which transaction carries which tree head, and who holds which key."""

from dataclasses import dataclass

from medanchor.core.hashes import Hash
from medanchor.core.proof import Anchor, parse_anchor, serialise_anchor
from medanchor.core.signature import key_id
from medanchor.vault.keys import person
from medanchor.vault.rows import seal, sound
from medanchor.vault.store import Store

COLUMNS = "id, size, transaction_bytes, since, prepared, evidence"


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchoring transaction (complete, with witness) for the tree head of `size` entries.

    It is *prepared* while `evidence` is None: written down before it was sent, so that a killed run is taken up again.
    It is *confirmed* when `evidence` ties it to a block. `since` is the height of the chain when it was prepared.
    """

    number: int
    size: int
    transaction: bytes
    since: int
    prepared: str
    evidence: Anchor | None


def list_anchors(store: Store) -> list[AnchorRow]:
    """Return all anchors, oldest first. Raises VaultError if the evidence of one is damaged."""
    with store.reading() as database:
        rows = database.execute(f"SELECT {COLUMNS} FROM anchor ORDER BY id").fetchall()  # noqa: S608 - a constant
    return [
        AnchorRow(number, size, transaction, since, prepared, _evidence(number, evidence))
        for number, size, transaction, since, prepared, evidence in rows
    ]


def _evidence(number: int, stored: bytes | None) -> Anchor | None:
    with sound(f"the evidence of anchor {number}"):
        return parse_anchor(stored) if stored else None


def add_anchor(store: Store, size: int, transaction: bytes, since: int, prepared: str) -> AnchorRow:
    """Write down the intent to send `transaction` for the head of `size` entries; durable when this returns."""
    with store.writing() as database:
        number = database.execute("SELECT coalesce(max(id), 0) + 1 FROM anchor").fetchone()[0]
        row = AnchorRow(number, size, transaction, since, prepared, None)
        _put(store, row)
    return row


def set_evidence(store: Store, row: AnchorRow, evidence: Anchor | None) -> AnchorRow:
    """Write down that `row` is confirmed by `evidence`, or no longer confirmed by any."""
    changed = AnchorRow(row.number, row.size, row.transaction, row.since, row.prepared, evidence)
    with store.writing():
        _put(store, changed)
    return changed


def _put(store: Store, row: AnchorRow) -> None:
    evidence = serialise_anchor(row.evidence) if row.evidence else None
    values = (row.number, row.size, row.transaction, row.since, row.prepared, evidence)
    store.database.execute(
        "INSERT OR REPLACE INTO anchor VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, seal("anchor", *values))
    )


def add_signer(store: Store, key: bytes, name: str, role: str) -> None:
    """Remember whose public key (32 bytes) this is; call it inside `store.writing()`."""
    values = (key, name, role)
    store.database.execute("INSERT OR IGNORE INTO signer VALUES (?, ?, ?, ?)", (*values, seal("signer", *values)))


@dataclass(frozen=True, slots=True)
class SignerRow:
    """A key that signed here: its public half, whose it is and what they are."""

    key: bytes
    name: str
    role: str

    @property
    def person(self) -> str:
        """How people read it: name and role."""
        return person(self.name, self.role)


def list_signers(store: Store) -> dict[Hash, SignerRow]:
    """Return everyone who ever signed here, by key id."""
    with store.reading() as database:
        rows = [SignerRow(*row) for row in database.execute("SELECT key, name, role FROM signer ORDER BY name")]
    return {key_id(row.key): row for row in rows}
