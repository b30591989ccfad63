"""DICOM files that are cut, damaged or made to hurt: refused in good order, in bounded memory, or seen to differ."""

import random
import struct
import tracemalloc
import zlib

import pytest
from dicoms import DEFLATED, EXPLICIT, IMPLICIT, JPEG, How, Part, content, element, head, put_together
from hypothesis import given
from hypothesis import strategies as st

from medanchor.errors import MalformedRecordError
from medanchor.records import dicom, dicom_parse
from medanchor.records.dicom import read
from medanchor.records.dicom_diff import differences

SMALL = (
    "test_files/nested_priv_SQ.dcm",
    "test_files/no_meta_group_length.dcm",
    "test_files/priv_SQ.dcm",
    "test_files/UN_sequence.dcm",
    "test_files/JPEGLSNearLossless_08.dcm",
    "test_files/SC_rgb_small_odd.dcm",
    "test_files/SC_rgb_small_odd_big_endian.dcm",
    "test_files/dicomdirtests/DICOMDIR-empty.dcm",
    "test_files/ExplVR_LitEndNoMeta.dcm",
    "test_files/ExplVR_BigEndNoMeta.dcm",
    "test_files/empty_charset_LEI.dcm",
)

NO_LENGTH = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, number) for number in (0xE000, 0xE00D, 0xE0DD))
SEQUENCE = struct.pack("<HH", 0x0040, 0xA730)
PRIVATE = struct.pack("<HH", 0x0009, 0x1001)


def found(data):
    """The components, or None if the file is refused; anything else that is raised is a failure."""
    try:
        return read(data).content.components
    except MalformedRecordError:
        return None


@pytest.mark.parametrize("name", SMALL)
def test_a_file_cut_anywhere_is_refused_or_seen_to_differ(name):
    data = content(name)
    whole = found(data)
    assert whole is not None
    for end in range(len(data)):
        assert found(data[:end]) != whole


@pytest.mark.parametrize("name", ["test_files/image_dfl.dcm", "test_files/JPEG2000.dcm", "test_files/test-SR.dcm"])
def test_a_larger_file_cut_at_random_is_refused_or_seen_to_differ(name):
    data = content(name)
    chance = random.Random(name)  # noqa: S311 - nothing secret
    for _ in range(300):
        assert found(data[: chance.randrange(132, len(data) - 8)]) != found(data)


@pytest.mark.parametrize("name", SMALL)
def test_whatever_follows_a_file_is_refused_or_seen_to_differ(name):
    data = content(name)
    for more in (b"\0", b"a", b"%PDF-1.7", bytes(8), bytes(12), data, bytes(1000), SEQUENCE + bytes(4)):
        assert found(data + more) != found(data)


def test_10_000_random_damages_are_read_or_refused():
    chance = random.Random(1)  # noqa: S311 - nothing secret
    files = [
        bytearray(content(name)) for name in (*SMALL, "test_files/reportsi.dcm", "test_files/SC_rgb_rle_2frame.dcm")
    ]
    read_all = 0
    for _ in range(10_000):
        data = bytearray(chance.choice(files))
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(len(data))] = chance.choice((chance.randrange(256), 0, 0xFF))
        read_all += found(bytes(data)) is not None
    assert 0 < read_all < 10_000


def test_damages_of_two_kinds_are_compared_or_refused():
    chance = random.Random(2)  # noqa: S311 - nothing secret
    files = [content(name) for name in (*SMALL, "test_files/reportsi.dcm", "charset_files/chrH32.dcm")]
    for _ in range(1000):
        data = bytearray(chance.choice(files))
        original = bytes(data)
        data[chance.randrange(132, len(data))] = chance.randrange(256)
        try:
            places = list(differences(original, bytes(data)))
        except MalformedRecordError:
            continue
        assert bool(places) is (found(original) != found(bytes(data)))


@given(st.binary(max_size=400), st.sampled_from([IMPLICIT, EXPLICIT, DEFLATED, JPEG, "1.2.840.10008.1.2.2"]))
def test_random_bytes_are_read_or_refused(data, syntax):
    found(head(How(syntax=syntax)) + data)
    found(data)


HEADERS = st.sampled_from(
    [SEQUENCE, PRIVATE, ITEM, ITEM_END, SEQUENCE_END, b"\xe0\x7f\x10\0", b"\2\0\x10\0", b"\x10\0\x10\0"]
)
LENGTHS = st.sampled_from([bytes(4), NO_LENGTH, b"\4\0\0\0", b"\x08\0\0\0", b"SQ\0\0", b"OB\0\0", b"LO\2\0", b"UN\0\0"])


@given(st.lists(st.one_of(HEADERS, LENGTHS, st.just(b"ab")), max_size=40).map(b"".join), st.booleans())
def test_random_structures_are_read_or_refused(data, explicit):
    found(head(How(syntax=EXPLICIT if explicit else IMPLICIT)) + data)
    found(head(How(syntax=JPEG)) + data)


@pytest.mark.parametrize("length", [b"\xfe\xff\xff\xff", b"\0\0\0\x80", b"\xff\xff\xff\x7f"])
def test_a_claim_of_gigabytes_costs_nothing(length):
    files = [
        head(How(syntax=IMPLICIT)) + PRIVATE + length + b"abcd",
        head(How(syntax=EXPLICIT)) + PRIVATE + b"OB\0\0" + length + b"abcd",
        head(How(syntax=EXPLICIT)) + SEQUENCE + b"SQ\0\0" + NO_LENGTH + ITEM + length,
        head(How(syntax=JPEG)) + b"\xe0\x7f\x10\0OB\0\0" + NO_LENGTH + ITEM + bytes(4) + ITEM + length,
        head(How())[:-20] + b"\2\0\x12\0OB\0\0" + length,
    ]
    found(files[0])
    tracemalloc.start()
    assert [found(data) for data in files] == [None] * len(files)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def nested(levels, *, private=False, defined=False):
    """Sequences in sequences, in implicit VR."""
    body = b""
    if not defined:
        return (PRIVATE if private else SEQUENCE) + NO_LENGTH + (ITEM + NO_LENGTH + SEQUENCE + NO_LENGTH) * levels
    for _ in range(levels):
        inner = ITEM + struct.pack("<I", len(body)) + body
        body = (PRIVATE if private else SEQUENCE) + struct.pack("<I", len(inner)) + inner
    return body


def test_sequences_nested_too_deep_are_refused_however_deep():
    for levels in (dicom_parse.DEEPEST, 1000, 200_000):
        with pytest.raises(MalformedRecordError, match="nested deeper than 64"):
            read(head(How(syntax=IMPLICIT)) + nested(levels))
    with pytest.raises(MalformedRecordError, match="nested deeper than 64"):
        read(head(How(syntax=IMPLICIT)) + nested(5000, defined=True))


def test_sequences_nested_as_deep_as_may_be_are_read():
    for private in (False, True):
        assert found(head(How(syntax=IMPLICIT)) + nested(dicom_parse.DEEPEST, private=private, defined=True))


def test_private_values_nested_deeper_are_bytes_below():
    """Nobody says that they are sequences, so they need not be."""
    deep = head(How(syntax=IMPLICIT)) + nested(3000, private=True, defined=True)
    seen = found(deep)
    assert seen is not None
    assert found(deep[:-4] + b"\1" + deep[-3:]) != seen


def deflated(body):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return head(How(syntax=DEFLATED)) + packer.compress(body) + packer.flush()


def test_a_deflate_bomb_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(dicom, "LONGEST", 1 << 20)
    bomb = deflated(element(0x00420011, "OB", bytes(64 << 20), How()))
    small = deflated(element(0x00420011, "OB", bytes((1 << 20) - 12), How()))
    assert found(small) is not None
    tracemalloc.start()
    with pytest.raises(MalformedRecordError, match="more than 1048576 bytes are deflated"):
        read(bomb)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_more_elements_than_anyone_needs_are_refused(monkeypatch):
    monkeypatch.setattr(dicom_parse, "MOST", 1000)
    few, many = (b"".join(struct.pack("<HHI", 9, 0x1000 + n, 0) for n in range(count)) for count in (900, 1100))
    assert found(head(How(syntax=IMPLICIT)) + few) is not None
    with pytest.raises(MalformedRecordError, match="more than 1000 elements"):
        read(head(How(syntax=IMPLICIT)) + many)
    pixels = b"\xe0\x7f\x10\0OB\0\0" + NO_LENGTH + (ITEM + bytes(4)) * 1100 + SEQUENCE_END + bytes(4)
    with pytest.raises(MalformedRecordError, match="more than 1000 elements"):
        read(head(How(syntax=JPEG)) + pixels)


def test_many_elements_and_fragments_cost_little_memory_each():
    count = 10_000
    elements = b"".join(struct.pack("<HHI", 9 + 2 * (n >> 15), 0x1000 + (n & 0x7FFF), 0) for n in range(count))
    backwards = b"".join(elements[at : at + 8] for at in range(len(elements) - 8, -1, -8))
    pixels = b"\xe0\x7f\x10\0OB\0\0" + NO_LENGTH + (ITEM + bytes(4)) * count + SEQUENCE_END + bytes(4)
    files = [How(syntax=IMPLICIT), How(syntax=IMPLICIT), How(syntax=JPEG)]
    files = [head(how) + body for how, body in zip(files, (elements, backwards, pixels), strict=True)]
    assert found(files[0]) == found(files[1])
    for data in files:
        tracemalloc.start()
        assert found(data) is not None
        assert tracemalloc.get_traced_memory()[1] < 300 * count
        tracemalloc.stop()


def test_a_guess_that_fails_late_leaves_nothing_behind():
    """A private value that is a sequence but for its end, with others in it, is covered as the bytes that it is."""
    inner = nested(20, private=True, defined=True)
    broken = ITEM + struct.pack("<I", len(inner)) + inner + b"\xfe\xff\x00\xe1\0\0\0\0"
    parts = [Part(0x00091000, "UN", broken), Part(0x00091002, "UN", b"ab")]
    seen = found(put_together(parts, How(syntax=IMPLICIT)))
    assert seen == found(put_together(parts))
    assert seen == found(put_together([Part(0x00091000, "OB", broken), parts[1]]))
    assert not list(differences(put_together(parts), put_together(parts, How(syntax=IMPLICIT))))
