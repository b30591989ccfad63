"""What was stamped and is not in hand: neither where it was, nor under another name, nor in another container."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

from medanchor.core.hashes import Hash
from medanchor.notary.examine import STANDING, Finding, Known, Run, Verdict, latest
from medanchor.records.walk import is_gone, is_proof
from medanchor.vault.bundles import Place, folders_below
from medanchor.vault.search import Search
from medanchor.vault.store import Store


def missing(store: Store, folder: bytes, found: Sequence[Finding | Run], unreadable: set[bytes]) -> list[Finding]:
    """Return what was stamped below `folder` and is neither among `found` nor in or among the paths `unreadable`.

    What turned up under another name is not missing; one renamed record excuses one absent path, as twins are common.
    Nor is a container all of whose records turned up.
    """
    present = _names_in_hand(found)
    moved, elsewhere = _moved(found)
    regrouped = Regrouped(store, found)
    result = []
    for below in folders_below(store, folder):
        known = Known(store, below)
        for name in sorted(known.names() - present.get(below, set())):
            path = os.path.join(below, name)
            if _is_within(path, unreadable):
                continue
            if is_proof(path) and not is_gone(path):
                continue  # stamped by name: not met in folders
            raw, place = known.versions(name)[-1]
            if moved[raw]:
                moved[raw] -= 1
            elif path not in elsewhere and not regrouped.holds(path):
                result.append(Finding(path, Verdict.MISSING, place))
    return result


def _moved(found: Sequence[Finding | Run]) -> tuple[Counter[bytes | None], set[bytes | None]]:
    """Return what turned up elsewhere: raw digests, and paths of what was written anew."""
    findings = [item for item in found if isinstance(item, Finding) and item.verdict in STANDING]
    return (
        Counter(item.raw for item in findings if item.verdict is Verdict.RENAMED),
        {item.stamped_as for item in findings if not item.within and item.verdict is Verdict.SAME_CONTENT},
    )


class Regrouped:
    """What was met in containers that were never stamped themselves, by what it says: one excuses one, as twins are."""

    def __init__(self, store: Store, found: Iterable[Finding | Run]) -> None:
        self._store = store
        self._search = Search(store)
        self._places = [
            item.place
            for item in found
            if isinstance(item, Finding) and item.within and item.place and item.verdict in STANDING
        ]

    @cached_property
    def _met(self) -> Counter[tuple[Hash, ...]]:
        return Counter(map(self._says, self._places))

    def _says(self, place: Place) -> tuple[Hash, ...]:
        record = self._search.record(place)
        return record.components or (record.raw,)

    def holds(self, container: bytes) -> bool:
        """Say whether everything that was last stamped inside a container was met and is not claimed by another one."""
        if not self._places:
            return False
        inside = Counter(map(self._says, latest(Known(self._store, os.path.join(container, b""))).values()))
        if not inside or not inside <= self._met:
            return False
        self._met.subtract(inside)
        return True


def _names_in_hand(found: Iterable[Finding | Run]) -> dict[bytes, set[bytes]]:
    """Return the names of the records `found`, by folder."""
    names: dict[bytes, set[bytes]] = {}
    for item in found:
        folder, here = (item.folder, item.names) if isinstance(item, Run) else _split(item.path)
        names.setdefault(folder, set()).update(here)
    return names


def _split(path: bytes) -> tuple[bytes, list[bytes]]:
    folder, name = os.path.split(path)
    return folder, [name]


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
