"""docs/format.md, sections 12 and 13: every worked example of a kind is what the readers compute, byte for byte."""

import re
from pathlib import Path

import pytest

from medanchor.core.commitment import COMPONENTS, Kind
from medanchor.core.hashes import sha256
from medanchor.core.ladder import ACCEPTABLE
from medanchor.records.detect import MAX_DICOM, MAX_DOCUMENT, read

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


def kind_section(title: str) -> str:
    return PAGE.split(f"\n### {title}")[1].split("\n### ")[0].split("\n## ")[0]


def hex_blocks(text: str) -> list[bytes]:
    """Return each block of indented lines that are hex alone."""
    blocks = re.findall(r"(?:^    [0-9a-f]{2}[0-9a-f ]*\n)+", text, re.MULTILINE)
    return [bytes.fromhex("".join(block.split())) for block in blocks]


def digests(text: str) -> dict[str, str]:
    """Return the digests that are given by name, on the same line or on the next."""
    return dict(re.findall(r"^ {4}(\w+) +(?:\S[^\n]*\n +)?([0-9a-f]{64})", text, re.MULTILINE))


def told(content) -> dict[str, str]:
    names = ("raw", *COMPONENTS[content.kind])
    return {name: digest.hex() for name, digest in zip(names, (content.raw, *content.components), strict=True)}


def test_the_resource_of_the_page_has_the_digests_of_the_page():
    text = kind_section("FHIR JSON")
    [line] = re.findall(r"^    (\{.*\"meta\":.*\})$", text, re.MULTILINE)
    data = line.encode("ascii")
    assert f"{len(data)} bytes, no line end" in text
    assert told(read(data).content) == digests(text)
    for name, form in re.findall(r"^ {4}(\w+) +([{\"]\S.*)$", text, re.MULTILINE):
        assert sha256(form.encode("ascii")).hex() == digests(text)[name]


def test_the_message_of_the_page_has_the_digests_of_the_page():
    text = kind_section("HL7 v2")
    framed, form = hex_blocks(text)
    assert f"{len(framed)} bytes" in text
    assert f"The form, {len(form)} bytes" in text
    found = read(framed).content
    raw, inside = re.findall(r"raw +([0-9a-f]{64})", text)
    assert (found.kind, found.raw.hex()) == (Kind.HL7, raw)
    assert sha256(framed[1:-2]).hex() == inside
    assert found.components[0] == sha256(form)
    assert [digests(text)[name] for name in ("message", "body")] == [part.hex() for part in found.components]
    twice = read(framed + framed)
    assert twice.content.kind == Kind.BYTES
    assert twice.contained is not None
    assert bytes(twice.contained.raws).hex() == 2 * inside


def test_the_xml_of_the_page_has_the_digests_of_the_page():
    text = kind_section("XML")
    document, canonical = hex_blocks(text)
    assert f"{len(document)} bytes" in text
    found = read(document).content
    assert told(found) == digests(text)
    assert found.components[0] == sha256(canonical)


def test_the_data_sets_of_the_page_have_the_digests_of_the_page():
    text = kind_section("DICOM")
    explicit, big_endian, form, *_ = hex_blocks(text.split("#### Example")[1])
    dataset, pixels = re.findall(r"= ([0-9a-f]{64})$", text, re.MULTILINE)[:2]
    assert (f"({len(explicit)} bytes)" in text, f"({len(big_endian)} bytes)" in text) == (True, True)
    for syntax, data in (("1.2.840.10008.1.2.1", explicit), ("1.2.840.10008.1.2.2", big_endian)):
        found = read(with_head(syntax, data)).content
        assert [part.hex() for part in found.components] == [dataset, pixels]
    cut = form.index(bytes.fromhex("e07f1000"))
    assert (sha256(form[:cut]).hex(), sha256(form[cut:]).hex()) == (dataset, pixels)


def test_the_frames_of_the_page_have_the_digest_of_the_page():
    text = kind_section("DICOM").split("Two frames of RLE")[1]
    [form] = hex_blocks(text)
    [pixels] = re.findall(r"pixels += ([0-9a-f]{64})", text)
    assert sha256(form).hex() == pixels
    offsets = "feff00e0 08000000 00000000 0c000000"
    fragments = "feff00e0 04000000 61626364 feff00e0 02000000 6566 feff00e0 02000000 6768 feffdde0 00000000"
    frames = "28000800 4953 0200 3220"
    data = bytes.fromhex(frames + "e07f1000 4f42 0000 ffffffff" + offsets + fragments)
    assert read(with_head("1.2.840.10008.1.2.5", data)).content.components[1].hex() == pixels


def with_head(syntax: str, data: bytes) -> bytes:
    """Return a DICOM file: an empty preamble, a head that names the transfer syntax, the data set."""
    name = syntax.encode("ascii")
    name += b"\0" * (len(name) % 2)
    meta = b"\x02\x00\x10\x00UI" + len(name).to_bytes(2, "little") + name
    return bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + len(meta).to_bytes(4, "little") + meta + data


def test_the_archive_of_the_page_has_the_records_of_the_page():
    text = kind_section("Archives")
    [archive] = hex_blocks(text)
    assert f"({len(archive)} bytes" in text
    found = read(archive)
    assert found.contained is not None
    rows = re.findall(r"^\| (\S+|\(the archive\)) \| 0x(\d\d) \| ([0-9a-f]{64}) \|$", text, re.MULTILINE)
    inside = found.contained
    names = ["(the archive)", *(f"`{name.decode()}`" for name in inside.names)]
    kinds = [found.content.kind, *inside.kinds]
    raws = [found.content.raw.hex(), *(inside.raws[at : at + 32].hex() for at in range(0, len(inside.raws), 32))]
    assert rows == [(name, f"{kind:02}", raw) for name, kind, raw in zip(names, kinds, raws, strict=True)]


@pytest.mark.parametrize("part", ACCEPTABLE.values())
def test_every_part_that_may_be_accepted_is_on_the_page(part):
    section = PAGE.split("\n## 12. ")[1].split("\n## ")[0]
    assert f"*{part}*" in section or f"`{part}`" in section


def test_the_lengths_that_are_read_are_on_the_page():
    assert f"longer than {MAX_DOCUMENT >> 20} MiB (DICOM {MAX_DICOM >> 20} MiB" in PAGE
