"""What stands in examples/: the visit is what its program makes, tells one story, and the demo fails when it should."""

import configparser
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
VISIT = EXAMPLES / "visit-2026-11-21"
RESULTS = {"1988-5": "5.10", "6690-2": "7.30", "2823-3": "4.20", "2160-0": "0.80"}
LONG_FORM = {b"OB", b"OW", b"SQ", b"UN", b"UT"}


def fhir() -> list[dict]:
    # parse_float=str: what counts is what stands in the file, digit for digit
    bundle = json.loads((VISIT / "record.fhir.json").read_bytes(), parse_float=str)
    return [entry["resource"] for entry in bundle["entry"]]


def hl7() -> list[list[str]]:
    return [segment.split("|") for segment in (VISIT / "lab-results.hl7").read_text("ascii").split("\n")[:-1]]


def ccda() -> ET.Element:
    return ET.fromstring((VISIT / "summary.ccda.xml").read_bytes())  # noqa: S314 - our own file, no DOCTYPE


def dicom() -> dict[int, bytes]:
    """Return the elements of the DICOM file by tag, each exactly where the one before it ended."""
    data = (VISIT / "chest-image.dcm").read_bytes()
    assert data[:132] == bytes(128) + b"DICM"
    elements, at = {}, 132
    while at < len(data):
        group, number, kind = struct.unpack_from("<HH2s", data, at)
        start = at + (12 if kind in LONG_FORM else 8)
        (length,) = (
            struct.unpack_from("<I", data, at + 8) if kind in LONG_FORM else struct.unpack_from("<H", data, at + 6)
        )
        elements[group << 16 | number], at = data[start : start + length], start + length
    assert at == len(data)
    return elements


def uid(value: bytes) -> str:
    return value.rstrip(b"\0").decode("ascii")


# The files and their program


@pytest.mark.parametrize(
    "surroundings",
    [{"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"}, {"LC_ALL": "C.UTF-8", "TZ": "Asia/Kolkata"}],
    ids=["plain", "elsewhere"],
)
def test_the_program_makes_the_committed_bytes(tmp_path, surroundings):
    program = [sys.executable, "-B", EXAMPLES / "make_visit", tmp_path / "again"]
    subprocess.run(program, check=True, env={**os.environ, **surroundings}, cwd=tmp_path, capture_output=True)
    made = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert made == {path.name: path.read_bytes() for path in VISIT.iterdir()}


def test_the_program_without_a_folder_says_how_it_is_used():
    done = subprocess.run([sys.executable, "-B", EXAMPLES / "make_visit"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")


def test_the_records_are_small():
    sizes = [path.stat().st_size for path in VISIT.iterdir()]
    assert len(sizes) == 5
    assert max(sizes) < 60_000
    assert sum(sizes) < 200_000


# Each format


def test_fhir_references_resolve_and_every_resource_is_labelled_as_a_test():
    resources = fhir()
    text = (VISIT / "record.fhir.json").read_text("utf-8")
    assert set(re.findall(r'"reference": "urn:uuid:(.+?)"', text)) <= {resource["id"] for resource in resources}
    for resource in resources:
        assert "HTEST" in {label["code"] for label in resource["meta"]["security"]}
        assert resource["text"]["div"].startswith('<div xmlns="http://www.w3.org/1999/xhtml">')
    assert {"Patient", "Encounter", "Observation"} <= {resource["resourceType"] for resource in resources}


def test_hl7_segments_end_with_a_carriage_return_and_nothing_else():
    data = (VISIT / "lab-results.hl7").read_bytes()
    assert b"\n" not in data
    assert data.endswith(b"\r")
    assert [segment[0] for segment in hl7()] == ["MSH", "PID", "PV1", "ORC", "OBR", "NTE", *["OBX"] * len(RESULTS)]
    assert hl7()[0][8:12] == ["ORU^R01^ORU_R01", "MESSAGE-0001", "T", "2.5.1"]


def test_dicom_elements_are_in_order_and_hold_the_picture_they_announce():
    elements = dicom()
    assert list(elements) == sorted(elements)
    assert all(len(value) % 2 == 0 for value in elements.values())
    (length,) = struct.unpack("<I", elements[0x0002_0000])  # of what is left of group 0002, then group 0008 begins
    assert (VISIT / "chest-image.dcm").read_bytes()[132 + 12 + length :].startswith(b"\x08\x00\x08\x00")
    rows, columns = (struct.unpack("<H", elements[tag])[0] for tag in (0x0028_0010, 0x0028_0011))
    assert len(elements[0x7FE0_0010]) == rows * columns == 64 * 64
    assert elements[0x0028_0004].strip() == b"MONOCHROME2"
    assert uid(elements[0x0002_0010]) == "1.2.840.10008.1.2.1"


def test_pdf_table_points_at_every_object():
    data = (VISIT / "visit-letter.pdf").read_bytes()
    table = int(re.search(rb"startxref\n(\d+)\n%%EOF\n\Z", data)[1])
    assert data[table:].startswith(b"xref\n")
    offsets = [int(offset) for offset in re.findall(rb"(\d{10}) 00000 n \n", data[table:])]
    assert len(offsets) == data.count(b"\nendobj\n")
    for number, offset in enumerate(offsets, start=1):
        assert data[offset:].startswith(b"%d 0 obj\n" % number)
    for length, stream in re.findall(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", data, re.DOTALL):
        assert len(stream) == int(length)


def test_ccda_has_its_header_and_the_sections_of_a_continuity_of_care_document():
    root = ccda()
    assert root.tag == "{urn:hl7-org:v3}ClinicalDocument"
    titles = [title.text for title in root.iterfind(".//{*}section/{*}title")]
    assert titles == ["Allergies", "Medications", "Problems", "Results", "Social history", "Vital signs"]
    targets = {f"#{element.get('ID')}" for element in root.iter() if element.get("ID")}
    assert {element.get("value") for element in root.iterfind(".//{*}text/{*}reference")} <= targets
    text = (VISIT / "summary.ccda.xml").read_text("utf-8")
    assert "$" not in text
    assert "<!DOCTYPE" not in text


# One story


def test_every_format_has_the_same_results_digit_for_digit():
    in_fhir = {
        resource["code"]["coding"][0]["code"]: resource["valueQuantity"]["value"]
        for resource in fhir()
        if resource["resourceType"] == "Observation"
    }
    in_hl7 = {segment[3].split("^")[0]: segment[5] for segment in hl7() if segment[0] == "OBX"}
    in_ccda = {
        part.find("{*}code").get("code"): part.find("{*}value").get("value")
        for part in ccda().iterfind(".//{*}organizer/{*}component/{*}observation")
    }
    in_pdf = re.findall(rb"\((\d+\.\d\d)\) Tj", (VISIT / "visit-letter.pdf").read_bytes())
    assert in_fhir == in_hl7 == in_ccda == RESULTS
    assert [value.decode() for value in in_pdf] == list(RESULTS.values())


@pytest.mark.parametrize("path", sorted(VISIT.iterdir()), ids=lambda path: path.name)
def test_every_record_names_the_test_patient_and_says_it_is_synthetic(path):
    data = path.read_bytes()
    for words in (b"Test-Patient", b"TEST-0001", b"Synthetic example data"):
        assert words in data


def test_the_picture_is_the_same_in_letter_study_and_image():
    elements = dicom()
    study = next(resource for resource in fhir() if resource["resourceType"] == "ImagingStudy")
    assert elements[0x7FE0_0010] in (VISIT / "visit-letter.pdf").read_bytes()
    assert study["identifier"][0]["value"] == f"urn:oid:{uid(elements[0x0020_000D])}"
    assert study["series"][0]["uid"] == uid(elements[0x0020_000E])
    assert study["series"][0]["instance"][0]["uid"] == uid(elements[0x0008_0018]) == uid(elements[0x0002_0003])


# The demo, with a stand-in that says what the test wants and notes what it was asked

STAND_IN = """#!/bin/sh
echo "$MEDANCHOR_VAULT $*" >>"$LOG"
case "$*" in
    stamp*) exit {stamp} ;;
    "verify copy/"*) exit {changed} ;;
    "verify "*--proof*) exit {proof} ;;
esac
"""


def demo(folder: Path, *, stamp: int = 0, changed: int = 4, proof: int = 0, program: str | None = None):
    """Return the finished demo, run in paths with spaces, and the lines its stand-in noted."""
    home, temporary, log = folder / "my examples", folder / "my temporary", folder / "my log"
    shutil.copytree(EXAMPLES, home, ignore=shutil.ignore_patterns("__pycache__"))
    temporary.mkdir()
    log.touch()
    stand_in = folder / "bin with space" / "medanchor"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.format(stamp=stamp, changed=changed, proof=proof))
    stand_in.chmod(0o755)
    settings = {"MEDANCHOR": program or str(stand_in), "TMPDIR": str(temporary), "LOG": str(log)}
    surroundings = {**os.environ, **settings, "MEDANCHOR_VAULT": "/the/user's/own"}
    done = subprocess.run(
        ["sh", home / "demo.sh"], env=surroundings, cwd=folder, capture_output=True, text=True, check=False
    )
    assert list(temporary.iterdir()) == []  # it cleans up behind itself, however it ended
    return done, log.read_text().splitlines()


def test_the_demo_passes_when_the_change_is_caught(tmp_path):
    done, asked = demo(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [re.sub(r"^.*/vault ", "", line) for line in asked] == [
        "stamp visit-2026-11-21 --anchor",
        "verify visit-2026-11-21",
        "proof export visit-2026-11-21/record.fhir.json -o proofs",
        "verify visit-2026-11-21/record.fhir.json --proof proofs/record.fhir.json.medproof",
        "verify copy/record.fhir.json --proof proofs/record.fhir.json.medproof",
        "audit",
    ]
    assert done.stdout.count("$ medanchor ") == len(asked)
    assert len(done.stdout.splitlines()) <= 40  # room for what medanchor itself prints, below 60 altogether


def test_the_demo_leaves_the_users_own_vault_alone(tmp_path):
    _, asked = demo(tmp_path)
    assert all(line.startswith(f"{tmp_path}/my temporary/medanchor-demo.") for line in asked)


def test_the_demo_changes_one_byte_of_the_copy(tmp_path):
    done, _ = demo(tmp_path)
    assert '"value": 5.10' in done.stdout
    assert '"value": 2.10' in done.stdout


@pytest.mark.parametrize(
    "answers",
    [{"changed": 0}, {"changed": 3}, {"changed": 8}, {"stamp": 9}, {"proof": 3}, {"proof": 4}],
    ids=str,
)
def test_the_demo_fails_when_an_answer_is_wrong(tmp_path, answers):
    done, _ = demo(tmp_path, **answers)
    assert done.returncode == 1
    assert "demo: error: expected exit code" in done.stderr


def test_the_demo_finds_a_program_named_relative_to_where_it_was_called(tmp_path):
    assert demo(tmp_path, program="bin with space/medanchor")[0].returncode == 0


def test_the_demo_without_medanchor_says_what_to_do(tmp_path):
    done, _ = demo(tmp_path, program="no-such-medanchor")
    assert done.returncode == 2
    assert "demo: hint: run 'make demo'" in done.stderr


# cron and systemd


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(EXAMPLES / "systemd" / name)
    return parser


@pytest.mark.parametrize(
    ("name", "command", "success"),
    [
        ("anchor", "anchor --quiet", "3"),
        ("audit", "audit --quiet", "3"),
        ("status", "status --max-age 26h --quiet", None),  # there, 3 is the alarm
    ],
)
def test_units_run_the_right_command_and_know_what_pending_is(name, command, success):
    service = unit(f"medanchor-{name}.service")["Service"]
    assert service["ExecStart"] == f"/usr/local/bin/medanchor {command}"
    assert service.get("SuccessExitStatus") == success
    assert service["KillSignal"] == "SIGINT"
    assert (service["NoNewPrivileges"], service["ProtectSystem"], service["UMask"]) == ("yes", "strict", "0077")
    assert service["Environment"].removeprefix("MEDANCHOR_VAULT=").startswith(service["ReadWritePaths"] + "/")
    assert unit(f"medanchor-{name}.timer")["Install"]["WantedBy"] == "timers.target"


def test_cron_runs_the_same_commands_as_systemd():
    lines = (EXAMPLES / "cron" / "medanchor.cron").read_text().splitlines()
    jobs = [re.fullmatch(r"((?:[\d*]+ ){4}[\d*]+)\s+medanchor (.+)", line) for line in lines if line[:1].isdigit()]
    commands = [job[2].partition(" || ")[0] for job in jobs]
    assert commands == ["anchor --quiet", "audit --quiet", "status --max-age 26h --quiet"]
    assert not any("%" in job[2] for job in jobs)  # cron would take it for a line end
