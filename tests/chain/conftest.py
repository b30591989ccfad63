"""Chains for the tests: the real engine on a real disk, made for each test and taken away after it (17 MB each)."""

import shutil
import time
from pathlib import Path

import pytest

from medanchor.chain.embedded import EmbeddedChain


def wall_clock() -> int:
    return int(time.time())


@pytest.fixture
def directory(tmp_path: Path):
    yield tmp_path / "chain"
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def chain(directory: Path) -> EmbeddedChain:
    return EmbeddedChain(directory, now=wall_clock)
