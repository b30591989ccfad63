"""What `medanchor verify` found of each record, and how a person reads it."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from medanchor.cli.output import name_of, plural
from medanchor.cli.records import problem_lines
from medanchor.cli.words import caveats, parts_words, verdict_lines
from medanchor.core.ladder import Likeness, Rung
from medanchor.core.verify import Attestation, TrustLevel
from medanchor.errors import PendingError, VerificationError
from medanchor.notary.examine import STANDING, BundleVerdict, Finding, Run, Verdict
from medanchor.notary.reread import VERDICTS
from medanchor.records.walk import Problem

RUNG_OF = {verdict: rung for rung, verdict in VERDICTS.items()} | {Verdict.RENAMED: Rung.EXACT}


class Judged(NamedTuple):
    """What was found, with the verdict on its bundle (None for a record never stamped), and its exit code."""

    found: Finding | Run
    bundle: BundleVerdict | None
    exit_code: int

    @property
    def likeness(self) -> Likeness:
        """How like it is to what was stamped."""
        if isinstance(self.found, Run):
            return Likeness(Rung.EXACT)
        return Likeness(RUNG_OF.get(self.found.verdict, Rung.CHANGED), self.found.parts)

    @property
    def stands(self) -> bool:
        """Whether nothing was found wanting in the record itself; its evidence may be."""
        if isinstance(self.found, Run):
            return True
        if self.found.added:
            return False
        accepted = bool(self.found.parts) and self.exit_code != VerificationError.exit_code
        return self.bundle is not None and (self.found.verdict in STANDING or accepted)

    @property
    def records(self) -> int:
        """How many records that is."""
        return len(self.found.names) if isinstance(self.found, Run) else 1


def judged_lines(judged: list[Judged], problems: list[Problem]) -> Iterator[str]:
    """Return what a person reads about all that was verified."""
    good = [item for item in judged if item.stands]
    if len(judged) == 1 and good:
        yield from _one(good[0])
    else:
        yield from _summary(good)
    for item in judged:
        if isinstance(item.found, Run):
            continue
        if not _goes_without_saying(item.found):
            yield _difference(item.found, item.bundle) + (", accepted" if item.found.parts and item.stands else "")
        if item.found.later is not None:
            yield _earlier(item.found, alone=len(judged) == 1)
    yield from problem_lines(problems)


def _one(item: Judged) -> Iterator[str]:
    """Return the whole verdict on a single record that is as it was stamped."""
    likeness = item.likeness
    if item.bundle and item.bundle.attestation:
        yield from verdict_lines(item.bundle.attestation, "the vault", likeness)
    elif item.bundle:
        yield f"{_how(item)} since it was {_stamped(item.bundle)}; {_why_not(item.bundle)}"
    if item.bundle:
        yield from _followed(item.bundle)


def _summary(good: list[Judged]) -> Iterator[str]:
    """Return a line for each bundle that records in hand are parts of, then what must be known about all of them."""
    counts: Counter[tuple[BundleVerdict, str]] = Counter()
    for item in good:
        if item.bundle:
            counts[item.bundle, _how(item)] += item.records
    attested: Attestation | None = None
    for bundle, how in sorted(counts, key=lambda counted: (counted[0].entry, counted[1] != UNCHANGED, counted[1])):
        attested = bundle.attestation or attested
        count = plural(counts[bundle, how], "record")
        yield f"{count} {how}, {_stamped(bundle)} (entry {bundle.entry}): {_standing(bundle)}"
        yield from _followed(bundle)
    if attested:
        yield from caveats(attested)


UNCHANGED = "unchanged"


def _how(item: Judged) -> str:
    likeness = item.likeness
    if likeness.parts:
        return f"accepted despite a difference in {' and '.join(likeness.parts)}"
    return UNCHANGED if likeness.rung is Rung.EXACT else "written anew, the same in content"


def _followed(bundle: BundleVerdict) -> Iterator[str]:
    for follower in bundle.followed_by:
        yield f"mind: entry {follower.entry} ({follower.kind}) follows entry {bundle.entry}"


def _stamped(bundle: BundleVerdict) -> str:
    return f"stamped {bundle.statement.time} as {bundle.statement.meaning} by {bundle.signer}"


def _standing(bundle: BundleVerdict) -> str:
    attestation = bundle.attestation
    if attestation is None:
        return _why_not(bundle)
    from medanchor.cli.context import time_text

    where = f"block {attestation.height} on {attestation.network}, {plural(attestation.confirmations, 'confirmation')}"
    if attestation.level is TrustLevel.CONSISTENT:
        return f"consistent with {where}, but nothing outside the vault confirms that block"
    return f"verified by {attestation.witness}: existed no later than about {time_text(attestation.time)}, {where}"


def _why_not(bundle: BundleVerdict) -> str:
    failure = bundle.failure
    if isinstance(failure, PendingError):
        return f"{failure.message}: {failure.hint}"
    return f"NOT VERIFIED: {failure.message}" if failure else "not verified"


def _goes_without_saying(finding: Finding) -> bool:
    """Say whether a record has no line of its own: it is as it was stamped, or only written anew inside another one."""
    same = finding.verdict is Verdict.UNCHANGED or (finding.within and finding.verdict is Verdict.SAME_CONTENT)
    return same and not finding.added


def _difference(finding: Finding, bundle: BundleVerdict | None) -> str:
    """Return the line for a record that is not simply as it was stamped."""
    name = name_of(finding.path)
    if bundle is None:
        regrouped = finding.verdict is Verdict.REGROUPED
        return f"mind: never stamped itself, only what is in it: {name}" if regrouped else f"never stamped: {name}"
    entry = f"{_stamped(bundle)} (entry {bundle.entry})"
    if finding.added:
        return f"ADDED since the file around it was stamped: {name}: a record like it was {entry}"
    if finding.verdict is Verdict.MISSING:
        return f"MISSING, was {entry}: {name}"
    if finding.verdict is Verdict.RENAMED:
        return _renamed(finding, name, entry)
    inside = f", with {plural(finding.inside, 'record')} inside it" if finding.inside else ""
    unlike = f" in {parts_words(finding.parts)}" if finding.parts else ""
    if finding.verdict is Verdict.CHANGED:
        return f"CHANGED{unlike} since it was {entry}: {name}{inside}"
    elsewhere = f", then {name_of(finding.stamped_as)}" if finding.stamped_as else ""
    rung = RUNG_OF[finding.verdict]
    return (
        f"{rung}, but it differs{unlike}: {name}: {entry}{elsewhere}"
        if unlike
        else (f"{rung}, written anew since it was {entry}: {name}{inside}{elsewhere}")
    )


def _renamed(finding: Finding, name: str, entry: str) -> str:
    if not finding.stamped_as:
        return f"without its name: {name}: the same bytes were {entry}"
    return f"under another name: {name}: the same bytes were {entry} as {name_of(finding.stamped_as)}"


def _earlier(finding: Finding, *, alone: bool) -> str:
    """Return the line for a record that is as it was stamped, but not as it was stamped last."""
    version = "mind: this is an earlier version;" if alone else f"earlier version: {name_of(finding.path)}:"
    return f"{version} a later one was stamped in entry {finding.later}"
