"""The same proofs as OpenTimestamps files, so that both verify the same evidence (docs/format.md, section 8)."""

from pathlib import Path

from medanchor.core.proof import parse_proof
from medanchor.interop.ots import detached


def convert(proofs: Path) -> None:
    """Write NAME.ots beside every NAME.medproof below `proofs`, and the header that all of them rest on."""
    for path in proofs.rglob("*.medproof"):
        proof = parse_proof(path.read_bytes())
        path.with_suffix(".ots").write_bytes(detached(proof))
        if proof.anchor:
            (proofs / "header.bin").write_bytes(proof.anchor.block.header)
