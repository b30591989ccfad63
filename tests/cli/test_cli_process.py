"""The command as a process of its own: no terminal, odd surroundings, odd names, Ctrl-C, a reader that goes away."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transcript import run, spawn, tree
from world import surroundings

MEDANCHOR = [sys.executable, "-m", "medanchor"]
INTERRUPTED = 130
BROKEN_PIPE = 141
ESCAPE = "\x1b"


@pytest.fixture
def env(user):
    return surroundings(user / "home") | {"MEDANCHOR_VAULT": str(user / "vault")}


@pytest.fixture
def vault(user, env):
    done = spawn("init", "--origin", "clinic.example/ward-7", env=env)
    assert done.code == 0, done.err
    return user / "vault"


def on_a_terminal(*args, env, feed=b"") -> tuple[int, str]:
    """Run a command at a terminal; return its exit code and all that appeared there."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [*MEDANCHOR, *args], env=env, stdin=side, stdout=side, stderr=side, start_new_session=True
    )
    os.close(side)
    os.write(main, feed)
    shown = b""
    try:
        while block := os.read(main, 4096):
            shown += block
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(main)
    return process.wait(timeout=30), shown.decode("utf-8", "replace")


# Without a terminal


@pytest.mark.usefixtures("vault")
def test_cron_sees_no_prompt_no_colour_and_no_progress(env):
    done = spawn("stamp", "visit", "--anchor", env=env | {"TERM": "dumb"})
    assert (done.code, done.err) == (0, "")
    assert ESCAPE not in done.out


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_closed_stream_hurts_nobody(env, stream):
    def close() -> None:
        os.close(stream)

    done = subprocess.run([*MEDANCHOR, "stamp", "visit"], env=env, preexec_fn=close, check=False, timeout=60)
    assert done.returncode == 0
    assert spawn("audit", env=env).code == 0


@pytest.mark.usefixtures("vault")
def test_a_closed_stdin_is_not_an_empty_record(env):
    for arguments in (["stamp", "-"], ["stamp", "--files-from", "-"]):
        done = spawn(*arguments, env=env, stdin=None, preexec_fn=lambda: os.close(0))
        assert done.code == 2, arguments
        assert "Traceback" not in done.err
    assert spawn("log", env=env).out == "the ledger is empty\n"


@pytest.mark.usefixtures("vault")
def test_a_full_stdout_is_told_and_loses_nothing(env):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*MEDANCHOR, "stamp", "visit"], env=env, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "medanchor: error: cannot write the results: no space left on device",
        "medanchor: hint: what was done is done: 'medanchor log' shows it",
    ]
    assert "3 records" in spawn("log", env=env).out


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize("flags", [[], ["--json", "--verbose"]], ids=["lines", "json"])
def test_a_reader_that_goes_away_ends_the_command_quietly(env, user, flags):
    many = user / "many"
    many.mkdir()
    for number in range(1500):
        (many / f"a-record-with-a-name-of-some-length-{number:06}").write_bytes(b"%d" % number)
    command = [*MEDANCHOR, "verify", "many", *flags]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == BROKEN_PIPE


# Ctrl-C


STARTED = """
import os, sys

class Tell:
    def find_spec(self, name, path=None, target=None):
        if name == "medanchor.cli.main":
            sys.meta_path.remove(self)
            os.write({descriptor}, b"1")

sys.meta_path.insert(0, Tell())
from medanchor.__main__ import main
main()
"""
"""Runs the command, and tells when it begins to import the rest: what is before that is Python's own start."""


def begin(*args: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Return a command as a process of which the first lines of ours have run."""
    told, descriptor = os.pipe()
    command = [sys.executable, "-c", STARTED.format(descriptor=descriptor), *args]
    process = subprocess.Popen(command, env=env, pass_fds=[descriptor], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(descriptor)
    assert os.read(told, 1) == b"1"
    os.close(told)
    return process


@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.15, 0.3, 0.5, 0.8])
def test_ctrl_c_ends_with_130_and_the_next_command_goes_on(env, vault, delay):
    process = begin("stamp", "visit", "--anchor", env=env)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    if b"mind: on regtest" not in out:
        assert (process.returncode, out, err) == (INTERRUPTED, out, b"")
    else:  # all was done and told: what is interrupted is Python's own end, which may be by the signal
        assert process.returncode in (0, INTERRUPTED, -signal.SIGINT)
    assert run("stamp", "visit", "--anchor", "--vault", vault).code == 0
    assert run("audit", "--vault", vault).code == 0
    assert len(run("log", "--vault", vault).out.splitlines()) == 1


# Surroundings


@pytest.mark.usefixtures("vault")
@pytest.mark.parametrize(
    "locale",
    [{"LANG": "C"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["C", "C-without-coercion", "ascii"],
)
def test_any_locale_will_do(env, user, locale):
    (user / "visit" / "Zoë 病歴.txt").write_bytes(b"x")
    done = spawn("stamp", "visit", env=env | locale)
    assert (done.code, done.err) == (0, "")
    done = spawn("verify", "visit", "--verbose", env=env | locale)
    assert done.code == 3
    assert "4 records unchanged" in done.out
    (user / "visit" / "Zoë 病歴.txt").write_bytes(b"y")
    done = spawn("verify", "visit", env=env | locale)
    assert done.code == 4
    assert "CHANGED" in done.out


NAMES = {
    "not-utf-8": b"caf\xe9.txt",
    "newline": b"two\nlines.txt",
    "escape": b"\x1b[2J\x1b]0;title\x07gone.txt",
    "bidi": "\u202etxt.exe".encode(),
    "leading-dash": b"--json",
    "long": b"n" * 246,
    "backslash": b"a\\b.txt",
    "spaces": b"  two  spaces ",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_any_file_name_goes_all_the_way_and_none_reaches_the_terminal_raw(user, name):
    Path("odd").mkdir()
    path = str(user / "odd" / os.fsdecode(name))
    Path(path).write_bytes(b"content")
    assert run("stamp", "odd").code == 0
    assert run("stamp", "odd").out.startswith("nothing new to stamp")
    assert run("verify", path).code == 3  # as stamped, only not anchored
    assert run("proof", "export", path).code == 0
    assert run("verify", path, "--proof", f"{path}.medproof").code == 3
    Path(path).write_bytes(b"changed")
    for arguments in (["verify", path], ["verify", "odd"], ["audit"], ["proof", "export", path]):
        for flags in ([], ["--json"], ["--json", "--verbose"]):
            done = run(*arguments, *flags)
            assert done.code == 4
            assert all(character.isprintable() or character == "\n" for character in done.out + done.err)
            assert not flags or done.json
    Path(path).unlink()
    assert run("verify", "odd").out.startswith("MISSING")


@pytest.mark.usefixtures("vault")
def test_a_name_as_bytes_in_the_arguments(env, user):
    (user / os.fsdecode(b"caf\xe9")).write_bytes(b"content")
    assert spawn("stamp", b"caf\xe9", env=env).code == 0
    done = spawn("verify", b"caf\xe9", "--json", env=env)
    assert (done.code, done.json["records"][0]["path"]) == (3, "caf?")


@pytest.mark.usefixtures("vault")
def test_an_escape_in_what_was_typed_does_not_come_back(env):
    for arguments in (
        ["stamp", f"{ESCAPE}[2J"],
        ["verify", "x", "--proof", f"{ESCAPE}[2J"],
        ["key", "use", f"{ESCAPE}c"],
    ):
        done = spawn(*arguments, env=env)
        assert done.code
        assert ESCAPE not in done.out + done.err


def test_umask_000_leaves_nothing_for_others(env, user):
    done = spawn("stamp", "visit", "--anchor", env=env, preexec_fn=lambda: os.umask(0))
    assert done.code == 0
    paths = [user / "vault", *(user / "vault").rglob("*")]
    assert len(paths) > 10
    assert {oct(path.stat().st_mode & 0o077) for path in paths} == {"0o0"}
    done = spawn("proof", "export", "visit", "-o", "proofs", env=env, preexec_fn=lambda: os.umask(0))
    assert done.code == 0
    assert {oct(path.stat().st_mode & 0o777) for path in (user / "proofs").iterdir()} == {"0o600"}


# The command itself


def test_the_version_is_told_both_ways(env):
    module = spawn("--version", env=env)
    script = subprocess.run(
        [sys.executable, "-c", "from medanchor.cli.main import main; main()", "--version"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert module.out == script.stdout
    assert module.out.startswith("medanchor ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(env, shell):
    done = spawn("--show-completion", shell, env=env | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert done.code == 0
    assert "_MEDANCHOR_COMPLETE" in done.out.upper()


def test_completion_completes(env):
    asked = {"_MEDANCHOR_COMPLETE": "complete_bash", "COMP_WORDS": "medanchor st", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['medanchor']; from medanchor.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=env | asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["stamp", "status"]


@pytest.mark.usefixtures("vault")
def test_colour_is_for_terminals_and_no_color_is_obeyed(env):
    assert spawn("stamp", "visit", "--anchor", env=env).code == 0
    env = env | {"TERM": "xterm-256color"}
    code, shown = on_a_terminal("verify", "visit/letter.txt", env=env)
    assert code == 0
    assert ESCAPE in shown
    code, shown = on_a_terminal("verify", "visit/letter.txt", env=env | {"NO_COLOR": "1"})
    assert (code, "verified by the embedded regtest chain" in shown.replace("\r\n", "")) == (0, True)
    assert f"{ESCAPE}[3" not in shown


@pytest.mark.usefixtures("vault")
def test_a_wait_shows_a_bar_on_a_terminal_and_nothing_elsewhere(env, user):
    script = (
        "import sys, medanchor.cli.output as output; output.PROGRESS_AFTER_SECONDS = 0;"
        "sys.argv = ['medanchor', 'stamp', 'visit']; from medanchor.cli.main import main; main()"
    )
    main, side = pty.openpty()
    env = env | {"TERM": "xterm-256color"}
    process = subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, stderr=side, cwd=user)
    out, _ = process.communicate(timeout=30)
    os.close(side)
    shown = os.read(main, 4096).decode()
    os.close(main)
    assert (process.returncode, out.startswith(b"3 records stamped")) == (0, True)
    assert "records read" in shown


@pytest.mark.usefixtures("vault")
def test_a_dry_run_writes_nothing(env, user):
    assert spawn("stamp", "visit/letter.txt", env=env).code == 0
    before = tree(user)
    done = spawn("stamp", "visit", "--dry-run", env=env)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "would stamp 2 records as authorship, and skip 1 unchanged\nonly its bytes are covered: "
    )
    assert tree(user) == before
