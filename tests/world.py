"""The world of a made-up user: their surroundings, their records, their vault."""

import os
from dataclasses import dataclass
from pathlib import Path

RECORDS = {
    "image.dcm": b"\0" * 128 + b"DICM made up",
    "letter.txt": b"Dear colleague, all is well.\n",
    "results.hl7": b"MSH|^~\\&|LAB|EXAMPLE\rPID|1||TEST\r",
}


@dataclass(frozen=True)
class World:
    """A user's directory: `visit/` with three records, `vault/` where they were stamped, `proofs/` of them."""

    root: Path
    visit: Path
    vault: Path
    proofs: Path


def write_visit(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in RECORDS.items():
        (folder / name).write_bytes(content)
    return folder


def surroundings(home: Path) -> dict[str, str]:
    """Return the environment of a user who never used medanchor, with a terminal of the usual width."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDANCHOR_", "XDG_", "LC_"))}
    for name in ("TERM", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "TERMINAL_WIDTH", "_TYPER_COMPLETE_ARGS"):
        kept.pop(name, None)
    return kept | {"HOME": str(home), "LANG": "C.UTF-8", "LOGNAME": "tester", "COLUMNS": "80"}
