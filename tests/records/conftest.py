import os
import subprocess
import tempfile

import pytest


@pytest.fixture
def root(tmp_path):
    return os.fsencode(tmp_path.resolve())


@pytest.fixture
def quick_root():
    """As `root`, in memory where there is such a place: for more files than a disk makes in a moment."""
    memory = "/dev/shm"  # noqa: S108 - a directory of its own is made there
    place = memory if os.access(memory, os.W_OK) else None
    folder = tempfile.mkdtemp(dir=place)
    yield os.fsencode(os.path.realpath(folder))
    subprocess.run(["rm", "-rf", folder], check=True)  # Python's own way is not made for such depths
