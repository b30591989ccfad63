"""Files read as documents. NDJSON of any length, also in gzip, is read in blocks of whole lines, all else at one go."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from medanchor.core.commitment import WIDTHS
from medanchor.core.hashes import Hash, split_hashes
from medanchor.core.ladder import RUNGS, compare
from medanchor.errors import MalformedRecordError
from medanchor.records.detect import HEAD, MAX_DOCUMENT, Form, Reading, as_bytes, limit_of, read
from medanchor.records.document import Content, Contents, Document, Kind

BLOCK = 2 << 20
"""Lines are read in blocks of about so many bytes."""

CHUNK = 1 << 16
"""Blocks are made of chunks about so long: the processor's cache holds one while it is hashed, searched and copied."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""O_NONBLOCK: a file that became a named pipe meanwhile does not hang us; it is told by its kind."""


class Lines(NamedTuple):
    """Whole lines, in parts to be joined, and the number of the first of them in its file, from 1."""

    parts: list[bytes]
    first: int


ReadAll = Callable[[Iterator[Lines]], Iterator[Contents]]

MOST_RECORDS = 10_000_000
"""What one file of NDJSON may hold: 300 bytes of memory each. A few megabytes of gzip can hold many more."""


def read_in_turn(lines: Iterator[Lines]) -> Iterator[Contents]:
    """Return the records in all `lines`, read one block after another."""
    return (read_block(b"".join(parts), first) for parts, first in lines)


def read_block(block: bytes, first: int) -> Contents:
    """Return the records in a block of lines, of which the first one has the number `first`."""
    from medanchor.records import fhir

    return fhir.read_lines(block, first)


class Whole(NamedTuple):
    """What a file is, and the records inside it, in one or more parts."""

    document: Document
    contents: list[Contents]

    def inside(self) -> Iterator[tuple[bytes, Content]]:
        """Return the records inside it, one by one, each after where it lies."""
        for contents in self.contents:
            at, packed = 0, bytes(contents.components)
            for name, kind, raw in zip(contents.names, contents.kinds, split_hashes(bytes(contents.raws)), strict=True):
                end = at + WIDTHS[kind]
                yield name, Content(kind, Hash(raw), tuple(map(Hash, split_hashes(packed[at:end]))))
                at = end

    def most_like(self, stamped: Content) -> tuple[Content, bytes | None]:
        """Return the record most like what was `stamped`: the file itself, or one inside it after which it is named."""
        best, where, rung = self.document.content, None, _rung(stamped, self.document.content)
        for name, content in self.inside():
            if not rung:
                break
            if (found := _rung(stamped, content)) < rung:
                best, where, rung = content, name, found
        return best, where


def _rung(stamped: Content, found: Content) -> int:
    """Return how far down the ladder a record is: 0 is exact."""
    return RUNGS.index(compare(stamped, found).rung)


def read_file(path: bytes, reading: Reading) -> Whole:
    """Return what is in the file at `path`. Raises OSError."""
    with open(open_record(path), "rb") as file:
        return read_stream(file, reading)


def open_record(name: bytes, folder: int | None = None) -> int:
    """Return the open file called `name`, in the open `folder` if there is one. Raises OSError, also for no file."""
    file = os.open(name, _FLAGS, dir_fd=folder)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode):
        return file
    os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError("it is not a file any more")


def read_stream(file: BinaryIO, reading: Reading, read_all: ReadAll = read_in_turn) -> Whole:
    """Return what is in `file`, from its beginning; `read_all` reads the lines of NDJSON. Raises OSError."""
    form, has_lines = look_into(file, reading)
    if has_lines:
        return _read_lines(file, form, read_all)
    return _read_document(_Hashed(file), b"", form, reading)


def read_pipe(pipe: BinaryIO, reading: Reading) -> Whole:
    """Return what comes through `pipe`, which cannot be read twice: NDJSON too is read at one go. Raises OSError."""
    hashed = _Hashed(pipe)
    head = hashed.read_all(HEAD)
    return _read_document(hashed, head, reading.form_of(head), reading)


def _read_document(hashed: "_Hashed", head: bytes, form: Form, reading: Reading) -> Whole:
    if form is Form.BYTES:
        return Whole(as_bytes(hashed.finish()), [])
    most = limit_of(form)
    data = head + hashed.read_all(most + 1 - len(head))
    if len(data) > most:
        return Whole(as_bytes(hashed.finish(), f"it is longer than {most >> 20} MiB"), [])
    document = read(data, reading)
    return Whole(document, [document.contained] if document.contained else [])


def _read_lines(file: BinaryIO, form: Form, read_all: ReadAll) -> Whole:
    hashed = _Hashed(file)
    try:
        contents = list(_bounded(read_all(_cut(_chunks(hashed, form)))))
    except MalformedRecordError as error:
        return Whole(as_bytes(hashed.finish(), error.message), [])
    return Whole(Document(Content(Kind.BYTES, hashed.finish())), contents)


def _bounded(parts: Iterable[Contents]) -> Iterator[Contents]:
    records = 0
    for contents in parts:
        records += len(contents.names)
        if records > MOST_RECORDS:
            raise MalformedRecordError(f"it has more than {MOST_RECORDS} records")
        yield contents


def look_into(file: BinaryIO, reading: Reading) -> tuple[Form, bool]:
    """Return what to read `file` as, and whether it holds NDJSON, plain or in gzip; it is left at its beginning."""
    form = _form_of_blocks(iter(lambda: file.read(HEAD), b""), reading)
    file.seek(0)
    if form is not Form.GZIP:
        return form, form is Form.NDJSON
    from medanchor.records import archive

    try:
        return form, _form_of_blocks(archive.inflated(file), Reading()) is Form.NDJSON
    except MalformedRecordError:
        return form, False
    finally:
        file.seek(0)


def _form_of_blocks(blocks: Iterator[bytes], reading: Reading) -> Form:
    """Return the form of what begins with `blocks`: of JSON, the second line has to be seen."""
    head = bytearray()
    for block in blocks:
        line_ended = b"\n" in head[-HEAD:]
        head += block
        if len(head) < HEAD:
            continue
        if line_ended or len(head) > MAX_DOCUMENT or reading.form_of(bytes(head[:HEAD])) is not Form.FHIR:
            break
    return reading.form_of(bytes(head))


class _Hashed:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._state = hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._state.update(block)
        return block

    def read_all(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end: a pipe may give less at once."""
        blocks: list[bytes] = []
        while size and (block := self.read(size)):
            blocks.append(block)
            size -= len(block)
        return b"".join(blocks)

    def finish(self) -> Hash:
        """Return the digest of all of the file, also of what nobody has read yet."""
        while self.read(CHUNK):
            pass
        return Hash(self._state.digest())


def _chunks(file: _Hashed, form: Form) -> Iterator[bytes]:
    if form is Form.GZIP:
        from medanchor.records import archive

        return _joined(archive.inflated(file))
    return iter(lambda: file.read(CHUNK), b"")


def _joined(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Return `blocks` joined to chunks: gzip can hold a byte in each of a million members."""
    waiting = bytearray()
    for block in blocks:
        waiting += block
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _cut(chunks: Iterable[bytes]) -> Iterator[Lines]:
    """Return `chunks` cut into blocks of whole lines. Raises MalformedRecordError at a line that is too long."""
    first, number = 1, 1  # of the first line in the block, and of the one that has not ended
    size, begun = 0, 0  # of the block, and of that line
    waiting: list[bytes] = []
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if begun + (chunk.find(b"\n") if end else len(chunk)) > MAX_DOCUMENT:
            raise MalformedRecordError(f"line {number} is longer than {MAX_DOCUMENT >> 20} MiB")
        if not end:
            begun += len(chunk)
        else:
            begun = len(chunk) - end
            number += sum(1 for _ in io.BytesIO(chunk[:end]))  # four times as fast as bytes.count, as lines are
        if end and size + end >= BLOCK:
            yield Lines([*waiting, chunk[:end]], first)
            first, size, waiting = number, begun, [chunk[end:]]
        else:
            size += len(chunk)
            waiting.append(chunk)
    if size:
        yield Lines(waiting, first)
