"""Stamping: records become a bundle, a signed statement about it an entry of the ledger. All of it, or nothing."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from medanchor.core.checkpoint import sign_checkpoint
from medanchor.core.commitment import WIDTHS, TreeHead
from medanchor.core.hashes import HASH_LENGTH, Hash
from medanchor.core.signature import key_id
from medanchor.core.statement import Follows, Statement, sign_statement
from medanchor.errors import UsageError
from medanchor.records.digest import Hashed
from medanchor.vault.anchors import add_signer
from medanchor.vault.bundles import NewSalts, Span, add_records, append_entry, stamped_in
from medanchor.vault.keys import Signer
from medanchor.vault.search import find_digest
from medanchor.vault.store import Store
from medanchor.vault.tiles import RECORDS_PER_TILE, Digests, Unsalted

PIPED = b"-"
"""The container that was piped in has no path, the last record without one; what is inside it is kept under this."""


@dataclass(frozen=True, slots=True)
class StampRequest:
    """How to stamp: the signature's meaning, the time (RFC 3339, UTC), what it follows, and whether again."""

    meaning: str
    time: str
    follows: tuple[Follows, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class StampResult:
    """What a stamp did: the new entry (None if nothing was new), its records, and how many were stamped before.

    `inside` of its records lie in others.
    """

    entry: int | None
    records: int
    unchanged: int
    inside: int = 0


def stamp(
    store: Store, signer: Signer, collected: Sequence[Hashed], request: StampRequest, new_salts: NewSalts
) -> StampResult:
    """Append a bundle of the `collected` records to the ledger, leaving out those already stamped as they are.

    Durable when this returns. A record is left out if `signer` stamped the same bytes under the same path with the same
    meaning before; that is decided under the write lock, so two stampers of one folder do not both add it.
    """
    _check_follows(store, request)
    total = _count(collected)
    with store.writing():
        fresh = _in_order(_chosen(store, signer.public, collected, request))
        if not fresh:
            return StampResult(None, 0, total)
        root, records = add_records(store, _Records(fresh), new_salts)
        statement = Statement(root, records, request.time, store.origin, request.meaning, request.follows)
        add_signer(store, signer.public, signer.label, signer.role)
        envelope = sign_statement(statement, signer.public, signer.sign)
        entry = append_entry(store, envelope, _checkpoint(signer), _spans(fresh))
    return StampResult(entry, records, total - records, _count(hashed for hashed in fresh if hashed.inside))


def would_stamp(store: Store, signer_key: bytes, collected: Sequence[Hashed], request: StampRequest) -> int:
    """Return how many of the `collected` records a stamp with this key would add; nothing is written."""
    return _count(_chosen(store, signer_key, collected, request))


def _count(hashed: Iterable[Hashed]) -> int:
    return sum(len(part.names) for part in hashed)


def _in_order(fresh: Sequence[Hashed]) -> list[Hashed]:
    """Return all files first, then what is inside them: so the records of one folder stay together."""
    return sorted(fresh, key=lambda hashed: hashed.inside)


def _check_follows(store: Store, request: StampRequest) -> None:
    for follows in request.follows:
        if not 0 <= follows.entry < store.size():
            raise UsageError(
                f"expected --follows to name an entry of the ledger, found {follows.entry}", hint="see 'medanchor log'"
            )


def _checkpoint(signer: Signer) -> Callable[[TreeHead], str]:
    return lambda head: sign_checkpoint(head, signer.public, signer.sign)


def _chosen(store: Store, signer_key: bytes, collected: Sequence[Hashed], request: StampRequest) -> Sequence[Hashed]:
    """Return what of `collected` is to be stamped: what is new, and all that is inside it."""
    if request.again or request.follows:
        return collected
    fresh: list[Hashed] = []
    files = [hashed for hashed in collected if not hashed.inside]
    for folder, parts in groupby(files, key=lambda hashed: hashed.folder):
        of_folder = list(parts)
        known = _known(store, signer_key, folder, of_folder, request)
        fresh += filter(None, (_without(part, known) for part in of_folder)) if known else of_folder
    return fresh + _inside(fresh, collected)


def _inside(fresh: Sequence[Hashed], collected: Sequence[Hashed]) -> list[Hashed]:
    """Return those of `collected` that lie in a container among the files that are `fresh`."""
    inside = [hashed for hashed in collected if hashed.inside]
    if not inside:
        return []
    paths = {os.path.join(hashed.folder, name) for hashed in fresh for name in hashed.names}
    nameless = [hashed for hashed in collected if not hashed.folder]
    if nameless and nameless[-1] in fresh:
        paths.add(PIPED)
    return [hashed for hashed in inside if hashed.folder[:-1] in paths]


def _without(hashed: Hashed, known: set[tuple[bytes, bytes]]) -> Hashed | None:
    return hashed.only(lambda name, raw: (name, raw) not in known)


def _known(
    store: Store, signer_key: bytes, folder: bytes, parts: Iterable[Hashed], request: StampRequest
) -> set[tuple[bytes, bytes]]:
    """Return the (name, raw digest) pairs of `folder` that this signer stamped with this meaning before."""

    def same(entry: int) -> bool:
        envelope = store.entry(entry)
        return envelope.key_id == key_id(signer_key) and envelope.statement.meaning == request.meaning

    if not folder:  # no path to go by: what was piped in is known by its digest alone
        raws = (raw for hashed in parts for raw in hashed.raw_list())
        return {(b"", raw) for raw in raws if any(same(place.entry) for place in find_digest(store, Hash(raw)))}
    known: set[tuple[bytes, bytes]] = set()
    for stamped in stamped_in(store, folder):
        if same(stamped.entry):
            known.update(zip(stamped.names, stamped.raws, strict=True))
    return known


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of a bundle, those of one tile after those of another; they can be gone through again."""

    parts: Sequence[Hashed]

    def __iter__(self) -> Iterator[Unsalted]:
        names: list[bytes] = []
        raws, kinds, components = bytearray(), bytearray(), bytearray()

        def next_tile(count: int) -> Unsalted:
            end, width = count * HASH_LENGTH, sum(WIDTHS[kind] for kind in kinds[:count])
            contents = bytes(kinds[:count] + components[:width]) if any(kinds[:count]) else b""
            tile = Unsalted(names[:count], Digests(bytes(raws[:end]), contents))
            del names[:count], raws[:end], kinds[:count], components[:width]
            return tile

        for hashed in self.parts:
            names += hashed.names
            raws += hashed.raws
            kinds += hashed.kinds or bytes(len(hashed.names))
            components += hashed.components
            while len(names) >= RECORDS_PER_TILE:
                yield next_tile(RECORDS_PER_TILE)
        if names:
            yield next_tile(len(names))


def _spans(fresh: Iterable[Hashed]) -> list[Span]:
    """Return the spans of the bundle: one for each run of records in one folder."""
    spans: list[Span] = []
    first = 0
    for hashed in fresh:
        count = len(hashed.names)
        if spans and spans[-1].folder == hashed.folder:
            spans[-1] = Span(hashed.folder, spans[-1].first, spans[-1].count + count)
        else:
            spans.append(Span(hashed.folder, first, count))
        first += count
    return spans
