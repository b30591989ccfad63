"""XML read to the last byte, and given on in canonical order: what is well formed, what is refused, what is in scope.

Nothing outside the document is ever looked at, and a document type declaration is refused with all it could declare.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

from medanchor.errors import MalformedRecordError

if TYPE_CHECKING:
    from xml.parsers.expat import XMLParserType

MOST_DEPTH = 1_000
MOST_NAMES = 100_000
MOST_TAG = 1 << 20
"""No deeper, no more different names, and no longer tag, comment or instruction (bytes): each of them takes memory."""

MOST_TAGS = 4_000_000
"""So many tags, comments and instructions take half a minute."""

ENCODINGS = frozenset(("utf-8", "utf-16", "utf-16le", "utf-16be", "iso-8859-1", "us-ascii"))
"""The encodings that the parser itself knows; what others mean depends on who reads them."""

CHUNK = 1 << 16
WHITE_SPACE = " \t\r\n"
XML = "http://www.w3.org/XML/1998/namespace"
SPLIT = "\0"
"""A comment inside a text, until it is written: no XML text holds this character."""

_BOM = b"\xef\xbb\xbf"
_BETWEEN = "\n"  # parts the namespace, the name and the prefix that the parser tells; no URI holds it
_NAME = (
    "-.0-9A-Z_a-z\u00b7\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u037f-\u1fff\u200c\u200d\u203f\u2040"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_MENTION = re.compile(f"(?<![{_NAME}])([{_NAME}]+):")
"""What may be a prefix in a value: the characters of a name without a colon (XML 1.0, production 4a), before one."""


class Sink(Protocol):
    """What takes a document in, piece by piece, in canonical order; names carry their prefixes."""

    def start(self, name: str, attributes: list[tuple[str, str]]) -> None:
        """Take a start tag: the namespaces it needs declared, by prefix, then its attributes."""
        ...

    def text(self, text: str, *, keep: bool) -> None:
        """Take all text up to the next tag or instruction, SPLIT where a comment stands in it; `keep` its spaces."""
        ...

    def end(self, name: str) -> None:
        """Take an end tag."""
        ...

    def instruction(self, text: str, depth: int) -> None:
        """Take a processing instruction, inside so many elements."""
        ...

    def mentioned(self, prefix: str, uri: str) -> None:
        """Take a namespace that no name needs, but that a value in its element may mean."""
        ...


def parse(data: bytes, sink: Sink) -> set[str]:
    """Give `sink` the document in `data` and return the targets of its instructions.

    Raises MalformedRecordError with line and column if it is not well formed, or more than this reads.
    """
    from xml.parsers import expat

    if len(data) > MOST_TAGS and data.count(b"<") > MOST_TAGS:
        raise MalformedRecordError(f"it has more than {MOST_TAGS:,} tags")
    parser = expat.ParserCreate(namespace_separator=_BETWEEN)
    walker = _Walker(parser, sink)
    try:
        walker.feed(data)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        _refuse(f"it is not well-formed XML: {what}", error.lineno, error.offset)
    return walker.targets


def _refuse(what: str, line: int, column: int) -> NoReturn:
    raise MalformedRecordError(f"{what}, line {line}, column {column + 1}")


@dataclass(slots=True)
class _Namespace:
    """A declaration: what it binds, and whether a name uses it or a value mentions its prefix."""

    prefix: str
    uri: str
    used: bool = False
    mentioned: bool = False


@dataclass(slots=True)
class _Element:
    """An open element: its name, what it declares, what was declared in the output before it, what spaces are worth."""

    name: str
    declared: list[_Namespace]
    keeps_space: bool
    outer: dict[str, str] = field(default_factory=dict)


class _Name:
    """A name as the parser tells it: namespace, local part, prefix."""

    __slots__ = ("local", "prefix", "uri", "written")

    def __init__(self, told: str) -> None:
        parts = told.split(_BETWEEN)
        self.prefix = parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - a prefix comes third
        self.uri = parts[0] if len(parts) > 1 else ""
        self.local = parts[1] if len(parts) > 1 else told
        self.written = f"{self.prefix}:{self.local}" if self.prefix else self.local


class _Walker:
    """Follows the parser's events: puts them in canonical order, and knows which namespaces are in scope and needed."""

    def __init__(self, parser: "XMLParserType", sink: Sink) -> None:
        self.targets: set[str] = set()
        self._parser = parser
        self._sink = sink
        self._names: dict[str, _Name] = {}
        self._run: list[str] = []
        self._open: list[_Element] = []
        self._declared: list[_Namespace] = []
        self._scopes: dict[str, list[_Namespace]] = {}
        self._written: dict[str, str] = {"xml": XML}  # prefix → URI, as the output declares it here
        parser.namespace_prefixes = True
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._document_type
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._run.append
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction

    def feed(self, data: bytes) -> None:
        self._has_bom = data.startswith(_BOM)
        getattr(self._parser, "SetReparseDeferralEnabled", bool)(False)  # newer ones would wait for more of a long tag
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            self._parser.Parse(chunk, False)
            if start + len(chunk) - self._parser.CurrentByteIndex > MOST_TAG:
                self._refuse("a tag, comment or instruction is too long")
        self._parser.Parse(b"", True)

    def _refuse(self, what: str) -> NoReturn:
        _refuse(f"it is not read as XML: {what}", self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber)

    def _declaration(self, version: str, encoding: str | None, _standalone: int) -> None:
        if version != "1.0":
            self._refuse("its version is not 1.0")
        if encoding and encoding.lower() not in ENCODINGS:
            self._refuse("its encoding is none of UTF-8, UTF-16, ISO-8859-1 and US-ASCII")
        if encoding and self._has_bom and encoding.lower() != "utf-8":
            self._refuse("its byte order mark contradicts its encoding")

    def _document_type(self, *_: object) -> None:
        self._refuse("it has a document type declaration")

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declared.append(_Namespace(prefix or "", uri or ""))

    def _start(self, told: str, told_attributes: list[str]) -> None:
        self._flush()
        if len(self._open) >= MOST_DEPTH:
            self._refuse(f"more than {MOST_DEPTH:,} elements inside each other")
        declared, self._declared = sorted(self._declared, key=lambda each: each.prefix), []
        for each in declared:
            self._scopes.setdefault(each.prefix, []).append(each)
        name = self._name(told)
        attributes = [
            (self._name(key), value) for key, value in zip(told_attributes[::2], told_attributes[1::2], strict=True)
        ]
        element = _Element(name.written, declared, self._keeps_space(attributes))
        needed = self._needed(
            element, {name.prefix: name.uri} | {key.prefix: key.uri for key, _ in attributes if key.prefix}
        )
        self._open.append(element)
        self._sink.start(name.written, needed + self._sorted(attributes))

    def _name(self, told: str) -> _Name:
        name = self._names.get(told)
        if name is None:
            if len(self._names) >= MOST_NAMES:
                self._refuse(f"more than {MOST_NAMES:,} different names")
            name = self._names[told] = _Name(told)
        return name

    def _keeps_space(self, attributes: list[tuple[_Name, str]]) -> bool:
        for name, value in attributes:
            if name.local == "space" and name.uri == XML:
                return value == "preserve"
        return bool(self._open) and self._open[-1].keeps_space

    def _needed(self, element: _Element, used: dict[str, str]) -> list[tuple[str, str]]:
        """Return the declarations that the output needs at `element`, as its names use these prefixes (2.5)."""
        needed = []
        for prefix, uri in sorted(used.items()):
            if scope := self._scopes.get(prefix):
                scope[-1].used = True
            before = self._written.get(prefix, "")
            if before != uri:
                element.outer[prefix] = before
                self._written[prefix] = uri
                needed.append((f"xmlns:{prefix}" if prefix else "xmlns", uri))
        return needed

    def _sorted(self, attributes: list[tuple[_Name, str]]) -> list[tuple[str, str]]:
        for _, value in attributes:
            if ":" in value:
                self._mention(value)
        if len(attributes) > 1:
            attributes.sort(key=lambda each: (each[0].uri, each[0].local))
        return [(name.written, value) for name, value in attributes]

    def _mention(self, text: str) -> None:
        for found in _MENTION.finditer(text):
            if scope := self._scopes.get(found[1]):
                scope[-1].mentioned = True

    def _end(self, _told: str) -> None:
        self._flush()
        element = self._open.pop()
        self._sink.end(element.name)
        self._written |= element.outer
        for each in element.declared:
            self._scopes[each.prefix].pop()
            if not each.used and each.uri and (each.mentioned or not each.prefix):
                self._sink.mentioned(each.prefix, each.uri)

    def _comment(self, _text: str) -> None:
        if self._open:
            self._run.append(SPLIT)

    def _flush(self) -> None:
        if not self._run:
            return
        text = "".join(self._run)
        self._run.clear()
        if SPLIT in text:
            alone = text.replace(SPLIT, "")
            text = text if alone.strip(WHITE_SPACE) else alone
        if ":" in text:
            self._mention(text)
        if text:
            self._sink.text(text, keep=self._open[-1].keeps_space)

    def _instruction(self, target: str, data: str) -> None:
        self._flush()
        self.targets.add(target)
        self._sink.instruction(f"{target} {data}" if data else target, len(self._open))
