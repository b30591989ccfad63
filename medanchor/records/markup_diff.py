"""Where two versions of an XML document differ, by path, with names as they are written."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from medanchor.errors import MalformedRecordError
from medanchor.records.alignment import differing_pairs, excerpt, excerpts
from medanchor.records.document import Difference
from medanchor.records.markup_parse import SPLIT, WHITE_SPACE, parse

MOST_NODES = 500_000
"""Of documents with more elements, texts and instructions it is not told where they differ: a tree takes memory."""

TEXT = "text()"


@dataclass(slots=True)
class _Node:
    """An element with its attributes, or a text or instruction with its `value`; `digest` tells two of them apart."""

    name: str
    attributes: list[tuple[str, str]] = field(default_factory=list)
    value: str | None = None
    children: list["_Node"] = field(default_factory=list)
    digest: bytes = b""

    def seal(self) -> None:
        """Fix the digest, once all children are there; the length of each part is told, so that none runs over."""
        state = blake2b(digest_size=20)
        parts = [self.name, self.value or "", *(part for attribute in self.attributes for part in attribute)]
        for part in parts:
            state.update(b"%d:" % len(part) + part.encode())
        for child in self.children:
            state.update(b";" + child.digest)
        self.digest = state.digest()

    def shown(self) -> str:
        """Return what a person recognises it by: its value, or its start tag and its text if it has no more."""
        if self.value is not None:
            return self.value.replace(SPLIT, "<!---->")
        attributes = "".join(f' {name}="{value}"' for name, value in self.attributes)
        text = self.children[0].shown() if len(self.children) == 1 and self.children[0].name == TEXT else ""
        return f"<{self.name}{attributes}>{text}"


class _Tree:
    """A sink that keeps the document, without the white space between its elements, of which it takes a digest."""

    def __init__(self, data: bytes) -> None:
        self.document = _Node("")
        self.blank = 0
        self._blanks = blake2b(digest_size=20)
        self._nodes = 0
        self._open = [self.document]
        parse(data, self)
        self.document.seal()

    def start(self, name: str, attributes: list[tuple[str, str]]) -> None:
        self._open.append(self._add(_Node(name, attributes)))

    def text(self, text: str, *, keep: bool) -> None:
        if keep or text.strip(WHITE_SPACE):
            self._add(_Node(TEXT, value=text)).seal()
        else:
            self.blank += len(text)
            self._blanks.update(b"%d:" % self._nodes + text.encode())

    def end(self, _name: str) -> None:
        self._open.pop().seal()

    def instruction(self, text: str, _depth: int) -> None:
        target, _, data = text.partition(" ")
        self._add(_Node(f"processing-instruction({target})", value=data)).seal()

    def mentioned(self, prefix: str, uri: str) -> None:
        node = _Node(f"xmlns:{prefix}" if prefix else "xmlns", value=uri)
        node.seal()
        self.document.children.append(node)

    def blanks(self) -> bytes:
        return self._blanks.digest()

    def _add(self, node: _Node) -> _Node:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise MalformedRecordError(f"it has more than {MOST_NODES:,} elements, texts and instructions")
        self._open[-1].children.append(node)
        return node


def differences(before: bytes, after: bytes) -> Iterator[Difference]:
    """Yield what differs, as ClinicalDocument/component[2]/value/@unit or .../text(), in the order of the document.

    Two siblings of one name are told apart by number, in the version in which they stand; what was removed in the one
    before, what was added in the one after. White space between elements is told at the end, where nothing else
    differs. Raises MalformedRecordError if one of them is no sound XML, or too
    long to be compared.
    """
    old, new = _Tree(before), _Tree(after)
    if old.document.digest != new.document.digest:
        yield from _compare(old.document, new.document)
    elif old.blanks() != new.blanks():
        yield Difference("white space between elements", _counted(old.blank), _counted(new.blank))


def _counted(blank: int) -> str:
    return f"{blank:,} characters"


def _compare(old: _Node, new: _Node) -> Iterator[Difference]:
    """Yield the differences of two nodes of one name; a stack of its own, as documents may be deeper than Python's."""
    pending: list[tuple[str, _Node | None, _Node | None]] = [("", old, new)]
    while pending:
        path, was, now = pending.pop()
        if was is None or now is None or was.value is not None or now.value is not None:
            yield _whole(path, was, now)
            continue
        yield from _attributes(path, was, now)
        pending += reversed(_children(path, was, now))


def _whole(path: str, was: _Node | None, now: _Node | None) -> Difference:
    if was and now:
        return Difference(path, *excerpts(was.shown(), now.shown()))
    return Difference(path, excerpt(was.shown()) if was else None, excerpt(now.shown()) if now else None)


def _attributes(path: str, was: _Node, now: _Node) -> Iterator[Difference]:
    before, after = dict(was.attributes), dict(now.attributes)
    for name in {**before, **after}:
        one, other = before.get(name), after.get(name)
        if one is not None and other is not None and one != other:
            yield Difference(f"{path}/@{name}", *excerpts(one, other))
        elif one is None or other is None:
            yield Difference(
                f"{path}/@{name}",
                None if one is None else excerpt(one),
                None if other is None else excerpt(other),
            )


def _children(path: str, was: _Node, now: _Node) -> list[tuple[str, _Node | None, _Node | None]]:
    start = path + "/" if path else ""
    before, after = _names(was), _names(now)
    keys = [[(child.digest, child.name) for child in node.children] for node in (was, now)]
    return [
        (
            start + (before[i] if i is not None else after[j or 0]),
            was.children[i] if i is not None else None,
            now.children[j] if j is not None else None,
        )
        for i, j in differing_pairs(*keys)
    ]


def _names(node: _Node) -> list[str]:
    """Return the names of a node's children, numbered where siblings share one."""
    sizes, met = Counter(child.name for child in node.children), Counter[str]()
    names = []
    for child in node.children:
        met[child.name] += 1
        names.append(f"{child.name}[{met[child.name]}]" if sizes[child.name] > 1 else child.name)
    return names
