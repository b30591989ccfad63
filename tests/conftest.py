"""What all tests share: one vault, stamped, anchored and exported, that takes a second to make."""

import signal

import pytest
from transcript import run
from world import World, surroundings, write_visit

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that runs the tests in the background ignores Ctrl-C for them, and so would every process they start."""


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
