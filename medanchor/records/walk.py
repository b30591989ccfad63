"""Finding records: folders walked in a fixed order, symbolic links not followed unless asked, special files named.

Paths are bytes throughout: a file name is whatever the file system says, not always text.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

PROOF_SUFFIX = b".medproof"
OTS_SUFFIX = b".ots"
PROVENANCE_SUFFIX = b".provenance.json"
OTS_MAGIC = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94"
"""How every OpenTimestamps file begins; its name is not enough, as templates of spreadsheets have that one too."""

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
    """What a problem is: passed over as documented, could not be read, or read with something to be known about it.

    BYTES_ONLY: it seems to be of a clinical format, and cannot be read as such.
    """

    SKIPPED = "skipped"
    UNREADABLE = "unreadable"
    BYTES_ONLY = "bytes-only"
    NOTED = "mind"


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that gives no record, and why; or what a person should know about the record that it gives."""

    path: bytes
    reason: str
    severity: Severity


def is_container(folder: bytes) -> bool:
    """Say whether what is called a folder is a record that contains others: its path ends in a slash."""
    return folder.endswith(b"/") and folder != b"/"


def absolute(path: bytes) -> bytes:
    """Return the one path that names a file here: its folder with symbolic links resolved, its own name kept."""
    folder, name = os.path.split(path)
    if name in (b"", b".", b".."):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(folder), name)  # links first, then "..", as the operating system does


def walk(paths: Iterable[bytes], *, follow: bool = False, exclude: Iterable[bytes] = ()) -> Iterator[Group | Problem]:
    """Return the records that `paths` name, files first, then everything in folders, sorted by name in each folder.

    A path that is named is followed if it is a symbolic link; links met on the way only if `follow`. Nothing comes
    twice, and nothing from the folders `exclude`. Proofs met in folders are passed over, OpenTimestamps files and
    exported Provenances too: they lie beside their records and are none. Whatever else gives no record comes as a
    Problem.
    """
    named: dict[bytes, set[bytes]] = {}
    folders: list[bytes] = []
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            yield Problem(path, told(error), Severity.UNREADABLE)
            continue
        if stat.S_ISDIR(mode):
            folders.append(os.path.realpath(path))
        elif stat.S_ISREG(mode):
            folder, name = os.path.split(absolute(path))
            named.setdefault(folder, set()).add(name)
        else:
            yield Problem(path, _special(mode), Severity.SKIPPED)
    yield from (Group(folder, sorted(names)) for folder, names in sorted(named.items()))
    seen = {_identity(path) for path in exclude}
    for folder in folders:
        yield from _walk_folder(folder, follow, seen, named)


def _special(mode: int) -> str:
    return f"it is {SPECIAL.get(stat.S_IFMT(mode), 'something else now')}, not a record"


def _identity(path: bytes) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def told(error: OSError) -> str:
    """Return the operating system's reason as a person reads it."""
    return (error.strerror or str(error)).lower()


_EVIDENCE = (PROOF_SUFFIX, OTS_SUFFIX, PROVENANCE_SUFFIX)
_EXPORTED_PROVENANCE = re.compile(rb"(?:^|/)entry-[0-9]+\.provenance\.json\Z")


def is_proof(path: bytes) -> bool:
    """Say whether the file at `path` is evidence about a record.

    A proof is so by its name, an .ots by how it begins, a Provenance by the name that an export gives it and by naming
    our statements: others' Provenances are records.
    """
    if path.endswith(OTS_SUFFIX):
        return _start(path, len(OTS_MAGIC)) == OTS_MAGIC
    if _EXPORTED_PROVENANCE.search(path):
        return _PROVENANCE_ID.match(_start(path, 128)) is not None
    return path.endswith(PROOF_SUFFIX)


_PROVENANCE_ID = re.compile(rb'\{\s*"resourceType": "Provenance",\s*"id": "[0-9a-f]{64}"')
"""How every exported Provenance begins: its id is the leaf hash of the ledger entry."""


def _start(path: bytes, length: int) -> bytes:
    """Return how a file begins; nothing if it cannot be read, which is told when it is to be hashed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, length)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def is_gone(path: bytes) -> bool:
    """Say whether nothing is at `path`; what cannot be reached (no permission, a disk that fails) may well be there."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _walk_folder(
    folder: bytes, follow: bool, seen: set[tuple[int, int]], named: Mapping[bytes, set[bytes]]
) -> Iterator[Group | Problem]:
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            identity = _identity(current)
            if identity in seen:
                continue
            seen.add(identity)
            with os.scandir(current) as entries:
                listing = list(entries)
        except OSError as error:
            yield Problem(current, told(error), Severity.UNREADABLE)
            continue
        names, folders, problems = _sorted_out(listing, follow)
        yield from problems
        names = [name for name in names if not (name.endswith(_EVIDENCE) and is_proof(os.path.join(current, name)))]
        if current in named:
            names = [name for name in names if name not in named[current]]
        if names:
            yield Group(current, names)
        pending += reversed(folders)


def _sorted_out(listing: list["os.DirEntry[bytes]"], follow: bool) -> tuple[list[bytes], list[bytes], list[Problem]]:
    """Return the names of a folder's records, the paths of its folders, and what gives no record, each in order."""
    names: list[bytes] = []
    folders: list[tuple[bytes, bytes]] = []
    problems: list[Problem] = []
    for entry in listing:
        try:
            if entry.is_file(follow_symlinks=False):  # nearly all are, so this is asked first
                names.append(entry.name)
            elif entry.is_symlink() and not follow:
                problems.append(Problem(entry.path, "it is a symbolic link", Severity.SKIPPED))
            elif entry.is_dir():
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                folders.append((entry.path, real))  # in order by its name here, known by its one path
            elif entry.is_file():
                names.append(entry.name)
            else:
                problems.append(Problem(entry.path, _special(entry.stat().st_mode), Severity.SKIPPED))
        except OSError as error:
            problems.append(Problem(entry.path, told(error), Severity.UNREADABLE))
    return sorted(names), [real for _, real in sorted(folders)], sorted(problems, key=lambda problem: problem.path)
