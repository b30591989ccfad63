"""10,000 random single changes to DICOM data sets, each written in a random encoding: every one is seen."""

import random
from copy import deepcopy

import pytest
from dicoms import (
    BIG,
    EXPLICIT,
    NATIVE,
    PADDING,
    PIXEL_DATA,
    SPACED,
    Frames,
    How,
    Part,
    content,
    put_together,
    take_apart,
)

from medanchor.errors import MalformedRecordError
from medanchor.records.dicom import read
from medanchor.records.dicom_diff import differences

CHANGES = 10_000
FILES = (
    "test_files/MR_small.dcm",
    "test_files/reportsi.dcm",
    "test_files/test-SR.dcm",
    "test_files/rtplan.dcm",
    "test_files/rtstruct.dcm",
    "test_files/priv_SQ.dcm",
    "test_files/nested_priv_SQ.dcm",
    "test_files/UN_sequence.dcm",
    "test_files/JPEGLSNearLossless_16.dcm",
    "test_files/SC_rgb_rle_2frame.dcm",
    "test_files/SC_rgb_small_odd.dcm",
    "test_files/MR_small_RLE.dcm",
    "test_files/dicomdirtests/DICOMDIR-empty.dcm",
    "test_files/dicomdirtests/77654033/CT2/17106",
    "charset_files/chrH31.dcm",
    "palettes/fall.dcm",
)
"""Small ones of all sorts: images, with frames and without, reports, plans, private elements, other alphabets."""


def every_data_set(parts):
    """Yield all data sets in a data set, itself first."""
    yield parts
    for part in parts:
        if isinstance(part.value, list):
            for item in part.value:
                yield from every_data_set(item)


def every_part(parts, kind):
    return [
        (where, part)
        for where in every_data_set(parts)
        for part in where
        if isinstance(part.value, kind) and part.tag != PADDING and part.tag & 0xFFFF
    ]


def meant(part):
    """What a value is without its padding."""
    if part.vr in SPACED or part.vr == "UI":
        return part.value.rstrip(b" \0")
    return part.value + bytes(len(part.value) % 2)


def flipped(value, chance):
    place = chance.randrange(len(value))
    return value[:place] + bytes([value[place] ^ chance.randrange(1, 256)]) + value[place + 1 :]


def change_value(parts, chance):
    found = [part for _, part in every_part(parts, bytes) if part.value]
    part = chance.choice(found)
    before = meant(part)
    part.value = flipped(part.value, chance)
    return meant(part) != before


def change_private_value(parts, chance):
    found = [part for _, part in every_part(parts, bytes) if part.value and part.tag >> 16 & 1]
    if not found:
        return False
    part = chance.choice(found)
    before = meant(part)
    part.value = flipped(part.value, chance)
    return meant(part) != before


def shorten_value(parts, chance):
    part = chance.choice([part for _, part in every_part(parts, bytes) if part.value])
    before = meant(part)
    part.value = part.value[: chance.randrange(len(part.value))]
    return meant(part) != before


def lengthen_value(parts, chance):
    part = chance.choice([part for _, part in every_part(parts, bytes)])
    part.value += bytes(len(part.value) % 2) + chance.choice((b"\0\1", b" 1", b"\\2"))
    return True


def remove_element(parts, chance):
    where, part = chance.choice(every_part(parts, object))
    where.remove(part)
    return bool(parts)


def unused(where, chance):
    used = {part.tag for part in where}
    while True:
        tag = chance.choice((0x0009, 0x0010, 0x0011, 0x0018, 0x0040, 0x7FE1)) << 16 | chance.randrange(0x1001, 0xFFFF)
        if tag not in used:
            return tag


def add_element(parts, chance):
    where = chance.choice(list(every_data_set(parts)))
    value = bytes(chance.randrange(0x30, 0x7A) for _ in range(2 * chance.randrange(4)))
    where.append(Part(unused(where, chance), "UN", value))
    where.sort(key=lambda part: part.tag)
    return True


def move_element(parts, chance):
    where, part = chance.choice(every_part(parts, bytes))
    part.tag, part.vr = unused(where, chance), "UN"
    where.sort(key=lambda part: part.tag)
    return True


def remove_item(parts, chance):
    found = [part for _, part in every_part(parts, list) if part.value]
    if not found:
        return False
    value = chance.choice(found).value
    del value[chance.randrange(len(value))]
    return True


def repeat_item(parts, chance):
    found = [part for _, part in every_part(parts, list) if part.value]
    if not found:
        return False
    value = chance.choice(found).value
    value.insert(chance.randrange(len(value)), deepcopy(chance.choice(value)))
    return True


def reorder_items(parts, chance):
    found = [part for _, part in every_part(parts, list) if len(part.value) > 1]
    if not found:
        return False
    value = chance.choice(found).value
    before = list(value)
    chance.shuffle(value)
    return value != before


def swap_values(parts, chance):
    where = chance.choice([where for where in every_data_set(parts) if len(where) > 1])
    some = [part for part in where if isinstance(part.value, bytes) and part.tag & 0xFFFF and part.tag != PADDING]
    if len(some) < 2:
        return False
    one, other = chance.sample(some, 2)
    before = meant(one), meant(other)
    one.value, other.value = other.value, one.value
    return (meant(one), meant(other)) != before


def change_pixels(parts, chance):
    for part in parts:
        if part.tag != PIXEL_DATA:
            continue
        if isinstance(part.value, Frames):
            number = chance.randrange(len(part.value.fragments))
            part.value.fragments[number] = flipped(part.value.fragments[number], chance)
        else:
            part.value = flipped(part.value, chance)
        return True
    return False


def change_frames(parts, chance):
    for part in parts:
        if isinstance(part.value, Frames):
            fragments, part.value.table = part.value.fragments, []
            part.value.fragments = chance.choice((fragments[:-1], [*fragments, b"more"], [b"\0\0", *fragments]))
            return True
    return False


WAYS = (
    change_value,
    change_private_value,
    shorten_value,
    lengthen_value,
    remove_element,
    add_element,
    move_element,
    remove_item,
    repeat_item,
    reorder_items,
    swap_values,
    change_pixels,
    change_frames,
)


def encoding(parts, syntax, chance):
    """A random way to write a data set."""
    frames = any(isinstance(part.value, Frames) for part in parts)
    return How(
        syntax=syntax if frames else chance.choice(NATIVE),
        undefined=chance.random() < 0.5,
        group_lengths=chance.random() < 0.3,
        padding=chance.choice((0, 0, 8)),
        table=False,
    )


def components(parts, how):
    try:
        return read(put_together(parts, how)).content.components
    except MalformedRecordError:  # a value of so many bytes cannot be swapped
        assert how.syntax == BIG
        return read(put_together(parts, how.but(syntax=EXPLICIT))).content.components


@pytest.mark.parametrize("seed", range(10))
def test_no_change_is_hidden_by_any_encoding(seed):
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    files = [(take_apart(data), read(data).content.components) for data in map(content, FILES)]
    done = {way.__name__: 0 for way in WAYS}
    while sum(done.values()) < CHANGES / 10:
        (syntax, original), expected = chance.choice(files)
        parts, way = deepcopy(original), chance.choice(WAYS)
        if not way(parts, chance):
            continue
        done[way.__name__] += 1
        found = components(parts, encoding(parts, syntax, chance))
        assert found != expected, (seed, way.__name__, done)
    assert min(done.values()) > 10


def test_what_the_comparison_finds_is_what_the_components_say():
    chance = random.Random(11)  # noqa: S311 - nothing secret
    files = [(take_apart(data), data) for data in map(content, FILES)]
    for _ in range(400):
        (syntax, original), data = chance.choice(files)
        parts = deepcopy(original)
        chance.choice(WAYS)(parts, chance)
        other = put_together(parts, encoding(parts, syntax, chance).but(syntax=syntax))
        found = list(differences(data, other))
        assert bool(found) is (read(data).content.components != read(other).content.components)
        assert all(one.before != one.after for one in found)


def test_every_byte_of_a_data_set_in_implicit_vr_counts():
    """Where nothing is written but tags, lengths and values, no byte can be changed without being seen."""
    parts = [
        Part(0x00080060, "CS", b"MR"),
        Part(0x00081115, "SQ", [[Part(0x0020000E, "UI", b"1.22")], [Part(0x00080100, "SH", b"ab")]]),
        Part(0x00091001, "UN", b"\1\2"),
        Part(0x00280010, "US", b"\2\0"),
        Part(PIXEL_DATA, "OW", b"\1\2\3\4"),
    ]
    data = put_together(parts, How(syntax=NATIVE[0]))
    expected = read(data).content.components
    start = len(data) - len(put_together(parts, How(syntax=NATIVE[0], meta=False)))
    for place in range(start, len(data)):
        for other in range(256):
            if other != data[place]:
                assert seen_or_refused(data[:place] + bytes([other]) + data[place + 1 :], expected), (place, other)


def seen_or_refused(data, expected):
    try:
        return read(data).content.components != expected
    except MalformedRecordError:
        return True


def test_the_control_of_these_tests_is_the_same_content():
    chance = random.Random(12)  # noqa: S311 - nothing secret
    for name in FILES:
        syntax, parts = take_apart(content(name))
        for _ in range(10):
            how = encoding(parts, syntax or EXPLICIT, chance)
            assert read(put_together(parts, how)).content.components == read(content(name)).content.components
