"""DICOM files (PS3.10): what survives transfer from one archive to the next, and what must be seen to differ.

The components are the data set and the pixel data, in a form that is the same for every lossless re-encoding
(`dicom_form`). The preamble and the file meta information change in transit and are in no component.
"""

import re
from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple, TypeVar

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records.dicom_form import ELSEWHERE, LOSSY, Form
from medanchor.records.dicom_parse import EXPLICIT, IMPLICIT, META, Parser, Syntax
from medanchor.records.dicom_types import shown
from medanchor.records.document import Content, Document, Kind

LONGEST = 256 << 20
"""How many bytes a deflated data set may have."""

PREAMBLE = 128
PREFIX = b"DICM"

_GROUP_LENGTH, _TRANSFER_SYNTAX, _PRIVATE = 0x00020000, 0x00020010, 0x00020102

_NATIVE = {
    b"1.2.840.10008.1.2": IMPLICIT,
    b"1.2.840.10008.1.2.1": EXPLICIT,
    b"1.2.840.10008.1.2.2": Syntax(explicit=True, big=True),
}
_DEFLATED = frozenset((b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.4.95", b"1.2.840.10008.1.2.4.205"))
_LOSSY = frozenset(b"1.2.840.10008.1.2.4.%d" % number for number in (50, 51, 81, 91, 93, 112, 203, *range(100, 109)))
_STANDARD = re.compile(rb"1\.2\.840\.10008\.1\.2(\.[0-9]+)+")
"""All others of DICOM's own are explicit VR little endian, with pixel data encapsulated (PS3.5, section A.4)."""


class Meta(NamedTuple):
    """What the head of a file tells: the transfer syntax (b"" if nothing does), and where the data set begins."""

    transfer_syntax: bytes
    start: int
    is_private: bool


def read(data: bytes) -> Document:
    """Return the components of a DICOM file, `data_set` and `pixels`, with remarks on what they do not cover.

    Raises MalformedRecordError, with the byte, if it is truncated, goes on after its end, or is no DICOM at all.
    """
    meta, form = parse(data, Form)
    content = Content(Kind.DICOM, sha256(data), form.digests())
    return Document(content, tuple(_remarks(data, meta, form)))


_Form = TypeVar("_Form", bound=Form)


def parse(data: bytes, make: Callable[[bytes], _Form]) -> tuple[Meta, _Form]:
    """Return the head of a DICOM file, and its data set in what `make` made for a transfer syntax.

    Files without a head (PS3.10, section 7.1) are read as whatever encoding adds up. Raises as `read` does.
    """
    meta = _meta(data)
    uid = meta.transfer_syntax
    if not uid:
        return meta, _parse_unknown(data, meta.start, make)
    form = make(uid)
    if uid in _DEFLATED:
        inflated = _inflated(data, meta.start)
        _walk(inflated, 0, EXPLICIT, form, place=" of what is deflated")
    elif uid in _NATIVE:
        _walk(data, meta.start, _NATIVE[uid], form)
    elif _STANDARD.fullmatch(uid):
        _walk(data, meta.start, EXPLICIT, form, encapsulated=True)
    else:
        raise MalformedRecordError("its transfer syntax is none of DICOM's")
    return meta, form


def _walk(data: bytes, start: int, syntax: Syntax, form: Form, *, encapsulated: bool = False, place: str = "") -> None:
    Parser(memoryview(data), form, encapsulated=encapsulated, place=place).data_set(start, syntax)
    form.finish()


def _parse_unknown(data: bytes, start: int, make: Callable[[bytes], _Form]) -> _Form:
    problem = MalformedRecordError("there is no data set")
    for syntax in (EXPLICIT, Syntax(explicit=True, big=True), IMPLICIT):
        form = make(b"")
        try:
            _walk(data, start, syntax, form)
        except MalformedRecordError as error:
            problem = error
        else:
            return form
    raise problem


def _meta(data: bytes) -> Meta:
    """Read the preamble and the file meta information, which is explicit VR little endian (PS3.10, section 7.1)."""
    view = memoryview(data)
    at = start = PREAMBLE + len(PREFIX) if data[PREAMBLE : PREAMBLE + len(PREFIX)] == PREFIX else 0
    parser = Parser(view, Form(b""), encapsulated=False)
    values: dict[int, bytes] = {}
    first = at
    while data[at : at + 2] == META.to_bytes(2, "little"):
        header = parser.header(at, len(data), EXPLICIT)
        if header.length > len(data) - header.start:
            raise parser.error(at, f"{shown(header.tag)} claims more bytes than are left")
        if header.tag in values:
            raise parser.error(at, f"{shown(header.tag)} comes twice")
        at = header.start + header.length
        values[header.tag] = data[header.start : at]
        if header.tag == _GROUP_LENGTH:
            first = at
    told = values.get(_GROUP_LENGTH)
    if told is not None and int.from_bytes(told, "little") != at - first:
        raise parser.error(start, "the length of the file meta information is wrong")
    return Meta(values.get(_TRANSFER_SYNTAX, b"").rstrip(b" \0"), at, _PRIVATE in values)


def _inflated(data: bytes, start: int) -> bytes:
    """Return what is deflated (PS3.5, section A.5), bounded: a thousandth of the bytes can make a bomb of it."""
    import zlib

    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(memoryview(data)[start:], LONGEST + 1)
    except zlib.error as error:
        raise MalformedRecordError("what should be deflated is not") from error
    if len(inflated) > LONGEST:
        raise MalformedRecordError(f"more than {LONGEST} bytes are deflated in it")
    if not inflater.eof:
        raise MalformedRecordError("what is deflated is cut off")
    trailer = Struct("<LL").pack(zlib.crc32(inflated), len(inflated))  # as gzip has it, some writers add it
    if inflater.unused_data not in (b"", b"\0", trailer):
        raise MalformedRecordError("something follows what is deflated")
    return inflated


def _remarks(data: bytes, meta: Meta, form: Form) -> Iterator[str]:
    """Yield what a person should know: where something may hide, and what is not covered."""
    if data[PREAMBLE : PREAMBLE + len(PREFIX)] == PREFIX and data[:PREAMBLE].strip(b"\0"):
        yield "its preamble is not empty: it may make the file another thing too, a program or a picture"
    if meta.is_private:
        yield "its file meta information has a private part"
    if form.hides:
        yield "the padding at its end is not empty"
    if meta.transfer_syntax in _LOSSY or form.top.get(LOSSY, b"").strip(b" \0") == b"01":
        yield "its pixels were compressed with loss"
    if ELSEWHERE in form.top:
        yield "its pixels are elsewhere, under an address, and not covered"
    if form.odd:
        odd = ", ".join(dict.fromkeys(f"{shown(element.tag)} as {element.odd}" for element in form.odd[:3]))
        yield f"elements are written as what DICOM does not say they are: {odd}"
