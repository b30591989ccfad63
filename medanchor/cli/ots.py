"""OpenTimestamps files at the command line: judged as proofs are, with what they do not say."""

from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.context import has_vault, insists, open_store, time_text, vault_directory
from medanchor.cli.given import header_chain_witnesses
from medanchor.cli.output import Output, plural
from medanchor.cli.records import record_digest
from medanchor.cli.sources import has_chain, open_chain
from medanchor.cli.words import CHEAP
from medanchor.core.hashes import display
from medanchor.core.verify import TrustLevel
from medanchor.errors import MedanchorError, PendingError, UsageError, VerificationError
from medanchor.interop.existence import BlockClaim, Confirmation, Existence, OtsFile, judge
from medanchor.interop.ots import parse_ots

if TYPE_CHECKING:
    from medanchor.cli.given import Given
    from medanchor.core.hashes import Hash
    from medanchor.core.verify import Witness

NOT_SAID = (
    "an OpenTimestamps file names no signer, no statement and no meaning;"
    " nor does it say that the content is true, or that nothing was left out"
)


def verify_with_ots(record: str, data: bytes, given: "Given", out: Output) -> None:
    """Judge one record by an .ots file. Raises VerificationError, PendingError; exits with 3 at trust level 1."""
    if given.signers:
        raise UsageError("an OpenTimestamps file names no signer: --signer needs the .medproof", hint="leave it out")
    if given.node or given.esplora:
        raise UsageError(
            "an OpenTimestamps file does not say which network to ask about",
            hint="give --headers, or --vault with a vault of that network",
        )
    file = parse_ots(data)
    raw = record_digest(record)
    judge(file, raw, {})  # all that needs no source of blocks, before one is asked
    if given.headers is not None:
        heights = [claim.height for claim in file.blocks]
        existence = judge(file, raw, header_chain_witnesses(given.headers, None, heights, out))
    else:
        existence = _judge_by_vault(file, raw, given.vault, out)
    verified = existence.level is not TrustLevel.CONSISTENT
    verdict = "verified" if verified else "consistent"
    out.result(*_lines(existence, file), verdict=verdict, **_fields(existence, file))
    if not verified:
        hint = "give the chain's headers with --headers, or compare the Merkle root with a source you trust"
        out.fail(PendingError("nobody here knows the block that the OpenTimestamps file names", hint=hint))


def _judge_by_vault(file: OtsFile, raw: "Hash", vault: Path | None, out: Output) -> Existence:
    """Return the verdict by the vault's chain.

    The file does not say which chain it is for. So only the vault that --vault names can contradict it: one that just
    happens to be here may confirm it, or be of another chain.
    """
    known = _vault_witnesses([claim.height for claim in file.blocks], vault, out)
    try:
        return judge(file, raw, known)
    except (VerificationError, PendingError) as error:
        if insists(vault):
            raise
        out.note(f"the vault here does not confirm it, and may be for another chain: {error.message}")
        return judge(file, raw, {})


def _vault_witnesses(heights: list[int], vault: Path | None, out: Output) -> "dict[int, Witness]":
    if not insists(vault) and not has_vault(vault_directory(vault)):
        return {}
    from medanchor.notary.prove import witnesses

    try:
        with open_store(vault, read_only=True) as store:
            return witnesses(open_chain(store) if has_chain(store) else None, heights)
    except MedanchorError as error:
        if insists(vault):
            raise
        out.note(f"the vault here was not asked: {error.message}")
        return {}


def _lines(existence: Existence, file: OtsFile) -> list[str]:
    """Return the verdict: claim, what it rests on, what it does not say."""
    block = existence.confirmation
    lines = _confirmed(existence.claim, block) if block else _unconfirmed(existence.claim)
    lines.append(f"mind: {NOT_SAID}")
    if block:
        lines.append("mind: a block's clock may be off by up to two hours")
        lines += [f"mind: {CHEAP[block.network.value]}"] if block.network.value in CHEAP else []
    if passed_over := [*file.calendars, *file.others]:
        lines.append(f"not judged, as they are no blocks of Bitcoin: {', '.join(passed_over)}")
    return lines


def _confirmed(claim: BlockClaim, block: Confirmation) -> list[str]:
    chain = block.level is TrustLevel.HEADER_CHAIN
    known = f"verified {'against' if chain else 'by'} {block.witness}"
    existed = f"the record existed, unchanged, no later than about {time_text(block.header.time)}"
    where = f"block {claim.height} on {block.network}, {plural(block.confirmations, 'confirmation')}"
    best = f"what {block.witness} says is the best chain"
    rests = "that header chain, checked by Bitcoin Core's rules" if chain else best
    return [f"{known}: {existed}, {where}", f"rests on: {rests}, and on {' and '.join(_hashes(claim))}"]


def _hashes(claim: BlockClaim) -> list[str]:
    return ["SHA-256", *claim.hashes]


def _unconfirmed(claim: BlockClaim) -> list[str]:
    root = f"the Merkle root {display(claim.merkle_root)}"
    claimed = f"which the file claims for block {claim.height} of a Bitcoin network that it does not name"
    return [
        f"consistent, but nobody here knows the block: the record leads to {root}, {claimed}",
        "rests on: this file alone; compare that Merkle root with the block's before you rely on it",
    ]


def _fields(existence: Existence, file: OtsFile) -> dict[str, object]:
    """Return the JSON of a verdict: that of a proof, null where an .ots file says nothing (docs/json.md)."""
    claim, block = existence.claim, existence.confirmation
    return {
        "block": {
            "confirmations": block and block.confirmations,
            "hash": block and display(block.header.block_hash),
            "height": claim.height,
            "merkle_root": display(claim.merkle_root),
            "network": block and block.network.value,
            "time": block and time_text(block.header.time),
        },
        "follows": [],
        "meaning": None,
        "signer": {"key_id": None, "name": None},
        "stamped": None,
        "transaction": None,
        "trust": {"level": int(existence.level), "witness": block and block.witness},
        "work": None,
        "hashes": _hashes(claim),
        "not_judged": [*file.calendars, *file.others],
    }


def show_ots(data: bytes, out: Output) -> None:
    """Print what is in an .ots file, without judging it. Raises MalformedProofError."""
    file = parse_ots(data)
    blocks = [{"height": claim.height, "merkle_root": display(claim.merkle_root)} for claim in file.blocks]
    state = "anchored" if blocks else "pending"
    lines = [f"raw         {file.digest.hex()}", f"state       {state}"]
    lines += [f"block       {block['height']} has the Merkle root {block['merkle_root']}" for block in blocks]
    lines += [f"promised by {calendar}" for calendar in file.calendars]
    lines += [f"other       {other}" for other in file.others]
    lines.append("nothing here was checked: use 'medanchor verify'")
    attested = {"blocks": blocks, "calendars": file.calendars, "others": file.others}
    out.result(*lines, raw=file.digest.hex(), state=state, **attested)
