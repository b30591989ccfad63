"""Merkle trees of RFC 9162, section 2.1: roots, inclusion proofs and consistency proofs.

A tree is seen through its *perfect subtrees*, the nodes whose leaves are all there: node (level, index) covers the
2**level leaves from index * 2**level on. Whatever answers for those (a list, a table, a tile) answers for the tree.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from medanchor.core.hashes import Hash, sha256
from medanchor.errors import Step, VerificationError

EMPTY_ROOT = sha256(b"")
"""MTH({}) of RFC 9162, section 2.1.1."""

MAX_PATH = 64
"""No tree here has more than 2**64 leaves, so no path is longer."""

Nodes = Callable[[int, int], Hash]
"""(level, index) → the hash of that perfect subtree; level 0 are the leaf hashes."""


def leaf_hash(entry: bytes) -> Hash:
    """Return the leaf hash of `entry`: SHA-256(0x00 ‖ entry), RFC 9162 section 2.1.1."""
    return sha256(b"\x00" + entry)


def node_hash(left: bytes, right: bytes) -> Hash:
    """Return the hash of an inner node: SHA-256(0x01 ‖ left ‖ right), RFC 9162 section 2.1.1."""
    return Hash(hashlib.sha256(b"\x01" + left + right).digest())


def next_level(nodes: Sequence[bytes]) -> list[bytes]:
    """Return the level above `nodes`; an odd last node is carried up as it is, never doubled (CVE-2012-2459)."""
    digest = hashlib.sha256
    pairs = iter(nodes)
    above = [digest(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
    if len(nodes) % 2:
        above.append(nodes[-1])
    return above


def root_of(leaves: Sequence[bytes]) -> Hash:
    """Return the root of the tree over `leaves`, hashes of 32 bytes each; of none, SHA-256 of nothing.

    `leaves` may also be the roots of equal perfect subtrees with a smaller last one: the tree above them is the same.
    """
    if not leaves:
        return EMPTY_ROOT
    level = leaves
    while len(level) > 1:
        level = next_level(level)
    return Hash(level[0])


def nodes_of(leaves: Sequence[bytes]) -> Nodes:
    """Return the perfect subtrees of the tree over `leaves`, all computed now and held in memory."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        levels.append(next_level(levels[-1]))
    return lambda level, index: Hash(levels[level][index])


def appended_nodes(nodes: Nodes, size: int, leaf: Hash) -> list[tuple[int, int, Hash]]:
    """Return the perfect subtrees (level, index, hash) that appending `leaf` to a tree of `size` leaves completes."""
    level, index, value = 0, size, leaf
    completed = [(level, index, value)]
    while index % 2:
        value = node_hash(nodes(level, index - 1), value)
        level, index = level + 1, index // 2
        completed.append((level, index, value))
    return completed


def _split(size: int) -> int:
    """Return k, the largest power of two smaller than `size` (RFC 9162, section 2.1.1); `size` is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def range_root(nodes: Nodes, start: int, end: int) -> Hash:
    """Return MTH(D[start:end]) for a range that RFC 9162's recursion reaches; `end` is greater than `start`."""
    size = end - start
    level = size.bit_length() - 1
    if size == 1 << level:
        return nodes(level, start >> level)
    middle = start + _split(size)
    return node_hash(range_root(nodes, start, middle), range_root(nodes, middle, end))


def tree_root(nodes: Nodes, size: int) -> Hash:
    """Return the root of the tree of the first `size` leaves; of none, SHA-256 of nothing."""
    return range_root(nodes, 0, size) if size else EMPTY_ROOT


def inclusion_path(nodes: Nodes, index: int, size: int) -> list[Hash]:
    """Return PATH(index, D[size]), the leaf's sibling first: RFC 9162, section 2.1.3.1. `index` is below `size`."""
    path: list[Hash] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_root(nodes, middle, end))
            end = middle
        else:
            path.append(range_root(nodes, start, middle))
            start = middle
    path.reverse()
    return path


def root_from_inclusion(leaf: Hash, index: int, size: int, path: Sequence[Hash], *, step: Step) -> Hash:
    """Return the root that an inclusion proof implies for a leaf.

    Climbs from `leaf` (32 bytes), at zero-based `index`, to the root of a tree of `size` leaves, joining one sibling of
    `path` (lowest first) per level. Nothing here is trusted: the caller compares the result with a root it already
    believes. Which side a sibling belongs on follows from `index` and `size`, so a proof carries no directions and
    cannot lie about them.

    Raises VerificationError at `step` if `index` is outside the tree, or if `path` is longer or shorter than the climb.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise VerificationError(f"expected an index below the tree size {size}, found {index}", step=step)
    _check_length(path, _path_length(index, size), step)
    last = size - 1
    value = leaf
    for sibling in path:
        while not index & 1 and index == last:  # carried up: no sibling on this level
            index, last = index >> 1, last >> 1
        value = node_hash(sibling, value) if index & 1 else node_hash(value, sibling)
        index, last = index >> 1, last >> 1
    return value


def _path_length(index: int, size: int) -> int:
    """Return how many siblings the climb from `index` meets: the levels where paths part, then one per left turn."""
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count()


def _check_length(path: Sequence[Hash], expected: int, step: Step) -> None:
    if len(path) != expected:
        raise VerificationError(f"expected a path of {expected} hashes, found {len(path)}", step=step)


def consistency_path(nodes: Nodes, old_size: int, new_size: int) -> list[Hash]:
    """Return PROOF(old_size, D[new_size]) of RFC 9162, section 2.1.4.1; 0 < old_size <= new_size."""
    path: list[Hash] = []
    start, end = 0, new_size
    while old_size < end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(range_root(nodes, middle, end))
            end = middle
        else:
            path.append(range_root(nodes, start, middle))
            start = middle
    if start:  # the old tree ends inside: its last subtree is not its root, so it is named
        path.append(range_root(nodes, start, end))
    path.reverse()
    return path


def verify_consistency(
    old_size: int, old_root: Hash, new_size: int, new_root: Hash, path: Sequence[Hash], *, step: Step = Step.LEDGER
) -> None:
    """Check that the tree of `new_size` leaves begins with all the leaves of the tree of `old_size`.

    Recomputes both roots from one `path` and compares each with the root the caller believes. Raises VerificationError
    at `step` if the sizes are not 0 < old_size <= new_size, if `path` has another length, or if a root differs.

    RFC 9162, section 2.1.4.2.
    """
    if not 0 < old_size <= new_size:
        raise VerificationError(f"expected sizes 0 < old <= new, found {old_size} and {new_size}", step=step)
    _check_length(path, _consistency_length(old_size, new_size), step)
    implied_old, implied_new = _roots_from_consistency(old_size, old_root, new_size, path)
    if implied_old != old_root or implied_new != new_root:
        raise VerificationError(
            f"the ledger of {new_size} entries does not continue the ledger of {old_size}",
            step=step,
            hint="one of the two heads was made from another, or a rewritten, ledger",
        )


def _consistency_length(old_size: int, new_size: int) -> int:
    if old_size == new_size:
        return 0
    level = (old_size & -old_size).bit_length() - 1
    seed = 0 if old_size == 1 << level else 1
    return seed + _path_length((old_size >> level) - 1, ((new_size - 1) >> level) + 1)


def _roots_from_consistency(old_size: int, old_root: Hash, new_size: int, path: Iterable[Hash]) -> tuple[Hash, Hash]:
    """Return the old and the new root that `path`, of the right length, implies."""
    if old_size == new_size:
        return old_root, old_root
    siblings = iter(path)
    index, last = old_size - 1, new_size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = next(siblings) if index else old_root
    for sibling in siblings:
        while not index & 1 and index == last:
            index, last = index >> 1, last >> 1
        if index & 1:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
        index, last = index >> 1, last >> 1
    return old, new
