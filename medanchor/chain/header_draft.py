"""The file in which a chain of headers grows before it takes another one's place.

FILE.part lies beside FILE for as long as it takes, and stays there when its writer is killed: the next one goes on with
it. Nothing in it is believed before all of it was checked.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from medanchor.chain.header_file import HeaderFile
from medanchor.core.header import HEADER_LENGTH, Network
from medanchor.errors import UsageError, VerificationError

_SUFFIX = ".part"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Draft(HeaderFile):
    """A file of headers that is being written, by this process alone. Each change raises UsageError if it fails."""

    @classmethod
    def beside(cls, path: Path) -> Self:
        """Return the draft of the file at `path`, opened and locked, with what an interrupted run left in it.

        Raises UsageError if another process has it, or it cannot be written.
        """
        part = path.with_name(path.name + _SUFFIX)
        with _writing(part):
            descriptor = _locked(part)
            length = os.fstat(descriptor).st_size
        return cls(part, descriptor, length - length % HEADER_LENGTH)  # a kill may have left a piece of one

    def begin(self, present: HeaderFile | None, network: Network) -> None:
        """Begin with what is in it if that is more than `present` holds, otherwise with a copy of `present`."""
        least = present.height if present else 0
        if self.height >= least and _is_of(self, network):
            return
        self.cut(-1)
        for chunk in present.chunks() if present else ():
            self.append(chunk)

    def cut(self, height: int) -> None:
        """Drop the headers above `height`, all of them above -1."""
        with _writing(self.path):
            os.ftruncate(self._descriptor, HEADER_LENGTH * (height + 1))
        self.length = HEADER_LENGTH * (height + 1)

    def append(self, headers: bytes) -> None:
        """Put `headers` on top."""
        with _writing(self.path):
            while headers:
                written = os.pwrite(self._descriptor, headers, self.length)
                self.length, headers = self.length + written, headers[written:]

    def replace(self, path: Path) -> None:
        """Put it into the place of the file at `path`, durably: whoever looks sees the old file or all of this one."""
        with _writing(path):
            if path.exists():
                shutil.copymode(path, self.path)
            os.fsync(self._descriptor)
            self.path.replace(path)
            _sync_directory(path.parent)

    def discard(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)


def _locked(part: Path) -> int:
    """Return `part` opened, and locked: not what was there a moment ago and has meanwhile become the file itself."""
    while True:
        descriptor = os.open(part, _FLAGS, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if part.exists() and part.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise UsageError(f"another process is writing {part}", hint="wait for it, or name another file") from None
        os.close(descriptor)


def _is_of(file: HeaderFile, network: Network) -> bool:
    try:
        return file.length > 0 and file.network is network
    except VerificationError:
        return False


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = "make room there, or name a file in a folder you can write to; what was there before still is"
        raise UsageError(f"cannot write {path}: {reason}", hint=hint) from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
