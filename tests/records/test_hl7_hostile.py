"""HL7 v2 that is not sound, or written to do harm: refused with the line, and nothing of what stands there."""

import random
from contextlib import suppress

import pytest
from hl7s import ADT, MDM, ORU, batch, framed
from hypothesis import given
from hypothesis import strategies as st

from medanchor.errors import MalformedRecordError
from medanchor.records import hl7

HEADER = rb"MSH|^~\&|A" + b"\r"

REFUSED = {
    "nothing": (b"", "no message, line 1"),
    "blank lines only": (b"\r\n\r\n", "no message, line 1"),
    "another kind of file": (b"%PDF-1.7\nsecret\n", "no message, line 1"),
    "a message that does not begin a line": (b"secret MSH|^~\\&\r", "no message, line 1"),
    "text before the message": (b"secret\r" + ADT, "bytes that belong to no message, line 1"),
    "a space before the message": (b" \r" + ADT, "bytes that belong to no message, line 1"),
    "text after the message": (ADT + b"secret\r", "a line that is no segment, line 8"),
    "text in the message": (ADT.replace(b"EVN|", b"secret\rEVN|"), "a line that is no segment, line 2"),
    "text between messages": (ADT + b"secret\r\n" + ORU, "a line that is no segment, line 8"),
    "text after an MLLP block": (framed(ADT) + b"secret", "an MLLP character inside a message, line 1"),
    "text between MLLP blocks": (framed(ADT) + b"x" + framed(ORU), "an MLLP character inside a message, line 1"),
    "text before an MLLP block": (b"x" + framed(ADT), "bytes that belong to no message, line 1"),
    "a segment of two characters": (HEADER + b"PI|1\r", "a line that is no segment, line 2"),
    "a segment of four characters": (HEADER + b"PIDX|1\r", "a line that is no segment, line 2"),
    "a segment in small letters": (HEADER + b"pid|1\r", "a line that is no segment, line 2"),
    "a segment that begins with a digit": (HEADER + b"1AB|1\r", "a line that is no segment, line 2"),
    "a line of spaces": (HEADER + b"   \r", "a line that is no segment, line 2"),
    "a segment with another separator": (HEADER + b"PID^1\r", "a line that is no segment, line 2"),
    "a NUL": (HEADER + b"\0\r", "a line that is no segment, line 2"),
    "a header without separators": (b"MSH\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "a header with one separator": (b"MSH|\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "a header with too few separators": (b"MSH|^|A\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "a header with too many separators": (b"MSH|^~\\&#$|A\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "the same separator twice": (b"MSH|^^\\&|A\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "the field separator twice": (b"MSH^~^&\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "a letter for a separator": (b"MSH|^~\\D|A\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "a space for a separator": (b"MSH ^~\\& A\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "a longer name than MSH": (b"MSHX|^~\\&\r", "MSH-1 and MSH-2 name no separators, line 1"),
    "the second message without separators": (ADT + b"MSH\r", "MSH-1 and MSH-2 name no separators, line 8"),
    "a block that does not end": (b"\x0b" + ADT, "an MLLP block without its end, line 8"),
    "a block that begins at the end": (framed(ADT) + b"\x0b", "an MLLP block without its end, line 9"),
    "an end without a block": (ADT + b"\x1c\r", "bytes that belong to no message, line 7"),
    "a block in a block": (b"\x0b" + ADT + b"\x0b" + ORU + b"\x1c\r", "bytes that belong to no message, line 7"),
    "two ends of a block": (framed(ADT) + b"\x1c\r", "bytes that belong to no message, line 7"),
    "a block begun in a segment": (ADT.replace(b"ADA", b"A\x0bA"), "an MLLP character inside a message, line 1"),
    "a block ended in a segment": (ADT.replace(b"ADA", b"A\x1cA"), "an MLLP character inside a message, line 1"),
    "a segment before the first message of a batch": (
        batch(ADT).replace(b"MSH", b"PID|secret\rMSH", 1),
        "a segment that belongs to no message, line 2",
    ),
    "a segment after a batch": (batch(ADT) + b"PID|secret\r", "a segment that belongs to no message, line 11"),
    "a second file header": (batch(ADT).replace(b"BHS", b"FHS"), "FHS where none may stand, line 2"),
    "a file header after a message": (ADT + batch(ORU), "FHS where none may stand, line 8"),
    "a message after the file": (batch(ADT) + ORU, "MSH where none may stand, line 12"),
    "a file after the file": (batch(ADT) + batch(ORU), "FHS where none may stand, line 12"),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_sound_is_refused_with_its_line(data, why):
    with pytest.raises(MalformedRecordError) as refused:
        hl7.read(data)
    assert refused.value.message == f"it is not sound HL7 v2: {why}"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_the_line_is_told_whatever_ends_lines(end):
    with pytest.raises(MalformedRecordError, match=r"line 10$"):
        hl7.read((ADT + ORU).replace(b"OBR|", b"obr|").replace(b"\r", end))


def test_text_with_line_ends_in_it_is_refused_and_not_taken_for_segments():
    with pytest.raises(MalformedRecordError, match="no segment, line 6"):
        hl7.read(MDM.replace(b"No fever.~", b"No fever.\n"))


# -- more than is read ------------------------------------------------------------------------------------------------


def test_no_more_messages_are_read_than_memory_is_made_for(monkeypatch):
    monkeypatch.setattr(hl7, "MOST_MESSAGES", 3)
    assert len(hl7.read(HEADER * 3).contained.names) == 3
    with pytest.raises(MalformedRecordError, match=r"more than 3 messages, line 4"):
        hl7.read(HEADER * 4)


def test_no_more_lines_and_fields_are_read_than_memory_is_made_for(monkeypatch):
    monkeypatch.setattr(hl7, "MOST_LINES", 100)
    monkeypatch.setattr(hl7, "MOST_PARTS", 100)
    assert hl7.read(HEADER + b"PID" + b"|^~|" * 25 + b"\rPID" * 99)
    with pytest.raises(MalformedRecordError, match="more than 100 line ends, line 1"):
        hl7.read(HEADER + b"PID\n" * 101)
    for padding in (b"|", b"^", b"~", b"|^~|"):
        with pytest.raises(MalformedRecordError, match="more than 100 fields and components, line 2"):
            hl7.read(HEADER + b"PID|" + padding * 101)


@pytest.mark.parametrize(
    "data",
    [
        HEADER + b"PID|" + b"^" * 99_999,
        HEADER + b"PID|" + b"&^" * 99_999 + b"x",
        HEADER + b"PID|" + b"&" * 10_000_000,
        HEADER + (b"PID|" + b"~" * 99_999 + b"\r") * 20,
        HEADER + b"OBX|1|ST|||" + b"x" * 10_000_000 + b"\r",
        HEADER + b"\r\n" * 400_000,
        b"\n" * 10_000_000 + HEADER,
        HEADER + b"\n" * 10_000_000 + HEADER,
        framed(HEADER) + b"\x0b\x1c" * 1_000_000,
        HEADER + b"PID|MSHMSHMSHMSH" * 600 + b"MSH" * 3_000_000,
    ],
)
def test_long_input_is_read_in_one_go(data):
    assert hl7.read(data)


@pytest.mark.parametrize(
    "data", [b"MSH" * 3_000_000, b"\x0b" * 9_000_000, b"\rMSH" * 2_000_000, HEADER + b"\rA" * 900_000]
)
def test_long_input_that_is_not_sound_is_refused_in_one_go(data):
    with pytest.raises(MalformedRecordError):
        hl7.read(data)


# -- anything at all --------------------------------------------------------------------------------------------------

MARKS = [
    b"MSH",
    rb"MSH|^~\&",
    b"BHS|",
    b"BTS|",
    b"FHS|^",
    b"FTS",
    b"PID|",
    b"\r",
    b"\n",
    b"\x0b",
    b"\x1c",
    b"|",
    b"^",
    b"\0",
]


@given(st.lists(st.one_of(st.sampled_from(MARKS), st.binary(max_size=4)), max_size=30).map(b"".join))
def test_whatever_the_bytes_it_is_read_or_refused(data):
    with suppress(MalformedRecordError):
        assert hl7.read(data)


def test_whatever_is_damaged_it_is_read_or_refused():
    choice = random.Random(7)  # noqa: S311 - a test's choice
    whole = framed(batch(ADT, ORU), MDM)
    for _ in range(3_000):
        start, length = choice.randrange(len(whole)), choice.randrange(1, 40)
        damaged = whole[:start] + choice.randbytes(choice.randrange(3)) + whole[start + length :]
        with suppress(MalformedRecordError):
            assert hl7.read(damaged)
