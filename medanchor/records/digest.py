"""Raw digests of records: SHA-256 of many files, by two processes where there are many.

Measured (benchmarks/): two forked processes beat threads for small files, and os.open/read/close beat open() by 1.7
times.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO

from medanchor.core.hashes import HASH_LENGTH, Hash
from medanchor.records.walk import Group, Problem, Severity, told

READ_BYTES = 1 << 16
"""Large enough that system calls cost nothing, small enough for the processor's cache: 1 MiB is a third slower."""

ALONE = 64
"""Up to so many records, starting processes costs more than it gains."""

LARGEST_TASK = 256
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""O_NONBLOCK: a file that became a named pipe meanwhile does not hang us."""

Task = list[Group]


@dataclass(frozen=True, slots=True)
class Hashed:
    """Records of one folder with their raw digests, packed 32 bytes each, in the order of `names`."""

    folder: bytes
    names: list[bytes]
    raws: bytes

    def raw_list(self) -> list[bytes]:
        """Return the raw digests one by one."""
        return [self.raws[at : at + HASH_LENGTH] for at in range(0, len(self.raws), HASH_LENGTH)]


def digest_stream(stream: BinaryIO) -> Hash:
    """Return the raw digest of everything that `stream` yields."""
    state = hashlib.sha256()
    while block := stream.read(READ_BYTES):
        state.update(block)
    return Hash(state.digest())


def digest_file(path: bytes) -> Hash:
    """Return the raw digest of the file at `path`. Raises OSError."""
    return Hash(_digest(path, None))


def digest_all(found: Iterable[Group | Problem], progress: Callable[[int], None]) -> Iterator[Hashed | Problem]:
    """Return the raw digests of all records `found`, in order, and the problems among them as they come.

    One unreadable record stops nothing: it becomes a Problem. `progress` is told how many records were done.
    """
    problems: list[Problem] = []
    tasks = _tasks(_groups(found, problems))
    first = list(islice(tasks, 3))
    few = sum(len(group.names) for task in first for group in task) <= ALONE and len(first) < 3  # noqa: PLR2004 - all
    results = map(_digest_task, first) if few else _in_processes(chain(first, tasks))
    for result in results:
        for item in result:
            yield item
            if isinstance(item, Hashed):
                progress(len(item.names))
        while problems:
            yield problems.pop(0)
    yield from problems


def _groups(found: Iterable[Group | Problem], problems: list[Problem]) -> Iterator[Group]:
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
        else:
            yield item


def _tasks(groups: Iterable[Group]) -> Iterator[Task]:
    """Return `groups` cut and joined into tasks; small at first, so that a few large records meet both processes."""
    size, task, room = 8, [], 8
    for group in groups:
        start = 0
        while start < len(group.names):
            part = group.names[start : start + room]
            task.append(Group(group.folder, part))
            start, room = start + len(part), room - len(part)
            if not room:
                yield task
                size = min(2 * size, LARGEST_TASK)
                task, room = [], size
    if task:
        yield task


def _in_processes(tasks: Iterable[Task]) -> Iterator[list[Hashed | Problem]]:
    import multiprocessing

    if sys.platform == "linux":
        with multiprocessing.get_context("fork").Pool(os.cpu_count(), _end_with_parent) as pool:
            yield from pool.imap(_digest_task, tasks)
    else:  # fork is not safe everywhere; one process is right everywhere
        yield from map(_digest_task, tasks)


def _end_with_parent() -> None:
    """End this worker when its parent ends, even by kill -9: a pool's pipes alone would keep it waiting for ever."""
    import multiprocessing.connection
    import signal
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends us
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _digest_task(task: Task) -> list[Hashed | Problem]:
    results: list[Hashed | Problem] = []
    for group in task:
        results += _digest_group(group)
    return results


def _digest_group(group: Group) -> list[Hashed | Problem]:
    """Return the digests of a group's records, then the problems of those that could not be read."""
    names, raws, problems = [], [], []
    try:
        folder = os.open(group.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return [Problem(os.path.join(group.folder, name), told(error), Severity.UNREADABLE) for name in group.names]
    try:
        for name in group.names:
            try:
                raws.append(_digest(name, folder))
                names.append(name)
            except OSError as error:
                problems.append(Problem(os.path.join(group.folder, name), told(error), Severity.UNREADABLE))
    finally:
        os.close(folder)
    return [*([Hashed(group.folder, names, b"".join(raws))] if names else []), *problems]


def _digest(name: bytes, folder: int | None) -> bytes:
    file = os.open(name, FLAGS, dir_fd=folder)
    try:
        state = hashlib.sha256(os.read(file, READ_BYTES))
        while block := os.read(file, READ_BYTES):
            state.update(block)
        return state.digest()
    finally:
        os.close(file)
