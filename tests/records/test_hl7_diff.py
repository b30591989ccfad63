"""Where HL7 v2 messages differ: told by segment and field, and told of everything that is committed to."""

import random

import pytest
from hl7s import ADT, MDM, ORU, SAMPLES, batch, framed, rung
from hypothesis import given
from hypothesis import strategies as st

from medanchor.core.ladder import Rung
from medanchor.errors import MalformedRecordError
from medanchor.records import hl7, hl7_diff
from medanchor.records.hl7_diff import differences


def told(before, after):
    return [tuple(difference) for difference in differences(before, after)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"|5.10|", b"|51.0|", ("OBX[1]-5", "5.10", "51.0")),
        (b"|1.70|", b"||", ("OBX[2]-5", "1.70", None)),
        (b"NORTH^MR||TESTER", b"NORTH^MR|X|TESTER", ("PID[1]-4", None, "X")),
        (b"|LAB|", b"|XLAB|", ("MSH[1]-3", "LAB", "XLAB")),
        (b"20240503160000", b"20990101", ("MSH[1]-7", "20240503160000", "20990101")),
        (b"MSG00002", b"MSG9", ("MSH[1]-10", "MSG00002", "MSG9")),
        (b"|P|2.5.1", b"|P|2.7", ("MSH[1]-12", "2.5.1", "2.7")),
        (rb"^~\&", rb"^~\&#", ("MSH[1]-2", r"^~\&", r"^~\&#")),
        (b"NTE|1||Fasting sample\r", b"", ("NTE[1]", "NTE|1||Fasting sample", None)),
        (b"OBX|2|", b"NTE|2||Repeat\rOBX|2|", ("NTE[2]", None, "NTE|2||Repeat")),
        (b"see WBC ^", b"see WBC \xe9", ("OBX[4]-5", "see WBC ^", r"see WBC \xe9")),
    ],
)
def test_a_difference_is_told_by_segment_and_field(old, new, expected):
    assert told(ORU, ORU.replace(old, new, 1)) == [expected]


def test_several_differences_are_told_in_the_order_of_the_message():
    changed = ORU.replace(b"|5.10|", b"|5.1|").replace(b"TESTER^ADA", b"TESTER^EVA").replace(b"|N|||F", b"|H|||F|")
    assert told(ORU, changed) == [
        ("PID[1]-5", "TESTER^ADA", "TESTER^EVA"),
        ("OBX[1]-5", "5.10", "5.1"),
        ("OBX[2]-8", "N", "H"),
    ]


def test_a_removed_segment_does_not_make_those_after_it_differ():
    lines = ORU.splitlines(keepends=True)
    assert told(ORU, b"".join(lines[:3] + lines[4:])) == [("OBX[1]", lines[3][:-1].decode(), None)]


def test_a_change_beside_a_removed_segment_is_still_told_by_field():
    lines = ORU.replace(b"|1.70|", b"|1.71|").splitlines(keepends=True)
    after = b"".join(lines[:4] + lines[5:])
    assert told(ORU, after) == [("NTE[1]", "NTE|1||Fasting sample", None), ("OBX[2]-5", "1.70", "1.71")]


def test_other_field_separators_are_told():
    after = ADT.translate(bytes.maketrans(b"|", b"$"))
    assert told(ADT, after)[0] == ("MSH[1]-1", "|", "$")


def test_what_is_not_committed_to_is_not_told():
    assert told(ADT, framed(ADT.replace(b"\r", b"|^|\r\n"))) == []
    assert told(ADT + ORU, batch(ADT, ORU)) == []


def test_a_long_value_is_shown_where_it_differs():
    start = rb"MSH|^~\&|A" + b"\rNTE|1||"
    text = b"x" * 5_000
    ((place, was, now),) = told(start + text + b"1" + text, start + text + b"2" + text)
    assert place == "NTE[1]-3"
    assert len(was) < 250
    assert was.strip("…x") == "1"
    assert now.strip("…x") == "2"


# -- batches ----------------------------------------------------------------------------------------------------------


def test_a_difference_in_a_batch_is_told_with_its_message():
    after = batch(ADT, ORU.replace(b"|5.10|", b"|5.1|"), MDM)
    assert told(batch(ADT, ORU, MDM), after) == [("message 2: OBX[1]-5", "5.10", "5.1")]
    assert told(ORU, batch(ORU.replace(b"|5.10|", b"|5.1|"))) == [("message 1: OBX[1]-5", "5.10", "5.1")]


def test_a_message_that_was_removed_or_added_is_told_by_its_header():
    header = ORU.split(b"\r")[0].decode()
    assert told(batch(ADT, ORU, MDM), batch(ADT, MDM)) == [("message 2", header, None)]
    assert told(ADT + MDM, ADT + ORU + MDM) == [("message 2", None, header)]


def test_messages_sent_again_are_known_by_their_bodies():
    again = [each.replace(b"|MSG0", b"|AGAIN0") for each in (ADT, MDM)]
    assert told(ADT + ORU + MDM, b"".join(again)) == [
        ("message 1: MSH[1]-10", "MSG00001", "AGAIN00001"),
        ("message 2", ORU.split(b"\r")[0].decode(), None),
        ("message 3: MSH[1]-10", "MSG00003", "AGAIN00003"),
    ]


def test_many_messages_that_all_differ_are_told_in_time():
    one = rb"MSH|^~\&|A" + b"\rPID|%d\r"
    before = b"".join(one % number for number in range(20_000))
    after = b"".join(one % (number * 7 % 40_009) for number in range(20_000))
    assert sum(1 for _ in differences(before, after)) > 10_000


def test_files_with_too_many_parts_are_not_compared(monkeypatch):
    monkeypatch.setattr(hl7_diff, "MOST_COMPARED", 7)
    assert told(ADT, ADT) == []
    assert told(ADT * 7, ADT * 7) == []
    with pytest.raises(MalformedRecordError, match="it has more than 7 messages"):
        told(ADT, ADT * 8)
    with pytest.raises(MalformedRecordError, match="it has more than 7 segments in a message"):
        told(ADT, ADT + b"PID\r")


# -- all of it --------------------------------------------------------------------------------------------------------


def test_what_is_not_sound_is_refused_as_the_reader_does():
    for pair in ((ADT, b"secret"), (b"secret", ADT), (ADT, ADT + b"secret")):
        with pytest.raises(MalformedRecordError):
            told(*pair)


segments = st.lists(st.sampled_from([b"PID|1", b"PID|2", b"OBX|1||a", b"OBX|1||b", b"OBX|2^", b"NTE", b"MSH|^~\\&|B"]))


@given(segments, segments)
def test_something_is_told_exactly_where_the_digests_differ(one, other):
    before, after = (b"\r".join([rb"MSH|^~\&|A", *lines]) for lines in (one, other))
    components = [bytes(_messages(data)) for data in (before, after)]
    assert bool(told(before, after)) == (components[0] != components[1])


def _messages(data):
    document = hl7.read(data)
    if document.contained is None:
        return document.content.components[0]
    return b"".join(
        bytes(document.contained.components)[at : at + 32] for at in range(0, 64 * len(document.contained.names), 64)
    )


def test_every_random_change_is_told():
    choice = random.Random(5)  # noqa: S311 - a test's choice
    for _ in range(2_000):
        before = choice.choice(list(SAMPLES.values()))
        place = choice.randrange(len(before))
        after = before[:place] + bytes([choice.choice(b"|^&~A1\r")]) + before[place + choice.randrange(2) :]
        likeness = rung(before, after)
        if likeness != "refused":
            assert bool(told(before, after)) == (likeness.rung not in (Rung.EXACT, Rung.SAME_CONTENT))
