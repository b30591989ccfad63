"""Records found again though their bytes are others: by what tells them, oldest first, never by another kind's."""

import pytest
from vaulted import FOLDER, in_hand, in_hand_read, mixed, numbered, put, read_as

from medanchor.core.commitment import COMPONENTS, Content, Kind
from medanchor.core.hashes import Hash, sha256
from medanchor.core.ladder import ABSENT
from medanchor.errors import VaultError
from medanchor.vault.bundles import Place
from medanchor.vault.search import Search, find_digest, path_of

TELLING = {
    Kind.FHIR: ("data", "numeric"),
    Kind.DICOM: ("dataset",),
    Kind.HL7: ("message", "body"),
    Kind.XML: ("canonical", "text"),
}


def alike(store, content):
    return [place for place, _ in Search(store).alike(content)]


def rewritten(content, *kept):
    """The same record as another server wrote it: other bytes, and all parts but those `kept` are others."""
    parts = [
        digest if name in kept else sha256(b"other" + digest)
        for name, digest in zip(COMPONENTS[content.kind], content.components, strict=True)
    ]
    return Content(content.kind, sha256(b"other" + content.raw), tuple(parts))


@pytest.mark.parametrize(("kind", "part"), [(kind, part) for kind, parts in TELLING.items() for part in parts])
def test_a_record_is_found_by_each_part_that_tells_it(store, kind, part):
    records = mixed(40)
    put(store, in_hand_read(records))
    for leaf, content in enumerate(records.values()):
        if content.kind == kind:
            ((place, record),) = Search(store).alike(rewritten(content, part))
            assert place == Place(0, leaf)
            assert record.content == content


def test_a_record_is_not_found_by_a_part_that_does_not_tell_it(store):
    """A thousand patients' records share a narrative, an id or no image at all."""
    records = mixed(40)
    put(store, in_hand_read(records))
    for content in records.values():
        others = set(COMPONENTS[content.kind]) - set(TELLING.get(content.kind, ()))
        assert alike(store, rewritten(content, *others)) == []


def test_the_most_telling_part_comes_first_and_the_oldest_record_within_it(store):
    found = read_as(Kind.FHIR, b"found")
    data, numeric = found.components[0], found.components[4]
    same_numbers = [read_as(Kind.FHIR, b"numbers %d" % number, numeric=numeric) for number in range(2)]
    same_data = [read_as(Kind.FHIR, b"data %d" % number, data=data) for number in range(2)]
    put(store, in_hand_read({b"a": same_numbers[0], b"b": same_data[0]}))
    put(store, in_hand_read({b"c": same_numbers[1], b"d": read_as(Kind.XML, b"x"), b"e": same_data[1]}))
    assert alike(store, found) == [Place(0, 1), Place(1, 2), Place(0, 0), Place(1, 0)]


def test_a_record_that_shares_two_parts_comes_for_each(store):
    found = read_as(Kind.HL7, b"message")
    put(store, in_hand_read({b"a": found}))
    assert alike(store, found) == [Place(0, 0), Place(0, 0)]


def test_twins_of_one_bundle_come_in_their_order(store):
    twin = read_as(Kind.XML, b"twin")
    put(store, in_hand_read({b"%d" % number: twin for number in range(5)}))
    assert alike(store, rewritten(twin, "text")) == [Place(0, number) for number in range(5)]
    assert find_digest(store, twin.raw, most=2) == [Place(0, 0), Place(0, 1)]


def test_a_part_that_nobody_has_tells_nothing(store):
    """Numbers beyond RFC 8785 have no numeric form: all of them would be found for each of them."""
    absent = [read_as(Kind.FHIR, b"%d" % number, numeric=ABSENT) for number in range(5)]
    put(store, in_hand_read({b"%d" % number: content for number, content in enumerate(absent)}))
    assert alike(store, read_as(Kind.FHIR, b"other", numeric=ABSENT)) == []
    assert find_digest(store, ABSENT) == []
    assert alike(store, rewritten(absent[3], "data", "numeric")) == [Place(0, 3)]


@pytest.mark.parametrize("kind", [Kind.HL7, Kind.XML])
def test_a_record_of_another_kind_is_not_alike_whatever_its_parts(store, kind):
    one = read_as(Kind.DICOM, b"one")
    put(store, in_hand_read({b"a": one}))
    assert alike(store, Content(kind, sha256(b"raw"), one.components)) == []


def test_a_digest_that_is_another_part_of_a_record_does_not_find_it(store):
    """The index knows digests only; a record's own parts are compared one by one."""
    one = read_as(Kind.XML, b"one")
    put(store, in_hand_read({b"a": one}))
    canonical, text = one.components
    assert alike(store, Content(Kind.XML, sha256(b"raw"), (text, canonical))) == []
    assert find_digest(store, text) == find_digest(store, canonical) == []
    assert alike(store, Content(Kind.XML, canonical, (one.raw, one.raw))) == []


def test_mere_bytes_are_like_nothing(store):
    put(store, in_hand(numbered(3)))
    assert alike(store, Content(Kind.BYTES, sha256(b"content 1"))) == []
    assert find_digest(store, sha256(b"content 1")) == [Place(0, 1)]


def test_parts_that_begin_alike_are_told_apart(store):
    start = b"\xfe" * 8
    contents = {
        b"%d" % number: read_as(Kind.XML, b"%d" % number, canonical=Hash(start + bytes([number]) * 24))
        for number in range(5)
    }
    put(store, in_hand_read(contents))
    for number, content in enumerate(contents.values()):
        assert alike(store, rewritten(content, "canonical")) == [Place(0, number)]
    assert alike(store, read_as(Kind.XML, b"other", canonical=Hash(start + b"\x77" * 24))) == []


def test_a_raw_digest_is_found_where_it_is_a_part_of_another_record_too(store):
    one = read_as(Kind.XML, b"one")
    put(store, in_hand_read({b"a": one, b"b": Content(Kind.BYTES, one.components[0])}))
    assert find_digest(store, one.components[0]) == [Place(0, 1)]


def test_a_record_inside_a_container_is_found_with_its_path(store):
    line = read_as(Kind.FHIR, b"line 17")
    put(store, in_hand({b"export.ndjson": b"all"}), in_hand_read({b"17": line}, FOLDER + b"/export.ndjson/"))
    (place,) = alike(store, rewritten(line, "data"))
    assert path_of(store, place) == FOLDER + b"/export.ndjson/17"
    put(store, in_hand({b"": b"piped"}, b""), in_hand_read({b"entry/0": read_as(Kind.HL7, b"piped one")}, b"-/"))
    (place,) = alike(store, rewritten(read_as(Kind.HL7, b"piped one"), "body"))
    assert path_of(store, place) == b"-/entry/0"


def test_records_are_found_through_all_tiles_by_one_search(store):
    records = mixed(3000)
    put(store, in_hand_read(records))
    search = Search(store)
    for leaf in (2999, 1, 1023, 1024, 2048, 1, 2047):
        content = records[b"%06d" % leaf]
        assert search.record(Place(0, leaf)).content == content
        places = [place for place, _ in search.alike(content)] or [place for place, _ in search.digest(content.raw)]
        assert set(places) == {Place(0, leaf)}


def test_what_is_asked_for_is_found_without_looking_at_the_rest(store):
    records = {b"%06d" % number: read_as(Kind.FHIR, b"%d" % number) for number in range(3000)}
    put(store, in_hand_read(records))
    steps = []
    store.database.set_progress_handler(lambda: steps.append(1) and 0, 1)
    assert alike(store, rewritten(records[b"002222"], "numeric")) == [Place(0, 2222)]
    assert len(steps) < 300


def test_a_place_that_is_not_there_is_told(store):
    put(store, in_hand_read(mixed(3)))
    with pytest.raises(VaultError, match="the bundle of entry 4 is not whole"):
        Search(store).record(Place(4, 0))


def test_damaged_contents_are_told_where_they_are_looked_up(store):
    records = mixed(10)
    put(store, in_hand_read(records))
    store.database.execute("UPDATE content SET contents = substr(contents, 2)")
    with pytest.raises(VaultError, match="the bundle of entry 0 is not whole") as caught:
        alike(store, records[b"000001"])
    assert caught.value.hint == "run 'medanchor audit'"
