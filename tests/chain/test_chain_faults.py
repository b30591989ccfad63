"""The embedded chain in ill health: killed, crowded, starved, locked out, damaged; only the clock is simulated."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_embedded import PAYLOAD, copies
from worker import NOBODY

from medanchor.chain import kernel
from medanchor.chain.embedded import INITIAL_HEIGHT, EmbeddedChain
from medanchor.core.header import Network
from medanchor.errors import ChainError

YEARS = 10 * 31_557_600
KILLS = 30


class Worker:
    """A process of its own on the chain in a directory; it obeys one request at a time, in a child of its own."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("worker.py"), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, request: str) -> int:
        """Have a child do `request`; return its process id."""
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        self._answers = []
        while not (line := self._line()).isdigit():
            self._answers.append(line)  # a quick child has answered before its parent has told its number
        return int(line)

    def finish(self) -> str:
        """Return what the child said, or how it died."""
        while not (line := self._line()).startswith("ended "):
            self._answers.append(line)
        return " ".join(self._answers) or line

    def ask(self, request: str) -> str:
        self.start(request)
        return self.finish()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _line(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            pytest.fail("the worker died")
        return line.strip()


@pytest.fixture
def worker(directory: Path):
    made = Worker(directory)
    yield made
    made.close()


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same damage on every run is the point


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        value = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([value ^ 1]))


class TestKill:
    def test_nothing_is_lost_or_mined_twice(self, chain, worker):
        """SIGKILL at random moments of `submit`, from the opening to after the end."""
        chain.create()
        moments = chance(5)
        outcomes, sent = set(), []
        for number in range(KILLS):
            transaction = chain.prepare(b"MDA1" + number.to_bytes(32, "big"))
            tip = chain.tip().height
            child = worker.start(f"submit {transaction.hex()}")
            time.sleep(moments.random() * 0.12)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            outcomes.add(worker.finish())
            assert tip <= chain.tip().height <= tip + 6
            chain.submit(transaction)
            sent.append(transaction)
        assert "ended -9" in outcomes
        assert [copies(chain, transaction) for transaction in sent] == [1] * KILLS
        assert chain.check() == chain.tip().height + 1

    def test_of_the_making_leaves_nothing_half_made(self, directory, worker):
        moments = chance(6)
        for _ in range(10):
            child = worker.start("tip")
            time.sleep(moments.random() * 0.1)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            worker.finish()
            if (directory / "regtest").exists():
                assert EmbeddedChain(directory, now=lambda: 0).check() == INITIAL_HEIGHT + 1
                shutil.rmtree(directory)
        assert worker.ask("tip") == f"height {INITIAL_HEIGHT}"

    def test_while_holding_the_lock_lets_the_next_one_in(self, chain, directory, worker):
        chain.create()
        child = worker.start("mine 1000")
        deadline = time.monotonic() + 10
        while (directory / "lock").read_bytes().endswith(b"done\n") and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        assert chain.tip().height >= INITIAL_HEIGHT
        assert worker.finish() == "ended -9"


class TestCrowd:
    def test_each_waits_for_its_turn(self, chain, directory):
        chain.create()
        workers = [Worker(directory) for _ in range(3)]
        for worker in workers:
            worker.start("mine 8")
        assert all(worker.finish().startswith("height") for worker in workers)
        for worker in workers:
            worker.close()
        assert chain.tip().height == INITIAL_HEIGHT + 24
        assert chain.check() == INITIAL_HEIGHT + 25

    def test_the_same_transaction_from_all_of_them_is_mined_once(self, chain, directory):
        transaction = chain.prepare(PAYLOAD)
        workers = [Worker(directory) for _ in range(3)]
        for worker in workers:
            worker.start(f"submit {transaction.hex()}")
        assert {worker.finish() for worker in workers} == {f"height {INITIAL_HEIGHT + 6}"}
        for worker in workers:
            worker.close()
        assert copies(chain, transaction) == 1

    def test_threads_take_turns_too(self, chain):
        from concurrent.futures import ThreadPoolExecutor

        chain.create()
        former = os.umask(0o022)
        try:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: chain.mine(), range(12)))
            assert os.umask(0o022) == 0o022
        finally:
            os.umask(former)
        assert chain.tip().height == INITIAL_HEIGHT + 12

    def test_another_program_in_it_is_named_and_nothing_is_rebuilt(self, chain, directory, worker):
        chain.submit(chain.prepare(PAYLOAD))
        with kernel.opened(directory / "regtest", Network.REGTEST):
            for _ in range(2):
                assert "another program has it open" in worker.ask("tip")
        assert chain.tip().height == INITIAL_HEIGHT + 6


class TestRoom:
    def test_too_little_is_seen_before_anything_is_mined(self, chain, monkeypatch):
        transaction = chain.prepare(PAYLOAD)
        tip = chain.tip()
        monkeypatch.setattr(kernel, "ROOM", 1 << 62)
        with pytest.raises(ChainError, match=r"expected at least .* MiB free") as caught:
            chain.submit(transaction)
        assert caught.value.hint is not None
        assert chain.tip() == tip
        monkeypatch.undo()
        chain.submit(transaction)

    def test_too_little_for_a_new_chain_makes_none(self, chain, directory, monkeypatch):
        monkeypatch.setattr(kernel, "ROOM", 1 << 62)
        with pytest.raises(ChainError, match=r"expected at least .* MiB free"):
            chain.tip()
        assert not (directory / "regtest").exists()
        monkeypatch.undo()
        assert chain.tip().height == INITIAL_HEIGHT

    @pytest.mark.parametrize("most", [4_096, 16_384, 65_536])
    def test_a_failing_write_is_reported_or_did_not_matter(self, chain, worker, most):
        transaction = chain.prepare(PAYLOAD)
        answer = worker.ask(f"limit={most} submit {transaction.hex()}")
        assert answer == f"height {INITIAL_HEIGHT + 6}" or answer.startswith("ChainError")
        chain.submit(transaction)
        assert copies(chain, transaction) == 1
        assert chain.check() == chain.tip().height + 1

    def test_a_failing_write_is_reported(self, chain, worker):
        transaction = chain.prepare(PAYLOAD)
        assert "could not be written" in worker.ask(f"limit=4096 submit {transaction.hex()}")

    def test_a_chain_that_cannot_be_written_whole_is_not_made(self, chain, directory, worker):
        assert "could not be written" in worker.ask("limit=4096 tip")
        assert not (directory / "regtest").exists()
        assert chain.check() == INITIAL_HEIGHT + 1

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
    def test_a_full_disk_loses_nothing(self, chain, directory):
        directory.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "none", directory], check=False)
        if mounted.returncode:
            pytest.skip("this container may not mount")
        try:
            self.fill_and_empty(chain, directory)
        finally:
            subprocess.run(["umount", directory], check=True)

    def fill_and_empty(self, chain: EmbeddedChain, directory: Path) -> None:
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        for left in (30 << 20, 4_096, 0):
            with (directory / "filler").open("ab") as filler:
                filler.write(bytes(shutil.disk_usage(directory).free - left))
            if left > 4_096:
                assert chain.tip().height == INITIAL_HEIGHT + 6
            with pytest.raises(ChainError, match="MiB free"):
                chain.mine()
        (directory / "filler").unlink()
        assert chain.check() == INITIAL_HEIGHT + 7
        assert copies(chain, transaction) == 1


def may_become_another() -> bool:
    """Whether we are a root who knows other users; that of a namespace of its own may know none."""
    mapped = int(Path("/proc/self/uid_map").read_text().split()[2]) if Path("/proc/self/uid_map").exists() else 1
    return os.geteuid() == 0 and mapped > NOBODY


class TestNoAccess:
    def test_a_file_in_its_place(self, chain, directory):
        directory.write_text("a file")
        with pytest.raises(ChainError, match="cannot be used: file exists") as caught:
            chain.tip()
        assert caught.value.hint is not None
        assert str(directory) in str(caught.value)

    def test_a_file_above_it(self, directory):
        directory.write_text("a file")
        with pytest.raises(ChainError, match="cannot be used: not a directory"):
            EmbeddedChain(directory / "chain", now=lambda: 0).tip()

    def test_a_file_inside_it(self, chain, directory):
        directory.mkdir()
        (directory / "regtest").write_text("a file")
        with pytest.raises(ChainError, match="expected a directory for a chain"):
            chain.tip()

    def test_a_name_that_is_not_unicode(self, directory):
        odd = Path(os.fsdecode(os.fsencode(directory) + b"\xff"))
        with pytest.raises(ChainError, match="expected a directory for a chain") as caught:
            EmbeddedChain(odd, now=lambda: 0).tip()
        assert str(caught.value).isascii()

    @pytest.mark.skipif(not may_become_another(), reason="permissions are tested by a process that gives up root's")
    @pytest.mark.parametrize("closed", ["", "regtest", "regtest/chainstate", "regtest/blocks/index"])
    def test_what_may_not_be_written_is_said_and_nothing_is_rebuilt(self, chain, directory, worker, closed):
        chain.submit(chain.prepare(PAYLOAD))
        for parent in list(directory.parents)[:3]:
            parent.chmod(0o711)
        for path in [directory, *directory.rglob("*")]:
            path.chmod(0o777)
        for path in [directory / closed, *(directory / closed).rglob("*")]:
            path.chmod(0o555)
        assert worker.ask("nobody=1 tip").startswith("ChainError")
        assert worker.ask("nobody=1 tip").startswith("ChainError")
        assert chain.check() == INITIAL_HEIGHT + 7


class TestClock:
    """The machine's own clock, which the engine reads too; a caller's clock is tested among the healthy."""

    @pytest.fixture(autouse=True)
    def _mockable(self):
        import pbk.capi.library

        if not hasattr(pbk.capi.library.BITCOINKERNEL_LIB, "_Z11SetMockTimel"):
            pytest.skip("this build of the engine hides its test clock")

    def test_years_ahead_changes_nothing(self, worker):
        assert worker.ask(f"clock={YEARS} mine 3") == f"height {INITIAL_HEIGHT + 3}"
        assert worker.ask(f"clock={YEARS} mine 3") == f"height {INITIAL_HEIGHT + 6}"

    def test_set_back_within_two_hours_changes_nothing(self, worker):
        worker.ask("mine 3")
        assert worker.ask("clock=-7000 mine 12") == f"height {INITIAL_HEIGHT + 15}"

    def test_set_back_years_is_said_and_loses_nothing(self, worker):
        worker.ask("mine 3")
        for _ in range(2):
            assert "later than this machine's clock" in worker.ask(f"clock={-YEARS} mine 3")
        assert worker.ask("check") == f"height {INITIAL_HEIGHT + 3}"


class TestDamage:
    def test_any_flipped_byte_of_a_block_is_found(self, chain, directory):
        """Sampled; the eight bytes before each block (magic and length) are the file's, not the block's."""
        chain.submit(chain.prepare(PAYLOAD))
        inside, end = [], 0
        with chain._opened() as opened:
            for height in range(opened.height + 1):
                size = 81 + sum(map(len, opened.transactions(height)))
                inside += range(end + 8, end + 8 + size)
                end += 8 + size
        pristine = directory.with_name("pristine")
        shutil.copytree(directory, pristine)
        for offset in chance(7).sample(inside, 40):
            flip(directory / "regtest" / "blocks" / "blk00000.dat", offset)
            with pytest.raises(ChainError, match=r"damaged|cannot be read"):
                chain.check()
            shutil.rmtree(directory)
            shutil.copytree(pristine, directory)
        assert chain.check() == INITIAL_HEIGHT + 7

    def test_the_damaged_block_is_named(self, chain, directory):
        chain.create()
        with chain._opened() as opened:
            before = sum(89 + sum(map(len, opened.transactions(height))) for height in range(50))
        flip(directory / "regtest" / "blocks" / "blk00000.dat", before + 8 + 100)
        with pytest.raises(ChainError, match="block 50 "):
            chain.check()

    @pytest.mark.parametrize("name", ["blocks/index", "chainstate", "blocks/rev00000.dat"])
    def test_a_lost_database_is_made_again(self, chain, directory, name):
        transaction = chain.prepare(PAYLOAD)
        chain.submit(transaction)
        lost = directory / "regtest" / name
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
        assert chain.check() == INITIAL_HEIGHT + 7
        chain.reorg(1)
        chain.submit(chain.prepare(PAYLOAD))
        assert copies(chain, transaction) == 1

    @pytest.mark.parametrize("name", ["blocks/index", "chainstate"])
    @pytest.mark.parametrize("suffix", [".ldb", ".log", "CURRENT", "MANIFEST-*"])
    def test_a_database_full_of_rubbish_is_made_again_at_the_latest_by_the_second_try(
        self, chain, directory, worker, name, suffix
    ):
        """The engine may abort its process over rubbish; the note in the lock file then has the database rebuilt."""
        for number in range(3):
            chain.submit(chain.prepare(b"MDA1" + number.to_bytes(32, "big")))
        found = list((directory / "regtest" / name).glob(f"*{suffix}"))
        for path in found:
            path.write_bytes(chance(8).randbytes(path.stat().st_size))
        height = f"height {INITIAL_HEIGHT + 19}"
        assert height in (worker.ask("mine 1"), worker.ask("tip"), worker.ask("mine 1"))
        assert chain.check() >= INITIAL_HEIGHT + 19 + 1

    @pytest.mark.parametrize("lost", ["blk00000.dat", "xor.dat"])
    def test_lost_blocks_are_never_replaced_in_silence(self, chain, directory, lost):
        chain.submit(chain.prepare(PAYLOAD))
        path = directory / "regtest" / "blocks" / lost
        kept = path.read_bytes()
        path.unlink()
        for _ in range(2):
            with pytest.raises(ChainError, match="is damaged") as caught:
                chain.submit(chain.prepare(PAYLOAD))
            assert "move it away" in str(caught.value.hint)
        path.write_bytes(kept)
        assert chain.check() == INITIAL_HEIGHT + 7

    def test_a_chain_cut_short_is_not_gone_on_with(self, chain, directory):
        chain.mine(20)
        path = directory / "regtest" / "blocks" / "blk00000.dat"
        kept = path.read_bytes()
        path.write_bytes(kept[:10_000] + bytes(len(kept) - 10_000))
        shutil.rmtree(directory / "regtest" / "blocks" / "index")
        for _ in range(2):
            with pytest.raises(ChainError, match=f"expected a height of at least {INITIAL_HEIGHT + 20}, found"):
                chain.tip()
        path.write_bytes(kept)
        assert chain.check() == INITIAL_HEIGHT + 21

    def test_a_chain_that_vanished_is_not_made_anew_in_silence(self, chain, directory):
        chain.create()
        shutil.rmtree(directory / "regtest")
        with pytest.raises(ChainError, match="its blocks are gone"):
            chain.tip()

    def test_a_lost_lock_file_does_no_harm(self, chain, directory):
        chain.mine()
        (directory / "lock").unlink()
        assert chain.tip().height == INITIAL_HEIGHT + 1
