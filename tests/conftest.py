"""What all tests share: one vault, stamped, anchored and exported, that takes a second to make."""

import re
import signal
import sys
import threading
from collections.abc import Iterator

import pytest
from transcript import run
from world import World, surroundings, write_visit

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that runs the tests in the background ignores Ctrl-C for them, and so would every process they start."""

REPEATED = re.compile(
    r"/(faults|genuine)/"
    r"|_(canaries|hostile|lies|mutation|round_trips|servers)\.py$"
    r"|_(bdk|core|esplora|network|node)_faults\.py$"
)
"""Where tests do the same thousands of times, which takes three times as long with each line traced for coverage."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "untraced: does the same so often that its coverage is not measured")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if REPEATED.search(str(item.path)):
            item.add_marker("untraced")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run an untraced test without a tracer; pytest-cov's `no_cover` stops one of the two it has under pytest-xdist."""
    if item.get_closest_marker("untraced") is None:
        return (yield)
    own, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(own)
        threading.settrace(of_threads)


@pytest.fixture(scope="session")
def anchored(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a world that was stamped, anchored and exported once; only for reading. Copy what is to be changed."""
    root = tmp_path_factory.mktemp("anchored")
    world = World(root, write_visit(root / "visit"), root / "vault", root / "proofs")
    environment = surroundings(root) | {"MEDANCHOR_VAULT": str(world.vault)}
    commands = (
        ["init", "--origin", "clinic.example/ward-7", "--name", "Dr A. Example", "--role", "physician"],
        ["stamp", str(world.visit), "--anchor"],
        ["proof", "export", str(world.visit), "-o", str(world.proofs)],
        ["chain", "export", str(root / "headers.bin")],
    )
    for command in commands:
        done = run(*command, env=environment)
        assert done.code == 0, done.err
    return world
