"""`medanchor proof`: export proofs, show one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import open_store
from medanchor.cli.output import Output, name_of, plural
from medanchor.cli.records import (
    any_unreadable,
    collect,
    looks_like_ots,
    problem_fields,
    problem_lines,
    read_input,
)
from medanchor.cli.sources import has_chain, open_chain
from medanchor.errors import (
    ChainError,
    PartialError,
    PendingError,
    Step,
    UnknownRecordError,
    UsageError,
    VerificationError,
)

if TYPE_CHECKING:
    from medanchor.core.proof import Proof
    from medanchor.core.verify import Witness
    from medanchor.notary.examine import Finding
    from medanchor.notary.export import Exported
    from medanchor.notary.prove import Prover
    from medanchor.records.walk import Problem
    from medanchor.vault.store import Store

app = typer.Typer(help="Export proofs, and show what is in one.", no_args_is_help=True, rich_markup_mode=None)

OutputDirectory = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Where to write; default: beside each record.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace proofs that are there already.")]
Ots = Annotated[bool, typer.Option("--ots", help="Also write NAME.ots, for OpenTimestamps, once it is anchored.")]
SelfContained = Annotated[
    bool, typer.Option("--self-contained", help="Put in all headers that follow the block, up to 2,016.")
]
Inside = Annotated[
    bool, typer.Option("--inside", help="Also the proof of each record inside a container; needs --output.")
]
Fhir = Annotated[bool, typer.Option("--fhir", help="Also a FHIR Provenance for each ledger entry; needs --output.")]
ProofFile = Annotated[Path, typer.Argument(metavar="PROOF", show_default=False)]


@app.command()
def export(
    paths: options.Paths = None,
    output: OutputDirectory = None,
    force: Force = False,
    ots: Ots = False,
    self_contained: SelfContained = False,
    inside: Inside = False,
    fhir: Fhir = False,
    follow_symlinks: options.FollowSymlinks = False,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write the proof of each record to NAME.medproof.

    A proof is for whoever may see the record: with it, a guess at the record can be tested.

    Example: medanchor proof export record.pdf -o proofs
    """
    from medanchor.notary.export import export as export_proofs
    from medanchor.notary.prove import Prover, with_all_successors

    out = Output(json, quiet, verbose)
    if not paths:
        raise UsageError("no record was named", hint="such as: medanchor proof export record.pdf")
    if (inside or fhir) and output is None:
        raise UsageError("--inside and --fhir write to a folder", hint="name it with --output")
    with open_store(vault, read_only=True) as store:
        findings, problems = _find(store, [os.fsencode(path) for path in paths], follow_symlinks, out)
        if inside:
            findings = list(_with_inside(store, findings))
        known = _ask_chain(store, [finding.place.entry for finding in findings if finding.place], out)
        if self_contained and not has_chain(store):
            raise UsageError("--self-contained takes headers from the chain, which is not here", hint="leave it out")
        prover = Prover(store, known, with_all_successors(open_chain(store)) if self_contained else None)
        try:
            made = _provenances(store, prover, findings, output) if fhir and output else {}
            exported = export_proofs(prover, findings, output, replace=force, ots=ots, also=made)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot write the proofs: {reason}", hint="name another folder with --output") from None
    fields = {"written": exported.written, "pending": exported.pending, "unproved": len(exported.unproved)}
    if ots:
        fields |= {"ots": exported.timestamps, "too_long_for_ots": len(exported.too_long)}
    lines = list(_lines(exported, problems, ots=ots))
    if fhir:
        fields |= {"provenances": len(made)}
        lines.insert(1, f"{plural(len(made), 'FHIR Provenance')} written")
    out.result(*lines, **fields, problems=problem_fields(problems, out))
    _fail(exported, problems, out)
    if ots:
        _fail_without_ots(exported, out)


def _with_inside(store: "Store", findings: "list[Finding]") -> "Iterator[Finding]":
    """Return `findings`, each container that stands with the records inside it."""
    from medanchor.notary.examine import STANDING, inside

    for finding in findings:
        yield finding
        if finding.verdict in STANDING and not finding.within:
            yield from inside(store, finding)


def _provenances(store: "Store", prover: "Prover", findings: "list[Finding]", directory: Path) -> dict[bytes, bytes]:
    from medanchor.notary.provenances import provenances

    return provenances(store, prover, findings, directory)


def _ask_chain(store: "Store", entries: list[int], out: Output) -> "dict[int, Witness]":
    """Return what the chain says about the blocks that prove `entries`; nothing if it cannot be reached."""
    from medanchor.notary.prove import ask_chain

    try:
        return ask_chain(store, open_chain(store) if has_chain(store) else None, entries)
    except ChainError as error:
        out.note(f"the chain was not asked whether it still has these blocks: {error.message}")
        return {}


def _find(store: "Store", paths: list[bytes], follow: bool, out: Output) -> "tuple[list[Finding], list[Problem]]":
    from medanchor.notary.examine import Verdict, each, examine
    from medanchor.notary.reread import reread
    from medanchor.records.detect import Reading

    hashed, problems = collect(paths, out, follow=follow, vault=store.directory)
    found = each(reread(store, examine(store, hashed), Reading()))
    return [finding for finding in found if finding.verdict is not Verdict.REGROUPED], problems


def _lines(exported: "Exported", problems: "list[Problem]", *, ots: bool) -> Iterator[str]:
    timestamps = f", {exported.timestamps:,} of them as .ots too" if ots else ""
    yield f"{plural(exported.written, 'proof')} written{timestamps}"
    if exported.pending:
        yield f"{exported.pending:,} of them pending: export them again after the next 'medanchor anchor'"
    for finding in exported.unproved:
        yield f"no proof: {name_of(finding.path)}: {finding.verdict.value}"
    for finding in exported.too_long:
        yield f"no .ots: {name_of(finding.path)}: its proof is too long for OpenTimestamps"
    yield from problem_lines(problems)


def _fail(exported: "Exported", problems: "list[Problem]", out: Output) -> None:
    from medanchor.notary.examine import Verdict

    if any(finding.verdict is Verdict.CHANGED for finding in exported.unproved):
        hint = f"{out.see()}; a changed record needs a stamp and an anchor of its own"
        out.fail(
            VerificationError("some of these records changed since they were stamped", step=Step.RECORD, hint=hint)
        )
    if any_unreadable(problems):
        out.fail(PartialError("some of what was named could not be read", hint=out.see()))
    if exported.unproved:
        out.fail(UnknownRecordError("some of these records were never stamped", hint=f"{out.see()}; stamp them first"))
    if not exported.written:
        out.fail(UnknownRecordError("there are no records there", hint="is it the folder you meant?"))


def _fail_without_ots(exported: "Exported", out: Output) -> None:
    """End the command if some proof was not written as .ots, although that was asked for; worst first."""
    if exported.too_long:
        hint = f"{out.see()}; their .medproof says all of it"
        out.fail(PartialError("some of these proofs are too long for OpenTimestamps", hint=hint))
    if exported.pending:
        message = f"no .ots yet: {plural(exported.pending, 'record')} not anchored, and an .ots file names a block"
        out.fail(PendingError(message, hint="run 'medanchor anchor', then export again with --force"))


@app.command()
def inspect(
    file: ProofFile,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show what is in a proof, or in an OpenTimestamps file, without judging it.

    Example: medanchor proof inspect record.pdf.medproof
    """
    from medanchor.core.proof import parse_proof

    data = read_input(file, what="proof")
    if looks_like_ots(file, data):
        from medanchor.cli.ots import show_ots

        show_ots(data, Output(json, quiet, verbose))
        return
    fields = _shown(parse_proof(data))
    lines = [f"{name:<12}{_told(value)}" for name, value in _lines_of(fields) if value not in ([], {})]
    Output(json, quiet, verbose).result(*lines, "nothing here was checked: use 'medanchor verify'", **fields)


def _lines_of(fields: dict[str, object]) -> "Iterator[tuple[str, object]]":
    """Return what is shown to a person, by name: a kind also by its word, and a line for each component."""
    from medanchor.core.commitment import Kind

    for name, value in fields.items():
        if name == "kind" and isinstance(value, int):
            yield name, f"{value} ({Kind(value).name})"
        elif name == "components" and isinstance(value, dict):
            yield from ((f"  {part}", digest) for part, digest in value.items())
        else:
            yield name, value


def _told(value: object) -> object:
    from medanchor.cli.words import follows_words

    if isinstance(value, list):
        return ", ".join(f"{follows_words(item['kind'], item['entry'])} ({item['reason']})" for item in value)
    return f"{value['index']} of {value['size']}" if isinstance(value, dict) else value


def _shown(proof: "Proof") -> dict[str, object]:
    """Return what a reader of a proof wants to see, by name."""
    from medanchor.cli.words import follows_fields
    from medanchor.core.signature import key_id
    from medanchor.core.statement import parse_envelope

    statement = parse_envelope(proof.envelope).statement
    shown: dict[str, object] = {
        "kind": proof.record.kind,
        "raw": proof.record.raw.hex(),
        "components": _components(proof),
        "record": {"index": proof.bundle.index, "size": proof.bundle.size},
        "meaning": statement.meaning,
        "follows": follows_fields(statement),
        "stamped": statement.time,
        "key": key_id(proof.key).hex(),
        "ledger": proof.origin,
        "entry": {"index": proof.ledger.index, "size": proof.ledger.size},
        "state": "anchored" if proof.anchor else "pending",
    }
    return {**shown, **_shown_anchor(proof)}


def _components(proof: "Proof") -> dict[str, str]:
    from medanchor.core.commitment import COMPONENTS
    from medanchor.core.ladder import ABSENT

    names = COMPONENTS[proof.record.kind]
    digests = ("absent" if digest == ABSENT else digest.hex() for digest in proof.record.components)
    return dict(zip(names, digests, strict=True))


def _shown_anchor(proof: "Proof") -> dict[str, object]:
    from medanchor.cli.context import time_text
    from medanchor.core.hashes import display
    from medanchor.core.header import Header
    from medanchor.core.transaction import txid

    if proof.anchor is None:
        return {}
    header = Header.parse(proof.anchor.block.header)
    return {
        "network": proof.anchor.network.value,
        "transaction": display(txid(proof.anchor.transaction)),
        "height": proof.anchor.block.height,
        "block": display(header.block_hash),
        "time": time_text(header.time),
        "successors": len(proof.anchor.block.successors),
    }
