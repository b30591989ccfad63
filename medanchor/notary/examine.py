"""Verifying against a vault: what each record in hand is to the vault, and what the vault can prove about it."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from medanchor.core.hashes import Hash
from medanchor.core.merkle import root_of
from medanchor.core.statement import Statement, parse_envelope
from medanchor.core.verify import Attestation, Witness, verify
from medanchor.errors import PendingError, Step, VerificationError
from medanchor.notary.prove import Prover, trust_for
from medanchor.records.digest import Hashed
from medanchor.records.walk import PROOF_SUFFIX
from medanchor.vault.bundles import Place, find_digest, folders_below, path_of, stamped_in
from medanchor.vault.store import Store
from medanchor.vault.tiles import LEVEL


class Verdict(StrEnum):
    """What a record in hand is to the vault."""

    UNCHANGED = "unchanged"
    RENAMED = "renamed"
    CHANGED = "changed"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """One record's verdict; `place` is where it stands in the ledger: of the same bytes, or of those it once had.

    `stamped_as` is the path it was stamped under, where that is another one; `later` the entry of a later version of
    the same path, where the bytes in hand are an earlier one; `raw` the digest of a renamed record.
    A tuple, because a sweep makes a million of them.
    """

    path: bytes
    verdict: Verdict
    place: Place | None = None
    stamped_as: bytes | None = None
    later: int | None = None
    raw: bytes | None = None


class Known:
    """One folder as it was stamped: for each name, where each of its versions stands."""

    def __init__(self, store: Store, folder: bytes) -> None:
        self._spans = [
            (stamped, dict(zip(stamped.names, range(len(stamped.names)), strict=True)))
            for stamped in stamped_in(store, folder)
        ]

    def names(self) -> list[bytes]:
        """Return every name that was stamped in the folder, in order."""
        return sorted(set().union(*(offsets for _, offsets in self._spans)))

    def versions(self, name: bytes) -> list[tuple[bytes, Place]]:
        """Return the raw digest and the place of each version of `name`, oldest first."""
        return [
            (stamped.raws[offset], Place(stamped.entry, stamped.first + offset))
            for stamped, offsets in self._spans
            if (offset := offsets.get(name)) is not None
        ]


def examine(store: Store, hashed: Iterable[Hashed]) -> list[Finding]:
    """Return a verdict on each record in hand, in order."""
    findings = []
    for folder, groups in groupby(hashed, key=lambda group: group.folder):
        known, start = Known(store, folder), os.path.join(folder, b"")
        for group in groups:
            findings += [
                _judge(store, start + name, raw, known.versions(name))
                for name, raw in zip(group.names, group.raw_list(), strict=True)
            ]
    return findings


def _judge(store: Store, path: bytes, raw: bytes, versions: list[tuple[bytes, Place]]) -> Finding:
    for stamped, place in versions:
        if stamped == raw:
            newest = versions[-1]
            return Finding(path, Verdict.UNCHANGED, place, None, None if newest[0] == raw else newest[1].entry)
    if versions:
        return Finding(path, Verdict.CHANGED, versions[-1][1])
    elsewhere = find_digest(store, Hash(raw))
    if elsewhere:
        return Finding(path, Verdict.RENAMED, elsewhere[0], stamped_as=path_of(store, elsewhere[0]), raw=raw)
    return Finding(path, Verdict.UNKNOWN)


def missing(store: Store, folder: bytes, findings: Iterable[Finding], unreadable: set[bytes]) -> list[Finding]:
    """Return what was stamped below `folder` and is neither among `findings` nor in or among the paths `unreadable`.

    What turned up under another name is not missing; one renamed record excuses one absent path, as twins are common.
    """
    present = {finding.path for finding in findings}
    moved = Counter(finding.raw for finding in findings if finding.verdict is Verdict.RENAMED)
    result = []
    for below in folders_below(store, folder):
        known, start = Known(store, below), os.path.join(below, b"")
        for name in known.names():
            path = start + name
            if path in present or _is_within(path, unreadable):
                continue
            if name.endswith(PROOF_SUFFIX) and os.path.lexists(path):
                continue  # stamped by name: not met in folders
            raw, place = known.versions(name)[-1]
            if moved[raw]:
                moved[raw] -= 1
            else:
                result.append(Finding(path, Verdict.MISSING, place))
    return result


def _is_within(path: bytes, folders: set[bytes]) -> bool:
    """Say whether `path` is one of `folders`, or below one."""
    while path not in folders:
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
    return True


def missing_file(store: Store, path: bytes) -> Finding | None:
    """Return the finding for a path that names nothing now, if the vault ever stamped it."""
    folder, name = os.path.split(path)
    versions = Known(store, folder).versions(name)
    return Finding(path, Verdict.MISSING, versions[-1][1]) if versions else None


@dataclass(frozen=True, slots=True)
class BundleVerdict:
    """What the vault can prove about a bundle: an attestation, or why there is none (yet)."""

    statement: Statement
    signer: str
    attestation: Attestation | None
    failure: VerificationError | PendingError | None


class Examiner:
    """Judges the evidence of bundles: all steps of verification once a bundle, the tree of each record's tile once."""

    def __init__(self, store: Store, witnesses: dict[int, Witness]) -> None:
        self._store = store
        self._witnesses = witnesses
        self._prover = Prover(store)
        self._verdicts: dict[int, BundleVerdict] = {}
        self._sound: set[tuple[int, int]] = set()

    def bundle(self, entry: int) -> BundleVerdict:
        """Return what the vault can prove about the bundle at `entry`."""
        if entry not in self._verdicts:
            self._verdicts[entry] = self._judge(entry)
        return self._verdicts[entry]

    def record(self, place: Place) -> BundleVerdict:
        """Return what the vault can prove about the record at `place`: its bundle's verdict, if its tile is sound.

        Raises VerificationError at step 2 if the records in its tile are not those that were signed for.
        """
        verdict = self.bundle(place.entry)
        number = place.index >> LEVEL
        if (place.entry, number) not in self._sound:
            reader = self._prover.bundle(place.entry)
            tile = reader.tile(number)
            if root_of(tile.leaves()) != reader.roots[number] or reader.root != verdict.statement.root:
                raise VerificationError(
                    f"the vault's records of entry {place.entry} are not those that were signed for",
                    step=Step.BUNDLE,
                    hint="the vault is damaged: restore it from a backup",
                )
            self._sound.add((place.entry, number))
        return verdict

    def _judge(self, entry: int) -> BundleVerdict:
        proof = self._prover.proof(Place(entry, 0))
        trust = trust_for(self._store, proof, self._witnesses)
        envelope = parse_envelope(proof.envelope)
        signer = trust.signers[envelope.key_id]
        try:
            return BundleVerdict(envelope.statement, signer, verify(proof, proof.record.raw, trust), None)
        except (VerificationError, PendingError) as failure:
            return BundleVerdict(envelope.statement, signer, None, failure)
