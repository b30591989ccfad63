"""`medanchor stamp`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from medanchor.cli import options
from medanchor.cli.anchor import anchor_fields, run_anchor, tell_anchor
from medanchor.cli.context import (
    ensure_vault,
    has_vault,
    key_name,
    now_text,
    open_config,
    open_signer,
    open_store,
    vault_directory,
)
from medanchor.cli.output import Output, error_fields, plural
from medanchor.cli.records import (
    any_unreadable,
    collect,
    problem_fields,
    problem_lines,
    read_list,
    reading_as,
    remark_counts,
    stdin_content,
)
from medanchor.cli.words import person
from medanchor.errors import MedanchorError, PartialError, UnknownRecordError, UsageError

if TYPE_CHECKING:
    from medanchor.core.statement import Follows
    from medanchor.notary.stamp import StampRequest, StampResult
    from medanchor.records.detect import Reading
    from medanchor.records.digest import Hashed
    from medanchor.records.walk import Problem
    from medanchor.vault.keys import Signer
    from medanchor.vault.store import Store

STDIN = "-"
MEANINGS_HELP = "What you sign for: authorship (the default), review, approval, responsibility or receipt."
REASONS_HELP = "Why: correction, new-information, wrong-record, legal-request or administrative."

Anchor = Annotated[bool, typer.Option("--anchor", help="Anchor at once instead of waiting for cron.")]
Meaning = Annotated[
    str | None,
    typer.Option("--meaning", metavar="MEANING", help=MEANINGS_HELP),
]
FollowsEntry = Annotated[
    int | None, typer.Option("--follows", metavar="ENTRY", min=0, help="The earlier entry this follows.")
]
FollowsAs = Annotated[
    str, typer.Option("--follows-as", metavar="KIND", help="amendment, addendum, late-entry or retraction.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="CODE", help=REASONS_HELP)]
FilesFrom = Annotated[Path | None, typer.Option("--files-from", metavar="FILE", help="A list of paths; - for stdin.")]
Digest = Annotated[list[str] | None, typer.Option("--digest", metavar="HEX", help="A SHA-256 computed elsewhere.")]
Again = Annotated[bool, typer.Option("--again", help="Stamp unchanged records too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be stamped; write nothing.")]


def stamp(
    paths: options.Paths = None,
    anchor: Anchor = False,
    meaning: Meaning = None,
    follows: FollowsEntry = None,
    follows_as: FollowsAs = "amendment",
    reason: Reason = "correction",
    files_from: FilesFrom = None,
    digest: Digest = None,
    again: Again = False,
    dry_run: DryRun = False,
    as_kind: options.As = None,
    follow_symlinks: options.FollowSymlinks = False,
    key: options.KeyName = None,
    passphrase_file: options.PassphraseFile = None,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Sign for records: files, folders, - for stdin. They wait for the next anchor unless --anchor.

    Example: medanchor stamp . --anchor
    """
    out = Output(json, quiet, verbose)
    chosen = _chosen(paths or [], files_from, digest or [])
    if not dry_run and not has_vault(vault_directory(vault)):
        _check_there(chosen, digest or [])
        ensure_vault(vault_directory(vault), out)
    with open_store(vault) as store:
        request = _request(store, meaning, _follows(follows, follows_as, reason), again)
        signer = None if dry_run else open_signer(store, key, passphrase_file)
        named = _Named(chosen, digest or [], follow_symlinks, reading_as(as_kind))
        collected, problems = _collect(named, out, store.directory)
        if signer is None:
            _tell_dry_run(store, key, collected, request, problems, out)
        else:
            _stamp(store, signer, collected, request, problems, out, anchor)
    _fail_if_partial(collected, problems, out)


def _stamp(
    store: "Store",
    signer: "Signer",
    collected: list["Hashed"],
    request: "StampRequest",
    problems: list["Problem"],
    out: Output,
    anchor: bool,
) -> None:
    from medanchor.notary.stamp import stamp as stamp_records

    result = stamp_records(store, signer, collected, request, os.urandom)
    fields = _fields(result, request, signer, problems, out)
    if not out.json:
        lines = _lines(result, request, signer, anchored=anchor)
        out.result(*lines, *problem_lines(problems, every=out.verbose))
    if anchor:
        fields |= _anchor(store, fields, out)
    if out.json:
        out.result(**fields)


def _anchor(store: "Store", fields: dict[str, object], out: Output) -> dict[str, object]:
    """Anchor what was stamped, and return the JSON of that; if it fails, the stamp stands and a script is told both."""
    try:
        config = open_config(store)
        anchored = run_anchor(store, config)
    except MedanchorError as error:
        if out.json:
            out.result(**fields, error=error_fields(error))
        out.fail(error)
    if not out.json:
        tell_anchor(anchored, store.network.value, config, out)
    return {"anchor": anchor_fields(anchored)}


def _chosen(paths: list[str], files_from: Path | None, digests: list[str]) -> list[bytes]:
    """Return the paths that were named, by argument and by list. Raises UsageError if nothing was."""
    if STDIN in paths and str(files_from) == STDIN:
        raise UsageError("stdin cannot be both a record and a list of records", hint="give the list as a file")
    chosen = [os.fsencode(path) for path in paths]
    if files_from is not None:
        listed = read_list(files_from)
        chosen += [b"./-" if path == STDIN.encode() else path for path in listed]  # in a list it is a file's name
    if not chosen and not digests and files_from is None:
        raise UsageError("nothing to stamp was named", hint="name files or folders, such as: medanchor stamp visit/")
    return chosen


def _check_there(chosen: list[bytes], digests: list[str]) -> None:
    """Refuse to make a vault for a slip of the finger: something of what was named must be there."""
    if not digests and not any(path == STDIN.encode() or os.path.lexists(path) for path in chosen):
        raise UnknownRecordError(
            "nothing of what was named is there", hint="is it the folder you meant? No vault was made"
        )


def _follows(entry: int | None, kind: str, reason: str) -> tuple["Follows", ...]:
    from medanchor.core.statement import FOLLOWS, REASONS, Follows

    if entry is None:
        return ()
    for value, allowed in ((kind, FOLLOWS), (reason, REASONS)):
        if value not in allowed:
            raise UsageError(f"expected one of {', '.join(allowed)}, found {value}", hint="see 'medanchor stamp -h'")
    return (Follows(entry, kind, reason),)


def _request(store: "Store", meaning: str | None, follows: tuple["Follows", ...], again: bool) -> "StampRequest":
    from medanchor.notary.stamp import StampRequest
    from medanchor.vault.config import check_meaning

    return StampRequest(check_meaning(meaning or open_config(store).meaning), now_text(), follows, again)


class _Named(NamedTuple):
    """What was named to be stamped, and how to read it."""

    paths: list[bytes]
    digests: list[str]
    follow: bool
    reading: "Reading"


def _collect(named: _Named, out: Output, vault: Path) -> tuple[list["Hashed"], list["Problem"]]:
    """Return the digests of all that was named and of what is in it, and what gives no record."""
    from medanchor.notary.stamp import PIPED
    from medanchor.records.digest import Hashed, hashed_one, inside
    from medanchor.records.walk import Problem

    nameless = {raw: Hashed(b"", [b""], raw) for raw in map(_digest, named.digests)}  # the same bytes are one record
    within: list[Hashed | Problem] = []
    if STDIN.encode() in named.paths:
        whole = stdin_content(named.reading)
        nameless.pop(whole.document.content.raw, None)  # what was piped in comes last: what is inside it follows
        nameless[whole.document.content.raw] = hashed_one(b"", b"", whole.document.content)
        within = inside(PIPED, whole)
    paths = [path for path in named.paths if path != STDIN.encode()]
    found, problems = collect(paths, out, follow=named.follow, vault=vault, reading=named.reading)
    hashed = [*nameless.values(), *(item for item in within if isinstance(item, Hashed)), *found]
    return hashed, [*(item for item in within if isinstance(item, Problem)), *problems]


def _digest(text: str) -> bytes:
    from medanchor.core.hashes import hash_from_hex
    from medanchor.errors import MalformedProofError

    try:
        return hash_from_hex(text.lower())
    except MalformedProofError:
        raise UsageError("expected --digest to be a SHA-256 of 64 hex digits", hint="as sha256sum prints it") from None


def _lines(result: "StampResult", request: "StampRequest", signer: "Signer", *, anchored: bool) -> Iterator[str]:
    holder = person(signer.label, signer.role)
    if result.entry is not None:
        waiting = "" if anchored else ", waiting for the next 'medanchor anchor'"
        inside = f", {result.inside:,} of them inside others," if result.inside else ""
        yield f"{plural(result.records, 'record')}{inside} stamped as {request.meaning} by {holder}{waiting}"
    elif result.unchanged:
        yield "nothing new to stamp"
    if result.unchanged:
        yield f"{plural(result.unchanged, 'record')} stamped before and unchanged: skipped (--again stamps them anyway)"


def _fields(
    result: "StampResult", request: "StampRequest", signer: "Signer", problems: list["Problem"], out: Output
) -> dict[str, object]:
    return {
        "entry": result.entry,
        "records": result.records,
        "inside": result.inside,
        "unchanged": result.unchanged,
        "meaning": request.meaning,
        "time": request.time,
        "signer": {"name": signer.label, "role": signer.role},
        **remark_counts(problems),
        "problems": problem_fields(problems, out),
    }


def _tell_dry_run(
    store: "Store",
    key: str | None,
    collected: list["Hashed"],
    request: "StampRequest",
    problems: list["Problem"],
    out: Output,
) -> None:
    from medanchor.notary.stamp import would_stamp
    from medanchor.vault.keys import read_key

    public = read_key(store.directory, key_name(store, key)).public
    new = would_stamp(store, public, collected, request)
    total = sum(len(hashed.names) for hashed in collected)
    lines = [f"would stamp {plural(new, 'record')} as {request.meaning}, and skip {total - new:,} unchanged"]
    out.result(
        *lines,
        *problem_lines(problems, every=out.verbose),
        dry_run=True,
        records=new,
        unchanged=total - new,
        **remark_counts(problems),
        problems=problem_fields(problems, out),
    )


def _fail_if_partial(collected: list["Hashed"], problems: list["Problem"], out: Output) -> None:
    if any_unreadable(problems):
        rest = "the others are in order" if collected else "nothing was stamped"
        hint = f"{out.see()}; mend their permissions or names and run the same command again"
        out.fail(PartialError(f"some of what was named could not be read; {rest}", hint=hint))
    if not collected:
        out.fail(UnknownRecordError("there are no records there", hint="is it the folder you meant?"))
