"""What later entries of the ledger say of earlier ones: amendments, addenda, late entries and retractions."""

import binascii
from typing import NamedTuple

from medanchor.core.statement import parse_envelope
from medanchor.vault.rows import sound
from medanchor.vault.store import Store

BEFORE_PAYLOAD = b'"payload":"'
MEMBER = b'"follows"'


class Follower(NamedTuple):
    """The entry that follows another, and as what: amendment, addendum, late-entry or retraction."""

    entry: int
    kind: str


def followers(store: Store) -> dict[int, list[Follower]]:
    """Return the followers of each entry that has any, oldest first. Raises VaultError if a statement is damaged."""
    found: dict[int, list[Follower]] = {}
    with store.reading() as database:
        for entry, envelope in database.execute("SELECT position, envelope FROM entry ORDER BY position"):
            if not _may_follow(envelope):
                continue
            with sound(f"entry {entry} of the ledger"):
                statement = parse_envelope(envelope).statement
            for follows in statement.follows:
                found.setdefault(follows.entry, []).append(Follower(entry, follows.kind))
    return found


def _may_follow(envelope: bytes) -> bool:
    """Say whether a statement has the member at all: few have, and to parse a year of the others takes seconds."""
    payload = envelope.partition(BEFORE_PAYLOAD)[2].partition(b'"')[0]
    try:
        return not payload or MEMBER in binascii.a2b_base64(payload, strict_mode=True)
    except binascii.Error:
        return True
