"""Verifying against a vault: what each record in hand is to the vault, and what the vault can prove about it."""

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from medanchor.core.hashes import Hash
from medanchor.core.merkle import root_of
from medanchor.core.statement import Statement, parse_envelope
from medanchor.core.verify import Attestation, Witness, verify
from medanchor.errors import PendingError, Step, VerificationError
from medanchor.notary.prove import Prover, trust_for
from medanchor.notary.stamp import PIPED
from medanchor.records.digest import Hashed
from medanchor.vault.bundles import Place, stamped_in
from medanchor.vault.followers import Follower, followers
from medanchor.vault.search import find_digest, path_of
from medanchor.vault.store import Store
from medanchor.vault.tiles import LEVEL


class Verdict(StrEnum):
    """What a record in hand is to the vault.

    REGROUPED is a container that was never stamped itself, while records inside it were: each has its own verdict.
    """

    UNCHANGED = "unchanged"
    RENAMED = "renamed"
    SAME_CONTENT = "same-content"
    SAME_VALUES = "same-values"
    SAME_DATA = "same-data"
    CHANGED = "changed"
    MISSING = "missing"
    UNKNOWN = "unknown"
    REGROUPED = "regrouped"


STANDING = frozenset({Verdict.UNCHANGED, Verdict.RENAMED, Verdict.SAME_CONTENT})
"""The verdicts on a record that is as it was stamped, under whatever name and however it is written."""


class Finding(NamedTuple):
    """One record's verdict; `place` is where it stands in the ledger: of the same bytes, or of those it once had.

    `stamped_as` is the path it was stamped under, where that is another one; `later` the entry of a later version of
    the same path, where the bytes in hand are an earlier one; `raw` the digest of a renamed record; `parts` are what
    differs, by name, where not all does; `inside` is how many records in it were judged with it; `within`
    tells that it lies in another one, and `added` that it was not there when that one was stamped.
    """

    path: bytes
    verdict: Verdict
    place: Place | None = None
    stamped_as: bytes | None = None
    later: int | None = None
    raw: bytes | None = None
    parts: tuple[str, ...] = ()
    inside: int = 0
    within: bool = False
    added: bool = False

    def stands(self, accepted: frozenset[str] = frozenset()) -> bool:
        """Say whether what was stamped is in hand still, or differs in nothing but what a reviewer `accepted`."""
        if self.added:
            return False
        return self.verdict in STANDING or (bool(self.parts) and accepted.issuperset(self.parts))


class Run(NamedTuple):
    """Records of one folder that are all as they were stamped, once each and side by side: what a sweep mostly meets.

    `place` is where the first of `names` stands; the others follow it, leaf by leaf.
    """

    folder: bytes
    names: list[bytes]
    place: Place

    @property
    def verdict(self) -> Verdict:
        """What each of them is."""
        return Verdict.UNCHANGED

    def findings(self) -> Iterator[Finding]:
        """Return the verdict on each record."""
        start, (entry, first) = os.path.join(self.folder, b""), self.place
        for leaf, name in enumerate(self.names, first):
            yield Finding(start + name, Verdict.UNCHANGED, Place(entry, leaf))


class Known:
    """One folder as it was stamped: for each name, where each of its versions stands."""

    def __init__(self, store: Store, folder: bytes) -> None:
        self._stamped = list(stamped_in(store, folder))

    @cached_property
    def _offsets(self) -> list[dict[bytes, int]]:
        return [dict(zip(stamped.names, range(len(stamped.names)), strict=True)) for stamped in self._stamped]

    def names(self) -> set[bytes]:
        """Return every name that was stamped in the folder."""
        return set().union(*(stamped.names for stamped in self._stamped))

    def versions(self, name: bytes) -> list[tuple[bytes, Place]]:
        """Return the raw digest and the place of each version of `name`, oldest first."""
        return [
            (stamped.raws[offset], Place(stamped.entry, stamped.first + offset))
            for stamped, offsets in zip(self._stamped, self._offsets, strict=True)
            if (offset := offsets.get(name)) is not None
        ]

    def run(self, hashed: Hashed) -> Run | None:
        """Return the run that `hashed` is, or None if one of its records needs a look of its own.

        Names are stamped in order as a rule, so the first one tells where all should be.
        """
        for number, stamped in enumerate(self._stamped):
            start = bisect_left(stamped.names, hashed.names[0])
            here = slice(start, start + len(hashed.names))
            if stamped.names[here] == hashed.names and stamped.raws[here] == hashed.raw_list():
                others = (offsets for other, offsets in enumerate(self._offsets) if other != number)
                if all(offsets.keys().isdisjoint(hashed.names) for offsets in others):
                    return Run(hashed.folder, hashed.names, Place(stamped.entry, stamped.first + start))
        return None


def inside(store: Store, container: Finding) -> Iterator[Finding]:
    """Return the records that were stamped inside a container that stands, with the version of it in hand, in order."""
    path = (container.path if container.stamped_as is None else container.stamped_as) or PIPED
    known, entry = Known(store, os.path.join(path, b"")), container.place.entry if container.place else None
    found = ((place, name) for name in known.names() for _, place in known.versions(name) if place.entry == entry)
    for place, name in sorted(found):
        yield Finding(os.path.join(container.path, name), Verdict.UNCHANGED, place, within=True)


def latest(container: Known) -> dict[bytes, Place]:
    """Return where the records of a container stand that were in it when it was stamped last."""
    newest = {name: container.versions(name)[-1][1] for name in container.names()}
    last = max((place.entry for place in newest.values()), default=0)
    return {name: place for name, place in newest.items() if place.entry == last}


def examine(store: Store, hashed: Iterable[Hashed]) -> Iterator[Finding | Run]:
    """Return a verdict on each record in hand, in order; one for all of a run."""
    for folder, groups in groupby(hashed, key=lambda group: group.folder):
        known, start = Known(store, folder), os.path.join(folder, b"")
        for group in groups:
            if run := known.run(group):
                yield run
                continue
            for name, raw in zip(group.names, group.raw_list(), strict=True):
                yield _judge(store, start + name, raw, known.versions(name))


def each(found: Iterable[Finding | Run]) -> Iterator[Finding]:
    """Return the verdicts `found` record by record."""
    for item in found:
        yield from item.findings() if isinstance(item, Run) else (item,)


def _judge(store: Store, path: bytes, raw: bytes, versions: list[tuple[bytes, Place]]) -> Finding:
    for stamped, place in versions:
        if stamped == raw:
            newest = versions[-1]
            return Finding(path, Verdict.UNCHANGED, place, None, None if newest[0] == raw else newest[1].entry)
    if versions:
        return Finding(path, Verdict.CHANGED, versions[-1][1])
    elsewhere = find_digest(store, Hash(raw), most=1)
    if elsewhere:
        return Finding(path, Verdict.RENAMED, elsewhere[0], stamped_as=path_of(store, elsewhere[0]), raw=raw)
    return Finding(path, Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True, eq=False)
class BundleVerdict:
    """What the vault can prove about the bundle at `entry`: an attestation, or why there is none (yet).

    `followed_by` are the entries that amend or retract it since, each with how (docs/format.md, section 3).
    """

    entry: int
    statement: Statement
    signer: str
    attestation: Attestation | None
    failure: VerificationError | PendingError | None
    followed_by: tuple[Follower, ...] = ()


class Examiner:
    """Judges the evidence of bundles: all steps of verification once a bundle, the tree of each record's tile once."""

    def __init__(self, store: Store, witnesses: dict[int, Witness]) -> None:
        self._store = store
        self._witnesses = witnesses
        self._prover = Prover(store, witnesses)
        self._followers = followers(store)
        self._verdicts: dict[int, BundleVerdict] = {}
        self._tiles: dict[tuple[int, int], BundleVerdict] = {}

    def bundle(self, entry: int) -> BundleVerdict:
        """Return what the vault can prove about the bundle at `entry`."""
        if entry not in self._verdicts:
            self._verdicts[entry] = self._judge(entry)
        return self._verdicts[entry]

    def record(self, place: Place) -> BundleVerdict:
        """Return what the vault can prove about the record at `place`: its bundle's verdict, if its tile is sound.

        Else a failure of step 2: the records in its tile are not those that were signed for.
        """
        return self._tile(place.entry, place.leaf >> LEVEL)

    def run(self, run: Run) -> BundleVerdict | None:
        """Return what the vault can prove about all records of `run`, or None if that is not one and the same."""
        entry, first = run.place
        tiles = range(first >> LEVEL, (first + len(run.names) - 1 >> LEVEL) + 1)
        verdicts = [self._tile(entry, number) for number in tiles]
        return verdicts[0] if all(verdict is verdicts[0] for verdict in verdicts) else None

    def _tile(self, entry: int, number: int) -> BundleVerdict:
        if (entry, number) not in self._tiles:
            self._tiles[entry, number] = self._judge_tile(entry, number)
        return self._tiles[entry, number]

    def _judge_tile(self, entry: int, number: int) -> BundleVerdict:
        verdict, reader = self.bundle(entry), self._prover.bundle(entry)
        if root_of(reader.tile(number).leaves()) == reader.roots[number] and reader.root == verdict.statement.root:
            return verdict
        failure = VerificationError(
            f"the vault's records of entry {entry} are not those that were signed for",
            step=Step.BUNDLE,
            hint="the vault is damaged: restore it from a backup",
        )
        return replace(verdict, attestation=None, failure=failure)

    def _judge(self, entry: int) -> BundleVerdict:
        proof = self._prover.proof(Place(entry, 0))
        trust = trust_for(self._store, proof, self._witnesses)
        envelope = parse_envelope(proof.envelope)
        signer, followed_by = trust.signers[envelope.key_id], tuple(self._followers.get(entry, ()))
        unproved = BundleVerdict(entry, envelope.statement, signer, None, None, followed_by)
        try:
            return replace(unproved, attestation=verify(proof, proof.record.raw, trust))
        except (VerificationError, PendingError) as failure:
            return replace(unproved, failure=failure if proof.anchor else self._prover.why_pending(entry))
