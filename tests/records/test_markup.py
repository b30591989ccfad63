"""How else an XML document may be written and stays the same, and what may not differ."""

import hashlib
import xml.etree.ElementTree as ET

import pytest
from lxml import etree
from markups import CDA, REWRITTEN, indented, real_documents, rung, unindented, written

from medanchor.core.ladder import Likeness, Rung
from medanchor.records import markup
from medanchor.records.document import Kind

EXACT = Likeness(Rung.EXACT)
SAME = Likeness(Rung.SAME_CONTENT)
WHITE_SPACE = Likeness(Rung.SAME_DATA, ("whitespace",))
CHANGED = Likeness(Rung.CHANGED)

DOCUMENTS = {"small": CDA, **real_documents()}


@pytest.fixture(params=DOCUMENTS.values(), ids=DOCUMENTS)
def document(request):
    return request.param


def digest(text):
    return hashlib.sha256(text.encode()).digest()


def canonical(text):
    return markup.read(text.encode()).content.components[0]


# -- the form ---------------------------------------------------------------------------------------------------------


def test_a_document_has_the_digests_that_the_format_tells():
    data = b"""<?xml version="1.0"?><!-- no -->
<?note a  b?><a:x z='1' xmlns="urn:d" b = "&lt;&#9;'&quot;>" xmlns:a="urn:a" a:c="">
  <y/>5 &gt; 4 <![CDATA[& <]]>
</a:x>  <?end?>"""
    start = '<?note a  b?>\n<a:x xmlns:a="urn:a" b="&lt;&#x9;\'&quot;>" z="1" a:c="">'
    forms = (
        f'{start}\n  <y xmlns="urn:d"></y>5 &gt; 4 &amp; &lt;\n</a:x>\n<?end?>',
        f'{start}<y xmlns="urn:d"></y>5 &gt; 4 &amp; &lt;</a:x>\n<?end?>',
    )
    assert markup.read(data) == ((Kind.XML, hashlib.sha256(data).digest(), tuple(map(digest, forms))), (), None)


def test_the_worked_example_of_the_format_holds():
    data = bytes.fromhex(
        "3c3f786d6c2076657273696f6e3d22312e30223f3e0a3c212d2d206120726573756c74202d2d3e3c763a76616c756520786d6c6e733a76"
        "3d2275726e3a686c372d6f72673a76332220756e69743d276d6d6f6c2f4c272076616c75653d22352e3130220a20763a747970653d2263"
        "3a50512220786d6c6e733a633d2275726e3a78223e0a2020352e313c212d2d203f202d2d3e30202667743b20350a3c2f763a76616c7565"
        "3e0a"
    )
    assert [digest.hex() for digest in markup.read(data).content.components] == [
        "d6b8c5d09d023c98ab504a1aa4b47583713e1eae76d307d315ad87b2d8d4ef92",
        "9b2650a516c1ae3fb17626d4bdcafbe4621cfce6f1ddadb29c5d15bea1dcd073",
    ]


def test_the_forms_are_those_of_two_other_programs(document):
    components = markup.read(document).content.components
    assert components[0] == digest(ET.canonicalize(document))
    assert components[1] == digest(ET.canonicalize(document, strip_text=True))
    for with_stripped, component in zip((False, True), components, strict=True):
        written = etree.tostring(
            etree.fromstring(document).getroottree(), method="c14n2", with_comments=False, strip_text=with_stripped
        )
        assert component == hashlib.sha256(written).digest()


def test_a_long_text_has_the_same_form():
    for text in ("é&amp;> \n" * 400_000, " " * 3_000_000, "&#13;x" + " " * 2_000_000 + "\n<b/>"):
        document = f"<a>&#32;{text}</a>"
        forms = ET.canonicalize(document), ET.canonicalize(document, strip_text=True)
        assert markup.read(document.encode()).content.components == tuple(map(digest, forms))


# -- the same content -------------------------------------------------------------------------------------------------


@pytest.mark.untraced
@pytest.mark.parametrize("rewrite", REWRITTEN.values(), ids=REWRITTEN)
def test_a_document_written_anew_is_the_same(document, rewrite):
    anew = rewrite(document)
    assert anew != document
    assert rung(document, anew) == SAME


@pytest.mark.skipif(len(DOCUMENTS) == 1, reason="the real documents are not here")
def test_all_real_documents_are_written_anew_in_all_ways():
    assert (len(DOCUMENTS) - 1) * len(REWRITTEN) == 6 * 18


def test_a_character_is_the_same_however_it_is_written():
    assert rung("<a b='é'>é</a>".encode(), b"<a b='&#xe9;'>&#233;</a>") == SAME
    assert rung(b"<a>'\">]</a>", b"<a>&apos;&quot;&gt;&#93;</a>") == SAME
    assert rung("<a>é😀</a>".encode(), written("<a>é😀</a>".encode(), "UTF-16")) == SAME
    assert rung("<a>é</a>".encode(), b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>") == SAME


def test_namespaces_may_be_declared_elsewhere_and_in_vain():
    apart = b"<a><x:b xmlns:x='urn:x'/><x:b xmlns:x='urn:x'/></a>"
    assert canonical(apart.decode()) == digest('<a><x:b xmlns:x="urn:x"></x:b><x:b xmlns:x="urn:x"></x:b></a>')
    assert rung(apart, b"<a xmlns:x='urn:x' xmlns:y='urn:y'><x:b/><x:b/></a>") == SAME
    assert rung(b"<a xmlns='u'><b/></a>", b"<a xmlns='u'><b xmlns='u'/></a>") == SAME
    assert rung(b"<a><b/></a>", b"<a xmlns=''><b xmlns=''/></a>") == SAME
    assert rung(b"<x:a xmlns:x='x'/>", b"<x:a xmlns:x='x' xmlns=''/>") == SAME
    assert rung(b"<a xml:lang='de'/>", b"<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de'/>") == SAME


# -- white space ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rewrite", [indented, unindented])
def test_indentation_differs_in_white_space_only(document, rewrite):
    assert rung(document, rewrite(document)) == WHITE_SPACE


def test_white_space_around_a_text_is_told_and_within_it_is_a_change():
    assert rung(CDA, CDA.replace(b"<td>LDL</td>", b"<td>\n LDL </td>")) == WHITE_SPACE
    assert rung(CDA, CDA.replace(b"</content> sure", b"</content>sure")) == WHITE_SPACE
    assert rung(CDA, CDA.replace(b"Statin 20 mg", b"Statin 2 0 mg")) == CHANGED
    assert rung(CDA, CDA.replace(b"Statin 20 mg", b"Statin  20 mg")) == CHANGED
    assert rung(CDA, CDA.replace(b'unit="mmol/L"', b'unit=" mmol/L"')) == CHANGED


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u200b", "\u0085", "\u2028"])
def test_only_the_white_space_of_xml_is_forgiven(space):
    assert rung(b"<a>5</a>", f"<a>5{space}</a>".encode()) == CHANGED


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"<a><b xml:space='preserve'>", CHANGED),
        (b"<a xml:space='preserve'><b>", CHANGED),
        (b"<a xml:space='preserve'><b xml:space='default'>", WHITE_SPACE),
        (b"<a xml:space='default'><b space='preserve'>", WHITE_SPACE),
    ],
)
def test_white_space_that_is_to_be_preserved_counts(start, expected):
    assert rung(start + b"5</b></a>", start + b" 5</b></a>") == expected
    assert rung(start + b"</b></a>", start + b" </b></a>") == expected


def test_preserving_ends_with_its_element():
    start = b"<a><b xml:space='preserve'> </b>"
    assert rung(start + b"5</a>", start + b" 5</a>") == WHITE_SPACE


# -- changed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'value="5.10"', b'value="51.0"'),
        (b'value="5.10"', b'value="5.1"'),
        (b' value="5.10"', b""),
        (b'unit="mmol/L"', b'unit="mg/dL"'),
        (b'nullFlavor="NI"', b'nullFlavor="UNK"'),
        (b' nullFlavor="NI"', b""),
        (b'negationInd="false"', b'negationInd="true"'),
        (b'  <templateId root="2.16.840.1.113883.10.20.22.1.2"/>\n', b""),
        (b'<templateId root="2.16.840.1.113883.10.20.22.1.2"/>', b""),
        (b' extension="2015-08-01"', b""),
        (b"5.10 mmol/L<", b"5.70 mmol/L<"),
        (b"&lt; 2", b"&gt; 2"),
        (b'<content styleCode="Bold">not</content>', b""),
        (b'styleCode="Bold"', b'styleCode="xCancelled"'),
        (b"<td>LDL</td><td>5.10 mmol/L</td>", b"<td>5.10 mmol/L</td><td>LDL</td>"),
        ("Søn".encode(), "So\u0308n".encode()),
        ("Søn".encode(), b"Soe n"),
        (b"Ada</given>", "\u0391da</given>".encode()),
        (b"Statin", "St\u0430tin".encode()),
        (b"Statin", "Sta\u200btin".encode()),
        (b"<given>Ada</given>", b"<given>ada</given>"),
        (b"sdtc:raceCode", b"raceCode"),
        (b'sdtc="urn:hl7-org:sdtc"', b'sdtc="urn:hl7-org:sdtc2"'),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v3"', b"<ClinicalDocument"),
        (b'xmlns="urn:hl7-org:v3"', b'xmlns="urn:hl7-org:v2"'),
        (b'xsi:type="PQ"', b'xsi:type="ST"'),
        (b"<given>Ada</given>", b"<given><!-- -->Ada</given>"),
        (b"5.10 mmol/L<", b"5<!-- -->.10 mmol/L<"),
        (b'<?xml-stylesheet type="text/xsl" href="CDA.xsl"?>\n', b""),
        (b'href="CDA.xsl"', b'href="http://127.0.0.1/CDA.xsl"'),
        (b"<title>Plan", b"<?print no?><title>Plan"),
        (b"Statin 20", b"Statin <?x?>20"),
    ],
)
def test_any_other_change_shows(old, new):
    assert CDA.count(old) >= 1
    assert rung(CDA, CDA.replace(old, new, 1)) == CHANGED


def test_an_instruction_counts_wherever_it_stands():
    places = [b"<?p?><a><b/></a>", b"<a><?p?><b/></a>", b"<a><b><?p?></b></a>", b"<a><b/></a><?p?>", b"<a><b/></a>"]
    assert all(rung(one, other) == CHANGED for one in places for other in places if one != other)
    assert rung(b"<?p x?><?q?><a/>", b"<?q?><?p x?><a/>") == CHANGED
    assert rung(b"<?p x?><a/>", b"<?p   x?>\n\n<a/>\n") == SAME


def test_a_style_sheet_is_remarked_on():
    assert markup.read(CDA).remarks == ("its style sheet is not covered",)
    assert markup.read(b"<?xml-stylesheets?><a/>").remarks == ()


# -- comments ---------------------------------------------------------------------------------------------------------


def test_a_comment_between_elements_does_not_count():
    assert rung(CDA, CDA.replace(b"<!-- header -->", b"")) == SAME
    assert rung(CDA, CDA.replace(b"<!-- header -->", b"<!-- footer --><!-- -->")) == SAME
    assert rung(b"<a/>", b"<!--1--><a><!--2--></a><!--3-->") == SAME
    assert rung(b"<a xml:space='preserve'> </a>", b"<a xml:space='preserve'> <!-- x --></a>") == SAME


def test_a_comment_inside_a_text_counts_but_not_what_it_says():
    split = CDA.replace(b"5.10 mmol/L<", b"5<!-- x -->.10 mmol/L<")
    assert rung(split, split.replace(b"<!-- x -->", b"<!-- another -->")) == SAME
    assert rung(split, split.replace(b"<!-- x -->.10", b".10<!-- x -->")) == CHANGED
    assert rung(b"<a>5<!----></a>", b"<a>5&lt;!----&gt;</a>") == CHANGED
    assert rung(b"<a>5 <!----></a>", b"<a>\n5 <!---->\n</a>") == WHITE_SPACE
    assert canonical("<a> 5<!--x--> </a>") == digest("<a> 5<!----> </a>")


# -- namespaces that only values mention ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        "<v t='p:PQ' xmlns:p='{}'/>",
        "<v xmlns:p='{}'><w t='p:PQ'/></v>",
        "<v xmlns:p='{}'>p:PQ</v>",
        "<v xmlns:p='{}'><w/>x, p:PQ</v>",
        "<v xmlns:p='{}' path='/p:a[@p:b]'/>",
        "<x:v xmlns:x='urn:x' xmlns='{}' t='PQ'/>",
        "<v xmlns:p\u0301='{}' t='p\u0301:PQ'/>",
        "<p:v xmlns:p='urn:p'><w xmlns:p='{}' t='p:PQ'/></p:v>",
        "<v xmlns:p='{}'><w xmlns:p='urn:p'>p:PQ</w>p:PQ</v>",
    ],
)
def test_what_a_prefix_in_a_value_means_counts(document):
    one, other = document.format("urn:one").encode(), document.format("urn:other").encode()
    assert rung(one, other) == CHANGED
    assert rung(one, one.replace(b"'", b'"') + b"\n") == SAME


def test_a_namespace_that_only_a_value_mentions_is_named_at_the_end():
    assert canonical("<v xmlns:q='urn:\"' xmlns:p='urn:1' t='q:1 p:2'/>") == digest(
        '<v t="q:1 p:2"></v>\nxmlns:p="urn:1"\nxmlns:q="urn:&quot;"'
    )
    assert canonical("<p:v xmlns:p='urn:1' t='p:2'/>") == digest('<p:v xmlns:p="urn:1" t="p:2"></p:v>')
    assert canonical("<v xmlns:p='urn:1' t='xp:2 p-:3 p.p:4 urn:p'/>") == digest('<v t="xp:2 p-:3 p.p:4 urn:p"></v>')


def test_the_prefix_itself_counts():
    assert rung(b"<a:x xmlns:a='u' xmlns:b='u'/>", b"<b:x xmlns:a='u' xmlns:b='u'/>") == CHANGED
    assert rung(b"<x xmlns:a='u' a:y=''/>", b"<x xmlns:b='u' b:y=''/>") == CHANGED


def test_attributes_are_in_the_order_of_their_namespaces():
    data = "<x xmlns:a='urn:z' xmlns:z='urn:a' a:k='1' z:k='2' é='3' k='4'/>"
    assert canonical(data) == digest('<x xmlns:a="urn:z" xmlns:z="urn:a" k="4" é="3" z:k="2" a:k="1"></x>')
    data = "<c:x xmlns:b='urn:a' xmlns:c='urn:c' xmlns:a='urn:b' xmlns='urn:d' b:k='1' a:k='2'><y/></c:x>"
    assert canonical(data) == digest(
        '<c:x xmlns:a="urn:b" xmlns:b="urn:a" xmlns:c="urn:c" b:k="1" a:k="2"><y xmlns="urn:d"></y></c:x>'
    )
