"""The summary of the visit: a C-CDA R2.1 Continuity of Care Document, filled into `ccda.xml`."""

from html import escape
from pathlib import Path
from string import Template

import visit
from visit import Result, hl7_time, uuid_of

_FLAGS = {"N": "Normal", "H": "High", "L": "Low"}

_ROW = Template("""\
              <tr ID="result-$loinc"><td>$name</td><td>$value $unit</td><td>$low to $high</td><td>$flag_name</td></tr>
""")

_COMPONENT = Template("""\
              <component>
                <observation classCode="OBS" moodCode="EVN">
                  <templateId root="2.16.840.1.113883.10.20.22.4.2"/>
                  <templateId root="2.16.840.1.113883.10.20.22.4.2" extension="2015-08-01"/>
                  <id root="$id"/>
                  <code code="$loinc" codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC" displayName="$name"/>
                  <text><reference value="#result-$loinc"/></text>
                  <statusCode code="completed"/>
                  <effectiveTime value="$sampled"/>
                  <value xsi:type="PQ" value="$value" unit="$unit"/>
                  <interpretationCode code="$flag" codeSystem="2.16.840.1.113883.5.83" displayName="$flag_name"/>
                  <referenceRange>
                    <observationRange>
                      <value xsi:type="IVL_PQ">
                        <low value="$low" unit="$unit"/>
                        <high value="$high" unit="$unit"/>
                      </value>
                    </observationRange>
                  </referenceRange>
                </observation>
              </component>
""")


def document() -> bytes:
    """Return the document."""
    words = {name: escape(value) for name, value in _facts().items()}
    words["result_rows"] = "".join(_ROW.substitute(_result(result)) for result in visit.RESULTS).rstrip()
    words["result_components"] = "".join(_COMPONENT.substitute(_result(result)) for result in visit.RESULTS).rstrip()
    template = Template(Path(__file__).with_name("ccda.xml").read_text(encoding="utf-8"))
    return template.substitute(words).encode("utf-8")


def _facts() -> dict[str, str]:
    """Return what the template asks for by name."""
    identifiers = ("document", "concern", "problem", "report", "organization", "practitioner")
    return {
        **{f"{name}_id": str(uuid_of(name)) for name in identifiers},
        **visit.ADDRESS._asdict(),
        "oid": visit.EXAMPLE_OID,
        "notice": visit.NOTICE,
        "patient_family": visit.PATIENT.family,
        "patient_given": visit.PATIENT.given,
        "patient_number": visit.PATIENT.number,
        "doctor_family": visit.CLINICIAN.family,
        "doctor_given": visit.CLINICIAN.given,
        "doctor_number": visit.CLINICIAN.number,
        "clinic": visit.CLINIC,
        "telephone": visit.TELEPHONE,
        "visit_number": visit.VISIT_NUMBER,
        "born": f"{visit.BORN:%Y%m%d}",
        "fell_ill": f"{visit.FELL_ILL:%Y%m%d}",
        "recovered": f"{visit.RECOVERED:%Y%m%d}",
        "arrived": hl7_time(visit.ARRIVED),
        "left": hl7_time(visit.LEFT),
        "sampled": hl7_time(visit.SAMPLED),
        "written": hl7_time(visit.WRITTEN),
        "history": visit.HISTORY,
        "finding": visit.FINDING,
        "assessment": visit.ASSESSMENT,
    }


def _result(result: Result) -> dict[str, str]:
    words = {**result._asdict(), "flag": result.flag, "flag_name": _FLAGS[result.flag]}
    words |= {"id": str(uuid_of(result.loinc)), "sampled": hl7_time(visit.SAMPLED)}
    return {name: escape(value) for name, value in words.items()}
