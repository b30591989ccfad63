"""Where two versions of a FHIR resource, a Bundle or an NDJSON file differ, as paths in the spelling of FHIRPath.

What no component commits to is no difference: the order of keys, white space, escapes, and what servers set in the
`meta` of a document. Every digit is one.
"""

import re
from collections.abc import Iterator

import orjson

from medanchor.core.hashes import sha256
from medanchor.errors import MalformedRecordError
from medanchor.records import bytes_diff
from medanchor.records.alignment import Keys, differing_pairs, excerpt, excerpts
from medanchor.records.detect import HEAD, Form, form_of
from medanchor.records.document import Difference
from medanchor.records.fhir import as_resource, drop_set_by_servers
from medanchor.records.fhir_form import lexical
from medanchor.records.fhir_json import Json, parse

MAX_DEPTH = 50
"""Values nested deeper are shown as wholes: to align an array, all that is in it is written once more."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_IDENTITY = ("resourceType", "fullUrl", "url", "id")
"""Members by which an element of an array is known again in another version of it."""


def differences(before: bytes, after: bytes) -> Iterator[Difference]:
    """Return where two JSON documents, or two NDJSON files, differ.

    Raises MalformedRecordError if a document is not sound; lines that are not sound are compared as text. Of two
    documents that are no FHIR resources only their bytes are covered, so their bytes are compared.
    """
    if Form.NDJSON in (form_of(before[:HEAD]), form_of(after[:HEAD])):
        return _in_lines(_lines(before), _lines(after))
    old, new = parse(before), parse(after)
    if as_resource(old) is None and as_resource(new) is None:
        return bytes_diff.differences(before, after)
    return _in_documents(old, new)


class _Nothing:
    """Stands where one of the versions has no value."""


_NOTHING = _Nothing()


def _in_documents(old: Json, new: Json) -> Iterator[Difference]:
    resource = as_resource(old) or as_resource(new) or {}
    return _in_values(_step("", str(resource.get("resourceType"))), _covered(old), _covered(new), MAX_DEPTH)


def _covered(tree: Json) -> Json:
    """Return a document without what servers set."""
    meta = tree.get("meta") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not isinstance(meta, dict):
        return tree
    rest = dict(meta)
    drop_set_by_servers(rest)
    return {key: rest if key == "meta" else value for key, value in tree.items() if key != "meta" or rest}


# -- values ------------------------------------------------------------------------------------------------------------


def _in_values(path: str, old: Json | _Nothing, new: Json | _Nothing, depth: int) -> Iterator[Difference]:
    if depth and isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            yield from _in_values(_step(path, key), old.get(key, _NOTHING), new.get(key, _NOTHING), depth - 1)
    elif depth and isinstance(old, list) and isinstance(new, list):
        for i, j in differing_pairs([_keys(item) for item in old], [_keys(item) for item in new]):
            was, now = _NOTHING if i is None else old[i], _NOTHING if j is None else new[j]
            yield from _in_values(f"{path}[{j if i is None else i}]", was, now, depth - 1)
    elif isinstance(old, _Nothing) or isinstance(new, _Nothing):
        yield Difference(path, _shown(old), _shown(new))
    elif (was_form := lexical(old)) != (now_form := lexical(new)):
        yield Difference(path, *excerpts(was_form.decode(), now_form.decode()))


def _shown(value: Json | _Nothing) -> str | None:
    return None if isinstance(value, _Nothing) else excerpt(lexical(value).decode())


def _step(path: str, key: str) -> str:
    """Return the path of a member; a key that is no name stands in brackets, as it was written."""
    if not _NAME.fullmatch(key):
        return f"{path}[{excerpt(lexical(key).decode())}]"
    return f"{path}.{key}" if path else key


def _keys(item: Json) -> Keys:
    """Return what elements are paired by: equal, the same as their identity tells, and at last any two."""
    return sha256(lexical(item)), _identity(item), None


def _identity(item: object) -> Keys:
    inner = item.get("resource") if isinstance(item, dict) else None
    named = inner if isinstance(inner, dict) else item
    if not isinstance(named, dict):
        return ()
    return tuple(value for key in _IDENTITY if isinstance(value := named.get(key), str))


# -- lines -------------------------------------------------------------------------------------------------------------


def _in_lines(old: list[tuple[int, bytes]], new: list[tuple[int, bytes]]) -> Iterator[Difference]:
    for i, j in differing_pairs([_line_keys(line) for _, line in old], [_line_keys(line) for _, line in new]):
        if i is not None and j is not None:
            yield from _in_line(f"line {old[i][0]}", old[i][1], new[j][1])
        elif i is not None:
            yield Difference(f"line {old[i][0]}", _text(old[i][1]), None)
        else:
            yield Difference(f"line {new[j or 0][0]}", None, _text(new[j or 0][1]))


def _lines(data: bytes) -> list[tuple[int, bytes]]:
    """Return the lines of NDJSON that are not blank, with their numbers."""
    lines = enumerate(data.split(b"\n"), 1)
    return [(number, line.removesuffix(b"\r")) for number, line in lines if line and not line.isspace()]


def _line_keys(line: bytes) -> Keys:
    try:
        tree = orjson.loads(line)
    except ValueError:
        tree = None
    return line, _identity(tree), None


def _in_line(place: str, old: bytes, new: bytes) -> Iterator[Difference]:
    try:
        differing = list(_in_documents(parse(old), parse(new)))
    except MalformedRecordError:
        yield Difference(place, *excerpts(*map(_decoded, (old, new))))
        return
    for difference in differing:
        yield difference._replace(place=f"{place}: {difference.place}")


def _text(line: bytes) -> str:
    return excerpt(_decoded(line))


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
