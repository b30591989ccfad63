"""Forked processes that read records, as many as there are processors; where none are to be had, this one does it all.

Measured (benchmarks/): two forked processes beat threads for small files. Large blocks go to them through memory that
all share: a gigabyte through pipes takes two seconds of a processor more, in copies and page faults.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

MOST_WORKERS = 8
"""More would wait for the disk, and each costs memory; `taskset` and containers may allow fewer."""

SLOTS_MORE = 6
"""So many more blocks than there are processes are in the shared memory, next to be read or read already."""

SLOT_BYTES = 9 << 18
"""Longer blocks (more than 2.25 MiB) go through a pipe."""

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """A pool of processes, started when first needed and ended with the `with` block."""

    def __init__(self) -> None:
        self._ending = ExitStack()
        self._pool: Executor | None = None
        self._slots: _Slots | None = None
        self._tried = False

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the processes, if any were started."""
        self._ending.__exit__(kind, error, at)

    def map(self, work: Callable[[Task], Result], tasks: Iterable[Task], *, ahead: int) -> Iterator[Result]:
        """Return what `work` makes of each of `tasks`, in order; up to `ahead` of them may wait for the first one.

        `tasks` is read here, as what it reads from may know one thread only.
        """
        pool = self._start()
        return map(work, tasks) if pool is None else _map(pool, work, work, tasks, ahead)

    def map_blocks(
        self, work: Callable[[bytes, int], Result], blocks: Iterable[tuple[list[bytes], int]]
    ) -> Iterator[Result]:
        """Return what `work` makes of each of `blocks`, in order; only one such map at a time.

        A block is some bytes, in parts to be joined, and a number. If it fits a slot it is in shared memory until its
        result is there.
        """
        pool, slots = self._start(), self._slots
        if pool is None or slots is None:
            return (work(b"".join(parts), number) for parts, number in blocks)
        tasks = ((slots.put(turn, parts), number) for turn, (parts, number) in enumerate(blocks))
        return _map(pool, partial(_work_there, work), partial(_work_on, slots, work), tasks, slots.count - 1)

    def _start(self) -> "Executor | None":
        if not self._tried and sys.platform == "linux":  # fork is not safe everywhere; one process is right everywhere
            self._tried = True
            with suppress(OSError, RuntimeError):  # no memory, no pipe, no semaphore: go on alone
                self._slots = _Slots(worker_count() + SLOTS_MORE)
                self._pool = self._ending.enter_context(_pool(self._slots))
        return self._pool


class _Slots:
    """Memory that this process shares with the forked ones, cut into slots which are filled in turn."""

    def __init__(self, count: int) -> None:
        from mmap import mmap

        self.count = count
        self._memory = mmap(-1, count * SLOT_BYTES)

    def put(self, turn: int, parts: list[bytes]) -> slice | bytes:
        """Return where the block is now, until as many others as there are slots were put; itself if it is too long."""
        if sum(map(len, parts)) > SLOT_BYTES:
            return b"".join(parts)
        start = turn % self.count * SLOT_BYTES
        self._memory.seek(start)
        for part in parts:
            self._memory.write(part)
        return slice(start, self._memory.tell())

    def get(self, at: slice | bytes) -> bytes:
        """Return the block that `put` said is there."""
        return at if isinstance(at, bytes) else self._memory[at]


_inherited: list[_Slots] = []
"""In a forked process: the memory that it shares with the one which forked it."""


def _work_on(slots: _Slots, work: Callable[[bytes, int], Result], task: tuple[slice | bytes, int]) -> Result:
    return work(slots.get(task[0]), task[1])


def _work_there(work: Callable[[bytes, int], Result], task: tuple[slice | bytes, int]) -> Result:
    return _work_on(_inherited[-1], work, task)


def _map(
    pool: "Executor",
    there: Callable[[Task], Result],
    here: Callable[[Task], Result],
    tasks: Iterable[Task],
    ahead: int,
) -> Iterator[Result]:
    """Return what the pool's processes make of each of `tasks`, and we of those whose process was killed."""
    waiting: deque[tuple[Task, Future[Result]]] = deque()
    for task in tasks:
        waiting.append((task, _submit(pool, there, task)))
        while len(waiting) > ahead or (waiting and waiting[0][1].done()):
            yield _result(here, *waiting.popleft())
    while waiting:
        yield _result(here, *waiting.popleft())


@contextmanager
def _pool(slots: _Slots) -> Iterator["Executor"]:
    """Give a pool of forked processes that ends with this block or this process, however either ends.

    Each of them waits for the end of a pipe that only we hold open: the kernel closes it even after kill -9.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    end, held = os.pipe()
    workers = None
    try:
        context = multiprocessing.get_context("fork")
        workers = ProcessPoolExecutor(worker_count(), context, _begin, (end, held, slots))
        yield workers
    finally:
        os.close(held)
        if workers:
            workers.shutdown()
        os.close(end)


def worker_count() -> int:
    """Return how many processes read at once: one for each processor that this one may use, within reason."""
    return min(len(os.sched_getaffinity(0)), MOST_WORKERS)


def _begin(end: int, held: int, slots: _Slots) -> None:
    import signal
    import threading

    def wait() -> None:
        os.read(end, 1)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends us
    os.close(held)
    _inherited.append(slots)
    threading.Thread(target=wait, daemon=True).start()


def _submit(pool: "Executor", work: Callable[[Task], Result], task: Task) -> "Future[Result]":
    from concurrent.futures import BrokenExecutor, Future

    try:
        return pool.submit(work, task)
    except (OSError, RuntimeError) as error:
        if not isinstance(error, BrokenExecutor):  # no process or thread is to be had
            pool.shutdown(wait=False)  # half started, it would take tasks and never do them
        failed: Future[Result] = Future()
        failed.set_exception(BrokenExecutor())
        return failed


def _result(work: Callable[[Task], Result], task: Task, future: "Future[Result]") -> Result:
    from concurrent.futures import BrokenExecutor

    try:
        return future.result()
    except BrokenExecutor:  # a worker was killed, by a system out of memory perhaps: go on alone
        return work(task)
