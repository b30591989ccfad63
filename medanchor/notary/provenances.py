"""FHIR Provenances to export: one for each ledger entry that the named records stand in."""

import os
from functools import lru_cache
from pathlib import Path

from medanchor.core.hashes import Hash, sha256
from medanchor.errors import MalformedRecordError
from medanchor.interop.provenance import provenance, subject
from medanchor.notary.examine import Finding
from medanchor.notary.export import is_provable
from medanchor.notary.prove import Prover
from medanchor.records.detect import MAX_DOCUMENT, Form, form_of
from medanchor.records.fhir_inside import Resources
from medanchor.vault.bundles import Place
from medanchor.vault.search import Search
from medanchor.vault.store import Store

NAME = b"entry-%d.provenance.json"


def provenances(store: Store, prover: Prover, findings: list[Finding], directory: Path) -> dict[bytes, bytes]:
    """Return a FHIR Provenance of each entry that the provable records of `findings` stand in: where it goes → JSON.

    Of each entry: a record that was stamped and retracted later stands in two. Raises UsageError if one is too long.
    """
    made, in_hand = {}, InHand()
    for entry, places in sorted(_entries(store, prover, findings).items()):
        records = (
            subject(proof, in_hand.resource(finding, proof.record.raw))
            for place, finding in places
            for proof in (prover.proof(place),)
        )
        signer, first = prover.signer(entry), prover.proof(places[0][0])
        target = os.path.join(os.fsencode(directory), NAME % entry)
        made[target] = provenance(first, records, name=signer.name, role=signer.role)
    return made


def _entries(store: Store, prover: Prover, findings: list[Finding]) -> dict[int, list[tuple[Place, Finding]]]:
    """Return where the provable ones among `findings` stand, by ledger entry."""
    search, entries = Search(store), dict[int, list[tuple[Place, Finding]]]()
    for finding in findings:
        if is_provable(finding) and finding.place:
            for place, _ in search.digest(prover.proof(finding.place).record.raw):
                entries.setdefault(place.entry, []).append((place, finding))
    return entries


class InHand:
    """The FHIR resources in hand; a file is read once for all records in it that come one after another."""

    def __init__(self) -> None:
        self._resources = lru_cache(maxsize=1)(lambda path: Resources(_content(path)))

    def resource(self, finding: Finding, raw: Hash) -> bytes | None:
        """Return the bytes that were hashed, if they are in hand and are FHIR JSON, so that they can be referred to."""
        path, name = finding.path, b""
        while finding.within and path and not os.path.isfile(path):  # up to the container's own file
            path, last = os.path.split(path)
            name = os.path.join(last, name) if name else last
        try:
            found = self._resources(path).bytes_of(name)
        except MalformedRecordError:
            found = None
        return found if found is not None and form_of(found) is Form.FHIR and sha256(found) == raw else None


def _content(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_DOCUMENT)
    except OSError:
        return b""
