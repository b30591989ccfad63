"""The rows of clinical formats: components of FHIR, and how long documents of the other kinds take to read."""

import importlib.util
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.measure import peak_memory, task

if TYPE_CHECKING:
    from benchmarks.rows import Bench, Line

MEGABYTE = 1_000_000
SAMPLE = 20_000
"""So many lines the baseline takes, which is slow; its time is scaled to all."""

CCDA = Path(__file__).parents[1].parent / "shared" / "data" / "ccda"


def clinical(bench: "Bench") -> "Iterator[Line]":
    """Return the rows of clinical formats."""
    yield from _ndjson(bench)
    yield from _documents("C-CDA documents", sorted(CCDA.glob("*.xml")))
    yield from _documents("pydicom's test files", _dicom_files())
    yield from _documents(
        f"HL7 batch of {100_000 // bench.shrink:,}", [data.messages(bench.root, 100_000 // bench.shrink)]
    )


def _ndjson(bench: "Bench") -> "Iterator[Line]":
    from benchmarks.rows import MEDANCHOR, Line

    count = 1_000_000 // bench.shrink
    path = data.observations(bench.root, count)
    vault = bench.vault()
    peak, ours = peak_memory([*MEDANCHOR, "stamp", path, "--vault", vault, "--quiet"])
    size = path.stat().st_size
    what = f"stamp NDJSON of {count:,} Observations ({size / MEGABYTE:,.0f} MB), all components"
    memory = f"{ours:.1f} s; {peak.total / MEGABYTE:.0f} MB"
    sample = min(SAMPLE, count)
    if importlib.util.find_spec("rfc8785") is None:
        yield Line(what, memory, "not measured: rfc8785 not installed", "", "≥ 6x faster, ≤ 600 MB", "")
    else:
        run = task("canonical_rfc8785", path, sample)
        theirs = statistics.median(run() for _ in range(bench.runs)) * count / sample
        baseline = f"rfc8785, {sample:,} lines, scaled: {theirs:.0f} s"
        yield Line(what, memory, baseline, f"{theirs / ours:.1f}x faster", "≥ 6x faster, ≤ 600 MB", "")
    run = task("components_medanchor", path, sample)
    seconds = statistics.median(run() for _ in range(bench.runs))
    rate = size * sample / count / seconds / MEGABYTE
    yield Line("the five components of these, one process", f"{rate:.0f} MB/s", "-", "", "≥ 60 MB/s", "160 MB/s")


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
