"""FHIR JSON for tests: a resource with everything that must show, real data where it is at hand, and judges."""

import json
from functools import cache
from pathlib import Path

import pytest

from medanchor.core.hashes import Hash, split_hashes
from medanchor.core.ladder import compare
from medanchor.records import fhir
from medanchor.records.document import Content, Kind
from medanchor.records.fhir_form import lexical
from medanchor.records.fhir_json import parse
from medanchor.records.fhir_quick import Parser

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

OBSERVATION = b"""{
  "resourceType": "Observation",
  "id": "hb-1",
  "meta": {
    "versionId": "1", "lastUpdated": "2026-11-20T08:00:00Z", "source": "#a1",
    "profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"],
    "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
  },
  "text": {"status": "generated", "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\">Hb low</div>"},
  "contained": [{"resourceType": "Practitioner", "id": "p", "name": [{"family": "Example", "given": ["Ada", "B."]}]}],
  "extension": [{"url": "http://clinic.example/device", "valueString": "K-7"}],
  "modifierExtension": [{"url": "http://clinic.example/entered-in-error", "valueBoolean": false}],
  "status": "final",
  "_status": {"extension": [{"url": "http://clinic.example/why", "valueCode": "checked"}]},
  "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}, {"system": "urn:oid:2.16", "code": "1"}]},
  "subject": {"reference": "Patient/17"},
  "performer": [{"reference": "#p"}],
  "effectiveDateTime": "2026-11-20T07:55:00+01:00",
  "valueQuantity": {"value": 5.10, "unit": "mmol/L"},
  "note": [{"text": "caf\xc3\xa9 \\ud83d\\ude00 / \\u2028"}]
}"""

BUNDLE = (
    b'{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":'
    + OBSERVATION
    + b'},{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Patient","id":"17","birthDate":"1970-01-01"}}]}'
)


def content(data):
    return fhir.read(data).content


def rung(before, after):
    return compare(content(before), content(after))


def contents(packed):
    """Return what is in packed contents, as (name, content)."""
    components = iter(split_hashes(bytes(packed.components)))
    found = []
    for name, kind, raw in zip(packed.names, packed.kinds, split_hashes(bytes(packed.raws)), strict=True):
        digests = tuple(Hash(next(components)) for _ in range(5)) if kind == Kind.FHIR else ()
        found.append((name, Content(Kind(kind), Hash(raw), digests)))
    assert not list(components)
    return found


def exact(data, monkeypatch):
    """Return the content of `data` as it is read without the quick way."""
    with monkeypatch.context() as patch:
        patch.setattr(Parser, "quick", lambda *_: None)
        return fhir.read(data)


def minified(data):
    return lexical(parse(data))


def needs_data(folder):
    return pytest.mark.skipif(not (SHARED / folder).is_dir(), reason=f"there is no {folder} of the shared test data")


@cache
def lines():
    """Return all lines of the shared Bulk Data export."""
    files = sorted((SHARED / "fhir-bulk-10-patients").glob("*.ndjson"))
    return [line for file in files for line in file.read_bytes().splitlines()]


@cache
def bundles():
    """Return the shared Bundles."""
    return [file.read_bytes() for file in sorted((SHARED / "fhir-r4-bundles").glob("*.json"))]


@cache
def resources():
    """Return every resource of every Bundle, and of the export, as bytes with all digits."""
    entries = [lexical(entry["resource"]) for data in bundles() for entry in parse(data)["entry"]]
    return entries + lines()


def respelled(data):
    """Say whether a number in `data` is spelled otherwise than ECMAScript would."""
    found = []

    def spelled(token):
        found.append(token != repr(float(token)).removesuffix(".0"))

    json.loads(data, parse_float=spelled)
    return any(found)
