"""The visit as a FHIR R4 Bundle: what an electronic record system hands out."""

import json
import re
from datetime import datetime
from html import escape
from typing import Any

import visit
from visit import Result, uuid_of

_Resource = dict[str, Any]  # JSON: what may stand where is FHIR's business

_LOINC = "http://loinc.org"
_SNOMED = "http://snomed.info/sct"
_UCUM = "http://unitsofmeasure.org"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_DECIMAL = "decimal:"  # marks a text that has to stand in the file as a number, digit for digit


def bundle() -> bytes:
    """Return the Bundle, indented, with every decimal as the laboratory wrote it.

    Python's `json` would write 5.10 as 5.1, which in FHIR is another statement (R4, section 2.24.0.1, decimal).
    """
    resources = [_patient(), _practitioner(), _organization(), _encounter(), _condition()]
    resources += [*map(_observation, visit.RESULTS), _report(), _imaging_study()]
    text = json.dumps(_bundle(resources), indent=2, ensure_ascii=False)
    return (re.sub(rf'"{_DECIMAL}([0-9.]+)"', r"\1", text) + "\n").encode("utf-8")


def _bundle(resources: list[_Resource]) -> _Resource:
    return {
        "resourceType": "Bundle",
        "id": str(uuid_of("bundle")),
        "meta": _meta(visit.WRITTEN),
        "type": "collection",
        "timestamp": visit.WRITTEN.isoformat(),
        "entry": [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in resources],
    }


def _resource(kind: str, name: str, summary: str, /, **parts: object) -> _Resource:
    """Return a resource with the head that all of them have: id, meta, narrative."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{escape(summary)}</p></div>'
    head = {"resourceType": kind, "id": str(uuid_of(name)), "meta": _meta(visit.REPORTED)}
    return {**head, "text": {"status": "generated", "div": div}, **parts}


def _meta(updated: datetime) -> _Resource:
    """Return metadata: normal confidentiality, and HTEST, FHIR's label for test data."""
    labels = [
        {"system": f"{_TERMINOLOGY}/v3-Confidentiality", "code": "N", "display": "normal"},
        {"system": f"{_TERMINOLOGY}/v3-ActReason", "code": "HTEST", "display": "test health data"},
    ]
    return {"versionId": "1", "lastUpdated": updated.isoformat(), "security": labels}


def _patient() -> _Resource:
    who = visit.PATIENT
    return _resource(
        "Patient",
        "patient",
        f"{who.family}, {who.given}; born {visit.BORN}. {visit.NOTICE}",
        identifier=[_identifier(who.number)],
        active=True,
        name=[{"use": "official", "family": who.family, "given": [who.given]}],
        gender="female",
        birthDate=visit.BORN.isoformat(),
        address=[_address()],
    )


def _practitioner() -> _Resource:
    who = visit.CLINICIAN
    name = {"family": who.family, "given": [who.given], "prefix": ["Dr"]}
    summary = f"Dr {who.given} {who.family}"
    return _resource("Practitioner", "practitioner", summary, identifier=[_identifier(who.number)], name=[name])


def _organization() -> _Resource:
    telecom = [{"system": "phone", "value": visit.TELEPHONE}]
    return _resource(
        "Organization", "organization", visit.CLINIC, name=visit.CLINIC, telecom=telecom, address=[_address()]
    )


def _encounter() -> _Resource:
    return _resource(
        "Encounter",
        "encounter",
        visit.HISTORY,
        identifier=[_identifier(visit.VISIT_NUMBER)],
        status="finished",
        **{"class": {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"}},
        type=[_concept(_SNOMED, "390906007", "Follow-up encounter")],
        subject=_reference("patient"),
        participant=[{"individual": _reference("practitioner")}],
        period={"start": visit.ARRIVED.isoformat(), "end": visit.LEFT.isoformat()},
        serviceProvider=_reference("organization"),
    )


def _condition() -> _Resource:
    return _resource(
        "Condition",
        "condition",
        visit.ASSESSMENT,
        clinicalStatus=_concept(f"{_TERMINOLOGY}/condition-clinical", "resolved", "Resolved"),
        verificationStatus=_concept(f"{_TERMINOLOGY}/condition-ver-status", "confirmed", "Confirmed"),
        category=[_concept(f"{_TERMINOLOGY}/condition-category", "problem-list-item", "Problem List Item")],
        code=_concept(_SNOMED, "233604007", "Pneumonia"),
        subject=_reference("patient"),
        onsetDateTime=visit.FELL_ILL.isoformat(),
        abatementDateTime=visit.RECOVERED.isoformat(),
    )


def _observation(result: Result) -> _Resource:
    flag = {"N": "Normal", "H": "High", "L": "Low"}[result.flag]
    return _resource(
        "Observation",
        result.loinc,
        f"{result.name}: {result.value} {result.unit} ({result.low} to {result.high}), {flag.lower()}",
        status="final",
        category=[_concept(f"{_TERMINOLOGY}/observation-category", "laboratory", "Laboratory")],
        code=_concept(_LOINC, result.loinc, result.name),
        subject=_reference("patient"),
        encounter=_reference("encounter"),
        effectiveDateTime=visit.SAMPLED.isoformat(),
        issued=visit.REPORTED.isoformat(),
        performer=[_reference("organization")],
        valueQuantity=_quantity(result.value, result.unit),
        interpretation=[_concept(f"{_TERMINOLOGY}/v3-ObservationInterpretation", result.flag, flag)],
        referenceRange=[{"low": _quantity(result.low, result.unit), "high": _quantity(result.high, result.unit)}],
    )


def _report() -> _Resource:
    return _resource(
        "DiagnosticReport",
        "report",
        f"Laboratory report, {len(visit.RESULTS)} results",
        identifier=[_identifier(visit.ORDER_NUMBER)],
        status="final",
        category=[_concept(f"{_TERMINOLOGY}/v2-0074", "LAB", "Laboratory")],
        code=_concept(_LOINC, "11502-2", "Laboratory report"),
        subject=_reference("patient"),
        encounter=_reference("encounter"),
        effectiveDateTime=visit.SAMPLED.isoformat(),
        issued=visit.REPORTED.isoformat(),
        result=[_reference(result.loinc) for result in visit.RESULTS],
    )


def _imaging_study() -> _Resource:
    """Return the study that the DICOM file beside this one belongs to, by its UIDs."""
    modality = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "OT", "display": "Other"}
    sop_class = {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.7"}
    instance = {"uid": visit.dicom_uid("image"), "sopClass": sop_class, "number": 1}
    return _resource(
        "ImagingStudy",
        "imaging-study",
        visit.FINDING,
        identifier=[{"system": "urn:dicom:uid", "value": f"urn:oid:{visit.dicom_uid('study')}"}],
        status="available",
        subject=_reference("patient"),
        encounter=_reference("encounter"),
        started=visit.IMAGED.isoformat(),
        series=[{"uid": visit.dicom_uid("series"), "number": 1, "modality": modality, "instance": [instance]}],
    )


def _identifier(number: str) -> _Resource:
    return {"system": f"urn:oid:{visit.EXAMPLE_OID}", "value": number}


def _reference(name: str) -> _Resource:
    return {"reference": f"urn:uuid:{uuid_of(name)}"}


def _concept(system: str, code: str, display: str) -> _Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _quantity(value: str, unit: str) -> _Resource:
    return {"value": _DECIMAL + value, "unit": unit, "system": _UCUM, "code": unit}


def _address() -> _Resource:
    street, city, state, postal_code = visit.ADDRESS
    return {"line": [street], "city": city, "state": state, "postalCode": postal_code, "country": "US"}
