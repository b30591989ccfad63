"""The records that are measured: random bytes, made once, kept if the folder was named by the user."""

import random
from pathlib import Path

FOLDERS = 100
BLOCK = 1 << 20


def records(root: Path, count: int, size: int) -> Path:
    """Return a folder of `count` records of `size` bytes each, spread over a hundred folders."""
    folder = root / f"records-{count}x{size}"
    if not _finished(folder).exists():
        source = random.Random(count * size)  # noqa: S311 - contents, not secrets
        for number in range(count):
            if number < FOLDERS:
                (folder / f"ward-{number:02}").mkdir(parents=True, exist_ok=True)
            (folder / f"ward-{number % FOLDERS:02}" / f"record-{number:07}.bin").write_bytes(source.randbytes(size))
        _finished(folder).touch()
    return folder


def big_file(root: Path, size: int) -> Path:
    """Return one record of `size` bytes."""
    path = root / f"record-{size}.bin"
    if not _finished(path).exists():
        source = random.Random(size)  # noqa: S311 - as above
        with path.open("wb") as file:
            for _ in range(size // BLOCK):
                file.write(source.randbytes(BLOCK))
        _finished(path).touch()
    return path


def _finished(path: Path) -> Path:
    return path.with_name(f"{path.name}.complete")
