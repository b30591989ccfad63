"""`medanchor verify`: with a proof and nothing else, or against the vault."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medanchor.cli import options
from medanchor.cli.context import has_vault, insists, open_store, vault_directory
from medanchor.cli.given import Given, header_chain_witnesses
from medanchor.cli.output import Output
from medanchor.cli.records import looks_like_ots, read_input, reading_as, record_content, record_digest
from medanchor.cli.sources import has_chain, open_chain
from medanchor.errors import MedanchorError, PendingError, Step, UsageError, VerificationError

if TYPE_CHECKING:
    from medanchor.core.hashes import Hash
    from medanchor.core.ladder import Likeness
    from medanchor.core.proof import Proof
    from medanchor.core.verify import Attestation, Trust, Witness
    from medanchor.records.detect import Reading

EXPORT_HINT = "the vault that stamped the record makes one: medanchor proof export"

ProofFiles = Annotated[
    list[Path] | None, typer.Option("--proof", metavar="FILE", help="The record's proof, or its .ots: needs no vault.")
]
Headers = Annotated[
    Path | None,
    typer.Option("--headers", metavar="FILE", help="Block headers from genesis on, 80 bytes each (chain export)."),
]
Sources = Annotated[
    str, typer.Option("--sources", metavar="COUNT", help="Sources of the vault that must agree: 1 or 2.")
]
Accept = Annotated[
    list[str] | None,
    typer.Option("--accept", metavar="PART", help="A reviewer finds it harmless that this part differs: narrative."),
]
Against = Annotated[
    Path | None, typer.Option("--against", metavar="ORIGINAL", help="Show where the record differs from this one.")
]
SignerFiles = Annotated[
    list[Path] | None, typer.Option("--signer", metavar="FILE", help="A public key you trust (key export).")
]


def verify(
    paths: options.Paths = None,
    proof: ProofFiles = None,
    headers: Headers = None,
    signer: SignerFiles = None,
    node: options.Node = "",
    esplora: options.Esplora = "",
    sources: Sources = "1",
    accept: Accept = None,
    against: Against = None,
    as_kind: options.As = None,
    follow_symlinks: options.FollowSymlinks = False,
    vault: options.Vault = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Say whether records are unchanged, and since when.

    With --proof no vault is needed; without, records are looked up in the vault, and what is missing is told.

    Example: medanchor verify record.pdf --proof record.pdf.medproof
    """
    out = Output(json, quiet, verbose)
    if not paths:
        raise UsageError("no record to verify was named", hint="such as: medanchor verify record.pdf")
    reading, accepted = reading_as(as_kind), _accepted(accept or [])
    given = Given(headers, node, esplora, _count(sources), signer or [], vault, reading, accepted, against)
    if against is not None:
        _compare(paths, against, reading, out)
    chosen = _chosen_proof(proof) if proof else _proof_beside(paths, vault)
    if chosen is not None:
        if not proof:
            out.note("there is no vault here; using the proof that lies beside the record")
        verify_with_proof(paths, chosen, given, out)
    elif "-" in paths:
        raise UsageError("a record on stdin is verified with its proof: give it with --proof", hint=EXPORT_HINT)
    elif given.outside:
        raise UsageError("such an option says how to judge a proof: give that with --proof", hint=EXPORT_HINT)
    else:
        from medanchor.cli.verify_vault import verify_with_vault

        verify_with_vault(paths, follow_symlinks, given, out)


def _count(sources: str) -> int:
    """Return how many sources are to agree; converted here, as Typer takes a library of its own to read a number."""
    if sources not in ("1", "2"):
        raise UsageError(f"expected --sources 1 or 2, found {sources}", hint="2 asks a node and an Esplora server")
    return int(sources)


def _accepted(parts: list[str]) -> frozenset[str]:
    """Return the parts that a reviewer accepts, given one by one or joined by commas. Raises UsageError."""
    from medanchor.core.ladder import ACCEPTABLE

    named = {part.strip() for text in parts for part in text.split(",")}
    if unknown := named - ACCEPTABLE.keys():
        known = ", ".join(ACCEPTABLE)
        raise UsageError(f"expected --accept to name parts out of {known}, found {', '.join(sorted(unknown))}")
    return frozenset(ACCEPTABLE[part] for part in named)


def _compare(paths: list[str], original: Path, reading: "Reading", out: Output) -> None:
    from medanchor.cli.against import tell_differences

    if len(paths) != 1 or paths[0] == "-":
        raise UsageError("--against compares one record, a file, with its original", hint="name one record")
    if out.json:
        raise UsageError("--against shows differences to a person, not in JSON", hint="leave out --json")
    tell_differences(Path(paths[0]), original, reading, out)


def _chosen_proof(proofs: list[Path]) -> Path:
    if len(proofs) > 1:
        raise UsageError(f"expected one proof for one record, found {len(proofs)}", hint="verify them one by one")
    return proofs[0]


def _proof_beside(paths: list[str], vault: Path | None) -> Path | None:
    """Return the proof that lies beside a single record, or else its .ots, for someone who has no vault to ask."""
    from medanchor.records.walk import OTS_SUFFIX, PROOF_SUFFIX

    candidates = [Path(paths[0] + os.fsdecode(suffix)) for suffix in (PROOF_SUFFIX, OTS_SUFFIX)]
    beside = next((candidate for candidate in candidates if candidate.is_file()), None)
    if len(paths) > 1 or insists(vault) or beside is None:
        return None
    return None if has_vault(vault_directory(vault)) else beside


def verify_with_proof(paths: list[str], file: Path, given: Given, out: Output) -> None:
    """Judge one record by one proof. Raises VerificationError, PendingError; exits with 3 at trust level 1."""
    if len(paths) != 1:
        raise UsageError(
            "expected one record for one proof", hint="without --proof, many are verified against the vault"
        )
    data = read_input(file, what="proof")
    try:
        if looks_like_ots(file, data):
            from medanchor.cli.ots import verify_with_ots

            verify_with_ots(paths[0], data, given, out)
        else:
            _tell(*_attest(paths[0], data, given, out), out)
    except VerificationError as error:
        if not out.json:
            out.result(f"NOT VERIFIED: step {error.step.value}, {error.step.name}: {error.message}")
        raise


def _tell(attestation: "Attestation", likeness: "Likeness", within: bytes | None, out: Output) -> None:
    from medanchor.cli.words import attestation_fields, likeness_fields, likeness_lines, verdict_lines
    from medanchor.core.verify import TrustLevel

    verified = attestation.level is not TrustLevel.CONSISTENT
    lines = [*likeness_lines(likeness, within), *verdict_lines(attestation, likeness=likeness)]
    verdict = "verified" if verified else "consistent"
    like = likeness_fields(likeness, within, names=out.verbose)
    out.result(*lines, verdict=verdict, **like, **attestation_fields(attestation))
    if not verified:
        hint = "give the chain's headers with --headers, or compare the block with a source you trust"
        out.fail(PendingError("nothing outside the proof confirms its block", hint=hint))


def _attest(record: str, data: bytes, given: Given, out: Output) -> "tuple[Attestation, Likeness, bytes | None]":
    """Return what the proof in `data` attests, how like the record in hand is to its own, and where inside it it lies.

    All that needs no source of blocks is settled before one is asked.
    """
    from medanchor.cli.against import NOT_STAMPED
    from medanchor.core.proof import parse_proof
    from medanchor.core.verify import check_evidence
    from medanchor.core.verify import verify as verify_proof

    proof = parse_proof(data)
    if given.against is not None and record_digest(str(given.against)) != proof.record.raw:
        out.result(NOT_STAMPED)
    likeness, within = _likeness(record, proof, given)
    check_evidence(proof)
    _check_signer(proof, given.signers)
    return verify_proof(proof, proof.record.raw, _trust(proof, given, out)), likeness, within


def _likeness(record: str, proof: "Proof", given: Given) -> "tuple[Likeness, bytes | None]":
    """Step 1 for the record in hand, or for the one inside it that is most like the proof's, which is named.

    A file is not read for more than its bytes where the proof covers no more. Raises VerificationError.
    """
    from medanchor.core.commitment import Content, Kind
    from medanchor.core.verify import check_content

    if proof.record.kind == Kind.BYTES and record != "-" and record_digest(record) == proof.record.raw:
        return check_content(proof, Content(Kind.BYTES, proof.record.raw)), None
    content, within = record_content(record, given.reading).most_like(proof.record.content)
    return check_content(proof, content, given.accepted), within


def _check_signer(proof: "Proof", signers: list[Path]) -> None:
    """Step 3, its last part: whoever names the keys they trust means no other, also while nothing is anchored."""
    from medanchor.cli.public_key import read_public_key
    from medanchor.core.signature import key_id

    found = key_id(proof.key)
    if signers and found not in dict(map(read_public_key, signers)):
        raise VerificationError(
            f"expected a key named with --signer, found a signature by the key {found.hex()[:16]}",
            step=Step.STATEMENT,
            hint="ask the signer for the key that 'medanchor key export' prints",
        )


def _trust(proof: "Proof", given: Given, out: Output) -> "Trust":
    """Return what to believe: the keys and sources that were named, or what the proof's own vault believes."""
    from medanchor.cli.public_key import read_public_key
    from medanchor.core.verify import Trust

    named = dict(map(read_public_key, given.signers))
    if given.headers is not None:
        return Trust(named, _header_chain_witness(proof, given.headers, out))
    if given.node or given.esplora:
        return Trust(named, _source_witness(proof, given))
    own, witness = _vault_trust(proof, given, out)
    return Trust({**own, **named}, witness)


def _header_chain_witness(proof: "Proof", file: Path, out: Output) -> "Witness | None":
    if proof.anchor is None:
        return None
    height = proof.anchor.block.height
    return header_chain_witnesses(file, proof.anchor.network, [height], out)[height]


def _source_witness(proof: "Proof", given: Given) -> "Witness | None":
    """Return what the node and the server that were named say about the proof's block; two have to agree."""
    from medanchor.cli.sources import named_chain
    from medanchor.notary.prove import witnesses

    if proof.anchor is None:
        return None
    chain = named_chain(proof.anchor.network, given.node, given.esplora)
    return next(iter(witnesses(chain, [proof.anchor.block.height]).values()), None)


def _vault_trust(proof: "Proof", given: Given, out: Output) -> "tuple[dict[Hash, str], Witness | None]":
    """Return what the proof's own vault believes, if it is here; another vault's regtest chain has other blocks."""
    directory = vault_directory(given.vault)
    if not insists(given.vault) and not has_vault(directory):
        return {}, None
    from medanchor.notary.prove import people, witnesses

    try:
        with open_store(given.vault, read_only=True) as store:
            if store.origin != proof.origin:
                return {}, None
            heights = [proof.anchor.block.height] if proof.anchor and has_chain(store) else []
            known = witnesses(open_chain(store, sources=given.sources) if heights else None, heights)
            return people(store), next(iter(known.values()), None)
    except MedanchorError as error:
        if insists(given.vault) or given.sources > 1:
            raise
        out.note(f"the vault here was not asked: {error.message}")
        return {}, None
