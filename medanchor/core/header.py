"""Bitcoin block headers: 80 bytes, proof of work, links, and the branch from a transaction to the Merkle root."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from medanchor.core.hashes import Hash, sha256d
from medanchor.errors import MalformedProofError, Step, VerificationError

HEADER_LENGTH = 80


class Network(StrEnum):
    """The Bitcoin networks an anchor may stand on."""

    MAINNET = "mainnet"
    TESTNET3 = "testnet3"
    TESTNET4 = "testnet4"
    SIGNET = "signet"
    REGTEST = "regtest"


GENESIS = {
    "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f": Network.MAINNET,
    "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943": Network.TESTNET3,
    "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043": Network.TESTNET4,
    "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6": Network.SIGNET,
    "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206": Network.REGTEST,
}
"""The hash of each network's first block, as explorers write it (chainparams.cpp: hashGenesisBlock)."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block header: the fields a verifier reads, beside the exact 80 bytes they came from."""

    raw: bytes
    previous: Hash
    merkle_root: Hash
    time: int
    bits: int

    @classmethod
    def parse(cls, raw: bytes) -> "Header":
        """Return the header in `raw`. Raises MalformedProofError unless it has 80 bytes."""
        if len(raw) != HEADER_LENGTH:
            raise MalformedProofError(f"expected a block header of 80 bytes, found {len(raw)}")
        return cls(
            raw=raw,
            previous=Hash(raw[4:36]),
            merkle_root=Hash(raw[36:68]),
            time=int.from_bytes(raw[68:72], "little"),
            bits=int.from_bytes(raw[72:76], "little"),
        )

    @property
    def block_hash(self) -> Hash:
        """The block's hash, in hashing order."""
        return sha256d(self.raw)


def target_from_bits(bits: int) -> int:
    """Return the number a block hash must not exceed: nBits expanded; 0 if it is negative (Core's SetCompact)."""
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000:
        return 0
    return mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)  # noqa: PLR2004 - as BIP


def work_of(bits: int) -> int:
    """Return how many hashes a header of difficulty `bits` takes on average (Core's GetBlockProof)."""
    return (1 << 256) // (target_from_bits(bits) + 1)


PROOF_OF_WORK_LIMIT = {
    Network.MAINNET: target_from_bits(0x1D00FFFF),
    Network.TESTNET3: target_from_bits(0x1D00FFFF),
    Network.TESTNET4: target_from_bits(0x1D00FFFF),
    Network.SIGNET: target_from_bits(0x1E0377AE),
    Network.REGTEST: target_from_bits(0x207FFFFF),
}
"""The easiest target each network ever allows (Bitcoin Core, kernel/chainparams.cpp: powLimit)."""


def check_proof_of_work(header: Header, network: Network) -> None:
    """Check that a header's hash meets its own nBits, and nBits the limit of `network`.

    Whether nBits is what the chain demanded at that height is the business of a header chain (trust level 2) or of a
    node (level 3): a header of least difficulty costs minutes. Raises VerificationError at step 7.
    """
    target = target_from_bits(header.bits)
    if not 0 < target <= PROOF_OF_WORK_LIMIT[network]:
        raise VerificationError(f"the block header claims a difficulty that {network} does not allow", step=Step.HEADER)
    if int.from_bytes(header.block_hash, "little") > target:
        raise VerificationError("the block header does not meet its own proof of work", step=Step.HEADER)


def check_links(header: Header, successors: Iterable[Header], network: Network) -> None:
    """Check that each of `successors` names the header before it, and has its proof of work.

    Raises VerificationError at step 7, naming which successor.
    """
    for number, successor in enumerate(successors, start=1):
        if successor.previous != header.block_hash:
            raise VerificationError(f"successor {number} does not follow the header before it", step=Step.HEADER)
        check_proof_of_work(successor, network)
        header = successor


def root_from_branch(txid: Hash, index: int, path: Iterable[Hash]) -> Hash:
    """Return the block's Merkle root that a branch implies for a transaction, siblings lowest first.

    Bitcoin doubles an odd last node, so a right sibling may equal its left; a *left* sibling never equals its right
    one in an honest block, and a branch where it does is the forgery of CVE-2012-2459. Raises VerificationError at step
    6 for that, and for an `index` that has bits above the branch.
    """
    value = txid
    for sibling in path:
        if index & 1:
            if sibling == value:
                raise VerificationError("a left sibling equals its right one (CVE-2012-2459)", step=Step.TRANSACTION)
            value = sha256d(sibling + value)
        else:
            value = sha256d(value + sibling)
        index >>= 1
    if index:
        raise VerificationError("the transaction's index lies outside the block", step=Step.TRANSACTION)
    return value


def parse_headers(raws: Iterable[bytes]) -> list[Header]:
    """Return the headers in `raws`. Raises MalformedProofError if one has not 80 bytes."""
    return [Header.parse(raw) for raw in raws]
