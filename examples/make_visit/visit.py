"""The facts of one made-up clinic visit, told by every format in this folder.

Nothing here is about a real person: the names say so, the numbers come from ranges kept free for examples (the HL7
example OID, the 555-01xx telephone numbers, the `.example` domain), and formats with a mark for test data carry it.
"""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

_EASTERN = timezone(timedelta(hours=-5))

EXAMPLE_OID = "2.16.840.1.113883.19.5"  # HL7's own root for examples
NOTICE = "Synthetic example data: no real person, clinic or result."


class Person(NamedTuple):
    """A name, and the number the clinic knows it by."""

    family: str
    given: str
    number: str


class Address(NamedTuple):
    """Where the clinic is, and, for brevity, where the patient lives."""

    street: str
    city: str
    state: str
    postal_code: str


class Result(NamedTuple):
    """One laboratory result; values are text, because 5.10 and 5.1 do not say the same."""

    loinc: str
    name: str
    short_name: str
    value: str
    unit: str  # UCUM
    low: str
    high: str

    @property
    def flag(self) -> str:
        """Return `L`, `H` or `N`: below, above or within the reference range (HL7 table 0078)."""
        if float(self.value) < float(self.low):
            return "L"
        return "H" if float(self.value) > float(self.high) else "N"


PATIENT = Person("Test-Patient", "Example", "TEST-0001")
BORN = date(1970, 1, 1)
CLINICIAN = Person("Example", "A.", "EXAMPLE-DOCTOR")
CLINIC = "Example Clinic"
ADDRESS = Address("1 Example Street", "Exampletown", "MA", "00000")
TELEPHONE = "+1-202-555-0100"
VISIT_NUMBER = "VISIT-0001"
ORDER_NUMBER = "ORDER-0001"
IMAGE_NUMBER = "IMAGE-0001"

ARRIVED = datetime(2026, 11, 21, 9, 0, tzinfo=_EASTERN)
SAMPLED = datetime(2026, 11, 21, 9, 10, tzinfo=_EASTERN)
IMAGED = datetime(2026, 11, 21, 9, 20, tzinfo=_EASTERN)
LEFT = datetime(2026, 11, 21, 9, 40, tzinfo=_EASTERN)
REPORTED = datetime(2026, 11, 21, 10, 5, tzinfo=_EASTERN)
WRITTEN = datetime(2026, 11, 21, 10, 30, tzinfo=_EASTERN)
FELL_ILL = date(2026, 10, 5)
RECOVERED = date(2026, 10, 24)

RESULTS = (
    Result("1988-5", "C reactive protein [Mass/volume] in Serum or Plasma", "CRP", "5.10", "mg/L", "0.00", "5.00"),
    Result(
        "6690-2",
        "Leukocytes [#/volume] in Blood by Automated count",
        "Leukocytes",
        "7.30",
        "10*3/uL",
        "4.00",
        "11.00",
    ),
    Result("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "Potassium", "4.20", "mmol/L", "3.50", "5.00"),
    Result("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "Creatinine", "0.80", "mg/dL", "0.50", "1.10"),
)

HISTORY = (
    "Seen for a check six weeks after pneumonia, which was treated at home. No cough, no fever; "
    "back at work for two weeks."
)
FINDING = "Chest image: both lungs clear, nothing left of the earlier shadow."
ASSESSMENT = "Pneumonia, resolved. The CRP is just above its range; to be repeated in four weeks."


def uuid_of(name: str) -> UUID:
    """Return the UUID of one thing of this visit: the same name gives the same UUID at every run."""
    return uuid5(NAMESPACE_URL, f"https://clinic.example/visit-2026-11-21/{name}")


def dicom_uid(name: str) -> str:
    """Return the same UUID as a DICOM UID (DICOM PS3.5, annex B.2)."""
    return f"2.25.{uuid_of(name).int}"


def hl7_time(moment: datetime) -> str:
    """Return a time as HL7 v2 and C-CDA write it: `20261121091000-0500`."""
    return moment.strftime("%Y%m%d%H%M%S%z")


def pdf_time(moment: datetime) -> str:
    """Return a time as PDF writes it, in UTC: `D:20261121141000Z`."""
    return moment.astimezone(UTC).strftime("D:%Y%m%d%H%M%SZ")
