"""Stamping: what is new is stamped, what is not is left out, and the ledger holds what was signed."""

import gzip
import io
import os

import pytest
from vaulted import FOLDER, another_signer, in_hand, in_hand_read, mixed, numbered, put, read_as, salts_of

from medanchor.core.checkpoint import verify_checkpoint
from medanchor.core.commitment import Content, Kind
from medanchor.core.hashes import sha256
from medanchor.core.statement import Follows, parse_envelope, verify_envelope
from medanchor.errors import UsageError
from medanchor.notary.stamp import StampRequest, stamp, would_stamp
from medanchor.records.detect import Reading
from medanchor.records.digest import Hashed, digest_all, hashed_one, inside
from medanchor.records.stream import read_pipe
from medanchor.records.walk import walk
from medanchor.vault.bundles import Place, all_folders, count_records, stamped_in, tiles_of
from medanchor.vault.integrity import check_database
from medanchor.vault.search import path_of

FOLLOWS = (Follows(0, "amendment", "correction"),)
REQUEST = StampRequest("authorship", "2026-11-21T18:04:05Z")


def outcome(result):
    return result.entry, result.records, result.unchanged


def test_a_second_stamp_of_the_same_adds_nothing(desk):
    assert outcome(desk.stamp()) == (0, 3, 0)
    assert outcome(desk.stamp()) == (None, 0, 3)
    assert desk.store.size() == 1


def test_only_what_is_new_or_changed_is_stamped(desk):
    desk.stamp()
    desk.write("letter", b"another letter")
    desk.write("new", b"new")
    assert outcome(desk.stamp()) == (1, 2, 2)
    (_, second) = stamped_in(desk.store, os.fsencode(desk.records.resolve()))
    assert second.names == [b"letter", b"new"]


def test_another_meaning_is_another_statement(desk):
    desk.stamp()
    assert outcome(desk.stamp(meaning="review")) == (1, 3, 0)
    assert outcome(desk.stamp(meaning="review")) == (None, 0, 3)
    assert outcome(desk.stamp()) == (None, 0, 3)


def test_another_key_is_another_statement(desk):
    other = another_signer(desk.store)
    desk.stamp()
    assert outcome(desk.stamp(signer=other)) == (1, 3, 0)
    assert outcome(desk.stamp(signer=other)) == (None, 0, 3)


def test_the_same_bytes_under_another_name_are_another_record(desk):
    desk.stamp()
    desk.write("copy", b"letter")
    assert outcome(desk.stamp()) == (1, 1, 3)


def test_again_means_again(desk):
    desk.stamp()
    assert outcome(desk.stamp(again=True)) == (1, 3, 0)


def test_what_follows_another_entry_says_so_and_is_stamped_whatever_was_before(desk):
    desk.stamp()
    assert outcome(desk.stamp("letter", follows=FOLLOWS)) == (1, 1, 0)
    assert parse_envelope(desk.store.envelope(1)).statement.follows == FOLLOWS


@pytest.mark.parametrize("entry", [0, 1, 1 << 62])
def test_only_an_entry_of_the_ledger_can_be_followed(desk, entry):
    with pytest.raises(UsageError, match=f"found {entry}"):
        desk.stamp(follows=(Follows(entry, "amendment", "correction"),))
    assert desk.store.size() == 0


def test_no_records_make_no_entry(desk):
    assert outcome(stamp(desk.store, desk.signer, [], REQUEST, os.urandom)) == (None, 0, 0)
    assert desk.store.size() == 0


def test_what_was_piped_in_is_known_by_its_digest(desk):
    piped, other = in_hand({b"": b"piped"}, b""), in_hand({b"": b"other"}, b"")
    assert outcome(stamp(desk.store, desk.signer, [piped], REQUEST, os.urandom)) == (0, 1, 0)
    assert outcome(stamp(desk.store, desk.signer, [piped, other], REQUEST, os.urandom)) == (1, 1, 1)


def test_what_would_be_stamped_is_what_is_stamped(desk):
    def would(**options):
        request = StampRequest(options.pop("meaning", "authorship"), REQUEST.time, **options)
        return would_stamp(desk.store, desk.signer.public, desk.in_hand(), request)

    assert would() == 3
    desk.stamp("letter")
    assert (would(), would(meaning="review"), would(again=True), would(follows=FOLLOWS)) == (2, 3, 3, 3)
    assert desk.store.size() == 1
    assert desk.stamp().records == 2


def test_entries_carry_the_signature_and_the_checkpoint_of_their_time(desk):
    for size in (1, 2, 3):
        desk.stamp(again=True)
        statement = verify_envelope(desk.store.envelope(size - 1), desk.signer.public)
        assert (statement.records, statement.ledger) == (3, desk.store.origin)
        head = verify_checkpoint(desk.store.checkpoint(size - 1), desk.signer.public)
        assert head == desk.store.head(size)


def test_salts_are_never_used_twice(desk):
    put(desk.store, in_hand(numbered(2000)))
    put(desk.store, in_hand(numbered(2000)), again=True)
    salts = [salt for entry in (0, 1) for tile in tiles_of(desk.store, entry) for salt in salts_of(tile)]
    assert len(set(salts)) == len(salts) == 4000


def test_a_source_of_salts_that_breaks_leaves_the_ledger_as_it_was(desk):
    def broken(_count):
        raise OSError("no randomness")

    with pytest.raises(OSError, match="no randomness"):
        stamp(desk.store, desk.signer, desk.in_hand(), REQUEST, broken)
    assert desk.store.size() == 0
    assert desk.stamp().entry == 0


def test_a_signer_that_breaks_leaves_the_ledger_as_it_was(desk):
    def broken(_message):
        raise KeyboardInterrupt

    signer = type(desk.signer)(desk.signer.public, "", "", broken)
    with pytest.raises(KeyboardInterrupt):
        desk.stamp(signer=signer)
    assert (desk.store.size(), desk.damage()) == (0, [])


def test_records_of_many_folders_fill_tiles_across_them(desk):
    folders = [in_hand(numbered(400), b"/%d" % number) for number in range(6)]
    put(desk.store, *folders)
    assert count_records(desk.store, 0) == 2400
    assert [tile.count for tile in tiles_of(desk.store, 0)] == [1024, 1024, 352]
    assert desk.damage() == []


# -- containers ----------------------------------------------------------------------------------------------------


def patient(number):
    return b'{"resourceType":"Patient","id":"%d"}\n' % number


def export(*numbers):
    return b"".join(patient(number) for number in numbers)


def collected(*paths):
    return [item for item in digest_all(walk(paths), lambda _count: None, Reading()) if isinstance(item, Hashed)]


@pytest.fixture
def ward(desk):
    """The desk's records read as what they are: two containers, a resource and a letter."""
    (desk.records / "image").unlink()
    desk.write("results", patient(77))
    desk.write("a.ndjson", export(1, 2, 3))
    desk.write("b.ndjson.gz", gzip.compress(export(4, 5), mtime=0))
    return Ward(desk)


class Ward:
    def __init__(self, desk):
        self.desk, self.store = desk, desk.store

    def collected(self):
        return collected(os.fsencode(self.desk.records))

    def stamp(self, *, signer=None, **how):
        request = StampRequest(how.pop("meaning", "authorship"), REQUEST.time, **how)
        return stamp(self.store, signer or self.desk.signer, self.collected(), request, os.urandom)

    def would(self, **how):
        return would_stamp(self.store, self.desk.signer.public, self.collected(), StampRequest("authorship", "", **how))

    def paths(self, entry):
        """The paths of an entry's records below the ward's folder, in their order."""
        count = count_records(self.store, entry)
        return [self.desk.name(path_of(self.store, Place(entry, leaf))) for leaf in range(count)]


FILES = ["a.ndjson", "b.ndjson.gz", "letter", "results"]
IN_A = ["a.ndjson/1", "a.ndjson/2", "a.ndjson/3"]
IN_B = ["b.ndjson.gz/1", "b.ndjson.gz/2"]


def test_a_container_is_stamped_with_all_that_is_inside(ward):
    result = ward.stamp()
    assert (*outcome(result), result.inside) == (0, 9, 0, 5)
    assert ward.paths(0) == [*FILES, *IN_A, *IN_B], "files come first, then what is inside them"
    assert ward.desk.damage() == []


def test_the_statement_counts_all_records_those_inside_too(ward):
    """n records that verify at the n leaves are all there are: none was left out of the container."""
    ward.stamp()
    statement = verify_envelope(ward.store.envelope(0), ward.desk.signer.public)
    assert statement.records == count_records(ward.store, 0) == 9
    assert sum(tile.count for tile in tiles_of(ward.store, 0)) == 9


def test_an_unchanged_container_is_passed_over_whole(ward):
    ward.stamp()
    result = ward.stamp()
    assert (*outcome(result), result.inside) == (None, 0, 9, 0)
    assert ward.store.size() == 1


def test_a_changed_container_is_stamped_whole_again(ward):
    ward.stamp()
    ward.desk.write("a.ndjson", export(1, 2, 9, 3))
    result = ward.stamp()
    assert (*outcome(result), result.inside) == (1, 5, 5, 4)
    assert ward.paths(1) == ["a.ndjson", *IN_A, "a.ndjson/4"]
    assert ward.desk.damage() == []


def test_a_container_that_lost_a_record_is_stamped_whole_again(ward):
    ward.stamp()
    ward.desk.write("a.ndjson", export(1, 3))
    assert outcome(ward.stamp()) == (1, 3, 5)
    assert ward.paths(1) == ["a.ndjson", "a.ndjson/1", "a.ndjson/2"]


def test_a_container_that_became_empty_is_stamped_without_anything_inside(ward):
    ward.stamp()
    ward.desk.write("a.ndjson", b"")
    result = ward.stamp()
    assert (*outcome(result), result.inside) == (1, 1, 5, 0)


def test_a_new_file_beside_a_container_stamps_that_file_only(ward):
    ward.stamp()
    ward.desk.write("new", b"new")
    assert outcome(ward.stamp()) == (1, 1, 9)
    assert ward.paths(1) == ["new"]


def test_a_container_under_another_name_is_another_container(ward):
    ward.stamp()
    ward.desk.write("copy.ndjson", export(1, 2, 3))
    assert outcome(ward.stamp()) == (1, 4, 9)
    assert ward.paths(1) == ["copy.ndjson", "copy.ndjson/1", "copy.ndjson/2", "copy.ndjson/3"]


def test_a_container_whose_name_another_begins_with_is_not_taken_for_it(ward):
    ward.desk.write("a.ndjson.ndjson", export(1, 2))
    ward.stamp()
    ward.desk.write("a.ndjson", export(8, 9))
    ward.stamp()
    assert ward.paths(1) == ["a.ndjson", "a.ndjson/1", "a.ndjson/2"]


def test_again_and_what_follows_stamp_containers_whole(ward):
    ward.stamp()
    assert outcome(ward.stamp(again=True)) == (1, 9, 0)
    assert outcome(ward.stamp(follows=FOLLOWS)) == (2, 9, 0)
    assert ward.paths(1) == ward.paths(2) == ward.paths(0)


def test_another_meaning_or_key_stamps_containers_whole(ward):
    ward.stamp()
    assert outcome(ward.stamp(meaning="review")) == (1, 9, 0)
    assert outcome(ward.stamp(signer=another_signer(ward.store))) == (2, 9, 0)
    assert outcome(ward.stamp(meaning="review")) == (None, 0, 9)


def test_what_would_be_stamped_of_containers_is_what_is_stamped(ward):
    assert ward.would() == 9
    ward.stamp()
    assert (ward.would(), ward.would(again=True), ward.would(follows=FOLLOWS)) == (0, 9, 9)
    ward.desk.write("a.ndjson", export(1, 2))
    assert ward.would() == 3
    assert ward.store.size() == 1
    assert outcome(ward.stamp()) == (1, 3, 5)


def test_records_of_every_kind_keep_their_parts(ward):
    ward.stamp()
    (tile,) = tiles_of(ward.store, 0)
    expected = [
        (content.folder, name, raw)
        for content in ward.collected()
        for name, raw in zip(content.names, content.raw_list(), strict=True)
    ]
    assert sorted(raw for _, _, raw in expected) == sorted(tile.raws())
    assert bytes(tile.contents[:9]) == bytes([Kind.BYTES] * 3 + [Kind.FHIR] * 6)
    assert all(len(tile.record(offset).components) == 5 * (offset > 2) for offset in range(9))


def test_mere_bytes_are_stamped_as_they_ever_were(desk):
    """A folder of scans and letters makes the same rows, whoever looks for documents in it."""
    request = StampRequest("authorship", REQUEST.time)
    read = stamp(desk.store, desk.signer, collected(os.fsencode(desk.records)), request, lambda count: b"s" * count)
    unread = stamp(
        desk.store,
        desk.signer,
        desk.in_hand(),
        StampRequest("authorship", REQUEST.time, again=True),
        lambda count: b"s" * count,
    )
    assert (read.records, unread.records) == (3, 3)
    one, other = (list(tiles_of(desk.store, entry)) for entry in (0, 1))
    assert one == other
    assert desk.store.database.execute("SELECT count(*) FROM content").fetchone() == (0,)


def test_containers_that_fill_many_tiles_keep_their_order(desk):
    """Two large containers, each cut into blocks as they were read, and a folder in between."""
    block = [in_hand_read(mixed(700, start), FOLDER + b"/big.zip/") for start in (0, 700, 1400)]
    other = in_hand_read(mixed(50, 9000), b"/other/small.zip/")
    files = in_hand({b"big.zip": b"1", b"letter": b"2"}), in_hand({b"small.zip": b"3"}, b"/other")
    put(desk.store, files[0], *block, files[1], other)
    assert count_records(desk.store, 0) == 3 + 2100 + 50
    tiles = list(tiles_of(desk.store, 0))
    contents = [tile.record(offset).content for tile in tiles for offset in range(tile.count)]
    assert contents[3:] == [*mixed(2100).values(), *mixed(50, 9000).values()]
    (stamped,) = stamped_in(desk.store, FOLDER + b"/big.zip/")
    assert stamped.names == list(mixed(2100))
    assert all_folders(desk.store) == [b"/other", FOLDER]
    assert list(check_database(desk.store)) == []
    assert desk.damage() == []


@pytest.mark.parametrize("how", [{}, {"again": True}, {"follows": FOLLOWS}])
def test_all_files_come_before_what_is_inside_any_of_them(desk, how):
    put(desk.store, in_hand({b"first": b"entry"}))
    folders = [b"/a", b"/b"]
    files = [in_hand({b"x.zip": b"zip", b"y": b"y"}, folder) for folder in folders]
    within = [in_hand_read(mixed(3, number), folder + b"/x.zip/") for number, folder in enumerate(folders)]
    put(desk.store, files[0], within[0], files[1], within[1], **how)
    paths = [path_of(desk.store, Place(1, leaf)) for leaf in range(10)]
    assert paths[:4] == [b"/a/x.zip", b"/a/y", b"/b/x.zip", b"/b/y"]
    assert [path.startswith(b"/a/x.zip/") for path in paths[4:]] == [True] * 3 + [False] * 3
    assert all(path.startswith(b"/b/x.zip/") for path in paths[7:])


def test_a_stamp_that_breaks_leaves_no_container_half_stamped(desk):
    big = in_hand({b"big.zip": b"1"}), in_hand_read(mixed(3000), FOLDER + b"/big.zip/")
    calls = []

    def broken(count):
        calls.append(count)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return os.urandom(count)

    with pytest.raises(KeyboardInterrupt):
        stamp(desk.store, desk.signer, big, REQUEST, broken)
    for table in ("entry", "tile", "content", "span", "folder", "digest", "node"):
        assert desk.store.database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608 - the test's own
    assert put(desk.store, *big) == 0
    assert desk.damage() == []


# -- containers that are piped in ----------------------------------------------------------------------------------


def piped(data):
    """What the command line makes of stdin: the record itself, without a path, then what is inside it."""
    whole = read_pipe(io.BytesIO(data), Reading())
    return [hashed_one(b"", b"", whole.document.content), *inside(b"-", whole)]


def nameless(content):
    return in_hand({b"": content}, b"")


def test_a_piped_container_is_stamped_with_all_that_is_inside(desk):
    result = stamp(desk.store, desk.signer, piped(export(1, 2)), REQUEST, os.urandom)
    assert (*outcome(result), result.inside) == (0, 3, 0, 2)
    assert [path_of(desk.store, Place(0, leaf)) for leaf in range(3)] == [b"", b"-/1", b"-/2"]
    assert all_folders(desk.store) == []
    assert desk.damage() == []


def test_a_piped_container_is_known_by_its_digest_and_passed_over_whole(desk):
    put(desk.store, *piped(export(1, 2)))
    result = stamp(desk.store, desk.signer, piped(export(1, 2)), REQUEST, os.urandom)
    assert (*outcome(result), result.inside) == (None, 0, 3, 0)
    assert outcome(stamp(desk.store, desk.signer, piped(export(1, 2, 3)), REQUEST, os.urandom)) == (1, 4, 0)


def test_a_new_digest_beside_a_known_piped_container_stamps_nothing_of_that(desk):
    put(desk.store, *piped(export(1, 2)))
    result = stamp(desk.store, desk.signer, [nameless(b"new"), *piped(export(1, 2))], REQUEST, os.urandom)
    assert (*outcome(result), result.inside) == (1, 1, 3, 0)


def test_a_known_digest_beside_a_new_piped_container_leaves_that_whole(desk):
    put(desk.store, nameless(b"known"))
    result = stamp(desk.store, desk.signer, [nameless(b"known"), *piped(export(1, 2))], REQUEST, os.urandom)
    assert (*outcome(result), result.inside) == (1, 3, 1, 2)


def test_piped_containers_and_folders_are_stamped_together(ward):
    both = [*piped(export(1, 2)), *ward.collected()]
    assert outcome(stamp(ward.store, ward.desk.signer, both, REQUEST, os.urandom)) == (0, 12, 0)
    assert outcome(stamp(ward.store, ward.desk.signer, both, REQUEST, os.urandom)) == (None, 0, 12)
    assert ward.desk.damage() == []


def test_a_piped_document_keeps_its_parts(desk):
    put(desk.store, *piped(patient(1)))
    (tile,) = tiles_of(desk.store, 0)
    assert tile.record(0).kind == Kind.FHIR
    assert tile.record(0).raw == sha256(patient(1))


def test_a_container_with_a_twin_inside_is_stamped_with_both(desk):
    twin = read_as(Kind.HL7, b"twin")
    itself = in_hand_read({b"batch.hl7": Content(Kind.BYTES, sha256(b"both"))})
    put(desk.store, itself, in_hand_read({b"1": twin, b"2": twin}, FOLDER + b"/batch.hl7/"))
    (tile,) = tiles_of(desk.store, 0)
    assert tile.record(1).content == tile.record(2).content == twin
    assert tile.leaves()[1] != tile.leaves()[2], "each has a salt of its own, so nobody sees that they are twins"
