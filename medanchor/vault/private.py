"""Directories and files that only their owner may read, whatever the umask says, written whole or not at all."""

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medanchor.errors import VaultError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
OTHERS = stat.S_IRWXG | stat.S_IRWXO
DRAFT = ".medanchor-draft-"
"""How the name of everything begins that is made under another name first, and takes its own when it is whole."""

DRAFT_NAME = re.compile(rf"{re.escape(DRAFT)}[a-z0-9_]{{8,}}(?:\.medproof)?", re.ASCII)
"""The whole name of a draft; nothing else is swept away, and no vault that its owner named .medanchor-clinic."""

ABANDONED_SECONDS = 3600


def make_directory(path: Path) -> None:
    """Make `path` and the directories above it; `path` itself 0700 even under umask 000. It may exist already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    path.chmod(DIRECTORY_MODE)


def write_file(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write `data` to `path`, 0600, atomically and durably: whoever looks sees the old file or the whole new one.

    Raises FileExistsError if `path` is there and `replace` is False, even if it appeared a moment ago.
    """
    sweep(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=DRAFT)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
            temporary.unlink()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sweep(directory: Path) -> None:
    """Remove the drafts that killed runs left in `directory`: those an hour old, as none is written for so long."""
    for draft in directory.glob(f"{DRAFT}*"):
        with suppress(OSError):  # it is gone already, or another user's
            if DRAFT_NAME.fullmatch(draft.name) and time.time() - draft.lstat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def sync_directory(path: Path) -> None:
    """Make the names in the directory `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_private(path: Path) -> None:
    """Refuse a file or directory that others may read or write. Raises VaultError."""
    mode = path.stat().st_mode
    if mode & OTHERS:
        wanted = DIRECTORY_MODE if stat.S_ISDIR(mode) else FILE_MODE
        raise VaultError(
            f"expected {path} to be its owner's alone, found mode {stat.S_IMODE(mode):04o}",
            hint=f"chmod {wanted:o} '{path}', and ask who could have read it meanwhile",
        )


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals below `path` into VaultErrors that say what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise VaultError(
            f"the vault {path} cannot be used: {reason.lower()}", hint=_HINTS.get(error.errno or 0)
        ) from error


_HINTS = {
    errno.ENOSPC: "free some space on that disk and run the command again; nothing was lost",
    errno.EDQUOT: "free some space within your quota and run the command again; nothing was lost",
    errno.EROFS: "it is on a read-only file system: verify works there, stamp and anchor do not",
    errno.EACCES: "run as the user the vault belongs to",
    errno.EPERM: "run as the user the vault belongs to",
    errno.EEXIST: "a file stands where a directory should be; name another with --vault",
    errno.ENOTDIR: "a file stands where a directory should be; name another with --vault",
    errno.EIO: "the disk reports errors: copy the vault to another one before anything else",
}
