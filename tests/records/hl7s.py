"""HL7 v2 messages of made-up patients, and a textbook reading of them as nested lists."""

from medanchor.core.ladder import compare
from medanchor.errors import MalformedRecordError
from medanchor.records import hl7

ADT = (
    rb"MSH|^~\&|ADMIT|NORTH|EHR|NORTH|20240503152213||ADT^A01^ADT_A01|MSG00001|P|2.5.1|||AL|NE||8859/1" + b"\r"
    b"EVN|A01|20240503152200\r"
    b"PID|1||100042^^^NORTH^MR~555-44^^^SSA^SS||TESTER^ADA^Q^^DR||19700101|F|||1 MAIN ST&UNIT 2^^TOWN^ST^12345\r"
    b'NK1|1|TESTER^BORIS|SPO|""\r'
    b"PV1|1|I|WARD^101^A||||1234^SAMPLE^JOAN^^^DR|||MED\r"
    b"AL1|1|DA|70618^Penicillin^RXN|SV|rash\r"
    b"DG1|1||I21.4^NSTEMI^I10\r"
)
ORU = (
    rb"MSH|^~\&|LAB|NORTH|EHR|NORTH|20240503160000||ORU^R01^ORU_R01|MSG00002|P|2.5.1" + b"\r"
    b"PID|1||100042^^^NORTH^MR||TESTER^ADA\r"
    b"OBR|1|ORD7|LAB7|24331-1^Lipid panel^LN|||20240503\r"
    b"OBX|1|NM|2093-3^Cholesterol^LN||5.10|mmol/L|<5.0|H|||F\r"
    b"NTE|1||Fasting sample\r"
    b"OBX|2|NM|2571-8^Triglyceride^LN||1.70|mmol/L|<1.7|N|||F\r"
    b"OBX|3|CE|883-9^ABO group^LN||A^Group A^L||||||F\r"
    b"OBX|4|ST|8251-1^Comment^LN||see WBC ^||||||F\r"
)
MDM = (
    rb"MSH|^~\&|DICT|NORTH|EHR|NORTH|20240503170000||MDM^T02^MDM_T02|MSG00003|P|2.5.1" + b"\r"
    b"EVN|T02|20240503170000\r"
    b"PID|1||100042^^^NORTH^MR||TESTER^ADA\r"
    b"TXA|1|DS|TX|20240503|||||||DOC7\r"
    rb"OBX|1|TX|DS^Discharge summary^L||No fever.~Stop \T\ review: 5 mg \E\ day||||||F" + b"\r"
    b"OBX|2|TX|DS^Discharge summary^L||Follow-up in 2 weeks.||||||F\r"
)
SAMPLES = {"ADT": ADT, "ORU": ORU, "MDM": MDM}
PLAIN = {b"ST", b"TX", b"FT"}


def rung(before, after):
    """How like two messages are, as verify tells it; what is refused is covered as bytes, so it is CHANGED."""
    try:
        return compare(hl7.read(before).content, hl7.read(after).content)
    except MalformedRecordError:
        return "refused"


def batch(*messages, end=b"\r"):
    text = (
        rb"FHS|^~\&|A" + b"\r" + rb"BHS|^~\&|A" + b"\r" + b"".join(messages) + b"BTS|%d\r" % len(messages) + b"FTS|1\r"
    )
    return text.replace(b"\r", end)


def framed(*messages):
    return b"".join(b"\x0b" + message + b"\x1c\r" for message in messages)


def textbook(message):
    """A message with the usual separators, as lists of segments, fields, repetitions, components, subcomponents.

    At the end of a list, what is empty is left out; not so repetitions, and fields of plain text stay bytes.
    """
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [_segment(line.split(b"|")) for line in lines if line]


def _segment(fields):
    read = [_field(field) for field in fields]
    plain = {b"MSH": 1, b"NTE": 3}.get(fields[0])
    if fields[0] == b"OBX" and read[2:3] in ([[[[kind]]]] for kind in PLAIN):
        plain = 5
    return _shortened([bytes(fields[n]) if n == plain and fields[n] else field for n, field in enumerate(read)], [[]])


def _field(field):
    return [_repetition(repetition) for repetition in field.split(b"~")]


def _repetition(repetition):
    return _shortened([_shortened(component.split(b"&"), b"") for component in repetition.split(b"^")], [])


def _shortened(items, empty):
    while items and items[-1] == empty:
        items = items[:-1]
    return items
