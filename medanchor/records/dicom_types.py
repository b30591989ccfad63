"""The value representations (VR) of DICOM's elements: how values are padded, and what the data dictionary says.

PS3.5, section 6.2, and PS3.6.
"""

# fmt: off
TEXT = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
SHORT = frozenset({
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI",
    "UL", "US",
})
"""VRs whose length is written in two bytes (PS3.5, section 7.1.2); of all others in four, after two reserved ones."""

NUMBERS = {
    "US": ("H", 2), "UL": ("L", 4), "UV": ("Q", 8),
    "SS": ("h", 2), "SL": ("l", 4), "SV": ("q", 8),
    "FL": ("f", 4), "FD": ("d", 8),
}
"""VR → the letter by which Python's struct knows it, and its bytes."""
# fmt: on

ALL = TEXT | BYTES | NUMBERS.keys() | {"AT", "SQ"}

WORDS = {vr: size for vr, (_, size) in NUMBERS.items()} | {"AT": 2, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""VR → how many bytes change places with one another where the encoding is big endian (PS3.5, section 7.3)."""

_CREATORS = range(0x0010, 0x0100)
"""The elements of a private group that say whose it is (PS3.5, section 7.8.1)."""

_POSITIVE = 0x7F


def listed(tag: int) -> str:
    """Return what VR the data dictionary gives a tag ("US or SS" where it leaves a choice), "" if it lists none.

    Of private elements only the creators are known.
    """
    from pydicom.datadict import dictionary_VR

    if tag >> 16 & 1:
        return "LO" if tag & 0xFFFF in _CREATORS else ""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return ""
    return "" if vr == "UN" else vr


def _family(vr: str) -> str:
    """Return what a value of a VR is read as: text is text, bytes are bytes, and every sort of number is its own."""
    return "text" if vr in TEXT else "bytes" if vr in BYTES else vr


def contradicts(tag: int, vr: str) -> bool:
    """Say whether a VR makes something else of a value than the data dictionary does (SS of a US: -1 of 65535)."""
    expected = listed(tag)
    return expected != "" and _family(vr) not in {_family(choice) for choice in expected.split(" or ")}


def is_sign_open(tag: int, value: bytes | memoryview) -> bool:
    """Say whether the dictionary leaves open if words are US or SS, and it matters: one of them has its top bit set."""
    return "SS" in listed(tag).split(" or ")[1:] and any(byte > _POSITIVE for byte in bytes(value)[1::2])


def normal(vr: str, value: bytes | memoryview) -> bytes | memoryview:
    """Return a value without what pads it, padded to an even length as PS3.5, section 6.2, tells.

    Spaces at the end of text mean nothing, nor does the NUL at the end of a UI; what some write, NUL for spaces and
    spaces for NUL, means no more. Every other byte stays.
    """
    if vr in TEXT:
        text = bytes(value).rstrip(b" \0")
        return text + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)
    return bytes(value) + b"\0" if len(value) % 2 else value


def swapped(vr: str, value: bytes) -> bytes:
    """Return a value with the bytes of each of its words turned round; the length is a multiple of the word's."""
    size = WORDS.get(vr, 1)
    turned = bytearray(len(value))
    for place in range(size):
        turned[place::size] = value[size - 1 - place :: size]
    return bytes(turned)


def shown(tag: int) -> str:
    """Return a tag as DICOM writes it: (0010,0020)."""
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
