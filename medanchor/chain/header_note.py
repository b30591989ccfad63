"""A private note of which header files were checked on this machine, so that each costs its time once.

A file is known by the SHA-256 of all its bytes: whatever is changed in it, it is another file. The note itself is taken
for what this user wrote, so one that others may read or write, or own, is as good as none; so is a damaged one, and one
of another version, whose rules may have been others. To delete it costs time and nothing else.
"""

import json
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from medanchor.core.header import Network

_MODE = 0o600
_LONGEST = 1 << 16
_MOST = 16
"""So many files are remembered, the latest ones."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was checked: its SHA-256 (hex), its length in bytes, its network, and its last block's hash (hex)."""

    sha256: str
    length: int
    network: Network
    tip: str


class Note:
    """The note at `path`, read and written by programs of one `version`: medanchor's and the engine's."""

    def __init__(self, path: Path, version: str) -> None:
        self._path = path
        self._version = version

    def find(self, length: int) -> list[Checked]:
        """Return what was checked and is `length` bytes long; nothing if the note cannot be trusted."""
        return [checked for checked in self._read() if checked.length == length]

    def add(self, checked: Checked) -> None:
        """Write down that a file was checked; where that cannot be done, it will have to be checked again."""
        others = [other for other in self._read() if other != checked]
        files = [asdict(each) for each in [*others, checked][-_MOST:]]
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(json.dumps({"version": self._version, "files": files}).encode("ascii"))

    def _read(self) -> list[Checked]:
        try:
            content = json.loads(_private(self._path))
            if content["version"] != self._version:
                return []
            return [_checked(item) for item in content["files"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []

    def _write(self, data: bytes) -> None:
        """Put `data` there, 0600, whole: two programs that write at once lose one another's news, and no more."""
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def usual_note() -> Note:
    """Return the note in the platform's place for what a user's programs may forget."""
    from importlib.metadata import version

    import platformdirs

    from medanchor import __version__

    versions = f"medanchor {__version__}, engine {version('py-bitcoinkernel')}"
    return Note(platformdirs.user_cache_path("medanchor") / "headers.json", versions)


def _private(path: Path) -> bytes:
    """Return what is in a file that is this user's alone. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) != _MODE or status.st_uid != os.geteuid():
            raise PermissionError(f"expected {path} to be a file of mode 0600")
        return file.read(_LONGEST)


def _checked(item: object) -> Checked:
    """Return what one object in the note says. Raises TypeError or ValueError if it is none of ours."""
    match item:
        case {"sha256": str(digest), "length": int(length), "network": str(network), "tip": str(tip)}:
            return Checked(digest, length, Network(network), tip)
    raise TypeError("expected a file that was checked")
