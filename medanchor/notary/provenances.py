"""FHIR Provenances exported: one for each ledger entry that the named records stand in."""

import os
from functools import lru_cache
from pathlib import Path

from medanchor.core.hashes import Hash, sha256
from medanchor.errors import MalformedRecordError, UsageError
from medanchor.interop.provenance import provenance, subject
from medanchor.notary.examine import Finding
from medanchor.notary.export import is_provable, write
from medanchor.notary.prove import Prover
from medanchor.records.detect import MAX_DOCUMENT, Form, form_of
from medanchor.vault.bundles import Place
from medanchor.vault.search import Search
from medanchor.vault.store import Store

NAME = b"entry-%d.provenance.json"


def export_provenances(store: Store, prover: Prover, findings: list[Finding], directory: Path, *, replace: bool) -> int:
    """Write a FHIR Provenance of each entry that the provable records of `findings` stand in; return how many.

    Of each entry: a record that was stamped and retracted later stands in two. Raises UsageError, before anything is
    written, if one is there already and `replace` is not set.
    """
    entries = _entries(store, prover, findings)
    targets = {entry: os.path.join(os.fsencode(directory), NAME % entry) for entry in sorted(entries)}
    if not replace and (there := sum(map(os.path.lexists, targets.values()))):
        raise UsageError(f"{there:,} of these Provenances are there already", hint="replace them with --force")
    for entry, target in targets.items():
        records = (
            subject(proof, _resource(finding, proof.record.raw))
            for place, finding in entries[entry]
            for proof in (prover.proof(place),)
        )
        signer, first = prover.signer(entry), prover.proof(entries[entry][0][0])
        write(target, provenance(first, records, name=signer.name, role=signer.role))
    return len(targets)


def _entries(store: Store, prover: Prover, findings: list[Finding]) -> dict[int, list[tuple[Place, Finding]]]:
    """Return where the provable ones among `findings` stand, by ledger entry."""
    search, entries = Search(store), dict[int, list[tuple[Place, Finding]]]()
    for finding in findings:
        if is_provable(finding) and finding.place:
            for place, _ in search.digest(prover.proof(finding.place).record.raw):
                entries.setdefault(place.entry, []).append((place, finding))
    return entries


def _resource(finding: Finding, raw: Hash) -> bytes | None:
    """Return the bytes that were hashed, if they are in hand and are FHIR JSON: so a Provenance can refer to them."""
    from medanchor.records.fhir_inside import bytes_inside

    path, name = finding.path, b""
    while finding.within and path and not os.path.isfile(path):  # up to the container's own file
        path, last = os.path.split(path)
        name = os.path.join(last, name) if name else last
    data = _content(path)
    try:
        found = bytes_inside(data, name) if name else data
    except MalformedRecordError:
        found = None
    return found if found is not None and form_of(found) is Form.FHIR and sha256(found) == raw else None


@lru_cache(maxsize=1)
def _content(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_DOCUMENT)
    except OSError:
        return b""
