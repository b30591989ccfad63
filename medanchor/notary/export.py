"""Exporting proofs: one file a record, or two with its .ots, 0600, never over another record's."""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from medanchor.core.proof import Proof, serialise_proof
from medanchor.errors import UsageError
from medanchor.notary.examine import STANDING, Finding
from medanchor.notary.prove import Prover
from medanchor.records.walk import OTS_SUFFIX, PROOF_SUFFIX
from medanchor.vault import private

MODE = stat.S_IRUSR | stat.S_IWUSR
DIRECTORY_MODE = 0o700
DRAFT = os.fsencode(private.DRAFT)


@dataclass(slots=True)
class Exported:
    """What an export did: how many proofs it wrote, how many of them are pending, and what it could not prove.

    `timestamps` counts the .ots files it wrote; `too_long` are the records whose proofs the format cannot hold.
    """

    written: int = 0
    pending: int = 0
    unproved: list[Finding] = field(default_factory=list)
    timestamps: int = 0
    too_long: list[Finding] = field(default_factory=list)


def export(
    prover: Prover,
    findings: list[Finding],
    directory: Path | None,
    *,
    replace: bool,
    ots: bool = False,
    also: Mapping[bytes, bytes] = MappingProxyType({}),
) -> Exported:
    """Write the proof of each record in `findings` that is as it was stamped; beside it, or in `directory`.

    With `ots`, each that is anchored also as an OpenTimestamps file, named as its own client looks for it. Records of
    one name from different folders keep apart in `directory`: the part of their paths that differs becomes folders.
    The files `also` (path → content) are written with them. Raises UsageError, before anything is written, if one of
    all these is there already and `replace` is not set, or cannot be there.
    """
    result = Exported(unproved=[finding for finding in findings if not is_provable(finding)])
    targets = list(_targets([finding for finding in findings if is_provable(finding)], directory))
    suffixes = (PROOF_SUFFIX, OTS_SUFFIX) if ots else (PROOF_SUFFIX,)
    files = [*also, *(target + suffix for _, target in targets for suffix in suffixes)]
    if not replace and (there := sum(map(os.path.lexists, files))):
        raise UsageError(f"{there:,} of these proofs are there already", hint="replace them with --force")
    folders = set(map(os.path.dirname, files))
    if any(map(_is_in_the_way_of, folders)):
        raise UsageError("cannot write the proofs: not a directory", hint="name another folder with --output")
    for folder in folders:
        private.sweep(Path(os.fsdecode(folder)))
    for finding, target in targets:
        if finding.place is not None:
            proof = prover.proof(finding.place)
            if ots and proof.anchor:
                _write_ots(finding, proof, target, result)
            _write(target + PROOF_SUFFIX, serialise_proof(proof))
            result.written += 1
            result.pending += proof.anchor is None
    for target, content in also.items():
        _write(target, content)
    return result


def _write_ots(finding: Finding, proof: Proof, target: bytes, result: Exported) -> None:
    from medanchor.interop.ots import detached

    try:
        data = detached(proof)
    except UsageError:
        result.too_long.append(finding)
    else:
        _write(target + OTS_SUFFIX, data)
        result.timestamps += 1


def is_provable(finding: Finding) -> bool:
    """Say whether the record that was stamped is in hand, however it is written now."""
    return finding.verdict in STANDING


def _targets(findings: list[Finding], directory: Path | None) -> Iterator[tuple[Finding, bytes]]:
    """Return where each proof goes, without the suffix."""
    if directory is None:
        yield from ((finding, finding.path) for finding in findings)
        return
    folders = {os.path.dirname(finding.path) for finding in findings}
    common = os.path.commonpath(folders) if folders else b""
    for finding in findings:
        yield finding, os.path.join(os.fsencode(directory), os.path.relpath(finding.path, common))


def _write(target: bytes, data: bytes) -> None:
    """Write a proof whole or not at all; it can be exported again, so it is not forced to the disk."""
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, DRAFT + os.urandom(8).hex().encode() + PROOF_SUFFIX)  # a long name leaves no room
    try:
        descriptor = _create(temporary)
    except FileNotFoundError:
        _make_folders(folder)
        descriptor = _create(temporary)
    try:
        os.fchmod(descriptor, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _is_in_the_way_of(folder: bytes) -> bool:
    """Say whether `folder` cannot be made, as what is called so, or like one above it, is no folder."""
    while folder and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return bool(folder) and not os.path.isdir(folder)


def _create(path: bytes) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, MODE)


def _make_folders(path: bytes) -> None:
    """Make `path` and every folder missing above it, all of them their owner's alone: their names may name patients."""
    missing = []
    while path and not os.path.isdir(path):  # a relative path ends at the empty one
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, DIRECTORY_MODE)
