"""DICOM: what the encoding of a file changes is the same content, whatever wrote it; and nothing else is."""

import io
import struct
import subprocess
import sys
import warnings
import zlib

import pydicom
import pytest
from dicoms import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    NATIVE,
    PADDING,
    PIXEL_DATA,
    RLE,
    Frames,
    How,
    Part,
    content,
    element,
    head,
    own_files,
    put_together,
    take_apart,
)

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records.dicom import read
from medanchor.records.document import ABSENT, Kind

REFUSED = {
    "palettes/winter.dcm": "comes twice",  # two SOP Instance UIDs: readers take the first or the last
    "test_files/MR_truncated.dcm": "claims 8192 bytes where 8130 are left",
    "test_files/SC_rgb_jpeg.dcm": "no value representation",  # implicit VR under the name of a syntax that has them
    "test_files/dicomdirtests/DICOMDIR-nooffset": "claims 248 bytes where 224 are left",
    "test_files/no_meta.dcm": "claims 173228800 bytes",  # a stray byte comes before the data set
    "test_files/rtplan_truncated.dcm": "claims 976 bytes where 711 are left",
}
"""pydicom's own files that cannot be read, and why: their bytes are covered, and only those."""

READABLE = [name for name in own_files() if name not in REFUSED]

OTHER_TEXT = {
    "charset_files/chrKoreanMulti.dcm",
    "charset_files/chrSQEncoding.dcm",
    "charset_files/chrSQEncoding1.dcm",
    "charset_files/chrX1.dcm",
    "charset_files/chrX2.dcm",
}
"""Files with text that pydicom writes with other escape sequences, or with fewer separators, once it has decoded it."""


def components(data):
    return read(data).content.components


def parts():
    """A small data set with something of everything, in which every value fills its bytes."""
    inner = [Part(0x00080100, "SH", b"T-D1"), Part(0x00080104, "LO", b"A code")]
    return [
        Part(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7\0"),
        Part(0x00081115, "SQ", [[Part(0x0020000E, "UI", b"1.22"), Part(0x00081199, "SQ", [inner, inner[:1]])], []]),
        Part(0x00090010, "LO", b"SOMEBODY"),
        Part(0x00091001, "UN", b"\x01\x02\x03\x04"),
        Part(0x00100010, "PN", b"Doe^Jane"),
        Part(0x00101010, "AS", b"042Y"),
        Part(0x00181164, "DS", b"0.5\\0.25"),
        Part(0x00186024, "US", b"\x03\x00"),
        Part(0x00189073, "FD", struct.pack("<d", 2.5)),
        Part(0x00280008, "IS", b"1 "),
        Part(0x00280009, "AT", struct.pack("<HH", 0x0018, 0x1063)),
        Part(0x00280010, "US", b"\x02\x00"),
        Part(0x00280103, "US", b"\x00\x00"),
        Part(0x00280106, "US", b"\xff\xff"),
        Part(PIXEL_DATA, "OW", bytes(range(8))),
    ]


def changed(tag, **changes):
    """The parts, with one of them changed."""
    return [Part(**{**vars(part), **changes}) if part.tag == tag else part for part in parts()]


def with_frames(fragments, table, *, count=2, extra=()):
    others = [part for part in changed(0x00280008, value=b"%d" % count) if part.tag != PIXEL_DATA]
    return [*others, *extra, Part(PIXEL_DATA, "OB", Frames(fragments, table))]


@pytest.mark.parametrize("name", own_files())
def test_every_file_of_pydicom_is_read_in_silence_or_refused_for_a_reason(name, capsys):
    data = content(name)
    if name in REFUSED:
        with pytest.raises(MalformedRecordError, match=REFUSED[name]):
            read(data)
    else:
        found = read(data)
        assert found.content.kind is Kind.DICOM
        assert found.content.raw == sha256(data)
        assert len(found.content.components) == 2
        assert found.contained is None
    assert capsys.readouterr() == ("", "")


WAYS = {
    "plain": How(),
    "undefined lengths": How(undefined=True),
    "group lengths": How(group_lengths=True),
    "padding": How(padding=54),
    "a preamble": How(preamble=b"II*\0" + bytes(124)),
    "all at once": How(undefined=True, group_lengths=True, padding=2, preamble=b"MZ" + bytes(126)),
    "no offset table": How(table=False),
}


@pytest.mark.untraced
@pytest.mark.parametrize("name", READABLE)
def test_every_lossless_encoding_of_every_file_is_the_same_content(name):
    data = content(name)
    written, found = take_apart(data)
    syntaxes = (written,) if any(isinstance(part.value, Frames) for part in found) else NATIVE
    expected = components(data)
    for syntax in syntaxes:
        for way, how in WAYS.items():
            again = put_together(found, how.but(syntax=syntax))
            assert components(again) == expected, (syntax, way)


def rewritten(data, syntax, *, decoded):
    """The file as pydicom saves it, in another syntax or its own; its values decoded and encoded again if asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pydicom.dcmread(io.BytesIO(data), force=True)
        if decoded:
            str(found)
            for _ in found.iterall():
                pass
        out = io.BytesIO()
        if syntax is None:
            found.save_as(out)
            return out.getvalue()
        if not hasattr(found, "file_meta"):
            found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        found.save_as(out, implicit_vr=syntax == IMPLICIT, little_endian=True, force_encoding=True)
        return out.getvalue()


@pytest.mark.untraced
@pytest.mark.parametrize("decoded", [False, True], ids=["as it is", "decoded"])
@pytest.mark.parametrize("name", READABLE)
def test_what_pydicom_saves_again_is_the_same_content(name, decoded):
    data = content(name)
    written, found = take_apart(data)
    native = not any(isinstance(part.value, Frames) for part in found) and written != BIG and "BigEnd" not in name
    for syntax in (None, IMPLICIT, EXPLICIT, DEFLATED) if native else (None,):
        same = components(rewritten(data, syntax, decoded=decoded)) == components(data)
        recoded = name in OTHER_TEXT and (decoded or syntax == IMPLICIT)
        assert same is not recoded, syntax


PAIRS = [
    ("MR_small.dcm", "MR_small_implicit.dcm"),
    ("MR_small.dcm", "MR_small_bigendian.dcm"),
    ("MR_small.dcm", "MR_small_expb.dcm"),
    ("liver_1frame.dcm", "liver_expb_1frame.dcm"),
    ("SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm"),
    ("dicomdirtests/DICOMDIR", "dicomdirtests/DICOMDIR-bigEnd"),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_same_image_written_by_other_tools_is_the_same_content(one, other):
    assert components(content(f"test_files/{one}")) == components(content(f"test_files/{other}"))


def test_other_compression_is_the_same_data_set_with_other_pixels():
    plain = components(content("test_files/MR_small.dcm"))
    for name in ("MR_small_RLE.dcm", "MR_small_padded.dcm"):
        dataset, pixels = components(content(f"test_files/{name}"))
        assert dataset == plain[0]
        assert pixels != plain[1]


def test_pixels_of_32_bits_swapped_as_cells_and_not_as_words_are_seen_to_differ():
    """PS3.5 swaps words of 16 bits in OW; the tool that wrote this file did not."""
    one, other = (components(content(f"test_files/rtdose{name}.dcm")) for name in ("", "_expb"))
    assert one[0] == other[0]
    assert one[1] != other[1]


def test_a_directory_with_other_offsets_is_another_content():
    one, other = (components(content(f"test_files/dicomdirtests/DICOMDIR{name}")) for name in ("", "-implicit"))
    assert one[0] != other[0]


def test_the_form_is_implicit_vr_little_endian():
    found = [Part(0x00100010, "PN", b"Doe^Jane "), Part(PIXEL_DATA, "OW", b"\x01\x02")]
    dataset, pixels = components(put_together(found))
    assert dataset == sha256(bytes.fromhex("1000 1000 08000000 446f655e4a616e65"))
    assert pixels == sha256(bytes.fromhex("e07f 1000 02000000 0102"))


EXAMPLE = """
    10000000554c040012000000 10001000504e0a00446f655e4a616e652020 40000000554c04003e000000 4000750253510000ffffffff
    feff00e0ffffffff 40000000554c04000e000000 400007004c4f0600434845535420 feff0de000000000 feffdde000000000
    e07f10004f5700000400000001020304
"""
EXAMPLE_BIG = """
    00100010504e000a446f655e4a616e652020 004002755351000000000016 fffee0000000000e 004000074c4f0006434845535420
    7fe000104f5700000000000402010403
"""


@pytest.mark.parametrize(("syntax", "written"), [(EXPLICIT, EXAMPLE), (BIG, EXAMPLE_BIG)])
def test_the_example_of_the_documentation_is_right(syntax, written):
    assert [digest.hex() for digest in components(head(How(syntax=syntax)) + bytes.fromhex(written))] == [
        "6ceb4a2b654bb2b6194387e3328dc367b3e8038c84797975c8f95f320b28e2a0",
        "6bfd62835c2f911a3a0e400c0f6ea04c17ddb33d098bb2ccfd5f5214395c5963",
    ]


def test_the_form_of_a_sequence_has_defined_lengths():
    found = [Part(0x00400275, "SQ", [[Part(0x00400007, "LO", b"CHEST")], []])]
    dataset, pixels = components(put_together(found, How(undefined=True)))
    item = bytes.fromhex("4000 0700 06000000") + b"CHEST "
    items = bytes.fromhex("feff 00e0 0e000000") + item + bytes.fromhex("feff 00e0 00000000")
    assert dataset == sha256(bytes.fromhex("4000 7502 1e000000") + items)
    assert pixels == ABSENT


def test_the_form_of_frames_has_the_transfer_syntax_and_a_fragment_a_frame():
    found = [Part(0x00280008, "IS", b"2"), Part(PIXEL_DATA, "OB", Frames([b"ab", b"cd", b"ef"], [0, 20]))]
    uid = RLE.encode() + b"\0"
    expected = bytes.fromhex("0200 1000 14000000") + uid + bytes.fromhex("e07f 1000 ffffffff  feff 00e0 00000000")
    expected += bytes.fromhex("feff 00e0 04000000") + b"abcd" + bytes.fromhex("feff 00e0 02000000") + b"ef"
    expected += bytes.fromhex("feff dde0 00000000")
    assert components(put_together(found, How(syntax=RLE)))[1] == sha256(expected)


def test_a_data_set_without_a_head_is_read_when_it_is_asked_for():
    for syntax in (IMPLICIT, EXPLICIT, BIG):
        bare = put_together(parts(), How(syntax=syntax, meta=False))
        assert components(bare) == components(put_together(parts()))


def test_a_head_without_a_preamble_or_a_transfer_syntax_is_read():
    whole = put_together(parts())
    assert components(whole[132:]) == components(whole)
    version = element(0x00020001, "OB", b"\0\1", How())
    assert components(bytes(128) + b"DICM" + version + put_together(parts(), How(meta=False))) == components(whole)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_the_order_of_elements_says_nothing(syntax):
    found = changed(0x00280106, value=b"\1\0")
    turned = found[::-1]
    turned[-2] = Part(0x00081115, "SQ", [part[::-1] for part in turned[-2].value])
    assert components(put_together(turned, How(syntax=syntax))) == components(put_together(found))


def test_padding_of_text_says_nothing():
    plain = components(put_together(parts()))
    for value in (b"Doe^Jane  ", b"Doe^Jane\0\0", b"Doe^Jane" + b" " * 20):
        assert components(put_together(changed(0x00100010, value=value))) == plain
    assert components(put_together(changed(0x00080016, value=b"1.2.840.10008.5.1.4.1.1.7 "))) == plain
    for value in (b"  Doe^Jane", b"Doe^ Jane ", b"Doe^Jane\0\1"):
        assert components(put_together(changed(0x00100010, value=value))) != plain


def test_only_the_length_of_a_group_is_left_out():
    plain = components(put_together(parts()))
    for syntax in (EXPLICIT, IMPLICIT):
        length, payload = (Part(0x00090000, "UL", value) for value in (b"\1\2\3\4", b"not a length"))
        assert components(put_together([length, *parts()], How(syntax=syntax))) == plain
        assert components(put_together([payload, *parts()], How(syntax=syntax))) != plain
    hidden = Part(0x00090000, "SQ", [[Part(0x00091001, "LO", b"hidden")]])
    assert components(put_together([hidden, *parts()])) != plain
    assert components(put_together([*parts(), Part(PADDING, "SQ", hidden.value)])) != plain


def test_spaces_and_zeros_count_in_what_is_no_text():
    for tag, vr, value in (
        (0x00091001, "UN", b"\1\2\3\4"),
        (0x00280106, "US", b"\xff\xff"),
        (PIXEL_DATA, "OW", b"\1\2"),
    ):
        plain = components(put_together(changed(tag, vr=vr, value=value)))
        for more in (b"  ", b"\0\0"):
            assert components(put_together(changed(tag, vr=vr, value=value + more))) != plain


@pytest.mark.parametrize("vr", ["UN", "OB"])
def test_a_private_sequence_whose_vr_was_lost_on_the_way_is_the_same_sequence(vr):
    value = [[Part(0x00091002, "LO", b"inside"), Part(0x00091003, "SQ", [[Part(0x00091004, "US", b"\1\0")]])]]
    known = [*parts()[:3], Part(0x00091001, "SQ", value)]
    expected = components(put_together(known))
    for undefined in (False, True):
        how = How(syntax=IMPLICIT, undefined=undefined)
        assert components(put_together(known, how)) == expected
        lost = put_together(known[-1:], how.but(meta=False))[8:]
        if not undefined:
            assert components(put_together([*parts()[:3], Part(0x00091001, vr, lost)])) == expected


def test_what_only_begins_like_a_sequence_is_bytes():
    opaque = b"\xfe\xff\x00\xe0\x0a\x00\x00\x00" + b"\x09\x00\x02\x10\xff\x00\x00\x00ab" + b"cd"
    found = {components(put_together(changed(0x00091001, value=opaque), How(syntax=way))) for way in NATIVE}
    assert len(found) == 1
    assert components(put_together(changed(0x00091001, value=opaque[:-1] + b"e"))) not in found


def test_a_vr_by_which_a_value_is_read_as_another_is_seen_and_said():
    plain = read(put_together(parts()))
    signed = read(put_together(changed(0x00280010, vr="SS")))
    assert signed.content.components[0] != plain.content.components[0]
    assert signed.remarks == ("elements are written as what DICOM does not say they are: (0028,0010) as SS",)
    hidden = read(put_together(changed(0x00081115, vr="OB", value=b"\xfe\xff\x00\xe0\0\0\0\0")))
    empty = read(put_together(changed(0x00081115, value=[[]])))
    assert hidden.content.components[0] != empty.content.components[0]


def test_a_vr_by_which_a_value_is_read_as_the_same_says_nothing():
    plain = components(put_together(parts()))
    assert components(put_together(changed(0x00100010, vr="UT"))) == plain
    assert components(put_together(changed(PIXEL_DATA, vr="OB"))) == plain


@pytest.mark.parametrize(("representation", "right", "wrong"), [(b"\0\0", "US", "SS"), (b"\1\0", "SS", "US")])
def test_a_sign_that_the_pixel_representation_does_not_give_is_seen(representation, right, wrong):
    def written(vr, value, syntax=EXPLICIT):
        found = changed(0x00280106, vr=vr, value=value)
        found = [Part(part.tag, part.vr, representation) if part.tag == 0x00280103 else part for part in found]
        return read(put_together(found, How(syntax=syntax)))

    for syntax in NATIVE:
        assert written(right, b"\xff\xff", syntax).content.components == written(right, b"\xff\xff").content.components
    assert written(wrong, b"\xff\xff").content.components != written(right, b"\xff\xff").content.components
    assert f"(0028,0106) as {wrong}" in written(wrong, b"\xff\xff").remarks[0]
    assert written(wrong, b"\xff\x7f").content.components == written(right, b"\xff\x7f").content.components


def test_a_sign_that_nothing_gives_is_seen():
    found = [Part(0x00280106, vr, b"\xff\xff") for vr in ("US", "SS", "UN")]
    assert len({components(put_together([part])) for part in found}) == 3


class TestPixels:
    A, B, C = b"frame one.", b"frame two.", b"more"

    def seen(self, *args, syntax=JPEG, **kwargs):
        return components(put_together(with_frames(*args, **kwargs), How(syntax=syntax)))

    def test_an_offset_table_that_tells_what_is_so_says_nothing(self):
        assert self.seen([self.A, self.B], [0, 18]) == self.seen([self.A, self.B], [])

    def test_an_offset_table_that_tells_something_else_is_seen(self):
        good = self.seen([self.A, self.B], [])
        for table in ([0], [0, 20], [0, 10], [0, 17], [18, 0], [0, 0], [0, 18, 36], [8, 18], [0, 0xFFFFFFFF]):
            assert self.seen([self.A, self.B], table) != good

    def test_which_fragments_make_a_frame_is_seen(self):
        pieces = [self.A, self.B, self.C]
        found = {self.seen(pieces, table) for table in ([], [0, 18], [0, 36], [18, 36])}
        assert len(found | {self.seen(pieces[:2], [])}) == 5

    def test_how_a_frame_is_cut_into_fragments_says_nothing(self):
        whole = self.seen([self.A + self.B, self.C], [])
        assert self.seen([self.A, self.B, self.C], [0, 36]) == whole
        assert self.seen([self.A + self.B], [], count=1) == self.seen([self.A, self.B], [], count=1)

    def test_the_limits_of_frames_are_seen(self):
        assert self.seen([b"abcd", b"ef"], []) != self.seen([b"ab", b"cdef"], [])

    def test_other_frames_are_other_pixels_of_the_same_data_set(self):
        one, other = self.seen([self.A, self.B], []), self.seen([self.B, self.A], [])
        assert one[0] == other[0]
        assert one[1] != other[1]

    def test_the_transfer_syntax_of_frames_is_seen(self):
        one, other = (self.seen([self.A, self.B], [], syntax=syntax) for syntax in (JPEG, RLE))
        assert one[0] == other[0]
        assert one[1] != other[1]

    def test_frames_are_not_mistaken_for_plain_pixels(self):
        stream = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 2) + b"ab"
        plain = [*with_frames([], [])[:-1], Part(PIXEL_DATA, "OB", stream)]
        assert self.seen([b"ab"], [])[1] != components(put_together(plain))[1]

    @pytest.mark.parametrize("count", [b"", b"0", b"many", b"-1", b"1.0", b"99999999999999999999"])
    def test_a_number_of_frames_that_makes_no_sense_leaves_all_as_it_is(self, count):
        def seen(table):
            found = with_frames([self.A, self.B], table)
            found = [Part(part.tag, part.vr, count) if part.tag == 0x00280008 else part for part in found]
            return components(put_together(found, How(syntax=JPEG)))[1]

        assert len({seen(table) for table in ([], [0], [0, 18])}) == 3

    def test_pixels_without_a_number_of_frames_are_one_frame(self):
        found = [Part(PIXEL_DATA, "OB", Frames([self.A, self.B], [0]))]
        whole = [Part(PIXEL_DATA, "OB", Frames([self.A + self.B], []))]
        assert components(put_together(found, How(syntax=JPEG))) == components(put_together(whole, How(syntax=JPEG)))

    def test_no_fragments_at_all_are_no_frame(self):
        assert self.seen([], [], count=1) != self.seen([b""], [], count=1)
        assert self.seen([], [0], count=1) != self.seen([], [], count=1)

    @staticmethod
    def extended(offsets, lengths):
        packed = [struct.pack(f"<{len(values)}Q", *values) for values in (offsets, lengths)]
        return [Part(0x7FE00001, "OV", packed[0]), Part(0x7FE00002, "OV", packed[1])]

    def test_an_extended_offset_table_that_tells_what_is_so_says_nothing(self):
        bare = self.seen([self.A, self.B], [])
        for lengths in ([10, 10], [9, 10]):
            assert self.seen([self.A, self.B], [], extra=self.extended([0, 18], lengths)) == bare

    def test_an_extended_offset_table_that_tells_something_else_is_seen(self):
        bare = self.seen([self.A, self.B], [])
        for offsets, lengths in (
            ([18, 0], [10, 10]),
            ([0, 18], [10, 8]),
            ([0, 18], [10]),
            ([0], [20]),
            ([0, 18], [11, 10]),
        ):
            assert self.seen([self.A, self.B], [], extra=self.extended(offsets, lengths)) != bare
        assert self.seen([self.A, self.B], [], extra=self.extended([0, 18], [10, 10])[:1]) != bare
        assert self.seen([self.A, self.B], [0, 18], extra=self.extended([0, 18], [10, 10])) != bare

    def test_an_extended_offset_table_of_plain_pixels_is_seen(self):
        found = [*parts()[:-1], *self.extended([0], [8]), parts()[-1]]
        assert components(put_together(found))[1] != components(put_together(parts()))[1]

    def test_pixels_of_floating_point_are_pixels(self):
        for tag, vr in ((0x7FE00008, "OF"), (0x7FE00009, "OD")):
            found = [*parts()[:-1], Part(tag, vr, bytes(range(8)))]
            dataset, pixels = components(put_together(found))
            assert dataset == components(put_together(parts()))[0]
            assert pixels not in (ABSENT, components(put_together(parts()))[1])
            assert components(put_together(found, How(syntax=BIG)))[1] == pixels

    def test_an_icon_inside_a_sequence_belongs_to_the_data_set(self):
        def seen(icon, syntax=JPEG):
            found = [Part(0x00880200, "SQ", [[Part(PIXEL_DATA, "OB", icon)]]), *with_frames([self.A, self.B], [])[-1:]]
            return components(put_together(found, How(syntax=syntax)))

        plain = seen(b"icon")
        for other in (
            seen(b"Icon"),
            seen(Frames([b"icon"], [])),
            seen(Frames([b"icon"], [0])),
            seen(Frames([b"Icon"], [])),
        ):
            assert other[0] != plain[0]
            assert other[1] == plain[1]


def remarks(*args, **kwargs):
    return read(put_together(*args, **kwargs)).remarks


def test_what_a_person_should_know_is_remarked():
    assert remarks(parts()) == ()
    assert "preamble" in remarks(parts(), How(preamble=b"MZ" + bytes(126)))[0]
    assert "private part" in remarks(parts(), How(extra=((0x00020102, "OB", b"secret"),)))[0]
    assert "compressed with loss" in remarks(with_frames([b"ab", b"cd"], []), How(syntax=JPEG))[0]
    assert "compressed with loss" in remarks([*parts()[:-1], Part(0x00282110, "CS", b"01"), parts()[-1]])[0]
    assert "elsewhere" in remarks([*parts()[:-1], Part(0x00287FE0, "UR", b"https://x ")], How(syntax=EXPLICIT))[0]
    assert "padding" in remarks([*parts(), Part(PADDING, "OB", b"\0\0payload\0")])[0]
    assert remarks(parts(), How(padding=64)) == ()
    assert remarks(with_frames([b"ab", b"cd"], []), How(syntax=RLE)) == ()


def test_remarks_and_refusals_quote_nothing_of_the_record():
    secret = b"Xylophone^Zebedee"
    data = put_together(changed(0x00100010, vr="UL", value=secret + b"\0\0\0"), How(preamble=b"MZ" + bytes(126)))
    assert "Xylo" not in str(read(data).remarks)
    for end in range(132, len(data), 7):
        with pytest.raises(MalformedRecordError) as caught:
            read(data[:end] + secret)
        assert "Xylo" not in str(caught.value)


OPEN = put_together([Part(0x00081115, "SQ", [[]])], How(undefined=True))

REFUSALS = {
    "nothing": (b"", "there is no data set"),
    "a head alone": (head(How()), "there is no data set"),
    "text": (b'{"resourceType": "Patient"}', "claims"),
    "another transfer syntax": (put_together(parts(), How(syntax="1.2.840.113619.5.2")), "none of DICOM's"),
    "no UID at all": (put_together(parts(), How(syntax="implicit")), "none of DICOM's"),
    "a wrong length of the head": (
        put_together(parts())[:140] + b"\x20\0\0\0" + put_together(parts())[144:],
        "length of the file meta information is wrong",
    ),
    "twice in the head": (
        put_together(parts(), How(extra=((0x00020001, "OB", b"\0\1"),))), r"\(0002,0001\) comes twice"
    ),
    "too much in the head": (head(How())[:-20] + b"\2\0\x12\0UI\xff\x00ab", "claims more bytes than are left"),
    "the head's group in the data": (
        put_together([*parts(), Part(0x00020012, "UI", b"1.2")]), "no place in a data set"
    ),
    "a command": (put_together([Part(0x00000100, "US", b"\1\0"), *parts()]), "no place in a data set"),
    "a stray delimiter": (put_together(parts()) + b"\xfe\xff\x0d\xe0\0\0\0\0", "no place in a data set"),
    "zeros at the end": (put_together(parts()) + bytes(8), "no place in a data set|no value representation"),
    "a few bytes at the end": (put_together(parts()) + b"abc", "cut off"),
    "after the padding": (put_together([Part(PADDING, "OB", b"\0\0"), *parts()]), "follows the padding"),
    "twice": (put_together([*parts(), parts()[0]]), r"\(0008,0016\) comes twice"),
    "pixels twice": (put_together([*parts(), parts()[-1]]), r"\(7fe0,0010\) comes twice"),
    "twice in an item": (put_together(changed(0x00081115, value=[[Part(0x0020000E, "UI", b"1.")] * 2])), "comes twice"),
    "an unknown VR": (put_together(changed(0x00100010, vr="ZZ")), "no value representation"),
    "reserved bytes": (put_together(parts()).replace(b"UN\0\0", b"UN\0\1"), "reserved bytes"),
    "a length beyond the file": (put_together(parts())[:-1], "claims 8 bytes where 7 are left"),
    "4 GiB": (
        put_together(parts(), How(syntax=IMPLICIT))[:-12] + b"\xfe\xff\xff\xff12345678", "claims 4294967294 bytes"
    ),
    "a long VR cut off": (put_together(parts())[:-10], "cut off"),
    "frames in a native syntax": (put_together(with_frames([b"ab"], [], count=1)), "no such thing"),
    "frames in implicit VR": (
        put_together(with_frames([b"ab"], [], count=1), How(syntax=IMPLICIT)), "cut off|where an item|claims|delimiter"
    ),
    "text of no defined length": (
        put_together(parts()) + b"\xf0\x7f\x10\0UT\0\0\xff\xff\xff\xff", "UT, of no defined length"
    ),
    "an item beyond its sequence": (
        put_together([Part(0x00081115, "OB", b"\xfe\xff\0\xe0\2\0\0\0")]).replace(b"OB\0\0\x08", b"SQ\0\0\x08"),
        "an item claims 2 bytes where 0 are left",
    ),
    "a sequence that is none, in implicit VR": (
        put_together([Part(0x00081115, "UN", b"not an item.")], How(syntax=IMPLICIT)), "where an item should"
    ),
    "an item not ended": (
        OPEN[:-16], "an item is not ended"
    ),
    "a sequence not ended": (OPEN[:-8], "cut off"),
    "a delimiter with a length": (
        OPEN[:-4] + b"\2\0\0\0ab", "a delimiter has a length"
    ),
    "an item's delimiter with a length": (
        OPEN[:-12] + b"\2\0\0\0ab", "a delimiter has a length"
    ),
    "words cut in half": (
        put_together(parts(), How(syntax=BIG)) + b"\x7f\xf0\0\x10FD\0\x02ab", "no number of words of FD"
    ),
    "a fragment of no length": (
        put_together(with_frames([], []), How(syntax=JPEG))[:-8] + b"\xfe\xff\0\xe0\xff\xff\xff\xff", "no length"
    ),
    "pixels without items": (
        put_together(parts()[:-1], How(syntax=JPEG))
        + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\xdd\xe0\0\0\0\0",
        "no offset table",
    ),
    "a fragment beyond the file": (
        put_together(with_frames([b"abcd"], []), How(syntax=JPEG))[:-10], "an item claims 4 bytes where 2 are left"
    ),
    "deflated and cut off": (put_together(parts(), How(syntax=DEFLATED))[:-6], "cut off"),
    "not deflated": (head(How(syntax=DEFLATED)) + b"\xff" * 40, "should be deflated is not"),
    "after what is deflated": (put_together(parts(), How(syntax=DEFLATED)) + b"\0\0", "something follows"),
}  # fmt: skip


@pytest.mark.parametrize("damage", REFUSALS)
def test_what_is_no_sound_file_is_refused_and_said(damage):
    data, message = REFUSALS[damage]
    with pytest.raises(MalformedRecordError, match=message) as caught:
        read(data)
    assert caught.value.message[0].islower() or caught.value.message[0] in "(0123456789"
    assert not caught.value.message.endswith(".")


def test_what_is_deflated_has_an_end_of_its_own():
    """All is there but the end, so that nobody can say if more was: refused."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(put_together(parts(), How(meta=False))) + packer.flush(zlib.Z_SYNC_FLUSH)
    for data in (body, body + bytes(len(body) % 2)):
        with pytest.raises(MalformedRecordError, match="what is deflated is cut off"):
            read(head(How(syntax=DEFLATED)) + data)
    whole = body + packer.flush()
    assert components(head(How(syntax=DEFLATED)) + whole) == components(put_together(parts()))


def test_problems_in_what_is_deflated_are_told_apart():
    data = put_together([*parts(), parts()[0]], How(syntax=DEFLATED))
    with pytest.raises(MalformedRecordError, match="comes twice"):
        read(data)
    data = put_together([Part(0x00000100, "US", b"\1\0")], How(syntax=DEFLATED))
    with pytest.raises(MalformedRecordError, match="at byte 0 of what is deflated"):
        read(data)


def test_pydicom_is_imported_by_those_who_read_dicom_and_nobody_else():
    code = "import sys, medanchor.records.dicom, medanchor.records.dicom_diff; sys.exit('pydicom' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
