"""What kind a record is, told by its content; and the record read as what it is, whatever happens.

A record that is not sound as what it seems to be is covered by its bytes alone, with a remark that says why.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from medanchor.core.hashes import Hash, sha256
from medanchor.errors import MalformedRecordError
from medanchor.records.document import Content, Document, Kind

HEAD = 1 << 16
"""So many first bytes tell what a record seems to be."""

MAX_DOCUMENT = 64 << 20
MAX_DICOM = 256 << 20
"""Longer documents are covered by their bytes alone: to read one takes several times its length in memory."""


class Form(StrEnum):
    """What a record may be read as; the values are what --as takes."""

    FHIR = "fhir"
    NDJSON = "ndjson"
    DICOM = "dicom"
    HL7 = "hl7"
    XML = "xml"
    ZIP = "zip"
    GZIP = "gzip"
    BYTES = "bytes"


BYTES = Form.BYTES
"""Asked for twice a file: Python 3.11 takes a tenth of a microsecond to look it up in the enumeration."""

_BOM = b"\xef\xbb\xbf"
_STARTS = frozenset(b"{ \t\r\n<MFBP\x0b\x1f\xef\xff\xfe")
"""No record of a kind but DICOM begins with another byte."""


def form_of(head: bytes) -> Form:
    """Return what a record seems to be that begins with `head`, its first 64 KiB or all of it."""
    if head[128:132] == b"DICM":
        return Form.DICOM
    if not head or head[0] not in _STARTS:
        return BYTES
    return _form_of_text(head)


def _form_of_text(head: bytes) -> Form:
    for start, form in _MAGIC.items():
        if head.startswith(start):
            return form
    if _is_utf_16_xml(head):
        return Form.XML
    text = head.removeprefix(_BOM).lstrip(b" \t\r\n")
    if _is_binary(text, 0, _BEGINNING):
        return Form.BYTES
    if _is_json(text):
        return Form.NDJSON if _has_lines(text) else Form.FHIR
    return next((form for form, begins in _TEXTS.items() if begins(text)), Form.BYTES)


_MAGIC = {b"PK\x03\x04": Form.ZIP, b"PK\x05\x06": Form.ZIP, b"\x1f\x8b\x08": Form.GZIP}
_is_utf_16_xml = re.compile(rb"\xff\xfe(?:[ \t\r\n]\x00)*<\x00|\xfe\xff(?:\x00[ \t\r\n])*\x00<").match
_is_json = re.compile(rb'\{\s*["}]').match
_TEXTS = {
    Form.XML: re.compile(rb"<(?!(?i:html|!doctype\s+html)\b)[A-Za-z_:?!\x80-\xff]").match,  # letters are kept as HTML
    Form.HL7: re.compile(rb"(?:\x0b?MSH|[FB]HS)[^A-Za-z0-9\s]").match,
}
_is_binary = re.compile(rb"[\x00-\x08\x0e-\x1b\x1d-\x1f]").search
_BEGINNING = 64
"""Text has no such characters in its first 64 bytes; what is not text and begins like it nearly always does.

0x1c is none of them: it ends a message that came by MLLP, and one may be short.
"""


def _has_lines(text: bytes) -> bool:
    """Say whether JSON is one document a line: the first line is whole, and another one follows."""
    first, end, rest = text.partition(b"\n")
    return bool(end) and first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")


@dataclass(frozen=True, slots=True)
class Reading:
    """How records are to be read: as what their content says, or all as one `form`."""

    form: Form | None = None

    def form_of(self, head: bytes) -> Form:
        """Return what to read a record as that begins with `head`."""
        return self.form or form_of(head)


def read(data: bytes, reading: Reading = Reading()) -> Document:
    """Return what is in `data`; its bytes alone, with a remark, if it is not sound as what it seems to be."""
    form = reading.form_of(data[:HEAD])
    if form is not Form.BYTES and len(data) > limit_of(form):
        return as_bytes(sha256(data), f"it is longer than {limit_of(form) >> 20} MiB")
    try:
        return _reader(form)(data)
    except MalformedRecordError as error:
        if form is Form.FHIR and reading.form is None and _has_lines(data):  # the first line is longer than the head
            return read_lines(data)
        return as_bytes(sha256(data), error.message)


def limit_of(form: Form) -> int:
    """Return how many bytes of a document of this form are read at most."""
    return MAX_DICOM if form is Form.DICOM else MAX_DOCUMENT


def as_bytes(raw: Hash, *remarks: str) -> Document:
    """Return a document that is covered by its bytes alone."""
    return Document(Content(Kind.BYTES, raw), remarks)


def _reader(form: Form) -> Callable[[bytes], Document]:
    """Return the reader of a form; each is imported when the first such record comes."""
    if form in (Form.FHIR, Form.NDJSON):
        from medanchor.records import fhir

        return fhir.read if form is Form.FHIR else read_lines
    if form is Form.DICOM:
        from medanchor.records import dicom

        return dicom.read
    if form is Form.HL7:
        from medanchor.records import hl7

        return hl7.read
    if form is Form.XML:
        from medanchor.records import markup

        return markup.read
    return _archive_reader(form)


def _archive_reader(form: Form) -> Callable[[bytes], Document]:
    if form is Form.BYTES:
        return lambda data: as_bytes(sha256(data))
    from medanchor.records import archive

    return partial(archive.read if form is Form.ZIP else archive.read_gzip, read_member=read)


def read_lines(data: bytes) -> Document:
    """Return the document that NDJSON in memory is."""
    from medanchor.records import fhir

    return Document(Content(Kind.BYTES, sha256(data)), contained=fhir.read_lines(data, 1))
