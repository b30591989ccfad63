"""Chains of headers that a verifier keeps: trust level 2, without a node and without a network.

The rules (proof of work, difficulty, times) are Bitcoin Core's own, run by libbitcoinkernel; only its databases are
thrown away afterwards.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medanchor.chain.kernel import Kernel, opened
from medanchor.core.hashes import display, sha256d
from medanchor.core.header import HEADER_LENGTH, Header, Network, target_from_bits
from medanchor.errors import ChainError, MalformedProofError, Step, UsageError, VerificationError

MINIMUM_WORK = {
    Network.MAINNET: 0x1128750F82F4C366153A3A030,
    Network.TESTNET3: 0x17DDE1C649F3708D14B6,
    Network.TESTNET4: 0x9A0FE15D0177D086304,
    Network.SIGNET: 0xB463EA0A4B8,
    Network.REGTEST: 0,
}
"""Hashes that each network's best chain had taken when the engine was released (chainparams.cpp: nMinimumChainWork)."""


GENESIS = {
    "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f": Network.MAINNET,
    "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943": Network.TESTNET3,
    "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043": Network.TESTNET4,
    "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6": Network.SIGNET,
    "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206": Network.REGTEST,
}
"""The hash of each network's first block, as explorers write it (chainparams.cpp: hashGenesisBlock)."""


@dataclass(frozen=True, slots=True)
class HeaderChain:
    """Headers (80 bytes each) that obey the rules of `network` from its genesis block on, by height."""

    network: Network
    headers: tuple[bytes, ...]

    @property
    def tip_height(self) -> int:
        """The height of the last header."""
        return len(self.headers) - 1

    def at(self, height: int) -> bytes | None:
        """Return the header at `height`, or None if the chain does not reach it."""
        return self.headers[height] if 0 <= height <= self.tip_height else None


def check_headers(headers: Sequence[bytes], network: Network) -> HeaderChain:
    """Return `headers`, from height 0 on, as a chain that obeys the rules of `network`.

    Each one must follow the one before it and pass the rules for headers of Bitcoin Core. Those alone do not keep a
    forger out, as one who starts at the genesis block may never let the difficulty rise; so the chain must also hold as
    much work as the network is known to have done. On signet and regtest, where work is no obstacle, and on testnets,
    where it is a low one, a chain of headers proves accordingly little.

    Raises VerificationError at step 7, naming the first refused height, and ChainError if there is no temporary
    directory to work in.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="medanchor-") as directory,
            opened(Path(directory), network, in_memory=True) as kernel,
        ):
            _check_rules(kernel, headers, network)
    except OSError as error:
        raise ChainError(f"no temporary directory to check headers in: {error.strerror}") from error
    _check_work(headers, network)
    return HeaderChain(network, tuple(headers))


def network_of(headers: Sequence[bytes]) -> Network:
    """Return the network whose genesis block `headers` begin with. Raises VerificationError at step 7 if it is none."""
    network = GENESIS.get(display(sha256d(headers[0]))) if headers else None
    if network is None:
        raise VerificationError("expected header 0 to be the genesis block of a Bitcoin network", step=Step.HEADER)
    return network


def read_headers_file(path: Path) -> list[bytes]:
    """Return the headers in a file that holds nothing else: 80 bytes each, from height 0 on.

    Raises MalformedProofError if its size is not a multiple of 80, UsageError if it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the headers in {path}: {(error.strerror or str(error)).lower()}",
            hint="name a file that 'medanchor chain export' made",
        ) from error
    if len(data) % HEADER_LENGTH:
        raise MalformedProofError(
            f"expected headers of {HEADER_LENGTH} bytes in {path}, found {len(data)} bytes in all",
            step=Step.HEADER,
            hint="'medanchor chain export' makes such a file",
        )
    return [data[start : start + HEADER_LENGTH] for start in range(0, len(data), HEADER_LENGTH)]


def _check_rules(kernel: Kernel, headers: Sequence[bytes], network: Network) -> None:
    if not headers or headers[0] != kernel.header(0):
        raise VerificationError(f"expected header 0 to be the genesis block of {network}", step=Step.HEADER)
    previous = sha256d(headers[0])
    for height, raw in enumerate(headers[1:], start=1):
        # The engine takes a header anywhere in its tree, and one it has already; only here must they be in one line.
        if Header.parse(raw).previous != previous:
            raise VerificationError(f"header {height} does not follow header {height - 1}", step=Step.HEADER)
        if refusal := kernel.offer_header(raw):
            raise VerificationError(f"header {height} breaks the rules of {network}: {refusal}", step=Step.HEADER)
        previous = sha256d(raw)


def _check_work(headers: Sequence[bytes], network: Network) -> None:
    difficulties = Counter(Header.parse(raw).bits for raw in headers)
    work = sum(count * ((1 << 256) // (target_from_bits(bits) + 1)) for bits, count in difficulties.items())
    if work < MINIMUM_WORK[network]:
        raise VerificationError(
            f"expected {network}'s headers to hold 2^{MINIMUM_WORK[network].bit_length() - 1} hashes of work or more, "
            f"found 2^{work.bit_length() - 1}",
            step=Step.HEADER,
            hint="a chain made to deceive looks like this, and so does an old one: get the headers up to today",
        )
