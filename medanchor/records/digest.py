"""Digests of records: SHA-256 of many files and of the parts of those that can be read, by two processes where many.

Measured (benchmarks/): os.open/read/close beat open() by 1.7 times.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, islice
from typing import BinaryIO, NamedTuple

from medanchor.core.commitment import WIDTHS, Content, Kind
from medanchor.core.hashes import Hash, split_hashes
from medanchor.records.detect import BYTES, Reading
from medanchor.records.document import Contents
from medanchor.records.stream import (
    Lines,
    ReadAll,
    Whole,
    look_into,
    open_record,
    read_block,
    read_in_turn,
    read_stream,
)
from medanchor.records.walk import Group, Problem, Severity, is_container, told
from medanchor.records.workers import Workers

READ_BYTES = 1 << 16
"""Large enough that system calls cost nothing, small enough for the processor's cache: 1 MiB is a third slower."""

FIRST_TASK = 8
LARGEST_TASK = 256
ALONE = 2
"""Up to so many tasks (24 records), starting processes costs more than it gains."""

AHEAD = 256
"""So many tasks may wait for the first one's results: a large record keeps nobody idle, and memory is bounded."""

LARGE = 8 << 20
"""A longer file of NDJSON is read by all processes at once, in blocks."""

FOLDER_FLAGS = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
"""O_PATH: a folder that may be entered but not listed still gives a record that is named."""

Task = list[Group]


@dataclass(frozen=True, slots=True)
class Hashed:
    """Records of one folder, or of one container, with their digests, in the order of `names`.

    A container's path ends in a slash here: what is inside it has the paths that it would have in a folder. `raws` has
    32 bytes a record, `kinds` one byte (nothing if all are of kind 0), `components` the component digests of all of
    them, one after another.
    """

    folder: bytes
    names: list[bytes]
    raws: bytes
    kinds: bytes = b""
    components: bytes = b""

    @property
    def inside(self) -> bool:
        """Whether the records lie in a container."""
        return is_container(self.folder)

    def raw_list(self) -> list[bytes]:
        """Return the raw digests one by one."""
        return split_hashes(self.raws)

    def only(self, chosen: Callable[[bytes, bytes], bool]) -> "Hashed | None":
        """Return those records that are `chosen` by name and raw digest; None if there are none."""
        raws = self.raw_list()
        numbers = [number for number, pair in enumerate(zip(self.names, raws, strict=True)) if chosen(*pair)]
        if len(numbers) == len(raws):
            return self
        if not numbers:
            return None
        names, packed = [self.names[number] for number in numbers], b"".join(raws[number] for number in numbers)
        if not self.kinds:
            return Hashed(self.folder, names, packed)
        ends = list(accumulate(map(WIDTHS.__getitem__, self.kinds), initial=0))
        components = b"".join(self.components[ends[number] : ends[number + 1]] for number in numbers)
        kinds = bytes(self.kinds[number] for number in numbers)
        return Hashed(self.folder, names, packed, kinds, components)


class Large(NamedTuple):
    """A file of NDJSON that is too long for one process."""

    folder: bytes
    name: bytes


Results = list[Hashed | Problem | Large]


def digest_stream(stream: BinaryIO) -> Hash:
    """Return the raw digest of everything that `stream` yields."""
    state = hashlib.sha256()
    while block := stream.read(READ_BYTES):
        state.update(block)
    return Hash(state.digest())


def digest_file(path: bytes) -> Hash:
    """Return the raw digest of the file at `path`. Raises OSError."""
    file = open_record(path)
    try:
        return _hash(file, os.read(file, READ_BYTES))
    finally:
        os.close(file)


def digest_all(
    found: Iterable[Group | Problem], progress: Callable[[int], None], reading: Reading | None = None
) -> Iterator[Hashed | Problem]:
    """Return the digests of all records `found`, in order, and the problems among them as they come.

    With `reading`, what is in the records is read too: those inside a container come after the folder's own. One
    unreadable record stops nothing: it becomes a Problem. `progress` is told how many records were done.
    """
    problems: list[Problem] = []
    tasks = _tasks(_groups(found, problems))
    first = list(islice(tasks, ALONE + 1))
    work = partial(_digest_task, reading=reading)
    with Workers() as workers:
        alone = len(first) <= ALONE
        results = map(work, first) if alone else workers.map(work, chain(first, tasks), ahead=AHEAD)
        for result in results:
            for item in _finish(result, workers, reading):
                yield item
                if isinstance(item, Hashed):
                    progress(len(item.names))
            while problems:
                yield problems.pop(0)
    yield from problems


def _finish(results: Results, workers: Workers, reading: Reading | None) -> Iterator[Hashed | Problem]:
    """Return `results`, with what is in the files that were left to all processes."""

    def read_all(lines: Iterator[Lines]) -> Iterator[Contents]:
        return workers.map_blocks(read_block, lines)

    for item in results:
        if isinstance(item, Large):
            whole = _digest_group(Group(item.folder, [item.name]), reading, read_all)
            yield from (part for part in whole if not isinstance(part, Large))
        else:
            yield item


def _groups(found: Iterable[Group | Problem], problems: list[Problem]) -> Iterator[Group]:
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
        else:
            yield item


def _tasks(groups: Iterable[Group]) -> Iterator[Task]:
    """Return `groups` cut and joined into tasks; small at first, so that a few large records meet both processes."""
    size, task, room = FIRST_TASK, [], FIRST_TASK
    for group in groups:
        start = 0
        while start < len(group.names):
            part = group.names[start : start + room]
            task.append(Group(group.folder, part))
            start, room = start + len(part), room - len(part)
            if not room:
                yield task
                size = min(2 * size, LARGEST_TASK)
                task, room = [], size
    if task:
        yield task


def _digest_task(task: Task, reading: Reading | None) -> Results:
    results: Results = []
    for group in task:
        results += _digest_group(group, reading)
    return results


def _digest_group(group: Group, reading: Reading | None = None, read_all: ReadAll | None = None) -> Results:
    """Return the digests of a group's records, then what is inside them and the problems; `read_all` reads a Large."""
    own = Contents()
    rest: Results = []
    try:
        folder = os.open(group.folder, FOLDER_FLAGS)
    except OSError as error:
        return [_unreadable(group.folder, name, error) for name in group.names]
    try:
        for name in group.names:
            try:
                found = _digest(name, folder, reading, read_all)
            except OSError as error:
                rest.append(_unreadable(group.folder, name, error))
                continue
            if isinstance(found, bytes):
                own.add_bytes(name, found)
            elif found is None:
                rest.append(Large(group.folder, name))
            else:
                own.add(name, found.document.content)
                rest += inside(os.path.join(group.folder, name), found)
    finally:
        os.close(folder)
    return [*([_hashed(group.folder, own)] if own.names else []), *rest]


def _unreadable(folder: bytes, name: bytes, error: OSError) -> Problem:
    return Problem(os.path.join(folder, name), told(error), Severity.UNREADABLE)


def inside(path: bytes, whole: Whole) -> list[Hashed | Problem]:
    """Return what is inside the record at `path`, and what should be known about it and them."""
    kind = Kind.BYTES if whole.document.content.kind == Kind.BYTES and not whole.contents else None
    found: list[Hashed | Problem] = [_remark(path, kind, remark) for remark in whole.document.remarks]
    blocks = whole.contents[::-1]
    whole.contents.clear()
    while blocks:  # a block is freed once it is copied: a million records are not kept twice
        contents = blocks.pop()
        if contents.names:
            found.append(_hashed(os.path.join(path, b""), contents))
        kinds = dict(zip(contents.names, contents.kinds, strict=True)) if contents.remarks else {}
        found += [_remark(os.path.join(path, name), kinds.get(name), remark) for name, remark in contents.remarks]
    return found


def _remark(path: bytes, kind: int | None, remark: str) -> Problem:
    """Return what a reader has to say of a record; of one that it left as bytes, why."""
    return Problem(path, remark, Severity.BYTES_ONLY if kind == Kind.BYTES else Severity.NOTED)


def hashed_one(folder: bytes, name: bytes, content: Content) -> Hashed:
    """Return the digests of one record."""
    contents = Contents()
    contents.add(name, content)
    return _hashed(folder, contents)


def _hashed(folder: bytes, contents: Contents) -> Hashed:
    kinds = bytes(contents.kinds) if any(contents.kinds) else b""
    return Hashed(folder, contents.names, bytes(contents.raws), kinds, bytes(contents.components))


def _digest(name: bytes, folder: int, reading: Reading | None, read_all: ReadAll | None) -> Hash | Whole | None:
    """Return a file's raw digest; what is in it, if `reading` finds a document; None if that is too long for one."""
    file = open_record(name, folder)
    try:
        block = os.read(file, READ_BYTES)
        if reading is None or reading.form_of(block) is BYTES:
            return _hash(file, block)
        return _read(file, reading, read_all)
    finally:
        os.close(file)


def _hash(file: int, block: bytes) -> Hash:
    """Return the digest of `block` and of all that is still to be read."""
    state = hashlib.sha256(block)
    while block := os.read(file, READ_BYTES):
        state.update(block)
    return Hash(state.digest())


def _read(file: int, reading: Reading, read_all: ReadAll | None) -> Whole | None:
    with os.fdopen(os.dup(file), "rb") as stream:
        stream.seek(0)
        if read_all is None and os.fstat(file).st_size > LARGE and look_into(stream, reading)[1]:
            return None
        return read_stream(stream, reading, read_all or read_in_turn)
