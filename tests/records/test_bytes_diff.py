"""Where any two files differ, told without a byte of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medanchor.records.bytes_diff import BLOCK_BYTES, differences
from medanchor.records.document import Difference

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n"
UPDATE = b"1 0 obj\n<</A 1>>\nendobj\nstartxref\n60\n%%EOF"


def told(before: bytes, after: bytes) -> list[tuple[str, str | None, str | None]]:
    return [tuple(difference) for difference in differences(before, after)]


@pytest.mark.parametrize("data", [b"", b"a", PDF])
def test_the_same_bytes_differ_nowhere(data):
    assert told(data, bytes(bytearray(data))) == []


def test_what_was_appended():
    assert told(b"abc", b"abcd") == [("end of file", None, "1 byte appended later")]
    assert told(b"", b"12345") == [("end of file", None, "5 bytes appended later")]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_an_incremental_update_of_a_pdf(end):
    added = len(UPDATE + end)
    expected = ("end of file", None, f"{added} bytes (an incremental update of the PDF) appended later")
    assert told(PDF, PDF + UPDATE + end) == [expected]


@pytest.mark.parametrize(
    ("before", "added"), [(b"no PDF", UPDATE), (PDF, b"junk"), (PDF, UPDATE + b"junk"), (PDF, b"%%EO")]
)
def test_what_is_no_incremental_update(before, added):
    assert told(before, before + added) == [("end of file", None, f"{len(added)} bytes appended later")]


def test_what_was_cut_off():
    assert told(PDF, PDF[:-7]) == [("end of file", "7 bytes cut off later", None)]
    assert told(b"a", b"") == [("end of file", "1 byte cut off later", None)]


def test_what_was_changed_in_place():
    assert told(b"abcdefg", b"abXdYfg") == [("bytes 2 to 4", "3 bytes", "3 bytes, 2 of them different")]
    assert told(b"abc", b"aXc") == [("byte 1", "1 byte", "1 byte, 1 of them different")]
    assert told(b"abc", b"abX") == [("byte 2", "1 byte", "1 byte, 1 of them different")]


def test_what_was_put_in_the_place_of_something_else():
    assert told(b"a--c", b"a+++++c") == [("bytes 1 to 2", "2 bytes", "5 bytes")]


def test_what_was_inserted_or_taken_out():
    assert told(b"headtail", b"head, body, tail") == [("before byte 4", None, "8 bytes inserted")]
    assert told(b"tail", b"headtail") == [("before byte 0", None, "4 bytes inserted")]
    assert told(b"1aab", b"1aaab") == [("before byte 3", None, "1 byte inserted")]
    assert told(b"head, body, tail", b"headtail") == [("bytes 4 to 11", "8 bytes", None)]


@pytest.mark.parametrize("at", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
@pytest.mark.parametrize("length", [3 * BLOCK_BYTES + 1, 4 * BLOCK_BYTES])
def test_places_in_long_files(at, length):
    before = bytes(length)
    after = before[:at] + b"X" + before[at + 1 :]
    assert told(before, after) == [(f"byte {at}", "1 byte", "1 byte, 1 of them different")]
    twice = b"X" + after[1:-1] + b"X"
    count = 3 if 0 < at < length - 1 else 2
    expected = (f"bytes 0 to {length - 1}", f"{length} bytes", f"{length} bytes, {count} of them different")
    assert told(before, twice) == [expected]


@given(st.binary(max_size=30), st.binary(max_size=10), st.binary(max_size=10), st.binary(max_size=30))
def test_the_stretch_that_is_told_is_all_that_differs(head, old, new, tail):
    before, after = head + old + tail, head + new + tail
    found = list(differences(before, after))
    assert len(found) == (before != after)
    for difference in found:
        numbers = [int(word) for word in difference.place.replace("bytes", "byte").split() if word.isdigit()]
        start, last = (numbers * 2)[:2] if numbers else (min(len(before), len(after)), None)
        assert before[:start] == after[:start]
        if last is not None and difference.before is not None:
            rest = len(before) - last - 1
            assert before[last + 1 :] == after[len(after) - rest :]


@given(st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=60))
def test_no_byte_is_quoted(before, after):
    words = {"end", "of", "file", "byte", "bytes", "to", "them", "different", "before", "inserted", "appended", "later"}
    words |= {"cut", "off", "(an", "incremental", "update", "the", "PDF)"}
    for difference in differences(before, after):
        texts = [text for text in difference if text is not None]
        assert all(word.strip(",") in words or word.strip(",").isdigit() for text in texts for word in text.split())


def test_a_difference_has_the_form_that_all_kinds_have():
    assert next(iter(differences(b"a", b"b"))) == Difference("byte 0", "1 byte", "1 byte, 1 of them different")
