"""A small C-CDA of a made-up patient, other people's ways of writing XML, and where the real documents are."""

import random
import re
from pathlib import Path

from lxml import etree

from medanchor.core.ladder import compare
from medanchor.errors import MalformedRecordError
from medanchor.records import markup

CCDA = Path(__file__).parents[2].parent / "shared" / "data" / "ccda"

CDA = """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="CDA.xsl"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <!-- header -->
  <templateId root="2.16.840.1.113883.10.20.22.1.1" extension="2015-08-01"/>
  <templateId root="2.16.840.1.113883.10.20.22.1.2"/>
  <title>Summary of Ada Tester</title>
  <recordTarget><patientRole>
    <telecom nullFlavor="NI"/>
    <patient><sdtc:raceCode code="2106-3"/><name><given>Ada</given> <family>Tester &amp; Søn</family></name></patient>
  </patientRole></recordTarget>
  <component><structuredBody>
    <component><section>
      <text>Fasting: <content styleCode="Bold">not</content> sure. <table><tbody>
        <tr><td>LDL</td><td>5.10 mmol/L</td></tr>
        <tr><td>HDL</td><td>1.20 mmol/L &lt; 2</td></tr>
      </tbody></table></text>
      <entry><observation classCode="OBS" moodCode="EVN" negationInd="false">
        <value xsi:type="PQ" value="5.10" unit="mmol/L"/>
      </observation></entry>
    </section></component>
    <component><section><title>Plan</title><text>Statin 20 mg</text></section></component>
  </structuredBody></component>
</ClinicalDocument>
""".encode()

SMALL = """<?xml-stylesheet href="CDA.xsl"?>
<observation xmlns="urn:hl7-org:v3" xmlns:s="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <!-- result --><templateId root="2.16.840.1" extension="2015-08-01"/><templateId root="2.16.840.2"/>
  <text>Søn: <content styleCode="Bold">not</content> sure</text><s:code nullFlavor="NI"/>
  <value xsi:type="PQ" value="5.10" unit="mmol/L"/>
</observation>
""".encode()
"""As many kinds of things in fewer bytes, for thousands of changes."""


def rung(before, after):
    """How like two documents are, as verify tells it; what is refused is covered as bytes, so it is CHANGED."""
    try:
        return compare(markup.read(before).content, markup.read(after).content)
    except MalformedRecordError:
        return "refused"


def real_documents():
    return {path.name[:6]: path.read_bytes() for path in sorted(CCDA.glob("*.xml"))} if CCDA.is_dir() else {}


def parsed(data):
    return etree.fromstring(data, etree.XMLParser(strip_cdata=False, resolve_entities=False)).getroottree()


def shuffled(data):
    """The document with the attributes of each element in another order."""
    tree, choice = parsed(data), random.Random(3)  # noqa: S311 - a test's choice
    for element in tree.iter(etree.Element):
        attributes = list(element.attrib.items())
        choice.shuffle(attributes)
        element.attrib.clear()
        element.attrib.update(attributes)
    return etree.tostring(tree, encoding="UTF-8", xml_declaration=True)


def in_cdata(data):
    """The document with each text that allows it in a CDATA section."""
    tree = parsed(data)
    for element in tree.iter(etree.Element):
        if element.text and element.text.strip():
            element.text = etree.CDATA(element.text)
    return etree.tostring(tree, encoding="UTF-8")


def opened(data):
    """The document with an end tag for each empty element."""
    tree = parsed(data)
    for element in tree.iter(etree.Element):
        element.text = element.text or ""
    return etree.tostring(tree, encoding="UTF-8")


def requoted(data):
    """The document with other quotes around attributes, but not in instructions, where they count."""
    head, start, rest = data.partition(b"<ClinicalDocument")
    return head + start + re.sub(rb'="([^"\']*)"', rb"='\1'", rest)


def indented(data):
    tree = parsed(data)
    etree.indent(tree, space="\t")
    return etree.tostring(tree, encoding="UTF-8")


def unindented(data):
    tree = etree.fromstring(data, etree.XMLParser(remove_blank_text=True)).getroottree()
    return etree.tostring(tree, encoding="UTF-8")


def written(data, encoding):
    return etree.tostring(parsed(data), encoding=encoding, xml_declaration=True)


REWRITTEN = {
    "c14n": lambda data: etree.tostring(parsed(data), method="c14n"),
    "exclusive c14n": lambda data: etree.tostring(parsed(data), method="c14n", exclusive=True),
    "c14n without comments": lambda data: etree.tostring(parsed(data), method="c14n", with_comments=False),
    "c14n 2.0": lambda data: etree.tostring(parsed(data), method="c14n2"),
    "no declaration": lambda data: etree.tostring(parsed(data), encoding="UTF-8", xml_declaration=False),
    "US-ASCII": lambda data: written(data, "US-ASCII"),
    "ISO-8859-1": lambda data: written(data, "ISO-8859-1"),
    "UTF-16": lambda data: written(data, "UTF-16"),
    "UTF-16 big endian": lambda data: b"\xfe\xff" + _turned(written(data, "UTF-16")[2:]),
    "a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "CR": lambda data: data.replace(b"\n", b"\r"),
    "attributes in another order": shuffled,
    "other quotes": requoted,
    "empty elements opened": opened,
    "empty elements closed": lambda data: etree.tostring(parsed(opened(data)), encoding="UTF-8"),
    "CDATA": in_cdata,
    "CDATA escaped": lambda data: etree.tostring(etree.fromstring(in_cdata(data)).getroottree(), encoding="UTF-8"),
}


def _turned(data):
    return bytes(byte for at in range(0, len(data), 2) for byte in (data[at + 1], data[at]))
