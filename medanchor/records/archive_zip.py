"""The members of a ZIP archive, read strictly: every byte belongs to one member, or to the directory at the end.

What two programs could read in two ways is refused, so that a proof of a member means the same to everyone. The
standard library's zipfile is not used: it keeps the whole directory before anybody can count it, gives out the first
bytes of a member that inflates to more than the directory says, passes over bytes between members, and differs between
versions of Python. Messages tell a member by its number in the directory, as its name may be a patient's.

PKWARE, APPNOTE.TXT 6.3.10.
"""

import re
import stat
import zlib
from collections.abc import Iterator
from itertools import pairwise
from struct import Struct
from typing import NamedTuple

from medanchor.errors import MalformedRecordError

MOST_MEMBERS = 100_000
MOST_MEMBER_BYTES = 64 << 20
"""What is read of one member; documents are no longer."""
MOST_BYTES = 1 << 30
"""What all members inflate to."""
MOST_NAME_BYTES = 1024

LOCAL = Struct("<4s5H3L2H")  # 4.3.7
CENTRAL = Struct("<4s6H3L5H2L")  # 4.3.12
WIDE_END = Struct("<4sQ2H2L4Q")  # 4.3.14
WIDE_LOCATOR = Struct("<4sLQL")  # 4.3.15
END = Struct("<4s4H2LH")  # 4.3.16
LOCAL_MAGIC, CENTRAL_MAGIC, DESCRIPTOR_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
WIDE_END_MAGIC, WIDE_LOCATOR_MAGIC, END_MAGIC = b"PK\x06\x06", b"PK\x06\x07", b"PK\x05\x06"

FULL = (1 << 32) - 1
"""In a field of 32 bits: the number stands in the Zip64 field."""
SHORT_FULL = (1 << 16) - 1
WIDE_FIELD = 0x0001
UNREADABLE = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 13
"""Encrypted in one way or another; bit 5 is for patches to other files."""
DESCRIBED = 1 << 3
"""The checksum and the lengths follow the member, as it was written before they were known."""
STORED, DEFLATED = 0, 8

_UNSAFE = re.compile(rb"[\x00-\x1f\x7f\\]|^[A-Za-z]:")
_DOCUMENTS = {b"[Content_Types].xml", b"META-INF/MANIFEST.MF"}


class Member(NamedTuple):
    """One line of the directory, the first being number 1; `packed` and `size` are lengths in bytes."""

    number: int
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int

    @property
    def is_folder(self) -> bool:
        """Say whether it stands for a folder, and so has no content."""
        return self.name.endswith(b"/")

    @property
    def is_link(self) -> bool:
        """Say whether it is a symbolic link; what zip marks as a named pipe was read from one, and is as good."""
        return stat.S_ISLNK(self.mode)


class Directory(NamedTuple):
    """The members in the directory's order, and where in the archive it begins."""

    members: list[Member]
    start: int

    @property
    def is_document(self) -> bool:
        """Say whether the archive is how a document is kept (Office, ODF, EPUB, JAR), and not one of records."""
        first = self.members[0].name if self.members else b""
        return first == b"mimetype" or any(member.name in _DOCUMENTS for member in self.members)


def directory(data: bytes) -> Directory:
    """Return what the directory of a ZIP archive says, believing nothing of it yet. Raises MalformedRecordError."""
    end = data.rfind(END_MAGIC, max(0, len(data) - END.size - SHORT_FULL))
    if end < 0 or end + END.size > len(data):
        raise MalformedRecordError("the archive has no end record: it is cut short, or not a ZIP archive")
    _, disk, first, here, count, size, start, comment = END.unpack_from(data, end)
    if end + END.size + comment != len(data):
        raise MalformedRecordError(f"the archive's end record at byte {end} is not what the archive ends with")
    if end >= WIDE_LOCATOR.size and data.startswith(WIDE_LOCATOR_MAGIC, end - WIDE_LOCATOR.size):
        end, disk, first, here, count, size, start = _wide_end(data, end, (disk, first, here, count, size, start))
    if (disk, first, here) != (0, 0, count):
        raise MalformedRecordError("the archive is one of several parts")
    if start + size != end:
        raise MalformedRecordError(f"the archive's directory does not end at byte {end}, where its end record begins")
    if count > MOST_MEMBERS:
        raise MalformedRecordError(f"the archive has {count} members, more than {MOST_MEMBERS}")
    return Directory(list(_members(data, start, end, count)), start)


def _wide_end(data: bytes, end: int, narrow: tuple[int, ...]) -> tuple[int, ...]:
    """Return where the Zip64 end record begins, and its numbers, which the end record at `end` must not deny."""
    _, disk, at, disks = WIDE_LOCATOR.unpack_from(data, end - WIDE_LOCATOR.size)
    if at + WIDE_END.size + WIDE_LOCATOR.size != end or not data.startswith(WIDE_END_MAGIC, at):
        raise MalformedRecordError(f"the archive's Zip64 end record is not at byte {at}")
    _, length, _, _, *wide = WIDE_END.unpack_from(data, at)
    full = (SHORT_FULL,) * 4 + (FULL,) * 2
    agreed = all(few in (many, most) for few, many, most in zip(narrow, wide, full, strict=True))
    if length != WIDE_END.size - 12 or disk != 0 or disks > 1 or not agreed:
        raise MalformedRecordError("the archive's two end records disagree")
    return at, *wide


def _members(data: bytes, at: int, end: int, count: int) -> Iterator[Member]:
    for number in range(1, count + 1):
        if at + CENTRAL.size > end or not data.startswith(CENTRAL_MAGIC, at):
            raise MalformedRecordError(f"the archive's directory has no member {number} at byte {at}")
        fields = CENTRAL.unpack_from(data, at)
        _, _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes, comment_bytes = fields[:13]
        *_, attributes, offset = fields
        name_end = at + CENTRAL.size + name_bytes
        extra = data[name_end : name_end + extra_bytes]
        size, packed, offset = _widened(extra, (size, packed, offset))
        name = data[at + CENTRAL.size : name_end]
        yield Member(number, name, flags, method, crc, packed, size, attributes >> 16, offset)
        at = name_end + extra_bytes + comment_bytes
    if at != end:
        raise MalformedRecordError(f"the archive's directory ends at byte {at}, not at byte {end} as it says")


def _widened(extra: bytes, values: tuple[int, ...]) -> list[int]:
    """Return `values` with the full ones among them taken from the Zip64 field in `extra`, in order (4.5.3)."""
    if FULL not in values:
        return [*values]
    field = _extra_field(extra, WIDE_FIELD)
    wide = (int.from_bytes(field[at : at + 8], "little") for at in range(0, len(field) - 7, 8))
    return [next(wide, value) if value == FULL else value for value in values]


def _extra_field(extra: bytes, kind: int) -> bytes:
    """Return the first field of a kind, or nothing; what follows the last whole field is padding of some programs."""
    at = 0
    while at + 4 <= len(extra):
        start = at + 4
        at = start + int.from_bytes(extra[at + 2 : start], "little")
        if int.from_bytes(extra[start - 4 : start - 2], "little") == kind:
            return extra[start:at]
    return b""


def check(data: bytes, found: Directory) -> None:
    """Raise MalformedRecordError unless the directory is the one way to read the archive, within all limits."""
    for member in found.members:
        _check_member(member)
    total = sum(member.size for member in found.members)
    if total > MOST_BYTES:
        raise MalformedRecordError(f"the archive's members have {total} bytes, more than {MOST_BYTES >> 30} GiB")
    _check_names(found.members)
    _check_layout(data, found)


def _check_member(member: Member) -> None:
    if member.flags & UNREADABLE:
        raise MalformedRecordError(f"member {member.number} of the archive is encrypted or a patch")
    if member.method not in (STORED, DEFLATED):
        raise MalformedRecordError(f"member {member.number} of the archive is neither stored nor deflated")
    if member.size > MOST_MEMBER_BYTES:
        most = f"{MOST_MEMBER_BYTES >> 20} MiB"
        raise MalformedRecordError(f"member {member.number} of the archive has {member.size} bytes, more than {most}")
    parts = member.name.removesuffix(b"/").split(b"/")
    unsafe = _UNSAFE.search(member.name) or not {b"", b".", b".."}.isdisjoint(parts)
    if unsafe or len(member.name) > MOST_NAME_BYTES:
        raise MalformedRecordError(f"member {member.number} of the archive has no safe name inside it")


def _check_names(members: list[Member]) -> None:
    """Refuse a name that comes twice, or as a file and as a folder: records inside the file would have its names."""
    paths = sorted((member.name.replace(b"/", b"\0"), member.number) for member in members)  # NUL sorts first
    for (path, number), (following, other) in pairwise(paths):
        if path == following or following.startswith(path + b"\0"):
            raise MalformedRecordError(f"members {number} and {other} of the archive have the same name")


def _check_layout(data: bytes, found: Directory) -> None:
    """Refuse members that overlap, as in the bombs of D. Fifield (WOOT 2019), and bytes that belong to no member."""
    members = sorted(found.members, key=lambda member: member.offset)
    starts = [*(member.offset for member in members), found.start]
    if starts[0]:
        raise MalformedRecordError(f"the archive has {starts[0]} bytes in front of its first member")
    for member, following in zip(members, starts[1:], strict=True):
        end = member.offset + LOCAL.size
        if end <= following:
            end = _content_start(data, member) + member.packed
        if end > following:
            raise MalformedRecordError(f"member {member.number} of the archive overlaps with what follows it")
        if data[end : min(following, end + 25)] not in _descriptors(member):
            raise MalformedRecordError(f"bytes after member {member.number} of the archive belong to no member")


def _content_start(data: bytes, member: Member) -> int:
    """Return where the content of a member begins, whose local header says what the directory says (4.3.7)."""
    at = member.offset
    if not data.startswith(LOCAL_MAGIC, at):
        raise MalformedRecordError(f"member {member.number} of the archive does not begin at byte {at}")
    fields: tuple[int, ...] = LOCAL.unpack_from(data, at)
    _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = fields
    name_end = at + LOCAL.size + name_bytes
    size, packed = _widened(data[name_end : name_end + extra_bytes], (size, packed))
    unknown = (0,) if flags & DESCRIBED else ()
    pairs = (crc, member.crc), (packed, member.packed), (size, member.size)
    agreed = all(here in (there, *unknown) for here, there in pairs)
    same = (flags & (UNREADABLE | DESCRIBED), method) == (member.flags & (UNREADABLE | DESCRIBED), member.method)
    if not agreed or not same or data[at + LOCAL.size : name_end] != member.name:
        raise MalformedRecordError(f"member {member.number} of the archive is not what the directory says")
    return name_end + extra_bytes


def _descriptors(member: Member) -> tuple[bytes, ...]:
    """Return what may follow a member: nothing, or its checksum and lengths, of which there are four forms (4.3.9)."""
    if not member.flags & DESCRIBED:
        return (b"",)
    crc = member.crc.to_bytes(4, "little")
    wide = crc + member.packed.to_bytes(8, "little") + member.size.to_bytes(8, "little")
    narrow = crc + (member.packed & FULL).to_bytes(4, "little") + member.size.to_bytes(4, "little")
    return wide, narrow, DESCRIPTOR_MAGIC + wide, DESCRIPTOR_MAGIC + narrow


def unpacked(data: bytes, member: Member) -> bytes:
    """Return the content of a member of an archive that `check` has passed. Raises MalformedRecordError if damaged."""
    *_, name_bytes, extra_bytes = LOCAL.unpack_from(data, member.offset)
    start = member.offset + LOCAL.size + name_bytes + extra_bytes
    packed = memoryview(data)[start : start + member.packed]
    content = bytes(packed) if member.method == STORED else _inflated(packed, member.size)
    if content is None or len(content) != member.size:
        raise MalformedRecordError(f"member {member.number} of the archive has not the length that the directory says")
    if zlib.crc32(content) != member.crc:
        raise MalformedRecordError(f"member {member.number} of the archive is damaged: its checksum differs")
    return content


def _inflated(packed: memoryview, size: int) -> bytes | None:
    """Return what `packed` inflates to, made of `size` bytes and ending where it ends, or None (RFC 1951)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(packed, size + 1)  # one more, to see whether it ends there
    except zlib.error:
        return None
    return content if inflater.eof and not inflater.unused_data else None
