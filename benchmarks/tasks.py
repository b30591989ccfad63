"""The work that is timed inside a process: `python -m benchmarks.tasks NAME ARGUMENTS` prints its seconds.

Each makes its input first, then does one thing with one library. The peers are imported and used as their own
documentation or command line uses them; nothing of theirs is copied here.
"""

import hashlib
import os
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

Work = Callable[[], object]
READ_BYTES = 1 << 16


def seconds(work: Work) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _leaves(count: str) -> list[bytes]:
    packed = os.urandom(32 * int(count))
    return [packed[at : at + 32] for at in range(0, len(packed), 32)]


def tree_medanchor(count: str) -> Work:
    """RFC 9162, as stamping does it: hash every entry of salt and raw digest, build the tree, give the root."""
    from medanchor.core.commitment import raw_leaf_hashes
    from medanchor.core.merkle import root_of

    raws = _leaves(count)
    salts = [raw[:16] for raw in raws]
    return lambda: root_of(raw_leaf_hashes(salts, raws))


def tree_hashlib(count: str) -> Work:
    """No tree: as many calls of hashlib, of the same lengths, as a tree needs. Nothing that uses it can be faster."""
    leaf, node, times = bytes(50), bytes(65), int(count)

    def work() -> None:
        digest = hashlib.sha256
        for _ in range(times):
            digest(leaf).digest()
        for _ in range(times - 1):
            digest(node).digest()

    return work


def tree_pymerkle(count: str) -> Work:
    """pymerkle's tree in memory, also RFC 9162: append every leaf, give the root."""
    from pymerkle import InmemoryTree

    leaves = _leaves(count)

    def work() -> None:
        tree = InmemoryTree(algorithm="sha256")
        for leaf in leaves:
            tree.append_entry(leaf)
        tree.get_root()

    return work


def tree_merkletools(count: str) -> Work:
    """merkletools: hash every leaf (as hex text, which is what it takes), build the tree, give the root."""
    from merkletools import MerkleTools

    leaves = [leaf.hex() for leaf in _leaves(count)]

    def work() -> None:
        tree = MerkleTools()
        tree.add_leaf(leaves, do_hash=True)
        tree.make_tree()
        tree.get_merkle_root()

    return work


def stamp_opentimestamps(folder: str) -> Work:
    """OpenTimestamps' library, as its client stamps: hash, nonce, tree, one detached proof each; no network."""
    from opentimestamps.core.op import OpAppend, OpSHA256
    from opentimestamps.core.serialize import BytesSerializationContext
    from opentimestamps.core.timestamp import DetachedTimestampFile, make_merkle_tree

    def work() -> None:
        stamps, roots = [], []
        for path in Path(folder).rglob("*.bin"):
            with path.open("rb") as file:
                stamp = DetachedTimestampFile.from_fd(OpSHA256(), file)
            nonce = stamp.timestamp.ops.add(OpAppend(os.urandom(16)))
            roots.append(nonce.ops.add(OpSHA256()))
            stamps.append(stamp)
        tip = make_merkle_tree(roots)
        _attest(tip)
        for stamp in stamps:
            context = BytesSerializationContext()
            stamp.serialize(context)
            context.getbytes()

    return work


def _attest(timestamp: object) -> None:
    from opentimestamps.core.notary import PendingAttestation

    timestamp.attestations.add(PendingAttestation("https://calendar.example"))  # type: ignore[attr-defined]


def export_medanchor(vault: str, count: str) -> Work:
    """Make the proof of every record of the vault's first bundle and write it out, in memory."""
    from medanchor.core.proof import serialise_proof
    from medanchor.notary.prove import Prover
    from medanchor.vault.bundles import Place
    from medanchor.vault.store import Store

    def work() -> None:
        with Store(Path(vault), read_only=True) as store:
            prover = Prover(store, {})
            for index in range(int(count)):
                serialise_proof(prover.proof(Place(0, index)))

    return work


def verify_medanchor(proofs: str) -> Work:
    """Read each proof, parse it strictly, and run every step of verification against a block header that is known."""
    from medanchor.core.proof import parse_proof
    from medanchor.core.verify import Trust, TrustLevel, Witness, verify

    paths = sorted(Path(proofs).rglob("*.medproof"))
    anchor = parse_proof(paths[0].read_bytes()).anchor
    if anchor is None:
        sys.exit("the proofs are pending")
    block = anchor.block
    tip = block.height + len(block.successors)
    trust = Trust({}, Witness(TrustLevel.CONFIRMED, "the benchmark", anchor.network, tip, block.header))

    def work() -> None:
        for path in paths:
            proof = parse_proof(path.read_bytes())
            verify(proof, proof.record.raw, trust)

    return work


def verify_headers(proofs: str, headers: str) -> Work:
    """Read and parse each proof, open the chain of headers (checked before), and run every step for each proof."""
    from medanchor.chain.header_file import believed_headers
    from medanchor.chain.header_note import usual_note
    from medanchor.core.proof import parse_proof
    from medanchor.core.verify import Trust, TrustLevel, Witness, verify

    paths = sorted(Path(proofs).rglob("*.medproof"))

    def work() -> None:
        known = [parse_proof(path.read_bytes()) for path in paths]
        heights = {proof.anchor.block.height for proof in known if proof.anchor}
        chain = believed_headers(Path(headers), heights, note=usual_note())
        for proof in known:
            height = proof.anchor.block.height if proof.anchor else 0
            witness = Witness(TrustLevel.HEADER_CHAIN, "the chain", chain.network, chain.height, chain.at(height))
            verify(proof, proof.record.raw, Trust({}, witness))

    return work


def verify_opentimestamps(proofs: str) -> Work:
    """Read each .ots, deserialise it (which runs its operations), and check its attestation against a known header."""
    from bitcoin.core import CBlockHeader
    from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
    from opentimestamps.core.serialize import StreamDeserializationContext
    from opentimestamps.core.timestamp import DetachedTimestampFile

    paths = sorted(Path(proofs).rglob("*.ots"))
    header = CBlockHeader.deserialize((Path(proofs) / "header.bin").read_bytes())

    def work() -> None:
        for path in paths:
            with path.open("rb") as file:
                detached = DetachedTimestampFile.deserialize(StreamDeserializationContext(file))
            for digest, attestation in detached.timestamp.all_attestations():
                if isinstance(attestation, BitcoinBlockHeaderAttestation):
                    attestation.verify_against_blockheader(digest, header)

    return work


def canonical_rfc8785(path: str, count: str) -> Work:
    """The `rfc8785` package: parse so many lines of NDJSON and write each in its canonical form, in one process."""
    import json

    import rfc8785

    with Path(path).open("rb") as file:
        lines = list(islice(file, int(count)))

    def work() -> None:
        for line in lines:
            rfc8785.dumps(json.loads(line))

    return work


def components_medanchor(*paths: str) -> Work:
    """All five components of all lines of these NDJSON files, in one process."""
    from medanchor.records.fhir import read_lines

    block = b"".join(Path(path).read_bytes() for path in paths)
    return lambda: read_lines(block, 1)


def lexical_json(*paths: str) -> Work:
    """The lexical form of each line alone, as the design's prototype made it; no number loses a digit.

    `json` with a hook for each number and each object, which finds duplicate keys; orjson writes it with sorted keys.
    """
    import json

    import orjson

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError
        return found

    decoder = json.JSONDecoder(object_pairs_hook=members, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
    lines = b"".join(Path(path).read_bytes() for path in paths).splitlines()

    def work() -> None:
        for line in lines:
            orjson.dumps(decoder.decode(line.decode()), option=orjson.OPT_SORT_KEYS)

    return work


def read_documents(*paths: str) -> Work:
    """Read each file as what it is, in one process; the readers are imported before."""
    from medanchor.records.detect import read

    documents = [Path(path).read_bytes() for path in paths]
    read(documents[0])

    def work() -> None:
        for data in documents:
            read(data)

    return work


def one_proof(vault: str, count: str) -> Work:
    """Open the vault, make the proof of one record somewhere in its first bundle, and write it out in memory."""
    from medanchor.core.proof import serialise_proof
    from medanchor.notary.prove import Prover
    from medanchor.vault.bundles import Place
    from medanchor.vault.store import Store

    index = int.from_bytes(os.urandom(4), "big") % int(count)

    def work() -> None:
        with Store(Path(vault), read_only=True) as store:
            serialise_proof(Prover(store, {}).proof(Place(0, index)))

    return work


if __name__ == "__main__":
    print(seconds(globals()[sys.argv[1]](*sys.argv[2:])))
