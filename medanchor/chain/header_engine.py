"""Bitcoin Core's own rules for headers, run by its engine in a process of its own.

Apart for three reasons. The headers come from strangers: should one bring the engine down, it takes nobody with it. Its
memory, 260 bytes a header, goes when it does. And it may end without closing, which would write an index that nobody
reads and take as much memory once more.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from medanchor.core.header import HEADER_LENGTH, Network
from medanchor.errors import ChainError, MedanchorError

_AT_ONCE = 1000 * HEADER_LENGTH
_LONGEST_ANSWER = 1 << 16
_AGAIN = "is there memory enough, 260 bytes for each header? Then try again"

Tell = Callable[[Mapping[str, object]], None]


class Engine:
    """The `Judge` in another process, which reads headers from a pipe while their hashes are computed here."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._headers = cast("IO[bytes]", process.stdin)
        self._answer = cast("IO[bytes]", process.stdout)

    def take(self, headers: bytes, hashes: Sequence[bytes]) -> bool:  # noqa: ARG002 - the engine hashes for itself
        """Hand over the next headers; False once the other process takes no more."""
        try:
            self._headers.write(headers)
        except BrokenPipeError:
            return False
        return True

    def refusal(self) -> tuple[int, str] | None:
        """Return the height of the first header that breaks a rule, and which; waits until all have been judged.

        Raises ChainError if the engine cannot be opened, or ends without an answer.
        """
        self.end()
        match _parsed(self._answer.read(_LONGEST_ANSWER)):
            case {"taken": int()}:
                return None
            case {"refused": int(index), "rule": str(rule)}:
                return 1 + index, rule
            case {"error": str(message), "hint": str(hint)}:
                raise ChainError(message, hint=hint)
        raise ChainError(f"Bitcoin Core's engine gave no answer, and ended with {self._process.wait()}", hint=_AGAIN)

    def end(self) -> None:
        """Say that no more headers come."""
        with suppress(BrokenPipeError):
            self._headers.close()


@contextmanager
def engine(network: Network) -> Iterator[Engine]:
    """Give the engine, started for `network`, and end it whatever happens. Raises ChainError if it does not start."""
    with ExitStack() as stack:
        try:
            temporary = tempfile.TemporaryDirectory(prefix="medanchor-", ignore_cleanup_errors=True)
            process = stack.enter_context(_started(network, stack.enter_context(temporary)))
        except OSError as error:
            raise ChainError(
                f"the headers cannot be checked: {(error.strerror or str(error)).lower()}",
                hint="that takes a temporary directory and a process; TMPDIR names the directory",
            ) from error
        engine = Engine(process)
        try:
            yield engine
        finally:
            process.kill()
            engine.end()


def _started(network: Network, directory: str) -> "subprocess.Popen[bytes]":
    """Return a process of this Python that finds the modules where this one found them, and nowhere else.

    In a group of its own, so that Ctrl-C at the terminal is for the process that started it, which ends it.
    """
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(  # noqa: S603 - this Python, this module
        [sys.executable, "-P", "-m", "medanchor.chain.header_engine", network.value, directory],
        env=surroundings,
        process_group=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _parsed(answer: bytes) -> object:
    try:
        return json.loads(answer)
    except ValueError:
        return None


def judge(stream: IO[bytes], network: Network, directory: Path, tell: Tell) -> None:
    """Tell what becomes of the headers in `stream`, from height 1 on; the engine keeps its files in `directory`.

    One object: how many were taken, or which was refused (from zero) by which rule, or why none could be judged.
    It is told while the engine is open: `tell` may well not return.
    """
    from medanchor.chain.kernel import opened

    try:
        with opened(directory, network, in_memory=True) as kernel:
            taken = 0
            while headers := stream.read(_AT_ONCE):
                if refusal := kernel.offer_headers(headers):
                    index, rule = refusal
                    return tell({"refused": taken + index, "rule": rule})
                taken += len(headers) // HEADER_LENGTH
            return tell({"taken": taken})
    except MedanchorError as error:
        return tell({"error": error.message, "hint": error.hint or _AGAIN})


def _answer(answer: Mapping[str, object]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 - to the process that started this one
    os._exit(0)


if __name__ == "__main__":
    judge(sys.stdin.buffer, Network(sys.argv[1]), Path(sys.argv[2]), _answer)
