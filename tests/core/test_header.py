"""Block headers against Bitcoin's own blocks, and against the cases of Bitcoin Core's arith_uint256 tests."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import block_branch, block_root, from_display, hashes, header_bytes, mine, modest

from medanchor.core.hashes import Hash, display, sha256d
from medanchor.core.header import (
    PROOF_OF_WORK_LIMIT,
    Header,
    Network,
    check_links,
    check_proof_of_work,
    parse_headers,
    root_from_branch,
    target_from_bits,
)
from medanchor.errors import MalformedProofError, Step, VerificationError

SATOSHI = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
GENESIS = {
    Network.MAINNET: (
        SATOSHI, 1231006505, 0x1D00FFFF, 2083236893,
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
    ),
    Network.TESTNET3: (
        SATOSHI, 1296688602, 0x1D00FFFF, 414098458,
        "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
    ),
    Network.TESTNET4: (
        "7aa0a7ae1e223414cb807e40cd57e667b718e42aaf9306db9102fe28912b7b4e", 1714777860, 0x1D00FFFF, 393743547,
        "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
    ),
    Network.SIGNET: (
        SATOSHI, 1598918400, 0x1E0377AE, 52613770,
        "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
    ),
    Network.REGTEST: (
        SATOSHI, 1296688602, 0x207FFFFF, 2,
        "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
    ),
}  # fmt: skip
"""Merkle root, time, nBits, nonce and hash of each first block: Bitcoin Core, kernel/chainparams.cpp."""

BLOCK_1_HASH = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
BLOCK_100000 = {
    "hash": "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506",
    "previous": "000000000002d01c1fccc21636b607dfd930d31d01c3a62104612a1719011250",
    "root": "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766",
}
TXIDS = [
    from_display(text)
    for text in (
        "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
        "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
        "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
        "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
    )
]
DAMAGED = Hash(b"\x0d" * 32)


def raw_header(version, previous, root, time, bits, nonce):
    return struct.pack("<i32s32sIII", version, previous, from_display(root), time, bits, nonce)


def genesis(network):
    root, time, bits, nonce, _ = GENESIS[network]
    return Header.parse(raw_header(1, bytes(32), root, time, bits, nonce))


def block_1():
    root = "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098"
    previous = genesis(Network.MAINNET).block_hash
    return Header.parse(raw_header(1, previous, root, 1231469665, 0x1D00FFFF, 2573394689))


def refused_at_step_7(act, message):
    with pytest.raises(VerificationError, match=message) as caught:
        act()
    assert caught.value.step is Step.HEADER


@pytest.mark.parametrize("network", Network)
def test_the_first_block_of_each_network(network):
    header = genesis(network)
    assert display(header.block_hash) == GENESIS[network][-1]
    assert (display(header.merkle_root), header.time, header.bits) == GENESIS[network][:3]
    assert header.previous == bytes(32)
    check_proof_of_work(header, network)


def test_block_100000():
    previous = from_display(BLOCK_100000["previous"])
    header = Header.parse(raw_header(1, previous, BLOCK_100000["root"], 1293623863, 0x1B04864C, 274148111))
    assert display(header.block_hash) == BLOCK_100000["hash"]
    assert header.previous == previous
    check_proof_of_work(header, Network.MAINNET)
    for index, txid in enumerate(TXIDS):
        assert root_from_branch(txid, index, block_branch(TXIDS, index)) == header.merkle_root


@given(st.binary(max_size=90) | st.binary(min_size=80, max_size=80))
@modest
def test_a_header_is_80_bytes_or_none(raw):
    if len(raw) == 80:
        header = Header.parse(raw)
        assert header.raw == raw
        assert raw[4:68] == header.previous + header.merkle_root
        assert raw[68:76] == struct.pack("<II", header.time, header.bits)
    else:
        with pytest.raises(MalformedProofError, match=f"expected a block header of 80 bytes, found {len(raw)}"):
            Header.parse(raw)


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x00000000, 0), (0x00123456, 0), (0x01003456, 0), (0x02000056, 0), (0x03000000, 0), (0x04000000, 0),
        (0x00923456, 0), (0x01803456, 0), (0x02800056, 0), (0x03800000, 0), (0x04800000, 0),
        (0x01123456, 0x12), (0x02123456, 0x1234), (0x03123456, 0x123456), (0x04123456, 0x12345600),
        (0x05009234, 0x92340000), (0x20123456, 0x123456 << 232),
        (0x01FEDCBA, 0), (0x04923456, 0),  # negative
        (0x1D00FFFF, 0xFFFF << 208),
    ],
)  # fmt: skip
def test_compact_targets_are_bitcoin_cores(bits, target):
    assert target_from_bits(bits) == target


@pytest.mark.parametrize(
    "bits", [0, 0x03000000, 0x1D80FFFF, 0x04923456, 0xFF123456, 0xFF7FFFFF, 0x22000100, 0x21010000]
)
@pytest.mark.parametrize("network", Network)
def test_a_target_of_nothing_or_negative_or_overflowing_is_no_work(bits, network):
    header = Header.parse(header_bytes(bytes(32), bytes(32), bits=bits))
    refused_at_step_7(lambda: check_proof_of_work(header, network), f"difficulty that {network} does not allow")


def test_the_limits_are_those_of_bitcoin_core_at_the_precision_of_nbits():
    limits = {network: f"{limit:064x}"[:16] for network, limit in PROOF_OF_WORK_LIMIT.items()}
    assert limits == {
        "mainnet": "00000000ffff0000", "testnet3": "00000000ffff0000", "testnet4": "00000000ffff0000",
        "signet": "00000377ae000000", "regtest": "7fffff0000000000",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("network", "bits"),
    [
        (Network.MAINNET, 0x1D010000), (Network.TESTNET3, 0x1D010000), (Network.TESTNET4, 0x1D010000),
        (Network.SIGNET, 0x1E0377AF), (Network.REGTEST, 0x21008000),
    ],
)  # fmt: skip
def test_the_least_step_above_a_limit_is_refused(network, bits):
    assert target_from_bits(bits) > PROOF_OF_WORK_LIMIT[network]
    header = Header.parse(header_bytes(bytes(32), bytes(32), bits=bits))
    refused_at_step_7(lambda: check_proof_of_work(header, network), "does not allow")


def test_a_regtest_block_is_worth_nothing_elsewhere():
    header = Header.parse(mine(bytes(32), bytes(32)))
    check_proof_of_work(header, Network.REGTEST)
    for network in set(Network) - {Network.REGTEST}:
        refused_at_step_7(lambda network=network: check_proof_of_work(header, network), "does not allow")


@given(hashes)
@modest
def test_work_is_the_hash_read_little_endian_against_the_target(root):
    header = Header.parse(header_bytes(bytes(32), root))
    if header.block_hash[31] < 0x7F:
        check_proof_of_work(header, Network.REGTEST)
    elif header.block_hash[31] >= 0x80:
        refused_at_step_7(lambda: check_proof_of_work(header, Network.REGTEST), "does not meet its own proof of work")


def test_a_hash_that_equals_its_target_meets_it(monkeypatch):
    """Bitcoin refuses a hash above the target, not one that is the target."""
    header = Header.parse(header_bytes(bytes(32), bytes(32)))
    limit = PROOF_OF_WORK_LIMIT[Network.REGTEST]
    monkeypatch.setattr(Header, "block_hash", limit.to_bytes(32, "little"))
    check_proof_of_work(header, Network.REGTEST)
    monkeypatch.setattr(Header, "block_hash", (limit + 1).to_bytes(32, "little"))
    refused_at_step_7(lambda: check_proof_of_work(header, Network.REGTEST), "its own proof of work")


def test_block_1_follows_the_first():
    assert display(block_1().block_hash) == BLOCK_1_HASH
    check_links(genesis(Network.MAINNET), [block_1()], Network.MAINNET)
    check_links(genesis(Network.MAINNET), [], Network.MAINNET)
    swapped = [genesis(Network.MAINNET)]
    refused_at_step_7(lambda: check_links(block_1(), swapped, Network.MAINNET), "successor 1 does not follow")


def test_every_successor_is_checked_and_named():
    chain = [mine(bytes(32), bytes(32))]
    for _ in range(4):
        chain.append(mine(sha256d(chain[-1]), bytes(32)))
    first, *rest = parse_headers(chain)
    check_links(first, rest, Network.REGTEST)
    for number in range(1, 4):
        gone = rest[: number - 1] + rest[number:]
        message = f"successor {number} does not follow the header before it"
        refused_at_step_7(lambda gone=gone: check_links(first, gone, Network.REGTEST), message)
    lazy = next(
        header
        for nonce in range(99)
        if (header := Header.parse(header_bytes(rest[-1].block_hash, bytes(32), nonce=nonce))).block_hash[31] >= 0x80
    )
    refused_at_step_7(lambda: check_links(first, [*rest, lazy], Network.REGTEST), "its own proof of work")


def test_branches_of_every_block_to_nine_transactions():
    txids = [sha256d(bytes([number])) for number in range(9)]
    for size in range(1, 10):
        root = block_root(txids[:size])
        for index in range(size):
            path = block_branch(txids[:size], index)
            assert root_from_branch(txids[index], index, path) == root
            for at in range(len(path)):
                other = [*path[:at], DAMAGED, *path[at + 1 :]]
                assert root_from_branch(txids[index], index, other) != root


def test_a_left_sibling_that_equals_its_right_one_is_the_forgery_of_cve_2012_2459():
    """Three transactions hash like four with the last repeated: index 3 would be a second place for transaction 2."""
    txids = TXIDS[:3]
    path = block_branch(txids, 2)
    assert root_from_branch(txids[2], 2, path) == block_root([*txids, txids[2]])
    with pytest.raises(VerificationError, match="CVE-2012-2459") as caught:
        root_from_branch(txids[2], 3, path)
    assert caught.value.step is Step.TRANSACTION


def test_the_forgery_is_seen_at_every_level():
    """Six transactions: 4 and 5 are repeated, one level up, as 6 and 7."""
    txids = [sha256d(bytes([number])) for number in range(6)]
    path = block_branch(txids, 5)
    assert root_from_branch(txids[5], 5, path) == block_root(txids)
    with pytest.raises(VerificationError, match="CVE-2012-2459"):
        root_from_branch(txids[5], 7, path)


@pytest.mark.parametrize(("index", "depth"), [(1, 0), (4, 2), (5, 2), (1 << 62, 2), ((1 << 63) - 1, 62), (1 << 62, 62)])
def test_an_index_with_bits_above_the_branch_is_refused(index, depth):
    path = [sha256d(bytes([level])) for level in range(depth)]
    with pytest.raises(VerificationError, match="index lies outside the block") as caught:
        root_from_branch(TXIDS[0], index, path)
    assert caught.value.step is Step.TRANSACTION


def test_a_lone_coinbase_is_its_own_root():
    assert root_from_branch(TXIDS[0], 0, ()) == TXIDS[0]
