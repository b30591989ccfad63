"""Blocks that go through shared memory come out as they went in, in order, however slow or dead a process is."""

import os
import random
import signal
import sys
import time

import pytest

from medanchor.records import workers as workers_module
from medanchor.records.workers import Workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process does it all")


def blocks(count, longest, seed=0):
    dice = random.Random(seed)  # noqa: S311 - a dice
    for number in range(count):
        yield [dice.randbytes(dice.randrange(longest)) for _ in range(dice.randrange(4))], number


def whole(parted):
    return [(b"".join(parts), number) for parts, number in parted]


def back(block, number):
    return block, number


@pytest.fixture
def small_slots(monkeypatch):
    """Slots of few bytes, and processes that come late to some of them."""
    get = workers_module._Slots.get

    def late(slots, at):
        time.sleep(0.02 if isinstance(at, slice) and at.stop % 5 == 0 else 0)
        return get(slots, at)

    monkeypatch.setattr(workers_module._Slots, "get", late)
    monkeypatch.setattr(workers_module, "SLOT_BYTES", 300)


@pytest.mark.usefixtures("small_slots")
def test_blocks_of_all_lengths_come_out_in_order():
    longer = sum(len(block) > 300 for block, _ in whole(blocks(200, 200)))
    assert 20 < longer < 150, "some of them go through the pipe"
    with Workers() as workers:
        for seed in range(3):
            found = list(workers.map_blocks(back, blocks(200, 200, seed)))
            assert found == whole(blocks(200, 200, seed))


@pytest.mark.usefixtures("small_slots")
def test_a_slot_is_not_filled_again_before_its_result_is_there(monkeypatch):
    put, result = workers_module._Slots.put, workers_module._result
    filled, taken = [], []

    def watched_put(slots, turn, parts):
        filled.append(turn)
        assert len(filled) - len(taken) <= slots.count, "the slot of one whose result nobody has"
        return put(slots, turn, parts)

    def watched_result(*arguments):
        taken.append(result(*arguments))
        return taken[-1]

    monkeypatch.setattr(workers_module._Slots, "put", watched_put)
    monkeypatch.setattr(workers_module, "_result", watched_result)
    with Workers() as workers:
        assert list(workers.map_blocks(back, blocks(100, 90))) == taken == whole(blocks(100, 90))
    assert filled == list(range(100))


def deadly(block, number):
    if number == 17 and os.getpid() != int(os.environ["PARENT"]):
        open(os.environ["KILLED"], "xb").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return back(block, number)


@pytest.mark.usefixtures("small_slots")
def test_blocks_whose_process_was_killed_are_read_here(monkeypatch, tmp_path):
    monkeypatch.setenv("PARENT", str(os.getpid()))
    monkeypatch.setenv("KILLED", str(tmp_path / "killed"))
    with Workers() as workers:
        assert list(workers.map_blocks(deadly, blocks(60, 90))) == whole(blocks(60, 90))
    assert (tmp_path / "killed").exists()


@pytest.mark.usefixtures("small_slots")
def test_what_is_left_of_a_map_that_was_given_up_does_not_reach_the_next():
    with Workers() as workers:
        given_up = workers.map_blocks(back, blocks(100, 90))
        assert next(given_up) == whole(blocks(1, 90))[0]
        given_up.close()
        assert list(workers.map_blocks(back, blocks(100, 90, 1))) == whole(blocks(100, 90, 1))


def whose(*_arguments):
    return os.getpid()


def test_blocks_are_read_by_other_processes():
    with Workers() as workers:
        pids = set(workers.map_blocks(whose, blocks(50, 90)))
    assert pids
    assert os.getpid() not in pids


def test_without_memory_to_share_one_process_does_it(monkeypatch):
    def fail(*_arguments):
        raise OSError(12, "cannot allocate memory")

    monkeypatch.setattr("mmap.mmap", fail)
    with Workers() as workers:
        assert list(workers.map_blocks(back, blocks(9, 90))) == whole(blocks(9, 90))
        assert list(workers.map(whose, range(5), ahead=1)) == [os.getpid()] * 5
