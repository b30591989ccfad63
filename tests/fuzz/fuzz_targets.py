"""What is fuzzed: every reader and every differ, and what must hold of them whatever the bytes.

A target takes any bytes. Only MalformedRecordError is an answer; anything else that comes out is a finding.
"""

import io
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from zips import Member, descriptor
from zips import archive as zipped

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records.document import Content, Contents, Document, Kind

CORPUS = Path(__file__).parent / "corpus"
BETWEEN = b"\n=====\n"
"""Stands between the two versions in an input for a differ."""

COMPONENTS = {Kind.BYTES: 0, Kind.FHIR: 5, Kind.DICOM: 2, Kind.HL7: 2, Kind.XML: 2}
INFLATED = 1 << 24


def check_content(content: Content) -> None:
    assert len(content.raw) == 32
    assert [len(component) for component in content.components] == [32] * COMPONENTS[content.kind]


def check_contents(contents: Contents) -> None:
    assert len(contents.raws) == 32 * len(contents.names)
    assert len(contents.kinds) == len(contents.names)
    assert len(contents.components) == 32 * sum(COMPONENTS[kind] for kind in contents.kinds)
    assert len(set(contents.names)) == len(contents.names)
    assert {name for name, _ in contents.remarks} <= set(contents.names)


def check_document(document: Document) -> None:
    check_content(document.content)
    if document.contained is not None:
        check_contents(document.contained)


def find(name: str) -> Callable:
    """Return a function of a module of medanchor.records, called "module.function"."""
    module, _, function = name.partition(".")
    return getattr(import_module(f"medanchor.records.{module}"), function)


def reader(name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        try:
            check_document(find(name)(data))
        except MalformedRecordError:
            return

    return run


def differ(name: str, read: str) -> Callable[[bytes], None]:
    """Return a target that compares two versions: they differ somewhere if and only if their components differ."""

    def run(data: bytes) -> None:
        middle = data.find(BETWEEN)
        before, after = data[:middle], data[middle + len(BETWEEN) :]
        if middle < 0:
            before, after = data[: len(data) // 2], data[len(data) // 2 :]
        try:
            documents = [find(read)(version) for version in (before, after)]
        except MalformedRecordError:
            documents = []
        try:
            found = list(find(name)(before, after))
            assert not list(find(name)(before, before))
        except MalformedRecordError:
            assert not documents, "what the reader reads the differ refuses"
            return
        if documents and documents[0].content.kind == documents[1].content.kind != Kind.BYTES:
            old, new = (document.content.components for document in documents)
            assert bool(found) == (old != new), "reader and differ disagree"

    return run


def fhir(data: bytes) -> None:
    """Read a document; what the quick way reads, the exact way must read alike."""
    reader("fhir.read")(data)
    quick = find("fhir_quick.Parser")().quick(data)
    if quick is not None:
        tree, canonical = quick
        exact = find("fhir_json.parse")(data)
        form = find("fhir_form.lexical")(exact)
        numeric = find("fhir_form.numeric")(exact, form)
        assert find("fhir_form.lexical")(tree) == form, "the quick way reads otherwise"
        assert find("fhir_form.numeric")(tree, form) == numeric, "the quick way reads other numbers"
        wide = find("fhir_form.has_wide_keys")(form)
        assert not canonical or numeric == (None if wide else form), "a number is not canonical"


def lines(data: bytes) -> None:
    try:
        check_contents(find("fhir.read_lines")(data, 1))
    except MalformedRecordError:
        return


def read_any(data: bytes) -> Document:
    """Read what an archive holds quickly, so that it is the archive that is fuzzed: a container, refused, or bytes."""
    if data.startswith(b"!"):
        raise MalformedRecordError("expected anything else")
    contained = Contents() if data.startswith(b"{") else None
    for number, line in enumerate(data.splitlines() if contained else [], 1):
        contained.add(b"%d" % number, Content(Kind.BYTES, sha256(line)), ["a remark"])
    return Document(Content(Kind.BYTES, sha256(data)), (), contained)


def archive(data: bytes) -> None:
    """Read the ZIP archive that `data` is, and the one that it tells of; the standard library must read the same."""
    for written in (data, archive_told_by(data)):
        try:
            document = find("archive.read")(written, read_any)
        except MalformedRecordError:
            continue
        check_document(document)
        if document.contained is not None:
            check_members(written, document.contained)


def archive_told_by(data: bytes) -> bytes:
    """Return an archive whose members, and the lies about them, are told by `data`: damage alone finds few of them."""
    told = io.BytesIO(data)
    members = []
    while (head := told.read(4)) and len(members) < 8:
        choice, name_bytes, content_bytes, lie = head.ljust(4, b"\0")
        member = Member(told.read(name_bytes % 16), told.read(content_bytes), method=choice % 2 * 8, flags=choice & 8)
        if member.flags:
            wide, magic = bool(choice & 16), bool(choice & 32)
            member.after = descriptor(member.content, member.packed_bytes(), wide=wide, magic=magic)
        if lie < 64:
            field = LIES[lie % len(LIES)]
            value = told.read(4)[: 4 if field in WIDE else 2]
            changed = member.local if lie & 32 else member.listed
            changed[field] = (
                int.from_bytes(value, "little") if field != "extra" else told.read(value[0] if value else 0)
            )
        members.append(member)
    return zipped(*members, wide=len(data) % 2 == 1)


LIES = ("offset", "size", "packed", "crc", "flags", "method", "mode", "extra")
WIDE = ("offset", "size", "packed", "crc")


def check_members(data: bytes, contents: Contents) -> None:
    raws = {name: bytes(contents.raws[32 * at : 32 * at + 32]) for at, name in enumerate(contents.names)}
    for name, content in read_elsewhere(data):
        assert raws[name] == sha256(content), "it is read otherwise elsewhere"


def read_elsewhere(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the members that the standard library reads; none if it refuses what says nothing about their content."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as oracle:
            members = [(info, "utf-8" if info.flag_bits & 0x800 else "cp437") for info in oracle.infolist()]
            return [(it.orig_filename.encode(name), oracle.read(it)) for it, name in members if not it.is_dir()]
    except (NotImplementedError, UnicodeDecodeError):  # a version of the format, the names
        return []
    except zipfile.BadZipFile as error:
        if "extra field" in str(error):
            return []
        raise


def gzip(data: bytes) -> None:
    try:
        blocks = list(find("archive.inflated")(io.BytesIO(data), limit=INFLATED))
        check_document(find("archive.read_gzip")(data, read_any))
    except MalformedRecordError:
        return
    assert all(0 < len(block) <= 1 << 16 for block in blocks)


def any_bytes(data: bytes) -> None:
    middle = data.find(BETWEEN)
    before, after = (data[:middle], data[middle + len(BETWEEN) :]) if middle >= 0 else (data[:-1], data[1:])
    assert bool(list(find("bytes_diff.differences")(before, after))) == (before != after)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "fhir": fhir,
    "lines": lines,
    "dicom": reader("dicom.read"),
    "hl7": reader("hl7.read"),
    "markup": reader("markup.read"),
    "archive": archive,
    "gzip": gzip,
    "detect": reader("detect.read"),
    "fhir_diff": differ("fhir_diff.differences", "fhir.read"),
    "dicom_diff": differ("dicom_diff.differences", "dicom.read"),
    "hl7_diff": differ("hl7_diff.differences", "hl7.read"),
    "markup_diff": differ("markup_diff.differences", "markup.read"),
    "bytes_diff": any_bytes,
}
