"""Runs of medanchor that are killed or refused at a chosen system call, and what must hold afterwards.

The method is Tessera's: one run under strace enumerates the calls that change what the vault keeps, then each of them
gets a run of its own in which exactly that call is where it ends, or where the disk is full.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from medanchor.chain.embedded import EmbeddedChain
from medanchor.core.commitment import payload
from medanchor.core.transaction import anchored_payload, strip_witness
from medanchor.errors import MedanchorError
from medanchor.notary.vaults import CHAIN
from medanchor.vault.anchors import list_anchors
from medanchor.vault.bundles import all_folders, count_records, stamped_in
from medanchor.vault.private import DRAFT
from medanchor.vault.store import Store

KILLED = -9
CHANGING = (
    "write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,ftruncate,fallocate,"
    "mkdir,mkdirat,link,linkat"
)
STORED = {"medanchor.db", "lock", "anchor.lock", "config.toml", "keys", "chain"}
"""What lies in a vault when no command is running; SQLite's log is folded in by the last one to leave."""


def need_strace() -> str:
    """Return the path of strace. In CI its absence is a failure, as the promises these tests hold are the point."""
    path = shutil.which("strace")
    if path is None:
        message = "strace is missing: apt-get install strace"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


class Event(NamedTuple):
    """One system call of a run on a file in the vault (`path`: relative to the vault's parent).

    It is the `nth` of its kind in the main thread, or, in the database engine's own thread, the `nth` on that file.
    Threads race and number their files in the order they come, so only the main thread is sure to come by again.
    """

    call: str
    path: str
    nth: int
    main: bool

    def injection(self, parent: Path, effect: str) -> list[str]:
        """Return strace's arguments for `effect` at this call and nowhere else."""
        thread = [] if self.main else ["-f", "-P", str(parent / self.path)]
        return [*thread, "-e", f"trace={self.call}", "-e", f"inject={self.call}:{effect}:when={self.nth}"]


class Ran(NamedTuple):
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str

    def expect(self, *codes: int) -> "Ran":
        """Hold that it ended with one of `codes`, 0 unless told otherwise, and never with a traceback."""
        assert self.code in (codes or (0,)), self
        assert "Traceback" not in self.stderr, self.stderr
        return self


@dataclass
class Runner:
    """Runs medanchor: in a child of the zygote, or by a fresh Python as people do."""

    scratch: Path
    _zygote: "subprocess.Popen[str] | None" = None
    _strace: str = field(default_factory=need_strace)

    def run(self, vault: Path, *arguments: object, tracing: Sequence[str] = (), kill_after: float | None = None) -> Ran:
        """Return how a run ended that traces with `tracing`, or is killed after `kill_after` seconds."""
        if self._zygote is None:
            script = Path(__file__).with_name("zygote.py")
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self._zygote = subprocess.Popen([sys.executable, str(script)], cwd=self.scratch, **pipes)
        job = {
            "arguments": [str(argument) for argument in arguments],
            "environment": {"MEDANCHOR_VAULT": str(vault)},
            "tracer": [self._strace, "-o", "/dev/null", *tracing] if tracing else None,
            "kill_after": kill_after,
            "stdout": str(self.scratch / "stdout"),
            "stderr": str(self.scratch / "stderr"),
        }
        print(json.dumps(job), file=self._zygote.stdin, flush=True)
        answer = json.loads(self._zygote.stdout.readline())
        texts = [(self.scratch / name).read_text(errors="replace") for name in ("stdout", "stderr")]
        return Ran(answer["code"], *texts)

    def run_fresh(self, vault: Path, *arguments: object, tracing: Sequence[str] = ()) -> Ran:
        """Return how the real command line ended, started as people start it."""
        tracer = [self._strace, "-qq", "-o", "/dev/null", *tracing] if tracing else []
        return self._command(vault, [*tracer, sys.executable, "-m", "medanchor", *map(str, arguments)])

    def events(self, vault: Path, *arguments: object) -> list[Event]:
        """Return the calls by which a run changes what lies in the vault or beside it, in order; it must end well."""
        log = self.scratch / "calls"
        tracer = [self._strace, "-f", "--seccomp-bpf", "-qq", "-y", "-o", str(log), "-e", f"trace={CHANGING}"]
        self._command(vault, [*tracer, sys.executable, "-m", "medanchor", *map(str, arguments)]).expect()
        return list(_parse(log.read_text(errors="replace"), vault.parent))

    def _command(self, vault: Path, command: list[str]) -> Ran:
        environment = {**os.environ, "MEDANCHOR_VAULT": str(vault)}
        done = subprocess.run(
            command, cwd=self.scratch, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.stdin.close()
            self._zygote.stdout.close()
            self._zygote.wait()


_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_PATH = re.compile(r'"(/[^"]*)"|\d+<(/[^>]*)>')


def _parse(log: str, parent: Path) -> Iterator[Event]:
    counts: Counter[tuple[str, ...]] = Counter()
    main = log.partition(" ")[0]
    for thread, call, arguments in _LINE.findall(log):
        path = _PATH.search(arguments)
        name = (path[1] or path[2]).removesuffix(" (deleted)") if path else ""
        key = (call,) if thread == main else (call, name)
        counts[key] += 1
        if name.startswith(f"{parent}/") and "EEXIST" not in arguments:
            yield Event(call, str(Path(name).relative_to(parent)), counts[key], thread == main)


def copy_vault(source: Path, target: Path) -> Path:
    """Return `target`, now a copy of the vault `source`; its preallocated block files stay the holes that they are."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)
    return target


def chain_of(vault: Path, confirmations: int = 6) -> EmbeddedChain:
    """Return the vault's chain."""
    import time

    return EmbeddedChain(vault / CHAIN, now=lambda: int(time.time()), confirmations=confirmations)


def payloads(vault: Path) -> Counter[bytes]:
    """Return how often each anchored payload stands in the best chain, every block read."""
    found: Counter[bytes] = Counter()
    with chain_of(vault)._opened() as kernel:
        for height in range(102, kernel.height + 1):
            for transaction in kernel.transactions(height)[1:]:
                try:
                    found[anchored_payload(strip_witness(transaction))] += 1
                except MedanchorError:
                    continue
    return found


def stamped(vault: Path) -> list[bytes]:
    """Return the paths that the vault has stamped, each as often as it has."""
    with Store(vault) as store:
        found = [
            bytes(Path(os.fsdecode(folder)) / os.fsdecode(name))
            for folder in all_folders(store)
            for part in stamped_in(store, folder)
            for name in part.names
        ]
        assert len(found) == sum(count_records(store, entry) for entry in range(store.size()))
    return sorted(found)


def records_in(*folders: Path) -> list[bytes]:
    """Return the paths of the records in `folders`."""
    return sorted(os.fsencode(path) for folder in folders for path in folder.rglob("*") if path.is_file())


def assert_anchored_once(vault: Path) -> None:
    """Hold that the newest head stands in the chain, that no head stands there twice, and none but the ledger's own."""
    found = payloads(vault)
    with Store(vault) as store:
        heads = {size: payload(store.head(size)) for size in range(1, store.size() + 1)}
        assert max(row.size for row in list_anchors(store) if row.evidence) == store.size()
    assert found[heads[max(heads)]] == 1
    assert set(found.values()) == {1}
    assert set(found) <= set(heads.values())


def age_drafts(folder: Path) -> int:
    """Make what killed runs left half made in `folder` look old, so that the next run takes it away; say how many."""
    drafts = list(folder.glob(f"{DRAFT}*"))
    for draft in drafts:
        os.utime(draft, (0, 0))
    return len(drafts)


def assert_tidy(vault: Path) -> None:
    """Hold that nothing is left over that a run made for itself: no draft, no log, no half a chain."""
    assert {path.name for path in vault.iterdir()} <= STORED
    assert {path.suffix for path in (vault / "keys").iterdir()} == {".key"}
    if (vault / CHAIN).exists():
        assert {path.name for path in (vault / CHAIN).iterdir()} <= {"lock", "regtest"}


def processes_of(vault: Path) -> list[int]:
    """Return the processes that were started for `vault`, by their environment."""
    mark = f"MEDANCHOR_VAULT={vault}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
