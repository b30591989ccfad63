"""Finding records: folders walked in a fixed order, symbolic links not followed unless asked, special files named.

Paths are bytes throughout: a file name is whatever the file system says, not always text.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Records of one folder: its absolute path, and the names of some of its files, in order."""

    folder: bytes
    names: list[bytes]


class Severity(Enum):
    """Whether a path was passed over as documented, or could not be read although it should have been."""

    SKIPPED = "skipped"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that gives no record, and why."""

    path: bytes
    reason: str
    severity: Severity


def absolute(path: bytes) -> bytes:
    """Return the one path that names a file here: its folder with symbolic links resolved, its own name kept."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def walk(paths: Iterable[bytes], *, follow: bool = False) -> Iterator[Group | Problem]:
    """Return the records that `paths` name, files and everything in folders, sorted by name in each folder.

    A path that is named is followed if it is a symbolic link; links met on the way only if `follow`. No folder is
    walked twice. Whatever gives no record comes as a Problem.
    """
    seen: set[tuple[int, int]] = set()
    files: list[bytes] = []
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            yield Problem(path, told(error), Severity.UNREADABLE)
            continue
        if stat.S_ISDIR(mode):
            yield from _walk_folder(os.path.realpath(path), follow, seen)
        elif stat.S_ISREG(mode):
            files.append(absolute(path))
        else:
            yield Problem(path, f"it is {SPECIAL[stat.S_IFMT(mode)]}, not a record", Severity.SKIPPED)
    yield from _grouped(files)


def told(error: OSError) -> str:
    """Return the operating system's reason as a person reads it."""
    return (error.strerror or str(error)).lower()


def _grouped(files: list[bytes]) -> Iterator[Group]:
    """Return single files, each once, as groups of their folders."""
    folders: dict[bytes, set[bytes]] = {}
    for path in files:
        folder, name = os.path.split(path)
        folders.setdefault(folder, set()).add(name)
    for folder, names in sorted(folders.items()):
        yield Group(folder, sorted(names))


def _walk_folder(folder: bytes, follow: bool, seen: set[tuple[int, int]]) -> Iterator[Group | Problem]:
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Problem(current, told(error), Severity.UNREADABLE)
            continue
        names, folders, problems = _sorted_out(listing, follow)
        yield from problems
        if names:
            yield Group(current, names)
        pending += reversed(folders)


def _sorted_out(listing: list["os.DirEntry[bytes]"], follow: bool) -> tuple[list[bytes], list[bytes], list[Problem]]:
    """Return the names of a folder's records, the paths of its folders, and what gives no record."""
    names: list[bytes] = []
    folders: list[bytes] = []
    problems: list[Problem] = []
    for entry in listing:
        try:
            if entry.is_symlink() and not follow:
                problems.append(Problem(entry.path, "it is a symbolic link", Severity.SKIPPED))
            elif entry.is_dir():
                folders.append(entry.path)
            elif entry.is_file():
                names.append(entry.name)
            else:
                reason = f"it is {SPECIAL[stat.S_IFMT(entry.stat().st_mode)]}, not a record"
                problems.append(Problem(entry.path, reason, Severity.SKIPPED))
        except OSError as error:
            problems.append(Problem(entry.path, told(error), Severity.UNREADABLE))
    return names, folders, problems
