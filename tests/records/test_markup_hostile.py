"""XML that is not well formed, or written to do harm: refused with line and column, quoting nothing of it."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markups import CDA

from medanchor.errors import MalformedRecordError
from medanchor.records import markup, markup_parse
from medanchor.records.document import Kind

LAUGHS = "<!DOCTYPE a [<!ENTITY l0 'lol'>" + "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 20))
DOCTYPE = "it is not read as XML: it has a document type declaration, line 1, column "
TYPED = {
    "billion laughs": LAUGHS + "]><a>&l19;</a>",
    "quadratic blowup": "<!DOCTYPE a [<!ENTITY b '" + "b" * 100_000 + "'>]><a>" + "&b;" * 10_000 + "</a>",
    "a file outside": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "an address outside": "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>",
    "a parameter entity": "<!DOCTYPE a [<!ENTITY % b SYSTEM 'http://127.0.0.1:9/'> %b;]><a/>",
    "a default attribute": "<!DOCTYPE a [<!ATTLIST a b CDATA '1'>]><a/>",
    "a web page": "<!DOCTYPE html><html><body>secret</body></html>",
    "a public type": '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/a.dtd"><html/>',
}


@pytest.mark.parametrize("document", TYPED.values(), ids=TYPED)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_with_all_that_it_declares(document, encoding):
    with pytest.raises(MalformedRecordError) as refused:
        markup.read(document.encode(encoding))
    assert refused.value.message.startswith(DOCTYPE)


WELL = "it is not well-formed XML: "
INVALID = WELL + "not well-formed (invalid token), line 1, column "
REFUSED = {
    "nothing": (b"", WELL + "no element found, line 1, column "),
    "no element": (b"<?xml version='1.0'?>\n<!-- -->", WELL + "no element found, line 2, column "),
    "text": (b"secret", WELL + "syntax error, line 1, column 1"),
    "a web page": (b"<html>\n<br></html>", WELL + "mismatched tag, line 2, column 7"),
    "an element left open": (b"<a>\n<b>", WELL + "no element found, line 2, column "),
    "two documents": (b"<a/>\n<b/>", WELL + "junk after document element, line 2, column 1"),
    "an entity of HTML": (b"<a>&nbsp;</a>", WELL + "undefined entity, line 1, column 4"),
    "an attribute twice": (b"<a b='1' b='1'/>", WELL + "duplicate attribute, line 1, column "),
    "an attribute twice by namespace": (
        b"<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>",
        WELL + "duplicate attribute, line 1, column ",
    ),
    "a prefix that is not declared": (b"<p:a/>", WELL + "unbound prefix, line 1, column "),
    "a namespace with a line end": (b"<p:a xmlns:p='u&#10;v'/>", WELL),
    "an ampersand": (b"<a b='1&2'/>", INVALID),
    "a control character": (b"<a>\x01</a>", INVALID + "4"),
    "a control character told": (b"<a>&#1;</a>", WELL + "reference to invalid character number, line 1, column "),
    "a NUL": (b"<a>\0</a>", INVALID + "4"),
    "half a surrogate pair": (b"<a>&#xD83D;</a>", WELL + "reference to invalid character number, line 1, column "),
    "half a surrogate pair in UTF-8": (b"<a>\xed\xa0\xbd</a>", INVALID + "4"),
    "a character written too long": (b"<a>\xc0\xbc</a>", INVALID + "4"),
    "ISO-8859-1 that is not told": (b"<a>\xe9</a>", INVALID + "4"),
    "half a UTF-16 character": ("<a/>".encode("utf-16") + b" ", WELL),
    "UTF-16 that is told to be UTF-8": ("<?xml version='1.0' encoding='UTF-8'?><a/>".encode("utf-16"), WELL),
    "UTF-8 that is told to be UTF-16": (b"<?xml version='1.0' encoding='UTF-16'?><a/>", WELL),
    "a declaration that is late": (b"\n<?xml version='1.0'?><a/>", WELL),
    "XML 1.1": (b"<?xml version='1.1'?><a/>", "it is not read as XML: its version is not 1.0, line 1, column 1"),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_well_formed_is_refused_with_line_and_column(data, why):
    with pytest.raises(MalformedRecordError, match=r", line \d+, column \d+$") as refused:
        markup.read(data)
    assert refused.value.message.startswith(why)


@pytest.mark.parametrize(
    "encoding",
    [
        "windows-1252",
        "utf-7",
        "utf-32",
        "hex",
        "rot13",
        "idna",
        "gb18030",
        "shift_jis",
        "no-such-thing",
        "ebcdic-cp-us",
    ],
)
def test_an_encoding_that_the_parser_does_not_know_itself_is_refused(encoding):
    with pytest.raises(MalformedRecordError, match=r"its encoding is none of UTF-8, UTF-16, ISO-8859-1 and US-ASCII"):
        markup.read(f"<?xml version='1.0' encoding='{encoding}'?><a>+AGEAYg-</a>".encode())


def test_a_byte_order_mark_that_the_declaration_contradicts_is_refused():
    declared = "<?xml version='1.0' encoding='{}'?><a>é</a>"
    assert markup.read(b"\xef\xbb\xbf" + declared.format("Utf-8").encode())
    for encoding in ("iso-8859-1", "us-ascii"):
        with pytest.raises(MalformedRecordError, match=r"byte order mark contradicts"):
            markup.read(b"\xef\xbb\xbf" + declared.format(encoding).encode())


# -- more than is read ------------------------------------------------------------------------------------------------


def test_elements_may_lie_in_each_other_so_deep_and_no_deeper():
    assert markup.read(b"<a>" * 1_000 + b"</a>" * 1_000)
    with pytest.raises(MalformedRecordError, match=r"more than 1,000 elements inside each other, line 1, column 3001"):
        markup.read(b"<a>" * 1_001 + b"</a>" * 1_001)
    with pytest.raises(MalformedRecordError, match=r"more than 1,000 elements"):
        markup.read(b"<a>" * 3_000_000)


def test_no_more_names_are_read_than_memory_is_made_for(monkeypatch):
    monkeypatch.setattr(markup_parse, "MOST_NAMES", 1_000)
    names = b"".join(b"<n%d/>" % number for number in range(1_000))
    assert markup.read(b"<n0>" + names + b"</n0>")
    with pytest.raises(MalformedRecordError, match=r"more than 1,000 different names"):
        markup.read(b"<a>" + names + b"</a>")
    with pytest.raises(MalformedRecordError, match=r"more than 1,000 different names"):
        markup.read(b"<a " + b" ".join(b"n%d=''" % number for number in range(1_000)) + b"/>")


@pytest.mark.parametrize(
    "data",
    [
        b"<a b='" + b"x" * 2_000_000,
        b"<a b='" + b"x" * 2_000_000 + b"'/>",
        b"<a " + b" ".join(b"n%d=''" % number for number in range(200_000)) + b"/>",
        b"<a><!--" + b"x" * 2_000_000 + b"--></a>",
        b"<?a " + b"x" * 2_000_000 + b"?><a/>",
        b"<" + b"a" * 2_000_000 + b"/>",
        b"<a>" + b"</a" + b" " * 2_000_000 + b">",
    ],
)
def test_a_tag_or_comment_or_instruction_that_is_too_long_is_refused(data):
    with pytest.raises(MalformedRecordError, match=r"a tag, comment or instruction is too long, line 1"):
        markup.read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"<a>" + b"x" * 10_000_000 + b"</a>",
        b"<a><![CDATA[" + b"]" * 3_000_000 + b"]]></a>",
        b"<a>" + b"&amp;" * 500_000 + b"</a>",
        b"<a>" + b"<!---->" * 300_000 + b"x</a>",
        b"<a>" + b"<b/>" * 100_000 + b"</a>",
        b"<a" + b"".join(b" xmlns:n%d='u%d'" % (n, n) for n in range(20_000)) + b">" + b"<n7:b/>" * 20_000 + b"</a>",
        b"<a xmlns:p='u'>" + b"p:" * 1_000_000 + b"</a>",
        b"<a xmlns:p='u'>" + b"p" * 5_000_000 + b"</a>",
        b"".join(b"<a xmlns:p='u%d' xmlns:q='v%d'>" % (n, n) for n in range(999)) + b"<p:b/>" * 9_999 + b"</a>" * 999,
    ],
)
def test_long_input_is_read_in_one_go(data):
    assert markup.read(data)


# -- anything at all --------------------------------------------------------------------------------------------------

PIECES = [
    *(b"<a>", b"</a>", b"<a", b"/>", b">", b" b='1'", b" xmlns='u'", b" xmlns:p='u'", b"<p:a>", b"</p:a>", b"<!--"),
    *(b"-->", b"<?p", b"?>", b"<![CDATA[", b"]]>", b"&lt;", b"&#", b";", b"x", b"p:x", b"\n", b"\xff\xfe"),
    b"<?xml version='1.0'?>",
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=30).map(b"".join))
def test_whatever_the_bytes_they_are_read_or_refused(data):
    with suppress(MalformedRecordError):
        assert markup.read(data)


def test_whatever_is_damaged_it_is_read_or_refused():
    choice = random.Random(7)  # noqa: S311 - a test's choice
    for whole in (CDA, CDA.decode().replace("UTF-8", "UTF-16").encode("utf-16")):
        for _ in range(2_000):
            start, length = choice.randrange(len(whole)), choice.randrange(1, 40)
            damaged = whole[:start] + choice.randbytes(choice.randrange(3)) + whole[start + length :]
            with suppress(MalformedRecordError):
                assert markup.read(damaged)


def test_more_tags_than_can_be_read_in_half_a_minute_are_refused(monkeypatch):
    monkeypatch.setattr(markup_parse, "MOST_TAGS", 1000)
    assert markup.read(b"<a>" + b"<b/>" * 998 + b"</a>").content.kind is Kind.XML
    with pytest.raises(MalformedRecordError, match=r"^it has more than 1,000 tags$"):
        markup.read(b"<a>" + b"<b/>" * 999 + b"</a>")


def test_four_million_tags_are_refused_at_once():
    with pytest.raises(MalformedRecordError, match=r"^it has more than 4,000,000 tags$"):
        markup.read(b"<a>" + b"<b/>" * 4_000_000 + b"</a>")
