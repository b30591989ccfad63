"""Anchors and signers in the vault: which transaction carries which tree head, and who holds which key."""

from dataclasses import astuple, dataclass

from medanchor.core.hashes import Hash
from medanchor.core.proof import Anchor, parse_anchor, serialise_anchor
from medanchor.core.signature import key_id
from medanchor.vault.keys import person
from medanchor.vault.rows import Value, seal, sound
from medanchor.vault.store import Store


@dataclass(frozen=True, slots=True)
class Sending:
    """What happened to an anchor's transaction on its way to a block; all of it empty on a chain that mines at once.

    `fee` is in satoshi. It waits for a block from the height `waits_from` on. `replaces` is the number of the anchor
    whose coin it spends again, for a higher fee: only one of the two can ever be mined. `psbt` is there while the
    signature is not. The others say when: a source first took it, its coin was found spent elsewhere for good, its
    block was last found reorganised away.
    """

    fee: int = 0
    waits_from: int = 0
    replaces: int | None = None
    psbt: bytes | None = None
    sent: str | None = None
    refused: str | None = None
    reorganised: str | None = None


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchoring transaction (complete, with witness) for the tree head of `size` entries.

    It is written down before it is sent, so that a killed run is taken up again. It is *confirmed* when `evidence` ties
    it to a block. `since` is the height of the chain when it was prepared.
    """

    number: int
    size: int
    transaction: bytes
    since: int
    prepared: str
    evidence: Anchor | None = None
    sending: Sending = Sending()


_COLUMNS = """
    id, size, transaction_bytes, since, prepared, evidence,
    coalesce(fee, 0), coalesce(waits_from, since), replaces, psbt, sent, refused, reorganised
"""

_HAS_SENDING = "SELECT 1 FROM sqlite_master WHERE name = 'sending'"
_NO_SENDING = """
    (SELECT NULL AS anchor, NULL AS fee, NULL AS waits_from, NULL AS replaces, NULL AS psbt, NULL AS sent,
    NULL AS refused, NULL AS reorganised)
"""
"""What stands in its place in a vault of version 2, which is read as it is where it cannot be written."""


def list_anchors(store: Store) -> list[AnchorRow]:
    """Return all anchors, oldest first. Raises VaultError if the evidence of one is damaged."""
    with store.reading() as database:
        sending = "sending" if database.execute(_HAS_SENDING).fetchone() else _NO_SENDING
        query = f"SELECT {_COLUMNS} FROM anchor LEFT JOIN {sending} ON anchor = id ORDER BY id"  # noqa: S608 - ours
        rows = database.execute(query).fetchall()
    return [
        AnchorRow(number, size, transaction, since, prepared, _evidence(number, evidence), Sending(*sending))
        for number, size, transaction, since, prepared, evidence, *sending in rows
    ]


def _evidence(number: int, stored: bytes | None) -> Anchor | None:
    with sound(f"the evidence of anchor {number}"):
        return parse_anchor(stored) if stored else None


def add_anchor(
    store: Store, size: int, transaction: bytes, since: int, prepared: str, sending: Sending = Sending()
) -> AnchorRow:
    """Write down the intent to send `transaction` for the head of `size` entries; durable when this returns."""
    with store.writing() as database:
        number = database.execute("SELECT coalesce(max(id), 0) + 1 FROM anchor").fetchone()[0]
        row = AnchorRow(number, size, transaction, since, prepared, None, sending)
        _put(store, row)
    return row


def put_anchor(store: Store, row: AnchorRow) -> AnchorRow:
    """Write down what is known of an anchor now, and return it; durable when this returns."""
    with store.writing():
        _put(store, row)
    return row


def _put(store: Store, row: AnchorRow) -> None:
    evidence = serialise_anchor(row.evidence) if row.evidence else None
    _replace(store, "anchor", (row.number, row.size, row.transaction, row.since, row.prepared, evidence))
    _replace(store, "sending", (row.number, *astuple(row.sending)))


def _replace(store: Store, table: str, values: tuple[Value, ...]) -> None:
    marks = ", ".join("?" * (len(values) + 1))
    query = f"INSERT OR REPLACE INTO {table} VALUES ({marks})"  # noqa: S608 - the names are ours
    store.database.execute(query, (*values, seal(table, *values)))


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
