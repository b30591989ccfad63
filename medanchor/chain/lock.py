"""One process at a time in a chain's directory, and files there that nobody else may read.

libbitcoinkernel keeps a second process out as well, but by an error that does not tell why; here the second one waits.
"""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medanchor.errors import ChainError

_LOCK_FILE = "lock"
_DIGITS = 10
_BUSY = b" busy\n"
_DONE = b" done\n"

_one_thread = threading.Lock()


class Lock:
    """The lock file while it is held. It remembers how high the chain was, and whether the last operation ended well.

    `0000000107 done` or `0000000107 busy`, overwritten in place by single writes that no kill divides.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def highest(self) -> int:
        """The height that was noted last; 0 if none was."""
        text = os.pread(self._descriptor, _DIGITS, 0)
        return int(text) if text.isdigit() else 0

    @property
    def interrupted(self) -> bool:
        """Whether the last operation was begun and never done: it was killed, or could not write."""
        return os.pread(self._descriptor, len(_BUSY), _DIGITS) == _BUSY

    def begin(self) -> None:
        """Note that an operation is under way."""
        os.pwrite(self._descriptor, _BUSY, _DIGITS)

    def done(self, height: int) -> None:
        """Note that all it did is on the disk, and how high the chain is now."""
        os.pwrite(self._descriptor, b"%0*d%b" % (_DIGITS, height, _DONE), 0)


@contextmanager
def exclusive(directory: Path) -> Iterator[Lock]:
    """Give the lock of `directory`, which is made (0700) if missing, after waiting for whoever holds it.

    The kernel of the operating system lets go of it when a process dies, however it dies. Raises ChainError if the
    directory or anything in it cannot be made, read or written.
    """
    with _private_files():
        try:
            with _descriptor(directory) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield Lock(descriptor)
        except OSError as error:
            raise ChainError(
                f"the chain's directory {directory} cannot be used: {(error.strerror or str(error)).lower()}",
                hint="expected a directory that this user may read and write, or none yet",
            ) from error


@contextmanager
def ctrl_c_later() -> Iterator[None]:
    """Hold Ctrl-C back until the end: the engine's work is short, and it does not survive being left in the middle.

    Raised in one of its callbacks the exception is lost, and between two calls it tears down what is still in use: both
    were seen, the second as a segmentation fault. Only the main thread is ever interrupted so, and nobody where the
    shell has Ctrl-C ignored, as it does for what a script runs in the background.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if former is None else former)
    if held:
        raise KeyboardInterrupt


@contextmanager
def _descriptor(directory: Path) -> Iterator[int]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _private_files() -> Iterator[None]:
    """Have every file made within 0600 and every directory 0700, whatever umask the user has.

    The engine makes its files when it likes and takes no mode, so a chmod afterwards would come too late. A umask
    belongs to the whole process: threads that come here take turns, and a file made meanwhile elsewhere is only the
    more private.
    """
    with _one_thread:
        former = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(former)
