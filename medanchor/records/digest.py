"""Raw digests of records: SHA-256 of many files, by two processes where there are many.

Measured (benchmarks/): two forked processes beat threads for small files, and os.open/read/close beat open() by 1.7
times.
"""

import hashlib
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO

from medanchor.core.hashes import Hash, split_hashes
from medanchor.records.walk import Group, Problem, Severity, told

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

READ_BYTES = 1 << 16
"""Large enough that system calls cost nothing, small enough for the processor's cache: 1 MiB is a third slower."""

FIRST_TASK = 8
LARGEST_TASK = 256
ALONE = 2
"""Up to so many tasks (24 records), starting processes costs more than it gains."""

MOST_WORKERS = 8
"""More would wait for the disk, and each costs memory; `taskset` and containers may allow fewer."""

AHEAD = 256
"""So many tasks may wait for the first one's results: a large record keeps nobody idle, and memory is bounded."""

FOLDER_FLAGS = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
"""O_PATH: a folder that may be entered but not listed still gives a record that is named."""

FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""O_NONBLOCK: a file that became a named pipe meanwhile does not hang us; it is told by its kind."""

Task = list[Group]
Results = list["Hashed | Problem"]


@dataclass(frozen=True, slots=True)
class Hashed:
    """Records of one folder with their raw digests, packed 32 bytes each, in the order of `names`."""

    folder: bytes
    names: list[bytes]
    raws: bytes

    def raw_list(self) -> list[bytes]:
        """Return the raw digests one by one."""
        return split_hashes(self.raws)


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
    first = list(islice(tasks, ALONE + 1))
    results = map(_digest_task, first) if len(first) <= ALONE else _in_processes(chain(first, tasks))
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
    size, task, room = FIRST_TASK, [], FIRST_TASK
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


def _in_processes(tasks: Iterable[Task]) -> Iterator[Results]:
    """Return the results of `tasks`, in order; `tasks` is read here, as what it reads from may know one thread only."""
    if sys.platform != "linux":  # fork is not safe everywhere; one process is right everywhere
        yield from map(_digest_task, tasks)
        return
    waiting: deque[tuple[Task, Future[Results]]] = deque()
    with ExitStack() as ending:
        try:
            workers = ending.enter_context(_workers())
        except (OSError, RuntimeError):  # no pipe, no semaphore: go on alone
            yield from map(_digest_task, tasks)
            return
        for task in tasks:
            waiting.append((task, _submit(workers, task)))
            while len(waiting) > AHEAD or (waiting and waiting[0][1].done()):
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


@contextmanager
def _workers() -> Iterator["Executor"]:
    """Give a pool of forked processes that ends with this block or this process, however either ends.

    Each of them waits for the end of a pipe that only we hold open: the kernel closes it even after kill -9.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    end, held = os.pipe()
    workers = None
    try:
        workers = ProcessPoolExecutor(worker_count(), multiprocessing.get_context("fork"), _wait_for_end, (end, held))
        yield workers
    finally:
        os.close(held)
        if workers:
            workers.shutdown()
        os.close(end)


def worker_count() -> int:
    """Return how many processes hash at once: one for each processor that this one may use, within reason."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def _wait_for_end(end: int, held: int) -> None:
    import signal
    import threading

    def wait() -> None:
        os.read(end, 1)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends us
    os.close(held)
    threading.Thread(target=wait, daemon=True).start()


def _submit(workers: "Executor", task: Task) -> "Future[Results]":
    from concurrent.futures import BrokenExecutor, Future

    try:
        return workers.submit(_digest_task, task)
    except (OSError, RuntimeError) as error:
        if not isinstance(error, BrokenExecutor):  # no process or thread is to be had
            workers.shutdown(wait=False)  # half started, it would take tasks and never do them
        failed: Future[Results] = Future()
        failed.set_exception(BrokenExecutor())
        return failed


def _result(task: Task, future: "Future[Results]") -> Results:
    from concurrent.futures import BrokenExecutor

    try:
        return future.result()
    except BrokenExecutor:  # a worker was killed, by a system out of memory perhaps: go on alone
        return _digest_task(task)


def _digest_task(task: Task) -> Results:
    results: Results = []
    for group in task:
        results += _digest_group(group)
    return results


def _digest_group(group: Group) -> Results:
    """Return the digests of a group's records, then the problems of those that could not be read."""
    names, raws, problems = [], [], []
    try:
        folder = os.open(group.folder, FOLDER_FLAGS)
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
        mode = os.fstat(file).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to read a folder fails, and says why
            raise OSError("it is not a file any more")
        state = hashlib.sha256()
        while block := os.read(file, READ_BYTES):
            state.update(block)
        return state.digest()
    finally:
        os.close(file)
