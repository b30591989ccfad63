"""Where DICOM files differ: every place by its tag and its name, and what stands there as a person reads it."""

import struct

import pytest
from dicoms import BIG, IMPLICIT, JPEG, PIXEL_DATA, RLE, Frames, How, Part, content, put_together

from medanchor.errors import MalformedRecordError
from medanchor.records.dicom_diff import LONGEST, differences
from medanchor.records.document import Difference


def compared(before, after, how=None):
    """The differences between two data sets, of which the second is written in another encoding too."""
    how = how or How()
    return list(
        differences(put_together(before, how), put_together(after, how.but(undefined=True, group_lengths=True)))
    )


def one(tag, vr, before, after, **kwargs):
    """The one difference between two values of an element."""
    (found,) = compared([Part(tag, vr, before)], [Part(tag, vr, after)], **kwargs)
    return found


def test_an_element_is_named():
    found = one(0x00100010, "PN", b"Doe^Jane", b"Doe^John")
    assert found == Difference("(0010,0010) PatientName", "Doe^Jane", "Doe^John")


def test_an_element_in_a_sequence_is_named_by_its_way():
    def steps(text):
        return [Part(0x00400275, "SQ", [[], [Part(0x00400008, "SQ", [[Part(0x00080104, "LO", text)]])]])]

    (found,) = compared(steps(b"chest"), steps(b"abdomen"))
    assert found == Difference("(0040,0275)[1].(0040,0008)[0].(0008,0104) CodeMeaning", "chest", "abdomen")


def test_what_only_one_has_is_told_once_with_its_size():
    item = [Part(0x00080100, "SH", b"T-D1"), Part(0x00080104, "LO", b"code")]
    whole = [Part(0x00080060, "CS", b"MR"), Part(0x00400275, "SQ", [item, item])]
    assert compared(whole, whole[:1]) == [
        Difference("(0040,0275) RequestAttributesSequence", "sequence of 2 items", None)
    ]
    fewer = [whole[0], Part(0x00400275, "SQ", [item])]
    assert compared(whole, fewer) == [
        Difference("(0040,0275)[1] RequestAttributesSequence", "item of 2 elements", None)
    ]
    shorter = [whole[0], Part(0x00400275, "SQ", [item, item[:1]])]
    assert compared(whole, shorter) == [Difference("(0040,0275)[1].(0008,0104) CodeMeaning", "code", None)]
    assert compared(whole[1:], [*whole[1:], Part(0x00490010, "LO", b"X1")]) == [
        Difference("(0049,0010) PrivateCreator", None, "X1")
    ]


def test_differences_come_in_the_order_of_tags_with_the_pixels_last():
    before = [Part(0x00100010, "PN", b"AB"), Part(0x00280010, "US", b"\1\0"), Part(PIXEL_DATA, "OW", b"\1\2")]
    after = [Part(0x00280010, "US", b"\2\0"), Part(0x00080060, "CS", b"MR"), Part(PIXEL_DATA, "OW", b"\2\1")]
    places = [found.place for found in compared(before, after)]
    assert places == ["(0008,0060) Modality", "(0010,0010) PatientName", "(0028,0010) Rows", "(7fe0,0010) PixelData"]


NUMBERS = [
    (0x00280010, "US", struct.pack("<H", 512), "512"),
    (0x00280106, "US", b"\xff\x7f", "32767"),
    (0x00280106, "US", b"\xff\xff", "65535 (as US)"),
    (0x00189219, "SS", struct.pack("<h", -5), "-5"),
    (0x00189073, "FD", struct.pack("<2d", 2.5, -1.0), "2.5\\-1.0"),
    (0x00280009, "AT", struct.pack("<HH", 0x18, 0x1063), "(0018,1063)"),
    (0x00091001, "UN", b"\1\2\3\4", "01 02 03 04"),
    (0x00091001, "US", b"\1\0", "1"),
    (0x00091001, "LO", b"text", "text"),
    (0x00281201, "OW", b"\1\2", "01 02"),
    (0x00280010, "US", b"", ""),
]


@pytest.mark.parametrize(("tag", "vr", "value", "shown"), NUMBERS)
@pytest.mark.parametrize("syntax", [None, BIG])
def test_values_are_shown_as_what_they_are(tag, vr, value, shown, syntax):
    how = How(syntax=syntax) if syntax else How()
    assert one(tag, vr, value, b"\5\0\5\0\5\0\5\0", how=how).before == shown


def test_a_value_that_is_no_number_of_numbers_is_shown_as_bytes():
    assert one(0x00280010, "US", b"\1\2\3\4\5\6", b"\1\0").before == "513\\1027\\1541"
    assert one(0x00280009, "AT", b"\1\2", b"\1\2\3\4").before == "01 02"
    assert one(0x00189073, "FD", b"\1\2", b"\1\2\3\4", how=How(syntax=IMPLICIT)).before == "01 02"


def test_long_values_are_cut_and_told_apart():
    found = one(0x00081030, "LO", b"x" * 200 + b"a", b"x" * 200 + b"b")
    assert found.before.startswith("x" * LONGEST + "… (202 bytes, SHA-256 ")
    assert found.before != found.after
    found = one(0x00091001, "OB", bytes(100), bytes(99) + b"\1")
    assert found.before.startswith("100 bytes, SHA-256 cd00e292c5970d3c")
    assert found.before != found.after


def test_what_would_move_a_cursor_is_not_let_out():
    found = one(0x00100010, "PN", b"Doe\x1b[2J\n\x9b^Jane", b"Doe\0^Jane")
    assert found.before == "Doe\\x1b[2J\\n\\x9b^Jane"
    assert found.after == "Doe\\x00^Jane"
    hidden = one(0x00100010, "PN", "Doe\u202eenaJ".encode("cp1252", "backslashreplace"), b"Doe")
    assert hidden.before.isprintable()


@pytest.mark.parametrize(
    ("name", "codec"),
    [(b"ISO_IR 100", "latin-1"), (b"ISO_IR 192", "utf-8"), (b"ISO_IR 144", "iso8859_5"), (b"GB18030 ", "gb18030")],
)
def test_text_is_shown_in_its_character_set(name, codec):
    name_of_a_person = "Müller" if codec in ("latin-1", "utf-8") else "\u041b\u044e\u043a"
    before = [Part(0x00080005, "CS", name), Part(0x00100010, "PN", name_of_a_person.encode(codec))]
    inside = [before[0], Part(0x00400275, "SQ", [[before[1]]])]
    assert compared(before, before[:1])[0].before == name_of_a_person
    assert compared(inside, [inside[0], Part(0x00400275, "SQ", [[]])])[0].before == name_of_a_person


@pytest.mark.parametrize("name", [b"", b"nonsense", b"ISO_IR 192\\nonsense", b"\xff\xfe"])
def test_text_in_no_known_character_set_is_shown_all_the_same(name):
    before = [Part(0x00080005, "CS", name), Part(0x00100010, "PN", b"M\xfcller")]
    assert compared(before, before[:1])[0].before in ("Müller", "M\\xfcller")


def test_bytes_that_are_not_in_the_character_set_are_shown_as_bytes():
    before = [Part(0x00080005, "CS", b"ISO_IR 192"), Part(0x00100010, "PN", b"M\xfcller")]
    assert compared(before, before[:1])[0].before == "M\\xfcller"


def test_other_bytes_that_read_as_the_same_text_are_told_apart():
    before = [Part(0x00080005, "CS", b"\\ISO 2022 IR 87"), Part(0x00100010, "PN", b"\x1b(BAB")]
    after = [before[0], Part(0x00100010, "PN", b"AB")]
    (found,) = compared(before, after)
    assert found.before.startswith("6 bytes, SHA-256 ")
    assert found.after.startswith("2 bytes, SHA-256 ")


def test_a_vr_by_which_a_value_is_read_as_another_is_shown():
    (found,) = compared([Part(0x00280010, "US", b"\xff\xff")], [Part(0x00280010, "SS", b"\xff\xff")])
    assert found == Difference("(0028,0010) Rows", "65535", "-1 (as SS)")
    (found,) = compared([Part(0x00281101, "SQ", [[]])], [Part(0x00281101, "SQ", [[], []])])
    assert found.before is None
    (found,) = compared([Part(0x00281101, "SQ", [])], [Part(0x00080060, "CS", b"MR")])[1:]
    assert found.before == "sequence of 0 items (as SQ)"


def test_pixels_are_told_by_their_size_and_digest():
    found = one(PIXEL_DATA, "OW", bytes(16), bytes(15) + b"\1")
    assert found.place == "(7fe0,0010) PixelData"
    assert found.before.startswith("pixel data: 16 bytes, SHA-256 ")
    assert found.before != found.after
    found = one(PIXEL_DATA, "OB", Frames([b"ab", b"cdef"], []), Frames([b"ab"], []), how=How(syntax=JPEG))
    assert found.before.startswith("pixel data: 6 bytes in 2 fragments, SHA-256 ")
    assert found.after.startswith("pixel data: 2 bytes in 1 fragment, SHA-256 ")


def test_pixels_that_only_one_has_are_told():
    (found,) = compared([Part(0x00080060, "CS", b"MR"), Part(PIXEL_DATA, "OW", b"ab")], [Part(0x00080060, "CS", b"MR")])
    assert found.after is None


def test_the_same_frames_under_another_transfer_syntax_differ():
    parts = [Part(PIXEL_DATA, "OB", Frames([b"ab"], []))]
    (found,) = differences(put_together(parts, How(syntax=JPEG)), put_together(parts, How(syntax=RLE)))
    assert found.place == "(7fe0,0010) PixelData"
    assert found.before != found.after


def test_an_icon_in_a_sequence_is_told_by_its_way():
    def icon(value):
        return [Part(0x00880200, "SQ", [[Part(PIXEL_DATA, "OB", value)]])]

    found = compared(icon(Frames([b"ab"], [])), icon(Frames([b"ac"], [])), how=How(syntax=JPEG))
    assert [one.place for one in found] == ["(0088,0200)[0].(7fe0,0010) PixelData"]


def test_a_sequence_that_becomes_a_value_is_told_with_all_that_was_in_it():
    found = compared([Part(0x00091001, "SQ", [[Part(0x00091002, "LO", b"ab")]])], [Part(0x00091001, "LO", b"cd")])
    assert [one.place for one in found] == ["(0009,1001) private", "(0009,1001)[0] private"]
    assert found[0] == Difference("(0009,1001) private", "sequence of 1 item", "cd")


def test_files_with_the_same_content_do_not_differ():
    for one_of_them, other in (("", "_implicit"), ("", "_bigendian"), ("", "_expb")):
        names = f"test_files/MR_small{one_of_them}.dcm", f"test_files/MR_small{other}.dcm"
        assert list(differences(*map(content, names))) == []


def test_a_file_that_is_not_sound_is_refused():
    good = content("test_files/MR_small.dcm")
    for pair in ((good, good[:-9]), (good[:-9], good)):
        with pytest.raises(MalformedRecordError):
            list(differences(*pair))
