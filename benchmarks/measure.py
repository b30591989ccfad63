"""Measuring: whole processes in turn (A B A B ...), medians, and the memory of a process with its children."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.1
Run = Callable[[], float]
"""Does the work once and returns the seconds it took."""


@dataclass(frozen=True)
class Pair:
    """Median seconds of ours and of the baseline, and the median of the ratios of runs beside each other."""

    ours: float
    baseline: float
    ratio: float


def in_turn(ours: Run, baseline: Run, runs: int) -> Pair:
    """Run the two in turn, `runs` times each: what slows the machine down for a while meets both."""
    pairs = [(ours(), baseline()) for _ in range(runs)]
    return Pair(
        statistics.median(mine for mine, _ in pairs),
        statistics.median(theirs for _, theirs in pairs),
        statistics.median(mine / theirs for mine, theirs in pairs),
    )


def command(*words: str | Path, prepare: Callable[[], object] | None = None, exits: Sequence[int] = (0,)) -> Run:
    """Return a run of a whole process, from start to exit; `prepare` is not timed."""

    def run() -> float:
        if prepare:
            prepare()
        start = time.perf_counter()
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode not in exits:
            sys.exit(f"{' '.join(map(str, words))} failed:\n{done.stderr.decode(errors='replace')}")
        return seconds

    return run


def task(name: str, *arguments: object) -> Run:
    """Return a run of a function of `tasks`, in a process of its own that times the work alone, not its start."""

    def run() -> float:
        words = [sys.executable, "-W", "ignore", "-m", "benchmarks.tasks", name, *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, check=False, text=True)
        if done.returncode:
            sys.exit(f"the task {name} failed:\n{done.stderr}")
        return float(done.stdout)

    return run


@dataclass
class Peak:
    """The most memory that a process and its children used, in bytes: all together, and the largest single one."""

    total: int = 0
    single: int = 0


def peak_memory(words: Sequence[str | Path]) -> tuple[Peak, float]:
    """Run a command and return its peak memory, and its seconds.

    `total` sums the proportional set sizes (pages that forked processes share are counted once), sampled ten times a
    second; `single` is the kernel's own high-water mark of one process, sampling apart.
    """
    peak, start = Peak(), time.perf_counter()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        ended = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, peak, ended))
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        ended.set()
        sampler.join()
    if process.returncode:
        sys.exit(f"{words} failed")
    peak.single = usage.ru_maxrss * 1024
    return peak, seconds


def _sample(pid: int, peak: Peak, ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        peak.total = max(peak.total, sum(_proportional(one) for one in _family(pid)))


def _family(pid: int) -> list[int]:
    """Return `pid` and its children's children's ..., as far as they still live."""
    family = [pid]
    for parent in family:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                family += map(int, children.read_text().split())
            except OSError:
                continue
    return family


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
