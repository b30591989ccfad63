"""Folders as they should not be: too deep, too full, changing while they are walked, closed to us."""

import os
import shutil
import stat
import subprocess
import sys
import textwrap

import pytest
from folders import below, found, make, problems

from medanchor.records import walk as walk_module
from medanchor.records.walk import Group, Problem, Severity, walk

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
