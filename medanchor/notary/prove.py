"""Proofs made from the vault: a record's place, its bundle's statement, the ledger's head, the anchor over it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from medanchor.chain.source import Chain
from medanchor.core.hashes import Hash
from medanchor.core.merkle import inclusion_path
from medanchor.core.proof import MAX_SUCCESSORS, Anchor, Position, Proof
from medanchor.core.statement import parse_envelope
from medanchor.core.verify import Trust, TrustLevel, Witness
from medanchor.errors import PendingError, VaultError
from medanchor.notary.standing import covering
from medanchor.vault.anchors import AnchorRow, SignerRow, list_anchors, list_signers
from medanchor.vault.bundles import BundleReader, Place
from medanchor.vault.store import Store
from medanchor.vault.tiles import LEVEL, RECORDS_PER_TILE

Lengthened = Callable[[Anchor], Anchor]


def with_all_successors(chain: Chain) -> Lengthened:
    """Return what gives an anchor as many of the headers after its block as there are, up to what a proof may hold."""

    def lengthened(anchor: Anchor) -> Anchor:
        found = chain.locate(anchor.transaction, since=anchor.block.height, successors=MAX_SUCCESSORS)
        return found if found and found.block.header == anchor.block.header else anchor

    return lengthened


class Prover:
    """Makes proofs from one vault; what the records of a bundle or a day share is read once and kept while it lives.

    An anchor whose block is not the one that `witnesses` have at its height proves nothing any more and is left out.
    Those that are used go into proofs as `lengthened` gives them back.
    """

    def __init__(self, store: Store, witnesses: Mapping[int, Witness], lengthened: Lengthened | None = None) -> None:
        self._store = store
        self._lengthened = lru_cache(maxsize=None)(lengthened or (lambda anchor: anchor))
        self._size = store.size()
        rows = list_anchors(store)
        self._sent = max((row.size for row in rows if row.sending.sent), default=0)
        anchors = [row for row in rows if row.evidence]
        self._anchors = [row for row in anchors if row.evidence and _stands(row.evidence, witnesses)]
        self._once_covered = max((row.size for row in anchors), default=0)
        self._signers = list_signers(store)
        self._bundles: dict[int, tuple[BundleReader, Proof]] = {}

    def proof(self, place: Place) -> Proof:
        """Return the proof of the record at `place`; pending if no confirmed anchor covers its entry.

        Of the anchors that do, the oldest is taken: no later time can be shown more strongly. Raises VaultError if
        something is missing for it, or damaged.
        """
        reader, shared = self._shared(place.entry)
        record = reader.tile(place.leaf >> LEVEL).record(place.leaf & (RECORDS_PER_TILE - 1))
        position = reader.position(place.leaf)
        return Proof(record, position, shared.envelope, shared.key, shared.origin, shared.ledger, shared.anchor)

    def bundle(self, entry: int) -> BundleReader:
        """Return the reader of the bundle at `entry`, the one that proofs are made with. Raises VaultError."""
        return self._shared(entry)[0]

    def signer(self, entry: int) -> SignerRow:
        """Return whose key signed the entry. Raises VaultError."""
        return self._signers[parse_envelope(self._shared(entry)[1].envelope).key_id]

    def why_pending(self, entry: int) -> PendingError:
        """Return what to say about an entry that no anchor covers: not yet, not any more, or soon."""
        if entry < self._once_covered:
            return PendingError("its block was reorganised away", hint="run 'medanchor anchor'")
        if entry < self._sent:
            return PendingError("its transaction waits for a block", hint="run 'medanchor anchor' when one has come")
        return PendingError("not anchored yet", hint="run 'medanchor anchor'")

    def _shared(self, entry: int) -> tuple[BundleReader, Proof]:
        if entry not in self._bundles:
            self._bundles = {entry: self._bundle(entry)}
        return self._bundles[entry]

    def _bundle(self, entry: int) -> tuple[BundleReader, Proof]:
        """Return the bundle's reader and its first record's proof: the others differ in record and position only."""
        envelope, parsed = self._store.envelope(entry), self._store.entry(entry)
        signer = self._signers.get(parsed.key_id)
        if signer is None:
            raise VaultError(f"the key that signed entry {entry} is missing", hint="run 'medanchor audit'")
        reader = BundleReader(self._store, entry, parsed.statement.records)
        size, evidence = self._covering(entry)
        ledger = Position(entry, size, tuple(inclusion_path(self._store.node, entry, size)))
        first = reader.tile(0).record(0)
        shared = Proof(first, reader.position(0), envelope, signer.key, self._store.origin, ledger, evidence)
        return reader, shared

    def _covering(self, entry: int) -> tuple[int, Anchor | None]:
        row: AnchorRow | None = next((row for row in self._anchors if row.size > entry), None)
        return (row.size, self._lengthened(row.evidence)) if row and row.evidence else (self._size, None)


def _stands(evidence: Anchor, witnesses: Mapping[int, Witness]) -> bool:
    """Say whether nothing is known of another block in the place of the anchor's."""
    witness = witnesses.get(evidence.block.height)
    return witness is None or witness.header in (None, evidence.block.header)


def ask_chain(store: Store, chain: Chain | None, entries: Iterable[int] | None = None) -> dict[int, Witness]:
    """Return what `chain` says about the blocks of confirmed anchors, by height; nothing if there is no chain.

    With `entries`, those are the anchors that prove them: a server is not asked about every block of twenty years. If
    one of these has left the chain, it is asked about all the others that may take its place.
    """
    rows = [row for row in list_anchors(store) if row.evidence]
    needed = rows if entries is None else [row for entry in set(entries) if (row := covering(rows, entry + 1))]
    known = witnesses(chain, _heights(needed))
    if all(row.evidence and _stands(row.evidence, known) for row in needed):
        return known
    return witnesses(chain, _heights(rows))


def _heights(rows: Iterable[AnchorRow]) -> list[int]:
    return sorted({row.evidence.block.height for row in rows if row.evidence})


def witnesses(chain: Chain | None, heights: Sequence[int]) -> dict[int, Witness]:
    """Return what `chain` says about the blocks at `heights`, each as a trust-level-3 witness."""
    if chain is None or not heights:
        return {}
    tip = chain.tip().height
    return {
        height: Witness(TrustLevel.CONFIRMED, chain.name, chain.network, tip, header)
        for height, header in zip(heights, chain.headers(heights), strict=True)
    }


def trust_for(store: Store, proof: Proof, known: dict[int, Witness]) -> Trust:
    """Return what this vault believes when it judges `proof`: its own signers, and what the chain said."""
    return Trust(people(store), known.get(proof.anchor.block.height) if proof.anchor else None)


def people(store: Store) -> dict[Hash, str]:
    """Return the names that this vault knows signers by: key id → name and role."""
    return {key: signer.person for key, signer in list_signers(store).items()}
