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
    names = [f"{private.DRAFT}{age}_{kind}" for age in ("old", "new") for kind in ("file", "file.medproof", "folder")]
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("folder") else (tmp_path / name).write_bytes(b"draft")
        if "draft-old" in name:
            os.utime(tmp_path / name, (0, 0))
    private.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(name for name in names if "draft-new" in name)


@pytest.mark.parametrize(
    "name",
    [
        "letter",
        ".medanchor-clinic",
        ".medanchor-draft",
        ".medanchor-draft-",
        ".medanchor-draft-of-a-letter",
        ".medanchor-draft-01234567.pdf",
        ".medanchor-draft-01234567.medproof.pdf",
        ".medanchor-draft-0123456",
        ".medanchor-draft-01234567\n",
        "x.medanchor-draft-01234567",
    ],
)
def test_what_is_no_draft_by_its_whole_name_is_never_removed_however_old(tmp_path, name):
    for path in (tmp_path / name, tmp_path / "folders" / name):
        path.parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    (tmp_path / "folders" / name).mkdir()
    for folder in (tmp_path, tmp_path / "folders"):
        os.utime(folder / name, (0, 0))
        private.sweep(folder)
        assert (folder / name).exists()


def test_a_draft_is_swept_by_the_name_it_was_made_under(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "replace", lambda *_names: None)  # as if it had been killed there
    private.write_file(tmp_path / "file", b"data")
    (draft,) = tmp_path.iterdir()
    os.utime(draft, (0, 0))
    private.sweep(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.ENOTDIR])
def test_the_operating_systems_refusals_say_what_to_do(tmp_path, code):
    with pytest.raises(VaultError, match=os.strerror(code).lower()) as caught, private.storage_errors(tmp_path):
        raise OSError(code, os.strerror(code))
    assert caught.value.hint


def test_other_refusals_are_told_as_they_are(tmp_path):
    with pytest.raises(VaultError, match="something odd"), private.storage_errors(tmp_path):
        raise OSError("Something odd")
