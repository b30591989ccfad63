"""XML, C-CDA among it: two digests of what a document says, however it is written.

`canonical` is that of Canonical XML 2.0 without comments and with the prefixes as written; `text` the same with the
white space around texts stripped. Two things are added, as Canonical XML drops what programs or people may read: a
comment that stands inside a text leaves a mark, and a namespace that only a value mentions is named at the end.
"""

import hashlib
import re

from medanchor.core.hashes import Hash, sha256
from medanchor.records.document import Content, Document, Kind
from medanchor.records.markup_parse import SPLIT, WHITE_SPACE, parse

_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;", SPLIT: "<!---->"})
_IN_VALUE = str.maketrans({"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"})
_TEXT_SPECIAL = re.compile("[&<>\r\0]")
_VALUE_SPECIAL = re.compile('[&<"\t\n\r]')

_STYLE_SHEET = "xml-stylesheet"
_PIECES = 1 << 14
"""So many pieces are written before they are hashed."""

_LONG = 1 << 20
"""Longer texts are written in parts: escaped, one may be five times as long."""


def read(data: bytes) -> Document:
    """Return the document; a remark says where a style sheet decides what a person sees of it."""
    digests = _Digests()
    instructions = parse(data, digests)
    remarks = ("its style sheet is not covered",) if _STYLE_SHEET in instructions else ()
    return Document(Content(Kind.XML, sha256(data), digests.finish()), remarks)


class _Digests:
    """Hashes both canonical forms as they are written."""

    def __init__(self) -> None:
        self._states = hashlib.sha256(), hashlib.sha256()
        self._pieces: tuple[list[str], list[str]] = [], []
        self._has_root = False
        self._after: list[str] = []

    def start(self, name: str, attributes: list[tuple[str, str]]) -> None:
        written = "".join([f' {key}="{in_value(value)}"' for key, value in attributes])
        self._write(f"<{name}{written}>")
        self._has_root = True

    def text(self, text: str, *, keep: bool) -> None:
        forms = text, text if keep else text.strip(WHITE_SPACE)
        if len(text) > _LONG:
            self._hash_long(forms)
            return
        for pieces, form in zip(self._pieces, forms, strict=True):
            pieces.append(in_text(form))

    def end(self, name: str) -> None:
        self._write(f"</{name}>")

    def instruction(self, text: str, depth: int) -> None:
        outside = ("\n", "") if self._has_root else ("", "\n")
        before, after = outside if not depth else ("", "")
        self._write(f"{before}<?{text}?>{after}")

    def mentioned(self, prefix: str, uri: str) -> None:
        self._after.append(f'\nxmlns:{prefix}="{in_value(uri)}"')

    def finish(self) -> tuple[Hash, Hash]:
        self._write("".join(self._after))
        self._hash()
        canonical, text = self._states
        return Hash(canonical.digest()), Hash(text.digest())

    def _write(self, piece: str) -> None:
        for pieces in self._pieces:
            pieces.append(piece)
        if len(self._pieces[0]) > _PIECES:
            self._hash()

    def _hash(self) -> None:
        for state, pieces in zip(self._states, self._pieces, strict=True):
            state.update("".join(pieces).encode())
            pieces.clear()

    def _hash_long(self, forms: tuple[str, str]) -> None:
        self._hash()
        for state, form in zip(self._states, forms, strict=True):
            for start in range(0, len(form), _LONG):
                state.update(in_text(form[start : start + _LONG]).encode())


def in_text(text: str) -> str:
    """Return `text` as Canonical XML writes it between tags (2.4)."""
    return text.translate(_IN_TEXT) if _TEXT_SPECIAL.search(text) else text


def in_value(value: str) -> str:
    """Return `value` as Canonical XML writes it in an attribute (2.4)."""
    return value.translate(_IN_VALUE) if _VALUE_SPECIAL.search(value) else value
