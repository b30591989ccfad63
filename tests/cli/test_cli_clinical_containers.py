"""Containers: each record in one has a proof of its own; one that was made anew is told from one that was changed."""

import gzip
import io
import json
import zipfile

import pytest
from clinical import HL7, NAME, OBSERVATION, Clinic, bundle, device, only, rewritten, silent

DEVICES = [device(number) for number in range(6)]
EXPORT = "\n".join(DEVICES) + "\n"
BUNDLE = bundle(OBSERVATION, *DEVICES[:2])
MEMBERS = {"b/letter.txt": b"Dear Canaryson", "a.json": OBSERVATION.encode(), "c.ndjson": EXPORT.encode()}


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    made = Clinic(tmp_path_factory.mktemp("containers"))
    restore(made)
    made.stamp()
    return made


def restore(clinic: Clinic) -> None:
    clinic.put("export.ndjson", EXPORT)
    clinic.put("export.ndjson.gz", gzip.compress(EXPORT.encode(), 1, mtime=0))
    clinic.put("bundle.json", BUNDLE)
    clinic.put("archive.zip", zipped(MEMBERS))
    clinic.put("batch.hl7", "BHS|^~\\&|LAB\r" + HL7 + HL7.replace("MSG00002", "MSG00003") + "BTS|2\r")


@pytest.fixture(autouse=True)
def restored(clinic):
    yield
    restore(clinic)


def verdicts(done):
    return [(record["verdict"], record["exit"]) for record in done.json["records"]]


def lines_of(done, start):
    return [line for line in done.out.splitlines() if line.startswith(start)]


def test_all_of_it_stands(clinic):
    done = clinic.verify(clinic.records)
    assert (done.code, done.err) == (0, "")
    assert "5 records unchanged" in done.out


def test_each_record_inside_has_a_proof_that_verifies_alone(clinic, tmp_path):
    alone = tmp_path / "alone.json"
    for proof, content in {
        "bundle.json/entry/0.medproof": OBSERVATION.encode(),
        "bundle.json/entry/1.medproof": rewritten(DEVICES[0]),
        "export.ndjson/3.medproof": DEVICES[2].encode(),
        "export.ndjson.gz/3.medproof": rewritten(DEVICES[2]),
        "archive.zip/a.json.medproof": OBSERVATION.encode(),
        "archive.zip/b/letter.txt.medproof": MEMBERS["b/letter.txt"],
        "archive.zip/c.ndjson/6.medproof": DEVICES[5].encode(),
        "batch.hl7/2.medproof": HL7.replace("MSG00002", "MSG00003").encode(),
    }.items():
        alone.write_bytes(content)
        assert clinic.prove(alone, proof).code == 0, proof
        alone.write_bytes(content + b"?")
        assert clinic.prove(alone, proof).code == 4, proof


def test_one_observation_out_of_a_bundle_is_found_in_the_vault(clinic, tmp_path):
    alone = tmp_path / "alone.json"
    alone.write_bytes(rewritten(OBSERVATION))
    record = only(clinic.verify(alone, "--json"))
    assert (record["verdict"], record["exit"]) == ("same-content", 0)
    alone.write_text(OBSERVATION.replace("Glucose of", "None of"))
    record = only(clinic.verify(alone, "--json"))
    assert (record["verdict"], record["differing"], record["exit"]) == ("same-data", ["narrative"], 4)


def repartitioned(tmp_path):
    """The export as another server gives it: other files, another order, every other line written anew."""
    folder = tmp_path / "other"
    folder.mkdir()
    lines = [rewritten(line, indent=None).decode() if number % 2 else line for number, line in enumerate(DEVICES[::-1])]
    (folder / "x.1.ndjson").write_text("\n".join(lines[:4]))
    (folder / "x.2.ndjson").write_text("\r\n".join(lines[4:]) + "\r\n")
    return folder


def test_an_export_that_another_server_partitioned_verifies(clinic, tmp_path):
    folder = repartitioned(tmp_path)
    done = clinic.verify(folder)
    assert (done.code, done.err) == (0, "")
    assert "3 records unchanged" in done.out
    assert "3 records written anew, the same in content" in done.out
    assert len(lines_of(done, "mind: never stamped itself, only what is in it: ")) == 2
    value = clinic.verify(folder, "--json").json
    counts = {"unchanged": 3, "same-content": 3, "regrouped": 2}
    assert {verdict: count for verdict, count in value["counts"].items() if count} == counts
    assert value["records"] == []


def test_an_export_that_was_moved_whole_is_not_missing(clinic, tmp_path):
    folder = repartitioned(tmp_path)
    clinic.path("export.ndjson").unlink()
    done = clinic.verify(clinic.records, folder)
    assert (done.code, "MISSING" in done.out) == (0, False)
    (folder / "x.2.ndjson").unlink()
    done = clinic.verify(clinic.records, folder)
    assert (done.code, len(lines_of(done, "MISSING"))) == (4, 1)


def test_a_proof_finds_its_record_inside_another_container(clinic, tmp_path):
    folder = repartitioned(tmp_path)
    done = clinic.prove(folder / "x.1.ndjson", "export.ndjson/6.medproof")
    assert (done.code, done.out.splitlines()[0]) == (0, "the record is inside the file in hand: 1")
    done = clinic.prove(folder / "x.1.ndjson", "export.ndjson/5.medproof", "--json")
    assert (done.code, done.json["inside"], done.json["likeness"]) == (0, "2", "SAME CONTENT")
    assert clinic.prove(folder / "x.2.ndjson", "export.ndjson/6.medproof").code == 4
    done = clinic.prove(clinic.path("archive.zip"), "export.ndjson/6.medproof", "--json", "--verbose")
    assert (done.code, done.json["inside"]) == (0, "c.ndjson/6")
    done = clinic.prove(clinic.path("archive.zip"), "export.ndjson/6.medproof", "--json")
    assert (done.code, done.json["inside"]) == (0, "")  # members may be called after patients
    done = clinic.prove("-", "bundle.json/entry/1.medproof", "--json", stdin=BUNDLE.encode())
    assert (done.code, done.json["inside"]) == (0, "entry/1")
    done = clinic.prove("-", "archive.zip/b/letter.txt.medproof", "--json", "-v", stdin=zipped(MEMBERS))
    assert (done.code, done.json["inside"]) == (0, "b/letter.txt")
    done = clinic.prove(clinic.path("bundle.json"), "bundle.json.medproof", "--json")
    assert "inside" not in done.json


@pytest.mark.parametrize("name", ["export.ndjson", "export.ndjson.gz"])
def test_lines_that_were_changed_removed_and_added(clinic, name):
    def write(lines):
        data = "\n".join(lines).encode()
        clinic.put(name, gzip.compress(data) if name.endswith("gz") else data)
        done, value = clinic.verify(clinic.path(name)), clinic.verify(clinic.path(name), "--json")
        assert done.code == value.code
        silent(done)
        return done, verdicts(value)

    path = f"{clinic.path(name)}"
    done, found = write([*DEVICES[:2], DEVICES[2].replace("002", "999"), *DEVICES[3:]])
    assert found == [("changed", 4), ("changed", 4)]
    assert lines_of(done, "CHANGED since")[1].endswith(f"{path}/3")
    done, found = write(DEVICES[1:])
    assert found == [("changed", 4), ("missing", 4)]
    assert lines_of(done, "MISSING")[0].endswith(f"{path}/1")
    done, found = write([*DEVICES, device(9)])
    assert found == [("changed", 4), ("unknown", 8)]
    assert lines_of(done, "never stamped: ") == [f"never stamped: {path}/7"]
    done, found = write([*DEVICES, DEVICES[0]])
    assert found == [("changed", 4), ("unchanged", 4)]
    assert f": {path}/7: " in lines_of(done, "ADDED since the file around it was stamped")[0]
    done, found = write([*DEVICES, rewritten(OBSERVATION, indent=None).decode()])
    assert found == [("changed", 4), ("same-content", 4)]
    assert len(lines_of(done, "ADDED")) == 1
    done, found = write([*DEVICES[:-1], DEVICES[-1].replace(NAME, "x")])
    assert found == [("same-data", 4), ("same-data", 4)]
    assert lines_of(done, "SAME DATA, but it differs in its narrative")[1].split(": ")[1] == f"{path}/6"
    assert clinic.verify(clinic.path(name), "--accept", "narrative").code == 0
    done, found = write([*DEVICES[:-1], DEVICES[-1].replace(NAME, "x"), device(9)])
    assert found == [("changed", 4), ("same-data", 4), ("unknown", 8)]
    assert clinic.verify(clinic.path(name), "--accept", "narrative").code == 4


def test_a_line_that_was_added_is_marked_as_such_for_scripts(clinic):
    clinic.put("export.ndjson", EXPORT + DEVICES[0])
    container, added = clinic.verify(clinic.path("export.ndjson"), "--json").json["records"]
    assert (container["inside"], "added" in container, added["added"]) == (7, False, True)


def test_an_export_written_anew_as_a_whole_has_the_same_content(clinic):
    written = [rewritten(line, indent=None).decode() for line in DEVICES[::-1]]
    path = clinic.put("export.ndjson", "\r\n".join(written))
    record = only(clinic.verify(path, "--json"))
    assert (record["verdict"], record["inside"]) == ("same-content", 6)
    assert "SAME CONTENT, written anew" in clinic.verify(path).out
    done = clinic.verify(clinic.records)
    assert (done.code, "MISSING" in done.out) == (0, False)
    clinic.path("export.ndjson").rename(clinic.path("renamed.ndjson"))
    done = clinic.verify(clinic.records)
    clinic.path("renamed.ndjson").unlink()
    assert (done.code, "MISSING" in done.out) == (0, False)


def test_archives_packed_anew_have_the_same_content(clinic):
    path = clinic.put("archive.zip", zipped(dict(reversed(MEMBERS.items())), zipfile.ZIP_STORED))
    assert only(clinic.verify(path, "--json"))["verdict"] == "same-content"
    path = clinic.put("export.ndjson.gz", gzip.compress(EXPORT.encode(), 9, mtime=7))
    assert only(clinic.verify(path, "--json"))["verdict"] == "same-content"
    path = clinic.put("archive.zip", zipped(MEMBERS | {"b/letter.txt": b"Dear nobody"}))
    assert verdicts(clinic.verify(path, "--json")) == [("changed", 4), ("changed", 4)]
    path = clinic.put("archive.zip", zipped({name: MEMBERS[name] for name in ("b/letter.txt", "c.ndjson")}))
    assert verdicts(clinic.verify(path, "--json")) == [("changed", 4), ("missing", 4)]


def test_a_batch_of_messages(clinic):
    path = clinic.put("batch.hl7", clinic.path("batch.hl7").read_bytes().replace(b"\r", b"\r\n"))
    assert only(clinic.verify(path, "--json"))["verdict"] == "same-content"
    restore(clinic)
    clinic.put("batch.hl7", path.read_bytes().replace(b"5.10", b"5.20", 1))
    assert verdicts(clinic.verify(path, "--json")) == [("changed", 4), ("changed", 4)]


def test_a_bundle_that_asks_for_something_else_is_changed_although_its_resources_are_the_same(clinic, tmp_path):
    deletes = bundle(OBSERVATION, *DEVICES[:2], method="DELETE")
    path = clinic.put("bundle.json", deletes)
    record = only(clinic.verify(path, "--json"))
    assert (record["verdict"], record["inside"], record["exit"]) == ("changed", 3, 4)
    assert clinic.prove(path, "bundle.json.medproof").code == 4
    assert clinic.prove(path, "bundle.json/entry/0.medproof").code == 0
    path = clinic.put("bundle.json", rewritten(BUNDLE))
    assert only(clinic.verify(path, "--json"))["verdict"] == "same-content"
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(deletes)
    done = clinic.verify(elsewhere)
    assert f"mind: never stamped itself, only what is in it: {elsewhere}" in done.out.splitlines()


def test_a_resource_in_a_bundle_that_was_changed_is_named(clinic):
    clinic.put("bundle.json", BUNDLE.replace("final", "amended"))
    done = clinic.verify(clinic.path("bundle.json"), "--json", "--verbose")
    assert [(item["verdict"], item["path"].split("bundle.json")[1]) for item in done.json["records"]][:2] == [
        ("changed", ""),
        ("changed", "/entry/0"),
    ]
    clinic.put("bundle.json", BUNDLE.replace("Glucose of", "None of"))
    found = [("changed", None), ("same-data", ["narrative"])]
    done = clinic.verify(clinic.path("bundle.json"), "--json")
    assert [(item["verdict"], item.get("differing")) for item in done.json["records"]] == found


def test_records_swapped_between_names_are_changed(clinic):
    clinic.put("bundle.json", EXPORT)
    assert clinic.verify(clinic.path("bundle.json"), "--json").json["records"][0]["verdict"] == "changed"
    clinic.put("bundle.json", DEVICES[0])
    assert only(clinic.verify(clinic.path("bundle.json"), "--json"))["verdict"] == "changed"


def test_no_log_learns_what_is_inside(clinic):
    clinic.put(f"{NAME}.ndjson", EXPORT + device(9))
    clinic.put("export.ndjson", "\n".join([DEVICES[0].replace(NAME, f"{NAME} x"), *DEVICES[2:], DEVICES[0][:-1], "{"]))
    for words in ((), ("--quiet",), ("--json",)):
        done = clinic.verify(clinic.records, *words)
        assert done.code == 4
        silent(done)
        if words:
            assert NAME not in done.out
    assert json.loads(clinic.verify(clinic.records, "--json").out)
    clinic.path(f"{NAME}.ndjson").unlink()
