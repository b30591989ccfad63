"""The chest image: a DICOM Part 10 file, Secondary Capture, Explicit VR Little Endian."""

import struct

import image
import visit

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_LONG_FORM = {"OB", "OW"}  # two reserved bytes, then a length of four (PS3.5, section 7.1.2)
_PADDING = {"UI": b"\0", "OB": b"\0"}  # everything else is filled up with a space (PS3.5, section 6.2)

_Element = tuple[int, str, str | int | bytes]  # tag, value representation, value


def file() -> bytes:
    """Return the file: an empty preamble, the file meta information, the data set (PS3.10, section 7.1)."""
    meta = _encode(_meta())
    return bytes(128) + b"DICM" + _element(0x0002_0000, "UL", len(meta)) + meta + _encode(_dataset())


def _meta() -> list[_Element]:
    return [
        (0x0002_0001, "OB", b"\x00\x01"),
        (0x0002_0002, "UI", _SECONDARY_CAPTURE),
        (0x0002_0003, "UI", visit.dicom_uid("image")),
        (0x0002_0010, "UI", _EXPLICIT_LITTLE_ENDIAN),
        (0x0002_0012, "UI", visit.dicom_uid("make_visit")),
    ]


def _dataset() -> list[_Element]:
    return [*_identification(), *_patient(), *_equipment(), *_place_in_study(), *_pixels()]


def _identification() -> list[_Element]:
    day, time = f"{visit.IMAGED:%Y%m%d}", f"{visit.IMAGED:%H%M%S}"
    return [
        (0x0008_0008, "CS", "DERIVED\\SECONDARY"),
        (0x0008_0016, "UI", _SECONDARY_CAPTURE),
        (0x0008_0018, "UI", visit.dicom_uid("image")),
        (0x0008_0020, "DA", day),  # study
        (0x0008_0023, "DA", day),  # content
        (0x0008_0030, "TM", time),
        (0x0008_0033, "TM", time),
        (0x0008_0050, "SH", visit.IMAGE_NUMBER),
        (0x0008_0060, "CS", "OT"),
        (0x0008_0064, "CS", "SYN"),  # conversion type: a synthetic image
        (0x0008_0070, "LO", visit.CLINIC),
        (0x0008_0090, "PN", f"{visit.CLINICIAN.family}^{visit.CLINICIAN.given}^^Dr"),
        (0x0008_0201, "SH", f"{visit.IMAGED:%z}"),
        (0x0008_1030, "LO", "Chest, check after pneumonia"),
        (0x0008_2111, "ST", "Drawn by examples/make_visit"),
    ]


def _patient() -> list[_Element]:
    return [
        (0x0010_0010, "PN", f"{visit.PATIENT.family}^{visit.PATIENT.given}"),
        (0x0010_0020, "LO", visit.PATIENT.number),
        (0x0010_0030, "DA", f"{visit.BORN:%Y%m%d}"),
        (0x0010_0040, "CS", "F"),
        (0x0010_4000, "LT", visit.NOTICE),
    ]


def _equipment() -> list[_Element]:
    return [(0x0018_0015, "CS", "CHEST"), (0x0018_1016, "LO", visit.CLINIC)]


def _place_in_study() -> list[_Element]:
    return [
        (0x0020_000D, "UI", visit.dicom_uid("study")),
        (0x0020_000E, "UI", visit.dicom_uid("series")),
        (0x0020_0010, "SH", visit.IMAGE_NUMBER),
        (0x0020_0011, "IS", "1"),
        (0x0020_0013, "IS", "1"),
        (0x0020_0020, "CS", "L\\F"),  # rows run to the patient's left, columns to the feet
    ]


def _pixels() -> list[_Element]:
    return [
        (0x0028_0002, "US", 1),  # samples a pixel
        (0x0028_0004, "CS", "MONOCHROME2"),
        (0x0028_0010, "US", image.SIDE),
        (0x0028_0011, "US", image.SIDE),
        (0x0028_0100, "US", 8),  # bits allocated, stored, and the highest of them
        (0x0028_0101, "US", 8),
        (0x0028_0102, "US", 7),
        (0x0028_0103, "US", 0),  # unsigned
        (0x0028_0301, "CS", "NO"),  # no writing burned into the picture
        (0x7FE0_0010, "OB", image.pixels()),
    ]


def _encode(elements: list[_Element]) -> bytes:
    """Return the elements in the order of their tags, which the format demands."""
    return b"".join(_element(*element) for element in sorted(elements, key=lambda element: element[0]))


def _element(tag: int, representation: str, value: str | int | bytes) -> bytes:
    data = _value(representation, value)
    start = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, representation.encode("ascii"))
    length = struct.pack("<HI", 0, len(data)) if representation in _LONG_FORM else struct.pack("<H", len(data))
    return start + length + data


def _value(representation: str, value: str | int | bytes) -> bytes:
    """Return the value as bytes, filled up to an even length."""
    if isinstance(value, int):
        return struct.pack("<I" if representation == "UL" else "<H", value)
    data = value.encode("ascii") if isinstance(value, str) else value
    return data + _PADDING.get(representation, b" ") * (len(data) % 2)
