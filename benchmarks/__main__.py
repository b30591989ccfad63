"""`python -m benchmarks`: measure, and print the table of the README."""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rows import ROWS, Bench

PEERS = ("medanchor", "opentimestamps", "opentimestamps-client", "pymerkle", "merkletools")
HEAD = "| what | medanchor | baseline | ratio | must | aim |\n|---|---|---|---|---|---|"
QUICK_SHRINK = 10


def main() -> None:
    """Measure the rows that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="measure only these")
    parser.add_argument("--quick", action="store_true", help="a tenth of the records, once each: for trying out")
    parser.add_argument("--runs", type=int, default=5, help="runs of each command; the median counts (default: 5)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where to make the records, and to keep them (9 GB)")
    chosen = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("MEDANCHOR_")]:
        del os.environ[name]  # what this user has set up is not what is measured
    print(f"{machine()}\n\n{HEAD}", flush=True)
    with folder(chosen.data) as root:
        os.environ["XDG_DATA_HOME"] = str(root / "no-vault-here")
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        bench = Bench(root, 1 if chosen.quick else chosen.runs, QUICK_SHRINK if chosen.quick else 1)
        for name in chosen.rows:
            for line in ROWS[name](bench):
                cells = (line.what, line.ours, line.baseline, line.ratio, line.must, line.aim)
                print(f"| {' | '.join(cells)} |", flush=True)


@contextmanager
def folder(named: Path | None) -> Iterator[Path]:
    """Give the folder that was named, or one that is removed at the end."""
    if named:
        named.mkdir(parents=True, exist_ok=True)
        yield named.absolute()
    else:
        with tempfile.TemporaryDirectory(prefix="medanchor-benchmarks-") as made:
            yield Path(made)


def machine() -> str:
    """Return one sentence on what this was measured on and with."""
    openssl = subprocess.run(["openssl", "version"], capture_output=True, check=True, text=True).stdout.split("(")[0]
    software = [f"Python {platform.python_version()}", openssl.strip(), *filter(None, map(version, PEERS))]
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; {', '.join(software)}."


def processor() -> str:
    """Return the processor's name as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def version(package: str) -> str:
    """Return a package's name and version, or that it is not installed."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"


main()
