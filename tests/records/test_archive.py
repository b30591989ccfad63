"""What archives hold, and what of them is refused; ZIP archives that lie are in test_archive_hostile.py."""

import gzip
import io
import random
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zips import Member, archive, descriptor

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records import archive_zip
from medanchor.records.archive import LINK, NESTED, is_gzip, is_zip, read, read_gzip
from medanchor.records.document import Content, Contents, Document, Kind

COMPONENT = sha256(b"a component")


def read_member(data: bytes) -> Document:
    """Read b"<..." as XML, b"{...\\n{..." as a container of its lines, refuse b"!...", take all else as bytes."""
    raw = sha256(data)
    if data.startswith(b"!"):
        raise MalformedRecordError("expected anything else")
    if data.startswith(b"<"):
        return Document(Content(Kind.XML, raw, (COMPONENT, COMPONENT)), ("it is XML",))
    if data.startswith(b"{"):
        contained = Contents()
        for number, line in enumerate(data.split(b"\n"), 1):
            contained.add(b"%d" % number, Content(Kind.BYTES, sha256(line)), ["a line"] if number == 2 else [])
        return Document(Content(Kind.BYTES, raw), contained=contained)
    return Document(Content(Kind.BYTES, raw))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        made.comment = comment
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


def names(data: bytes) -> list[bytes]:
    return read(data, read_member).contained.names


class Pipe(io.BytesIO):
    """A place where nothing can be written twice."""

    def seekable(self):
        return False

    def tell(self):
        raise io.UnsupportedOperation

    seek = tell


class TestMembers:
    def test_the_archive_itself_is_its_bytes(self):
        data = zipped(("a", b"1"))
        document = read(data, read_member)
        assert document.content == Content(Kind.BYTES, sha256(data))
        assert document.remarks == ()

    def test_each_member_is_a_record_with_what_its_reader_says_of_it(self):
        contained = read(zipped(("a.bin", b"1"), ("b.xml", b"<b/>")), read_member).contained
        assert contained.names == [b"a.bin", b"b.xml"]
        assert bytes(contained.kinds) == bytes([Kind.BYTES, Kind.XML])
        assert bytes(contained.raws) == sha256(b"1") + sha256(b"<b/>")
        assert bytes(contained.components) == COMPONENT + COMPONENT
        assert contained.remarks == [(b"b.xml", "it is XML")]

    def test_the_records_inside_a_member_have_their_names_below_its_own(self):
        contained = read(zipped(("out/x.ndjson", b"{1\n{2"), ("z", b"")), read_member).contained
        assert contained.names == [b"out/x.ndjson", b"out/x.ndjson/1", b"out/x.ndjson/2", b"z"]
        assert bytes(contained.raws) == b"".join(map(sha256, (b"{1\n{2", b"{1", b"{2", b"")))
        assert contained.remarks == [(b"out/x.ndjson/2", "a line")]

    def test_a_member_that_cannot_be_read_is_covered_as_bytes_and_says_why(self):
        contained = read(zipped(("a", b"!"), ("b", b"1")), read_member).contained
        assert bytes(contained.kinds) == bytes(2)
        assert contained.remarks == [(b"a", "expected anything else")]

    def test_the_order_of_members_and_how_they_are_packed_change_nothing(self):
        members = [(f"{folder}/{name}", bytes([name]) * 50) for folder in "ab" for name in range(9)]
        usual = read(zipped(*members), read_member).contained
        for seed in range(20):
            mixed = random.Random(seed).sample(members, len(members))  # noqa: S311 - repeatable
            method = seed % 2 * zipfile.ZIP_DEFLATED
            assert read(zipped(*mixed, method=method, comment=b"c" * seed), read_member).contained == usual

    def test_folders_are_no_records(self):
        assert names(zipped(("a/", b""), ("a/b/", b""), ("a/b/c", b"1"))) == [b"a/b/c"]

    def test_an_archive_without_members_has_no_records(self):
        assert names(zipped()) == []

    def test_an_empty_member_is_a_record(self):
        assert names(zipped(("a", b""))) == [b"a"]

    def test_names_are_bytes_whatever_their_encoding(self):
        assert names(zipped(("é.json", b""))) == ["é.json".encode()]
        assert names(archive(Member(b"\x82.json"))) == [b"\x82.json"]
        assert names(archive(Member(b"\xff\xfe", flags=0x800))) == [b"\xff\xfe"]

    def test_a_symbolic_link_is_covered_as_where_it_points_to(self):
        contained = read(archive(Member(b"link", b"<target/>", mode=stat.S_IFLNK | 0o777)), read_member).contained
        assert bytes(contained.kinds) == bytes(1)
        assert bytes(contained.raws) == sha256(b"<target/>")
        assert contained.remarks == [(b"link", LINK)]

    @pytest.mark.parametrize("kind", [0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO])
    def test_any_other_member_is_read(self, kind):
        contained = read(archive(Member(b"a", b"<a/>", mode=kind | 0o644)), read_member).contained
        assert bytes(contained.kinds) == bytes([Kind.XML])

    @pytest.mark.parametrize("inner", [zipped(), zipped(("a", b"1")), gzip.compress(b"1", mtime=0), b"PK\3\4 damaged"])
    def test_an_archive_inside_an_archive_is_covered_as_bytes(self, inner):
        contained = read(zipped(("inner", inner)), read_member).contained
        assert contained.names == [b"inner"]
        assert bytes(contained.raws) == sha256(inner)
        assert contained.remarks == [(b"inner", NESTED)]

    def test_a_document_that_is_kept_as_an_archive_is_read_as_any_member(self):
        contained = read(zipped(("a.docx", zipped(("[Content_Types].xml", b"<a/>")))), read_member).contained
        assert contained.names == [b"a.docx"]
        assert contained.remarks == []


class TestDocuments:
    @pytest.mark.parametrize(
        "members",
        [
            (("mimetype", b"application/epub+zip"), ("a", b"1")),
            (("word/document.xml", b"<a/>"), ("[Content_Types].xml", b"<a/>")),
            (("A.class", b"\xca\xfe"), ("META-INF/MANIFEST.MF", b"")),
        ],
    )
    def test_a_document_that_is_kept_as_an_archive_is_no_container(self, members):
        data = zipped(*members)
        assert read(data, read_member) == Document(Content(Kind.BYTES, sha256(data)))

    def test_a_signed_app_is_no_container_although_it_has_bytes_of_no_member(self):
        data = archive(Member(b"META-INF/MANIFEST.MF"), gap=b"APK Sig Block 42")
        assert read(data, read_member).contained is None

    def test_a_file_called_mimetype_elsewhere_makes_no_document(self):
        assert names(zipped(("a", b""), ("mimetype", b""))) == [b"a", b"mimetype"]


class TestWriters:
    """Archives of other programs are read, whatever their style."""

    members = (("a.txt", b"1" * 5000), ("b/c.txt", b"2"))

    def test_a_streamed_one(self):
        pipe = Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as made:
            for name, content in self.members:
                made.writestr(name, content)
        assert names(pipe.getvalue()) == [b"a.txt", b"b/c.txt"]

    @pytest.mark.parametrize("wide", [False, True])
    @pytest.mark.parametrize("magic", [False, True])
    @pytest.mark.parametrize("method", [0, 8])
    def test_every_form_of_a_descriptor(self, wide, magic, method):
        member = Member(b"a", b"1" * 99, method, flags=8, local={"crc": 0, "packed": 0, "size": 0})
        member.after = descriptor(member.content, member.packed_bytes(), wide=wide, magic=magic)
        assert names(archive(member, Member(b"b", b"2"))) == [b"a", b"b"]

    def test_zip64_members(self):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as made:
            for name, content in self.members:
                with made.open(name, "w", force_zip64=True) as member:
                    member.write(content)
        assert names(file.getvalue()) == [b"a.txt", b"b/c.txt"]

    def test_zip64_lines_of_the_directory(self):
        extra = b"\x55\x54\1\0x" + b"\1\0\x18\0" + b"".join(n.to_bytes(8, "little") for n in (4, 4, 0)) + b"\0\0"
        listed = {"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF, "offset": 0xFFFFFFFF, "extra": extra}
        assert names(archive(Member(b"a", b"1234", 0, listed=listed))) == [b"a"]

    @pytest.mark.parametrize("narrow", [(0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), (1, 1, 47, 32), (1, 0xFFFF, 47, 32)])
    def test_a_zip64_end(self, narrow):
        assert names(archive(Member(b"a", b"1", 0), wide=True, narrow=narrow)) == [b"a"]

    def test_more_members_than_fit_without_zip64(self):
        assert len(names(archive(*(Member(b"%d" % n, b"", 0) for n in range(70_000)), wide=True))) == 70_000

    @pytest.mark.skipif(not shutil.which("zip"), reason="Info-ZIP's zip is not on this machine")
    @pytest.mark.parametrize("options", [(), ("-0",), ("-fd",), ("-fz",), ("-y",), ("-X",), ("-z",)])
    def test_what_zip_writes(self, tmp_path, options):
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "é.txt").write_bytes(b"1" * 500)
        (tmp_path / "link").symlink_to("d")
        command = ["zip", "-q", "-r", *options, "made.zip", "d", "link"]
        subprocess.run(command, cwd=tmp_path, check=True, input=b"a comment\n.\n")
        assert "d/é.txt".encode() in names((tmp_path / "made.zip").read_bytes())

    @pytest.mark.skipif(not shutil.which("zip"), reason="Info-ZIP's zip is not on this machine")
    @pytest.mark.parametrize("options", [(), ("-fz-",)])
    def test_what_zip_writes_from_pipe_to_pipe(self, options):
        made = subprocess.run(["zip", "-q", *options, "-", "-"], input=b"<a/>", capture_output=True, check=True).stdout
        contained = read(made, read_member).contained
        assert contained.names == [b"-"]
        assert bytes(contained.kinds) == bytes([Kind.XML])

    @pytest.mark.skipif(not shutil.which("jar"), reason="Java's jar is not on this machine")
    def test_what_java_writes(self, tmp_path):
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "a").write_bytes(b"1" * 500)
        subprocess.run(["jar", "-c", "-M", "-f", "made.zip", "d"], cwd=tmp_path, check=True)
        assert names((tmp_path / "made.zip").read_bytes()) == [b"d/a"]

    @given(
        st.dictionaries(
            st.text(min_size=1, max_size=20).filter(lambda t: t.isprintable()), st.binary(max_size=200), max_size=6
        )
    )
    def test_whatever_is_read_is_what_the_standard_library_reads(self, members):
        data = zipped(*members.items())
        try:
            contained = read(data, read_member).contained
        except MalformedRecordError:
            return
        if contained is not None:
            raws = [contained.raws[32 * at : 32 * at + 32] for at in range(len(contained.names))]
            found = {name: bytes(raw) for name, raw in zip(contained.names, raws, strict=True)}
            with zipfile.ZipFile(io.BytesIO(data)) as made:
                oracle = {
                    info.filename.encode(): sha256(made.read(info)) for info in made.infolist() if not info.is_dir()
                }
            assert oracle.items() <= found.items()


class TestDamage:
    data = zipped(("a.xml", b"<a>" + bytes(range(100)) + b"</a>"), ("b/c", b"2" * 300), comment=b"a comment")

    def test_every_truncation_is_refused(self):
        for end in range(len(self.data)):
            with pytest.raises(MalformedRecordError):
                read(self.data[:end], read_member)

    def test_every_flipped_bit_is_refused_or_changes_no_record(self):
        usual = read(self.data, read_member).contained
        for at in range(8 * len(self.data)):
            damaged = bytearray(self.data)
            damaged[at // 8] ^= 1 << at % 8
            try:
                assert read(bytes(damaged), read_member).contained == usual
            except MalformedRecordError:
                continue

    def test_every_flipped_bit_of_a_stored_member_is_refused(self):
        data = archive(Member(b"a", b"{} and more", 0), Member(b"b", b"2", 0))
        for at in range(8 * data.index(b"{}"), 8 * data.index(b"PK\3\4", 9)):
            damaged = bytearray(data)
            damaged[at // 8] ^= 1 << at % 8
            with pytest.raises(MalformedRecordError, match="member 1 of the archive is damaged"):
                read(bytes(damaged), read_member)

    def test_random_bytes_in_the_place_of_some_are_refused_or_change_no_record(self):
        usual, chance = read(self.data, read_member).contained, random.Random(4)  # noqa: S311 - repeatable
        for _ in range(3000):
            at, length = chance.randrange(len(self.data)), chance.randrange(1, 9)
            damaged = self.data[:at] + chance.randbytes(length) + self.data[at + chance.choice((0, length)) :]
            try:
                assert read(damaged, read_member).contained == usual
            except MalformedRecordError:
                continue

    @given(st.binary(max_size=200))
    def test_no_bytes_let_anything_else_out(self, data):
        for each in (data, b"PK\3\4" + data, data + self.data[-60:], self.data[:40] + data + self.data[-150:]):
            try:
                read(each, read_member)
            except MalformedRecordError:
                continue

    @pytest.mark.parametrize(
        "data", [b"", b"PK", b"PK\3\4", b"PK\5\6" + bytes(17), b"PK\5\6" * 10, bytes(100), b"PK\6\7PK\5\6" + bytes(18)]
    )
    def test_what_is_no_archive_is_refused(self, data):
        with pytest.raises(MalformedRecordError):
            read(data, read_member)

    def test_messages_name_no_member(self):
        for member in (
            Member(b"Jane", flags=1),
            Member(b"Jane\\"),
            Member(b"Jane", method=9),
            Member(b"Jane", b"1", listed={"crc": 0}),
        ):
            with pytest.raises(MalformedRecordError, match="member 1") as caught:
                read(archive(member), read_member)
            assert "Jane" not in str(caught.value)


class TestGzip:
    def test_what_is_in_it_is_one_record(self):
        data = gzip.compress(b"<a/>")
        document = read_gzip(data, read_member)
        assert document.content == Content(Kind.BYTES, sha256(data))
        assert document.contained.names == [b"content"]
        assert bytes(document.contained.raws) == sha256(b"<a/>")
        assert bytes(document.contained.kinds) == bytes([Kind.XML])
        assert document.contained.remarks == [(b"content", "it is XML")]

    def test_a_mere_container_in_it_gives_its_records(self):
        contained = read_gzip(gzip.compress(b"{1\n{2"), read_member).contained
        assert contained.names == [b"1", b"2"]
        assert contained.remarks == [(b"2", "a line")]

    def test_a_container_that_is_a_document_gives_itself_and_its_records(self):
        def read_bundle(data: bytes) -> Document:
            contained = Contents()
            contained.add(b"entry/0", Content(Kind.BYTES, sha256(b"inside")))
            return Document(Content(Kind.FHIR, sha256(data), (COMPONENT,) * 5), ("a bundle",), contained)

        document = read_gzip(gzip.compress(b"bundle"), read_bundle)
        assert document.contained.names == [b"content", b"entry/0"]
        assert bytes(document.contained.kinds) == bytes([Kind.FHIR, Kind.BYTES])
        assert document.contained.remarks == [(b"content", "a bundle")]
        assert document.remarks == ()

    def test_what_cannot_be_read_is_covered_as_bytes(self):
        assert read_gzip(gzip.compress(b"!"), read_member).contained.remarks == [(b"content", "expected anything else")]

    @pytest.mark.parametrize("inner", [gzip.compress(b"1", mtime=0), zipped(("a", b"1"))])
    def test_an_archive_in_it_is_covered_as_bytes(self, inner):
        contained = read_gzip(gzip.compress(inner), read_member).contained
        assert bytes(contained.raws) == sha256(inner)
        assert contained.remarks == [(b"content", NESTED)]

    def test_a_folder_of_files_in_it_is_covered_as_bytes(self):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as made:
            made.addfile(tarfile.TarInfo("a"))
        assert read_gzip(file.getvalue(), read_member).contained.names == [b"content"]

    def test_more_than_a_document_is_refused(self, monkeypatch):
        monkeypatch.setattr("medanchor.records.archive.MOST_MEMBER_BYTES", 1 << 20)
        assert read_gzip(gzip.compress(bytes(1 << 20)), read_member).contained.names == [b"content"]
        with pytest.raises(MalformedRecordError, match="more than 1 MiB"):
            read_gzip(gzip.compress(bytes((1 << 20) + 1)), read_member)


def test_how_archives_begin():
    assert is_zip(zipped())
    assert is_zip(zipped(("a", b"")))
    assert is_gzip(gzip.compress(b""))
    assert not any(begins(data) for begins in (is_zip, is_gzip) for data in (b"", b"PK", b"\x1f", b"{}", b"PK\7\x08"))


def test_content_whose_checksum_is_another_is_refused():
    data = bytearray(archive(Member(b"a", b"12345", 0)))
    data[data.index(b"12345")] ^= 1
    with pytest.raises(MalformedRecordError, match="checksum"):
        read(bytes(data), read_member)


def test_a_member_is_unpacked_to_what_was_packed():
    content = zlib.compress(bytes(range(256)) * 40)
    data = archive(Member(b"a", content), Member(b"b", content, 0))
    assert [archive_zip.unpacked(data, member) for member in archive_zip.directory(data).members] == [content] * 2
