"""Where XML documents differ: told by path, and told of everything that is committed to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markups import CDA, REWRITTEN, indented, real_documents, unindented

from medanchor.errors import MalformedRecordError
from medanchor.records import markup, markup_diff
from medanchor.records.markup_diff import differences

BODY = "ClinicalDocument/component/structuredBody/component[1]/section"
BLANK = "white space between elements"


def told(before, after):
    return [tuple(difference) for difference in differences(before, after)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b'value="5.10"', b'value="5.1"', (f"{BODY}/entry/observation/value/@value", "5.10", "5.1")),
        (b' unit="mmol/L"', b"", (f"{BODY}/entry/observation/value/@unit", "mmol/L", None)),
        (b'xsi:type="PQ"', b'xsi:type="ST"', (f"{BODY}/entry/observation/value/@xsi:type", "PQ", "ST")),
        (
            b'nullFlavor="NI"',
            b'nullFlavor="NI" use=""',
            ("ClinicalDocument/recordTarget/patientRole/telecom/@use", None, ""),
        ),
        (b">5.10 mmol/L", b">5.7 mmol/L", (f"{BODY}/text/table/tbody/tr[1]/td[2]/text()", "5.10 mmol/L", "5.7 mmol/L")),
        (b"> sure", b"> certain", (f"{BODY}/text/text()[2]", " sure. ", " certain. ")),
        (
            b'  <templateId root="2.16.840.1.113883.10.20.22.1.2"/>\n',
            b"",
            ("ClinicalDocument/templateId[2]", '<templateId root="2.16.840.1.113883.10.20.22.1.2">', None),
        ),
        (
            b"<given>Ada</given>",
            b"<given>Ada</given><given>Eva</given>",
            ("ClinicalDocument/recordTarget/patientRole/patient/name/given[2]", None, "<given>Eva"),
        ),
        (
            b'sdtc="urn:hl7-org:sdtc"',
            b'sdtc="urn:x"',
            (
                "ClinicalDocument/recordTarget/patientRole/patient/sdtc:raceCode/@xmlns:sdtc",
                "urn:hl7-org:sdtc",
                "urn:x",
            ),
        ),
        (
            b'href="CDA.xsl"',
            b'href="x.xsl"',
            (
                "processing-instruction(xml-stylesheet)",
                'type="text/xsl" href="CDA.xsl"',
                'type="text/xsl" href="x.xsl"',
            ),
        ),
        (b"<title>Plan", b"<?print?><title>Plan", (
            "ClinicalDocument/component/structuredBody/component[2]/section/processing-instruction(print)", None, "",
        )),
        (b">5.10 mmol", b">5<!-- x -->.10 mmol", (
            f"{BODY}/text/table/tbody/tr[1]/td[2]/text()", "5.10 mmol/L", "5<!---->.10 mmol/L",
        )),
        (b"<td>LDL</td>", b"<td> LDL</td>", (f"{BODY}/text/table/tbody/tr[1]/td[1]/text()", "LDL", " LDL")),
    ],
)  # fmt: skip
def test_a_difference_is_told_by_its_path(old, new, expected):
    assert CDA.count(old) == 1
    assert told(CDA, CDA.replace(old, new)) == [expected]


def test_several_differences_are_told_in_the_order_of_the_document():
    after = CDA.replace(b"Ada</given>", b"Eva</given>").replace(b"Statin", b"No statin").replace(b'"5.10"', b'"5.2"')
    assert [place.rpartition("/")[2] for place, *_ in told(CDA, after)] == ["text()", "@value", "text()"]


def test_a_removed_element_does_not_make_those_after_it_differ():
    rows = [b"<tr><td>row %d</td></tr>" % number for number in range(100)]
    before, after = (b"<t>" + b"".join(each) + b"</t>" for each in (rows, rows[:30] + rows[31:]))
    assert told(before, after) == [("t/tr[31]", "<tr>", None)]


def test_another_root_is_told_as_one_removed_and_one_added():
    assert told(b"<a/>", b"<b c='1'>x</b>") == [("a", "<a>", None), ("b", None, '<b c="1">x')]


def test_a_namespace_that_only_a_value_mentions_is_told():
    assert told(b"<v xmlns:p='u' t='p:a'/>", b"<v xmlns:p='w' t='p:a'/>") == [("xmlns:p", "u", "w")]
    assert told(b"<x:v xmlns:x='x' xmlns='u'/>", b"<x:v xmlns:x='x' xmlns='w'/>") == [("xmlns", "u", "w")]


@pytest.mark.parametrize("rewrite", REWRITTEN.values(), ids=REWRITTEN)
def test_what_is_not_committed_to_is_not_told(rewrite):
    assert told(CDA, rewrite(CDA)) == []


@pytest.mark.parametrize("rewrite", [indented, unindented])
@pytest.mark.parametrize("document", list(real_documents().values())[:2] or [CDA])
def test_white_space_between_elements_is_told_once(document, rewrite):
    only = [each for each in told(document, rewrite(document)) if not each[0].endswith("text()")]
    assert [place for place, *_ in only] in ([BLANK], [])


def test_white_space_between_elements_is_counted():
    assert told(b"<a> <b/></a>", b"<a><b/>\n\n</a>") == [(BLANK, "1 characters", "2 characters")]
    assert told(b"<a> <b/></a>", b"<a><b/> </a>") == [(BLANK, "1 characters", "1 characters")]
    assert told(b"<a> <b/></a>", b"<a><b c=''/></a>") == [("a/b/@c", None, "")]


def test_white_space_that_is_to_be_preserved_is_told_where_it_stands():
    start = b"<a xml:space='preserve'><b/>"
    assert told(start + b" </a>", start + b"\n</a>") == [("a/text()", " ", "\n")]


def test_a_long_text_is_shown_where_it_differs():
    text = b"x" * 5_000
    ((_, was, now),) = told(b"<a>" + text + b"1" + text + b"</a>", b"<a>" + text + b"2" + text + b"</a>")
    assert len(was) < 250
    assert (was.strip("…x"), now.strip("…x")) == ("1", "2")
    assert told(b"<a>" + text + b"</a>", b"<a>" + text + b"1</a>")[0][2] == "…" + "x" * 40 + "1"


# -- hostile ----------------------------------------------------------------------------------------------------------


def test_deep_documents_are_compared():
    before, after = (b"<a>" * 999 + text + b"</a>" * 999 for text in (b"1", b"2"))
    assert told(before, after) == [("/".join(["a"] * 999) + "/text()", "1", "2")]


def test_wide_documents_that_differ_everywhere_are_compared_in_time():
    before, after = (b"<a>" + b"".join(b"<b>%d</b>" % (n * k) for n in range(20_000)) + b"</a>" for k in (1, 3))
    assert len(told(before, after)) > 10_000


def test_documents_with_too_many_parts_are_not_compared(monkeypatch):
    monkeypatch.setattr(markup_diff, "MOST_NODES", 5)
    assert told(b"<a><b/><b/><b/><b/></a>", b"<a><b/><b/><b/><b/></a>") == []
    with pytest.raises(MalformedRecordError, match="more than 5 elements, texts and instructions"):
        told(b"<a/>", b"<a><b/><b/><b/><b/><b/></a>")


def test_what_is_not_sound_is_refused_as_the_reader_does():
    for pair in ((CDA, b"<a>"), (b"<a>", CDA), (b"<!DOCTYPE a><a/>", CDA)):
        with pytest.raises(MalformedRecordError):
            told(*pair)


# -- all of it --------------------------------------------------------------------------------------------------------

inner = st.recursive(
    st.sampled_from(["", " ", "x", " x ", "<?p?>", "<?p 1?>", "<!---->", "y", "p:x"]),
    lambda content: st.builds(
        "<{0}{1}>{2}</{0}>".format,
        st.sampled_from(["a", "b", "p:a"]),
        st.sampled_from(["", " c='1'", " c='2' d=''", " xmlns:p='u'", " xml:space='preserve'"]),
        st.lists(content, max_size=4).map("".join),
    ),
    max_leaves=8,
)


@given(inner, inner)
def test_something_is_told_exactly_where_the_digests_differ(one, other):
    documents = [f"<r xmlns:p='v'>{each}</r>".encode() for each in (one, other)]
    components = [markup.read(each).content.components[0] for each in documents]
    assert bool(told(*documents)) == (components[0] != components[1])
