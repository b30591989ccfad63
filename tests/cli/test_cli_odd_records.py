"""Records that cannot be read, vanish, or are none: each is named, the rest is done, and the exit code tells."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from transcript import assert_one_error, run, spawn
from world import surroundings


@pytest.fixture
def vault(user):
    assert run("stamp", "visit/letter.txt", "--anchor").code == 0
    return user / "home" / ".local" / "share" / "medanchor"


@pytest.mark.usefixtures("vault")
def test_one_unreadable_among_many_is_named_and_the_rest_stamped(user):
    many = user / "many"
    many.mkdir()
    for number in range(200):  # enough for the hashing to be done by several processes
        (many / f"{number:03}").write_bytes(b"%d" % number)
    done = run("stamp", "many", "/proc/self/mem", "visit")
    assert_one_error(done, 9, "the others are in order")
    assert "/proc/self/mem" not in done.err
    assert "202 records stamped" in done.out
    assert "/mem: input/output error" in done.out
    done = run("verify", "many", "/proc/self/mem")
    assert_one_error(done, 9)
    assert run("verify", "many").code == 3
    done = run("proof", "export", "many", "/proc/self/mem", "-o", "proofs")
    assert_one_error(done, 9)
    assert len(list((user / "proofs").iterdir())) == 200


def test_a_record_that_may_not_be_read(user):
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if powerless and shutil.which("setpriv") is None:
        pytest.skip("run as root and without setpriv, nothing is forbidden")
    (user / "visit" / "image.dcm").chmod(0)
    done = spawn("stamp", "visit", env=surroundings(user / "home"), under=powerless)
    assert_one_error(done, 9)
    assert "2 records stamped" in done.out
    assert "image.dcm: permission denied" in done.out


def test_a_record_that_vanishes_meanwhile(monkeypatch):
    from medanchor.records import digest

    honest = digest._digest_group

    def too_late(group, *how):
        Path("visit/image.dcm").unlink(missing_ok=True)
        return honest(group, *how)

    monkeypatch.setattr(digest, "_digest_group", too_late)
    done = run("stamp", "visit")
    assert_one_error(done, 9)
    assert "2 records stamped" in done.out
    assert "image.dcm: no such file or directory" in done.out


def test_a_folder_that_vanishes_meanwhile(monkeypatch):
    from medanchor.records import digest

    honest = digest._digest_group

    def too_late(group, *how):
        shutil.rmtree("visit", ignore_errors=True)
        return honest(group, *how)

    monkeypatch.setattr(digest, "_digest_group", too_late)
    assert_one_error(run("stamp", "visit"), 9, "nothing was stamped")


@pytest.mark.usefixtures("vault")
def test_a_swept_record_that_cannot_be_read_is_told_by_the_audit(monkeypatch):
    from medanchor.records import digest

    def refuse(*_how):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(digest, "_digest", refuse)
    done = run("audit")
    assert_one_error(done, 9, "1 stamped record could not be read")
    assert "unreadable: " in done.out


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
def test_what_is_no_record_given_with_a_proof(user, kind):
    assert run("proof", "export", "visit/letter.txt").code == 0
    path = {"device": Path("/dev/null"), "folder": user / "visit"}.get(kind, user / kind)
    if kind == "pipe":
        os.mkfifo(path)
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "socket":
            listener.bind(os.path.relpath(path))  # the whole path may be too long for a socket
        for command in (["verify", path, "--proof", "visit/letter.txt.medproof"], ["proof", "inspect", path]):
            if (kind, command[0]) != ("pipe", "proof"):  # reading a proof from a pipe is right: verify <(unseal proof)
                assert_one_error(run(*command), 4 if kind == "device" and command[0] == "proof" else 2)


def test_a_socket_and_a_pipe_in_a_folder_are_named_and_skipped():
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("visit/socket")
        os.mkfifo("visit/pipe")
        done = run("stamp", "visit")
    assert (done.code, done.err.count("medanchor:")) == (0, 1)  # the warning that a vault was made
    assert "skipped: " in done.out
    assert "3 records stamped" in done.out


def test_the_home_of_a_user_without_a_name(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: (_ for _ in ()).throw(KeyError("uid not found")))
    assert "by unnamed" in run("stamp", "visit").out


def test_two_who_make_the_first_vault_at_once(user):
    command = [sys.executable, "-m", "medanchor", "stamp"]
    env = surroundings(user / "home")
    runs = [
        subprocess.Popen([*command, f"visit/{name}"], env=env) for name in ("image.dcm", "letter.txt", "results.hl7")
    ]
    assert [process.wait(timeout=60) for process in runs] == [0, 0, 0]
    assert len(spawn("log", env=env).out.splitlines()) == 3
