"""Runs the command line and writes down what happened, as text that a person can read and compare.

A transcript looks like a terminal: `$ ` before what was typed, then stdout, then stderr with `! ` before each line,
then `[3]` if the exit code is not 0. What differs from run to run (times, hashes, places) is masked.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from medanchor.cli.main import app

MASKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    (r"\b[0-9a-f]{64}\b", "<hash>"),
    (r"medanchor\.local/[0-9a-f]{16}", "<origin>"),
    (r"\bkey [0-9a-f]{16}\b", "key <key>"),
    (r'"key": "[A-Za-z0-9+/]{43}="', '"key": "<key>"'),
    (r"\b\d+\.\d GB free", "<free> free"),
    (r"medanchor \d+\.\d+\.\d+ on Python \d+\.\d+\.\d+", "medanchor <version> on Python <version>"),
    (r"\b\d+ (seconds?|minutes?)( old)?$", r"<age>\2"),
    (r"all \d+ files and folders", "all <n> files and folders"),
)


@dataclass(frozen=True)
class Transcript:
    """What one command did: its exit code, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)

    def lines(self) -> list[str]:
        code = [f"[{self.code}]"] if self.code else []
        return [*self.out.splitlines(), *(f"! {line}".rstrip() for line in self.err.splitlines()), *code]


def run(*args: str | Path, env: Mapping[str, str | None] | None = None, stdin: bytes | None = None) -> Transcript:
    """Run a command in this process: fast, and coverage sees it."""
    done = CliRunner().invoke(app, [str(arg) for arg in args], env=env, input=stdin, prog_name="medanchor")
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Transcript(done.exit_code, done.stdout, done.stderr)


def spawn(
    *args: str | bytes | Path, env: Mapping[str, str] | None = None, under: Sequence[str] = (), **options: object
) -> Transcript:
    """Run a command as a process of its own, without a terminal, started by the command `under`."""
    command = [*under, sys.executable, "-m", "medanchor", *args]
    options = {"stdin": subprocess.DEVNULL, "timeout": 60} | options
    if "input" in options:
        del options["stdin"]
    done = subprocess.run(command, env=env, capture_output=True, check=False, **options)
    return Transcript(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def replay(script: Sequence[str], root: Path) -> list[str]:
    """Run every line of `script` that starts with `$ ` in the directory `root`, and return the transcript of it all.

    `medanchor` runs in this process, after variables such as NAME=value, stdin or stdout redirected at its end; any
    other command in a shell.
    """
    told: list[str] = []
    for line in script:
        if line.startswith("$ "):
            told += [line, *mask(_typed(line[2:], root), root)]
        elif not line or line.startswith("#"):
            told.append(line)
    return told


def mask(lines: Sequence[str], root: Path) -> list[str]:
    text = "\n".join(lines).replace(str(root), "<here>")
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text.split("\n") if lines else []


def _typed(command: str, root: Path) -> list[str]:
    words = shlex.split(command)
    variables = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if words[0] != "medanchor":
        done = subprocess.run(command, shell=True, cwd=root, capture_output=True, text=True, check=False)  # noqa: S602
        return Transcript(done.returncode, done.stdout, done.stderr).lines()
    sign, file = words[-2:] if words[-2] in ("<", ">") else ("", "")
    done = run(
        *words[1 : -2 if sign else None], env=variables, stdin=(root / file).read_bytes() if sign == "<" else None
    )
    if sign == ">":
        (root / file).write_text(done.out, "utf-8")
        return Transcript(done.code, "", done.err).lines()
    return done.lines()


def tree(root: Path) -> dict[str, bytes | None]:
    """Return everything below `root`, to see whether a command left it as it was."""
    return {
        os.fsdecode(os.path.relpath(path, root)): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }


def assert_one_error(done: Transcript, code: int, *words: str) -> None:
    errors = [line for line in done.err.splitlines() if line.startswith("medanchor: error: ")]
    hints = [line for line in done.err.splitlines() if line.startswith("medanchor: hint: ")]
    assert (done.code, len(errors), len(hints)) == (code, 1, 1), done
    assert "Traceback" not in done.err
    assert not errors[0].endswith(".")
    assert not errors[0].removeprefix("medanchor: error: ")[0].isupper()
    for word in words:
        assert word in done.err
