"""`medanchor verify --against`: where a record differs from its original, shown on a terminal and nowhere else."""

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.output import Output, plural
from medanchor.cli.records import read_input
from medanchor.errors import MalformedRecordError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medanchor.records.detect import Reading
    from medanchor.records.document import Difference

MOST = 200
"""So many differences are shown; who needs more of them has another record in hand."""

NOTHING = "-"

NOT_STAMPED = "mind: the original that was named is not what was stamped either: where it differs is no evidence"


def differences(record: Path, original: Path, reading: "Reading") -> "list[Difference]":
    """Return where `record` differs from `original`, both read as what they are. Raises UsageError."""
    from medanchor.records.detect import MAX_DICOM
    from medanchor.records.differ import differ_of

    before, after = (read_input(path, what="record", most=MAX_DICOM) for path in (original, record))
    if max(len(before), len(after)) > MAX_DICOM:
        raise UsageError(f"--against reads records of up to {MAX_DICOM >> 20} MiB", hint="compare them another way")
    try:
        return list(islice(differ_of(before, after, reading)(before, after), MOST + 1))
    except MalformedRecordError as error:
        raise UsageError(f"cannot compare the two: {error.message}", hint="--as bytes compares their bytes") from None


def tell_differences(record: Path, original: Path, reading: "Reading", out: Output) -> None:
    """Print where two records differ: what stands there too, but on a terminal only, as it may end up in no log."""
    found = differences(record, original, reading)
    shown, more = found[:MOST], len(found) - MOST
    if not found:
        out.result("no difference in anything that is covered by more than its bytes")
    elif out.quiet or not sys.stdout.isatty():
        places = (f"differs: {difference.place}" for difference in shown)
        out.result(*places, "what stands there is shown on a terminal only")
    else:
        _tell_side_by_side(shown)
    if more > 0:
        out.result(f"mind: these are the first {plural(MOST, 'difference')}; there are more")


def _tell_side_by_side(found: "Sequence[Difference]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from medanchor.cli.output import printable

    table = Table("where", "original", "in hand")
    for difference in found:
        values = (NOTHING if value is None else value for value in (difference.before, difference.after))
        table.add_row(*(Text(printable(value)) for value in (difference.place, *values)))
    Console().print(table)
