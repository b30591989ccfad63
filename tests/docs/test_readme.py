"""Every command in README.md and docs/operations.md works as written, and prints what the page says it prints.

Lines that begin with `$ ` in ```console blocks are run by a shell, in order, page by page: by a copy of `examples/`,
with a home of their own. What changes from run to run (times, hashes, paths) is masked, on the page and in the output.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/operations.md")
PROSE = (*PAGES, "docs/format.md", "docs/trust.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
HOME = "/home/you"
MARK = "== the next command =="

MASKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"\bkey [0-9a-f]{16}\b", "key ID"),
    (r'"[A-Za-z0-9+/]{43}="', '"PUBLIC KEY"'),
    (r"\b\d+ (second|minute)s?\b", "A WHILE"),
    (r"[0-9.]+ GB free", "SOME GB free"),
    (r"Python 3\.[0-9.]+", "Python 3"),
    (r"all \d+ files", "all files"),
)


@dataclass(frozen=True)
class Command:
    """A command on a page, and what the page says it prints, errors included."""

    line: str
    output: str


def blocks(page: str, kind: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[Command]:
    pieces = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert pieces.pop(0) == "", "a console block begins with a command"
    return [Command(*piece.split("\n", 1)) for piece in pieces]


def run(page: str, home: Path) -> list[tuple[Command, str]]:
    """Return each command of a page with what it really printed; the home's own path told as HOME."""
    work = home / "clone"
    shutil.copytree(ROOT / "examples", work / "examples")
    environment = {
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "LOGNAME": "you",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    found = []
    for block in blocks(page, "console"):
        wanted = commands(block)
        script = "".join(f"printf '%s\\n' '{MARK}'\n{command.line}\n" for command in wanted)
        done = subprocess.run(
            ["sh", "-c", script], cwd=work, env=environment, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        printed = done.stdout.decode().replace(str(home), HOME).split(f"{MARK}\n")
        found += zip(wanted, printed[1:], strict=True)
    return found


def masked(text: str) -> str:
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return text


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_print_what_it_says(page, tmp_path):
    found = run(page, tmp_path)
    assert found
    said = [f"$ {command.line}\n{masked(command.output)}" for command, _ in found]
    assert [f"$ {command.line}\n{masked(output)}" for command, output in found] == said


def test_the_commands_that_install_are_there():
    lines = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    assert lines == ["make demo", "make test", "pipx install .", "medanchor stamp FOLDER --anchor"]
    for target in ("demo", "test"):
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    assert 'medanchor = "medanchor.__main__:main"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_plain_way_for_users_makes_a_vault_and_says_so(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "LOGNAME": "you"}
    for name in ("MEDANCHOR_VAULT", "XDG_DATA_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "medanchor", "stamp", str(ROOT / "examples" / "visit-2026-11-21"), "--anchor"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert "there was no vault: made one in" in done.stderr
    assert "16 records, 11 of them inside others, stamped as authorship by you" in done.stdout


def test_every_command_and_exit_code_stands_in_the_readme():
    from medanchor import errors
    from medanchor.cli.main import app
    from medanchor.cli.output import EXIT_BROKEN_PIPE

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    for name in [*names, *(group.name for group in app.registered_groups)]:
        assert re.search(rf"^\| `{name}\b", readme, re.MULTILINE), name
    codes = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \| ", readme, re.MULTILINE) for code in cell.split(",")}
    classes = [value for value in vars(errors).values() if isinstance(value, type) and hasattr(value, "exit_code")]
    assert codes == {0, 130, EXIT_BROKEN_PIPE} | {value.exit_code for value in classes} - {1}


@pytest.mark.parametrize("page", PROSE)
def test_every_file_that_a_page_names_is_there(page):
    named = re.findall(r"`((?:docs|examples|tools|tests|benchmarks|medanchor)/[\w./-]*[\w/-])`", text_of(page))
    named += re.findall(r"\]\(([\w./-]+)\)", text_of(page))
    missing = [name for name in named if not any((base / name).exists() for base in (ROOT, (ROOT / page).parent))]
    assert not missing


@pytest.mark.parametrize("page", [*PROSE, *(str(path.relative_to(ROOT)) for path in DECISIONS)])
def test_a_page_promises_nothing_that_nobody_can_keep(page):
    text = text_of(page).lower()
    for word in ("hipaa-compliant", "tamper-proof", "tamperproof", "court-proof", "anonymous", "blockchain"):
        assert word not in text


def test_the_decisions_are_numbered_without_a_gap_and_short():
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for path in DECISIONS:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 40, path.name
        assert re.fullmatch(r"# \d{4} .*\S", lines[0]), path.name
        assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequences"]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")
