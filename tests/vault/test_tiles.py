"""Tiles against the textbook, and tiles damaged."""

import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaulted import (
    in_hand,
    in_hand_read,
    make_vault,
    mixed,
    numbered,
    pack,
    put,
    read_as,
    salts_of,
    textbook_path,
    textbook_root,
)

from medanchor.core.commitment import COMPONENTS, WIDTHS, Content, Kind, Record
from medanchor.core.hashes import Hash, sha256
from medanchor.core.ladder import ABSENT
from medanchor.core.merkle import leaf_hash
from medanchor.core.statement import parse_envelope
from medanchor.errors import VaultError
from medanchor.vault.bundles import BundleReader, count_records, tiles_of
from medanchor.vault.store import Store
from medanchor.vault.tiles import MAX_NAMES_BYTES, RECORDS_PER_TILE, Tile

SIZES = (1, 2, 1023, 1024, 1025, 1500, 2048, 2049, 3000)
MIXED_SIZES = (2, 1024, 1025, 3000)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A vault with one bundle of each size, then one of records of all kinds."""
    with Store(make_vault(tmp_path_factory.mktemp("tiles") / "vault")) as store:
        for size in SIZES:
            put(store, in_hand(numbered(size), b"/records/%d" % size))
        for size in MIXED_SIZES:
            put(store, in_hand_read(mixed(size), b"/mixed/%d" % size))
        yield store


def leaves_of(store, entry):
    """Every leaf of a bundle, by the slow way: record by record."""
    tiles = tiles_of(store, entry)
    return [leaf_hash(tile.record(offset).entry()) for tile in tiles for offset in range(tile.count)]


@pytest.mark.parametrize(("entry", "size"), list(enumerate((*SIZES, *MIXED_SIZES))))
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
    assert tile.record(1) == Record(0, salts_of(tile)[1], b"\x02" * 32)
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


# -- records of other kinds ----------------------------------------------------------------------------------------

DIGESTS = st.binary(min_size=32, max_size=32).map(Hash) | st.just(ABSENT)
RECORDS = st.sampled_from(Kind).flatmap(
    lambda kind: st.builds(
        Record,
        st.just(int(kind)),
        st.binary(min_size=16, max_size=16),
        DIGESTS,
        st.tuples(*[DIGESTS] * len(COMPONENTS[kind])),
    )
)


def packed(records):
    """The tile of `records`, its contents put together by hand (docs/format.md, section 10)."""
    kinds = bytes(record.kind for record in records)
    components = b"".join(part for record in records for part in record.components)
    names = [b"%d" % number for number in range(len(records))]
    contents = kinds + components if any(kinds) else b""
    return pack(b"".join(record.salt for record in records), [record.raw for record in records], names, contents)


@settings(deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=12))
def test_records_of_any_kinds_come_out_as_they_were_put_in(records):
    tile = packed(records)
    assert tile.is_whole
    assert tile.count == len(records)
    assert [tile.record(offset) for offset in range(tile.count)] == records
    leaves = [leaf_hash(record.entry()) for record in records]
    assert tile.leaves() == leaves
    assert tile.root == textbook_root(leaves)


@settings(deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=12))
def test_records_are_found_by_their_bytes_and_by_the_parts_that_tell_them(records):
    telling = {
        Kind.BYTES: (),
        Kind.FHIR: ("data", "numeric"),
        Kind.DICOM: ("dataset",),
        Kind.HL7: ("message", "body"),
        Kind.XML: ("canonical", "text"),
    }
    expected = {(offset, record.raw) for offset, record in enumerate(records)}
    for offset, record in enumerate(records):
        parts = dict(zip(COMPONENTS[record.kind], record.components, strict=True))
        expected |= {(offset, parts[name]) for name in telling[record.kind] if parts[name] != ABSENT}
    assert set(packed(records).digests.found_by()) == expected


def test_a_full_tile_of_the_longest_records_is_whole():
    records = [
        Record(Kind.FHIR, os.urandom(16), sha256(b"%d" % n), (sha256(b"c"),) * 5) for n in range(RECORDS_PER_TILE)
    ]
    tile = packed(records)
    assert tile.is_whole
    assert len(tile.contents) == RECORDS_PER_TILE * 161
    assert tile.record(RECORDS_PER_TILE - 1) == records[-1]
    assert tile.leaves()[-1] == leaf_hash(records[-1].entry())


def test_tiles_of_mere_bytes_are_those_of_medanchor_0_1(tile):
    """An auditor's copy of an old vault, and one of a new vault, have the same tiles."""
    salts, raws = salts_of(tile), tile.raws()
    assert tile.contents == b""
    assert tile.records == b"".join([*salts, *raws])
    assert tile.root == textbook_root([sha256(b"\0\0" + salt + raw) for salt, raw in zip(salts, raws, strict=True)])
    assert [tile.record(offset).kind for offset in range(3)] == [Kind.BYTES] * 3


def test_a_bundle_of_mere_bytes_has_no_contents(bundles):
    tables = bundles.database.execute("SELECT entry, count(*) FROM tile JOIN content ON tile = id GROUP BY entry")
    assert dict(tables) == {len(SIZES) + number: -(-size // 1024) for number, size in enumerate(MIXED_SIZES)}


def test_only_tiles_with_other_kinds_have_contents(store):
    records = {b"%06d" % number: Content(Kind.BYTES, sha256(b"%d" % number)) for number in range(2100)}
    records[b"001500"] = read_as(Kind.HL7, b"message")
    put(store, in_hand_read(records))
    first, second, third = tiles_of(store, 0)
    assert (first.contents, third.contents) == (b"", b"")
    assert second.contents == bytes(1500 - 1024) + b"\x03" + bytes(2047 - 1500) + b"".join(
        records[b"001500"].components
    )
    assert second.record(1500 - 1024).content == records[b"001500"]
    assert parse_envelope(store.envelope(0)).statement.root == textbook_root(leaves_of(store, 0))


MIXED = [
    Record(Kind.FHIR, bytes(16), sha256(b"1"), (sha256(b"c"),) * 5),
    Record(Kind.BYTES, bytes(16), sha256(b"2")),
    Record(Kind.DICOM, bytes(16), sha256(b"3"), (sha256(b"d"), ABSENT)),
]


def with_contents(contents):
    sound = packed(MIXED)
    return Tile(sound.records, sound.root, sound.names, contents)


def test_contents_of_another_length_are_not_whole():
    contents = packed(MIXED).contents
    assert with_contents(contents).is_whole
    for length in range(1, len(contents)):
        assert not with_contents(contents[:length]).is_whole, length
    for more in range(1, 200):
        assert not with_contents(contents + bytes(more)).is_whole, more


def test_kinds_that_ask_for_other_components_are_not_whole():
    contents = packed(MIXED).contents
    alike = {Kind.DICOM, Kind.HL7, Kind.XML}  # these have two each: the tile's root tells them apart
    for place in range(3):
        for kind in range(256):
            changed = contents[:place] + bytes([kind]) + contents[place + 1 :]
            whole = kind == contents[place] or {kind, contents[place]} <= alike
            assert with_contents(changed).is_whole is whole, (place, kind)
            if whole and kind != contents[place]:
                assert with_contents(changed).leaves() != packed(MIXED).leaves()


@pytest.mark.parametrize("contents", [b"\0", b"\0\0", b"\0\0\0", b"\0\0\0\0", b"\0\0\x05", b"\xff" * 3])
def test_contents_that_say_nothing_are_not_whole(contents):
    """A tile of mere bytes has none: what can be written in one way only cannot be changed unseen."""
    assert not with_contents(contents).is_whole


def test_every_changed_byte_of_contents_changes_the_root_or_is_not_whole():
    contents = packed(MIXED).contents
    for place in range(len(contents)):
        changed = with_contents(contents[:place] + bytes([contents[place] ^ 1]) + contents[place + 1 :])
        assert not changed.is_whole or textbook_root(changed.leaves()) != changed.root


def test_widths_are_those_of_the_components():
    assert WIDTHS == {0: 0, 1: 160, 2: 64, 3: 64, 4: 64}
