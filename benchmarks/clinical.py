"""The rows of clinical formats: components of FHIR, and how long documents of the other kinds take to read."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.measure import command, in_turn, peak_memory, task

if TYPE_CHECKING:
    from benchmarks.rows import Bench, Line

MEGABYTE = 1_000_000
SAMPLE = 20_000
"""So many lines the baseline takes, which is slow; its time is scaled to all."""

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
CCDA, EXPORT = SHARED / "ccda", SHARED / "fhir-bulk-10-patients"


def clinical(bench: "Bench") -> "Iterator[Line]":
    """Return the rows of clinical formats."""
    yield from _ndjson(bench)
    yield from _components(bench, f"{SAMPLE:,} of these", [data.observations(bench.root, SAMPLE)])
    yield from _components(bench, "the shared Bulk Data export", sorted(EXPORT.glob("*.ndjson")))
    yield from _documents("C-CDA documents", sorted(CCDA.glob("*.xml")))
    yield from _documents("pydicom's test files", _dicom_files())
    yield from _documents(
        f"HL7 batch of {100_000 // bench.shrink:,}", [data.messages(bench.root, 100_000 // bench.shrink)]
    )


def _ndjson(bench: "Bench") -> "Iterator[Line]":
    from benchmarks.rows import MEDANCHOR, Line, faster, missing

    count = 1_000_000 // bench.shrink
    path = data.observations(bench.root, count)
    size = path.stat().st_size
    stamp = [*MEDANCHOR, "stamp", path, "--vault", bench.root / "vault", "--quiet"]
    what = f"stamp NDJSON of {count:,} Observations ({size / MEGABYTE:,.0f} MB), all components"
    if absent := missing("rfc8785"):
        yield Line(what, "", absent, "", "≥ 6x faster", "")
    else:
        sample = min(SAMPLE, count)
        canonical = task("canonical_rfc8785", path, sample)
        pair = in_turn(command(*stamp, prepare=bench.vault), lambda: canonical() * count / sample, bench.runs)
        yield faster(what, pair, f"rfc8785, {sample:,} lines, scaled", "≥ 6x faster", "")
    bench.vault()
    peak, _ = peak_memory(stamp)
    memory = f"{peak.total / MEGABYTE:.0f} MB; largest process {peak.single / MEGABYTE:.0f} MB"
    yield Line("peak memory of that", memory, "-", "", "≤ 600 MB", "")


def _components(bench: "Bench", what: str, paths: Sequence[Path]) -> "Iterator[Line]":
    """Return the line of all five components against the lexical form alone, of the lines of `paths`, one process."""
    from benchmarks.rows import Line

    if not paths:
        yield Line(f"the five components of {what}", "", "not measured: it is not here", "", "", "")
        return
    pair = in_turn(task("components_medanchor", *paths), task("lexical_json", *paths), bench.runs)
    size = sum(path.stat().st_size for path in paths)
    yield Line(
        f"the five components of {what} ({size / MEGABYTE:.0f} MB), one process",
        f"{size / pair.ours / MEGABYTE:.0f} MB/s",
        f"json with hooks, orjson.Fragment, the lexical form alone: {size / pair.baseline / MEGABYTE:.0f} MB/s",
        f"{1 / pair.ratio:.2f} of its speed",
        "≥ 60 MB/s where that makes 160: 0.38",
        "",
    )


def _documents(what: str, paths: Sequence[Path]) -> "Iterator[Line]":
    from benchmarks.rows import Line

    if not paths:
        yield Line(f"read {what}", "", "not measured: they are not here", "", "", "")
        return
    size = sum(path.stat().st_size for path in paths)
    run = task("read_documents", *paths)
    seconds = statistics.median(run() for _ in range(3))
    told = f"{seconds:.2f} s; {size / seconds / MEGABYTE:.0f} MB/s"
    yield Line(f"read {what}: {len(paths)} of {size / MEGABYTE:.1f} MB, one process", told, "-", "", "", "")


def _dicom_files() -> list[Path]:
    from pydicom import data as samples

    root = Path(samples.__file__).parent / "test_files"
    return sorted(path for path in root.rglob("*.dcm") if path.read_bytes()[128:132] == b"DICM")
