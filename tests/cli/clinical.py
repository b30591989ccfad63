"""Small clinical records, made up here, and a world in which they were stamped, anchored and exported."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from transcript import Transcript, run
from world import surroundings

NAME = "Canaryson"
"""Stands for whatever must not end up in a log: every record has it, and so have the names of some files."""

OBSERVATION = (
    '{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00Z",'
    '"source":"#a","security":[{"code":"R"}],"tag":[{"code":"t"}]},"text":{"status":"generated",'
    '"div":"<div>Glucose of Canaryson</div>"},"contained":[{"resourceType":"Patient","id":"p","active":true}],'
    '"extension":[{"url":"http://a.example","valueString":"é/ü"}],"status":"final","_status":{"id":"s"},'
    '"category":[{"text":"lab"},{"text":"blood"}],"code":{"text":"Glucose"},"subject":{"reference":"#p"},'
    '"valueQuantity":{"value":5.10,"unit":"mmol/L"}}'
)

HL7 = (
    "MSH|^~\\&|LAB|NORTH|EHR|NORTH|20260503160000||ORU^R01|MSG00002|P|2.5.1\r"
    "PID|1||100042^^^NORTH^MR||Canaryson^ADA\r"
    "OBX|1|NM|2093-3^Cholesterol^LN||5.10|mmol/L|<5.0|H|||F\r"
)

XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3" classCode="DOCCLIN" '
    'moodCode="EVN"><title>Canaryson</title><section><text>No fever.</text></section></ClinicalDocument>'
)

PDF = b"%PDF-1.7\nCanaryson\n%%EOF\n"


def dicom(*, patient: str = "Canaryson^Ada", pixels: bytes = bytes(range(16)), implicit: bool = False) -> bytes:
    """Return an image of 4 by 4 pixels."""
    data_set = pydicom.Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    data_set.PatientName, data_set.Rows, data_set.Columns = patient, 4, 4
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 8, 8, 7, 0
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation, data_set.PixelData = 1, "MONOCHROME2", pixels
    data_set["PixelData"].VR = "OW" if implicit else "OB"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    stream = io.BytesIO()
    data_set.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def rewritten(text: str, *, sort: bool = True, indent: int | None = 2) -> bytes:
    """Return JSON as another program writes it: other order, spaces and escapes, numbers as they were."""
    kept = json.loads(text, parse_float=lambda digits: f"\0{digits}\0", parse_int=lambda digits: f"\0{digits}\0")
    written = json.dumps(kept, sort_keys=sort, indent=indent)
    return written.replace('"\\u0000', "").replace('\\u0000"', "").encode()


def device(number: int, **more: object) -> str:
    """Return a small resource on one line."""
    text = {"status": "generated", "div": f"<div>{NAME}</div>"}
    return json.dumps({"resourceType": "Device", "id": f"d{number}", "text": text, "lotNumber": f"{number:03}", **more})


def bundle(*resources: str, method: str = "PUT") -> str:
    """Return a transaction."""
    entries = (
        f'{{"fullUrl":"urn:{index}","resource":{resource},"request":{{"method":"{method}","url":"Device/{index}"}}}}'
        for index, resource in enumerate(resources)
    )
    return f'{{"resourceType":"Bundle","type":"transaction","entry":[{",".join(entries)}]}}'


@dataclass(frozen=True)
class Clinic:
    """A directory with records in `records`, the vault where they were stamped, proofs of them, block headers."""

    root: Path

    @property
    def records(self) -> Path:
        return self.root / "records"

    @property
    def proofs(self) -> Path:
        return self.root / "proofs"

    def path(self, name: str) -> Path:
        return self.records / name

    def put(self, name: str, content: str | bytes) -> Path:
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        return self.path(name)

    def put_all(self, **files: str | bytes) -> None:
        for name, content in files.items():
            self.put(name.replace("__", "."), content)

    def run(self, *words: str | Path, stdin: bytes | None = None) -> Transcript:
        env = surroundings(self.root) | {"MEDANCHOR_VAULT": str(self.root / "vault")}
        return run(*words, env=env, stdin=stdin)

    def elsewhere(self, *words: str | Path, stdin: bytes | None = None) -> Transcript:
        """Run a command where there is no vault."""
        return run(*words, env=surroundings(self.root / "nobody"), stdin=stdin)

    def verify(self, *words: str | Path) -> Transcript:
        return self.run("verify", *words)

    def prove(self, record: str | Path, proof: str, *words: str, stdin: bytes | None = None) -> Transcript:
        """Verify with a proof and block headers, and nothing else."""
        known = ("--headers", self.root / "headers.bin")
        return self.elsewhere("verify", record, "--proof", self.proofs / proof, *known, *words, stdin=stdin)

    def stamp(self, *words: str) -> Transcript:
        """Stamp and anchor all records, and export their proofs."""
        done = self.run("stamp", self.records, "--anchor", *words)
        assert done.code == 0, done.err
        done = self.run("proof", "export", self.records, "-o", self.proofs, "--inside", "--force")
        assert done.code == 0, done.err
        (self.root / "headers.bin").unlink(missing_ok=True)
        assert self.run("chain", "export", self.root / "headers.bin").code == 0
        return done


def only(done: Transcript) -> dict:
    """Return the one record in what `verify --json` printed, and check that it ends as it says."""
    (record,) = done.json["records"]
    assert (done.code, done.err) == (record["exit"], "")
    return record


def silent(done: Transcript, *secrets: str) -> None:
    """Check that nothing of a record, and no name of a file, is where logs are made from."""
    for secret in (NAME, *secrets):
        assert secret not in done.err, secret
