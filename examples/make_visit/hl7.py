"""The laboratory's message: HL7 v2.5.1, ORU^R01."""

import visit
from visit import Result, hl7_time

_ASSIGNER = f"{visit.CLINIC}&{visit.EXAMPLE_OID}&ISO"
_DOCTOR = f"{visit.CLINICIAN.number}^{visit.CLINICIAN.family}^{visit.CLINICIAN.given}^^^Dr"


def message() -> bytes:
    """Return the message; every segment ends with a carriage return, as HL7 v2 demands (v2.5.1, section 2.5.2)."""
    segments = [_header(), _patient(), _visit(), f"ORC|RE|{visit.ORDER_NUMBER}|{visit.ORDER_NUMBER}^LAB", _request()]
    segments.append(f"NTE|1|L|{visit.NOTICE}")
    segments += [_observation(number, result) for number, result in enumerate(visit.RESULTS, start=1)]
    return "".join(f"{segment}\r" for segment in segments).encode("ascii")


def _header() -> str:
    """Return MSH; processing id `T` says training, so that no receiver takes this for a patient's."""
    time = hl7_time(visit.REPORTED)
    return rf"MSH|^~\&|LAB|{visit.CLINIC}|EHR|{visit.CLINIC}|{time}||ORU^R01^ORU_R01|MESSAGE-0001|T|2.5.1"


def _patient() -> str:
    home = f"{visit.ADDRESS.street}^^{visit.ADDRESS.city}^{visit.ADDRESS.state}^{visit.ADDRESS.postal_code}^USA^H"
    who = f"{visit.PATIENT.number}^^^{_ASSIGNER}^MR||{visit.PATIENT.family}^{visit.PATIENT.given}^^^^^L"
    return f"PID|1||{who}||{visit.BORN:%Y%m%d}|F|||{home}"


def _visit() -> str:
    """Return PV1: outpatient, attending doctor (7), visit number (19), arrival (44) and departure (45)."""
    fields = {1: "1", 2: "O", 7: _DOCTOR, 19: f"{visit.VISIT_NUMBER}^^^{_ASSIGNER}^VN"}
    fields |= {44: hl7_time(visit.ARRIVED), 45: hl7_time(visit.LEFT)}
    return _segment("PV1", fields)


def _request() -> str:
    """Return OBR: what was asked for (4), when sampled (7), by whom (16), reported (22), section (24), final (25)."""
    fields = {1: "1", 2: visit.ORDER_NUMBER, 3: f"{visit.ORDER_NUMBER}^LAB", 4: "11502-2^Laboratory report^LN"}
    fields |= {7: hl7_time(visit.SAMPLED), 16: _DOCTOR, 22: hl7_time(visit.REPORTED), 24: "LAB", 25: "F"}
    return _segment("OBR", fields)


def _observation(number: int, result: Result) -> str:
    fields = {1: str(number), 2: "NM", 3: f"{result.loinc}^{result.name}^LN", 5: result.value}
    fields |= {6: f"{result.unit}^^UCUM", 7: f"{result.low}-{result.high}", 8: result.flag, 11: "F"}
    return _segment("OBX", fields | {14: hl7_time(visit.SAMPLED)})


def _segment(name: str, fields: dict[int, str]) -> str:
    """Return a segment from its numbered fields; the ones between stay empty."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])
