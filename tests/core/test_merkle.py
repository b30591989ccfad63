"""The trees against RFC 9162's own recursion, for all sizes to 130, and against the vectors of RFC 6962's authors."""

import hashlib
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import attempt, modest

from medanchor.core import merkle
from medanchor.core.commitment import TreeHead, commitment
from medanchor.core.hashes import Hash, sha256
from medanchor.core.merkle import (
    EMPTY_ROOT,
    appended_nodes,
    consistency_path,
    inclusion_path,
    leaf_hash,
    next_level,
    node_hash,
    nodes_of,
    root_from_inclusion,
    root_of,
    tree_root,
    verify_consistency,
)
from medanchor.errors import Step, VerificationError

MOST = 130
ENTRIES = [b"entry %d" % number for number in range(MOST)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
NODES = nodes_of(LEAVES[:MOST])

# Inputs and roots of Google's certificate-transparency, repeated in transparency-dev/merkle and in Go's tlog.
REFERENCE_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
REFERENCE_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def split(size):
    power = 1
    while power * 2 < size:
        power *= 2
    return power


@lru_cache(None)
def mth(start, end):
    """MTH(D[start:end]) exactly as RFC 9162, section 2.1.1 defines it."""
    if end == start:
        return hashlib.sha256(b"").digest()
    if end - start == 1:
        return hashlib.sha256(b"\x00" + ENTRIES[start]).digest()
    middle = start + split(end - start)
    return hashlib.sha256(b"\x01" + mth(start, middle) + mth(middle, end)).digest()


def textbook_inclusion(index, start, end):
    """PATH(m, D_n) of section 2.1.3.1, over D[start:end]."""
    if end - start == 1:
        return []
    middle = start + split(end - start)
    if index < middle - start:
        return [*textbook_inclusion(index, start, middle), mth(middle, end)]
    return [*textbook_inclusion(index - (middle - start), middle, end), mth(start, middle)]


def textbook_consistency(old, start, end, *, whole=True):
    """SUBPROOF(m, D_n, b) of section 2.1.4.1, over D[start:end]; PROOF is SUBPROOF with b true."""
    if old == end - start:
        return [] if whole else [mth(start, end)]
    k = split(end - start)
    if old <= k:
        return [*textbook_consistency(old, start, start + k, whole=whole), mth(start + k, end)]
    return [*textbook_consistency(old - k, start + k, end, whole=False), mth(start, start + k)]


def refused(leaf, index, size, path):
    with pytest.raises(VerificationError) as caught:
        root_from_inclusion(leaf, index, size, path, step=Step.BUNDLE)
    return caught.value.step is Step.BUNDLE


def implied(leaf, index, size, path):
    """The implied root, or None where the proof's shape is refused."""
    return attempt(lambda: root_from_inclusion(leaf, index, size, path, step=Step.BUNDLE), Step.BUNDLE)


def consistent(old, old_root, new, new_root, path):
    return attempt(lambda: verify_consistency(old, old_root, new, new_root, path) is None, Step.LEDGER) is True


def test_the_reference_roots():
    leaves = [leaf_hash(entry) for entry in REFERENCE_ENTRIES]
    assert [root_of(leaves[:size]).hex() for size in range(1, 9)] == list(REFERENCE_ROOTS)
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_every_root_is_the_textbooks():
    for size in range(MOST + 1):
        assert root_of(LEAVES[:size]) == tree_root(NODES, size) == mth(0, size)


def test_every_inclusion_path_is_the_textbooks_and_leads_to_the_root():
    for size in range(1, MOST + 1):
        for index in range(size):
            path = inclusion_path(NODES, index, size)
            assert path == textbook_inclusion(index, 0, size)
            assert root_from_inclusion(LEAVES[index], index, size, path, step=Step.BUNDLE) == mth(0, size)


def test_every_path_too_long_or_too_short_is_refused():
    for size in range(1, MOST + 1):
        for index in range(size):
            path = inclusion_path(NODES, index, size)
            for wrong in (path[1:], path[:-1], [*path, LEAVES[0]], [LEAVES[0], *path], path + path):
                assert len(wrong) == len(path) or refused(LEAVES[index], index, size, wrong)


def test_no_wrong_index_implies_the_root():
    for size in range(1, 50):
        for index in range(size):
            path = inclusion_path(NODES, index, size)
            for wrong in range(size + 2):
                assert wrong == index or implied(LEAVES[index], wrong, size, path) != mth(0, size)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (2, 2), (1 << 63, 1 << 63), (-1, 5), (5, -1)])
def test_an_index_outside_the_tree_is_refused(index, size):
    assert refused(LEAVES[0], index, size, [])


def test_the_error_says_what_was_expected_before_what_was_found():
    with pytest.raises(VerificationError, match="expected a path of 2 hashes, found 1"):
        root_from_inclusion(LEAVES[0], 0, 3, [LEAVES[1]], step=Step.LEDGER)
    with pytest.raises(VerificationError, match="expected an index below the tree size 3, found 3"):
        root_from_inclusion(LEAVES[0], 3, 3, [], step=Step.LEDGER)


def test_a_root_without_its_size_fits_other_trees_and_only_the_commitment_settles_it():
    """Leaf 0 of 5 climbs as leaf 0 of 6, 7 or 8 would: RFC 9162 leaves the size to the signed tree head."""
    path = inclusion_path(NODES, 0, 5)
    root = mth(0, 5)
    assert path == [LEAVES[1], mth(2, 4), LEAVES[4]]
    sizes = [size for size in range(1, MOST) if implied(LEAVES[0], 0, size, path) == root]
    assert sizes == [5, 6, 7, 8]
    heads = [commitment(TreeHead("clinic.example", size, root)) for size in sizes]
    assert len(set(heads)) == len(heads)


def test_a_leaf_is_never_a_node():
    """Second preimages: the two children of a root, taken as one entry, are not a tree of one leaf with that root."""
    assert root_of([leaf_hash(mth(0, 1) + mth(1, 2))]) != mth(0, 2)
    assert node_hash(b"", b"") != leaf_hash(b"") != EMPTY_ROOT


def test_the_last_leaf_twice_is_another_tree():
    """CVE-2012-2459 in Bitcoin's tree; RFC 9162 never doubles."""
    for size in range(1, MOST, 2):
        assert root_of([*LEAVES[:size], LEAVES[size - 1]]) != root_of(LEAVES[:size])
    assert next_level(LEAVES[:3])[1] == LEAVES[2]


def test_every_consistency_path_is_the_textbooks_and_holds():
    for new in range(1, MOST + 1):
        for old in range(1, new + 1):
            path = consistency_path(NODES, old, new)
            assert path == textbook_consistency(old, 0, new)
            verify_consistency(old, mth(0, old), new, mth(0, new), path)


def test_every_wrong_consistency_proof_is_refused():
    other = sha256(b"another ledger")
    for new in range(1, 34):
        for old in range(1, new + 1):
            path, roots = consistency_path(NODES, old, new), (mth(0, old), mth(0, new))
            assert not consistent(old, other, new, roots[1], path)
            assert not consistent(old, roots[0], new, other, path)
            assert not consistent(old, other, new, other, path) or old == new
            for wrong in ([*path, other], [other, *path], path[1:], path[:-1]):
                assert wrong == path or not consistent(old, roots[0], new, roots[1], wrong)
            for at in range(len(path)):
                assert not consistent(old, roots[0], new, roots[1], [*path[:at], other, *path[at + 1 :]])


def test_no_other_old_size_takes_a_consistency_proof():
    for new in range(2, 18):
        for old in range(1, new):
            path = consistency_path(NODES, old, new)
            sizes = [size for size in range(1, new + 1) if consistent(size, mth(0, old), new, mth(0, new), path)]
            assert sizes == [old]


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (2, 1), (-1, 4), (5, 4)])
def test_consistency_wants_sizes_in_order(old, new):
    with pytest.raises(VerificationError, match=f"expected sizes 0 < old <= new, found {old} and {new}"):
        verify_consistency(old, LEAVES[0], new, LEAVES[0], [])


def test_a_refusal_names_the_step_and_a_cause():
    with pytest.raises(VerificationError, match="the ledger of 2 entries does not continue the ledger of 1") as caught:
        verify_consistency(1, LEAVES[0], 2, LEAVES[0], [LEAVES[1]], step=Step.COMMITMENT)
    assert caught.value.step is Step.COMMITMENT
    assert "another, or a rewritten, ledger" in caught.value.hint


def test_appending_completes_the_perfect_subtrees_once_each():
    stored = {}
    for size, leaf in enumerate(LEAVES):
        for level, index, value in appended_nodes(lambda level, index: stored[level, index], size, leaf):
            assert (level, index) not in stored
            stored[level, index] = value
        assert tree_root(lambda level, index: stored[level, index], size + 1) == mth(0, size + 1)
    for (level, index), value in stored.items():
        assert value == mth(index << level, index + 1 << level)


def test_a_tree_is_read_through_its_perfect_subtrees_only():
    """What lets the vault keep tiles: no answer ever asks for a node whose leaves are not all there."""
    for size in range(1, MOST + 1):

        def complete(level, index, size=size):
            assert index + 1 << level <= size
            return NODES(level, index)

        tree_root(complete, size)
        inclusion_path(complete, size // 2, size)
        consistency_path(complete, size // 2 + 1, size)


def test_the_tree_above_perfect_subtrees_is_the_same_tree():
    for size in range(1, MOST + 1):
        tiles = [root_of(LEAVES[at : min(at + 8, size)]) for at in range(0, size, 8)]
        assert root_of(tiles) == mth(0, size)


@given(st.integers(1, 1 << 63), st.data())
@modest
def test_the_largest_trees_climb_as_the_textbook_says(size, data):
    """Sizes that no test can build: the path's length by counting the textbook's halvings."""
    index = data.draw(st.integers(0, size - 1) | st.sampled_from([0, size - 1]))
    length, start, end = 0, 0, size
    while end - start > 1:
        middle = start + split(end - start)
        start, end = (start, middle) if index < middle else (middle, end)
        length += 1
    assert length <= merkle.MAX_PATH
    path = [Hash(b"\x05" * 32)] * length
    assert len(root_from_inclusion(LEAVES[0], index, size, path, step=Step.LEDGER)) == 32
    assert refused(LEAVES[0], index, size, [*path, path[0] if path else LEAVES[0]])
