"""FHIR JSON: the digests of a resource's parts, alone, in a Bundle, or on a line of NDJSON (docs/format.md).

Most lines of an export take a short cut: where orjson writes the very bytes that it read, nothing was lost in reading.
The exact way decides for all others, and says the same wherever both can be gone.
"""

import re
from collections.abc import Callable
from hashlib import sha256 as _sha256

import orjson

from medanchor.core.hashes import Hash, sha256, split_hashes
from medanchor.errors import MalformedRecordError
from medanchor.records.document import ABSENT, Content, Contents, Document, Kind
from medanchor.records.fhir_form import has_wide_keys, lexical, numeric
from medanchor.records.fhir_json import Json, parse

MAX_BUNDLES = 4
"""Entries of Bundles nested deeper have no records of their own: each level hashes all below it once more."""

SET_BY_SERVERS = ("versionId", "lastUpdated", "source")
"""Members of `meta` that every server sets anew when it stores a resource; all others are covered."""

Resource = dict[str, Json]


Numeric = Callable[[Resource, bytes, bytes], bytes]
"""Gives the digest of the canonical form of data, from the data, their lexical form, and the digest of that."""


def read(data: bytes) -> Document:
    """Return what is in the JSON document `data`: one resource, a Bundle and its entries, or bytes if it is neither.

    Raises MalformedRecordError, with the byte offset, if it is not sound JSON.
    """
    raw = sha256(data)
    tree, numeric_of = _read(data)
    resource = as_resource(tree)
    if resource is None:
        return Document(Content(Kind.BYTES, raw))
    content = Content(Kind.FHIR, raw, tuple(map(Hash, split_hashes(_components(resource, numeric_of)))))
    if not is_bundle(resource):
        return Document(content)
    contained = Contents()
    _add_entries(contained, resource, numeric_of, b"", 1)
    return Document(content, contained=contained)


def read_lines(block: bytes, first: int) -> Contents:
    """Return the records on the lines of `block`, which is whole lines of NDJSON; the first one has the number `first`.

    A line that is not sound JSON is covered by its bytes alone, with a remark that says why.
    """
    contents = Contents()
    for number, line in enumerate(block.split(b"\n"), first):
        if line and not line.isspace():
            _add_line(contents, b"%d" % number, line.removesuffix(b"\r"))
    return contents


def as_resource(tree: Json) -> Resource | None:
    """Return `tree` if it is a FHIR resource: an object that names its type."""
    return tree if isinstance(tree, dict) and isinstance(tree.get("resourceType"), str) else None


def is_bundle(resource: Resource) -> bool:
    """Say whether `resource` may have entries."""
    return resource["resourceType"] == "Bundle"


def significant(meta: Resource) -> Resource:
    """Return the members of `meta` that are covered. If none is left, `meta` is as good as absent."""
    if meta.keys().isdisjoint(SET_BY_SERVERS):
        return meta
    return {key: value for key, value in meta.items() if key not in SET_BY_SERVERS}


def _add_line(contents: Contents, name: bytes, line: bytes) -> None:
    raw = sha256(line)
    try:
        tree, numeric_of = _read(line)
    except MalformedRecordError as error:
        contents.add(name, Content(Kind.BYTES, raw), [error.message])
        return
    resource = as_resource(tree)
    if resource is None:
        contents.add(name, Content(Kind.BYTES, raw))
        return
    _add(contents, name, raw, _components(resource, numeric_of))
    if is_bundle(resource):
        _add_entries(contents, resource, numeric_of, name + b"/", 1)


def _add_entries(contents: Contents, bundle: Resource, numeric_of: Numeric, below: bytes, depth: int) -> None:
    """Add a record for the resource of each entry; their bytes are their lexical form."""
    entries = bundle.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = as_resource(entry.get("resource")) if isinstance(entry, dict) else None
        if resource is None:
            continue
        name = b"%sentry/%d" % (below, index)
        raw = sha256(lexical(resource))
        _add(contents, name, raw, _components(resource, numeric_of))
        if not is_bundle(resource):
            continue
        if depth < MAX_BUNDLES:
            _add_entries(contents, resource, numeric_of, name + b"/", depth + 1)
        else:
            contents.remarks.append((name, "its entries have no proofs of their own: Bundles are nested too deeply"))


def _add(contents: Contents, name: bytes, raw: bytes, components: bytes) -> None:
    """Add a resource as `Contents.add` does, in half the time."""
    contents.names.append(name)
    contents.kinds.append(Kind.FHIR)
    contents.raws += raw
    contents.components += components


def _components(resource: Resource, numeric_of: Numeric) -> bytes:
    """Return the digests of the parts of `resource`, packed; it is taken apart: only its data are left in it."""
    narrative = _sha256(lexical(resource.pop("text"))).digest() if "text" in resource else ABSENT
    meta = _meta(resource.pop("meta")) if "meta" in resource else ABSENT
    identity = _sha256(lexical(resource.pop("id"))).digest() if "id" in resource else ABSENT
    form = lexical(resource)
    data = _sha256(form).digest()
    return b"".join((data, narrative, meta, identity, numeric_of(resource, form, data)))


def _meta(meta: Json) -> bytes:
    if isinstance(meta, dict):
        meta = significant(meta)
    return ABSENT if meta == {} else _sha256(lexical(meta)).digest()


# -- the short cut and the exact way -----------------------------------------------------------------------------------

_PLAIN = re.compile(rb"(?!-0(?:\.0)?[,}\]]|-?0\.00000)-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]*[1-9]|(\.0))?[,}\]]")
"""A number that orjson and the lexical form spell alike, and RFC 8785 too, but for the one group.

orjson's versions differ in where they begin to write exponents; small numbers are left to the exact way.
"""

_SHAPE = bytes.maketrans(b"0123456789-[", b"00000000000,")
"""Once all digits are zeros, a number begins at `":0` in an object and at `,0` in an array: twice as fast to find as
any digit. Both may stand in a string too; then the exact way is gone for nothing."""

_IN_ARRAY = re.compile(b",0")

_WHOLE = re.compile(rb'(":-?[0-9]+)\.0(?=[,}])')


def _read(data: bytes) -> tuple[Json, Numeric]:
    return _short_cut(data) or (parse(data), _exact)


def _short_cut(data: bytes) -> tuple[Json, Numeric] | None:
    """Return `data` as orjson reads it if that loses nothing, and all its numbers are known to be plain; else None.

    It loses nothing if what orjson writes differs from `data` in white space only: then the tokens are the same, so no
    key was dropped and no number changed. White space in strings may be left out of account, as there it is kept.
    """
    try:
        tree = orjson.loads(data)
        form = orjson.dumps(tree)
    except (ValueError, TypeError):
        return None
    if form != data and form.translate(None, b" ") != data.translate(None, b" \t\r\n"):
        return None
    with_zero = _has_point_zero(form)
    if with_zero is None or (with_zero and b"\\" in form):  # then a quote may be one in a string
        return None
    return tree, _without_zeros if with_zero else _same


def _has_point_zero(form: bytes) -> bool | None:
    """Say whether a number in what orjson wrote ends with `.0`; None if one may be spelled in a rarer way."""
    shape = form.translate(_SHAPE)
    if _IN_ARRAY.search(shape) and not _all_plain(form, shape):
        return None
    if has_wide_keys(form):
        return None
    found, at = False, len(shape)
    while (at := shape.rfind(b'":0', 0, at)) >= 0:  # from the end: it is found twice as fast by its first byte
        number = _PLAIN.match(form, at + 2)
        if number is None:
            return None
        found = found or number[1] is not None
    return found


def _all_plain(form: bytes, shape: bytes) -> bool:
    """Say whether all numbers in arrays are plain, none with `.0`."""
    numbers = (_PLAIN.match(form, start.end() - 1) for start in _IN_ARRAY.finditer(shape))
    return all(number is not None and number[1] is None for number in numbers)


def _same(_data: Resource, _form: bytes, digest: bytes) -> bytes:
    return digest


def _without_zeros(_data: Resource, form: bytes, _digest: bytes) -> bytes:
    return _sha256(_WHOLE.sub(rb"\1", form)).digest()


def _exact(data: Resource, form: bytes, _digest: bytes) -> bytes:
    canonical = numeric(data, form)
    return ABSENT if canonical is None else _sha256(canonical).digest()
