"""What people and scripts are told.

The rules of every sentence here: results go to stdout, all else to stderr. Lower case, no full stop, the object named.
At default verbosity no line on stderr and no JSON names a file, its content or a key beyond what the user typed: what
goes to logs must not hold a patient's name. `--verbose` adds the names. `--quiet` leaves nothing but errors.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, NoReturn, Protocol

import typer

from medanchor.errors import MedanchorError, UsageError, VerificationError

PROGRESS_AFTER_SECONDS = 0.5
EXIT_BROKEN_PIPE = 141
"""As a shell reports a program that SIGPIPE ended: whoever read the results had enough."""

STYLES = {
    "verified": "green",
    "SAME CONTENT": "green",
    "SAME VALUES": "bold red",
    "SAME DATA": "bold red",
    "consistent": "yellow",
    "NOT VERIFIED": "bold red",
    "CHANGED": "bold red",
    "MISSING": "bold red",
    "ADDED": "bold red",
    "DAMAGED": "bold red",
    "never stamped": "yellow",
    "only its bytes": "yellow",
    "unreadable": "yellow",
    "mind:": "dim",
}
"""How a line stands out on a terminal, by its first word."""


class Advance(Protocol):
    """Tells a progress bar that so many more are done."""

    def __call__(self, count: int, /) -> None:
        """Advance the bar by `count`."""
        ...


@dataclass(slots=True)
class Output:
    """How this command speaks."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def result(self, *lines: str, **fields: object) -> None:
        """Print a result: `lines` for people, or `fields` as one JSON object for scripts."""
        with _delivered():
            if self.json:
                print(json.dumps(fields, indent=2, ensure_ascii=True))  # noqa: T201 - this is the printer
            elif not self.quiet:
                for line in lines:
                    _print_result(printable(line))

    def fail(self, error: MedanchorError) -> NoReturn:
        """End the command as `error` says, after its result: people are told why, a script's object has told it all."""
        if self.json:
            raise typer.Exit(error.exit_code)
        raise error

    def see(self) -> str:
        """Return where the records that an error counts are named: errors end up in logs, so they name none."""
        return "run it without --quiet to see them named" if self.quiet else "they are named above"

    def note(self, line: str) -> None:
        """Print a remark to stderr, unless all must be quiet."""
        if not self.quiet and not self.json:
            say(line)

    def warn(self, line: str) -> None:
        """Print a warning to stderr; --quiet does not silence it, as cron's owner must see it."""
        if not self.json:
            say(f"medanchor: warning: {line}")

    @contextmanager
    def progress(self, what: str) -> Iterator[Advance]:
        """Show a bar on a terminal if this takes longer than half a second; without a terminal, nothing."""
        if self.quiet or self.json or not sys.stderr.isatty():
            yield lambda _count: None
            return
        bar = _Bar(what)
        try:
            yield bar.advance
        finally:
            bar.close()


class _Bar:
    """A rich progress line that appears only once it has something to wait for."""

    def __init__(self, what: str) -> None:
        import time

        self._what = what
        self._clock = time.monotonic
        self._started = time.monotonic()
        self._done = 0
        self._live: object = None

    def advance(self, count: int) -> None:
        self._done += count
        if self._live is None and self._clock() - self._started > PROGRESS_AFTER_SECONDS:
            self._open()
        if self._live is not None:
            self._progress.update(self._task, completed=self._done)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._progress.start()
        self._task = self._progress.add_task(self._what, total=None)
        self._live = self._progress

    def close(self) -> None:
        if self._live is not None:
            self._progress.stop()


@contextmanager
def _delivered() -> Iterator[None]:
    """Hand what is printed within to stdout, now; a reader who has gone ends the command quietly.

    What cannot be delivered is thrown away, or Python would try once more when it ends, and complain.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(EXIT_BROKEN_PIPE) from None
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot write the results: {reason}", hint="what was done is done: 'medanchor log' shows it"
        ) from None


def _print_result(line: str) -> None:
    """Print one line of a result; on a terminal its verdict stands out (rich honours NO_COLOR)."""
    if not sys.stdout.isatty():
        print(line)  # noqa: T201 - this is the printer
        return
    from rich.console import Console
    from rich.text import Text

    style = next((style for start, style in STYLES.items() if line.startswith(start)), "")
    Console().print(Text(line, style=style), soft_wrap=True)


def say(line: str, stream: IO[str] | None = None) -> None:
    """Print `line` to stderr (or `stream`)."""
    print(printable(line), file=stream or sys.stderr)


def printable(line: str) -> str:
    """Return `line` with what could steer a terminal, or could not be encoded, replaced: names come from strangers."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    encoding = sys.stdout.encoding or "utf-8"
    return clean.encode(encoding, "replace").decode(encoding)


def name_of(path: bytes) -> str:
    """Return a path as it is shown to a person."""
    return os.fsdecode(path).encode("utf-8", "replace").decode("utf-8")


def tell_error(error: MedanchorError, *, as_json: bool) -> None:
    """Print an error and its hint: to stderr for people, as one JSON object on stdout for scripts."""
    if as_json:
        with _delivered():
            print(json.dumps({"error": error_fields(error)}, indent=2, ensure_ascii=True))  # noqa: T201 - as above
        return
    say(f"medanchor: error: {error.message}")
    if error.hint:
        say(f"medanchor: hint: {error.hint}")


def error_fields(error: MedanchorError) -> dict[str, object]:
    """Return the JSON of an error (docs/json.md)."""
    fields: dict[str, object] = {"class": type(error).__name__, "exit": error.exit_code, "message": error.message}
    if error.hint:
        fields["hint"] = error.hint
    if isinstance(error, VerificationError):
        fields["step"] = {"name": error.step.name, "number": int(error.step)}
    return fields


def plural(count: int, noun: str) -> str:
    """Return "1 record", "2 records", "2 entries"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"
