"""What `--help` promises: every command has one example, on one line, that works when it is pasted."""

import re
import shlex

import pytest
import typer
from loopback_esplora import LoopbackEsplora
from loopback_ledger import Ledger
from transcript import run

from medanchor import errors
from medanchor.cli.main import app
from medanchor.cli.output import EXIT_BROKEN_PIPE


def commands(group=None, path=()):
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands())
GROUPS = ["init", "stamp", "anchor", "verify", "status", "proof", "log", "audit", "key", "wallet", "chain", "doctor"]
WALLET = [path for path in COMMANDS if path[0] == "wallet"]
WITH_VAULT = [path for path in COMMANDS if path != ("init",) and path not in WALLET]


def example(path) -> list[str]:
    """Return the words of a command's example, which stands on one line of its help."""
    text = run(*path, "--help").out
    assert text.count("Example:") == 1
    (line,) = re.findall(r"^  Example: (medanchor .*)\n\n", text, re.MULTILINE)  # not wrapped: nothing follows it
    return shlex.split(line)[1:]


def test_the_commands_are_those_of_the_design():
    groups = {path[0] for path in COMMANDS}
    assert groups == set(GROUPS)
    assert {path[1] for path in COMMANDS if path[0] == "key"} == {
        "list",
        "new",
        "rotate",
        "use",
        "export",
        "passphrase",
    }


@pytest.mark.parametrize("path", WITH_VAULT, ids="-".join)
def test_the_example_works_when_pasted(path, user):
    (user / "record.pdf").write_bytes(b"%PDF made up")
    assert run("stamp", "record.pdf", *(["--anchor"] if path[0] == "verify" else [])).code == 0
    if path != ("proof", "export"):
        assert run("proof", "export", "record.pdf").code == 0
    words = example(path)
    assert tuple(words[: len(path)]) == path
    done = run(*words)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("path", WALLET, ids="-".join)
def test_the_example_of_a_wallet_works_when_pasted(path, user, monkeypatch):
    monkeypatch.setenv("MEDANCHOR_WALLET_PASSPHRASE", "correct horse battery staple")
    words = user / "words.txt"
    words.write_text(" ".join(["abandon"] * 11 + ["about"]) + "\n")
    words.chmod(0o600)
    with LoopbackEsplora(Ledger(user / "blocks")) as esplora:
        assert run("init", "--esplora", esplora.url, "--wallet", "own").code == 0
        if path[1] not in ("create", "restore"):
            assert run("wallet", "create").code == 0
        done = run(*example(path))
    assert (done.code, done.err) == (0, "")


def test_the_example_of_init_works_when_pasted():
    done = run(*example(("init",)))
    assert (done.code, done.err) == (0, "")
    assert "key default of Dr A. Example" in done.out


@pytest.mark.parametrize("path", COMMANDS, ids="-".join)
def test_the_help_speaks_of_things_not_of_types(path):
    text = run(*path, "--help").out
    assert not re.search(r"--\S+ <", text), text
    for shared in ("--json", "--quiet", "--verbose"):
        assert shared in text
    assert ("--vault" in text) == (path != ("proof", "inspect"))


def test_the_help_lists_every_exit_code():
    text = " ".join(run("--help").out.split())
    classes = [value for value in vars(errors).values() if isinstance(value, type) and hasattr(value, "exit_code")]
    for code in {cls.exit_code for cls in classes} - {1}:
        assert f" {code} " in text
    assert "130 interrupted" in text
    assert f"{EXIT_BROKEN_PIPE} whoever read the output went away" in text


def test_no_arguments_show_the_help_and_are_wrong_usage():
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err
