"""Forked processes that read records, as many as there are processors; where none are to be had, this one does it all.

Measured (benchmarks/): two forked processes beat threads for small files.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

MOST_WORKERS = 8
"""More would wait for the disk, and each costs memory; `taskset` and containers may allow fewer."""

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """A pool of processes, started when first needed and ended with the `with` block."""

    def __init__(self) -> None:
        self._ending = ExitStack()
        self._pool: Executor | None = None
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
        if pool is None:
            yield from map(work, tasks)
            return
        waiting: deque[tuple[Task, Future[Result]]] = deque()
        for task in tasks:
            waiting.append((task, _submit(pool, work, task)))
            while len(waiting) > ahead or (waiting and waiting[0][1].done()):
                yield _result(work, *waiting.popleft())
        while waiting:
            yield _result(work, *waiting.popleft())

    def _start(self) -> "Executor | None":
        if not self._tried and sys.platform == "linux":  # fork is not safe everywhere; one process is right everywhere
            self._tried = True
            with suppress(OSError, RuntimeError):  # no pipe, no semaphore: go on alone
                self._pool = self._ending.enter_context(_pool())
        return self._pool


@contextmanager
def _pool() -> Iterator["Executor"]:
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
    """Return how many processes read at once: one for each processor that this one may use, within reason."""
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
