"""Arguments are the same whether Typer converts them or `cli/plain.py` does."""

import pytest
from transcript import run

from medanchor.cli import main

COMMANDS = (
    ("verify",),
    ("verify", "nothing", "--proof", "none.medproof"),
    ("verify", "a", "b", "--proof", "none.medproof", "--signer", "x", "--signer", "y"),
    ("stamp", "--dry-run", "--vault", "nowhere", "visit", "--meaning", "review", "--follows", "3"),
    ("stamp", "--follows", "three"),
    ("log", "--limit", "0"),
    ("status", "--max-age", "soon", "--vault", "nowhere"),
    ("key", "export"),
    ("proof", "inspect", "none", "--json"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_argument_means_the_same_however_it_is_converted(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "MEDANCHOR_VAULT": ""}
    plain = run(*command, env=home)
    monkeypatch.setattr(main, "convert_plainly", lambda _parameters: None)
    assert run(*command, env=home) == plain
    assert plain.code != 0
    assert plain.err or plain.out
