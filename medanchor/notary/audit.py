"""The audit: everything the vault says is computed again, from the bytes up, and compared with what was signed.

A sound vault yields no damage. In order: the keys, the database, each entry with its bundle, the anchors and the chain;
then, if all that is whole, the records themselves on disk.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from medanchor.chain.source import Chain
from medanchor.core.checkpoint import verify_checkpoint
from medanchor.core.merkle import consistency_path, root_of, verify_consistency
from medanchor.core.statement import Statement, verify_envelope
from medanchor.core.verify import check_anchor
from medanchor.errors import ChainError, MedanchorError
from medanchor.notary.examine import Finding, Known, Run, Verdict, examine
from medanchor.notary.standing import carries_payload, stale
from medanchor.records.digest import Hashed, digest_all
from medanchor.records.walk import Group, Problem, is_gone
from medanchor.vault.anchors import list_anchors, list_signers
from medanchor.vault.bundles import all_folders, count_records, tiles_of
from medanchor.vault.integrity import check_database
from medanchor.vault.keys import list_keys, read_key
from medanchor.vault.store import Store
from medanchor.vault.tiles import join_roots

Progress = Callable[[int], None]


@dataclass(slots=True)
class Audit:
    """What an audit found: damage in words, and records on disk that are not as they were last stamped.

    `reorganised` are the numbers of anchors whose blocks the chain does not have any more.
    """

    damage: list[str] = field(default_factory=list)
    reorganised: list[int] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unreadable: list[Problem] = field(default_factory=list)
    entries: int = 0
    records: int = 0
    anchors: int = 0
    swept: int = 0

    def check(self, check: Callable[[], Iterable[str]]) -> None:
        """Run one check: what it yields is damage, and so is the error that ends it."""
        try:
            self.damage.extend(check())
        except ChainError:
            raise
        except MedanchorError as error:
            if error.message not in self.damage:  # one damaged row may stop several checks
                self.damage.append(error.message)


def audit(store: Store, chain: Chain | None, *, sweep: bool, progress: Progress) -> Audit:
    """Return what a full check of the vault finds; without a chain, anchors are checked for consistency only.

    With `sweep`, every stamped path is read again. Raises ChainError if the chain cannot be asked.
    """
    result = Audit()
    result.check(lambda: _check_keys(store))
    result.check(lambda: check_database(store))
    positions = store.positions()
    result.entries = len(positions)
    for entry in positions:
        result.check(lambda entry=entry: _check_entry(store, entry, result))  # type: ignore[misc]  # binds it now
        progress(1)
    result.check(lambda: _check_anchors(store, result))
    if chain is not None and not result.damage:
        result.reorganised = [row.number for row in stale(list_anchors(store), chain)]
    if sweep and not result.damage:
        _sweep(store, result, progress)
    return result


def _check_keys(store: Store) -> Iterator[str]:
    signers = list_signers(store)
    for name in list_keys(store.directory):
        key = read_key(store.directory, name)
        row = signers.get(key.key_id)
        if row and (row.name, row.role) != (key.label, key.role):
            yield f"the key {name} has another holder in the list of signers"


def _check_entry(store: Store, entry: int, result: Audit) -> Iterator[str]:
    """Check an entry's signature and checkpoint, and compute its bundle's root again from every record."""
    result.records += count_records(store, entry)
    envelope = store.envelope(entry)
    signer = list_signers(store).get(store.entry(entry).key_id)
    if signer is None:
        yield f"the key that signed entry {entry} is missing"
        return
    statement = verify_envelope(envelope, signer.key)
    if statement.ledger != store.origin:
        yield f"entry {entry} was made for another ledger"
    if verify_checkpoint(store.checkpoint(entry), signer.key) != store.head(entry + 1):
        yield f"the checkpoint of entry {entry} is of another ledger, or of another state of it"
    yield from _check_bundle(store, entry, statement)


def _check_bundle(store: Store, entry: int, statement: Statement) -> Iterator[str]:
    tiles = []
    for number, tile in enumerate(tiles_of(store, entry)):
        tile.name_list()
        if root_of(tile.leaves()) != tile.root:
            yield f"tile {number} of entry {entry} does not have the root it claims"
        tiles.append(tile)
    if sum(tile.count for tile in tiles) != statement.records or join_roots(tiles) != statement.root:
        yield f"the records of entry {entry} are not those that were signed for"


def _check_anchors(store: Store, result: Audit) -> Iterator[str]:
    """Check that every anchor carries its head, and that every anchored head continues the one before it.

    Consistency is transitive: what holds from each head to the next holds between any two.
    """
    rows, size = list_anchors(store), store.size()
    result.anchors = sum(row.evidence is not None for row in rows)
    if beyond := [row for row in rows if not 0 < row.size <= size]:  # there is no tree to compute
        yield from (f"anchor {row.number} is for {row.size} entries, of {size} in the ledger" for row in beyond)
        return
    for row in rows:
        if not carries_payload(store, row):
            yield f"anchor {row.number} carries another head than that of {row.size} entries"
        if row.evidence:
            check_anchor(row.evidence, store.head(row.size))
    for old, new in pairwise(sorted({row.size for row in rows})):
        path = consistency_path(store.node, old, new)
        verify_consistency(old, store.head(old).root, new, store.head(new).root, path)


def _sweep(store: Store, result: Audit, progress: Progress) -> None:
    """Read every stamped path again and note which are not as they were last stamped, gone, or unreadable."""
    for item in digest_all(_stamped_groups(store, result), progress):
        if isinstance(item, Problem):
            result.unreadable.append(item)
        else:
            result.swept += len(item.names)
            result.findings += _not_as_last_stamped(store, item)


def _stamped_groups(store: Store, result: Audit) -> Iterator[Group]:
    for folder in all_folders(store):
        known = Known(store, folder)
        present = []
        for name in sorted(known.names()):
            path = os.path.join(folder, name)
            if is_gone(path):
                result.findings.append(Finding(path, Verdict.MISSING, known.versions(name)[-1][1]))
            else:
                present.append(name)
        if present:
            yield Group(folder, present)


def _not_as_last_stamped(store: Store, hashed: Hashed) -> Iterator[Finding]:
    for item in examine(store, [hashed]):
        if not isinstance(item, Run) and (item.verdict is not Verdict.UNCHANGED or item.later is not None):
            yield item
