"""What an OpenTimestamps file attests: that a record existed when a block was made, and no more than that.

It holds no header, names no network, no signer and no statement. So of the steps of docs/format.md, section 7, three
are left: 0, which `ots.parse_ots` takes, 1 and 8, which are here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from medanchor.core.hashes import Hash
from medanchor.core.header import Header, Network
from medanchor.core.verify import TrustLevel, Witness
from medanchor.errors import PendingError, Step, VerificationError


@dataclass(frozen=True, slots=True)
class BlockClaim:
    """A Bitcoin attestation: the block at `height` has this Merkle root, to which the record's digest leads.

    `hashes` names what the way there goes through beside SHA-256. Weaker ones bind too: a forger would need a second
    preimage of what is in an old block, and none of them has lost that. But a verdict rests on them, and must say so.
    """

    height: int
    merkle_root: Hash
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OtsFile:
    """What an .ots file says: the record's SHA-256, and where that leads. Its operations were run, nothing is judged.

    `blocks` are in order of height; `calendars` the addresses of those that promise to anchor; `others` name what
    nobody here can judge: other chains, and unknown kinds.
    """

    digest: Hash
    blocks: tuple[BlockClaim, ...]
    calendars: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a witness, called `witness` in a sentence, knows of the block that a file claims."""

    level: TrustLevel
    header: Header
    network: Network
    confirmations: int
    witness: str


@dataclass(frozen=True, slots=True)
class Existence:
    """What an .ots file that passed every step yields: the record existed when `claim`'s block was made.

    The file holds no header and names no network, no signer and no statement. `confirmation` is None at trust level 1,
    where nobody knows the block.
    """

    claim: BlockClaim
    confirmation: Confirmation | None

    @property
    def level(self) -> TrustLevel:
        """Where the block is known from (docs/format.md, section 7)."""
        return self.confirmation.level if self.confirmation else TrustLevel.CONSISTENT


def judge(file: OtsFile, raw: Hash, known: Mapping[int, Witness]) -> Existence:
    """Return what `file` attests about the record whose SHA-256 is `raw`, by what is `known` of the blocks it names.

    Steps 1 and 8. The file does not say which network it is for: it is that of the witnesses, whom the caller chose.
    The earliest claim that a witness confirms is enough, as nothing but the block's own Merkle root is there to be
    right. With no witness the earliest claim comes back at level 1, which is never called verified. Other attestations
    than Bitcoin's never count.

    Raises VerificationError for another record, or if the blocks are known and none of them is as claimed; PendingError
    if there is no claim yet, or if it is of a block above the witness's tip.
    """
    if raw != file.digest:
        raise VerificationError(
            "the record does not match the OpenTimestamps file: its bytes have another SHA-256",
            step=Step.RECORD,
            hint="was the record edited after it was stamped, or is this the file of another record?",
        )
    if not file.blocks:
        raise _no_block_yet(file)
    if not known:
        return Existence(file.blocks[0], None)
    standing = (_confirmed(claim, known[claim.height]) for claim in file.blocks)
    if confirmed := next(filter(None, standing), None):
        return confirmed
    raise _unconfirmed(file.blocks, known)


def _confirmed(claim: BlockClaim, witness: Witness) -> Existence | None:
    header = Header.parse(witness.header) if witness.header else None
    if header is None or header.merkle_root != claim.merkle_root:
        return None
    confirmations = witness.tip - claim.height + 1
    return Existence(claim, Confirmation(witness.level, header, witness.network, confirmations, witness.name))


def _no_block_yet(file: OtsFile) -> PendingError:
    """Return what to say about a file that claims no block: promises are none, nor are other chains."""
    if file.calendars:
        promised = ", ".join(file.calendars)
        message = f"the OpenTimestamps file names no block yet: it holds the promise of {promised} to anchor it"
        return PendingError(message, hint="run 'ots upgrade' on it, which asks them for the block, then verify again")
    others = ", ".join(file.others)
    hint = "nothing here can judge those; ask for a file that Bitcoin attests"
    return PendingError(f"the OpenTimestamps file names no Bitcoin block, only {others}", hint=hint)


def _unconfirmed(claims: tuple[BlockClaim, ...], known: Mapping[int, Witness]) -> PendingError | VerificationError:
    """Return what to say if no claim holds: one above the tip may hold yet; if there is none, they are all refuted."""
    first, above = claims[0], [claim for claim in claims if known[claim.height].header is None]
    if above:
        witness = known[above[0].height]
        return PendingError(
            f"{witness.name} ends at height {witness.tip}, below the OpenTimestamps file's block {above[0].height}",
            hint="let it catch up, then verify again; or is the file for another network?",
        )
    witness = known[first.height]
    return VerificationError(
        f"the record does not lead to the Merkle root of the block that {witness.name} has at height {first.height}",
        step=Step.TRUST,
        hint=f"was its block reorganised away, the file altered, or is it for another network than {witness.network}?",
    )
