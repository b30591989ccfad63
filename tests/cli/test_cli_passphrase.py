"""A key's passphrase: from a file, the environment or a prompt, and never a prompt where nobody can answer."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from transcript import run, spawn
from world import surroundings

SECRET = "correct horse battery staple"  # noqa: S105 - of keys that live as long as a test
CHEAP_SCRYPT_N = 16


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Make scrypt cheap in this process; a key file carries its own cost."""
    monkeypatch.setattr("medanchor.vault.sealed.SCRYPT_N", CHEAP_SCRYPT_N)


def passphrase_file(text: str, name: str = "secret") -> Path:
    path = Path(name)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def encrypted():
    """Return the file with the passphrase of the only key of a new vault."""
    file = passphrase_file(f"{SECRET}\nthe second line is no part of it\n")
    done = run("init", "--passphrase-file", file, "--name", "Dr A. Example")
    assert (done.code, "encrypted with a passphrase" in done.out) == (0, True)
    return file


def test_the_file_opens_the_key_and_its_secret_is_not_on_the_disk(encrypted, user):
    assert run("stamp", "visit", "--passphrase-file", encrypted).code == 0
    assert run("key", "list").out.endswith("with a passphrase\n")
    vault = user / "home" / ".local" / "share" / "medanchor"
    assert all(SECRET.encode() not in path.read_bytes() for path in vault.rglob("*") if path.is_file())


@pytest.mark.usefixtures("encrypted")
def test_the_environment_opens_the_key():
    assert run("stamp", "visit", env={"MEDANCHOR_PASSPHRASE": SECRET}).code == 0


def test_a_passphrase_need_not_be_text(user):
    file = Path("bytes")
    file.write_bytes(b"pass\xff\n")
    file.chmod(0o600)
    assert run("init", "--passphrase-file", file).code == 0
    env = surroundings(user / "home")
    done = spawn("stamp", "visit", env={**env, "MEDANCHOR_PASSPHRASE": "pass\udcff"})  # how Python spells the byte
    assert (done.code, done.err) == (0, "")
    done = spawn("stamp", "visit", "--again", env={**env, "MEDANCHOR_PASSPHRASE": "pass\udcfe"})
    assert (done.code, "wrong passphrase" in done.err) == (5, True)


def test_the_file_goes_before_the_environment(encrypted):
    done = run("stamp", "visit", "--passphrase-file", encrypted, env={"MEDANCHOR_PASSPHRASE": "wrong"})
    assert done.code == 0


@pytest.mark.usefixtures("encrypted")
@pytest.mark.parametrize("wrong", [SECRET + " ", SECRET.upper(), " ", "é"])
def test_a_wrong_passphrase_signs_nothing(wrong):
    done = run("stamp", "visit", env={"MEDANCHOR_PASSPHRASE": wrong})
    assert (done.code, done.out) == (5, "")
    assert done.err.splitlines() == [
        "medanchor: error: wrong passphrase for the key default",
        "medanchor: hint: try again; nothing was changed",
    ]
    assert run("log").out == "the ledger is empty\n"


@pytest.mark.usefixtures("encrypted")
@pytest.mark.parametrize("environment", [{}, {"MEDANCHOR_PASSPHRASE": ""}], ids=["absent", "empty"])
def test_without_a_terminal_nothing_waits_for_an_answer(environment):
    done = run("stamp", "visit", env=environment)
    assert (done.code, done.out) == (5, "")
    assert done.err.splitlines() == [
        "medanchor: error: a passphrase is needed and there is no terminal to ask at",
        "medanchor: hint: give --passphrase-file FILE or set MEDANCHOR_PASSPHRASE",
    ]
    assert run("init", "--vault", "other", "--passphrase").code == 5
    assert not Path("other").exists()


def test_anchoring_needs_no_passphrase(encrypted):
    assert run("stamp", "visit", "--passphrase-file", encrypted).code == 0
    assert run("anchor").code == 0
    assert run("verify", "visit").code == 0
    assert run("audit").code == 0


@pytest.mark.usefixtures("encrypted")
@pytest.mark.parametrize(
    ("content", "mode", "told", "code"),
    [
        ("", 0o600, "is empty", 2),
        ("\nlate\n", 0o600, "is empty", 2),
        (SECRET, 0o644, "owner's alone", 5),
        (None, 0o600, "no such file", 2),
    ],
    ids=["empty", "first-line-empty", "readable-by-others", "missing"],
)
def test_a_passphrase_file_that_will_not_do(content, mode, told, code):
    other = Path("other")
    if content is not None:
        other.write_text(content)
        other.chmod(mode)
    done = run("stamp", "visit", "--passphrase-file", other)
    assert done.code == code
    assert told in done.err
    assert "hint: " in done.err


@pytest.mark.usefixtures("encrypted")
def test_a_folder_is_no_passphrase_file():
    Path("folder").mkdir(mode=0o700)
    done = run("stamp", "visit", "--passphrase-file", "folder")
    assert (done.code, "is a directory" in done.err) == (2, True)


@pytest.mark.usefixtures("encrypted")
def test_lines_may_end_as_windows_ends_them():
    assert run("stamp", "visit", "--passphrase-file", passphrase_file(f"{SECRET}\r\n", "windows")).code == 0


def test_a_passphrase_is_changed_removed_and_given(encrypted):
    new = passphrase_file("another one", "new")
    change = ["key", "passphrase", "default"]
    assert run(*change, "--passphrase-file", new, "--new-passphrase-file", new).code == 5  # the old one is wrong
    assert run(*change, "--passphrase-file", encrypted, "--new-passphrase-file", new).code == 0
    assert run("stamp", "visit/letter.txt", "--passphrase-file", encrypted).code == 5
    assert run("stamp", "visit/letter.txt", "--passphrase-file", new).code == 0
    assert run(*change, "--passphrase-file", new, "--remove").code == 0
    assert run("stamp", "visit/image.dcm").code == 0
    assert run(*change, "--new-passphrase-file", encrypted).code == 0
    assert run("stamp", "visit").code == 5
    assert run("stamp", "visit", "--passphrase-file", encrypted).code == 0
    assert run("audit").code == 0


def test_new_and_rotated_keys_can_have_one(encrypted):
    assert run("key", "new", "b", "--passphrase-file", encrypted).code == 0
    assert run("key", "rotate", "b", env={"MEDANCHOR_PASSPHRASE": SECRET}).code == 0
    assert run("key", "list").out.count("with a passphrase") == 3
    assert run("stamp", "visit", "--key", "b-2", "--passphrase-file", encrypted).code == 0


def test_the_successor_of_an_encrypted_key_is_never_in_plain(encrypted):
    done = run("key", "rotate", "default")
    assert (done.code, "a passphrase is needed and there is no terminal" in done.err) == (5, True)
    assert run("key", "list").out.count("default") == 1
    assert run("key", "rotate", "default", "--passphrase-file", encrypted).code == 0
    assert "in plain" not in run("key", "list").out
    assert run("key", "new", "plain").code == 0
    assert run("key", "rotate", "plain").code == 0  # one in plain has a successor in plain, and asks nothing
    assert run("key", "list").out.count("in plain") == 2


# At a terminal

IMPATIENCE = 10


def at_a_terminal(*args: str, answers: list[str]) -> tuple[int, str]:
    """Run a command at a terminal, answer its prompts, and return its exit code and what was seen there."""
    process_id, terminal = pty.fork()
    if not process_id:
        os.execve(sys.executable, [sys.executable, "-m", "medanchor", *args], surroundings(Path.home()))  # noqa: S606
    shown, typed = b"", b""
    try:
        while True:
            if not select.select([terminal], [], [], IMPATIENCE)[0]:
                os.write(
                    terminal, typed
                )  # a key pressed in the moment before the prompt listens is lost: press it again
                continue
            if not (block := os.read(terminal, 1024)):
                break
            shown += block
            if shown.endswith((b"phrase: ", b"again: ", b"default: ")) and answers:
                typed = answers.pop(0).encode()
                os.write(terminal, typed)
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]), shown.decode()


@pytest.mark.usefixtures("encrypted")
def test_the_prompt_opens_the_key_and_shows_nothing():
    code, shown = at_a_terminal("stamp", "visit", answers=[f"{SECRET}\n"])
    assert (code, "3 records stamped" in shown, SECRET in shown) == (0, True, False)
    code, shown = at_a_terminal("stamp", "visit", "--again", answers=["wrong\n"])
    assert (code, "wrong passphrase" in shown) == (5, True)


@pytest.mark.usefixtures("encrypted")
@pytest.mark.parametrize(("key", "code"), [("\x04", 5), ("\x03", 130)], ids=["ctrl-d", "ctrl-c"])
def test_a_prompt_can_be_left(key, code):
    assert at_a_terminal("stamp", "visit", answers=[key])[0] == code
    assert run("log").out == "the ledger is empty\n"


def test_a_new_passphrase_is_asked_for_twice(user):
    init = ["init", "--passphrase", "--vault", str(user / "vault")]
    code, shown = at_a_terminal(*init, answers=["one\n", "another\n"])
    assert (code, "the two passphrases differ, or are empty" in shown) == (2, True)
    code, shown = at_a_terminal(*init, answers=["\n"])
    assert code == 2
    assert not (user / "vault").exists()
    code, shown = at_a_terminal(*init, answers=["one\n", "one\n"])
    assert (code, "encrypted with a passphrase" in shown) == (0, True)
    change = ["key", "passphrase", "default", "--vault", str(user / "vault")]
    assert at_a_terminal(*change, answers=["two\n", "tow\n"])[0] == 2
    assert at_a_terminal(*change, answers=["two\n", "two\n", "one\n"])[0] == 0
    assert at_a_terminal("stamp", "visit", "--vault", str(user / "vault"), answers=["two\n"])[0] == 0


def test_a_passphrase_is_never_in_the_process_list_nor_in_what_is_printed(encrypted):
    for flags in ([], ["--json"], ["--verbose"]):
        done = spawn("stamp", "visit", "--passphrase-file", encrypted, *flags, env=surroundings(Path.home()))
        assert done.code == 0
        assert SECRET not in done.out + done.err
    assert "passphrase TEXT" not in subprocess.run(
        [sys.executable, "-m", "medanchor", "stamp", "--help"], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
