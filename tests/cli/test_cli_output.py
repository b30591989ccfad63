"""How the command speaks: colours, bars, streams that fail; what needs a terminal is given a made-up one."""

import io
import os
import sys

import pytest
import typer

from medanchor.cli import output
from medanchor.cli.main import _open_standard_streams
from medanchor.cli.output import Output, plural
from medanchor.errors import PendingError, UsageError, VaultError

ESCAPE = "\x1b"


class Terminal(io.StringIO):
    """A stream that says it is a terminal, on a file descriptor of its own."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch) -> Terminal:
    """Put a terminal in place of the streams; pytest's own capture would undo that between fixture and test."""
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.mark.parametrize("line", ["NOT VERIFIED: step 1", "CHANGED since", "MISSING, was", "verified by", "mind: x"])
def test_a_verdict_stands_out_on_a_terminal(monkeypatch, line):
    terminal = at_a_terminal(monkeypatch)
    Output().result(line)
    assert ESCAPE in terminal.getvalue()
    assert line in terminal.getvalue()


def test_a_long_line_is_not_wrapped_nor_markup_obeyed(monkeypatch):
    terminal = at_a_terminal(monkeypatch)
    line = "[bold]" + "x" * 300
    Output().result(line)
    assert line in terminal.getvalue()


def test_a_bar_appears_when_something_takes_long(monkeypatch):
    terminal = at_a_terminal(monkeypatch)
    monkeypatch.setattr(output, "PROGRESS_AFTER_SECONDS", -1)
    with Output().progress("records read") as advance:
        advance(1200)
        advance(34)
    assert "records read" in terminal.getvalue()


def test_no_bar_appears_when_all_goes_fast_or_is_quiet(monkeypatch):
    terminal = at_a_terminal(monkeypatch)
    with Output().progress("records read") as advance:
        advance(1)
    with Output(quiet=True).progress("records read") as advance:
        advance(1)
    assert terminal.getvalue() == ""


class Failing(io.TextIOWrapper):
    """A stdout whose reader is gone, or whose disk is full."""

    def __init__(self, error: OSError) -> None:
        self._error = error
        super().__init__(os.fdopen(os.open(os.devnull, os.O_WRONLY), "wb"), encoding="utf-8")

    def flush(self) -> None:
        if self._error:
            raise self._error

    def recover(self) -> None:
        self._error = None
        self.close()


def test_a_reader_that_is_gone_ends_it_with_141(monkeypatch):
    stream = Failing(BrokenPipeError(32, "Broken pipe"))
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(typer.Exit) as ended:
        Output().result("a line")
    assert ended.value.exit_code == 141
    stream.recover()


def test_a_full_disk_behind_stdout_is_told(monkeypatch):
    stream = Failing(OSError(28, "No space left on device"))
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(UsageError, match="no space left") as told:
        Output(json=True).result(entry=1)
    assert told.value.hint
    stream.recover()


def test_failing_tells_people_why_and_scripts_the_code():
    with pytest.raises(PendingError):
        Output().fail(PendingError("not yet"))
    with pytest.raises(typer.Exit) as ended:
        Output(json=True).fail(VaultError("no"))
    assert ended.value.exit_code == 5


def test_closed_streams_are_replaced(monkeypatch):
    read, write = os.pipe()  # stand in for the numbers that would be free
    monkeypatch.setattr(sys, "stdin", None)
    opened = []
    monkeypatch.setattr("os.open", lambda *_arguments: None)
    monkeypatch.setattr("builtins.open", lambda *arguments, **_named: opened.append(arguments) or io.StringIO())
    _open_standard_streams()
    monkeypatch.undo()
    os.close(read)
    os.close(write)
    assert opened == [(0, "r")]


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [
        (0, "record", "0 records"),
        (1, "entry", "1 entry"),
        (2, "entry", "2 entries"),
        (1234567, "proof", "1,234,567 proofs"),
    ],
)
def test_plurals(count, noun, told):
    assert plural(count, noun) == told
