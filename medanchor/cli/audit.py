"""`medanchor audit`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import open_store
from medanchor.cli.output import Output, name_of, plural
from medanchor.cli.records import problem_fields, problem_lines
from medanchor.cli.sources import embedded_chain, has_chain, open_chain
from medanchor.errors import PartialError, PendingError, Step, VerificationError

if TYPE_CHECKING:
    from medanchor.notary.audit import Audit
    from medanchor.notary.examine import Finding

NoSweep = Annotated[bool, typer.Option("--no-sweep", help="Check the vault alone, not the records on disk.")]


def audit(
    no_sweep: NoSweep = False,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compute everything again, and read every stamped record.

    Ledger, signatures, checkpoints, bundles, anchors and chain; then the records on disk.

    Example: medanchor audit --quiet
    """
    from medanchor.notary.audit import audit as audit_vault

    out = Output(json, quiet, verbose)
    with open_store(vault, read_only=True) as store, out.progress("checked") as advance:
        chain = open_chain(store) if has_chain(store) else None
        if kept := embedded_chain(store):
            kept.check()
        result = audit_vault(store, chain, sweep=not no_sweep, progress=advance)
    lines = _lines(result, swept=not no_sweep, asked=chain is not None)
    out.result(*lines, **_fields(result, out), chain_asked=chain is not None)
    for line in result.damage if out.quiet else ():
        out.warn(line)
    _fail_if_wrong(result, out)


def _fail_if_wrong(result: "Audit", out: Output) -> None:
    if result.damage:
        hint = "do what is said above, or restore a copy from a backup and keep this one for whoever looks into it"
        out.fail(VerificationError("not all of the vault holds", step=Step.LEDGER, hint=hint))
    if result.findings:
        message = f"{plural(len(result.findings), 'record')} on disk not as last stamped"
        hint = f"{out.see()}; were they edited or moved? Then stamp them again, else restore them from a backup"
        out.fail(VerificationError(message, step=Step.RECORD, hint=hint))
    if result.unreadable:
        message = f"{plural(len(result.unreadable), 'stamped record')} could not be read"
        out.fail(PartialError(message, hint=f"{out.see()}; mend their permissions and run it again"))
    if result.reorganised:
        message = f"the blocks of {plural(len(result.reorganised), 'anchor')} were reorganised away"
        out.fail(PendingError(message, hint="run 'medanchor anchor': nothing else is wrong"))


def _lines(result: "Audit", *, swept: bool, asked: bool) -> Iterator[str]:
    for line in result.damage:
        yield f"DAMAGED: {line}"
    for number in result.reorganised:
        yield f"the block of anchor {number} is not in the chain any more: run 'medanchor anchor'"
    for finding in result.findings:
        yield _difference(finding)
    yield from problem_lines(result.unreadable)
    entries, records, anchors = result.entries, result.records, result.anchors
    checked = f"{plural(entries, 'entry')}, {plural(records, 'record')} and {plural(anchors, 'anchor')} computed again"
    yield f"{checked}: " + ("the vault is damaged" if result.damage else "all of it holds")
    if anchors and not asked:
        yield "the chain was not asked: it is not here, or cannot be written"
    if result.damage and swept:
        yield "the records on disk were not read: restore the vault from a backup first"
    elif swept:
        wrong = len(result.findings) + len(result.unreadable)
        verdict = f"{wrong:,} not as stamped" if wrong else "all as stamped"
        yield f"{plural(result.swept, 'record')} read on disk: {verdict}"


def _difference(finding: "Finding") -> str:
    """Return the line for a record that is not as it was last stamped."""
    name = name_of(finding.path)
    if finding.later is not None:
        return f"EARLIER VERSION: {name}: a later one was stamped in entry {finding.later}"
    return f"{finding.verdict.value.upper()}: {name}"


def _fields(result: "Audit", out: Output) -> dict[str, object]:
    return {
        "damage": result.damage,
        "reorganised": result.reorganised,
        "entries": result.entries,
        "records": result.records,
        "anchors": result.anchors,
        "swept": result.swept,
        "findings": [
            {"verdict": finding.verdict.value, "entry": finding.place.entry if finding.place else None}
            | ({"later_entry": finding.later} if finding.later is not None else {})
            | ({"path": name_of(finding.path)} if out.verbose else {})
            for finding in result.findings
        ],
        "problems": problem_fields(result.unreadable, out),
    }
