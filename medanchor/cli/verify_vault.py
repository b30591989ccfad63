"""`medanchor verify` against the vault: every record in hand, and what is missing."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.against import NOT_STAMPED
from medanchor.cli.context import readable_store
from medanchor.cli.judged import Judged, judged_lines
from medanchor.cli.output import Output, name_of, plural
from medanchor.cli.records import any_unreadable, hash_all, problem_fields, record_digest
from medanchor.cli.sources import has_chain, open_chain
from medanchor.cli.words import attestation_fields
from medanchor.core.ladder import accepting
from medanchor.core.verify import TrustLevel
from medanchor.errors import PartialError, PendingError, Step, UnknownRecordError, VerificationError
from medanchor.notary.examine import (
    BundleVerdict,
    Examiner,
    Finding,
    Run,
    Verdict,
    each,
    examine,
)
from medanchor.notary.missing import missing, missing_file
from medanchor.notary.prove import ask_chain
from medanchor.notary.reread import reread
from medanchor.records.walk import Problem, Severity, absolute, is_gone
from medanchor.vault.bundles import folders_below
from medanchor.vault.search import find_digest

if TYPE_CHECKING:
    from medanchor.cli.given import Given
    from medanchor.records.detect import Reading
    from medanchor.vault.store import Store


def verify_with_vault(paths: list[str], follow: bool, given: "Given", out: Output) -> None:
    """Judge every record that `paths` name by what the vault holds; the worst verdict is the exit code."""
    with readable_store(given.vault) as store:
        _check_original(store, given.against, out)
        found, problems = _find(store, [os.fsencode(path) for path in paths], follow, given.reading, out)
        chain = open_chain(store, sources=given.sources) if given.sources > 1 or has_chain(store) else None
        examiner = Examiner(store, ask_chain(store, chain, [item.place.entry for item in found if item.place]))
        one_by_one = out.json or len(found) == 1
        judged = list(_judge_all(examiner, each(found) if one_by_one else found, given.accepted))
    if out.json:
        out.result(**_fields(judged, problems, paths, out))
    else:
        out.result(*judged_lines(judged, problems))
    _fail_if_wrong(judged, problems, out)


def _check_original(store: "Store", original: Path | None, out: Output) -> None:
    """Say so if what a record is compared with is not what was stamped."""
    if original is not None and not find_digest(store, record_digest(str(original)), most=1):
        out.result(NOT_STAMPED)


def _fail_if_wrong(judged: list[Judged], problems: list[Problem], out: Output) -> None:
    """End the command as the worst verdict asks, told as one error: 4 before 9, before 8, before 3."""
    codes: Counter[int] = Counter()
    for item in judged:
        codes[item.exit_code] += item.records
    if codes[VerificationError.exit_code]:
        out.fail(_contradiction(judged, out))
    if any_unreadable(problems):
        out.fail(PartialError("some of what was named could not be read", hint=f"{out.see()}; mend it and run again"))
    if unknown := codes[UnknownRecordError.exit_code]:
        hint = "is it another vault, or were they never stamped? 'medanchor stamp' does that"
        out.fail(UnknownRecordError(f"nothing is known here about {plural(unknown, 'record')}", hint=hint))
    if not judged:
        out.fail(UnknownRecordError("there are no records there", hint="is it the folder you meant?"))
    if waiting := codes[PendingError.exit_code]:
        hint = "run 'medanchor anchor'; if that was done, is the vault's chain here?"
        out.fail(PendingError(f"no block is known yet to confirm {plural(waiting, 'record')}", hint=hint))


def _contradiction(judged: list[Judged], out: Output) -> VerificationError:
    """Return what to say about records that contradict the vault: they are other records, or lack evidence."""
    unlike = sum(item.bundle is not None and not item.stands for item in judged)
    failures = [item.bundle.failure for item in judged if item.bundle]
    failed = next((failure for failure in failures if isinstance(failure, VerificationError)), None)
    if failed and not unlike:
        return failed
    total = sum(item.records for item in judged)
    message = f"expected {plural(total, 'record')} as stamped, found {unlike:,} changed or missing"
    parts = sorted({part for item in judged if not item.stands for part in item.likeness.parts})
    accept = f" If a reviewer finds that harmless: --accept {accepting(parts)}" if parts else ""
    hint = f"{out.see()}; edited, moved or deleted after the stamp?{accept}"
    return VerificationError(message, step=Step.RECORD, hint=hint)


def _find(
    store: "Store", paths: list[bytes], follow: bool, reading: "Reading", out: Output
) -> tuple[list[Finding | Run], list[Problem]]:
    """Return a finding on each record in hand and on each that should be there, and what could not be read."""
    gone = {path: missing_file(store, absolute(path)) for path in paths if is_gone(path)}
    gone_folders = {path for path in gone if folders_below(store, absolute(path))}
    known = {path for path, finding in gone.items() if finding} | gone_folders
    problems: list[Problem] = []
    there = [path for path in paths if path not in known]
    hashed = hash_all(there, problems, out, follow=follow, vault=store.directory)
    found = [*reread(store, examine(store, hashed), reading), *filter(None, gone.values())]
    unreadable = {problem.path for problem in problems if problem.severity is Severity.UNREADABLE}
    for path in paths:
        if path in gone_folders or os.path.isdir(path):
            found += missing(store, os.path.realpath(path), found, unreadable)
    return found, problems


def _judge_all(examiner: Examiner, found: Iterable[Finding | Run], accepted: frozenset[str]) -> Iterator[Judged]:
    for item in found:
        if isinstance(item, Finding):
            yield _judge(examiner, item, accepted)
        elif bundle := examiner.run(item):
            yield Judged(item, bundle, _exit_code(bundle))
        else:
            yield from _judge_all(examiner, item.findings(), accepted)


def _judge(examiner: Examiner, finding: Finding, accepted: frozenset[str]) -> Judged:
    """Return `finding` with the verdict on the bundle its record stands in."""
    if finding.place is None:
        return Judged(finding, None, 0 if finding.verdict is Verdict.REGROUPED else UnknownRecordError.exit_code)
    bundle = examiner.bundle(finding.place.entry)
    if not finding.stands(accepted):
        return Judged(finding, bundle, VerificationError.exit_code)
    bundle = examiner.record(finding.place)
    return Judged(finding, bundle, _exit_code(bundle))


def _exit_code(bundle: BundleVerdict) -> int:
    if bundle.failure:
        return bundle.failure.exit_code
    unconfirmed = bundle.attestation is None or bundle.attestation.level is TrustLevel.CONSISTENT
    return PendingError.exit_code if unconfirmed else 0


def _fields(judged: list[Judged], problems: list[Problem], paths: list[str], out: Output) -> dict[str, object]:
    typed = {absolute(os.fsencode(path)): path for path in paths}
    counts = Counter(item.found.verdict.value for item in judged)
    bundles = sorted({item.bundle for item in judged if item.bundle}, key=lambda bundle: bundle.entry)
    records = [(item.found, item.exit_code) for item in judged if isinstance(item.found, Finding)]
    return {
        "counts": {verdict.value: counts.get(verdict.value, 0) for verdict in Verdict},
        "bundles": [_bundle_fields(bundle) for bundle in bundles],
        "records": [
            _record_fields(finding, code, typed, out)
            for finding, code in records
            if out.verbose or code or finding.path in typed  # those in order are only counted
        ],
        "problems": problem_fields(problems, out),
    }


def _record_fields(finding: Finding, code: int, typed: dict[bytes, str], out: Output) -> dict[str, object]:
    fields: dict[str, object] = {"verdict": finding.verdict.value, "exit": code}
    if finding.parts:
        fields["differing"] = list(finding.parts)
    if finding.inside:
        fields["inside"] = finding.inside
    if finding.added:
        fields["added"] = True
    if finding.place:
        fields |= {"entry": finding.place.entry, "index": finding.place.leaf}
    if finding.later is not None:
        fields["later_entry"] = finding.later
    if finding.path in typed:
        fields["path"] = name_of(os.fsencode(typed[finding.path]))
    elif out.verbose:
        fields["path"] = name_of(finding.path)
    return fields


def _bundle_fields(bundle: BundleVerdict) -> dict[str, object]:
    fields: dict[str, object] = {
        "entry": bundle.entry,
        "meaning": bundle.statement.meaning,
        "stamped": bundle.statement.time,
        "signer": bundle.signer,
    }
    if bundle.attestation:
        fields["attestation"] = attestation_fields(bundle.attestation)
    elif bundle.failure:
        fields["failure"] = bundle.failure.message
    if bundle.followed_by:
        fields["followed_by"] = [{"entry": item.entry, "kind": item.kind} for item in bundle.followed_by]
    return fields
