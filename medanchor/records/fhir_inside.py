"""The bytes of a resource inside a Bundle or an NDJSON file, as they were hashed, by the name that it has there."""

from functools import cached_property, lru_cache

from medanchor.records.fhir_form import lexical
from medanchor.records.fhir_json import Json, parse


class Resources:
    """The resources inside one file: its lines are cut once, and what is on a line is parsed once for all inside it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._parsed = lru_cache(maxsize=1)(parse)

    @cached_property
    def _lines(self) -> list[bytes]:
        return self._data.split(b"\n")

    def bytes_of(self, name: bytes) -> bytes | None:
        """Return the bytes of the record called `name`: "17" for a line, "entry/3" for an entry of a Bundle.

        All of the file for "". None if there is none. Raises MalformedRecordError if what has to be read is not sound.
        """
        line, _, below = name.partition(b"/")
        if not line.isdigit():
            return self._entry(self._data, name) if name else self._data
        if not 0 < int(line) <= len(self._lines):
            return None
        found = self._lines[int(line) - 1].removesuffix(b"\r")
        return self._entry(found, below) if below else found

    def _entry(self, data: bytes, name: bytes) -> bytes | None:
        tree: Json = self._parsed(data)
        parts = name.split(b"/")
        for word, index in zip(parts[::2], parts[1::2], strict=False):
            entries = tree.get("entry") if isinstance(tree, dict) and word == b"entry" else None
            if not isinstance(entries, list) or not index.isdigit() or int(index) >= len(entries):
                return None
            entry = entries[int(index)]
            tree = entry.get("resource") if isinstance(entry, dict) else None
        return lexical(tree)
