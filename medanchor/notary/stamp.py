"""Stamping: records become a bundle, a signed statement about it an entry of the ledger. All of it, or nothing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from medanchor.core.checkpoint import sign_checkpoint
from medanchor.core.commitment import TreeHead
from medanchor.core.hashes import SALT_LENGTH, Hash
from medanchor.core.signature import key_id
from medanchor.core.statement import Follows, Statement, sign_statement
from medanchor.errors import UsageError
from medanchor.records.digest import Hashed
from medanchor.vault.anchors import add_signer
from medanchor.vault.bundles import Span, append_entry, find_digest, stamped_in
from medanchor.vault.keys import Signer
from medanchor.vault.store import Store
from medanchor.vault.tiles import RECORDS_PER_TILE, Tile, join_roots, pack

NewSalts = Callable[[int], bytes]
"""A count of bytes → that many from the operating system's random source: one call for all salts of a tile."""


@dataclass(frozen=True, slots=True)
class StampRequest:
    """How to stamp: the signature's meaning, the time (RFC 3339, UTC), what it follows, and whether again."""

    meaning: str
    time: str
    follows: tuple[Follows, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class StampResult:
    """What a stamp did: the new entry (None if nothing was new), its records, and how many were stamped before."""

    entry: int | None
    records: int
    unchanged: int


def stamp(
    store: Store, signer: Signer, collected: Sequence[Hashed], request: StampRequest, new_salts: NewSalts
) -> StampResult:
    """Append a bundle of the `collected` records to the ledger, leaving out those already stamped as they are.

    Durable when this returns. A record is left out if `signer` stamped the same bytes under the same path with the same
    meaning before; that is decided under the write lock, so two stampers of one folder do not both add it.
    """
    _check_follows(store, request)
    total = sum(len(hashed.names) for hashed in collected)
    with store.writing():
        fresh = collected if request.again or request.follows else _fresh(store, signer, collected, request)
        if not fresh:
            return StampResult(None, 0, total)
        tiles = list(_tiles(fresh, new_salts))
        records = sum(tile.count for tile in tiles)
        statement = Statement(join_roots(tiles), records, request.time, store.origin, request.meaning, request.follows)
        add_signer(store, signer.public, signer.label, signer.role)
        envelope = sign_statement(statement, signer.public, signer.sign)
        entry = append_entry(store, envelope, _checkpoint(signer), tiles, _spans(fresh))
    return StampResult(entry, records, total - records)


def would_stamp(store: Store, signer_key: bytes, collected: Sequence[Hashed], request: StampRequest) -> int:
    """Return how many of the `collected` records a stamp with this key would add; nothing is written."""
    if request.again or request.follows:
        return sum(len(hashed.names) for hashed in collected)
    signer = Signer(signer_key, "", "", bytes)
    return sum(len(hashed.names) for hashed in _fresh(store, signer, collected, request))


def _check_follows(store: Store, request: StampRequest) -> None:
    for follows in request.follows:
        if not 0 <= follows.entry < store.size():
            raise UsageError(
                f"expected --follows to name an entry of the ledger, found {follows.entry}", hint="see 'medanchor log'"
            )


def _checkpoint(signer: Signer) -> Callable[[TreeHead], str]:
    return lambda head: sign_checkpoint(head, signer.public, signer.sign)


def _fresh(store: Store, signer: Signer, collected: Sequence[Hashed], request: StampRequest) -> list[Hashed]:
    """Return what is new in `collected`."""
    fresh: list[Hashed] = []
    for folder, parts in groupby(collected, key=lambda hashed: hashed.folder):
        of_folder = list(parts)
        known = _known(store, signer, folder, of_folder, request)
        fresh += filter(None, (_without(part, known) for part in of_folder)) if known else of_folder
    return fresh


def _without(hashed: Hashed, known: set[tuple[bytes, bytes]]) -> Hashed | None:
    pairs = [pair for pair in zip(hashed.names, hashed.raw_list(), strict=True) if pair not in known]
    return Hashed(hashed.folder, [name for name, _ in pairs], b"".join(raw for _, raw in pairs)) if pairs else None


def _known(
    store: Store, signer: Signer, folder: bytes, parts: Iterable[Hashed], request: StampRequest
) -> set[tuple[bytes, bytes]]:
    """Return the (name, raw digest) pairs of `folder` that this signer stamped with this meaning before."""

    def same(entry: int) -> bool:
        envelope = store.entry(entry)
        return envelope.key_id == key_id(signer.public) and envelope.statement.meaning == request.meaning

    if not folder:  # no path to go by: what was piped in is known by its digest alone
        raws = (raw for hashed in parts for raw in hashed.raw_list())
        return {(b"", raw) for raw in raws if any(same(place.entry) for place in find_digest(store, Hash(raw)))}
    known: set[tuple[bytes, bytes]] = set()
    for stamped in stamped_in(store, folder):
        if same(stamped.entry):
            known.update(zip(stamped.names, stamped.raws, strict=True))
    return known


def _tiles(fresh: Iterable[Hashed], new_salts: NewSalts) -> Iterator[Tile]:
    names: list[bytes] = []
    raws: list[bytes] = []
    for hashed in fresh:
        names += hashed.names
        raws += hashed.raw_list()
        start = 0
        while len(names) - start >= RECORDS_PER_TILE:
            end = start + RECORDS_PER_TILE
            yield pack(new_salts(RECORDS_PER_TILE * SALT_LENGTH), raws[start:end], names[start:end])
            start = end
        del names[:start], raws[:start]
    if names:
        yield pack(new_salts(len(names) * SALT_LENGTH), raws, names)


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
