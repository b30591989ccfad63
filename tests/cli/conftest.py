"""A user's directory of their own for each test of the command line."""

import os
from pathlib import Path

import pytest
from world import surroundings, write_visit


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory that the user stands in: an empty home, and `visit/` with three records."""
    for name in set(os.environ) - set(clean := surroundings(tmp_path / "home")):
        monkeypatch.delenv(name)
    for name, value in clean.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "home").mkdir()
    write_visit(tmp_path / "visit")
    monkeypatch.chdir(tmp_path)
    return tmp_path
