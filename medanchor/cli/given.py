"""What a verifier brings to judge evidence by: sources of blocks, keys to trust, a vault."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medanchor.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medanchor.core.header import Network
    from medanchor.core.verify import Witness
    from medanchor.records.detect import Reading


@dataclass(frozen=True, slots=True)
class Given:
    """What a verifier brings to judge a proof by: sources of blocks, keys to trust, a vault."""

    headers: Path | None
    node: str
    esplora: str
    sources: int
    signers: list[Path]
    vault: Path | None
    reading: "Reading"
    accepted: frozenset[str]
    against: Path | None

    @property
    def outside(self) -> bool:
        """Whether something was named that only a proof is judged by."""
        return bool(self.headers or self.node or self.esplora or self.signers)


def header_chain_witnesses(
    file: Path, network: "Network | None", heights: "Sequence[int]", out: Output
) -> "dict[int, Witness]":
    """Return what the headers in `file` say about `heights`; of the network they begin with if it is not given.

    They are checked when they are first used on this machine, and known again by their SHA-256. Raises ChainError if
    they are no chain: that is no fault of the proof.
    """
    from medanchor.chain.header_file import believed_headers
    from medanchor.chain.header_note import usual_note
    from medanchor.core.verify import TrustLevel, Witness

    with out.progress("headers checked") as advance:
        chain = believed_headers(file, heights, network=network, note=usual_note(), progress=advance)
    name, tip = f"the header chain up to height {chain.height}", chain.height
    return {height: Witness(TrustLevel.HEADER_CHAIN, name, chain.network, tip, chain.at(height)) for height in heights}
