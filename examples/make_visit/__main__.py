"""Write the records of a made-up clinic visit: `python examples/make_visit FOLDER`.

Standard library only. Running it again writes the same bytes: no clock, no randomness, no machine's language.
"""

import sys
from pathlib import Path

import ccda
import dicom
import fhir
import hl7
import pdf

_RECORDS = {
    "chest-image.dcm": dicom.file,
    "lab-results.hl7": hl7.message,
    "record.fhir.json": fhir.bundle,
    "summary.ccda.xml": ccda.document,
    "visit-letter.pdf": pdf.letter,
}


def main(arguments: list[str]) -> int:
    """Write every record into the folder named, and return the exit code."""
    if len(arguments) != 1:
        print("usage: python examples/make_visit FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in _RECORDS.items():
        (folder / name).write_bytes(make())
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
