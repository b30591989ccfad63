"""Entries of a ledger made for Provenances: any records, any statement, anchored or not, each record with its proof."""

from collections.abc import Sequence

from forge import KEY, ORIGIN, canonical, stage_anchor

from medanchor.core.commitment import COMPONENTS, Record
from medanchor.core.hashes import sha256
from medanchor.core.merkle import inclusion_path, leaf_hash, nodes_of, root_of
from medanchor.core.proof import Position, Proof, parse_anchor
from medanchor.core.statement import Follows, Statement, sign_statement

RESOURCE = b'{"resourceType":"Observation","id":"f-1","meta":{"versionId":"4"},"status":"final"}'
TIME = "2026-11-21T18:04:05Z"
PUBLIC = KEY.public_key().public_bytes_raw()
OTHERS = [sha256(b"\0another envelope %d" % number) for number in range(5)]


def record_of(data: bytes, kind: int = 0) -> Record:
    parts = tuple(sha256(b"part %d of " % number + data) for number in range(len(COMPONENTS[kind])))
    return Record(kind, sha256(b"salt of " + data)[:16], sha256(data), parts)


def entry_of(
    records: Sequence[Record],
    *,
    meaning: str = "authorship",
    time: str = TIME,
    follows: Sequence[Follows] = (),
    anchored: bool = True,
) -> list[Proof]:
    """The proof of each of `records`, which are all the records of one entry of a ledger of six."""
    leaves = [leaf_hash(record.entry()) for record in records]
    statement = Statement(root_of(leaves), len(records), time, ORIGIN, meaning, tuple(follows))
    envelope = sign_statement(statement, PUBLIC, KEY.sign)
    entries = [*OTHERS, leaf_hash(envelope)]
    ledger = Position(5, 6, tuple(inclusion_path(nodes_of(entries), 5, 6)))
    head = {"origin": ORIGIN.encode(), "size": 6, "root": root_of(entries), "tag": b"\2"}
    anchor = parse_anchor(canonical(stage_anchor(lambda _, value: value, head))) if anchored else None
    places = [
        Position(at, len(leaves), tuple(inclusion_path(nodes_of(leaves), at, len(leaves)))) for at in range(len(leaves))
    ]
    return [
        Proof(record, place, envelope, PUBLIC, ORIGIN, ledger, anchor)
        for record, place in zip(records, places, strict=True)
    ]
