"""Archives that lie, hide, burst or point outside: all refused, in little memory."""

import io
import random
import tracemalloc
import zlib
from contextlib import contextmanager

import pytest
from zips import FULL, Member, archive, deflated, descriptor

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records import archive as archives
from medanchor.records import archive_zip
from medanchor.records.document import Content, Contents, Document, Kind

MIB = 1 << 20


def as_bytes(data: bytes) -> Document:
    return Document(Content(Kind.BYTES, sha256(data)))


def read(data: bytes) -> list[bytes]:
    return archives.read(data, as_bytes).contained.names


def refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedRecordError, match=why):
        archives.read(data, as_bytes)


@contextmanager
def at_most(limit: int):
    """Hold the memory that Python takes in this block to `limit` bytes more than before."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


class TestBombs:
    def test_a_member_that_says_how_long_it_is(self):
        zeros = bytes(archive_zip.MOST_MEMBER_BYTES + 1)
        data = archive(Member(b"a", zeros))
        with at_most(MIB):
            refused(data, "member 1 of the archive has 67108865 bytes, more than 64 MiB")

    def test_a_member_as_long_as_is_read(self):
        assert read(archive(Member(b"a", bytes(archive_zip.MOST_MEMBER_BYTES)))) == [b"a"]

    @pytest.mark.parametrize("told", [0, 1, 999, 1001, 60 * MIB])
    def test_a_member_that_lies_about_how_long_it_is(self, told):
        packed = deflated(bytes(1000 if told else 100 * MIB))
        lie = {"size": told}
        data = archive(Member(b"a", b"", packed=packed, local=lie, listed=lie))
        with at_most(MIB):
            refused(data, "member 1 of the archive has not the length")

    def test_a_member_that_bursts_behind_a_true_checksum_of_its_beginning(self):
        lie = {"size": 10, "crc": zlib.crc32(bytes(10))}
        data = archive(Member(b"a", b"", packed=deflated(bytes(100 * MIB)), local=lie, listed=lie))
        with at_most(MIB):
            refused(data, "has not the length")

    def test_a_stored_member_that_lies_about_how_long_it_is(self):
        refused(archive(Member(b"a", b"12345", 0, local={"size": 4}, listed={"size": 4})), "has not the length")

    def test_something_after_the_end_of_a_deflated_member(self):
        packed = deflated(b"12345") + b"hidden"
        refused(archive(Member(b"a", b"12345", packed=packed)), "has not the length")

    def test_a_deflated_member_that_has_no_end(self):
        state = zlib.compressobj(wbits=-15)
        packed = state.compress(b"12345") + state.flush(zlib.Z_SYNC_FLUSH)
        refused(archive(Member(b"a", b"12345", packed=packed)), "has not the length")

    def test_what_is_not_deflated_at_all(self):
        refused(archive(Member(b"a", b"12345", packed=b"\xff" * 9)), "has not the length")

    def test_many_members_that_are_much_together(self):
        zeros = bytes(60 * MIB)
        packed = deflated(zeros)
        data = archive(*(Member(b"%d" % n, b"", packed=packed, local=LONG, listed=LONG) for n in range(18)))
        with at_most(MIB):
            refused(data, "the archive's members have 1132462080 bytes, more than 1 GiB")

    def test_an_archive_in_itself_is_not_opened(self):
        inner = archive(Member(b"r/r.zip", b"again"))
        for _ in range(20):
            inner = archive(Member(b"r/r.zip", inner), Member(b"s", inner))
        document = archives.read(inner, as_bytes)
        assert document.contained.names == [b"r/r.zip", b"s"]
        assert [remark for _, remark in document.contained.remarks] == [archives.NESTED] * 2

    def test_members_that_overlap_in_full(self):
        data = archive(Member(b"a", bytes(MIB)), Member(b"b", listed={"offset": 0}))
        refused(data, "member 1 of the archive overlaps")

    def test_members_that_quote_the_headers_of_others(self):
        kernel = Member(b"b", bytes(MIB))
        header = kernel.local_header()
        block = b"\0" + len(header).to_bytes(2, "little") + (len(header) ^ 0xFFFF).to_bytes(2, "little")
        packed = block + header + kernel.packed_bytes()
        first = {"crc": zlib.crc32(header + bytes(MIB)), "size": MIB + len(header), "packed": len(packed)}
        quoting = Member(b"a", b"", packed=block, local=first, listed=first)
        data = archive(quoting, kernel)
        assert zlib.decompress(packed, -15) == header + bytes(MIB)
        refused(data, "member 1 of the archive overlaps")

    def test_a_directory_that_is_longer_than_anybody_needs(self):
        line = Member(b"a").line(0)
        lines = line * (archive_zip.MOST_MEMBERS + 1)
        numbers = {"size": len(lines), "count": archive_zip.MOST_MEMBERS + 1, "here": archive_zip.MOST_MEMBERS + 1}
        data = archive(gap=lines, wide=True, **numbers, start=0, at=len(lines))
        with at_most(MIB):
            refused(data, "the archive has 100001 members, more than 100000")

    def test_a_directory_that_is_longer_than_it_says(self):
        lines = Member(b"a").line(0) * 50_000
        data = archive(gap=lines, size=len(lines), count=3, here=3, start=0)
        with at_most(MIB):
            refused(data, "directory ends at byte 141")

    def test_names_in_names_in_great_number(self, monkeypatch):
        monkeypatch.setattr(archives, "MOST_RECORD_NAME_BYTES", 100_000)

        def read_lines(data: bytes) -> Document:
            contained = Contents()
            for number in range(99):
                contained.add(data or b"%d" % number, Content(Kind.BYTES, sha256(b"")))
            return Document(Content(Kind.BYTES, sha256(data)), contained=contained)

        fine = Member(b"n" * 900)
        assert len(archives.read(archive(fine), read_lines).contained.names) == 100
        together = [Member(letter * 400) for letter in (b"a", b"b", b"c")]
        for members in ([Member(b"n" * 1000)], [fine, *together[:1]], together, [Member(b"n" * 500, b"i" * 600)]):
            with pytest.raises(MalformedRecordError, match="too long names"):
                archives.read(archive(*members), read_lines)

    def test_too_many_records_inside_members(self, monkeypatch):
        monkeypatch.setattr(archives, "MOST_RECORDS", 5)

        def two(data: bytes) -> Document:
            contents = Contents()
            contents.add(b"1", Content(Kind.BYTES, sha256(b"")))
            return Document(Content(Kind.BYTES, sha256(data)), contained=contents)

        assert len(archives.read(archive(Member(b"a"), Member(b"b")), two).contained.names) == 4
        with pytest.raises(MalformedRecordError, match="more than 5 records"):
            archives.read(archive(Member(b"a"), Member(b"b"), Member(b"c")), two)

    def test_one_member_is_in_memory_at_a_time(self):
        data = archive(*(Member(b"%d" % number, bytes(8 * MIB)) for number in range(12)))
        with at_most(30 * MIB):
            assert len(read(data)) == 12


LONG = {"size": 60 * MIB, "crc": zlib.crc32(bytes(60 * MIB))}


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            b"", b"/", b"/etc/passwd", b"//a/b", b"../up", b"a/../../up", b"a/..", b"..", b"../", b"a/../", b".",
            b"./a", b"a//b", b"a/./b", b"a\\b", b"..\\up", b"C:/a", b"c:a", b"a\0.json", b"a\n", b"\x1b[2J", b"a\x7f",
            b"n" * 1025,
        ],
    )  # fmt: skip
    def test_what_points_elsewhere_or_cannot_be_told(self, name):
        refused(archive(Member(b"fine"), Member(name)), "member 2 of the archive has no safe name")

    @pytest.mark.parametrize(
        "name", [b"a b", b"...", b"a..b", b"..a", b"ab:c", b"n" * 1024, b"-rf", b"~", b"$HOME", "é".encode()]
    )
    def test_what_is_only_unusual(self, name):
        assert read(archive(Member(name))) == [name]

    @pytest.mark.parametrize(
        "names",
        [
            (b"a", b"a"),
            (b"a/", b"a/"),
            (b"a", b"a/"),
            (b"a", b"a/b"),
            (b"a/b/c", b"a!", b"a/b"),
            (b"x/y", b"x/y/z/", b"x!y"),
        ],
    )
    def test_names_that_come_twice(self, names):
        for order in (names, names[::-1]):
            refused(archive(*map(Member, order)), "have the same name")

    def test_names_that_only_look_alike(self):
        assert (
            len(
                read(
                    archive(
                        *map(
                            Member, (b"a", b"A", b"a b", b"a.b", b"b/a", b"ab/c", "\u00e9".encode(), "e\u0301".encode())
                        )
                    )
                )
            )
            == 8
        )

    def test_a_folder_with_content(self):
        refused(archive(Member(b"a/", b"hidden")), "member 1 of the archive is a folder, and has content")

    def test_a_folder_that_is_deflated(self):
        assert read(archive(Member(b"a/", packed=b"\3\0"), Member(b"a/b"))) == [b"a/b"]


class TestTwoWaysToRead:
    """What one program finds by the directory, and another one by the local headers, must be the same."""

    @pytest.mark.parametrize(
        "lie",
        [
            {"name": b"b"},
            {"name": b"ab"},
            {"method": 0},
            {"flags": 8},
            {"crc": 1},
            {"size": 4},
            {"packed": 1},
            {"size": 0},
            {"flags": 1},
        ],
    )
    def test_a_local_header_that_says_otherwise(self, lie):
        refused(archive(Member(b"a", b"12345", local=lie)), "member 1 of the archive is not what the directory says")

    @pytest.mark.parametrize("lie", [{"crc": 1}, {"size": 4}, {"packed": 6}])
    def test_a_local_header_that_need_not_tell_and_lies(self, lie):
        member = Member(b"a", b"12345", flags=8, local={"crc": 0, "size": 0, "packed": 0} | lie)
        member.after = descriptor(member.content, member.packed_bytes())
        refused(archive(member), "member 1 of the archive is not what the directory says")

    @pytest.mark.parametrize("offset", [1, 29, 10**6, FULL])
    def test_a_member_that_begins_nowhere(self, offset):
        refused(archive(Member(b"a", b"1", 0, listed={"offset": offset})), "in front of its first member")
        refused(archive(Member(b"a", b"1", 0), Member(b"b", b"1", 0, listed={"offset": offset})), "member|belong")

    def test_a_member_without_a_local_header(self):
        data = bytearray(archive(Member(b"a", b"1"), Member(b"b", b"2")))
        data[data.index(b"PK\3\4", 4) + 3] = 5
        refused(bytes(data), "member 2 of the archive does not begin at byte 34")

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (archive(Member(b"a"), front=b"MZ"), "2 bytes in front"),
            (archive(front=b"hidden"), "6 bytes in front"),
            (archive(Member(b"a", after=b"hidden"), Member(b"b")), "bytes after member 1"),
            (archive(Member(b"a"), gap=b"hidden"), "bytes after member 1"),
            (archive(Member(b"a"), Member(b"b", after=b"h")), "bytes after member 2"),
            (archive(Member(b"a"), gap=Member(b"hidden", b"member").local_header()), "bytes after member 1"),
            (archive(Member(b"a")) + b"h", "not what the archive ends with"),
            (archive(Member(b"a")) + archive(Member(b"b")), "does not end at byte"),
            (archive(Member(b"a", b"1"), comment=archive(Member(b"b"))), "does not end at byte"),
            (archive(Member(b"a"), comment=b"PK\5\6"), "cut short"),
            (archive(Member(b"a"), comment=b"PK\5\6" + bytes(18)), "does not end at byte"),
        ],
    )
    def test_bytes_that_belong_to_no_member(self, data, why):
        refused(data, why)

    def test_bytes_in_the_place_of_a_descriptor(self):
        member = Member(b"a", b"12345", flags=8)
        whole = descriptor(b"12345", member.packed_bytes())
        for after in (b"", whole[:-1], whole + b"h", whole[4:8], bytes(16), descriptor(b"other", b"")):
            member.after = after
            refused(archive(member), "bytes after member 1")

    @pytest.mark.parametrize("number", ["here", "count", "size", "start"])
    @pytest.mark.parametrize("wide", [False, True])
    @pytest.mark.parametrize("value", [0, 1, 3, 60_000])
    def test_an_end_record_that_lies(self, number, wide, value):
        refused(archive(Member(b"a"), Member(b"b"), wide=wide, **{number: value}), "the archive")

    @pytest.mark.parametrize("changes", [{"disk": 1}, {"first": 1}, {"here": 0}])
    def test_an_archive_in_parts(self, changes):
        refused(archive(Member(b"a"), **changes), "several parts")

    @pytest.mark.parametrize("narrow", [(2, 2, FULL, FULL), (1, 1, 48, FULL), (1, 1, 47, 30), (0, 0, 0, 0)])
    def test_two_end_records_that_disagree(self, narrow):
        refused(archive(Member(b"a"), wide=True, narrow=narrow), "two end records disagree")

    def test_a_zip64_end_record_with_more_in_it(self):
        refused(archive(Member(b"a"), wide=True, length=45), "two end records disagree")

    @pytest.mark.parametrize("changes", [{"part": 1}, {"parts": 2}])
    def test_a_zip64_archive_in_parts(self, changes):
        refused(archive(Member(b"a"), wide=True, **changes), "two end records disagree")

    def test_a_zip64_end_record_that_is_none(self):
        refused(archive(Member(b"a"), wide=True).replace(b"PK\6\6", b"PK\6\5"), "Zip64 end record is not at byte")

    def test_a_directory_that_is_shorter_than_one_line(self):
        refused(archive(gap=b"PK\1\2" + bytes(6), size=10, start=0, count=1, here=1), "has no member 1 at byte 0")

    def test_a_last_line_of_the_directory_that_ends_behind_it(self):
        data = bytearray(archive(Member(b"a", b"1", 0)))
        data[data.index(b"PK\1\2") + 32] = 1  # of the length of its comment
        refused(bytes(data), "directory ends at byte 80, not at byte 79")

    @pytest.mark.parametrize("at", [0, 79, 1 << 40, (1 << 64) - 1])
    def test_a_zip64_end_record_elsewhere(self, at):
        refused(archive(Member(b"a"), wide=True, at=at), "Zip64 end record is not at byte")

    @pytest.mark.parametrize("value", [0xFFFF, 1 << 40, (1 << 64) - 1])
    def test_zip64_lengths_beyond_the_archive(self, value):
        extra = b"\1\0\x18\0" + value.to_bytes(8, "little") * 3
        for field in ("size", "packed", "offset"):
            refused(archive(Member(b"a", b"1", 0, listed={field: FULL, "extra": extra})), "archive")

    def test_a_zip64_field_that_is_cut_short(self):
        refused(archive(Member(b"a", listed={"offset": FULL, "extra": b"\1\0\x08\0\0"})), "in front")
        refused(archive(Member(b"a", listed={"size": FULL, "extra": b"\1\0\0\0"})), "more than 64 MiB")


@pytest.mark.parametrize("flags", [1 << 0, 1 << 5, 1 << 6, 1 << 13, 1 | 8])
def test_what_is_encrypted(flags):
    refused(
        archive(Member(b"fine"), Member(b"a", b"1", flags=flags)), "member 2 of the archive is encrypted or a patch"
    )


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 95, 99])
def test_other_methods(method):
    refused(archive(Member(b"a", b"1", method)), "member 1 of the archive is neither stored nor deflated")


def test_archives_that_are_lies_at_random():
    """Every accepted one holds what its members hold; nothing but a refusal comes out of the others."""
    chance = random.Random(11)  # noqa: S311 - the same lies every time
    numbers = (0, 1, 5, 0xFFFF, FULL)
    fields = {
        "name": (b"b", b"", b"a\0"),
        "flags": (0, 1, 8),
        "method": (0, 8),
        "extra": (b"\1\0\x08\0" + bytes(8), b"x"),
    }
    fields |= dict.fromkeys(("crc", "packed", "size"), numbers)
    accepted = 0
    for _ in range(3000):
        members = [Member(b"%d" % n, chance.randbytes(n), chance.choice((0, 8))) for n in range(chance.randrange(1, 4))]
        for _ in range(chance.randrange(3)):
            field = chance.choice(tuple(fields))
            changed = chance.choice(members)
            chance.choice((changed.local, changed.listed))[field] = chance.choice(fields[field])
        try:
            found = archives.read(archive(*members, wide=chance.random() < 0.5), as_bytes).contained
        except MalformedRecordError:
            continue
        accepted += 1
        assert bytes(found.raws) == b"".join(sha256(member.content) for member in members)
    assert accepted > 300


def test_a_gzip_bomb_takes_little_memory():
    packed = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packed.compress(bytes(MIB)) for _ in range(300)) + packed.flush()
    with at_most(MIB):
        total = sum(len(block) for block in archives.inflated(io.BytesIO(bomb)))
        assert total == 300 * MIB
        with pytest.raises(MalformedRecordError, match="more than 64 MiB"):
            sum(len(block) for block in archives.inflated(io.BytesIO(bomb), limit=64 * MIB))
