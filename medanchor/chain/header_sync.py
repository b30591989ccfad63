"""Keeping a file of headers up to date: from a node, a server, the embedded chain, or another file.

FILE only ever holds a chain that was checked whole. What is fetched goes to FILE.part first, which is also where an
interrupted run is gone on with; once it has been checked from its genesis block to its tip it takes FILE's place, in
one step. A kill at any moment leaves the old chain or the new one.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from medanchor.chain.header_draft import Draft
from medanchor.chain.header_file import HeaderFile, believed_headers
from medanchor.chain.headers import HeaderChain, Progress, bits_of, silent, work_of
from medanchor.chain.source import Tip
from medanchor.core.hashes import HASH_LENGTH, display, sha256d
from medanchor.core.header import GENESIS, Network, check_proof_of_work, parse_headers
from medanchor.errors import ChainError, UsageError, VerificationError

if TYPE_CHECKING:
    from medanchor.chain.header_note import Note

AT_ONCE = 2000
"""Headers asked for in one call, as nodes send them to each other."""

ATTEMPTS = 3
"""So often a source may turn to another chain while it is read, before it is called unbelievable."""

HIGHEST = 20_000_000
"""No chain of headers will be so high for some decades: a source that says so would feed us for ever."""

_ANOTHER = "is it the source you mean? Ask another one"
_NEW_FILE = "name another file, or a new one"


class HeaderSource(Protocol):
    """Where headers come from: any `Chain`, or a `HeaderFile`."""

    @property
    def network(self) -> Network:
        """The network whose blocks these are."""
        ...

    @property
    def name(self) -> str:
        """How a sentence calls it."""
        ...

    def tip(self) -> Tip:
        """Return the newest block of the best chain."""
        ...

    def headers(self, heights: Sequence[int]) -> list[bytes | None]:
        """Return the best chain's header (80 bytes) at each of `heights`; None for one above the tip."""
        ...


@dataclass(frozen=True, slots=True)
class Synced:
    """What came of it: the file's chain, how many headers were added to it and taken from it, and the source's height.

    Nothing was added nor taken if the source has no chain with more work.
    """

    chain: HeaderChain
    added: int
    removed: int
    offered: int


def sync_headers(
    source: HeaderSource, path: Path, *, note: "Note | None" = None, progress: Progress = silent
) -> Synced:
    """Return how the file of headers at `path` was brought up to the best chain of `source`; it is made if missing.

    The whole chain is checked before it is kept, so `source` is trusted for one thing, that there is no better chain;
    and only a chain with more work takes the place of the one that is there. `progress` is told of headers as they are
    fetched, and of each in the chain as it is checked. Whatever is raised, the file is as it was.

    Raises ChainError if `source` cannot be reached or believed, and UsageError if the file cannot be used, as when it
    is of another network.
    """
    path = path.resolve()
    with ExitStack() as closing:
        present = closing.enter_context(headers_in(path)) if path.exists() else None
        if present and present.network is not source.network:
            found = f"expected headers of {source.network} in {path}, found {present.network}'s"
            raise UsageError(found, hint=_NEW_FILE)
        if present and source.tip() == present.tip():
            return Synced(believed_headers(path, note=note, progress=progress), 0, 0, present.height)
        draft = closing.enter_context(Draft.beside(path))
        draft.begin(present, source.network)
        offered = _fetch(source, draft, progress)
        fork = _fork(present, draft) if present else -1
        if present and _work_above(present, fork) >= _work_above(draft, fork):
            draft.discard()
            return Synced(believed_headers(path, note=note, progress=progress), 0, 0, offered)
        chain = _taken(draft, source, present, note, progress)
        draft.replace(path)
        return Synced(chain, draft.height - fork, present.height - fork if present else 0, offered)


def export_headers(source: HeaderSource, path: Path, *, progress: Progress = silent) -> int:
    """Return how many headers of the best chain of `source` were written to the file at `path`, whatever it held.

    Who gets the file checks them; here each follows the one before it and has its proof of work. Raises ChainError if
    `source` cannot be reached, or gives others, and UsageError if the file cannot be written.
    """
    path = path.resolve()
    with Draft.beside(path) as draft:
        draft.begin(None, source.network)
        try:
            _fetch(source, draft, progress)
            draft.replace(path)
        except UsageError:
            draft.discard()
            raise
        return draft.height + 1


def headers_in(path: Path) -> HeaderFile:
    """Return the file of headers at `path`, opened, and nothing in it checked but that it begins as a network does.

    Raises UsageError if it cannot be read, or holds something else.
    """
    try:
        with HeaderFile.open(path) as file:
            _ = file.network
    except VerificationError as error:
        raise UsageError(f"expected headers in {path}: {error.message}", hint=_NEW_FILE) from None
    return HeaderFile.open(path)


def _taken(
    draft: Draft, source: HeaderSource, present: HeaderFile | None, note: "Note | None", progress: Progress
) -> HeaderChain:
    """Return the chain that was fetched, once it has been checked from its beginning; else it is thrown away."""
    told = f"what {source.name} says" + (f", on top of the headers in {present.path}," if present else "")
    try:
        return believed_headers(draft.path, told=told, note=note, progress=progress)
    except ChainError:
        draft.discard()
        raise


def _fetch(source: HeaderSource, draft: Draft, progress: Progress) -> int:
    """Bring `draft` up to the tip of `source`, whose height is returned; each header in line, with proof of work."""
    for _ in range(ATTEMPTS):
        height = source.tip().height
        if not 0 <= height <= HIGHEST:
            raise ChainError(f"{source.name} tells of {height:,} blocks, and no chain has so many", hint=_ANOTHER)
        draft.cut(_fork(source, draft, top=height))
        if _follow(source, draft, height, progress):
            return height
    raise ChainError(f"{source.name} answers with headers that do not follow one another", hint=_ANOTHER)


def _fork(source: HeaderSource, draft: Draft, *, top: int = HIGHEST) -> int:
    """Return the height up to which `source` has the same headers as `draft`; -1 if the draft is empty.

    Where two chains agree they agree on everything below. So the last header they share is found in some twenty
    questions, and nearly always by the first one. Raises ChainError if they do not even begin alike.
    """
    differs = min(top, draft.height) + 1
    step, same = 1, differs - 1
    while same >= 0 and source.headers([same]) != draft.headers([same]):
        if not same:
            raise _stranger(source)
        differs, same, step = same, max(same - step, 0), 2 * step
    while differs - same > 1:
        middle = (same + differs) // 2
        if source.headers([middle]) == draft.headers([middle]):
            same = middle
        else:
            differs = middle
    return same


def _follow(source: HeaderSource, draft: Draft, height: int, progress: Progress) -> bool:
    """Append the headers of `source` up to `height`; False if what it says does not follow what it said before."""
    while draft.height < height:
        start = draft.height + 1
        found = source.headers(range(start, min(start + AT_ONCE, height + 1)))
        headers = [header for header in takewhile(bool, found) if header]
        if not headers or not _follows(source, draft, headers):
            return False
        draft.append(b"".join(headers))
        progress(len(headers))
    return True


def _follows(source: HeaderSource, draft: Draft, headers: Sequence[bytes]) -> bool:
    """Say whether `headers` follow the draft's last one, and each other. Raises ChainError if they cannot be genuine.

    Their proof of work is looked at here so that to feed us for hours takes hours of work; all the rest comes later.
    """
    if not draft.length and GENESIS.get(display(sha256d(headers[0]))) is not source.network:
        raise _stranger(source)
    try:
        parsed = parse_headers(headers)
        for header in parsed:
            check_proof_of_work(header, source.network)
    except VerificationError as error:
        raise ChainError(f"{source.name} answers with headers that are none: {error.message}", hint=_ANOTHER) from None
    previous = sha256d(draft.tip().header) if draft.length else bytes(HASH_LENGTH)
    return [header.previous for header in parsed] == [previous, *(header.block_hash for header in parsed[:-1])]


def _work_above(file: HeaderFile, height: int) -> int:
    difficulties: Counter[int] = Counter()
    for chunk in file.chunks(height + 1):
        difficulties.update(bits_of(chunk))
    return work_of(difficulties)


def _stranger(source: HeaderSource) -> ChainError:
    return ChainError(f"{source.name} does not begin with the genesis block of {source.network}", hint=_ANOTHER)
