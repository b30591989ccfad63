"""The bytes of a resource inside a Bundle or an NDJSON file, as they were hashed, by the name that it has there."""

from medanchor.records.fhir_form import lexical
from medanchor.records.fhir_json import parse


def bytes_inside(data: bytes, name: bytes) -> bytes | None:
    """Return the bytes of the record called `name` in `data`: "17" for a line, "entry/3" for an entry of a Bundle.

    None if there is none. Raises MalformedRecordError if what has to be read for it is not sound.
    """
    line, _, below = name.partition(b"/")
    if not line.isdigit():
        return _entry(data, name)
    lines = data.split(b"\n")
    if not 0 < int(line) <= len(lines):
        return None
    found = lines[int(line) - 1].removesuffix(b"\r")
    return _entry(found, below) if below else found


def _entry(data: bytes, name: bytes) -> bytes | None:
    tree = parse(data)
    parts = name.split(b"/")
    for word, index in zip(parts[::2], parts[1::2], strict=False):
        entries = tree.get("entry") if isinstance(tree, dict) and word == b"entry" else None
        if not isinstance(entries, list) or not index.isdigit() or int(index) >= len(entries):
            return None
        entry = entries[int(index)]
        tree = entry.get("resource") if isinstance(entry, dict) else None
    return lexical(tree)
