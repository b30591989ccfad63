"""The index of digests: SQLite cuts what Python would cut, whatever kinds of records stand in a bundle."""

import os
import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from medanchor.core.commitment import COMPONENTS, Kind
from medanchor.core.hashes import Hash, sha256
from medanchor.core.ladder import ABSENT
from medanchor.vault.digest_index import PREFIX_LENGTH, add_digests, rows_of
from medanchor.vault.store import apply_migrations
from medanchor.vault.tiles import FOUND_BY, RECORDS_PER_TILE, Digests, Unsalted

FEW = [sha256(b"one"), sha256(b"two"), sha256(b"one")[:PREFIX_LENGTH] + bytes(24), ABSENT]
"""Digests that are alike: the same, the same at their beginning, absent."""
digests = st.sampled_from(FEW) | st.binary(min_size=32, max_size=32)


def tile_of(kinds, components):
    names = [b"%d" % number for number in range(len(kinds))]
    raws = [sha256(name) for name in names]
    contents = bytes(kinds) + b"".join(components) if any(kinds) else b""
    return Unsalted(names, Digests(b"".join(raws), contents))


@st.composite
def tiles(draw):
    """One tile of up to four records, of one kind or of several."""
    kinds = draw(st.lists(st.sampled_from(Kind), min_size=1, max_size=4))
    if draw(st.booleans()):
        kinds = kinds[:1] * len(kinds)
    return tile_of(kinds, [draw(digests) for kind in kinds for _ in COMPONENTS[kind]])


def fresh_database():
    database = sqlite3.connect(":memory:", isolation_level=None)
    apply_migrations(database)
    return closing(database)


def index_of(database):
    return set(database.execute("SELECT prefix, location FROM digest"))


@given(tile=tiles(), tile_id=st.integers(1, 2**40))
def test_sqlite_cuts_the_rows_that_python_does(tile, tile_id):
    with fresh_database() as database:
        add_digests(database, tile_id, [tile])
        assert index_of(database) == rows_of(tile_id, tile.digests)


def test_tiles_of_several_kinds_in_a_row_are_all_found():
    def full(kind, end=RECORDS_PER_TILE):
        kinds = [kind] * end
        return tile_of(kinds, [os.urandom(32) for one in kinds for _ in COMPONENTS[one]])

    mixed = tile_of([Kind.BYTES, Kind.FHIR] * 512, [os.urandom(32) for _ in range(512 * 5)])
    run = [mixed, full(Kind.FHIR), full(Kind.FHIR), full(Kind.BYTES), full(Kind.XML), mixed, full(Kind.HL7, 7)]
    with fresh_database() as database:
        add_digests(database, 5, run)
        expected = [rows_of(tile_id, tile.digests) for tile_id, tile in enumerate(run, 5)]
        assert index_of(database) == set().union(*expected)
        assert len(index_of(database)) == sum(map(len, expected))


def test_an_equal_part_takes_no_second_row():
    data, numeric = FOUND_BY[Kind.FHIR]
    parts = [Hash(os.urandom(32)) for _ in COMPONENTS[Kind.FHIR]]
    parts[numeric] = parts[data]
    with fresh_database() as database:
        add_digests(database, 1, [tile_of([Kind.FHIR], parts)])
        assert len(index_of(database)) == 2
