"""Records found again in the vault by what they are: by their bytes, or by a part that tells them."""

import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from medanchor.core.commitment import Content, Record
from medanchor.core.hashes import Hash
from medanchor.core.ladder import ABSENT
from medanchor.vault.bundles import Place, tile
from medanchor.vault.digest_index import PREFIX_LENGTH
from medanchor.vault.store import Store
from medanchor.vault.tiles import FOUND_BY, LEVEL, RECORDS_PER_TILE, Tile


class Search:
    """Looks records up; the tiles it met last are kept, as what stands together is looked up together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tile = lru_cache(maxsize=8)(lambda entry, number: tile(store, entry, number))

    def digest(self, raw: Hash) -> Iterator[tuple[Place, Record]]:
        """Return the records with the raw digest `raw`, oldest first; twins can be many."""
        return ((place, record) for place, record in self._found_by(raw) if record.raw == raw)

    def alike(self, content: Content) -> Iterator[tuple[Place, Record]]:
        """Return the records that have a part of `content` by which a record is told, the most telling part first."""
        for number in FOUND_BY.get(content.kind, ()):
            component = content.components[number]
            for place, record in self._found_by(component) if component != ABSENT else ():
                if record.kind == content.kind and record.components[number] == component:
                    yield place, record

    def record(self, place: Place) -> Record:
        """Return the record at `place`. Raises VaultError."""
        found: Tile = self._tile(place.entry, place.leaf >> LEVEL)
        return found.record(place.leaf & (RECORDS_PER_TILE - 1))

    def _found_by(self, digest: Hash) -> Iterator[tuple[Place, Record]]:
        """Return the records that the index has under `digest`, or under one that begins as it does; oldest first."""
        query = (
            "SELECT tile.entry, tile.number, digest.location FROM digest"
            " JOIN tile ON tile.id = digest.location >> ? WHERE digest.prefix = ? ORDER BY digest.location"
        )
        with self._store.reading() as database:
            for entry, number, location in database.execute(query, (LEVEL, digest[:PREFIX_LENGTH])):
                place = Place(entry, number * RECORDS_PER_TILE + (location & (RECORDS_PER_TILE - 1)))
                yield place, self.record(place)


def find_digest(store: Store, raw: Hash, *, most: int | None = None) -> list[Place]:
    """Return where records with the raw digest `raw` stand, oldest first; `most` of them."""
    return [place for place, _ in islice(Search(store).digest(raw), most)]


def path_of(store: Store, place: Place) -> bytes:
    """Return the path under which the record at `place` was stamped; empty if it had none."""
    query = (
        "SELECT folder.path FROM span JOIN folder ON folder.id = span.folder"
        " WHERE span.entry = ? AND span.first <= ? AND span.first + span.count > ?"
        " ORDER BY span.first DESC LIMIT 1"  # from the index: the first one looked at is the one
    )
    name = tile(store, place.entry, place.leaf >> LEVEL).name_list()[place.leaf & (RECORDS_PER_TILE - 1)]
    with store.reading() as database:
        row = database.execute(query, (place.entry, place.leaf, place.leaf)).fetchone()
    return os.path.join(row[0], name) if row else name
