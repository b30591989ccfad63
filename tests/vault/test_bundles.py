"""Bundles: found again by path and by digest, whatever the paths and the digests are."""

import os
import threading

import pytest
from vaulted import (
    FOLDER,
    TIME,
    in_hand,
    in_hand_read,
    mixed,
    numbered,
    put,
    read_as,
    salts_of,
    signer_of,
    textbook_root,
)

from medanchor.core.commitment import Content, Kind
from medanchor.core.hashes import Hash, sha256
from medanchor.errors import VaultError
from medanchor.notary.stamp import StampRequest, stamp
from medanchor.records.digest import Hashed
from medanchor.vault import bundles, digest_index
from medanchor.vault.bundles import (
    FEW_TILES,
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
from medanchor.vault.integrity import check_database
from medanchor.vault.rows import seal
from medanchor.vault.search import find_digest, path_of
from medanchor.vault.tiles import join_roots

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


# -- records of other kinds, and containers ------------------------------------------------------------------------

CONTAINER = FOLDER + b"/export.ndjson/"


def put_container(store):
    """A folder with a text and a container of three, and another folder."""
    itself = {b"export.ndjson": Content(Kind.BYTES, sha256(b"all lines")), b"letter": Content(Kind.BYTES, sha256(b"l"))}
    inside = {b"1": read_as(Kind.FHIR, b"1"), b"2": Content(Kind.BYTES, sha256(b"2")), b"17": read_as(Kind.FHIR, b"17")}
    other = {b"image": read_as(Kind.DICOM, b"image")}
    put(store, in_hand_read(itself), in_hand_read(inside, CONTAINER), in_hand_read(other, b"/records/other"))
    return itself, inside, other


def test_what_is_inside_a_container_has_a_path_below_it(store):
    itself, inside, other = put_container(store)
    expected = {
        **{FOLDER + b"/" + name: content for name, content in itself.items()},
        **{CONTAINER + name: content for name, content in inside.items()},
        b"/records/other/image": other[b"image"],
    }
    for path, content in expected.items():
        (place,) = find_digest(store, content.raw)
        assert path_of(store, place) == path


def test_what_was_stamped_in_a_container_is_found_by_its_path(store):
    _, inside, _ = put_container(store)
    (stamped,) = stamped_in(store, CONTAINER)
    assert (stamped.folder, stamped.names) == (CONTAINER, list(inside))
    assert stamped.raws == [content.raw for content in inside.values()]
    assert names_in(store, FOLDER) == [b"export.ndjson", b"letter"]
    assert names_in(store, CONTAINER.removesuffix(b"/")) == []


def test_containers_are_no_folders(store):
    put_container(store)
    deep = b"/records/deep/a.zip/"
    put(store, in_hand({b"a.zip": b"zip"}, b"/records/deep"), in_hand_read(mixed(3), deep))
    put(store, in_hand({b"root.zip": b"root"}, b"/"), in_hand_read(mixed(3, 50), b"/root.zip/"))
    put(store, in_hand({b"": b"piped"}, b""), in_hand_read(mixed(3, 90), b"-/"))
    folders = [b"/", b"/records/deep", b"/records/other", FOLDER]
    assert all_folders(store) == sorted(folders)
    assert folders_below(store, b"/") == sorted(folders)
    assert folders_below(store, b"/records") == sorted(folders[1:])
    assert folders_below(store, FOLDER) == [FOLDER]
    assert folders_below(store, FOLDER + b"/export.ndjson") == []
    assert folders_below(store, CONTAINER) == []
    assert names_in(store, b"/") == [b"root.zip"]
    assert names_in(store, b"/root.zip/") == list(mixed(3, 50))
    assert list(check_database(store)) == []


def test_a_folder_that_was_a_container_once_keeps_its_records_apart(store):
    """The file a.zip was unpacked to a folder of the same name."""
    put(store, in_hand({b"a.zip": b"zip"}), in_hand_read(mixed(5), FOLDER + b"/a.zip/"))
    put(store, in_hand(numbered(2), FOLDER + b"/a.zip"))
    assert names_in(store, FOLDER + b"/a.zip") == list(numbered(2))
    assert names_in(store, FOLDER + b"/a.zip/") == list(mixed(5))
    assert folders_below(store, FOLDER) == [FOLDER, FOLDER + b"/a.zip"]


def index_rows(store):
    return set(store.database.execute("SELECT prefix, location FROM digest"))


def test_the_index_has_a_row_for_each_digest_by_which_a_record_is_found(store):
    _, inside, other = put_container(store)
    database = {path_of(store, Place(0, leaf)): (1 << 10) + leaf for leaf in range(6)}
    rows = {(tile(store, 0, 0).raws()[leaf][:8], (1 << 10) + leaf) for leaf in range(6)}
    for name in (b"1", b"17"):
        data, _, _, _, numeric = inside[name].components
        rows |= {(data[:8], database[CONTAINER + name]), (numeric[:8], database[CONTAINER + name])}
    rows.add((other[b"image"].components[0][:8], database[b"/records/other/image"]))
    assert index_rows(store) == rows


@pytest.mark.parametrize("count", [1, 5, 1024, 1025, 3000])
def test_mixed_bundles_after_raw_ones_are_sound_and_found_again(store, count):
    """Batches of raw tiles are indexed by SQLite, mixed ones by us: the numbers have to run on."""
    put(store, in_hand(numbered(1500)))
    put(store, in_hand_read(mixed(count)), in_hand(numbered(1030), b"/more"))
    put(store, in_hand(numbered(3, 7000)))
    put(store, in_hand_read(mixed(7, 5000)))
    assert list(check_database(store)) == []
    for leaf in {0, count - 1, count // 2}:
        content = mixed(count)[b"%06d" % leaf]
        assert find_digest(store, content.raw) == [Place(1, leaf)]
        assert path_of(store, Place(1, leaf)) == FOLDER + b"/%06d" % leaf
    assert find_digest(store, raw(numbered(1030)[b"record-000007.json"])) == [Place(0, 7), Place(1, count + 7)]
    assert find_digest(store, raw(b"content 7001")) == [Place(2, 1)]
    reader = BundleReader(store, 1, count + 1030)
    assert reader.position(count).index == count


def test_a_raw_tile_in_a_mixed_batch_is_indexed_as_well(store):
    put(store, in_hand(numbered(2048)), in_hand_read(mixed(10), b"/mixed"))
    assert list(check_database(store)) == []
    for number in (0, 1023, 1024, 2047):
        assert find_digest(store, raw(b"content %d" % number)) == [Place(0, number)]


# -- damage to contents --------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store):
    """A vault whose first bundle is raw (tiles 1, 2), whose second one has records of all kinds (tiles 3, 4)."""
    put(store, in_hand(numbered(1500)))
    put(store, in_hand_read(mixed(1500)))
    assert [row[0] for row in store.database.execute("SELECT tile FROM content")] == [3, 4]
    return store


def found_after(store, statement, *values):
    store.database.execute(statement, values)
    return list(check_database(store))


@pytest.mark.parametrize("place", [0, 1, 475, 476, 477, 1000, -33, -1])
def test_a_changed_byte_of_contents_is_found(filled, place):
    (contents,) = filled.database.execute("SELECT contents FROM content WHERE tile = 4").fetchone()
    place %= len(contents)
    changed = contents[:place] + bytes([contents[place] ^ 1]) + contents[place + 1 :]
    found = found_after(filled, "UPDATE content SET contents = ? WHERE tile = 4", changed)
    assert "row 2 of the table content is damaged" in found


@pytest.mark.parametrize("change", ["x''", "substr(contents, 2)", "substr(contents, 1, 475)", "contents || x'00'"])
def test_contents_of_another_length_are_found_though_their_seal_fits(filled, change):
    (changed,) = filled.database.execute(f"SELECT CAST({change} AS BLOB) FROM content WHERE tile = 4").fetchone()  # noqa: S608 - the test's own
    statement = "UPDATE content SET contents = ?, seal = ? WHERE tile = 4"
    assert found_after(filled, statement, changed, seal("content", 4, changed))
    if changed:
        with pytest.raises(VaultError, match="the bundle of entry 1 is not whole"):
            tile(filled, 1, 1)


@pytest.mark.parametrize("tile_id", [3, 4])
def test_contents_that_are_gone_are_missed(filled, tile_id):
    assert found_after(filled, "DELETE FROM content WHERE tile = ?", tile_id)


@pytest.mark.parametrize("contents", [b"", bytes(1024), b"\3" + bytes(1023 + 64)])
@pytest.mark.parametrize("tile_id", [1, 5, 0, -1])
def test_contents_that_nobody_wrote_are_found_though_their_seal_fits(filled, tile_id, contents):
    """For a tile of mere bytes, or for none."""
    values = (tile_id, contents)
    assert found_after(filled, "INSERT INTO content VALUES (?, ?, ?)", *values, seal("content", *values))


def test_contents_of_another_tile_are_found(filled):
    rows = dict(filled.database.execute("SELECT tile, contents FROM content").fetchall())
    for tile_id, contents in ((3, rows[4]), (4, rows[3])):
        values = (tile_id, contents)
        filled.database.execute("REPLACE INTO content VALUES (?, ?, ?)", (*values, seal("content", *values)))
    assert list(check_database(filled))


def test_a_row_of_the_index_for_a_part_that_is_gone_or_moved_is_found(filled):
    (contents,) = filled.database.execute("SELECT contents FROM content WHERE tile = 3").fetchone()
    prefix = contents[1024 : 1024 + 8]  # the first record is of mere bytes, the second one's data come first
    location = (3 << 10) + 1
    where = "WHERE prefix = ? AND location = ?"
    assert filled.database.execute(f"SELECT count(*) FROM digest {where}", (prefix, location)).fetchone() == (1,)  # noqa: S608 - the test's own
    filled.database.execute("SAVEPOINT sound")
    assert found_after(filled, f"DELETE FROM digest {where}", prefix, location)  # noqa: S608 - the test's own
    filled.database.execute("ROLLBACK TO sound")
    assert found_after(filled, f"UPDATE digest SET location = location + 1 {where}", prefix, location)  # noqa: S608 - the test's own
    filled.database.execute("ROLLBACK TO sound")
    assert list(check_database(filled)) == []


def test_a_table_of_contents_that_is_gone_is_told(filled):
    filled.database.execute("DROP TABLE content")
    assert "the database's tables are not those that medanchor made" in list(check_database(filled))


# -- batches -------------------------------------------------------------------------------------------------------


def fail_to_start(_thread):
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("alone", [False, True], ids=["a thread", "no thread is to be had"])
@pytest.mark.parametrize("count", [1, 1024, FEW_TILES * 512 - 1, FEW_TILES * 512, 9000])
def test_a_bundle_of_any_size_is_whole(store, monkeypatch, alone, count):
    monkeypatch.setattr(digest_index, "TILES_AT_ONCE", 2)
    if alone:
        monkeypatch.setattr(threading.Thread, "start", fail_to_start)
    files = numbered(count) | {b"export.ndjson": b"all lines"}
    put(store, in_hand(files), in_hand_read(mixed(count), CONTAINER))
    assert count_records(store, 0) == 2 * count + 1
    assert list(check_database(store)) == []
    assert store.entry(0).statement.root == join_roots(tiles_of(store, 0))
    tiles = list(tiles_of(store, 0))
    assert [name for tile in tiles for name in tile.name_list()] == [*files, *mixed(count)]
    assert all(textbook_root(tile.leaves()) == tile.root for tile in tiles)
    assert len({salt for tile in tiles for salt in salts_of(tile)}) == 2 * count + 1
    assert threading.active_count() == 1


@pytest.mark.parametrize("pages", [0, 100, 200, 300])
def test_a_disk_that_is_full_at_some_page_leaves_nothing_behind(store, pages):
    used = store.database.execute("PRAGMA page_count").fetchone()[0]
    store.database.execute(f"PRAGMA max_page_count = {used + pages}")
    with pytest.raises(VaultError, match="no space left"):
        put(store, in_hand(numbered(20_000)))
    assert store.size() == 0
    assert threading.active_count() == 1
    store.database.execute("PRAGMA max_page_count = 1000000")
    assert put(store, in_hand(numbered(20_000))) == 0
    assert list(check_database(store)) == []


@pytest.mark.parametrize("tiles", [0, 1, 3, 9])
@pytest.mark.parametrize("count", [12_000, 2_000])
def test_a_tile_that_cannot_be_salted_leaves_nothing_behind(store, tiles, count):
    """The operating system's random source fails at some tile, in this thread or in the other one."""
    calls = iter(range(min(tiles, count // 1024)))

    def new_salts(count):
        if next(calls, None) is None:
            raise OSError("no randomness")
        return os.urandom(count)

    collected = [in_hand(numbered(count))]
    with pytest.raises(OSError, match="no randomness"):
        stamp(store, signer_of(store), collected, StampRequest("authorship", TIME), new_salts)
    assert store.size() == 0
    assert list(check_database(store)) == []
    assert threading.active_count() == 1
    assert put(store, *collected) == 0


def test_salting_stops_where_the_index_could_not_be_written(store, monkeypatch):
    """Nobody waits for a million salts after Ctrl-C."""
    salted = []
    begun, failed = threading.Event(), threading.Event()

    def new_salts(count):
        salted.append(count)
        begun.set()
        failed.wait(10)
        return os.urandom(count)

    def interrupted(*_):
        begun.wait(10)
        threading.Timer(0.1, failed.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(bundles, "add_digests", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stamp(store, signer_of(store), [in_hand(numbered(12_000))], StampRequest("authorship", TIME), new_salts)
    assert len(salted) < 3
    assert store.size() == 0
