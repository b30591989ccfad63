"""Which comparison tells where two versions of a record differ: that of their kind, or else that of their bytes."""

from medanchor.records.detect import Form, Reading
from medanchor.records.document import Differ


def differ_of(before: bytes, after: bytes, reading: Reading) -> Differ:
    """Return what compares `before` with `after`: two documents of one kind by their parts, all else by their bytes."""
    form = reading.form_of(before)
    if form is not reading.form_of(after):
        form = Form.BYTES
    if form in (Form.FHIR, Form.NDJSON):
        from medanchor.records import fhir_diff

        return fhir_diff.differences
    if form is Form.DICOM:
        from medanchor.records import dicom_diff

        return dicom_diff.differences
    if form is Form.HL7:
        from medanchor.records import hl7_diff

        return hl7_diff.differences
    if form is Form.XML:
        from medanchor.records import markup_diff

        return markup_diff.differences
    from medanchor.records import bytes_diff

    return bytes_diff.differences
