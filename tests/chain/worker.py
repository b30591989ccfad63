"""A process that the tests of faults may kill, starve or lock out. Nothing here is a test.

`python worker.py DIRECTORY` loads the engine once, then reads requests, one a line, and forks a child for each, which
opens the chain and does it. It prints the child's number, and when the child has ended what became of it.
"""

import ctypes
import os
import sys
import time
from pathlib import Path

import pbk.capi.library

import medanchor.chain.blocks  # noqa: F401 - loaded before the fork, so that a child's life is all in the chain
from medanchor.chain.embedded import EmbeddedChain
from medanchor.errors import MedanchorError

NOBODY = 65_534


def set_clock(ahead: int) -> None:
    """Have the engine and Python believe that it is `ahead` seconds later than it is."""
    now = time.time
    library = pbk.capi.library.BITCOINKERNEL_LIB
    library["_Z11SetMockTimel"](ctypes.c_long(int(now()) + ahead))
    time.time = lambda: now() + ahead


def limit_files(most: int) -> None:
    """Have every write beyond `most` bytes of a file fail."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def drop_privileges(_: int) -> None:
    """Become a user who owns nothing."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


CONDITIONS = {"clock": set_clock, "limit": limit_files, "nobody": drop_privileges}


def obey(directory: Path, words: list[str]) -> str:
    """Do one request: conditions as `name=number`, then one of submit HEX, mine COUNT, tip, check."""
    while "=" in words[0]:
        name, _, number = words.pop(0).partition("=")
        CONDITIONS[name](int(number))
    chain = EmbeddedChain(directory, now=lambda: int(time.time()))
    match words:
        case ["submit", transaction]:
            chain.submit(bytes.fromhex(transaction))
        case ["mine", count]:
            for _ in range(int(count)):
                chain.mine()
        case ["check"]:
            chain.check()
    return f"height {chain.tip().height}"


def main() -> None:
    """Serve requests until there are no more."""
    directory = Path(sys.argv[1])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                answer = obey(directory, line.split())
            except MedanchorError as error:
                answer = f"{type(error).__name__}: {error} ({error.hint})"
            os.write(1, answer.encode() + b"\n")
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"ended {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
