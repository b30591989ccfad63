"""The records that are measured: random bytes, made once, kept if the folder was named by the user."""

import json
import random
import uuid
from pathlib import Path

FOLDERS = 100
BLOCK = 1 << 20


def records(root: Path, count: int, size: int) -> Path:
    """Return a folder of `count` records of `size` bytes each, spread over a hundred folders."""
    folder = root / f"records-{count}x{size}"
    if not _finished(folder).exists():
        source = random.Random(count * size)  # noqa: S311 - contents, not secrets
        for number in range(count):
            if number < FOLDERS:
                (folder / f"ward-{number:02}").mkdir(parents=True, exist_ok=True)
            (folder / f"ward-{number % FOLDERS:02}" / f"record-{number:07}.bin").write_bytes(source.randbytes(size))
        _finished(folder).touch()
    return folder


def big_file(root: Path, size: int) -> Path:
    """Return one record of `size` bytes."""
    path = root / f"record-{size}.bin"
    if not _finished(path).exists():
        source = random.Random(size)  # noqa: S311 - as above
        with path.open("wb") as file:
            for _ in range(size // BLOCK):
                file.write(source.randbytes(BLOCK))
        _finished(path).touch()
    return path


def observations(root: Path, count: int) -> Path:
    """Return NDJSON of `count` FHIR Observations, about a kilobyte each, as a server exports them; none of a person."""
    path = root / f"Observation-{count}.ndjson"
    if not _finished(path).exists():
        source = random.Random(count)  # noqa: S311 - as above
        with path.open("w", encoding="ascii") as file:
            for _ in range(count):
                file.write(json.dumps(_observation(source), separators=(",", ":")) + "\n")
        _finished(path).touch()
    return path


def _observation(source: random.Random) -> dict[str, object]:
    def identity() -> str:
        return str(uuid.UUID(int=source.getrandbits(128), version=4))

    day = f"20{source.randrange(10, 26)}-{source.randrange(1, 13):02}-{source.randrange(1, 29):02}"
    code, name, unit, low, high = source.choice(_TESTS)
    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
    profile = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"
    return {
        "resourceType": "Observation",
        "id": identity(),
        "meta": {"versionId": "1", "lastUpdated": f"{day}T22:10:04.118+00:00", "profile": [profile]},
        "status": "final",
        "category": [{"coding": [category | {"display": "Laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": name}], "text": name},
        "subject": {"reference": f"Patient/{identity()}"},
        "encounter": {"reference": f"Encounter/{identity()}"},
        "effectiveDateTime": f"{day}T{source.randrange(24):02}:{source.randrange(60):02}:00+00:00",
        "issued": f"{day}T23:59:59.000+00:00",
        "performer": [{"reference": f"Practitioner/{identity()}"}],
        "valueQuantity": {
            "value": round(source.uniform(low, high), source.randrange(4)),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


_TESTS = (
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 120, 280),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 4, 12),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 0.4, 3),
    ("8302-2", "Body height", "cm", 45, 210),
)


def messages(root: Path, count: int) -> Path:
    """Return a batch of `count` HL7 v2 results; none of a person."""
    path = root / f"batch-{count}.hl7"
    if not _finished(path).exists():
        with path.open("w", encoding="ascii") as file:
            file.write("FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r")
            for number in range(count):
                file.write(f"MSH|^~\\&|LAB|A|EHR|B|20260101120000||ORU^R01|{number}|P|2.5.1\rPID|1||{number}^^^A\r")
                file.write(
                    f"OBR|1|{number}||2093-3^Cholesterol^LN\rOBX|1|NM|2093-3^Cholesterol^LN||{number % 300}|mg/dL\r"
                )
            file.write(f"BTS|{count}\rFTS|1\r")
        _finished(path).touch()
    return path


def _finished(path: Path) -> Path:
    return path.with_name(f"{path.name}.complete")
