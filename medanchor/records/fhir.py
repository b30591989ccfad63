"""FHIR JSON: the digests of a resource's parts, alone, in a Bundle, or on a line of NDJSON (docs/format.md)."""

from functools import lru_cache
from hashlib import sha256 as _sha256
from io import BytesIO

from medanchor.core.hashes import Hash, sha256, split_hashes
from medanchor.errors import MalformedRecordError
from medanchor.records.document import ABSENT, Content, Contents, Document, Kind
from medanchor.records.fhir_form import has_wide_keys, lexical, numeric
from medanchor.records.fhir_json import Json
from medanchor.records.fhir_quick import Parser

MAX_BUNDLES = 4
"""Entries of Bundles nested deeper have no records of their own: each level hashes all below it once more."""

SET_BY_SERVERS = ("versionId", "lastUpdated", "source")
"""Members of `meta` that every server sets anew when it stores a resource; all others are covered."""

_SHORT = 1024
"""Digests of longer forms are not kept, so that nobody fills the memory with them."""

_FHIR = int(Kind.FHIR)
"""An `Enum`'s member is slower to come by."""

Resource = dict[str, Json]


def read(data: bytes) -> Document:
    """Return what is in the JSON document `data`: one resource, a Bundle and its entries, or bytes if it is neither.

    Raises MalformedRecordError, as `fhir_json.parse` does, if it is not sound JSON.
    """
    raw = sha256(data)
    tree, canonical = Parser().parse(data)
    resource = as_resource(tree)
    if resource is None:
        return Document(Content(Kind.BYTES, raw))
    content = Content(Kind.FHIR, raw, tuple(map(Hash, split_hashes(_components(resource, canonical)))))
    if not is_bundle(resource):
        return Document(content)
    contained = Contents()
    _add_entries(contained, resource, canonical, b"", 1)
    return Document(content, contained=contained)


def read_lines(block: bytes, first: int) -> Contents:
    """Return the records on the lines of `block`, which is whole lines of NDJSON; the first one has the number `first`.

    A line that is not sound JSON is covered by its bytes alone, with a remark that says why.
    """
    contents, parser = Contents(), Parser()
    for number, line in enumerate(BytesIO(block), first):  # four times as fast as bytes.split
        if line.isspace():
            continue
        name, data = b"%d" % number, line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            tree, canonical = parser.parse(data)
        except MalformedRecordError as error:
            contents.add(name, Content(Kind.BYTES, sha256(data)), [error.message])
            continue
        if (resource := as_resource(tree)) is None:
            contents.add(name, Content(Kind.BYTES, sha256(data)))
            continue
        _add(contents, name, _sha256(data).digest(), resource, canonical)
        if is_bundle(resource):
            _add_entries(contents, resource, canonical, name + b"/", 1)
    return contents


def as_resource(tree: Json) -> Resource | None:
    """Return `tree` if it is a FHIR resource: an object that names its type."""
    return tree if isinstance(tree, dict) and isinstance(tree.get("resourceType"), str) else None


def is_bundle(resource: Resource) -> bool:
    """Say whether `resource` may have entries."""
    return resource["resourceType"] == "Bundle"


def drop_set_by_servers(meta: Resource) -> None:
    """Leave those members in `meta` that are covered. If none is left, `meta` is as good as absent."""
    for name in SET_BY_SERVERS:
        meta.pop(name, None)


def _add_entries(contents: Contents, bundle: Resource, canonical: bool, below: bytes, depth: int) -> None:
    """Add a record for the resource of each entry; their bytes are their lexical form."""
    entries = bundle.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = as_resource(entry.get("resource")) if isinstance(entry, dict) else None
        if resource is None:
            continue
        name = b"%sentry/%d" % (below, index)
        _add(contents, name, _sha256(lexical(resource)).digest(), resource, canonical)
        if not is_bundle(resource):
            continue
        if depth < MAX_BUNDLES:
            _add_entries(contents, resource, canonical, name + b"/", depth + 1)
        else:
            contents.remarks.append((name, "its entries have no proofs of their own: Bundles are nested too deeply"))


def _add(contents: Contents, name: bytes, raw: bytes, resource: Resource, canonical: bool) -> None:
    """Add a resource as `Contents.add` does, in half the time."""
    contents.names.append(name)
    contents.kinds.append(_FHIR)
    contents.raws += raw
    contents.components += _components(resource, canonical)


def _components(resource: Resource, canonical: bool) -> bytes:
    """Return the digests of the parts of `resource`, packed; it is taken apart: only its data are left in it.

    `canonical` says that RFC 8785 writes all its numbers as the lexical form does.
    """
    narrative = _sha256(lexical(resource.pop("text"))).digest() if "text" in resource else ABSENT
    meta = _meta(resource.pop("meta")) if "meta" in resource else ABSENT
    identity = _sha256(lexical(resource.pop("id"))).digest() if "id" in resource else ABSENT
    form = lexical(resource)
    data = _sha256(form).digest()
    same = canonical and not has_wide_keys(form)
    return b"".join((data, narrative, meta, identity, data if same else _numeric(resource, form)))


def _meta(meta: Json) -> bytes:
    if isinstance(meta, dict):
        drop_set_by_servers(meta)
    if meta == {}:
        return ABSENT
    form = lexical(meta)
    return _shared(form) if len(form) <= _SHORT else _sha256(form).digest()


@lru_cache(maxsize=1024)
def _shared(form: bytes) -> bytes:
    """Return the digest of a short form that many resources of an export share."""
    return _sha256(form).digest()


def _numeric(data: Resource, form: bytes) -> bytes:
    canonical = numeric(data, form)
    return ABSENT if canonical is None else _sha256(canonical).digest()
