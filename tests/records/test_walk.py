"""Finding records in folders as people really have them: links, loops, pipes, depths, and files that come and go."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap

import pytest

from medanchor.records import walk as walk_module
from medanchor.records.walk import Group, Problem, Severity, absolute, walk


@pytest.fixture
def root(tmp_path):
    return os.fsencode(tmp_path.resolve())


@pytest.fixture
def quick_root():
    """As `root`, in memory where there is such a place: for more files than a disk makes in a moment."""
    memory = "/dev/shm"  # noqa: S108 - a directory of its own is made there
    place = memory if os.access(memory, os.W_OK) else None
    folder = tempfile.mkdtemp(dir=place)
    yield os.fsencode(os.path.realpath(folder))
    subprocess.run(["rm", "-rf", folder], check=True)  # Python's own way is not made for such depths


def make(root, *paths):
    for path in paths:
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(path)


def found(*paths, **options):
    """The paths of all records that a walk finds, in its order."""
    items = list(walk(paths, **options))
    return [os.path.join(item.folder, name) for item in items if isinstance(item, Group) for name in item.names]


def problems(*paths, **options):
    return [item for item in walk(paths, **options) if isinstance(item, Problem)]


def below(root, *paths):
    return [os.path.join(root, path) for path in paths]


# -- order ------------------------------------------------------------------------------------------------------------


def test_folders_come_in_one_order_each_before_those_in_it(root):
    make(root, b"b/2", b"b/1", b"a/z/1", b"a/y", b"c", b"a.b", b"B", b"\xff")
    assert found(root) == below(root, b"B", b"a.b", b"c", b"\xff", b"a/y", b"a/z/1", b"b/1", b"b/2")


def test_what_is_named_comes_first_and_only_once(root):
    make(root, b"a/1", b"a/2", b"b/3")
    expected = below(root, b"a/2", b"a/1", b"b/3")
    assert found(root, os.path.join(root, b"a/2"), os.path.join(root, b"b"), os.path.join(root, b"a/2")) == expected


def test_a_folder_within_another_that_is_named_too_is_walked_once(root):
    make(root, b"a/b/1")
    for paths in ((b"a", b"a/b"), (b"a/b", b"a"), (b"a", b"a"), (b"a", b"./a/../a")):
        assert found(*below(root, *paths)) == below(root, b"a/b/1")


def test_names_of_any_bytes_but_two_are_found(root):
    names = sorted(bytes([byte]) for byte in range(1, 256) if byte not in b"/." and byte)
    make(root, *names)
    assert found(root) == below(root, *names)


def test_proofs_are_passed_over_in_folders_and_taken_when_named(root):
    make(root, b"a", b"a.medproof", b".medproof", b"a.medproof.pdf")
    assert found(root) == below(root, b"a", b"a.medproof.pdf")
    assert found(os.path.join(root, b"a.medproof")) == below(root, b"a.medproof")


def test_an_empty_folder_has_no_records(root):
    assert list(walk([root])) == []


# -- links ------------------------------------------------------------------------------------------------------------


def test_links_met_on_the_way_are_named_and_not_followed(root):
    make(root, b"a/record", b"elsewhere/other")
    os.symlink(b"record", os.path.join(root, b"a/link"))
    os.symlink(b"../elsewhere", os.path.join(root, b"a/folder"))
    assert found(os.path.join(root, b"a")) == below(root, b"a/record")
    assert problems(os.path.join(root, b"a")) == [
        Problem(path, "it is a symbolic link", Severity.SKIPPED) for path in below(root, b"a/folder", b"a/link")
    ]


def test_links_are_followed_if_asked_for(root):
    make(root, b"a/record", b"elsewhere/other")
    os.symlink(b"record", os.path.join(root, b"a/link"))
    os.symlink(b"../elsewhere", os.path.join(root, b"a/folder"))
    expected = below(root, b"a/link", b"a/record", b"a/folder/other")
    assert found(os.path.join(root, b"a"), follow=True) == expected


def test_a_link_that_is_named_is_followed(root):
    make(root, b"a/record")
    os.symlink(b"a", os.path.join(root, b"folder"))
    os.symlink(b"a/record", os.path.join(root, b"link"))
    assert found(os.path.join(root, b"folder")) == below(root, b"a/record")
    assert found(os.path.join(root, b"link")) == below(root, b"link")


def test_a_loop_of_links_ends(root):
    make(root, b"a/b/record")
    os.symlink(b"../..", os.path.join(root, b"a/b/up"))
    os.symlink(b"b", os.path.join(root, b"a/same"))
    assert found(root, follow=True) == below(root, b"a/b/record")


@pytest.mark.parametrize("follow", [False, True])
def test_links_to_nowhere_and_to_themselves_stop_nothing(root, follow):
    make(root, b"record")
    os.symlink(b"nowhere", os.path.join(root, b"dangling"))
    os.symlink(b"self", os.path.join(root, b"self"))
    assert found(root, follow=follow) == below(root, b"record")
    severity = Severity.UNREADABLE if follow else Severity.SKIPPED
    assert [(each.path, each.severity) for each in problems(root, follow=follow)] == [
        (path, severity) for path in below(root, b"dangling", b"self")
    ]


def test_hard_links_are_records_of_their_own(root):
    make(root, b"a")
    os.link(os.path.join(root, b"a"), os.path.join(root, b"b"))
    assert found(root) == below(root, b"a", b"b")


def test_two_dots_after_a_link_mean_what_the_operating_system_means(root):
    make(root, b"far/away/place/x", b"far/away/record", b"record")
    os.symlink(b"far/away/place", os.path.join(root, b"link"))
    path = os.path.join(root, b"link/../record")
    with open(path, "rb") as file:
        assert file.read() == b"far/away/record"
    assert absolute(path) == os.path.join(root, b"far/away/record")
    assert found(path) == below(root, b"far/away/record")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"a/record", b"a/record"),
        (b"./a//record", b"a/record"),
        (b"a/../a/record", b"a/record"),
        (b"link", b"link"),
        (b"folder/record", b"a/record"),
        (b"a/gone/../record", b"a/record"),
        (b"gone", b"gone"),
        (b"a/", b"a"),
        (b"a/.", b"a"),
        (b"a/..", b""),
        (b".", b""),
        (b"", b""),
    ],
)
def test_one_file_has_one_path(root, monkeypatch, path, expected):
    make(root, b"a/record")
    os.symlink(b"a", os.path.join(root, b"folder"))
    os.symlink(b"a/record", os.path.join(root, b"link"))
    monkeypatch.chdir(root)
    full = os.path.join(root, expected) if expected else root
    assert absolute(path) == full
    assert absolute(os.path.join(root, path)) == full


# -- what is no record ------------------------------------------------------------------------------------------------


def test_special_files_are_named_and_passed_over(root, monkeypatch):
    make(root, b"record")
    os.mkfifo(os.path.join(root, b"pipe"))
    monkeypatch.chdir(root)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        expected = [("pipe", "it is a named pipe, not a record"), ("socket", "it is a socket, not a record")]
        assert [(os.path.basename(each.path).decode(), each.reason) for each in problems(root)] == expected
        assert {each.severity for each in problems(root)} == {Severity.SKIPPED}
        assert found(root) == below(root, b"record")


def test_a_device_that_is_named_is_no_record():
    assert problems(b"/dev/null") == [Problem(b"/dev/null", "it is a device, not a record", Severity.SKIPPED)]


def test_what_is_not_there_is_told(root):
    assert problems(os.path.join(root, b"nowhere"), root + b"/nowhere\xff/\xfe") == [
        Problem(path, "no such file or directory", Severity.UNREADABLE)
        for path in below(root, b"nowhere", b"nowhere\xff/\xfe")
    ]


def test_folders_that_are_excluded_are_not_entered_by_any_path(root):
    make(root, b"vault/keys/default.key", b"record")
    os.symlink(b"vault", os.path.join(root, b"link"))
    exclude = below(root, b"vault")
    assert found(root, follow=True, exclude=exclude) == below(root, b"record")
    assert found(os.path.join(root, b"link"), exclude=exclude) == []


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_two_thousand_folders_deep(quick_root, monkeypatch):
    root = quick_root
    depth = min(2000, (4095 - len(root + b"/record")) // 2)  # as many as a path has room for
    monkeypatch.chdir(root)
    for _ in range(depth):
        os.mkdir(b"d")
        os.chdir(b"d")
    make(b"", b"./record")
    os.chdir(root)
    assert found(root) == [root + b"/d" * depth + b"/record"]


def test_a_folder_too_deep_for_a_path_is_told(quick_root, monkeypatch):
    root = quick_root
    make(root, b"record")
    monkeypatch.chdir(root)
    for _ in range(20):
        os.mkdir(b"d" * 250)
        os.chdir(b"d" * 250)
    os.chdir(root)
    assert found(root) == below(root, b"record")
    assert [(each.reason, each.severity) for each in problems(root)] == [("file name too long", Severity.UNREADABLE)]


def test_a_hundred_thousand_files_in_one_folder(quick_root):
    names = [b"%d" % number for number in range(100_000)]
    folder = os.open(quick_root, os.O_DIRECTORY)
    for name in names:
        os.mknod(name, 0o600 | stat.S_IFREG, dir_fd=folder)
    os.close(folder)
    assert found(quick_root) == below(quick_root, *sorted(names))


# -- files that come and go -------------------------------------------------------------------------------------------


def test_a_folder_that_vanishes_while_walking_is_told(root):
    make(root, b"a/1", b"b/2", b"c/3")
    items = walk([root])
    first = next(items)
    shutil.rmtree(os.path.join(root, b"b"))
    assert [first, *items] == [
        Group(os.path.join(root, b"a"), [b"1"]),
        Problem(os.path.join(root, b"b"), "no such file or directory", Severity.UNREADABLE),
        Group(os.path.join(root, b"c"), [b"3"]),
    ]


def test_a_folder_that_became_a_file_while_walking_is_told(root):
    make(root, b"a/1", b"b/2")
    items = walk([root])
    next(items)
    shutil.rmtree(os.path.join(root, b"b"))
    make(root, b"b")
    assert list(items) == [Problem(os.path.join(root, b"b"), "not a directory", Severity.UNREADABLE)]


def test_records_that_appear_in_a_folder_not_yet_walked_are_found(root):
    make(root, b"a/1", b"b/2")
    items = walk([root])
    next(items)
    make(root, b"b/3", b"b/c/4")
    assert list(items) == [Group(os.path.join(root, b"b"), [b"2", b"3"]), Group(os.path.join(root, b"b/c"), [b"4"])]


class Changeling:
    """A pipe when the folder was listed, a file when it was looked at."""

    def __init__(self, entry):
        self.name, self.path, self.stat = entry.name, entry.path, entry.stat

    def is_symlink(self):
        return False

    def is_dir(self, **_options):
        return False

    def is_file(self, **_options):
        return False


def test_a_pipe_that_became_a_file_while_walking_is_passed_over(root):
    make(root, b"record")
    with os.scandir(root) as entries:
        names, folders, told = walk_module._sorted_out([Changeling(entry) for entry in entries], follow=False)
    assert (names, folders) == ([], [])
    assert [each.severity for each in told] == [Severity.SKIPPED]


# -- permissions ------------------------------------------------------------------------------------------------------

UNPRIVILEGED = """
    import os, sys
    from medanchor.records.digest import Hashed, digest_all
    from medanchor.records.walk import walk
    for item in digest_all(walk([os.fsencode(path) for path in sys.argv[1:]]), lambda count: None):
        if isinstance(item, Hashed):
            print(b" ".join(item.names).decode())
        else:
            print(item.severity.value, os.path.basename(item.path).decode(), item.reason)
"""


def as_user(*paths):
    """What a user without a superuser's powers finds at `paths`."""
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if drop and shutil.which("setpriv") is None:
        pytest.skip("run as root and without setpriv, nothing is forbidden")
    command = [*drop, sys.executable, "-c", textwrap.dedent(UNPRIVILEGED), *paths]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_what_may_not_be_read_is_told_and_stops_nothing(tmp_path):
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"")
    (tmp_path / "secret").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        expected = ["unreadable closed permission denied", "record", "unreadable secret permission denied"]
        assert sorted(as_user(tmp_path)) == sorted(expected)
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_record_in_a_folder_that_may_be_entered_but_not_listed_is_read_when_named(tmp_path):
    (tmp_path / "record").write_bytes(b"")
    tmp_path.chmod(0o100)
    try:
        assert as_user(tmp_path / "record") == ["record"]
    finally:
        tmp_path.chmod(0o700)
