"""Bundles: found again by path and by digest, whatever the paths and the digests are."""

import pytest
from vaulted import FOLDER, in_hand, numbered, put

from medanchor.core.hashes import Hash
from medanchor.errors import VaultError
from medanchor.records.digest import Hashed
from medanchor.vault.bundles import (
    BundleReader,
    Place,
    all_folders,
    count_records,
    folders_below,
    stamped_in,
    tile,
    tile_roots,
    tiles_of,
)
from medanchor.vault.search import find_digest, path_of

WEIRD = [
    b"\xff\xfe",
    b"\n",
    b" ",
    b"a b.txt",
    b"'; DROP TABLE tile; --",
    b"%s",
    b"-rf",
    b"\xc3\xa9",
    b"x" * 255,
    b"\\0",
]


def names_in(store, folder):
    return [name for stamped in stamped_in(store, folder) for name in stamped.names]


def raw(content):
    return in_hand({b"": content}).raw_list()[0]


def test_names_and_folders_of_any_bytes_are_found_again(store):
    for folder in WEIRD:
        put(store, in_hand({name: folder + name for name in WEIRD}, b"/" + folder))
    for folder in WEIRD:
        assert names_in(store, b"/" + folder) == WEIRD
        for index, name in enumerate(WEIRD):
            (place,) = find_digest(store, raw(folder + name))
            assert place.leaf == index
            assert path_of(store, place) == b"/" + folder + b"/" + name
    assert all_folders(store) == sorted(b"/" + folder for folder in WEIRD)


def test_records_in_the_root_folder_are_found_again(store):
    put(store, in_hand({b"letter": b"content"}, b"/"))
    assert names_in(store, b"/") == [b"letter"]
    assert path_of(store, Place(0, 0)) == b"/letter"
    assert folders_below(store, b"/") == [b"/"]


def test_a_folder_is_not_taken_for_one_whose_name_begins_alike(store):
    folders = [b"/a", b"/a/b", b"/a/b/c", b"/a/b-", b"/a/b.d", b"/a/b0", b"/a/bc", b"/a/b\xff", b"/a/B"]
    for folder in folders:
        put(store, in_hand({b"name": folder}, folder))
    assert folders_below(store, b"/a/b") == [b"/a/b", b"/a/b/c"]
    assert folders_below(store, b"/a/b/") == [b"/a/b/c"]
    assert folders_below(store, b"/a/bc") == [b"/a/bc"]
    assert folders_below(store, b"/") == folders_below(store, b"/a") == sorted(folders)
    assert folders_below(store, b"/nowhere") == []
    assert names_in(store, b"/a/b") == [b"name"]


def test_digests_that_begin_alike_are_told_apart(store):
    alike = [b"\xfe" * 8 + bytes([number]) * 24 for number in range(5)]
    put(store, Hashed(FOLDER, [b"%d" % number for number in range(5)], b"".join(alike)))
    for index, digest in enumerate(alike):
        assert find_digest(store, Hash(digest)) == [Place(0, index)]
    assert find_digest(store, Hash(b"\xfe" * 8 + b"\x77" * 24)) == []


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, b"\x80" + bytes(31), b"\x7f" + b"\xff" * 31])
def test_digests_at_the_ends_of_the_range_are_found(store, digest):
    put(store, Hashed(FOLDER, [b"a", b"b"], b"\x01" * 32 + digest))
    assert find_digest(store, Hash(digest)) == [Place(0, 1)]


def test_records_without_a_path_are_found_by_their_digest_alone(store):
    put(store, in_hand({b"": b"piped in"}, b""), in_hand({b"named": b"named"}))
    (place,) = find_digest(store, raw(b"piped in"))
    assert path_of(store, place) == b""
    assert all_folders(store) == folders_below(store, b"/") == [FOLDER]


def test_twins_in_one_bundle_have_places_of_their_own(store):
    put(store, in_hand({b"a": b"twin", b"b": b"other", b"c": b"twin"}))
    assert find_digest(store, raw(b"twin")) == [Place(0, 0), Place(0, 2)]
    assert path_of(store, Place(0, 2)) == FOLDER + b"/c"
    assert find_digest(store, raw(b"twin"), most=1) == [Place(0, 0)]
    assert find_digest(store, raw(b"twin"), most=2) == find_digest(store, raw(b"twin"), most=9)
    leaves = tile(store, 0, 0).leaves()
    assert leaves[0] != leaves[2], "each has a salt of its own, so nobody sees that they are twins"


def test_versions_of_one_name_come_oldest_first(store):
    for version in (b"1", b"2", b"3"):
        put(store, in_hand({b"note": version}))
    assert [stamped.raws for stamped in stamped_in(store, FOLDER)] == [[raw(version)] for version in (b"1", b"2", b"3")]
    assert [stamped.entry for stamped in stamped_in(store, FOLDER)] == [0, 1, 2]


def test_a_folder_spread_over_tiles_and_bundles_is_whole(store):
    put(store, in_hand(numbered(700), b"/x"), in_hand(numbered(700), b"/y"), in_hand(numbered(1300), b"/z"))
    put(store, in_hand(numbered(2100, start=700), b"/y"))
    assert names_in(store, b"/x") == list(numbered(700))
    assert names_in(store, b"/y") == list(numbered(2800))
    assert names_in(store, b"/z") == list(numbered(1300))
    for stamped in stamped_in(store, b"/y"):
        expected = in_hand(numbered(2800)).raw_list()
        assert stamped.raws == [expected[int(name[7:13])] for name in stamped.names]


@pytest.mark.parametrize("index", [0, 699, 700, 1023, 1024, 1399, 1400, 2047, 2048, 2699])
def test_every_index_leads_to_its_path_and_back(store, index):
    put(store, in_hand(numbered(700), b"/x"), in_hand(numbered(700), b"/y"), in_hand(numbered(1300), b"/z"))
    folder, offset = (b"/x", 0) if index < 700 else (b"/y", 700) if index < 1400 else (b"/z", 1400)
    name = b"record-%06d.json" % (index - offset)
    assert path_of(store, Place(0, index)) == folder + b"/" + name
    assert Place(0, index) in find_digest(store, raw(numbered(1300)[name]))


def test_all_256_tiles_and_more_are_indexed(store):
    """More tiles than are put into the index at once, so that its second run begins where the first one ended."""
    count = 257 * 1024 + 3
    raws = b"".join(number.to_bytes(32, "little") for number in range(count))
    put(store, Hashed(FOLDER, [b"%d" % number for number in range(count)], raws))
    assert count_records(store, 0) == count
    assert len(tile_roots(store, 0)) == 258
    for index in (0, 255 * 1024, 256 * 1024 - 1, 256 * 1024, 257 * 1024, count - 1):
        assert find_digest(store, Hash(index.to_bytes(32, "little"))) == [Place(0, index)]
        assert path_of(store, Place(0, index)) == FOLDER + b"/%d" % index
        BundleReader(store, 0, count).position(index)


@pytest.mark.parametrize("records", ["substr(records, 2)", "x''", "x'00'", "zeroblob(48 * 1025)"])
def test_a_tile_that_is_no_whole_number_of_records_is_told(store, records):
    put(store, in_hand(numbered(3)))
    store.database.execute(f"UPDATE tile SET records = {records}")  # noqa: S608 - the test's own
    for read in (lambda: tile(store, 0, 0), lambda: list(tiles_of(store, 0)), lambda: list(stamped_in(store, FOLDER))):
        with pytest.raises(VaultError, match="the bundle of entry 0 is not whole") as caught:
            read()
        assert caught.value.hint == "run 'medanchor audit'"


def test_a_path_is_found_without_looking_at_all_folders(store):
    """A moved tree asks for as many paths as it has records: to go through all folders each time takes minutes."""
    put(store, *(in_hand({b"record": b"%d" % number}, b"/folder-%03d" % number) for number in range(500)))
    steps = []
    store.database.set_progress_handler(lambda: steps.append(1) and 0, 1)
    for number in (0, 250, 499):
        steps.clear()
        assert path_of(store, Place(0, number)) == b"/folder-%03d/record" % number
        assert len(steps) < 200


def test_of_many_twins_one_is_found_without_looking_at_the_others(store):
    put(store, in_hand(dict.fromkeys(numbered(2000), b"")))
    steps = []
    store.database.set_progress_handler(lambda: steps.append(1) and 0, 1)
    assert find_digest(store, raw(b""), most=1) == [Place(0, 0)]
    assert len(steps) < 200


def test_a_folder_that_is_gone_lends_no_other_its_name(store):
    put(store, in_hand({b"a": b"1"}, b"/x"), in_hand({b"b": b"2"}, b"/y"))
    store.database.execute("DELETE FROM folder WHERE path = x'2f79'")
    assert path_of(store, Place(0, 1)) == b"b"


def test_a_missing_tile_is_told(store):
    put(store, in_hand(numbered(2)))
    with pytest.raises(VaultError, match="the bundle of entry 0 is not whole"):
        tile(store, 0, 1)
    store.database.execute("DELETE FROM tile")
    with pytest.raises(VaultError, match="the bundle of entry 0 is not whole"):
        list(stamped_in(store, FOLDER))
