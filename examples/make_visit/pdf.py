"""The visit letter: a PDF 1.4 of one page, uncompressed, so that a text editor shows what is in it."""

import textwrap
from hashlib import sha256

import image
import visit

_LEFT, _RIGHT = 72, 540  # margins of a US Letter page (612 x 792), in points of 1/72 inch
_REGULAR, _BOLD = "F1", "F2"
_COLUMNS = (0, 150, 220, 300, 400)  # of the results' table, from the left margin


class _Page:
    """The drawing commands of one page, written from the top down."""

    def __init__(self) -> None:
        self.y = 724
        self.commands: list[str] = []

    def text(self, words: str, *, x: int = _LEFT, size: int = 10, font: str = _REGULAR) -> None:
        """Write at the present height."""
        shown = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self.commands.append(f"BT /{font} {size} Tf {x} {self.y} Td ({shown}) Tj ET")

    def line(self, words: str, *, size: int = 10, font: str = _REGULAR, space: int = 5) -> None:
        """Write one line and move below it."""
        self.text(words, size=size, font=font)
        self.y -= size + space

    def paragraph(self, words: str) -> None:
        """Write wrapped text and move below it."""
        for words_of_line in textwrap.wrap(words, width=96):
            self.line(words_of_line)
        self.y -= 6

    def row(self, cells: tuple[str, ...], *, font: str = _REGULAR) -> None:
        """Write one row of the results' table."""
        for column, cell in zip(_COLUMNS, cells, strict=True):
            self.text(cell, x=_LEFT + column, font=font)
        self.y -= 16

    def rule(self) -> None:
        """Draw a thin line across, just above the present height."""
        self.commands.append(f"0.5 w {_LEFT} {self.y + 11} m {_RIGHT} {self.y + 11} l S")
        self.y -= 5

    def picture(self, side: int) -> None:
        """Place the chest image."""
        self.y -= side
        self.commands.append(f"q {side} 0 0 {side} {_LEFT} {self.y} cm /Chest Do Q")
        self.y -= 24


def letter() -> bytes:
    """Return the letter."""
    page = _Page()
    _letterhead(page)
    page.paragraph("Dear colleague,")
    page.paragraph(visit.HISTORY)
    _results(page)
    page.paragraph(visit.FINDING)
    page.picture(120)
    page.paragraph(visit.ASSESSMENT)
    page.paragraph(f"Dr {visit.CLINICIAN.given} {visit.CLINICIAN.family}")
    page.y = 48
    page.line(visit.NOTICE, size=8)
    return _file(_objects("\n".join(page.commands).encode("ascii")))


def _letterhead(page: _Page) -> None:
    address = visit.ADDRESS
    page.line(visit.CLINIC, size=16, font=_BOLD)
    page.line(f"{address.street}, {address.city}, {address.state} {address.postal_code} - {visit.TELEPHONE}", space=16)
    page.rule()
    page.line(f"Visit of {visit.ARRIVED.date()}", size=12, font=_BOLD)
    page.line(f"Patient: {visit.PATIENT.family}, {visit.PATIENT.given}, born {visit.BORN}")
    page.line(f"Record number: {visit.PATIENT.number}    Visit number: {visit.VISIT_NUMBER}", space=20)


def _results(page: _Page) -> None:
    page.row(("Result", "Value", "", "Unit", "Range"), font=_BOLD)
    page.rule()
    for result in visit.RESULTS:
        flag = {"H": "high", "L": "low", "N": ""}[result.flag]
        page.row((result.short_name, result.value, flag, result.unit, f"{result.low} - {result.high}"))
    page.y -= 8


def _objects(content: bytes) -> list[bytes]:
    """Return the bodies of the file's objects; the first is number 1."""
    fonts = f"/{_REGULAR} 5 0 R /{_BOLD} 6 0 R"
    written = visit.pdf_time(visit.WRITTEN)
    grey = f"/Subtype /Image /Width {image.SIDE} /Height {image.SIDE} /ColorSpace /DeviceGray /BitsPerComponent 8"
    return [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (en-US) >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        f"/Resources << /Font << {fonts} >> /XObject << /Chest 7 0 R >> >> >>".encode("ascii"),
        _stream("", content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        _stream(f"/Type /XObject {grey} ", image.pixels()),
        f"<< /Title (Visit letter) /Author ({visit.CLINIC}) /CreationDate ({written}) >>".encode("ascii"),
    ]


def _stream(entries: str, data: bytes) -> bytes:
    return f"<< {entries}/Length {len(data)} >>\nstream\n".encode("ascii") + data + b"\nendstream"


def _file(objects: list[bytes]) -> bytes:
    """Return the objects with the table of where each begins (ISO 32000-1, section 7.5)."""
    body, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []  # four high bytes: a mark that this is not text
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    name = sha256(body).hexdigest()[:32].encode("ascii")  # an identifier from the content, not from the clock
    trailer = b"<< /Size %d /Root 1 0 R /Info %d 0 R /ID [<%b> <%b>] >>" % (len(objects) + 1, len(objects), name, name)
    return b"%bxref\n0 %d\n%btrailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (
        body,
        len(objects) + 1,
        table,
        trailer,
        len(body),
    )
