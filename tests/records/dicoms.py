"""DICOM files taken apart by pydicom and put together again, in every encoding that DICOM allows.

Shares nothing with the code under test: pydicom reads, and what writes is here.
"""

import io
import os
import struct
import warnings
import zlib
from dataclasses import dataclass, field, replace

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_fragments, parse_basic_offsets

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG)
JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"

PADDING = 0xFFFCFFFC
PIXEL_DATA = 0x7FE00010
LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
SPACED = {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
WORD = {"US": 2, "SS": 2, "OW": 2, "AT": 2} | dict.fromkeys(("UL", "SL", "FL", "OF", "OL"), 4)
WORD |= dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8)
UNDEFINED = 0xFFFFFFFF

FOLDER = os.path.join(os.path.dirname(pydicom.__file__), "data")
NO_DICOM = (".py", ".pyc", ".json", ".txt", ".dump", ".icc", ".gz", ".md", "README")


def own_files():
    """The names of all DICOM files that come with pydicom, below its folder of data."""
    found = [os.path.join(folder, name) for folder, _, names in os.walk(FOLDER) for name in names]
    return sorted(os.path.relpath(path, FOLDER) for path in found if not path.endswith(NO_DICOM))


def content(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


@dataclass
class Frames:
    """Encapsulated pixel data."""

    fragments: list
    table: list


@dataclass
class Part:
    """An element: its value is bytes (little endian), a list of items that are lists of parts, or frames."""

    tag: int
    vr: str
    value: object


@dataclass(frozen=True)
class How:
    """How a data set is written."""

    syntax: str = EXPLICIT
    undefined: bool = False
    group_lengths: bool = False
    padding: int = 0
    preamble: bytes = bytes(128)
    meta: bool = True
    table: bool = True
    extra: tuple = field(default=())

    def but(self, **changes):
        return replace(self, **changes)


def take_apart(data):
    """Return a file's transfer syntax and its parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pydicom.dcmread(io.BytesIO(data), force=True)
        syntax = str(found.file_meta.get("TransferSyntaxUID", "")) if hasattr(found, "file_meta") else ""
        return syntax or EXPLICIT, [_part(found, tag) for tag in tags(found)]


def tags(found):
    return list(found.keys())  # to iterate over a data set would convert its values


def _part(found, tag):
    raw = found._dict[tag]  # by the public ways some values are converted
    vr = raw.VR or _dictionary(tag)
    if vr == "SQ":
        return Part(int(tag), vr, [[_part(item, inner) for inner in tags(item)] for item in found[tag].value])
    if not isinstance(raw, RawDataElement):  # pydicom has read these already, for reading others
        return Part(int(tag), vr, _encoded(raw))
    value = raw.value or b""
    if raw.length == UNDEFINED:
        fragments = list(generate_fragments(value))
        return Part(int(tag), "OB", Frames(fragments[1:], parse_basic_offsets(value)))
    return Part(int(tag), vr, value if raw.is_little_endian else swapped(vr, value))


def _encoded(known):
    if isinstance(known.value, int):
        return struct.pack("<H", known.value)
    return "\\".join([known.value or ""] if known.VM < 2 else known.value).encode()


def _dictionary(tag):
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "UN"


def swapped(vr, value):
    size = WORD.get(vr, 1)
    return b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))


def put_together(parts, how=None):
    """Return a file."""
    how = how or How()
    body = data_set(parts, how, top=True)
    if how.syntax == DEFLATED:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        body = packer.compress(body) + packer.flush()
        body += bytes(len(body) % 2)
    return head(how) + body if how.meta else body


def head(how):
    plain = How()
    uid = how.syntax.encode() + bytes(len(how.syntax) % 2)
    meta = element(0x00020001, "OB", b"\0\1", plain) + element(0x00020010, "UI", uid, plain)
    meta += b"".join(element(tag, vr, value, plain) for tag, vr, value in how.extra)
    return how.preamble + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta)), plain) + meta


def data_set(parts, how, *, top=False):
    written = [(part.tag, part_bytes(part, how)) for part in parts if part.tag != PADDING or not how.padding]
    if how.group_lengths:
        for group in {tag >> 16 for tag, _ in written} - {0x7FE0}:
            size = sum(len(one) for tag, one in written if tag >> 16 == group)
            written.append((group << 16, element(group << 16, "UL", struct.pack("<I", size), how)))
        written.sort(key=lambda one: one[0])
    if how.padding and top:
        written.append((PADDING, element(PADDING, "OB", bytes(how.padding), how)))
    return b"".join(one for _, one in written)


def part_bytes(part, how):
    if isinstance(part.value, Frames):
        return start(part.tag, part.vr, UNDEFINED, how) + frames(part.value, how)
    if not isinstance(part.value, list):
        return element(part.tag, part.vr, part.value, how)
    items = b"".join(item(parts, how) for parts in part.value)
    if how.undefined:
        return start(part.tag, "SQ", UNDEFINED, how) + items + number("HHI", how, 0xFFFE, 0xE0DD, 0)
    return start(part.tag, "SQ", len(items), how) + items


def item(parts, how):
    body = data_set(parts, how)
    if how.undefined:
        return number("HHI", how, 0xFFFE, 0xE000, UNDEFINED) + body + number("HHI", how, 0xFFFE, 0xE00D, 0)
    return number("HHI", how, 0xFFFE, 0xE000, len(body)) + body


def frames(value, how):
    table = struct.pack(f"<{len(value.table)}I", *value.table) if how.table else b""
    pieces = [struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in [table, *value.fragments]]
    return b"".join(pieces) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def element(tag, vr, value, how):
    if len(value) % 2:
        value += b" " if vr in SPACED else b"\0"
    if how.syntax == BIG:
        value = swapped(vr, value)
    return start(tag, vr, len(value), how) + value


def start(tag, vr, length, how):
    group, rest = tag >> 16, tag & 0xFFFF
    if how.syntax == IMPLICIT:
        return struct.pack("<HHI", group, rest, length)
    if vr in LONG:
        return number("HH", how, group, rest) + vr.encode() + b"\0\0" + number("I", how, length)
    return number("HH", how, group, rest) + vr.encode() + number("H", how, length)


def number(form, how, *values):
    return struct.pack((">" if how.syntax == BIG else "<") + form, *values)
