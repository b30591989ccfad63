"""What changes benignly and what must be seen: every variant of every kind, with the vault and with a proof alone."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from clinical import HL7, OBSERVATION, PDF, XML, Clinic, device, dicom, only, rewritten, silent

from medanchor.core.ladder import ACCEPTABLE

ORIGINALS = {
    "o.json": OBSERVATION,
    "i.dcm": dicom(),
    "m.hl7": HL7,
    "d.xml": XML,
    "p.pdf": PDF,
    "other.json": device(1),
}


class Variant(NamedTuple):
    """A record as it comes back: of which one, as what, and how like it is, with the parts that differ."""

    name: str
    content: bytes
    verdict: str
    parts: tuple[str, ...] = ()


def swap(name: str, before: str, after: str, verdict: str, *parts: str) -> Variant:
    original = ORIGINALS[name]
    assert isinstance(original, str)
    assert original.count(before) == 1, before
    return Variant(name, original.replace(before, after).encode(), verdict, parts)


def fhir(before: str, after: str, verdict: str, *parts: str) -> Variant:
    return swap("o.json", before, after, verdict, *parts)


VARIANTS = {
    "FHIR, as it was": Variant("o.json", OBSERVATION.encode(), "unchanged"),
    "FHIR, written anew": Variant("o.json", rewritten(OBSERVATION), "same-content"),
    "FHIR, escapes": Variant("o.json", rewritten(OBSERVATION, indent=None), "same-content"),
    "FHIR, version": fhir('"versionId":"1"', '"versionId":"2"', "same-content"),
    "FHIR, last update": fhir("2026-01-01", "2026-02-02", "same-content"),
    "FHIR, source": fhir('"source":"#a",', "", "same-content"),
    "FHIR, exponent": fhir("5.10", "51.0e-1", "same-content"),
    "FHIR, precision lost": fhir("5.10", "5.1", "same-values", "precision"),
    "FHIR, precision feigned": fhir("5.10", "5.1000", "same-values", "precision"),
    "FHIR, narrative": fhir("Glucose of", "No glucose of", "same-data", "narrative"),
    "FHIR, label dropped": fhir('"security":[{"code":"R"}],', "", "same-data", "meta"),
    "FHIR, label changed": fhir('"code":"R"', '"code":"N"', "same-data", "meta"),
    "FHIR, tag": fhir('"tag":[{"code":"t"}]', '"profile":["x"]', "same-data", "meta"),
    "FHIR, id": fhir('"id":"o1"', '"id":"o2"', "same-data", "id"),
    "FHIR, two parts": Variant(
        "o.json",
        OBSERVATION.replace("5.10", "5.1").replace("Glucose of", "None of").encode(),
        "same-data",
        ("precision", "narrative"),
    ),
    "FHIR, status": fhir('"status":"final"', '"status":"amended"', "changed"),
    "FHIR, status twice": fhir('"status":"final"', '"status":"final","status":"amended"', "changed"),
    "FHIR, value": fhir("5.10", "5.11", "changed"),
    "FHIR, a number as text": fhir("5.10", '"5.10"', "changed"),
    "FHIR, element": fhir('"_status":{"id":"s"},', "", "changed"),
    "FHIR, contained": fhir('"active":true', '"active":false', "changed"),
    "FHIR, extension": fhir("http://a.example", "http://b.example", "changed"),
    "FHIR, order of a list": fhir('{"text":"lab"},{"text":"blood"}', '{"text":"blood"},{"text":"lab"}', "changed"),
    "FHIR, reference": fhir('"reference":"#p"', '"reference":"Patient/p"', "changed"),
    "FHIR, status and narrative": Variant(
        "o.json", OBSERVATION.replace("final", "amended").replace("Glucose of", "None of").encode(), "changed"
    ),
    "FHIR, no number": fhir("5.10", "NaN", "changed"),
    "FHIR, cut short": Variant("o.json", OBSERVATION.encode()[:-2], "changed"),
    "FHIR, another stamped record": Variant("o.json", device(1).encode(), "changed"),
    "DICOM, another syntax": Variant("i.dcm", dicom(implicit=True), "same-content"),
    "DICOM, a preamble": Variant("i.dcm", b"x" * 128 + dicom()[128:], "same-content"),
    "DICOM, pixels": Variant("i.dcm", dicom(pixels=bytes(16)), "same-data", ("pixels",)),
    "DICOM, data set": Variant("i.dcm", dicom(patient="Canaryson^Bob"), "changed", ("dataset",)),
    "DICOM, both": Variant("i.dcm", dicom(patient="Canaryson^Bob", pixels=bytes(16)), "changed"),
    "HL7, line feeds": Variant("m.hl7", HL7.replace("\r", "\n").encode(), "same-content"),
    "HL7, framed": Variant("m.hl7", b"\x0b" + HL7.encode() + b"\x1c\r", "same-content"),
    "HL7, time": swap("m.hl7", "20260503160000", "20260504000000", "same-data", "header"),
    "HL7, control id": swap("m.hl7", "MSG00002", "MSG9", "same-data", "header"),
    "HL7, sender": swap("m.hl7", "LAB|", "LAB2|", "changed"),
    "HL7, value": swap("m.hl7", "5.10", "5.1", "changed"),
    "XML, quotes": swap("d.xml", 'classCode="DOCCLIN"', "classCode='DOCCLIN' ", "same-content"),
    "XML, attributes": swap("d.xml", 'classCode="DOCCLIN" moodCode', "classCode='DOCCLIN'\n moodCode", "same-content"),
    "XML, encoding": Variant("d.xml", XML.replace("UTF-8", "UTF-16").encode("utf-16"), "same-content"),
    "XML, indented": swap("d.xml", "<title>", "\n  <title>", "same-data", "whitespace"),
    "XML, text": swap("d.xml", "No fever.", "Fever.", "changed"),
    "XML, a document type": swap("d.xml", "\n<Clin", '\n<!DOCTYPE x [<!ENTITY a "b">]>\n<Clin', "changed"),
    "XML, a style sheet": swap("d.xml", "\n<Clin", '\n<?xml-stylesheet href="x.xsl"?>\n<Clin', "changed"),
    "PDF, appended to": Variant("p.pdf", PDF + b"1 0 obj\n", "changed"),
}  # fmt: skip
RUNGS = {"same-content": "SAME CONTENT", "same-values": "SAME VALUES", "same-data": "SAME DATA", "changed": "CHANGED"}
GOOD = ("unchanged", "same-content")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    made = Clinic(tmp_path_factory.mktemp("ladder"))
    for name, content in ORIGINALS.items():
        made.put(name, content)
    made.stamp()
    return made


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def variant(request: pytest.FixtureRequest, clinic: Clinic) -> Iterator[Variant]:
    """One variant, in the place of its original."""
    clinic.put(request.param.name, request.param.content)
    yield request.param
    clinic.put(request.param.name, ORIGINALS[request.param.name])


def test_with_the_vault(clinic, variant):
    path = clinic.path(variant.name)
    record = only(clinic.verify(path, "--json"))
    assert (record["verdict"], record.get("differing", [])) == (variant.verdict, list(variant.parts))
    assert record["exit"] == (0 if variant.verdict in GOOD else 4)
    done = clinic.verify(path)
    assert done.code == record["exit"]
    silent(done)
    if variant.verdict != "unchanged":
        (line,) = [line for line in done.out.splitlines() if str(path) in line]
        assert line.startswith(RUNGS[variant.verdict])
        assert all(f"its {part}" in line for part in variant.parts)


def test_with_its_proof_alone(clinic, variant):
    done = clinic.prove(clinic.path(variant.name), f"{variant.name}.medproof")
    silent(done)
    assert done.code == (0 if variant.verdict in GOOD else 4)
    if variant.verdict == "unchanged":
        assert "the record existed, unchanged," in done.out
    elif done.code == 0:
        assert done.out.startswith("SAME CONTENT: ")
        assert "a record of the same content existed" in done.out
    else:
        assert done.out.startswith("NOT VERIFIED: step 1, RECORD: ")
        assert all(part in done.out for part in variant.parts)
        assert "verified " not in done.out


def test_a_reviewer_may_accept_the_parts_that_differ_and_nothing_else(clinic, variant):
    path, proof = clinic.path(variant.name), f"{variant.name}.medproof"
    if variant.verdict in GOOD:
        return
    others = {typed for typed, part in ACCEPTABLE.items() if part not in variant.parts[:1]}
    every = ",".join(ACCEPTABLE)
    for accepted, code in ((",".join(sorted(others)), 4), (every, 0 if variant.parts else 4)):
        assert clinic.verify(path, "--accept", accepted).code == code
        assert clinic.prove(path, proof, "--accept", accepted).code == code
    if not variant.parts:
        return
    for done in (clinic.verify(path, "--accept", every), clinic.prove(path, proof, "--accept", every)):
        assert "accepted" in done.out
        assert all(f"its {part}" in done.out for part in variant.parts)
        assert "unchanged" not in done.out
    value = clinic.prove(path, proof, "--accept", every, "--json").json
    assert (value["likeness"], value["differing"]) == (RUNGS[variant.verdict], list(variant.parts))
    record = only(clinic.verify(path, "--accept", every, "--json"))
    assert (record["exit"], record["differing"]) == (0, list(variant.parts))


def test_lost_precision_is_accepted_as_same_values(clinic):
    path = clinic.put("o.json", OBSERVATION.replace("5.10", "5.1"))
    assert clinic.verify(path, "--accept", "same-values").code == 0
    assert clinic.verify(path, "--accept", " same-values , narrative").code == 0
    clinic.put("o.json", OBSERVATION)


@pytest.mark.parametrize("part", ["status", "data", "", "changed", "same-data", "narrative,all", "*"])
def test_no_other_part_can_be_accepted(clinic, part):
    done = clinic.verify(clinic.path("o.json"), "--accept", part)
    assert done.code == 2
    assert "same-values, narrative" in done.err


def test_the_same_file_is_exact_however_it_is_read_now(clinic):
    for form in ("bytes", "xml", "fhir", "dicom", "zip"):
        for name in ORIGINALS:
            assert clinic.verify(clinic.path(name), "--as", form).code == 0
            assert clinic.prove(clinic.path(name), f"{name}.medproof", "--as", form).code == 0


def test_read_as_bytes_a_record_that_was_written_anew_is_changed(clinic):
    path = clinic.put("o.json", rewritten(OBSERVATION))
    assert only(clinic.verify(path, "--as", "bytes", "--json"))["verdict"] == "changed"
    assert clinic.prove(path, "o.json.medproof", "--as", "bytes").code == 4
    clinic.put("o.json", OBSERVATION)
    assert clinic.verify(path, "--as", "json").code == 2
    assert clinic.prove(path, "o.json.medproof", "--as", "FHIR").code == 2


def test_under_another_name_a_record_is_found_by_what_it_says(clinic, tmp_path):
    for name, content, verdict in (
        ("copy.json", rewritten(OBSERVATION), "same-content"),
        ("copy.dcm", dicom(implicit=True), "same-content"),
        ("copy.hl7", HL7.replace("MSG00002", "X").encode(), "same-data"),
        ("copy.xml", XML.replace("<title>", "\n<title>").encode(), "same-data"),
        ("less.json", OBSERVATION.replace("5.10", "5.1").encode(), "same-values"),
        ("new.json", OBSERVATION.replace("final", "amended").encode(), "unknown"),
    ):
        (tmp_path / name).write_bytes(content)
        assert only(clinic.verify(tmp_path / name, "--json"))["verdict"] == verdict
    assert str(clinic.path("m.hl7")) in clinic.verify(tmp_path / "copy.hl7").out
