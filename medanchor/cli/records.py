"""What the user named: records found and hashed, small files read, and what could not be told."""

import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.output import Output, name_of
from medanchor.errors import UsageError

if TYPE_CHECKING:
    from medanchor.core.hashes import Hash
    from medanchor.records.detect import Reading
    from medanchor.records.digest import Hashed
    from medanchor.records.stream import Whole
    from medanchor.records.walk import Problem


def collect(
    paths: list[bytes], out: Output, *, follow: bool, vault: Path, reading: "Reading | None" = None
) -> "tuple[list[Hashed], list[Problem]]":
    """Return the digests of the records that `paths` name, none from the vault itself, and what gave no record.

    With `reading`, also of what is in them.
    """
    problems: list[Problem] = []
    return list(hash_all(paths, problems, out, follow=follow, vault=vault, reading=reading)), problems


def hash_all(
    paths: list[bytes],
    problems: "list[Problem]",
    out: Output,
    *,
    follow: bool,
    vault: Path,
    reading: "Reading | None" = None,
) -> "Iterator[Hashed]":
    """Return what `collect` does, as it comes: what is done with it is done while other processes hash the rest.

    What gave no record is added to `problems`.
    """
    from medanchor.records.digest import Hashed, digest_all
    from medanchor.records.walk import walk

    with out.progress("records read") as advance:
        for item in digest_all(walk(paths, follow=follow, exclude=[os.fsencode(vault)]), advance, reading):
            if isinstance(item, Hashed):
                yield item
            else:
                problems.append(item)


def reading_as(kind: str | None) -> "Reading":
    """Return how to read records: by their content, or all as the `kind` that was asked for. Raises UsageError."""
    from medanchor.records.detect import Form, Reading

    if kind is None:
        return Reading()
    if kind not in list(Form):
        raise UsageError(
            f"expected --as to be one of {', '.join(Form)}, found {kind}", hint="without it, content tells"
        )
    return Reading(Form(kind))


def any_unreadable(problems: "list[Problem]") -> bool:
    """Say whether something should have given a record and could not be read."""
    from medanchor.records.walk import Severity

    return any(problem.severity is Severity.UNREADABLE for problem in problems)


MOST_REMARKS = 20
"""So many remarks on records are shown: one broken export may give a million of them."""


def problem_lines(problems: "list[Problem]", *, every: bool = False) -> Iterator[str]:
    """Return a line for each path that gave no record, and for the first remarks on records, or for `every` one."""
    from medanchor.records.walk import Severity

    shown = _shown(problems, every)
    for problem in shown:
        told = "only its bytes are covered" if problem.severity is Severity.BYTES_ONLY else problem.severity.value
        yield f"{told}: {name_of(problem.path)}: {problem.reason}"
    if hidden := len(problems) - len(shown):
        yield f"and {hidden:,} more such remarks on records: --verbose shows each"


def problem_fields(problems: "list[Problem]", out: Output) -> list[dict[str, str]]:
    """Return the JSON of what has a line; with names, and every one, only if that was asked for."""
    return [
        {"reason": problem.reason, "severity": problem.severity.value}
        | ({"path": name_of(problem.path)} if out.verbose else {})
        for problem in _shown(problems, out.verbose)
    ]


def remark_counts(problems: "list[Problem]") -> dict[str, object]:
    """Return the JSON of how many records are covered by their bytes only, and how many other remarks there are."""
    from medanchor.records.walk import Severity

    counts = Counter(problem.severity for problem in problems)
    return {"bytes_only": counts[Severity.BYTES_ONLY], "remarks": counts[Severity.NOTED]}


def _shown(problems: "list[Problem]", every: bool) -> "list[Problem]":
    """Return all that gave no record and the first remarks, in their order; all `problems` if `every` one is wanted."""
    from medanchor.records.walk import Severity

    remarks = (problem for problem in problems if problem.severity in (Severity.BYTES_ONLY, Severity.NOTED))
    hidden = set() if every else set(map(id, islice(remarks, MOST_REMARKS, None)))
    return [problem for problem in problems if id(problem) not in hidden]


def read_list(path: Path) -> list[bytes]:
    """Return the paths in the list at `path`, - for stdin: separated by NUL if it has any, else by newlines."""
    if str(path) == "-":
        data = _read_stdin()
    else:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _unreadable("list", path, error, hint="name a file that lists paths, or - for stdin") from None
    return [line for line in data.split(b"\0" if b"\0" in data else b"\n") if line]


def read_input(path: Path, *, what: str, most: int = 1 << 20) -> bytes:
    """Return the bytes of a small file the user named, `most` + 1 at most. Raises UsageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise _unreadable(what, path, error, hint=f"name the {what} file itself") from None


def looks_like_ots(path: Path, data: bytes) -> bool:
    """Say whether `data`, read from `path`, is meant to be an OpenTimestamps file; a proof of ours begins with {."""
    return data.startswith(b"\0") or (path.suffix == ".ots" and not data.startswith(b"{"))


def record_digest(path: str) -> "Hash":
    """Return the raw digest of the record at `path`, - for stdin; a shell's <(command) is read too.

    A pipe with a name is not: if nobody writes into it, it would keep us waiting for ever. Raises UsageError for that,
    and if the record cannot be read.
    """
    from medanchor.records.digest import digest_file, digest_stream

    if path == "-":
        return stdin_digest()
    with _readable(path) as is_pipe:
        if not is_pipe:
            return digest_file(os.fsencode(path))
        with open(path, "rb") as pipe:
            return digest_stream(pipe)


def record_content(path: str, reading: "Reading") -> "Whole":
    """Return what is in the record at `path`, as `record_digest` finds it. Raises UsageError."""
    from medanchor.records.stream import read_file, read_pipe

    if path == "-":
        return stdin_content(reading)
    with _readable(path) as is_pipe:
        if not is_pipe:
            return read_file(os.fsencode(path), reading)
        with open(path, "rb") as pipe:
            return read_pipe(pipe, reading)


@contextmanager
def _readable(path: str) -> Iterator[bool]:
    """Say whether a record that is to be read now is a shell's pipe. Raises UsageError if it cannot be read."""
    try:
        mode = os.stat(path).st_mode
        is_pipe = stat.S_ISFIFO(mode) and not os.path.exists(os.path.realpath(path))
        if not is_pipe and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UsageError(f"expected a file, found a device, socket or pipe: {path}", hint="pipe it in and name -")
        yield is_pipe
    except OSError as error:
        raise _unreadable("record", path, error, hint="name one record, a file") from None


def stdin_digest() -> "Hash":
    """Return the raw digest of all of stdin. Raises UsageError if it is closed."""
    from medanchor.records.digest import digest_stream

    try:
        return digest_stream(sys.stdin.buffer)
    except OSError as error:
        raise _unreadable("record", "stdin", error, hint="pipe the record in, or name its file") from None


def stdin_content(reading: "Reading") -> "Whole":
    """Return what is in the record on stdin. Raises UsageError if it is closed."""
    from medanchor.records.stream import read_pipe

    try:
        return read_pipe(sys.stdin.buffer, reading)
    except OSError as error:
        raise _unreadable("record", "stdin", error, hint="pipe the record in, or name its file") from None


def _read_stdin() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise _unreadable("list", "stdin", error, hint="pipe the list in, or name its file") from None


def _unreadable(what: str, name: object, error: OSError, *, hint: str) -> UsageError:
    return UsageError(f"cannot read the {what} {name}: {(error.strerror or str(error)).lower()}", hint=hint)
