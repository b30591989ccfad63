"""Records in archives: ZIP and gzip. An archive is covered as bytes, and every record in it on its own.

Nothing is written to a disk, archives inside archives are not opened, and everything is bounded.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records import archive_zip
from medanchor.records.archive_zip import MOST_MEMBER_BYTES, Member
from medanchor.records.document import Content, Contents, Document, Kind

ZIP_MAGICS = (archive_zip.LOCAL_MAGIC, archive_zip.END_MAGIC)
"""How a ZIP archive begins; the second one is that of an archive with no members."""
GZIP_MAGIC = b"\x1f\x8b\x08"

MOST_RECORDS = 1_000_000
"""What one archive may hold, with the records inside its members: 300 bytes of memory each."""
MOST_RECORD_NAME_BYTES = 128 << 20
"""The names of those records together; a member's name is repeated in that of every record inside it."""
MOST_INFLATED_BYTES = 16 << 30
"""What is read of a gzip file that is read block by block."""

READ_BYTES = 1 << 14
"""Of a gzip file at once. Each of its members costs a copy of what follows it there, so that many want this small."""
BLOCK_BYTES = 1 << 16

NESTED = "an archive inside an archive: its bytes are covered"
LINK = "a symbolic link: where it points to is covered, and not what is there"


class Readable(Protocol):
    """What a gzip file is read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`, and none only at the end."""
        ...


def is_zip(data: bytes) -> bool:
    """Say whether `data` begins as a ZIP archive does."""
    return data.startswith(ZIP_MAGICS)


def is_gzip(data: bytes) -> bool:
    """Say whether `data` begins as a gzip file does (RFC 1952, section 2.3.1)."""
    return data.startswith(GZIP_MAGIC)


def read(data: bytes, read_member: Callable[[bytes], Document]) -> Document:
    """Return the records in a ZIP archive, in the order of their names, each as `read_member` reads its bytes.

    A member that is a container has its records below its name (b"export/Patient.ndjson/17"). One that cannot be read,
    a symbolic link, and an archive are covered as bytes, with a remark. An archive that is how a document is kept
    (Office, ODF, EPUB, JAR) is no container. Raises MalformedRecordError for an archive that is damaged or encrypted,
    that two programs could read in two ways, or that is beyond a limit.
    """
    itself = Content(Kind.BYTES, sha256(data))
    directory = archive_zip.directory(data)
    if directory.is_document:
        return Document(itself)
    archive_zip.check(data, directory)
    contents, name_bytes = Contents(), 0
    for member in sorted(directory.members, key=lambda member: member.name):
        content = archive_zip.unpacked(data, member)
        if not member.is_folder:
            document = _bytes_only(content, LINK) if member.is_link else _read_inside(content, read_member)
            name_bytes += _check_room(contents, name_bytes, member, document)
            contents.add(member.name, document.content, document.remarks)
            if document.contained is not None:
                contents.extend(document.contained, below=member.name)
        elif content:
            raise MalformedRecordError(f"member {member.number} of the archive is a folder, and has content")
    return Document(itself, contained=contents)


def _check_room(contents: Contents, name_bytes: int, member: Member, document: Document) -> int:
    """Return how many bytes of names the records of a member add to `name_bytes`, if they are not too many."""
    inside = document.contained.names if document.contained else []
    added = (len(member.name) + 1) * (len(inside) + 1) + sum(map(len, inside))
    if len(contents.names) + len(inside) + 1 > MOST_RECORDS or name_bytes + added > MOST_RECORD_NAME_BYTES:
        raise MalformedRecordError(f"the archive has more than {MOST_RECORDS} records, or too long names for them")
    return added


def _read_inside(data: bytes, read_member: Callable[[bytes], Document]) -> Document:
    try:
        return _bytes_only(data, NESTED) if _is_archive(data) else read_member(data)
    except MalformedRecordError as error:
        return _bytes_only(data, error.message)


def _is_archive(data: bytes) -> bool:
    if not is_zip(data):
        return is_gzip(data)
    try:
        return not archive_zip.directory(data).is_document
    except MalformedRecordError:
        return True


def _bytes_only(data: bytes, remark: str) -> Document:
    return Document(Content(Kind.BYTES, sha256(data)), (remark,))


def read_gzip(data: bytes, read_member: Callable[[bytes], Document]) -> Document:
    """Return the one record in a gzip file, called b"content", and the records inside it by their own names.

    What is a mere container there, as NDJSON is, gives only the records inside it, as it does when it is read block by
    block. Raises MalformedRecordError for damage, and for more than 64 MiB.
    """
    document = _read_inside(b"".join(inflated(io.BytesIO(data), limit=MOST_MEMBER_BYTES)), read_member)
    contents, remarks = Contents(), document.remarks
    if document.contained is None or document.content.kind is not Kind.BYTES:
        contents.add(b"content", document.content, remarks)
        remarks = ()
    if document.contained is not None:
        contents.extend(document.contained)
    return Document(Content(Kind.BYTES, sha256(data)), remarks, contents)


def inflated(stream: Readable, *, limit: int = MOST_INFLATED_BYTES) -> Iterator[bytes]:
    """Yield what a gzip file holds, all its members, in blocks of at most 64 KiB (RFC 1952).

    Zeros at its end are padding, as everywhere. Raises MalformedRecordError, perhaps after some blocks, if it is
    damaged, cut short or followed by anything else, or if it holds more than `limit` bytes.
    """
    total = 0
    packed = stream.read(READ_BYTES)
    if not packed.startswith(GZIP_MAGIC[:1]):
        raise MalformedRecordError("expected a gzip file")
    while packed.startswith(GZIP_MAGIC[:1]):
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        for block in _inflated_member(stream, packed, inflater):
            total += len(block)
            if total > limit:
                raise MalformedRecordError(f"the gzip file holds more than {limit >> 20} MiB")
            yield block
        packed = inflater.unused_data or stream.read(READ_BYTES)
    _check_padding(packed, stream)


def _inflated_member(stream: Readable, packed: bytes, inflater: "zlib._Decompress") -> Iterator[bytes]:
    while not inflater.eof:
        try:
            block = inflater.decompress(packed, BLOCK_BYTES)
        except zlib.error:
            raise MalformedRecordError("the gzip file is damaged") from None
        if block:
            yield block
        packed = inflater.unconsumed_tail
        if not packed and not inflater.eof:
            packed = stream.read(READ_BYTES)
            if not packed:
                raise MalformedRecordError("the gzip file is cut short")


def _check_padding(packed: bytes, stream: Readable) -> None:
    while packed:
        if packed.strip(b"\0"):
            raise MalformedRecordError("the gzip file is followed by something else")
        packed = stream.read(READ_BYTES)
