"""Tiles against the textbook, and tiles damaged."""

import os
import zlib

import pytest
from vaulted import in_hand, make_vault, numbered, put, textbook_path, textbook_root

from medanchor.core.commitment import Record
from medanchor.core.merkle import leaf_hash
from medanchor.core.statement import parse_envelope
from medanchor.errors import VaultError
from medanchor.vault.bundles import BundleReader, count_records, tiles_of
from medanchor.vault.store import Store
from medanchor.vault.tiles import MAX_NAMES_BYTES, RECORDS_PER_TILE, Tile, pack

SIZES = (1, 2, 1023, 1024, 1025, 1500, 2048, 2049, 3000)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A vault with one bundle of each size."""
    with Store(make_vault(tmp_path_factory.mktemp("tiles") / "vault")) as store:
        for size in SIZES:
            put(store, in_hand(numbered(size), b"/records/%d" % size))
        yield store


def leaves_of(store, entry):
    """Every leaf of a bundle, by the slow way: record by record."""
    tiles = tiles_of(store, entry)
    return [leaf_hash(tile.record(offset).entry()) for tile in tiles for offset in range(tile.count)]


@pytest.mark.parametrize(("entry", "size"), list(enumerate(SIZES)))
def test_roots_and_paths_from_tiles_are_those_of_the_textbook(bundles, entry, size):
    leaves = leaves_of(bundles, entry)
    signed = parse_envelope(bundles.envelope(entry)).statement
    assert len(leaves) == size == signed.records == count_records(bundles, entry)
    assert textbook_root(leaves) == signed.root
    reader = BundleReader(bundles, entry, size)
    samples = {0, 1, 2, 511, 512, 1022, 1023, 1024, 1025, 2047, 2048, size // 2, size - 2, size - 1}
    for index in sorted(samples & set(range(size))):
        position = reader.position(index)
        assert list(position.path) == textbook_path(index, leaves), index
        assert (position.index, position.size) == (index, size)


def test_positions_do_not_depend_on_the_order_in_which_they_are_asked_for(bundles):
    entry = SIZES.index(3000)
    shuffled = [2999, 0, 1024, 5, 2048, 1023, 2999, 0]
    reader = BundleReader(bundles, entry, 3000)
    fresh = [BundleReader(bundles, entry, 3000).position(index) for index in shuffled]
    assert [reader.position(index) for index in shuffled] == fresh


@pytest.mark.parametrize("size", [1, RECORDS_PER_TILE, 2 * RECORDS_PER_TILE, 3 * RECORDS_PER_TILE + 1])
def test_a_bundle_of_more_or_fewer_tiles_than_was_signed_is_not_read(bundles, size):
    with pytest.raises(VaultError, match="not whole"):
        BundleReader(bundles, SIZES.index(3000), size)


@pytest.fixture
def tile():
    salts = os.urandom(3 * 16)
    return pack(salts, [b"\x01" * 32, b"\x02" * 32, b"\x03" * 32], [b"a", b"\xff\xfe", b"c d"])


def test_what_is_packed_comes_out_again(tile):
    assert tile.count == 3
    assert tile.name_list() == [b"a", b"\xff\xfe", b"c d"]
    assert tile.raws() == [b"\x01" * 32, b"\x02" * 32, b"\x03" * 32]
    assert tile.record(1) == Record(0, tile.salts()[1], b"\x02" * 32)
    assert textbook_root(tile.leaves()) == tile.root


def test_leaves_made_in_bulk_are_the_leaves_of_entries(tile):
    assert tile.leaves() == [leaf_hash(tile.record(offset).entry()) for offset in range(3)]


def test_a_record_without_a_name_is_a_record():
    assert pack(bytes(16), [bytes(32)], [b""]).name_list() == [b""]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda names: names[:-1],
        lambda names: names + b"\0",
        lambda names: b"\xff" + names[1:],
        lambda _: zlib.compress(b"a\0b"),
        lambda _: zlib.compress(b"a\0b\0c\0d"),
        lambda names: names + zlib.compress(b"a\0b\0c"),
    ],
    ids=["gone", "cut", "longer", "header", "too-few", "too-many", "twice"],
)
def test_damaged_names_are_refused(tile, damage):
    with pytest.raises(VaultError, match="names are damaged"):
        Tile(tile.records, tile.root, damage(tile.names)).name_list()


def test_names_that_would_fill_the_memory_are_refused(tile):
    bomb = zlib.compress(b"a" * (MAX_NAMES_BYTES + 1) + b"\0b\0c")
    with pytest.raises(VaultError, match="names are damaged"):
        Tile(tile.records, tile.root, bomb).name_list()
