"""Proofs of clinical records: what is in one; of all that is inside a container; Provenances for FHIR servers."""

import json

import pytest
from clinical import HL7, NAME, OBSERVATION, XML, Clinic, bundle, device, dicom, rewritten, silent
from transcript import tree

BUNDLE = bundle(OBSERVATION, device(1))
EXPORT = f"{device(3)}\n{device(4)}\n"


@pytest.fixture
def clinic(tmp_path):
    made = Clinic(tmp_path)
    made.put("bundle.json", BUNDLE)
    made.put("export.ndjson", EXPORT)
    assert made.run("stamp", made.records, "--anchor").code == 0
    return made


def export(clinic, *words):
    return clinic.run("proof", "export", *words)


@pytest.mark.parametrize(
    ("name", "content", "kind", "parts"),
    [
        ("o.json", OBSERVATION, "1 (FHIR)", ["data", "narrative", "meta", "id", "numeric"]),
        ("i.dcm", dicom(), "2 (DICOM)", ["dataset", "pixels"]),
        ("m.hl7", HL7, "3 (HL7)", ["message", "body"]),
        ("d.xml", XML, "4 (XML)", ["canonical", "text"]),
        ("p.pdf", "%PDF", "0 (BYTES)", []),
    ],
)
def test_inspect_shows_the_kind_and_its_components(tmp_path, name, content, kind, parts):
    clinic = Clinic(tmp_path)
    clinic.put(name, content)
    assert clinic.run("stamp", clinic.records).code == 0
    assert export(clinic, clinic.records, "-o", clinic.proofs).code == 0
    done = clinic.elsewhere("proof", "inspect", clinic.proofs / f"{name}.medproof")
    assert (done.code, done.out.splitlines()[0].split(maxsplit=1)) == (0, ["kind", kind])
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")] == parts
    value = clinic.elsewhere("proof", "inspect", clinic.proofs / f"{name}.medproof", "--json").json
    assert list(value["components"]) == parts
    assert all(len(digest) == 64 for digest in value["components"].values())


def test_inspect_says_which_parts_are_absent(tmp_path):
    clinic = Clinic(tmp_path)
    clinic.put("o.json", '{"resourceType":"Basic"}')
    clinic.run("stamp", clinic.records)
    export(clinic, clinic.records, "-o", clinic.proofs)
    value = clinic.elsewhere("proof", "inspect", clinic.proofs / "o.json.medproof", "--json").json
    assert [part for part, digest in value["components"].items() if digest == "absent"] == ["narrative", "meta", "id"]


def test_all_that_is_inside_has_a_proof_and_each_verifies(clinic):
    done = export(clinic, clinic.records, "-o", clinic.proofs, "--inside")
    assert (done.code, done.out.splitlines()[0]) == (0, "6 proofs written")
    names = {name for name in tree(clinic.proofs) if name.endswith(".medproof")}
    assert names == {
        "bundle.json.medproof", "bundle.json/entry/0.medproof", "bundle.json/entry/1.medproof",
        "export.ndjson.medproof", "export.ndjson/1.medproof", "export.ndjson/2.medproof",
    }  # fmt: skip
    clinic.run("chain", "export", clinic.root / "headers.bin")
    for name in names:
        file = name.split("/")[0].removesuffix(".medproof")
        assert clinic.prove(clinic.path(file), name).code == 0, name
    assert len(tree(clinic.proofs)) > len(names)
    assert export(clinic, clinic.records, "-o", clinic.root / "less").out.startswith("2 proofs written")


def test_what_is_written_to_a_folder_needs_one(clinic):
    before = tree(clinic.root)
    for words in (("--inside",), ("--fhir",), ("--fhir", "--inside", "--json")):
        done = export(clinic, clinic.records, *words)
        assert done.code == 2
    assert tree(clinic.root) == before


def test_of_an_earlier_version_in_hand_its_own_records_are_proved(clinic):
    clinic.put("export.ndjson", f"{device(7)}\n{device(8)}\n{device(9)}\n")
    assert clinic.run("stamp", clinic.records, "--anchor").code == 0
    clinic.put("export.ndjson", EXPORT)
    assert export(clinic, clinic.path("export.ndjson"), "-o", clinic.proofs, "--inside").out.startswith("3 proofs")
    assert clinic.run("chain", "export", clinic.root / "headers.bin").code == 0
    written = sorted(name for name in tree(clinic.proofs) if name.endswith(".medproof"))
    assert written == ["export.ndjson.medproof", "export.ndjson/1.medproof", "export.ndjson/2.medproof"]
    for name in written:
        assert clinic.prove(clinic.path("export.ndjson"), name).code == 0


def test_a_record_written_anew_has_the_proof_of_what_was_stamped(clinic):
    path = clinic.put("bundle.json", rewritten(BUNDLE))
    assert export(clinic, path, "-o", clinic.proofs, "--inside").out.startswith("3 proofs written")
    assert clinic.run("chain", "export", clinic.root / "headers.bin").code == 0
    assert clinic.prove(path, "bundle.json.medproof").code == 0
    assert clinic.prove(path, "bundle.json/entry/1.medproof").code == 0
    clinic.put("bundle.json", BUNDLE.replace("final", "amended"))
    done = export(clinic, path, "-o", clinic.root / "none", "--inside")
    assert done.code == 4
    silent(done)


def test_a_provenance_for_each_entry_that_the_records_stand_in(clinic):
    provenances = pytest.importorskip("fhir.resources.R4B.provenance")
    path = clinic.path("bundle.json")
    follows = ("--follows", "0", "--follows-as", "retraction", "--reason", "wrong-record")
    assert clinic.run("stamp", clinic.put("unrelated.txt", "x")).code == 0
    assert clinic.run("stamp", path, *follows, "--anchor").code == 0
    done = export(clinic, path, "-o", clinic.proofs, "--inside", "--fhir", "--json")
    assert (done.code, done.json["written"], done.json["provenances"]) == (0, 3, 2)
    files = sorted(clinic.proofs.glob("*.provenance.json"))
    assert [file.name for file in files] == ["entry-0.provenance.json", "entry-2.provenance.json"]
    first, retraction = (json.loads(file.read_bytes()) for file in files)
    for value in (first, retraction):
        provenances.Provenance.model_validate(value)
        assert {target["reference"] for target in value["target"] if "reference" in target} == {
            "Observation/o1/_history/1",
            "Device/d1",
        }
        assert len(value["target"]) == 3
    assert first["activity"]["coding"][0]["code"] == "attest"
    assert retraction["activity"]["coding"][0]["code"] == "deprecate"
    assert NAME not in "".join(file.read_text() for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_provenance_refers_to_lines_too(clinic):
    assert export(clinic, clinic.path("export.ndjson"), "-o", clinic.proofs, "--inside", "--fhir").code == 0
    value = json.loads((clinic.proofs / "entry-0.provenance.json").read_bytes())
    assert [target.get("reference", "") for target in value["target"]].count("Device/d3") == 1


@pytest.mark.parametrize("there", ["entry-0.provenance.json", "bundle.json.medproof", "bundle.json/entry/1.medproof"])
def test_where_one_file_is_there_already_none_is_written(clinic, there):
    path = clinic.path("bundle.json")
    clinic.put(f"../proofs/{there}", "mine")
    before = tree(clinic.proofs)
    done = export(clinic, path, "-o", clinic.proofs, "--inside", "--fhir")
    assert (done.code, "--force" in done.err) == (2, True)
    assert tree(clinic.proofs) == before
    assert export(clinic, path, "-o", clinic.proofs, "--inside", "--fhir", "--force").code == 0
    assert (clinic.proofs / there).read_bytes() != b"mine"


def test_more_records_than_a_provenance_holds_are_no_reason_for_half_an_export(clinic, monkeypatch):
    monkeypatch.setattr("medanchor.interop.provenance.MAX_TARGETS", 2)
    done = export(clinic, clinic.records, "-o", clinic.proofs, "--inside", "--fhir")
    assert (done.code, clinic.proofs.exists()) == (2, False)


def test_evidence_beside_records_is_not_stamped_as_one(clinic):
    before = tree(clinic.records)
    done = export(clinic, clinic.records, "-o", clinic.records, "--inside", "--fhir")
    assert (done.code, "not a directory" in done.err) == (2, True)
    assert tree(clinic.records) == before
    assert export(clinic, clinic.path("bundle.json"), "-o", clinic.records, "--fhir", "--force").code == 0
    assert (clinic.records / "entry-0.provenance.json").is_file()
    assert clinic.run("stamp", clinic.records, "--dry-run", "--json").json["records"] == 0
    assert clinic.verify(clinic.records).code == 0
    named = clinic.run("stamp", clinic.records / "entry-0.provenance.json", "--dry-run", "--json").json
    assert named["records"] == 1


def test_a_container_that_was_regrouped_has_proofs_of_what_is_inside_it_alone(clinic):
    path = clinic.put("../regrouped.ndjson", f"{device(4)}\n{device(3)}\n")
    done = export(clinic, path, "-o", clinic.proofs, "--inside")
    assert (done.code, done.out.startswith("2 proofs written")) == (0, True)
    assert export(clinic, path).code == 2
    assert export(clinic, path, "--force").code == 2
