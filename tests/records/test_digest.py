"""Raw digests: the same by every way, in order, and without waiting for anybody who is gone."""

import errno
import gc
import hashlib
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from medanchor.records import digest as digest_module
from medanchor.records import workers as workers_module
from medanchor.records.digest import Hashed, digest_all, digest_file, digest_stream
from medanchor.records.walk import Group, Problem, Severity, walk

SIZES = (0, 1, 65_535, 65_536, 65_537, 1 << 20)
ENOUGH = 200
"""So many records are given to processes of their own."""


def ignore(_count):
    pass


def digests(found, progress=ignore):
    """All records, path → digest, in order, and all problems."""
    hashed, problems = {}, []
    for item in digest_all(found, progress):
        if isinstance(item, Problem):
            problems.append(item)
        else:
            paths = [os.path.join(item.folder, name) for name in item.names]
            hashed.update(zip(paths, item.raw_list(), strict=True))
    return hashed, problems


def fill(folder, count, *, start=0):
    folder.mkdir(exist_ok=True)
    for number in range(start, start + count):
        (folder / f"{number:05}").write_bytes(b"%d" % number)
    return os.fsencode(folder)


@pytest.mark.parametrize("size", SIZES)
def test_digests_are_those_of_hashlib(tmp_path, size):
    content = os.urandom(size)
    path = tmp_path / "record"
    path.write_bytes(content)
    expected = hashlib.sha256(content).digest()
    assert digest_file(os.fsencode(path)) == digest_stream(io.BytesIO(content)) == expected
    assert digests(walk([os.fsencode(path)]))[0] == {os.fsencode(path): expected}


class Dribble(io.RawIOBase):
    """A pipe whose writer is slow: every read gives one byte, less than was asked for."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def read(self, _size=-1):
        return self._content.read(1)


def test_short_reads_are_not_the_end():
    assert digest_stream(Dribble(b"a record")) == hashlib.sha256(b"a record").digest()


def test_processes_and_this_one_give_the_same_in_the_same_order(tmp_path, monkeypatch):
    folders = [fill(tmp_path / name, ENOUGH, start=start) for start, name in enumerate("cab")]
    (tmp_path / "a" / "00100").unlink()
    (tmp_path / "a" / "00100").symlink_to("nowhere")
    found = list(walk([*folders, b"/nowhere"], follow=True))
    spread = list(digest_all(found, ignore))
    monkeypatch.setattr(digest_module, "ALONE", 1 << 30)
    alone = list(digest_all(found, ignore))
    assert [item for item in spread if isinstance(item, Hashed)] == [item for item in alone if isinstance(item, Hashed)]
    assert digests(found)[0].keys() == {
        os.path.join(item.folder, name) for item in found if isinstance(item, Group) for name in item.names
    }
    told = [item for item in spread if isinstance(item, Problem)]
    assert sorted(map(repr, told)) == sorted(repr(item) for item in alone if isinstance(item, Problem))
    assert len(told) == 2


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 23, 24, 25, 56, 57, 1000])
def test_every_record_comes_once_however_many_there_are(tmp_path, count):
    folder = fill(tmp_path / "records", count)
    told = []
    hashed, problems = digests(walk([folder]), told.append)
    assert list(hashed) == [os.path.join(folder, b"%05d" % number) for number in range(count)]
    assert list(hashed.values()) == [hashlib.sha256(b"%d" % number).digest() for number in range(count)]
    assert (sum(told), problems) == (count, [])


@pytest.mark.parametrize("count", [3, ENOUGH])
def test_what_vanished_or_is_no_file_any_more_is_told_and_stops_nothing(tmp_path, count):
    folder = fill(tmp_path / "records", count)
    found = list(walk([folder]))
    for name in ("00000", "00001", "00002"):
        (tmp_path / "records" / name).unlink()
    (tmp_path / "records" / "00001").mkdir()
    os.mkfifo(tmp_path / "records" / "00002")
    hashed, problems = digests(found)
    assert len(hashed) == count - 3
    assert [(os.path.basename(each.path), each.reason, each.severity) for each in problems] == [
        (b"00000", "no such file or directory", Severity.UNREADABLE),
        (b"00001", "is a directory", Severity.UNREADABLE),
        (b"00002", "it is not a file any more", Severity.UNREADABLE),
    ]


@pytest.mark.parametrize("count", [3, ENOUGH])
def test_a_folder_that_vanished_costs_its_records_only(tmp_path, count):
    folder = fill(tmp_path / "records", count)
    gone = Group(os.fsencode(tmp_path / "gone"), [b"a", b"b"])
    hashed, problems = digests([gone, *walk([folder])])
    assert len(hashed) == count
    assert [each.path for each in problems] == [gone.folder + b"/a", gone.folder + b"/b"]


def test_what_is_found_is_read_in_this_thread(tmp_path):
    """A database that finds the records may know one thread only."""
    threads = set()

    def found():
        for name in "abcde":
            threads.add(threading.get_ident())
            yield Group(fill(tmp_path / name, 100), [b"%05d" % number for number in range(100)])

    assert len(digests(found())[0]) == 500
    assert threads == {threading.get_ident()}


def test_an_error_while_finding_comes_out(tmp_path):
    def found():
        yield from walk([fill(tmp_path / "records", ENOUGH)])
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        digests(found())


def children():
    told = subprocess.run(["pgrep", "-P", str(os.getpid())], check=False, capture_output=True, text=True).stdout
    return [int(number) for number in told.split()]


@pytest.fixture
def deadly(monkeypatch):
    """A record that kills whatever worker reads it, as the kernel does when memory runs out."""
    parent, digest_group = os.getpid(), digest_module._digest_group

    def die(group, *how):
        if b"00003" in group.names and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return digest_group(group, *how)

    monkeypatch.setattr(digest_module, "_digest_group", die)


@pytest.mark.usefixtures("deadly")
def test_a_worker_that_is_killed_costs_time_but_no_record(tmp_path):
    """A pool of multiprocessing would wait for its result for ever."""
    hashed, problems = digests(walk([fill(tmp_path / "records", ENOUGH)]))
    assert [os.path.basename(path) for path in hashed] == [b"%05d" % number for number in range(ENOUGH)]
    assert list(hashed.values()) == [hashlib.sha256(b"%d" % number).digest() for number in range(ENOUGH)]
    assert problems == []


@pytest.mark.usefixtures("deadly")
def test_what_is_found_after_a_worker_was_killed_is_read_too(tmp_path):
    def found():
        yield from walk([fill(tmp_path / "a", ENOUGH)])
        before = time.monotonic()
        while children() and time.monotonic() < before + 20:
            time.sleep(0.01)  # until the pool knows that it is broken
        yield from walk([fill(tmp_path / "b", 2 * ENOUGH)])

    assert len(digests(found())[0]) == 3 * ENOUGH


def fail_to(*_arguments, **_options):
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def fail_to_start(_thread):
    raise RuntimeError("can't start new thread")


class Forks:
    """Lets so many forks succeed."""

    def __init__(self, count):
        self._count, self._fork = count, os.fork

    def __call__(self):
        self._count -= 1
        return fail_to() if self._count < 0 else self._fork()


SHORTAGES = {
    "fork": lambda patch: patch.setattr(os, "fork", Forks(0)),
    "second fork": lambda patch: patch.setattr(os, "fork", Forks(1)),
    "thread": lambda patch: patch.setattr(threading.Thread, "start", fail_to_start),
    "pipe": lambda patch: patch.setattr(os, "pipe", fail_to),
    "semaphore": lambda patch: patch.setattr(multiprocessing.context.BaseContext, "Lock", fail_to),
}


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_where_the_system_gives_no_processes_this_one_reads_all(tmp_path, monkeypatch, shortage):
    found = list(walk([fill(tmp_path / "records", 3 * ENOUGH)]))
    monkeypatch.setattr(workers_module, "worker_count", lambda: 2)
    with monkeypatch.context() as patch:
        SHORTAGES[shortage](patch)
        hashed, problems = digests(found)
    assert list(hashed.values()) == [hashlib.sha256(b"%d" % number).digest() for number in range(3 * ENOUGH)]
    assert problems == []
    for child in multiprocessing.active_children():
        child.join(20)
    assert not multiprocessing.active_children(), "those that were started ended with the pool"


def test_a_pool_that_cannot_be_made_leaves_nothing_open(tmp_path, monkeypatch):
    found = list(walk([fill(tmp_path / "records", ENOUGH)]))
    gc.collect()  # what other tests left open would be closed meanwhile, and its numbers used again
    before = set(os.listdir("/proc/self/fd"))
    SHORTAGES["semaphore"](monkeypatch)
    assert len(digests(found)[0]) == ENOUGH
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("allowed", "expected"), [({0}, 1), ({3, 5}, 2), (set(range(64)), 8)])
def test_there_are_as_many_workers_as_processors_that_may_be_used_but_not_too_many(monkeypatch, allowed, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: allowed)
    assert workers_module.worker_count() == expected


def test_a_file_that_became_a_full_pipe_is_no_record(tmp_path):
    """What was put into it is neither hashed nor taken from whom it is meant for."""
    os.mkfifo(tmp_path / "record")
    pipe = os.open(tmp_path / "record", os.O_RDWR)
    try:
        os.write(pipe, b"content")
        with pytest.raises(OSError, match="it is not a file any more"):
            digest_file(os.fsencode(tmp_path / "record"))
        assert os.read(pipe, 100) == b"content"
    finally:
        os.close(pipe)


def test_where_processes_cannot_be_forked_safely_one_reads_all(tmp_path, monkeypatch):
    found = list(walk([fill(tmp_path / "records", ENOUGH)]))
    expected = list(digest_all(found, ignore))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(workers_module, "_pool", None)
    assert list(digest_all(found, ignore)) == expected


def test_whoever_stops_listening_stops_the_workers(tmp_path):
    before = set(children())
    items = digest_all(walk([fill(tmp_path / "records", ENOUGH)]), ignore)
    next(items)
    items.close()
    assert set(children()) <= before


def test_workers_that_are_busy_are_not_waited_for(tmp_path, monkeypatch):
    parent, digest_group = os.getpid(), digest_module._digest_group

    def dawdle(group, *how):
        if b"00100" in group.names and os.getpid() != parent:
            time.sleep(600)
        return digest_group(group, *how)

    monkeypatch.setattr(digest_module, "_digest_group", dawdle)
    items = digest_all(walk([fill(tmp_path / "records", ENOUGH)]), ignore)
    next(items)
    start = time.monotonic()
    items.close()
    assert time.monotonic() - start < 60


ABANDONED = """
    import contextlib, os, sys
    from medanchor.records.digest import digest_all
    from medanchor.records.walk import walk
    with contextlib.closing(digest_all(walk([os.fsencode(sys.argv[1])]), lambda count: None)) as items:
        for item in items:
            print(os.getpid(), flush=True)
            sys.stdin.read()
"""


def started(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ABANDONED), folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    process.stdout.readline()
    return process


def group_is_gone(group, seconds=20):
    """Whether all processes of the group have ended, the killed ones' orphans too."""
    for _ in range(seconds * 50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        if all(line.split()[1].startswith("Z") for line in states(group)):
            return True
        time.sleep(0.02)
    return False


def states(group):
    told = subprocess.run(["ps", "-eo", "pgid,stat"], check=True, capture_output=True, text=True).stdout
    return [line for line in told.splitlines()[1:] if line.split()[0] == str(group)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_when_their_parent_does(tmp_path, how):
    with started(fill(tmp_path / "records", 2 * ENOUGH)) as process:
        process.send_signal(how)
        assert process.wait(timeout=20) != 0
        process.stdin.close()
        assert group_is_gone(process.pid)
