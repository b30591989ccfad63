"""What may happen to an HL7 v2 message on its way and leaves it the same, and what may not."""

import hashlib
import random
from collections import Counter

import pytest
from hl7s import ADT, MDM, ORU, SAMPLES, batch, framed, rung, textbook
from hypothesis import given
from hypothesis import strategies as st

from medanchor.core.ladder import Likeness, Rung
from medanchor.errors import MalformedRecordError
from medanchor.records import hl7
from medanchor.records.document import Kind

SAME = Likeness(Rung.SAME_CONTENT)
HEADER = Likeness(Rung.SAME_DATA, ("header",))
CHANGED = Likeness(Rung.CHANGED)


@pytest.fixture(params=SAMPLES.values(), ids=SAMPLES)
def message(request):
    return request.param


def digest(data):
    return hashlib.sha256(data).digest()


# -- the form ---------------------------------------------------------------------------------------------------------


def test_a_message_has_the_digests_that_the_format_tells():
    written = rb"MSH|^~\&|A^|B|C|D|20240503||ADT^A01|17|P|2.5||" + b"\r\nPID|1||7^^^X&Y&&^~8^~||DOE^JANE^^|||\r\n"
    document = hl7.read(written)
    message = rb"MSH|^~\&|A|B|C|D|20240503||ADT^A01|17|P|2.5" + b"\rPID|1||7^^^X&Y~8~||DOE^JANE\r"
    body = rb"MSH|^~\&|A|B|C|D|||ADT^A01||P|2.5" + b"\rPID|1||7^^^X&Y~8~||DOE^JANE\r"
    assert document == ((Kind.HL7, digest(written), (digest(message), digest(body))), (), None)


def test_the_worked_example_of_the_format_holds():
    data = bytes.fromhex(
        "0b4d53487c5e7e5c267c4c41427c7c4548527c7c32303234303530337c7c4f52555e5230317c31377c507c322e352e317c0d0a"
        "5049447c317c7c375e5e5e4e4f52544826265e4d525e5e7c7c5445535445525e4144417c7c0d0a"
        "4f42587c317c53547c5742437c7c68696768205e7c7c0d0a1c0d"
    )
    document, (message,) = hl7.read(data), hl7.messages(data)
    assert [digest.hex() for digest in (document.content.raw, message.content().raw, *document.content.components)] == [
        "4a848c03f4486689fd54a1c7d67ad804ec28120090ea0b74de1a6797a7e2a463",
        "ea4ca4aaa372572f9103244de22f02fe760a88782b206b80276233893c43929d",
        "c61b93a5c96643e8978d8002687f88e81d866f34af1e091dfaa12495516a34a3",
        "6b67e5813d11c3abd3a210ce66b10f346e32e397ee459bc48262ba2babebebd6",
    ]


def test_a_message_as_the_standard_writes_it_is_its_own_form(message):
    assert hl7.read(message).content.components[0] == digest(message)


def test_a_header_that_ends_early_has_a_body_too():
    for header in (rb"MSH|^~\&", rb"MSH|^~\&|A", rb"MSH|^~\&|||||20240503", rb"MSH|^~\&|||||||ADT||"):
        whole = header.rstrip(b"|") + b"\r"
        body = whole.replace(b"|||||20240503", b"")
        assert hl7.read(header).content.components == (digest(whole), digest(body))


# -- the same content -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r", b"\n\n\r"])
def test_other_line_ends_leave_it_the_same(message, end):
    assert rung(message, message.replace(b"\r", end)) == SAME


def test_line_ends_of_several_kinds_leave_it_the_same(message):
    ends = random.Random(1)  # noqa: S311 - a test's choice
    lines = message.split(b"\r")
    mixed = b"".join(line + ends.choice([b"\r", b"\n", b"\r\n"]) for line in lines)
    assert rung(message, mixed) == SAME


@pytest.mark.parametrize("framing", [lambda m: m[:-1], framed, lambda m: framed(m[:-1]), lambda m: framed(m)[:-1]])
def test_framing_leaves_it_the_same(message, framing):
    assert rung(message, framing(message)) == SAME
    assert rung(message, framing(message).replace(b"\r", b"\r\n")) == SAME


def test_a_byte_order_mark_and_blank_lines_around_leave_it_the_same(message):
    assert rung(message, b"\xef\xbb\xbf\r\n" + message + b"\r\n\r\n") == SAME


@pytest.mark.parametrize("padding", [b"|", b"|||||", b"^", b"^^^^", b"&", b"&&^", b"^&|^|"])
def test_empty_ends_leave_it_the_same(padding):
    for written in (ADT, MDM):
        for line in written.splitlines(keepends=True):
            padded = line.replace(b"\r", padding + b"\r")
            assert rung(written, written.replace(line, padded)) == SAME, padded


def test_what_the_standard_calls_equal_is_the_same():
    start = rb"MSH|^~\&|A" + b"\rZZ1|"
    assert rung(start + b"|^XXX&YYY&&^|\r", start + b"|^XXX&YYY|\r") == SAME
    assert rung(start + b"|ABC^DEF^^|\r", start + b"|ABC^DEF|\r") == SAME


def test_empty_ends_of_each_repetition_and_each_component_leave_it_the_same():
    padded = ADT.replace(b"NORTH^MR~555-44^^^SSA^SS|", b"NORTH&&^MR&^^~555-44^^^SSA^SS&^|")
    assert padded != ADT
    assert rung(ADT, padded) == SAME


@pytest.mark.parametrize("inner", [b"^", b"&"])
@pytest.mark.parametrize("outer", [b"^", b"~", b"|", b"\r"])
def test_an_empty_end_is_found_where_it_is_the_only_one(inner, outer):
    start, rest = rb"MSH|^~\&|A" + b"\rPID|1||B", b"PV1|D\r"
    if inner != outer:
        assert rung(start + outer + rest, start + inner + outer + rest) == SAME


# -- the same data ----------------------------------------------------------------------------------------------------


def test_another_time_or_control_id_differs_in_the_header_only(message):
    time, control = message.split(b"|")[6], message.split(b"|")[9]
    for written in (message.replace(time, b"20991231", 1), message.replace(control, b"X", 1)):
        assert rung(message, written) == HEADER
        assert rung(message, framed(written.replace(b"\r", b"\n"))) == HEADER
    assert rung(message, message.replace(time, b"", 1).replace(control, b"", 1)) == HEADER


def test_another_time_does_not_hide_what_else_differs():
    rewritten = ORU.replace(b"20240503160000", b"20991231", 1)
    assert rung(ORU, rewritten.replace(b"|5.10|", b"|5.1|")) == CHANGED


# -- changed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"|5.10|", b"|51.0|"),
        (b"|5.10|", b"|5.1|"),
        (b"|mmol/L|<5.0", b"|mg/dL|<5.0"),
        (b"|H|||F", b"|N|||F"),
        (b"|H|||F", b"|H|||P"),
        (b"ORU^R01", b"ORU^R02"),
        (b"|P|2.5.1", b"|T|2.5.1"),
        (b"|LAB|NORTH|EHR", b"|LAB|SOUTH|EHR"),
        (b"||TESTER^ADA", b"||TESTER^^ADA"),
        (b"||TESTER^ADA", b"|TESTER^ADA"),
        (b"||TESTER^ADA", b"||tester^ADA"),
        (b"Fasting sample", b"Fasting  sample"),
        (b"see WBC ^|", b"see WBC |"),
        (b"NTE|1||Fasting sample\r", b""),
        (b"OBX|3|CE", b"OBX|3|ST"),
        (b"A^Group A^L||||||F\r", b"A^Group A^L||||||F\rOBX|9\r"),
        (b"NTE|1", b"ZTE|1"),
        (b"|100042^^^NORTH^MR|", b"|100042^^^NORTH^MR~|"),
        (rb"MSH|^~\&", rb"MSH|^~\&#"),
        (rb"MSH|^~\&", rb"MSH|^~\$"),
    ],
)
def test_any_other_change_shows(old, new):
    assert old in ORU
    assert rung(ORU, ORU.replace(old, new, 1)) == CHANGED


def test_segments_in_another_order_show():
    lines = ORU.splitlines(keepends=True)
    lines[3], lines[5] = lines[5], lines[3]
    assert rung(ORU, b"".join(lines)) == CHANGED


def test_a_deleted_value_is_not_an_empty_one():
    assert rung(ADT, ADT.replace(b'|""\r', b"|\r")) == CHANGED


def test_an_escape_written_otherwise_shows():
    assert rung(MDM, MDM.replace(rb"\T\ review", rb"\X26\ review")) == CHANGED


def test_plain_text_keeps_what_looks_like_empty_ends():
    for kind in (b"ST", b"TX", b"FT"):
        start = rb"MSH|^~\&|A" + b"\rOBX|1|" + kind + b"|||"
        assert rung(start + b"K ^\r", start + b"K \r") == CHANGED
        assert rung(start + b"R&D&|||F\r", start + b"R&D|||F\r") == CHANGED
        start = start.replace(b"|||", b"^&|||")
        assert rung(start + b"K ^\r", start + b"K \r") == CHANGED
    start = rb"MSH|^~\&|A" + b"\rNTE|1||"
    assert rung(start + b"K ^\r", start + b"K \r") == CHANGED
    assert rung(start + b"K ^||\r", start + b"K ^\r") == SAME


# -- separators -------------------------------------------------------------------------------------------------------


def test_the_separators_are_those_that_the_message_names():
    told = bytes.maketrans(rb"|^~\&", b"$:*!?")
    translated = ADT.translate(told)
    assert hl7.read(translated).content.components[0] == digest(translated)
    assert rung(translated, translated.replace(b"rash\r", b"rash:??:$\r")) == SAME
    assert rung(translated, translated.replace(b"rash\r", b"rash^\r")) == CHANGED
    assert rung(ADT, translated) == CHANGED


def test_each_message_of_a_file_has_its_own_separators():
    other = ADT.translate(bytes.maketrans(b"|^", b"$:"))
    contained = hl7.read(ADT + other).contained
    alone = [hl7.read(each).content.components for each in (ADT, other)]
    assert bytes(contained.components) == b"".join(component for components in alone for component in components)


def test_a_message_may_name_no_subcomponents():
    message = b"MSH|^~|A\rPID|1||X&^\r"
    assert hl7.read(message).content.components[0] == digest(b"MSH|^~|A\rPID|1||X&\r")


# -- the textbook -----------------------------------------------------------------------------------------------------

PIECES = [b"|", b"^", b"~", b"&", b"\\", b"A", b"1", b'""', b"OBX|", b"NTE|", b"ST|", b"\r", b"\n", b"PID|"]
lines = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@given(lines, lines)
def test_two_messages_are_the_same_as_the_textbook_reads_them(one, other):
    header = rb"MSH|^~\&|"
    read = []
    for line in (one, other):
        try:
            read.append((hl7.read(header + line).content.components[0], textbook(header + line)))
        except MalformedRecordError:
            return
    assert (read[0][0] == read[1][0]) == (read[0][1] == read[1][1])


@pytest.mark.untraced
def test_random_changes_show_unless_the_textbook_calls_them_none():
    choice = random.Random(4)  # noqa: S311 - a test's choice
    counts = Counter()
    trees = {each: textbook(each) for each in SAMPLES.values()}
    for _ in range(10_000):
        before = choice.choice(list(trees))
        after = _mutated(before, choice)
        likeness = rung(before, after)
        counts[likeness if likeness == "refused" else likeness.rung] += 1
        if likeness in (Likeness(Rung.EXACT), SAME):
            assert trees[before] == textbook(after)
        elif likeness != "refused":
            assert trees[before] != textbook(after)
        if likeness == HEADER:
            assert _bare(before) == _bare(after)
    assert counts[Rung.CHANGED] > 7_500
    assert counts.keys() == {"refused", Rung.EXACT, Rung.SAME_CONTENT, Rung.SAME_DATA, Rung.CHANGED}


def _mutated(message, choice):
    place, bits = choice.randrange(len(message)), choice.choice(b'|^~&\\\r\nAz09"')
    kind = choice.randrange(4)
    if kind == 0:
        return message[:place] + message[place + 1 :]
    if kind == 1:
        return message[:place] + bytes([bits]) + message[place:]
    if kind == 2:
        return message[:place] + bytes([bits]) + message[place + 1 :]
    parts = message.splitlines(keepends=True)
    line = choice.randrange(1, len(parts))
    return b"".join(parts[:line] + [parts[line]] * choice.choice([0, 2]) + parts[line + 1 :])


def _bare(message):
    read = textbook(message)
    read[0] = [field for number, field in enumerate(read[0]) if number not in (6, 9)]
    return read


# -- containers -------------------------------------------------------------------------------------------------------


def test_several_messages_are_a_container_of_one_record_each():
    data = ADT + ORU + MDM
    document = hl7.read(data)
    assert document.content == (Kind.BYTES, digest(data), ())
    assert document.remarks == ()
    assert document.contained.names == [b"1", b"2", b"3"]
    assert bytes(document.contained.kinds) == bytes([Kind.HL7] * 3)
    assert bytes(document.contained.raws) == b"".join(map(digest, (ADT, ORU, MDM)))
    parts = [digest for each in (ADT, ORU, MDM) for digest in hl7.read(each).content.components]
    assert bytes(document.contained.components) == b"".join(parts)


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("around", [batch, framed, lambda *m: b"\r".join(m), lambda *m: framed(batch(*m))])
def test_the_messages_of_a_container_are_found_whatever_is_around_them(around, end):
    document = hl7.read(around(ADT, ORU, MDM).replace(b"\r", end))
    raws = [digest(each.replace(b"\r", end)) for each in (ADT, ORU, MDM)]
    assert bytes(document.contained.raws) == b"".join(raws)
    assert document.contained.components == hl7.read(ADT + ORU + MDM).contained.components
    assert document.remarks == ()


def test_a_message_without_a_last_line_end_is_its_bytes_as_they_are():
    document = hl7.read(framed(ADT[:-1], ORU))
    assert bytes(document.contained.raws) == digest(ADT[:-1]) + digest(ORU)


def test_one_message_in_a_batch_is_in_a_container_all_the_same():
    document = hl7.read(batch(ADT))
    assert document.content.kind == Kind.BYTES
    assert document.contained.names == [b"1"]
    assert not hl7.read(b"FHS|^~\\&\rFTS|0\r").contained.names


def test_several_batches_in_one_file_are_read():
    one = b"BHS|^~\\&\r" + ADT + b"BTS|01\r"
    document = hl7.read(b"FHS|^~\\&\r" + one + one.replace(b"BTS|01", b"BTS") + b"FTS|2\r")
    assert len(document.contained.names) == 2
    assert document.remarks == ()


def test_a_batch_from_which_something_is_missing_is_remarked_on():
    assert hl7.read(batch(ADT, ORU).replace(ORU, b"")).remarks == ("a batch trailer counts another number of messages",)
    missing = ("a batch or file has no trailer: its end may be missing",)
    assert hl7.read(batch(ADT, ORU).replace(b"FTS|1\r", b"")).remarks == missing
    assert hl7.read(batch(ADT, ORU).replace(b"BTS|2\r", b"")).remarks == missing
