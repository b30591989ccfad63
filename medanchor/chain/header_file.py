"""Files of headers: 80 bytes each, from height 0 on, and nothing else.

A file may change while it is read. So what is said about it is said of bytes that were read once: as they pass by they
are hashed, checked, and picked from.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from medanchor.chain.headers import HeaderChain, Picker, Progress, check_headers, hashes_of, network_of, silent
from medanchor.chain.source import Tip
from medanchor.core.hashes import Hash
from medanchor.core.header import HEADER_LENGTH, Network
from medanchor.errors import ChainError, MalformedProofError, Step, UsageError, VerificationError

if TYPE_CHECKING:
    from medanchor.chain.header_note import Note

WORTH_REMEMBERING = 10_000 * HEADER_LENGTH
"""Shorter files are checked in less than a second, and leave no note behind."""

_AT_ONCE = 2000 * HEADER_LENGTH
_MAKES_ONE = "'medanchor chain sync' and 'medanchor chain export' make such a file"


class HeaderFile:
    """An open file of headers, none of them checked; to be closed, as by `with`.

    It answers as a `Chain` does where headers are asked for, so one file can be brought up to date from another.
    """

    def __init__(self, path: Path, descriptor: int, length: int) -> None:
        self.path = path
        self.name = f"the file {path}"
        self.length = length
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the file at `path`, opened for reading.

        Raises UsageError if it cannot be read, MalformedProofError if its size is not that of one header or more.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            return cls(path, descriptor, _measured(path, descriptor))
        except BaseException:
            os.close(descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @property
    def network(self) -> Network:
        """The network whose genesis block it begins with. Raises VerificationError if that is none's."""
        return network_of(self._read(0, HEADER_LENGTH))

    @property
    def height(self) -> int:
        """The height of the last header."""
        return self.length // HEADER_LENGTH - 1

    def tip(self) -> Tip:
        """Return the last header and its height."""
        return Tip(self.height, self.header(self.height))

    def header(self, height: int) -> bytes:
        """Return the header at `height`, from 0 to the tip's."""
        return self._read(HEADER_LENGTH * height, HEADER_LENGTH)

    def headers(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the header at each of `heights`, None for one above the tip."""
        return [self.header(height) if 0 <= height <= self.height else None for height in heights]

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Return all headers from height `start` on, two thousand at a time."""
        for at in range(HEADER_LENGTH * start, self.length, _AT_ONCE):
            yield self._read(at, min(_AT_ONCE, self.length - at))

    def _read(self, at: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, at)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if len(data) != length:
            raise UsageError(
                f"{self.path} became shorter while it was read", hint="let its writer finish, then try again"
            )
        return data


def check_header_file(
    path: Path,
    heights: Collection[int] = (),
    *,
    network: Network | None = None,
    note: "Note | None" = None,
    progress: Progress = silent,
) -> HeaderChain:
    """Return the chain in the file at `path`, holding the headers at `heights`, once every header was checked.

    If `note` knows the file it was checked before on this machine; otherwise that takes some seconds for a million, of
    which `progress` is told, and `note` will know it (unless it is short). The file must be of `network`, if that is
    given.

    Raises VerificationError at step 7 if it is no chain of that network, UsageError if it cannot be read, and
    ChainError if the engine cannot be had.
    """
    with HeaderFile.open(path) as file:
        network = network or file.network
        if file.length < WORTH_REMEMBERING:
            note = None
        if note and (chain := _remembered(file, network, heights, note)):
            return chain
        state = hashlib.sha256()
        chain = check_headers(_hashed(file, state), network, heights, progress=progress)
        if note:
            from medanchor.chain.header_note import Checked

            note.add(Checked(state.hexdigest(), file.length, network, chain.tip.hex()))
        return chain


def believed_headers(
    path: Path,
    heights: Collection[int] = (),
    *,
    told: str | None = None,
    network: Network | None = None,
    note: "Note | None" = None,
    progress: Progress = silent,
) -> HeaderChain:
    """Return what `check_header_file` does, for those to whom the file is a source of blocks, and no evidence.

    Raises ChainError if it is no chain: that says nothing about any proof. `told` is how a sentence calls the headers.
    """
    try:
        return check_header_file(path, heights, network=network, note=note, progress=progress)
    except VerificationError as error:
        found = f"{told or f'the headers in {path}'} cannot be believed: {error.message}"
        raise ChainError(found, hint=error.hint) from None


def _remembered(file: HeaderFile, network: Network, heights: Collection[int], note: "Note") -> HeaderChain | None:
    """Return the chain in `file` if `note` knows its bytes: they are read and hashed, and not checked again."""
    from medanchor.chain.header_note import Checked

    known = note.find(file.length)
    if not known:
        return None
    state, picker, chunk = hashlib.sha256(), Picker(heights), b""
    for chunk in _hashed(file, state):
        picker.see(chunk)
    tip = Hash(hashes_of(chunk[-HEADER_LENGTH:])[0])
    if Checked(state.hexdigest(), file.length, network, tip.hex()) not in known:
        return None
    return HeaderChain(network, file.height, tip, picker.picked)


def _hashed(file: HeaderFile, state: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in file.chunks():
        state.update(chunk)
        yield chunk


def _unreadable(path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or str(error)).lower()
    return UsageError(f"cannot read the headers in {path}: {reason}", hint=_MAKES_ONE)


def _measured(path: Path, descriptor: int) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"expected a file of headers, found something else at {path}", hint=_MAKES_ONE)
    if not status.st_size or status.st_size % HEADER_LENGTH:
        raise MalformedProofError(
            f"expected headers of {HEADER_LENGTH} bytes in {path}, found {status.st_size} bytes in all",
            step=Step.HEADER,
            hint=_MAKES_ONE,
        )
    return status.st_size
