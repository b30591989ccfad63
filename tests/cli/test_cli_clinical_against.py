"""`verify --against`: values side by side on a terminal, and nowhere else; elsewhere only the places."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from clinical import HL7, NAME, OBSERVATION, PDF, XML, Clinic, dicom, silent
from world import surroundings

SECRETS = ("5.10", "5.20", "Amended", NAME, "No fever")
CHANGES = {
    "o.json": (OBSERVATION, OBSERVATION.replace("5.10", "5.20").replace("Glucose of", "Amended")),
    "m.hl7": (HL7, HL7.replace("5.10", "5.20").replace("ADA", "Amended")),
    "d.xml": (XML, XML.replace("No fever", "Amended")),
    "i.dcm": (dicom(), dicom(patient="Amended^Canaryson")),
    "p.pdf": (PDF, PDF + b"Amended"),
}
PLACES = {
    "o.json": ("valueQuantity.value", "text.div"),
    "m.hl7": ("OBX", "PID"),
    "d.xml": ("section",),
    "i.dcm": ("PatientName",),
    "p.pdf": ("end of file",),
}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic whose records were changed after the stamp; the originals are kept beside them."""
    made = Clinic(tmp_path_factory.mktemp("against"))
    for name, (before, _) in CHANGES.items():
        made.put(name, before)
    made.stamp()
    for name, (before, after) in CHANGES.items():
        made.put(name, after)
        made.put(f"../originals/{name}", before)
    return made


def original(clinic: Clinic, name: str) -> Path:
    return clinic.root / "originals" / name


def on_a_terminal(clinic: Clinic, *words: str | Path) -> str:
    """Run a command whose stdout is a terminal, and return what it shows."""
    parent, child = pty.openpty()
    env = surroundings(clinic.root) | {"MEDANCHOR_VAULT": str(clinic.root / "vault"), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "medanchor", *map(str, words)]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=child, stderr=subprocess.PIPE)
    os.close(child)
    shown = b""
    try:
        while block := os.read(parent, 1 << 16):
            shown += block
    except OSError:  # how a terminal says that its last writer has gone
        pass
    finally:
        os.close(parent)
    _, errors = process.communicate(timeout=60)
    assert not any(secret in errors.decode() for secret in SECRETS)
    return shown.decode()


@pytest.mark.parametrize("name", CHANGES)
def test_without_a_terminal_only_places_are_told(clinic, name):
    for done in (
        clinic.verify(clinic.path(name), "--against", original(clinic, name)),
        clinic.prove(clinic.path(name), f"{name}.medproof", "--against", original(clinic, name)),
    ):
        assert done.code == 4
        silent(done, *SECRETS)
        places = [line for line in done.out.splitlines() if line.startswith("differs: ")]
        assert all(any(place in line for line in places) for place in PLACES[name]), places
        assert "what stands there is shown on a terminal only" in done.out.splitlines()
        assert not any(secret in line for secret in SECRETS for line in places)
        assert "is not what was stamped" not in done.out


@pytest.mark.parametrize("name", CHANGES)
def test_on_a_terminal_both_values_are_shown_side_by_side(clinic, name):
    shown = on_a_terminal(clinic, "verify", clinic.path(name), "--against", original(clinic, name))
    assert all(place in shown for place in PLACES[name])
    assert "original" in shown
    assert "in hand" in shown
    if name != "p.pdf":
        assert "Amended" in shown
    if name in ("o.json", "m.hl7"):
        assert any("5.10" in line and "5.20" in line for line in shown.splitlines())
    quiet = on_a_terminal(clinic, "verify", clinic.path(name), "--against", original(clinic, name), "--quiet")
    assert not any(secret in quiet for secret in SECRETS)


def test_an_original_that_was_not_stamped_is_no_evidence(clinic):
    other = clinic.put("../other.json", OBSERVATION.replace("final", "draft"))
    told = "mind: the original that was named is not what was stamped either: where it differs is no evidence"
    assert told in clinic.verify(clinic.path("o.json"), "--against", other).out.splitlines()
    assert told in clinic.prove(clinic.path("o.json"), "o.json.medproof", "--against", other).out.splitlines()
    stamped_but_another = original(clinic, "m.hl7")
    done = clinic.prove(clinic.path("o.json"), "o.json.medproof", "--against", stamped_but_another)
    assert told in done.out.splitlines()


def test_what_differs_in_nothing_that_is_covered(clinic):
    same = clinic.put("../same.json", OBSERVATION.replace('"versionId":"1"', '"versionId":"2"'))
    done = clinic.verify(same, "--against", original(clinic, "o.json"))
    assert (done.code, done.out.splitlines()[0]) == (
        0,
        "no difference in anything that is covered by more than its bytes",
    )


def test_many_differences_are_cut_short(clinic):
    lists = ('{"resourceType":"List","entry":[' + ",".join([value] * 999) + "]}" for value in ("1", "2"))
    before, after = (clinic.put(f"../{number}.json", text) for number, text in enumerate(lists))
    lines = clinic.verify(after, "--against", before).out.splitlines()
    assert len([line for line in lines if line.startswith("differs: ")]) <= 200


@pytest.mark.parametrize(
    "words",
    [
        ("o.json", "--against", "o.json", "--json"),
        ("o.json", "m.hl7", "--against", "o.json"),
        ("-", "--against", "o.json"),
        ("o.json", "--against", "nosuch"),
        ("o.json", "--against", "."),
        ("nosuch", "--against", "o.json"),
    ],
)
def test_what_cannot_be_compared(clinic, words, monkeypatch):
    monkeypatch.chdir(clinic.records)
    done = clinic.verify(*words)
    assert (done.code, done.out if "--json" not in words else "") == (2, "")
    assert not any(secret in done.err + done.out for secret in SECRETS)


def test_a_record_that_is_not_sound_any_more_is_compared_as_bytes_only_if_that_is_asked_for(clinic):
    broken = clinic.put("../broken.json", OBSERVATION[:-1])
    done = clinic.verify(broken, "--against", original(clinic, "o.json"))
    assert done.code == 2
    assert "--as bytes" in done.err
    silent(done)
    done = clinic.verify(broken, "--against", original(clinic, "o.json"), "--as", "bytes")
    assert (done.code, "differs: " in done.out) == (8, True)
    silent(done)
