"""What the fault tests share. They take minutes: `pytest tests/faults -n 2` runs them, `-m "not faults"` does not."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from faulting import Runner, copy_vault


def pytest_configure(config):
    config.addinivalue_line("markers", "faults: kills, full disks, races and damage; minutes, not seconds")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    """The runner of this test process."""
    runner = Runner(tmp_path_factory.mktemp("runner"))
    yield runner
    runner.close()


@dataclass(frozen=True)
class Scene:
    """A small installation at three moments, each a vault to copy, and the folder of records they are about."""

    records: Path
    empty: Path
    unstamped: Path
    unanchored: Path


@pytest.fixture(scope="session")
def scene(runner, tmp_path_factory):
    """Four records: three of them stamped and anchored, the fourth not stamped (`unstamped`), or not anchored."""
    folder = tmp_path_factory.mktemp("scene")
    records = folder / "records"
    records.mkdir()
    for number in range(3):
        (records / f"{number}.txt").write_text(f"made-up record {number}\n")
    vault = folder / "vault"
    runner.run(vault, "init").expect()
    empty = copy_vault(vault, folder / "empty")
    runner.run(vault, "stamp", records, "--anchor").expect()
    (records / "3.txt").write_text("made-up record 3\n")
    unstamped = copy_vault(vault, folder / "unstamped")
    runner.run(vault, "stamp", records).expect()
    return Scene(records, empty, unstamped, vault)
