"""The embedded chain in good health: every block here is one that Bitcoin Core's own engine accepted or refused."""

import os
import stat
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from bitcoin.core import CTransaction

from medanchor.chain import blocks
from medanchor.chain.embedded import INITIAL_HEIGHT, EmbeddedChain
from medanchor.core.commitment import anchor_script
from medanchor.core.hashes import Hash, sha256d
from medanchor.core.header import Header, Network, check_links, check_proof_of_work, parse_headers, root_from_branch
from medanchor.core.proof import Anchor, parse_anchor, serialise_anchor
from medanchor.errors import ChainError, UsageError, WalletError

PAYLOAD = b"MDA1" + bytes(range(32))


def coinbase(chain: EmbeddedChain, height: int) -> CTransaction:
    with chain._opened() as kernel:
        return blocks.deserialised(kernel.transactions(height)[0])


def spend(chain: EmbeddedChain, height: int, *, extra: int = 0) -> bytes:
    """Return an anchoring transaction that spends the coinbase at `height`, and `extra` satoshi that are not there."""
    coin = coinbase(chain, height)
    value = coin.vout[0].nValue + extra
    return blocks.anchoring_transaction(blocks.id_of(coin), value, PAYLOAD, height=0)


def times(chain: EmbeddedChain) -> list[int]:
    return [Header.parse(header).time for header in chain.headers(range(chain.tip().height + 1)) if header]


def copies(chain: EmbeddedChain, transaction: bytes) -> int:
    """Return how often the best chain holds `transaction`, looked for in every block."""
    txid = blocks.id_of(blocks.deserialised(transaction))
    with chain._opened() as kernel:
        return sum(kernel.txids(height).count(txid) for height in range(kernel.height + 1))


def check_evidence(anchor: Anchor) -> None:
    """Check an anchor as a verifier does, with nothing but the core."""
    header = Header.parse(anchor.block.header)
    check_proof_of_work(header, Network.REGTEST)
    check_links(header, parse_headers(anchor.block.successors), Network.REGTEST)
    txid, base = sha256d(anchor.transaction), sha256d(anchor.coinbase.transaction)
    assert root_from_branch(txid, anchor.branch.index, anchor.branch.path) == header.merkle_root
    assert root_from_branch(base, 0, anchor.coinbase.path) == header.merkle_root
    assert len(anchor.branch.path) == len(anchor.coinbase.path)
    assert parse_anchor(serialise_anchor(anchor)) == anchor


class TestCreation:
    def test_nothing_is_made_before_it_is_needed(self, chain, directory):
        assert not directory.exists()
        chain.create()
        assert (directory / "regtest" / "blocks" / "blk00000.dat").exists()
        assert not (directory / "unfinished").exists()

    def test_a_second_create_changes_nothing(self, chain):
        chain.create()
        tip = chain.tip()
        chain.create()
        assert chain.tip() == tip

    def test_the_first_blocks_lie_in_the_past_ten_minutes_apart(self, chain):
        assert chain.tip().height == INITIAL_HEIGHT
        made = times(chain)
        assert time.time() - 60 < made[-1] <= time.time()
        assert {later - earlier for earlier, later in pairwise(made[1:])} <= {599, 600, 601}

    def test_every_file_is_private_whatever_the_umask(self, chain, directory):
        former = os.umask(0)
        try:
            chain.submit(chain.prepare(PAYLOAD))
            assert os.umask(0) == 0
        finally:
            os.umask(former)
        for path in [directory, *directory.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path

    def test_the_engine_prints_nothing(self, chain, capfd):
        chain.submit(chain.prepare(PAYLOAD))
        chain.reorg(2)
        with pytest.raises(ChainError):
            chain.submit(spend(chain, 2, extra=1))
        assert capfd.readouterr() == ("", "")

    def test_importing_it_imports_no_engine(self):
        names = "{'pbk', 'bitcoin', 'tempfile', 'shutil'}"
        script = f"import sys, medanchor.chain.embedded; sys.exit(bool({names} & set(sys.modules)))"
        assert (
            subprocess.run(
                [sys.executable, "-S", "-c", script], check=False, env={"PYTHONPATH": ":".join(sys.path)}
            ).returncode
            == 0
        )


class TestReading:
    def test_the_tip_is_the_last_header(self, chain):
        tip = chain.tip()
        assert chain.headers([tip.height, tip.height + 1, -1, 0]) == [tip.header, None, None, chain.headers([0])[0]]

    def test_the_headers_form_one_chain(self, chain):
        chain.mine(5)
        genesis, *rest = parse_headers(header for header in chain.headers(range(chain.tip().height + 1)) if header)
        check_links(genesis, rest, Network.REGTEST)
        assert len(rest) == INITIAL_HEIGHT + 5

    def test_no_headers_asked_for_none_given(self, chain):
        assert chain.headers([]) == []

    def test_check_counts_the_blocks(self, chain):
        chain.submit(chain.prepare(PAYLOAD))
        assert chain.check() == INITIAL_HEIGHT + 6 + 1


class TestWallet:
    def test_to_prepare_sends_nothing(self, chain):
        tip = chain.tip()
        assert chain.prepare(PAYLOAD) == chain.prepare(PAYLOAD)
        assert chain.tip() == tip

    def test_exactly_one_output_is_the_anchor(self, chain):
        scripts = [bytes(output.scriptPubKey) for output in blocks.deserialised(chain.prepare(PAYLOAD)).vout]
        assert scripts.count(anchor_script(PAYLOAD)) == 1
        assert scripts.count(blocks.OUTPUT_SCRIPT) == 1

    def test_the_whole_coin_comes_back(self, chain):
        transaction = blocks.deserialised(chain.prepare(PAYLOAD))
        coin = coinbase(chain, INITIAL_HEIGHT + 1 - 100)
        assert transaction.vin[0].prevout.hash == coin.GetTxid()
        assert sum(output.nValue for output in transaction.vout) == coin.vout[0].nValue

    @pytest.mark.parametrize("length", [0, 35, 37, 80])
    def test_a_payload_of_another_length_is_refused(self, chain, directory, length):
        with pytest.raises(WalletError, match="expected a payload of 36 bytes"):
            chain.prepare(bytes(length))
        assert not directory.exists()

    def test_twenty_anchors_in_a_row_each_find_a_coin(self, directory):
        chain = EmbeddedChain(directory, now=lambda: int(time.time()), confirmations=1)
        for number in range(20):
            chain.submit(chain.prepare(b"MDA1" + number.to_bytes(32, "big")))
        assert chain.tip().height == INITIAL_HEIGHT + 20


class TestSubmission:
    @pytest.mark.parametrize("confirmations", [1, 2, 6])
    def test_the_transaction_is_buried(self, directory, confirmations):
        chain = EmbeddedChain(directory, now=lambda: int(time.time()), confirmations=confirmations)
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        anchor = chain.locate(transaction, since=0, successors=10)
        assert anchor is not None
        assert len(anchor.block.successors) == confirmations - 1

    def test_again_mines_nothing(self, chain):
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        tip = chain.tip()
        chain.submit(transaction)
        assert chain.tip() == tip
        assert copies(chain, transaction) == 1

    def test_again_after_more_blocks_mines_nothing(self, chain):
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        chain.mine(3)
        chain.submit(transaction)
        assert chain.tip().height == INITIAL_HEIGHT + 9

    def test_again_makes_up_missing_confirmations(self, chain, directory):
        shallow = EmbeddedChain(directory, now=lambda: int(time.time()), confirmations=2)
        transaction = shallow.prepare(PAYLOAD)
        shallow.submit(transaction)
        chain.submit(transaction)
        assert chain.tip().height == INITIAL_HEIGHT + 6
        assert copies(chain, transaction) == 1

    def refused(self, chain: EmbeddedChain, transaction: bytes, reason: str) -> None:
        tip = chain.tip()
        with pytest.raises(ChainError, match="refuse the block") as caught:
            chain.submit(transaction)
        assert reason in str(caught.value)
        with pytest.raises(ChainError, match="refuse the block"):
            chain.submit(transaction)
        assert chain.tip() == tip
        chain.submit(chain.prepare(PAYLOAD))
        assert chain.tip().height == tip.height + 6
        assert chain.check() == tip.height + 7

    def test_inflation_is_refused(self, chain):
        self.refused(chain, spend(chain, 1, extra=1), "bad-txns-in-belowout")

    def test_a_coin_spent_before_is_refused(self, chain):
        first = spend(chain, 1)
        chain.mine(1, [first])
        coin = blocks.id_of(coinbase(chain, 1))
        self.refused(chain, blocks.anchoring_transaction(coin, 1, PAYLOAD, height=0), "bad-txns-inputs-missingorspent")

    def test_a_coin_that_never_was_is_refused(self, chain):
        transaction = blocks.anchoring_transaction(Hash(b"\x01" * 32), 1, PAYLOAD, height=0)
        self.refused(chain, transaction, "bad-txns-inputs-missingorspent")

    def test_an_immature_coin_is_refused(self, chain):
        self.refused(chain, spend(chain, 3), "bad-txns-premature-spend-of-coinbase")

    def test_a_wrong_witness_is_refused(self, chain):
        wrong = spend(chain, 1).replace(b"\x01\x01\x51", b"\x01\x01\x00")
        self.refused(chain, wrong, "Witness program hash mismatch")

    def test_a_missing_witness_is_refused(self, chain):
        bare = blocks.without_witness(blocks.deserialised(spend(chain, 1)))
        self.refused(chain, bare, "Witness program was passed an empty witness")

    def test_a_lock_time_not_reached_is_refused(self, chain):
        coin = coinbase(chain, 1)
        early = blocks.anchoring_transaction(blocks.id_of(coin), 1, PAYLOAD, height=INITIAL_HEIGHT + 1)
        self.refused(chain, early, "bad-txns-nonfinal")

    def test_one_coin_twice_in_a_block_is_refused(self, chain):
        first = spend(chain, 1)
        second = blocks.anchoring_transaction(blocks.id_of(coinbase(chain, 1)), 1, PAYLOAD, height=0)
        tip = chain.tip()
        with pytest.raises(ChainError, match="bad-txns-inputs-missingorspent"):
            chain.mine(1, [first, second])
        assert chain.tip() == tip

    def test_of_two_prepared_on_one_tip_the_second_is_refused_and_can_be_made_again(self, chain):
        first, second = chain.prepare(PAYLOAD), chain.prepare(PAYLOAD[::-1])
        chain.submit(first)
        with pytest.raises(ChainError, match="missingorspent"):
            chain.submit(second)
        chain.submit(chain.prepare(PAYLOAD[::-1]))
        assert chain.tip().height == INITIAL_HEIGHT + 12

    def test_what_is_no_transaction_is_refused_before_anything_is_made(self, chain, directory):
        with pytest.raises(ChainError, match="expected a serialised transaction"):
            chain.submit(b"no transaction")
        assert not directory.exists()


class TestEvidence:
    def test_it_verifies(self, chain):
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        anchor = chain.locate(transaction, since=INITIAL_HEIGHT)
        assert anchor is not None
        assert anchor.block.height == INITIAL_HEIGHT + 1
        assert anchor.transaction == blocks.without_witness(blocks.deserialised(transaction))
        assert chain.headers([anchor.block.height]) == [anchor.block.header]
        check_evidence(anchor)

    @pytest.mark.parametrize("count", range(1, 9))
    def test_it_verifies_for_every_transaction_of_a_block(self, chain, count):
        chain.mine(count)
        transactions = [spend(chain, height) for height in range(1, count + 1)]
        chain.mine(1, transactions)
        for index, transaction in enumerate(transactions, start=1):
            anchor = chain.locate(transaction, since=0)
            assert anchor is not None
            assert anchor.branch.index == index
            check_evidence(anchor)

    @pytest.mark.parametrize(("wanted", "given"), [(0, 0), (1, 1), (5, 5), (6, 5), (2_016, 5)])
    def test_it_carries_the_successors_asked_for_and_no_more_than_there_are(self, chain, wanted, given):
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        anchor = chain.locate(transaction, since=0, successors=wanted)
        assert anchor is not None
        assert len(anchor.block.successors) == given

    def test_it_is_found_without_its_witness_and_from_its_own_height_on(self, chain):
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        bare = blocks.without_witness(blocks.deserialised(transaction))
        assert chain.locate(bare, since=INITIAL_HEIGHT + 1) == chain.locate(transaction, since=-1)
        assert chain.locate(bare, since=INITIAL_HEIGHT + 2) is None
        assert chain.locate(bare, since=10_000) is None

    def test_what_was_never_sent_is_not_found(self, chain):
        assert chain.locate(chain.prepare(PAYLOAD), since=0) is None


class TestReorg:
    @pytest.mark.parametrize("depth", range(1, 7))
    def test_a_replaced_transaction_is_gone_and_the_same_bytes_can_be_sent_again(self, directory, depth):
        chain = EmbeddedChain(directory, now=lambda: int(time.time()), confirmations=depth)
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        before = chain.locate(transaction, since=0)
        chain.reorg(depth)
        assert chain.tip().height == INITIAL_HEIGHT + depth + 1
        assert chain.locate(transaction, since=0) is None
        assert before is not None
        assert chain.headers([before.block.height]) != [before.block.header]
        chain.submit(transaction)
        after = chain.locate(transaction, since=0)
        assert after is not None
        assert after.block.height == INITIAL_HEIGHT + depth + 2
        check_evidence(after)
        assert copies(chain, transaction) == 1

    def test_one_that_is_too_shallow_leaves_the_transaction_where_it_is(self, chain):
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        before = chain.locate(transaction, since=0)
        chain.reorg(5)
        after = chain.locate(transaction, since=0)
        assert before is not None
        assert after is not None
        assert (after.block.height, after.block.header) == (before.block.height, before.block.header)
        assert after.block.successors != before.block.successors

    def test_the_anchor_before_it_and_the_one_after_it_do_not_fight_over_a_coin(self, chain):
        first = chain.prepare(PAYLOAD)
        chain.submit(first)
        chain.reorg(6)
        second = chain.prepare(PAYLOAD[::-1])
        chain.submit(second)
        chain.submit(first)
        assert copies(chain, first) == copies(chain, second) == 1

    def test_many_in_one_second(self, chain):
        for _ in range(4):
            tip = chain.tip()
            chain.reorg(3)
            assert chain.tip().height == tip.height + 1
        assert chain.check() == INITIAL_HEIGHT + 4 + 1

    @pytest.mark.parametrize("depth", [-1, 0, INITIAL_HEIGHT + 1])
    def test_a_depth_that_makes_no_sense_is_refused(self, chain, depth):
        with pytest.raises(UsageError, match="expected a depth from 1 to 101"):
            chain.reorg(depth)

    def test_down_to_the_genesis_block(self, chain):
        chain.create()
        chain.reorg(INITIAL_HEIGHT)
        assert chain.check() == INITIAL_HEIGHT + 2


class TestTime:
    def test_a_new_block_is_made_now(self, chain):
        chain.create()
        chain.mine()
        assert abs(times(chain)[-1] - time.time()) < 60

    @pytest.mark.parametrize("years", [-56, -10, 10, 80])
    def test_a_caller_whose_clock_is_years_off_can_go_on(self, directory, years):
        skewed = EmbeddedChain(directory, now=lambda: int(time.time()) + years * 31_557_600)
        skewed.submit(skewed.prepare(PAYLOAD))
        assert max(times(skewed)) < time.time() + 7_200
        EmbeddedChain(directory, now=lambda: int(time.time())).mine(12)

    def test_a_clock_set_back_does_not_stop_the_chain(self, chain, directory):
        chain.mine(12)
        late = max(times(chain))
        past = EmbeddedChain(directory, now=lambda: late - 10 * 31_557_600)
        past.mine(12)
        assert min(times(chain)[-8:]) > late - 60
        assert max(times(chain)) <= late + 10

    def test_blocks_of_one_second_do_not_run_ahead(self, chain):
        chain.mine(60)
        assert max(times(chain)) < time.time() + 20


class TestHeight:
    def test_beyond_the_last_subsidy_a_coin_of_nothing_still_anchors(self, directory):
        chain = EmbeddedChain(directory, now=lambda: int(time.time()))
        chain.mine(5_000)
        transaction = chain.prepare(PAYLOAD)
        assert sum(output.nValue for output in blocks.deserialised(transaction).vout) == 0
        chain.submit(transaction)
        anchor = chain.locate(transaction, since=5_100)
        assert anchor is not None
        assert anchor.block.height == 5_102
        check_evidence(anchor)


def test_a_directory_of_any_name_will_do(directory: Path):
    chain = EmbeddedChain(directory / "Klinik Süd" / "Ω 'x' %41", now=lambda: int(time.time()))
    assert chain.tip().height == INITIAL_HEIGHT


def test_a_relative_directory_will_do(directory: Path, monkeypatch):
    monkeypatch.chdir(directory.parent)
    chain = EmbeddedChain(Path(directory.name), now=lambda: int(time.time()))
    assert chain.tip().height == INITIAL_HEIGHT
    assert (directory / "regtest").is_dir()
