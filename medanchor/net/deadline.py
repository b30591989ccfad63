"""Work that may never end, ended."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def within(seconds: float, act: Callable[[], _T]) -> _T:
    """Return what `act` returns, or raise TimeoutError after so many seconds.

    A socket's own timeout starts anew with each byte, so it alone would let a server keep us for days. And Ctrl-C is
    heard while a library waits in a thread of its own. One that is given up ends with its connection, or the process.
    """
    done: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((act(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # it is what `act` returned
