"""Files and directories that are their owner's alone, written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from medanchor.errors import VaultError
from medanchor.vault import private


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request):
    former = os.umask(request.param)
    yield
    os.umask(former)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_modes_do_not_depend_on_the_umask(tmp_path):
    private.make_directory(tmp_path / "new" / "vault")
    private.write_file(tmp_path / "new" / "vault" / "file", b"data")
    assert mode(tmp_path / "new" / "vault") == 0o700
    assert mode(tmp_path / "new" / "vault" / "file") == 0o600


def test_a_directory_that_is_there_is_made_private(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    private.make_directory(tmp_path / "open")
    assert mode(tmp_path / "open") == 0o700


def test_a_file_is_replaced_whole(tmp_path):
    private.write_file(tmp_path / "file", b"old" * 1000)
    private.write_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 - the hidden ones too


def test_a_file_that_must_not_be_replaced_is_not(tmp_path):
    private.write_file(tmp_path / "file", b"first", replace=False)
    with pytest.raises(FileExistsError):
        private.write_file(tmp_path / "file", b"second", replace=False)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert mode(tmp_path / "file") == 0o600


@pytest.mark.parametrize("call", ["fsync", "fdopen"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, call):
    private.write_file(tmp_path / "file", b"old")

    def fail(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(private.os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        private.write_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    private.write_file(tmp_path / "file", b"old")

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        private.write_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_drafts_of_killed_runs_are_removed_once_nobody_can_be_writing_them(tmp_path):
    for name in ("old", "new"):
        (tmp_path / f"{private.DRAFT}{name}").write_bytes(b"draft")
        (tmp_path / f"{private.DRAFT}{name}-folder").mkdir()
    (tmp_path / "letter").write_bytes(b"mine")
    for name in ("old", "old-folder"):
        os.utime(tmp_path / f"{private.DRAFT}{name}", (0, 0))
    os.utime(tmp_path / "letter", (0, 0))
    private.sweep(tmp_path)
    expected = [f"{private.DRAFT}new", f"{private.DRAFT}new-folder", "letter"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(expected)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.ENOTDIR])
def test_the_operating_systems_refusals_say_what_to_do(tmp_path, code):
    with pytest.raises(VaultError, match=os.strerror(code).lower()) as caught, private.storage_errors(tmp_path):
        raise OSError(code, os.strerror(code))
    assert caught.value.hint


def test_other_refusals_are_told_as_they_are(tmp_path):
    with pytest.raises(VaultError, match="something odd"), private.storage_errors(tmp_path):
        raise OSError("Something odd")
