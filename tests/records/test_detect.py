"""What a record is told to be: by its content, never by its name; and read as that, whatever happens."""

import gzip
import io
import json
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medanchor.core.commitment import WIDTHS
from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records import detect
from medanchor.records.detect import HEAD, Form, Reading, form_of, limit_of, read
from medanchor.records.document import Content, Kind

BOM = b"\xef\xbb\xbf"
PATIENT = b'{"resourceType":"Patient","id":"p"}'
PRETTY = b'{\n  "resourceType": "Patient",\n  "id": "p"\n}\n'
LINES = PATIENT + b"\n" + PATIENT + b"\n"
MESSAGE = b"MSH|^~\\&|LAB|HOSP|||20260101||ORU^R01|1|P|2.5.1\rPID|1||7\r"
XML = "<?xml version='1.0'?><ClinicalDocument/>"
DICOM = bytes(128) + b"DICM\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00\x10\x00\x10\x00PN\x02\x00A "


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


FORMS = {
    "resource": (PATIENT, Form.FHIR),
    "pretty": (PRETTY, Form.FHIR),
    "pretty-crlf": (PRETTY.replace(b"\n", b"\r\n"), Form.FHIR),
    "resource-bom": (BOM + PATIENT, Form.FHIR),
    "resource-after-white-space": (b" \t\r\n" + PATIENT, Form.FHIR),
    "resource-and-line-end": (PATIENT + b"\n", Form.FHIR),
    "resource-and-blank-lines": (PATIENT + b"\n \r\n\n", Form.FHIR),
    "empty-object": (b"{}", Form.FHIR),
    "lines": (LINES, Form.NDJSON),
    "lines-crlf": (LINES.replace(b"\n", b"\r\n"), Form.NDJSON),
    "lines-bom": (BOM + LINES, Form.NDJSON),
    "lines-blank-between": (PATIENT + b" \n\n \n" + PATIENT, Form.NDJSON),
    "lines-blank-before": (b"\n\n" + LINES, Form.NDJSON),
    "lines-second-broken": (PATIENT + b"\n{", Form.NDJSON),
    "dicom": (DICOM, Form.DICOM),
    "dicom-with-a-program-before": (b"MZ" + bytes(126) + DICOM[128:], Form.DICOM),
    "dicom-with-tiff-before": (b"II*\x00" + bytes(124) + DICOM[128:], Form.DICOM),
    "message": (MESSAGE, Form.HL7),
    "message-lf": (MESSAGE.replace(b"\r", b"\n"), Form.HL7),
    "message-framed": (b"\x0b" + MESSAGE + b"\x1c\r", Form.HL7),
    "message-framed-short": (b"\x0bMSH|^~\\&|A\r\x1c\r", Form.HL7),
    "message-other-separators": (b"MSH^~|\\&^A\r", Form.HL7),
    "message-bom": (BOM + MESSAGE, Form.HL7),
    "message-after-line-ends": (b"\r\n" + MESSAGE, Form.HL7),
    "batch": (b"BHS|^~\\&\r" + MESSAGE, Form.HL7),
    "file-of-batches": (b"FHS|^~\\&\rBHS|^~\\&\r" + MESSAGE, Form.HL7),
    "xml": (XML.encode(), Form.XML),
    "xml-bom": (BOM + XML.encode(), Form.XML),
    "xml-after-white-space": (b" \r\n\t" + b"<a/>", Form.XML),
    "xml-comment-first": (b"<!-- x --><a/>", Form.XML),
    "html": (b"<!DOCTYPE html>\n<html><body>a letter<br></body></html>", Form.BYTES),
    "html-without-doctype": (b"<HTML lang=de><p>a letter</HTML>", Form.BYTES),
    "xml-named-like-html": (b"<htmlreport/>", Form.XML),
    "xml-utf-16-le": (b"\xff\xfe" + XML.encode("utf-16-le"), Form.XML),
    "xml-utf-16-be": (b"\xfe\xff" + XML.encode("utf-16-be"), Form.XML),
    "xml-utf-16-le-after-white-space": (b"\xff\xfe" + "\n\t <a/>".encode("utf-16-le"), Form.XML),
    "xml-utf-16-be-after-white-space": (b"\xfe\xff" + "\r\n <a/>".encode("utf-16-be"), Form.XML),
    "zip": (zipped(a=b"1"), Form.ZIP),
    "zip-empty": (zipped(), Form.ZIP),
    "gzip": (gzip.compress(b"1"), Form.GZIP),
    "nothing": (b"", Form.BYTES),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", Form.BYTES),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", Form.BYTES),
    "png": (b"\x89PNG\r\n\x1a\n", Form.BYTES),
    "letter": (b"Dear colleague,\n\n{not JSON} <not XML> MSH|\n", Form.BYTES),
    "letter-begins-like-a-message": (b"MSH is a segment\n", Form.BYTES),
    "letter-begins-like-a-batch": (b"BHS hospital\n", Form.BYTES),
    "letter-utf-16": (b"\xff\xfe" + "a < b".encode("utf-16-le"), Form.BYTES),
    "arrow": (b"<- see above\n", Form.BYTES),
    "less-than": (b"< 5 mg/l\n", Form.BYTES),
    "rich-text": (b"{\\rtf1\\ansi Dear colleague}", Form.BYTES),
    "braces": (b"{{ name }}", Form.BYTES),
    "json-array": (b"[" + PATIENT + b"]", Form.BYTES),
    "json-string": (b'"resourceType"', Form.BYTES),
    "bitmap": (b"BM\x36\x00\x0c\x00\x00\x00\x00\x00", Form.BYTES),
    "binary-like-a-frame": (b"\x0b\x00\x01\x02", Form.BYTES),
    "white-space": (b" \n\t ", Form.BYTES),
    "mark-alone": (BOM, Form.BYTES),
    "mark-of-utf-16-alone": (b"\xff\xfe", Form.BYTES),
    "dicom-too-short": (bytes(128) + b"DIC", Form.BYTES),
    "dicom-elsewhere": (bytes(127) + b"DICM", Form.BYTES),
    "7z": (b"7z\xbc\xaf\x27\x1c", Form.BYTES),
}


@pytest.mark.parametrize("name", FORMS)
def test_content_tells_what_a_record_seems_to_be(name):
    data, form = FORMS[name]
    assert form_of(data) == form


@pytest.mark.parametrize("byte", range(256))
def test_one_byte_is_bytes(byte):
    assert form_of(bytes([byte])) == Form.BYTES


@pytest.mark.parametrize("name", [name for name, (_, form) in FORMS.items() if form is not Form.BYTES])
def test_what_a_record_seems_to_be_does_not_depend_on_how_much_follows(name):
    data, form = FORMS[name]
    if form is not Form.FHIR:  # of JSON a second line tells
        assert form_of(data + data[-1:] * HEAD) == form


SOUND = {
    "resource": Kind.FHIR,
    "resource-bom": Kind.FHIR,
    "pretty-crlf": Kind.FHIR,
    "dicom": Kind.DICOM,
    "message": Kind.HL7,
    "message-framed": Kind.HL7,
    "message-framed-short": Kind.HL7,
    "message-other-separators": Kind.HL7,
    "xml": Kind.XML,
    "xml-bom": Kind.XML,
    "xml-utf-16-le": Kind.XML,
    "xml-utf-16-be": Kind.XML,
    "xml-after-white-space": Kind.XML,
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_document_is_of_its_kind_and_has_its_parts(name):
    data, _ = FORMS[name]
    document = read(data)
    assert document.content.kind == SOUND[name]
    assert document.content.raw == sha256(data)
    assert 32 * len(document.content.components) == WIDTHS[SOUND[name]]
    assert document.contained is None


def test_a_container_has_its_records_in_it_and_is_bytes_itself():
    for data, names in ((LINES, [b"1", b"2"]), (zipped(a=PATIENT), [b"a"]), (gzip.compress(LINES), [b"1", b"2"])):
        document = read(data)
        assert document.content == Content(Kind.BYTES, sha256(data))
        assert document.contained.names == names
        assert set(document.contained.kinds) == {Kind.FHIR}


def test_members_of_an_archive_are_read_by_their_content_whatever_their_names():
    document = read(zipped(**{"a.dcm": PATIENT, "b.json": XML, "c.xml": MESSAGE, "d.hl7": b"text", "e": LINES}))
    assert dict(zip(document.contained.names, document.contained.kinds, strict=True)) == {
        b"a.dcm": Kind.FHIR,
        b"b.json": Kind.XML,
        b"c.xml": Kind.HL7,
        b"d.hl7": Kind.BYTES,
        b"e": Kind.BYTES,
        b"e/1": Kind.FHIR,
        b"e/2": Kind.FHIR,
    }


MALFORMED = {
    "resource-cut": PATIENT[:-1],
    "resource-twice": PATIENT + PATIENT,
    "key-twice": b'{"resourceType":"Patient","id":"1","id":"2"}',
    "dicom-cut": DICOM[:-1],
    "message-without-separators": b"MSH|",
    "xml-cut": XML.encode()[:-1],
    "xml-with-entities": b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>',
    "zip-cut": zipped(a=b"1")[:-1],
    "gzip-cut": gzip.compress(b"1")[:-1],
    "gzip-damaged": gzip.compress(b"1")[:-8] + bytes(8),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_sound_is_covered_by_its_bytes_and_that_is_said(name):
    document = read(MALFORMED[name])
    assert document.content == Content(Kind.BYTES, sha256(MALFORMED[name]))
    assert document.contained is None
    (remark,) = document.remarks
    assert remark
    assert not remark[0].isupper()
    assert not remark.endswith(".")


@pytest.mark.parametrize("name", [name for name, (_, form) in FORMS.items() if form is Form.BYTES])
def test_what_is_no_document_is_covered_by_its_bytes_without_a_word(name):
    data, _ = FORMS[name]
    assert read(data) == (Content(Kind.BYTES, sha256(data)), (), None)


def test_no_remark_quotes_the_record():
    """They are printed, and in a terminal's log they would be health data."""
    secret = b"Zyxwv"
    for data in MALFORMED.values():
        for place in range(0, len(data), 7):
            for remark in read(data[:place] + secret + data[place:]).remarks:
                assert secret.decode() not in remark


@pytest.mark.parametrize("name", ["resource", "lines", "message", "xml", "zip", "gzip"])
def test_what_is_too_long_is_covered_by_its_bytes(name, monkeypatch):
    data, _ = FORMS[name]
    monkeypatch.setattr(detect, "MAX_DOCUMENT", len(data))
    assert read(data).remarks == ()
    longer = data + b"\n"
    assert read(longer) == (Content(Kind.BYTES, sha256(longer)), ("it is longer than 0 MiB",), None)


def test_an_image_may_be_longer_than_a_document(monkeypatch):
    monkeypatch.setattr(detect, "MAX_DOCUMENT", 10)
    monkeypatch.setattr(detect, "MAX_DICOM", len(DICOM))
    assert read(DICOM).content.kind == Kind.DICOM
    monkeypatch.setattr(detect, "MAX_DICOM", len(DICOM) - 1)
    assert read(DICOM) == (Content(Kind.BYTES, sha256(DICOM)), ("it is longer than 0 MiB",), None)


def test_the_limits_are_those_that_are_documented():
    assert limit_of(Form.DICOM) == 256 << 20
    assert {limit_of(form) for form in Form if form is not Form.DICOM} == {64 << 20}


def test_what_is_bytes_anyway_may_be_as_long_as_it_likes(monkeypatch):
    monkeypatch.setattr(detect, "MAX_DOCUMENT", 2)
    for reading in (Reading(), Reading(Form.BYTES)):
        assert read(b"text", reading) == (Content(Kind.BYTES, sha256(b"text")), (), None)


# -- forced --------------------------------------------------------------------------------------------------------


def test_bytes_can_be_asked_for_whatever_the_record_is():
    for data, _ in FORMS.values():
        assert read(data, Reading(Form.BYTES)) == (Content(Kind.BYTES, sha256(data)), (), None)


def test_lines_can_be_asked_for_where_there_is_one():
    document = read(PATIENT + b"\n", Reading(Form.NDJSON))
    assert document.content.kind == Kind.BYTES
    assert document.contained.names == [b"1"]


def test_one_resource_can_be_asked_for_where_there_are_many():
    """Then it is not sound, and nobody makes lines of it after all."""
    document = read(LINES, Reading(Form.FHIR))
    assert (document.content.kind, document.contained) == (Kind.BYTES, None)
    assert document.remarks


def test_a_form_that_does_not_fit_is_a_remark():
    for form in set(Form) - {Form.BYTES, Form.NDJSON}:
        document = read(b"%PDF-1.7", Reading(form))
        assert document.content == Content(Kind.BYTES, sha256(b"%PDF-1.7")), form
        assert len(document.remarks) == 1, form


def test_members_of_an_archive_are_read_by_their_content_though_the_archive_was_forced():
    contained = read(zipped(a=PATIENT, b=XML), Reading(Form.ZIP)).contained
    assert list(contained.kinds) == [Kind.FHIR, Kind.XML]


def test_every_form_has_a_reader():
    assert {form.value for form in Form} == {"fhir", "ndjson", "dicom", "hl7", "xml", "zip", "gzip", "bytes"}
    assert all(Reading(form).form_of(b"") is form for form in Form)


# -- lines longer than the head ------------------------------------------------------------------------------------


def long_line(length):
    frame = len(json.dumps({"resourceType": "Binary", "data": ""}))
    line = json.dumps({"resourceType": "Binary", "data": "A" * (length - frame)}).encode()
    assert len(line) == length
    return line


@pytest.mark.parametrize("length", [HEAD - 2, HEAD - 1, HEAD, HEAD + 1, 3 * HEAD])
def test_lines_are_lines_though_the_first_one_is_longer_than_what_is_looked_at(length):
    data = long_line(length) + b"\n" + PATIENT + b"\n"
    document = read(data)
    assert document.contained is not None
    assert document.contained.names == [b"1", b"2"]
    assert list(document.contained.kinds) == [Kind.FHIR, Kind.FHIR]
    assert document.remarks == ()


def test_a_long_resource_that_is_damaged_is_no_lines():
    data = long_line(2 * HEAD)[:-1]
    assert read(data).contained is None
    assert read(data).remarks


# -- whatever the bytes --------------------------------------------------------------------------------------------

STARTS = [data[:length] for data, _ in FORMS.values() for length in (1, 4, 20, len(data))]


def assert_whole(document, data):
    contents = document.contained
    assert document.content.raw == sha256(data)
    assert 32 * len(document.content.components) == WIDTHS[document.content.kind]
    if contents is not None:
        assert len(contents.names) == len(contents.kinds) == len(contents.raws) / 32
        assert len(contents.components) == sum(WIDTHS[kind] for kind in contents.kinds)


@settings(deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=200), st.sampled_from([None, *Form]))
@example(b"", b"\xff\xfe<", None)
@example(b"", b"\xfe\xff\x00", None)
@example(b"", b"\x0bMSH", None)
def test_nothing_at_all_raises(start, rest, form):
    assert_whole(read(start + rest, Reading(form)), start + rest)


@settings(deadline=None)
@given(st.sampled_from([data for data, _ in FORMS.values() if data]), st.data())
def test_no_damage_raises(data, drawn):
    place = drawn.draw(st.integers(0, len(data) - 1))
    damaged = data[:place] + drawn.draw(st.binary(max_size=3)) + data[place + drawn.draw(st.integers(0, 5)) :]
    assert_whole(read(damaged), damaged)


def test_only_the_refusal_of_a_reader_makes_a_remark(monkeypatch):
    """Any other exception is a fault of the reader's, and must not pass for one of the record's."""

    def refuse(_data):
        raise MalformedRecordError("why")

    def fail(_data):
        raise ZeroDivisionError

    monkeypatch.setattr(detect, "_reader", lambda _form: refuse)
    assert read(PATIENT).remarks == ("why",)
    monkeypatch.setattr(detect, "_reader", lambda _form: fail)
    with pytest.raises(ZeroDivisionError):
        read(PATIENT)
