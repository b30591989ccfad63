"""Stamping clinical records: what is not sound is covered by its bytes, and that is said; containers; stdin."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from clinical import HL7, NAME, OBSERVATION, XML, Clinic, bundle, device, dicom, only, rewritten, silent

DATA = Path(__file__).parents[2].parent / "shared" / "data"
BUNDLE = bundle(OBSERVATION, device(0), device(1))
BROKEN = {
    "duplicate.json": (OBSERVATION.replace('"status"', '"status":"final","status"', 1), "twice"),
    "nan.json": (OBSERVATION.replace("5.10", "NaN"), "byte"),
    "cut.json": (OBSERVATION[:-3], "byte"),
    "doctype.xml": (XML.replace("\n<Clin", '\n<!DOCTYPE x [<!ENTITY a "b">]>\n<Clin'), "line"),
    "unclosed.xml": (XML[:-3], "line"),
    "cut.dcm": (dicom()[:-5], "byte"),
    "cut.zip": (b"PK\x03\x04 cut short", ""),
    "cut.ndjson.gz": (b"\x1f\x8b\x08\x00" + bytes(16), ""),
}


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_sound_is_covered_by_its_bytes_and_told_why(clinic, name):
    content, where = BROKEN[name]
    path = clinic.put(name, content)
    done = clinic.run("stamp", path)
    (line,) = [line for line in done.out.splitlines() if line.startswith("only its bytes are covered: ")]
    assert line.startswith(f"only its bytes are covered: {path}: ")
    reason = line.removeprefix(f"only its bytes are covered: {path}: ")
    assert where in reason
    assert NAME not in reason
    assert (done.code, "1 record stamped" in done.out) == (0, True)
    silent(done)
    value = clinic.run("stamp", path, "--again", "--json").json
    assert (value["records"], value["inside"], value["bytes_only"], value["remarks"]) == (1, 0, 1, 0)
    assert value["problems"] == [{"reason": reason, "severity": "bytes-only"}]
    assert clinic.verify(path).code == 3
    path.write_bytes(path.read_bytes() + b" ")
    assert only(clinic.verify(path, "--json"))["verdict"] == "changed"


def test_a_sound_record_has_no_remark(clinic):
    for name, content in {
        "o.json": OBSERVATION,
        "i.dcm": dicom(),
        "m.hl7": HL7,
        "d.xml": XML,
        "b.json": BUNDLE,
    }.items():
        clinic.put(name, content)
    done = clinic.run("stamp", clinic.records)
    assert (done.code, "8 records, 3 of them inside others, stamped" in done.out) == (0, True)
    assert not re.search("only its bytes|mind: ", done.out)
    value = clinic.run("stamp", clinic.records, "--json", "--again").json
    assert (value["records"], value["inside"], value["bytes_only"], value["remarks"]) == (8, 3, 0, 0)


def test_what_is_not_anchored_yet_is_not_called_the_same_where_a_part_was_accepted(clinic):
    path = clinic.put("o.json", OBSERVATION)
    clinic.run("stamp", path)
    for content, words, start in (
        (OBSERVATION.encode(), (), "unchanged since it was stamped"),
        (rewritten(OBSERVATION), (), "written anew, the same in content since it was stamped"),
        (
            OBSERVATION.replace("Glucose of", "x").encode(),
            ("--accept", "narrative"),
            "accepted despite a difference in narrative since it was stamped",
        ),
    ):
        path.write_bytes(content)
        done = clinic.verify(path, *words)
        assert (done.code, done.out.startswith(start)) == (3, True)


def test_what_else_is_to_be_known_is_told_and_is_no_reason_to_doubt_the_rest(clinic):
    clinic.put("i.dcm", b"MZ" + dicom()[2:])
    clinic.put("d.xml", XML.replace("\n<Clin", '\n<?xml-stylesheet href="a.xsl" type="text/xsl"?>\n<Clin'))
    done = clinic.run("stamp", clinic.records)
    assert (done.code, done.out.count("\nmind: "), "only its bytes" in done.out) == (0, 2, False)
    value = clinic.run("stamp", clinic.records, "--json", "--again").json
    assert (value["bytes_only"], value["remarks"], len(value["problems"])) == (0, 2, 2)
    assert {problem["severity"] for problem in value["problems"]} == {"mind"}


def test_a_broken_export_does_not_print_a_line_for_each_of_its_lines(clinic):
    path = clinic.put("export.ndjson", f"{device(0)}\n" * 2 + f'{{"resourceType":"{NAME}",}}\n' * 5000)
    done = clinic.run("stamp", path, "nosuch")
    lines = [line for line in done.out.splitlines() if line.startswith("only its bytes are covered: ")]
    assert (len(lines), done.code) == (20, 9)
    assert lines[0].startswith(f"only its bytes are covered: {path}/3: ")
    assert "and 4,980 more such remarks on records: --verbose shows each" in done.out.splitlines()
    assert "unreadable: nosuch: no such file or directory" in done.out.splitlines()
    assert "5,003 records, 5,002 of them inside others" in done.out
    for words in (("--again",), ("--dry-run", "--again")):
        value = clinic.run("stamp", path, "nosuch", "--json", *words).json
        assert (value["bytes_only"], len(value["problems"])) == (5000, 21)
    done = clinic.run("stamp", path, "--verbose", "--again")
    assert len(done.out.splitlines()) == 5001
    value = clinic.run("stamp", path, "--json", "--verbose", "--again").json
    assert (value["bytes_only"], len(value["problems"])) == (5000, 5000)
    assert {Path(problem["path"]).parent for problem in value["problems"]} == {path}
    assert clinic.verify(path, "--json").json["counts"]["unchanged"] == 1


def test_a_record_is_read_as_what_it_is_said_to_be(clinic):
    path = clinic.put("o.json", OBSERVATION)
    assert "1 record stamped" in clinic.run("stamp", path, "--as", "bytes").out
    clinic.put("o.json", rewritten(OBSERVATION))
    assert only(clinic.verify(path, "--json"))["verdict"] == "changed"
    clinic.put("o.json", OBSERVATION)
    for kind in ("dicom", "hl7", "xml", "zip", "gzip"):
        done = clinic.run("stamp", path, "--as", kind, "--again")
        assert (done.code, done.out.count("only its bytes are covered: ")) == (0, 1), kind
    done = clinic.run("stamp", path, "--as", "fhir", "--again")
    assert (done.code, "only its bytes" in done.out) == (0, False)
    lines = clinic.put("one.ndjson", device(0))
    assert "2 records, 1 of them inside others" in clinic.run("stamp", lines, "--as", "ndjson").out


@pytest.mark.parametrize("kind", ["json", "FHIR", "", "pdf"])
def test_a_kind_that_there_is_not(clinic, kind):
    path = clinic.put("o.json", OBSERVATION)
    done = clinic.run("stamp", path, "--as", kind)
    assert (done.code, "fhir, ndjson, dicom, hl7, xml, zip, gzip, bytes" in done.err) == (2, True)


def test_a_dry_run_counts_what_the_stamp_then_makes(clinic):
    clinic.put("b.json", BUNDLE)
    clinic.put("e.ndjson", f"{device(5)}\n{device(6)}\n")
    with zipfile.ZipFile(clinic.records / "a.zip", "w") as archive:
        archive.writestr("c.ndjson", f"{device(7)}\n")
        archive.writestr("o.json", OBSERVATION)
    assert clinic.run("stamp", clinic.put("first.txt", "first")).code == 0
    for more in ("", "b.json", "e.ndjson"):
        if more:
            clinic.put(more, clinic.path(more).read_bytes() + b"\n")
        dry = clinic.run("stamp", clinic.records, "--dry-run", "--json").json
        done = clinic.run("stamp", clinic.records, "--json").json
        assert (dry["records"], dry["unchanged"]) == (done["records"], done["unchanged"])
        assert done["records"] > 0
    dry = clinic.run("stamp", clinic.records, "--dry-run", "--json", "--again").json
    assert (dry["records"], dry["unchanged"]) == (11, 0)
    assert clinic.run("stamp", clinic.records, "--dry-run", "--json").json["records"] == 0


def test_a_bundle_piped_in(clinic, tmp_path):
    done = clinic.run("stamp", "-", "--anchor", stdin=BUNDLE.encode())
    assert (done.code, "4 records, 3 of them inside others" in done.out) == (0, True)
    again = clinic.run("stamp", "-", stdin=BUNDLE.encode())
    assert (again.code, "nothing new to stamp" in again.out) == (0, True)
    assert clinic.run("stamp", "-", "--anchor", stdin=bundle(device(7)).encode()).code == 0
    path = tmp_path / "bundle.json"
    path.write_text(BUNDLE)
    assert only(clinic.verify(path, "--json"))["verdict"] == "renamed"
    assert clinic.run("proof", "export", path, "-o", clinic.proofs, "--inside").out.startswith("4 proofs written")
    assert clinic.run("chain", "export", tmp_path / "headers.bin").code == 0
    assert sorted(path.name for path in clinic.proofs.iterdir()) == ["bundle.json", "bundle.json.medproof"]
    whole = clinic.prove("-", "bundle.json.medproof", "--json", stdin=rewritten(BUNDLE))
    assert (whole.code, whole.json["likeness"]) == (0, "SAME CONTENT")
    for number in range(3):
        proof = f"bundle.json/entry/{number}.medproof"
        done = clinic.prove("-", proof, "--json", stdin=rewritten(BUNDLE))
        assert (done.code, done.json["inside"]) == (0, f"entry/{number}")
        assert clinic.prove("-", proof, stdin=bundle(device(7)).encode()).code == 4
    path.write_text(rewritten(BUNDLE).decode())
    assert only(clinic.verify(path, "--json"))["verdict"] == "same-content"


def test_no_log_learns_what_is_in_a_record(clinic):
    for name, (content, _) in BROKEN.items():
        clinic.put(f"{NAME}-{name}", content)
    clinic.put(f"{NAME}.ndjson", f"{device(0)}\n{{{NAME}\n")
    for words in (("stamp",), ("stamp", "--dry-run"), ("verify",), ("proof", "export")):
        for flag in ("--json", "--quiet"):
            done = clinic.run(*words, clinic.records, flag)
            assert done.code in {0, 2, 3}
            silent(done)
            assert NAME not in done.out, words
    assert NAME in clinic.run("stamp", clinic.records, "--json", "--verbose", "--again").out


def test_audit_status_and_log_know_containers_by_their_files(clinic):
    clinic.put("b.json", BUNDLE)
    clinic.put("e.ndjson", f"{device(5)}\n{device(6)}\n{device(7)}\n")
    clinic.stamp()
    clinic.run("stamp", "-", stdin=bundle(device(8)).encode())
    value = clinic.run("audit", "--json").json
    assert (value["damage"], value["findings"], value["swept"], value["records"]) == ([], [], 2, 10)
    assert clinic.run("status", "--json").json["entries"] == 2
    assert [entry["records"] for entry in clinic.run("log", "--json").json["entries"]] == [2, 8]
    clinic.put("e.ndjson", f"{device(5)}\n{device(7)}\n")
    clinic.path("b.json").unlink()
    done = clinic.run("audit", "--json")
    assert (done.code, sorted(finding["verdict"] for finding in done.json["findings"])) == (4, ["changed", "missing"])
    silent(done)
    assert clinic.verify(clinic.records, "--json").json["counts"]["missing"] == 2


def test_genuine_records_are_stamped_and_found_again_one_by_one(clinic):
    if not DATA.is_dir():
        pytest.skip("../shared/data is not here")
    bundles = sorted((DATA / "fhir-r4-bundles").glob("*.json"), key=lambda path: path.stat().st_size)[:2]
    for path in [*bundles, DATA / "fhir-bulk-10-patients" / "Patient.000.ndjson", *(DATA / "ccda").glob("A*.xml")]:
        clinic.put(path.name, path.read_bytes())
    done = clinic.stamp()
    assert done.code == 0
    smallest = json.loads(bundles[0].read_bytes())
    assert clinic.run("stamp", clinic.records, "--dry-run", "--json").json["records"] == 0
    for number in (0, len(smallest["entry"]) - 1):
        alone = clinic.root / "alone.json"
        alone.write_bytes(rewritten(json.dumps(smallest["entry"][number]["resource"])))
        assert only(clinic.verify(alone, "--json"))["exit"] == 0
        assert clinic.prove(alone, f"{bundles[0].name}/entry/{number}.medproof").code == 0
