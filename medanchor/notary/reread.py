"""Records whose bytes nobody stamped, read again for what they say: a server may have written them anew."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice

from medanchor.core.commitment import COMPONENTS, Content, Kind, Record
from medanchor.core.hashes import Hash
from medanchor.core.ladder import ABSENT, ACCEPTABLE, RUNGS, Likeness, Rung, compare
from medanchor.notary.examine import Finding, Known, Run, Verdict, latest
from medanchor.records.detect import Reading
from medanchor.records.stream import Whole, read_file
from medanchor.vault.bundles import Place
from medanchor.vault.search import Search, path_of
from medanchor.vault.store import Store
from medanchor.vault.tiles import FOUND_BY

MOST_TWINS = 64
"""So many records with one part the same are compared with one in hand; the rest could be no more alike than these."""

VERDICTS = {
    Rung.EXACT: Verdict.UNCHANGED,
    Rung.SAME_CONTENT: Verdict.SAME_CONTENT,
    Rung.SAME_VALUES: Verdict.SAME_VALUES,
    Rung.SAME_DATA: Verdict.SAME_DATA,
    Rung.CHANGED: Verdict.CHANGED,
}


def reread(store: Store, found: Iterable[Finding | Run], reading: Reading) -> Iterator[Finding | Run]:
    """Return `found`, with a closer look at each record whose bytes are not those that were stamped.

    A container is judged by the records inside it where its own kind says nothing; if they are not all there and as
    they were, each that is not comes as a finding of its own.
    """
    reader = Reader(store)
    for item in found:
        if isinstance(item, Run) or item.verdict not in (Verdict.CHANGED, Verdict.UNKNOWN):
            yield item
            continue
        try:
            whole = read_file(item.path, reading)
        except OSError:
            yield item
        else:
            yield from reader.judge(item, whole)


class Reader:
    """Judges documents by what the vault holds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._search = Search(store)
        self._known = lru_cache(maxsize=2)(lambda folder: Known(store, folder))

    def judge(self, finding: Finding, whole: Whole) -> Iterator[Finding]:
        """Return the verdict on a record that was read again, and on what is inside it where that says more."""
        folder, name = os.path.split(finding.path)
        places = [place for _, place in self._known(folder).versions(name)]
        own = _with_later(self._judge(finding.path, whole.document.content, places), places)
        if (own.verdict is not Verdict.CHANGED and own.verdict is not Verdict.UNKNOWN) or not whole.contents:
            yield own
        else:
            yield from self._judge_container(own, whole)

    def _judge_container(self, own: Finding, whole: Whole) -> Iterator[Finding]:
        """Return the verdict on a container, then one on each record in it that makes a difference.

        Of one that was never stamped itself, all of them: what is inside may be of many that were.
        """
        stamped = Inside(self._store, self._search, own.path)
        inside = [
            self._judge_inside(os.path.join(own.path, name), content, stamped) for name, content in whole.inside()
        ]
        inside = [stamped.by_name(finding) for finding in inside]
        unlike = [finding for finding in inside if not finding.stands()]
        own = own._replace(inside=len(inside))
        if own.place is None:
            known = len(unlike) < len(inside)
            yield from (own._replace(verdict=Verdict.REGROUPED), *inside) if known else [own._replace(inside=0)]
        elif not stamped.places:
            yield own._replace(inside=0)
        else:
            gone = list(stamped.missing())
            is_more = gone or whole.document.content.kind != Kind.BYTES
            yield own if is_more else _as_what_is_inside(own, unlike)
            yield from (*unlike, *gone)

    def _judge_inside(self, path: bytes, content: Content, stamped: "Inside") -> Finding:
        found = self._judge(path, content, stamped.near(content))
        return found._replace(within=True, added=stamped.is_added(found))

    def _judge(self, path: bytes, content: Content, places: Iterable[Place]) -> Finding:
        """Return what `content` is to the records at `places`; without any, to the record most like it anywhere."""
        here = _best(content, ((place, self._search.record(place)) for place in places))
        if here is not None:
            return Finding(path, VERDICTS[here[1].rung], here[0], parts=here[1].parts)
        alike = islice(self._search.alike(content), MOST_TWINS)
        elsewhere = _best(content, chain(islice(self._search.digest(content.raw), 1), alike))
        if elsewhere is None or elsewhere[1].rung is Rung.CHANGED:
            return Finding(path, Verdict.UNKNOWN)
        place, likeness = elsewhere
        return Finding(path, VERDICTS[likeness.rung], place, path_of(self._store, place), parts=likeness.parts)


def _with_later(finding: Finding, places: Sequence[Place]) -> Finding:
    """Return `finding`, with the entry of a later version than the one that it is like."""
    newest = places[-1].entry if places else None
    earlier = finding.place is not None and newest is not None and finding.place.entry < newest
    return finding._replace(later=newest) if earlier else finding


def _as_what_is_inside(container: Finding, unlike: Sequence[Finding]) -> Finding:
    """Return the verdict on a container that is nothing beside what is inside it: it differs in what that does."""
    parts = tuple(part for part in ACCEPTABLE.values() if any(part in finding.parts for finding in unlike))
    if not unlike:
        return container._replace(verdict=Verdict.SAME_CONTENT)
    if any(not finding.parts or finding.added for finding in unlike):
        return container
    same_data = any(finding.verdict is not Verdict.SAME_VALUES for finding in unlike)
    return container._replace(verdict=Verdict.SAME_DATA if same_data else Verdict.SAME_VALUES, parts=parts)


def _best(content: Content, records: Iterable[tuple[Place, Record]]) -> tuple[Place, Likeness] | None:
    """Return the record most like `content`, the last of equals: it is the newest version."""
    best: tuple[Place, Likeness] | None = None
    for place, record in records:
        likeness = compare(record.content, content)
        if best is None or RUNGS.index(likeness.rung) <= RUNGS.index(best[1].rung):
            best = place, likeness
        if likeness.rung is Rung.EXACT:
            break
    return best


class Inside:
    """What was stamped inside a container when it was stamped last, and what of it was met again."""

    def __init__(self, store: Store, search: Search, container: bytes) -> None:
        self.met: set[Place] = set()
        self._container = container
        self.places: set[Place] = set()
        self._names: dict[bytes, Place] = {}
        self._by: dict[Hash, list[Place]] = {}
        newest = latest(Known(store, os.path.join(container, b"")))
        self.places.update(newest.values())
        for name, place in sorted(newest.items(), key=lambda item: item[1], reverse=True):
            self._names[name] = place
            for digest in set(_told_by(search.record(place).content)):
                self._by.setdefault(digest, []).append(place)

    def is_added(self, finding: Finding) -> bool:
        """Say whether a record that was stamped somewhere was not here, or is here once more; it is met from now on."""
        if finding.place is None:
            return False
        added = bool(self.places) and (finding.place not in self.places or finding.place in self.met)
        self.met.add(finding.place)
        return added

    def near(self, content: Content) -> Iterator[Place]:
        """Return which records `content` may be: one for each part that tells it, of those that were not met yet."""
        for digest in _told_by(content):
            places = self._by.get(digest, [])
            while places and places[-1] in self.met:
                places.pop()
            if places:
                yield places[-1]

    def by_name(self, finding: Finding) -> Finding:
        """Return `finding`, as changed if it is like no record, and stands where one stood that is gone."""
        place = self._names.get(os.path.relpath(finding.path, self._container))
        if finding.verdict is not Verdict.UNKNOWN or place is None or place in self.met:
            return finding
        self.met.add(place)
        return finding._replace(verdict=Verdict.CHANGED, place=place)

    def missing(self) -> Iterator[Finding]:
        """Return what was not met."""
        for name, place in reversed(self._names.items()):
            if place not in self.met:
                yield Finding(os.path.join(self._container, name), Verdict.MISSING, place, within=True)


def _told_by(content: Content) -> Iterator[Hash]:
    """Return the digests by which a record is known inside its container; a FHIR resource also by its id."""
    yield content.raw
    names = COMPONENTS[content.kind]
    for name in ("id", *(names[number] for number in FOUND_BY.get(content.kind, ()))):
        if name in names and (digest := content.components[names.index(name)]) != ABSENT:
            yield digest
