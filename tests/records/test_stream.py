"""Files read as documents: however they are cut, by whichever way they come, the same records and the same digests."""

import contextlib
import gzip
import io
import json
import os
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medanchor.core.hashes import sha256
from medanchor.core.ladder import ABSENT
from medanchor.records import archive, detect, fhir, stream
from medanchor.records.detect import HEAD, Form, Reading
from medanchor.records.document import Content, Contents, Document, Kind
from medanchor.records.stream import Whole, read_block, read_file, read_pipe, read_stream

PATIENT = b'{"resourceType":"Patient","id":"p"}'
BUNDLE = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}]}'
AS_LINES = Reading(Form.NDJSON)


def resource(number):
    return json.dumps({"resourceType": "Observation", "id": f"o-{number}", "valueInteger": number}).encode()


def lines(count, end=b"\n"):
    return b"".join(resource(number) + end for number in range(count))


def whole(data, reading=AS_LINES):
    return read_stream(io.BytesIO(data), reading)


def joined(found):
    """What is inside, whatever the parts it came in."""
    contents = Contents()
    for part in found.contents:
        contents.extend(part)
    return contents


def same(one, other):
    return one.document[:2] == other.document[:2] and joined(one) == joined(other)


@contextlib.contextmanager
def changed(**values):
    """As the fixture monkeypatch, for a part of a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setattr(stream, name, value)
        yield


# -- lines and blocks ----------------------------------------------------------------------------------------------

LINE = st.sampled_from([PATIENT, BUNDLE, b"", b" ", b"\r", b"{", b"text", b"1", b" " + PATIENT + b"\t", b"\xff"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n"])
TEXT = st.builds(lambda parts, last: b"".join(map(b"".join, parts)) + last, st.lists(st.tuples(LINE, ENDS)), LINE)


@settings(deadline=None)
@given(TEXT, st.integers(1, 200))
def test_blocks_of_any_size_give_the_records_of_the_whole(data, block):
    expected = fhir.read_lines(data, 1)
    with changed(BLOCK=block, CHUNK=block):
        found = whole(data)
    assert joined(found) == expected
    assert found.document == Document(Content(Kind.BYTES, sha256(data)))


@settings(deadline=None)
@given(TEXT, st.integers(1, 200), st.lists(st.integers(1, 60), min_size=1))
def test_chunks_of_any_size_give_whole_lines_in_order_with_their_numbers(data, block, sizes):
    chunks, at = [], 0
    while at < len(data):
        chunks.append(data[at : at + sizes[len(chunks) % len(sizes)]])
        at += len(chunks[-1])
    with changed(BLOCK=block, CHUNK=block):
        cut = list(stream._cut(chunks))
    blocks = [b"".join(part.parts) for part in cut]
    assert b"".join(blocks) == data
    assert all(each.endswith(b"\n") and len(each) >= block for each in blocks[:-1])
    assert [part.first for part in cut] == [1 + b"".join(blocks[:number]).count(b"\n") for number in range(len(cut))]


@settings(deadline=None)
@given(TEXT, st.integers(1, 99))
def test_gzip_gives_the_records_of_what_is_in_it(data, block):
    packed = gzip.compress(PATIENT + b"\n" + PATIENT + b"\n" + data, mtime=0)
    with changed(BLOCK=block, CHUNK=block):
        found = read_stream(io.BytesIO(packed), Reading())
    assert joined(found) == fhir.read_lines(PATIENT + b"\n" + PATIENT + b"\n" + data, 1)
    assert found.document == Document(Content(Kind.BYTES, sha256(packed)))


def test_line_numbers_count_every_line_from_one():
    data = b"\n".join([PATIENT, b"", b"  ", PATIENT, b"\r", PATIENT])
    for block in (1, 10, 1 << 20):
        with changed(BLOCK=block, CHUNK=block):
            assert joined(whole(data)).names == [b"1", b"4", b"6"]


def test_line_ends_are_no_part_of_a_record():
    expected = [sha256(resource(number)) for number in range(3)]
    for data in (lines(3), lines(3, b"\r\n"), lines(3).removesuffix(b"\n"), lines(3, b"\r\n").removesuffix(b"\r\n")):
        assert [content.raw for _, content in whole(data).inside()] == expected


def test_a_line_that_is_not_sound_is_bytes_and_named():
    found = whole(PATIENT + b"\n{oops\n" + PATIENT)
    contents = joined(found)
    assert (contents.names, list(contents.kinds)) == ([b"1", b"2", b"3"], [Kind.FHIR, Kind.BYTES, Kind.FHIR])
    ((name, remark),) = contents.remarks
    assert (name, bool(remark)) == (b"2", True)
    assert found.document.remarks == ()


def test_a_file_without_a_line_has_nothing_inside():
    assert list(whole(b"").inside()) == list(whole(b"\n \n\r\n").inside()) == []


def test_each_block_is_read_by_whom_it_is_given_to():
    told = []

    def read_all(blocks):
        for each in blocks:
            told.append(each)
            yield read_block(b"".join(each.parts), each.first)

    with changed(BLOCK=100, CHUNK=50):
        found = read_stream(io.BytesIO(lines(20)), Reading(), read_all)
    assert len(told) > 5
    assert told[0].first == 1
    assert b"".join(b"".join(each.parts) for each in told) == lines(20)
    assert same(found, whole(lines(20)))


def test_a_mark_of_utf_8_is_no_part_of_the_first_line_s_content():
    plain, marked = (list(whole(mark + lines(2)).inside()) for mark in (b"", b"\xef\xbb\xbf"))
    assert [content.components for _, content in plain] == [content.components for _, content in marked]
    assert plain[1] == marked[1]


# -- limits --------------------------------------------------------------------------------------------------------


def limited(patch, most, block):
    for module in (stream, detect):
        patch.setattr(module, "MAX_DOCUMENT", most)
    patch.setattr(stream, "BLOCK", block)
    patch.setattr(stream, "CHUNK", block)


@pytest.mark.parametrize("block", [10, 100, 199])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + PATIENT, b"\n" + PATIENT * 20 + b"\n"])
def test_a_line_that_is_too_long_leaves_the_file_to_be_covered_by_its_bytes(monkeypatch, block, end):
    limited(monkeypatch, 200, block)
    before = PATIENT + b"\n"
    sound = before + b"x" * 200 + b"\n"
    assert joined(whole(sound)).names == [b"1", b"2"]
    data = before + b"x" * 201 + end
    assert whole(data) == Whole(Document(Content(Kind.BYTES, sha256(data)), ("line 2 is longer than 0 MiB",)), [])


def test_a_line_that_is_too_long_in_gzip_is_told_too(monkeypatch):
    limited(monkeypatch, 200_000, 10_000)
    data = gzip.compress(PATIENT + b"\n{" + b" " * 200_000)
    assert read_stream(io.BytesIO(data), Reading()).document == Document(
        Content(Kind.BYTES, sha256(data)), ("line 2 is longer than 0 MiB",)
    )


def test_a_line_without_end_is_not_kept_in_memory(monkeypatch):
    limited(monkeypatch, 1 << 20, 1 << 16)

    def endless():
        yield PATIENT + b"\n" + PATIENT + b"\n"
        while True:
            yield b"x" * (1 << 16)

    tracemalloc.start()
    with pytest.raises(stream.MalformedRecordError, match="line 3 is longer"):
        list(stream._cut(endless()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 << 20


def test_a_line_in_many_members_takes_the_memory_of_its_bytes(monkeypatch):
    limited(monkeypatch, 1 << 20, 1 << 16)
    member = gzip.compress(b"xy", mtime=0)
    head = gzip.compress((PATIENT + b"\n") * 2, mtime=0)
    packed = head + member * 60_000

    def read_all(blocks):
        return [read_block(b"".join(each.parts), each.first) for each in blocks]

    file = io.BytesIO(packed)
    tracemalloc.start()
    found = read_stream(file, Reading(), read_all)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert joined(found).names == [b"1", b"2", b"3"]
    assert peak < 3 << 20


def test_more_records_than_memory_has_room_for_leave_the_file_to_be_covered_by_its_bytes():
    with changed(MOST_RECORDS=30, BLOCK=100, CHUNK=50):
        assert len(joined(whole(lines(30))).names) == 30
        for data in (lines(31), lines(500)):
            remark = "it has more than 30 records"
            assert whole(data) == Whole(Document(Content(Kind.BYTES, sha256(data)), (remark,)), [])


def test_a_document_that_is_too_long_is_covered_by_its_bytes(monkeypatch):
    limited(monkeypatch, len(PATIENT), 10)
    assert read_stream(io.BytesIO(PATIENT), Reading()).document.content.kind == Kind.FHIR
    longer = PATIENT + b"\n"
    expected = Whole(Document(Content(Kind.BYTES, sha256(longer)), ("it is longer than 0 MiB",)), [])
    assert read_stream(io.BytesIO(longer), Reading()) == read_pipe(io.BytesIO(longer), Reading()) == expected


def test_a_file_of_mere_bytes_may_be_as_long_as_it_likes(monkeypatch):
    limited(monkeypatch, 10, 7)
    data = b"%PDF" + bytes(10_000)
    expected = Whole(Document(Content(Kind.BYTES, sha256(data))), [])
    assert read_stream(io.BytesIO(data), Reading()) == read_pipe(io.BytesIO(data), Reading()) == expected


def test_what_is_inside_stays_packed():
    """A million lines must not become a million objects for each of their digests."""
    data = lines(20_000)
    tracemalloc.start()
    found = read_stream(io.BytesIO(data), Reading())
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(part.names) for part in found.contents) == 20_000
    assert kept / 20_000 < 320


# -- the first line ------------------------------------------------------------------------------------------------


def long_line(length):
    frame = len(b'{"resourceType":"Binary","data":""}')
    return b'{"resourceType":"Binary","data":"%s"}' % (b"A" * (length - frame))


LENGTHS = [HEAD - 2, HEAD - 1, HEAD, HEAD + 1, 2 * HEAD - 1, 2 * HEAD, 3 * HEAD + 5]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("pack", [bytes, lambda data: gzip.compress(data, 0), gzip.compress], ids=["", "stored", "gz"])
def test_lines_are_found_though_the_first_one_is_longer_than_what_is_looked_at(length, pack, monkeypatch):
    data = long_line(length) + b"\n" + lines(3)
    expected = fhir.read_lines(data, 1)
    packed = pack(data)
    assert joined(read_stream(io.BytesIO(packed), Reading())) == expected
    limited(monkeypatch, length + 1, 1 << 16)  # also of a file too long for a document
    assert joined(read_stream(io.BytesIO(packed), Reading())) == expected


def test_one_long_line_is_a_resource_and_no_container():
    for end in (b"", b"\n", b"\n\n" * HEAD):
        data = long_line(2 * HEAD) + end
        found = read_stream(io.BytesIO(data), Reading())
        assert (found.document.content.kind, found.contents) == (Kind.FHIR, [])


def test_a_resource_that_is_written_on_many_lines_is_no_container():
    data = json.dumps({"resourceType": "Binary", "data": ["A" * 10] * HEAD}, indent=1).encode()
    found = read_stream(io.BytesIO(data), Reading())
    assert (found.document.content.kind, found.contents) == (Kind.FHIR, [])


def test_files_are_not_read_twice_to_find_lines_where_there_are_none():
    class Counted(io.BytesIO):
        read_bytes = 0

        def read(self, size=-1):
            block = super().read(size)
            self.read_bytes += len(block)
            return block

    for start in (b"<a>", b"PK\3\4", bytes(128) + b"DICM", b"%PDF", b'{\n"a":\n1}'):
        file = Counted(start + b" " * 10 * HEAD)
        stream.look_into(file, Reading())
        assert file.read_bytes <= 2 * HEAD
        assert file.tell() == 0


# -- gzip ----------------------------------------------------------------------------------------------------------

PACKED = gzip.compress(lines(3000), mtime=0)


@pytest.mark.parametrize(
    "damaged",
    [
        PACKED[:-1],
        PACKED[: len(PACKED) // 2],
        PACKED[:-8] + bytes(4) + PACKED[-4:],
        PACKED[: len(PACKED) // 2] + b"\xff" * 20 + PACKED[len(PACKED) // 2 + 20 :],
        PACKED + b"more",
        PACKED + PACKED[:40],
    ],
    ids=["cut", "half", "checksum", "damaged", "followed", "followed-by-half-a-member"],
)
def test_damaged_gzip_is_covered_by_its_bytes_to_the_last_one(damaged):
    damaged += b"\xee" * 100_000  # what nobody unpacks counts too
    for found in (read_stream(io.BytesIO(damaged), Reading()), read_pipe(io.BytesIO(damaged), Reading())):
        assert found.document.content == Content(Kind.BYTES, sha256(damaged))
        assert found.contents == []
        assert len(found.document.remarks) == 1


def test_gzip_of_many_members_is_one_file():
    data = b"".join(gzip.compress(line + b"\n") for line in lines(50).splitlines()) + gzip.compress(b"")
    assert len(joined(read_stream(io.BytesIO(data), Reading())).names) == 50


def test_a_bomb_is_covered_by_its_bytes(monkeypatch):
    monkeypatch.setattr(archive, "MOST_INFLATED_BYTES", 1 << 20)
    data = gzip.compress(PATIENT + b"\n" + PATIENT + b"\n" * (2 << 20))
    monkeypatch.setattr(archive.inflated, "__kwdefaults__", {"limit": 1 << 20})
    found = read_stream(io.BytesIO(data), Reading())
    assert found.document.content == Content(Kind.BYTES, sha256(data))
    assert len(found.document.remarks) == 1


def test_gzip_of_one_document_has_that_inside():
    data = gzip.compress(PATIENT)
    found = read_stream(io.BytesIO(data), Reading())
    assert joined(found).names == [b"content"]
    assert found.document.content == Content(Kind.BYTES, sha256(data))


# -- ways in -------------------------------------------------------------------------------------------------------

FILES = {
    "empty": b"",
    "text": b"text",
    "resource": PATIENT,
    "bundle": BUNDLE,
    "lines": lines(200),
    "lines-and-damage": lines(3) + b"{\n" + lines(3),
    "packed": PACKED,
    "packed-document": gzip.compress(PATIENT),
    "packed-damaged": PACKED[:-3],
    "message": b"MSH|^~\\&|A\rPID|1\r",
    "messages": b"MSH|^~\\&|A\rPID|1\rMSH|^~\\&|A\rPID|1\r",
    "xml": b"<a/>",
    "not-xml": b"<a>",
    "long-first-line": long_line(2 * HEAD) + b"\n" + lines(3),
}


class Dribble(io.RawIOBase):
    """A pipe whose writer is slow: a read gives less than was asked for."""

    def __init__(self, content, most):
        self._content, self._most = io.BytesIO(content), most

    def readable(self):
        return True

    def read(self, size=-1):
        return self._content.read(min(size, self._most))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("form", [None, Form.BYTES, Form.NDJSON, Form.FHIR])
def test_every_way_in_gives_the_same(name, form, tmp_path):
    data, reading = FILES[name], Reading(form)
    path = tmp_path / "record"
    path.write_bytes(data)
    expected = read_file(os.fsencode(path), reading)
    assert expected.document.content.raw == sha256(data)
    ways = [
        read_stream(io.BytesIO(data), reading),
        read_pipe(io.BytesIO(data), reading),
        read_pipe(Dribble(data, 7_001), reading),
    ]
    for found in ways:
        assert same(found, expected)


def test_a_slow_pipe_is_read_to_its_end():
    for data in (FILES["text"], FILES["resource"], lines(3)):
        assert same(read_pipe(Dribble(data, 1), Reading()), read_stream(io.BytesIO(data), Reading()))


@settings(deadline=None)
@given(st.sampled_from(sorted(FILES)), st.sampled_from([None, *Form]), st.integers(0, 400), st.binary(max_size=5))
def test_the_raw_digest_is_that_of_the_whole_file_whatever_it_is(name, form, at, damage):
    data = FILES[name][:at] + damage + FILES[name][at + 2 :]
    for found in (read_stream(io.BytesIO(data), Reading(form)), read_pipe(io.BytesIO(data), Reading(form))):
        assert found.document.content.raw == sha256(data)


def test_a_file_that_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_file(os.fsencode(tmp_path / "nowhere"), Reading())


# -- what is inside ------------------------------------------------------------------------------------------------


def test_records_inside_come_one_by_one_with_their_parts():
    contents = Contents()
    parts = [
        (b"1", Content(Kind.BYTES, sha256(b"1"))),
        (b"2", Content(Kind.FHIR, sha256(b"2"), tuple(sha256(b"%d" % number) for number in range(5)))),
        (b"3", Content(Kind.XML, sha256(b"3"), (sha256(b"c"), ABSENT))),
    ]
    for name, content in parts:
        contents.add(name, content)
    found = Whole(Document(Content(Kind.BYTES, sha256(b""))), [contents, contents])
    assert list(found.inside()) == parts * 2


def liked(data, stamped):
    found = read_stream(io.BytesIO(data), Reading()).most_like(stamped)
    return found[0].raw, found[1]


def test_the_record_most_like_another_may_be_the_file_or_one_inside_it():
    (stamped,) = [content for name, content in whole(lines(5)).inside() if name == b"4"]
    assert liked(lines(9), stamped) == (stamped.raw, b"4")
    assert liked(resource(3), stamped) == (stamped.raw, None)
    again = resource(3).replace(b", ", b",  ")
    assert liked(lines(2) + again + b"\n" + again, stamped) == (sha256(again), b"3")
    assert liked(again + b"\n" + resource(3), stamped) == (stamped.raw, b"2"), "exact beats the same content"
    renamed = resource(3).replace(b"o-3", b"o-7")
    assert liked(lines(2) + renamed + b"\n" + again, stamped) == (sha256(again), b"4"), (
        "the same content, the same data"
    )


def test_where_nothing_is_like_it_the_file_itself_is_compared():
    (_, stamped), *_ = whole(lines(1)).inside()
    other = b'{"resourceType":"Patient"}\n' * 3
    assert liked(other, stamped) == (sha256(other), None)


def test_a_block_knows_the_number_of_its_first_line():
    assert read_block(lines(2), 41).names == [b"41", b"42"]


def test_this_file_s_own_gzip_is_what_zlib_reads():
    assert zlib.decompress(PACKED, wbits=31) == lines(3000)


@pytest.mark.timeout(10)
def test_a_file_that_became_a_named_pipe_is_an_error_and_nobody_waits(tmp_path):
    os.mkfifo(tmp_path / "record")
    with pytest.raises(OSError, match="it is not a file any more"):
        read_file(os.fsencode(tmp_path / "record"), Reading())


def test_a_folder_is_an_error_and_nothing_stays_open(tmp_path):
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(IsADirectoryError, match="Is a directory"):
            read_file(os.fsencode(tmp_path), Reading())
    assert len(os.listdir("/proc/self/fd")) == opened
