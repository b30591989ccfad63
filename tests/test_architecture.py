"""The lines that machines hold: who imports whom, how large things are, what is explained, what start-up costs."""

import ast
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "medanchor").rglob("*.py"))
PROOF = ROOT / "tests" / "vectors" / "proofs" / "v1" / "three-levels.bin.medproof"

MEDIAN, NINE_TENTHS, LONGEST, FILE = 9, 25, 50, 300
"""Lines: of functions, as their body and signature take them, without the docstring; of files, as they are."""

REASON = re.compile(r"# (noqa: [A-Z0-9, ]+ - |type: ignore\[[a-z-, ]+\]  # )\w")

IMPURE = {"os", "io", "time", "random", "secrets", "socket", "pathlib", "subprocess", "sqlite3", "logging"}
HEAVY = {"sqlite3", "pbk", "rich", "multiprocessing", "concurrent", "requests", "http", "ssl", "tomllib"}
HEAVY |= {"opentimestamps", "Cryptodome", "git", "pydantic", "bdkpython"}
"""What verifying a proof has no use for. (`platformdirs` is needed to look whether this user has a vault.)"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path):
    return str(path.relative_to(ROOT))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions():
    return [(path, node) for path in MODULES for node in ast.walk(tree_of(path)) if isinstance(node, Function)]


def length(function):
    """The lines of a function but its docstring, which may be as long as it has to be."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def imported(path):
    """The top-level names of all that a module imports, wherever it does."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_there_is_something_to_measure():
    assert len(MODULES) > 40
    assert len(functions()) > 300


def test_imports_point_down_only():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name == "core"], ids=name_of)
def test_the_core_imports_nothing_that_reads_the_world(path):
    assert not set(imported(path)) & IMPURE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE


def test_functions_stay_short():
    lengths = sorted(length(node) for _, node in functions())
    assert statistics.median(lengths) <= MEDIAN
    assert lengths[len(lengths) * 9 // 10] <= NINE_TENTHS
    too_long = [f"{name_of(path)}:{node.name}" for path, node in functions() if length(node) > LONGEST]
    assert not too_long


def public_parts(tree):
    """The module, its public classes and functions, and the public methods of those classes."""
    yield "", tree
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, Function)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                methods = (part for part in node.body if isinstance(part, Function))
                yield from ((f"{node.name}.{part.name}", part) for part in methods if not part.name.startswith("_"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_whatever_is_public_is_explained(path):
    silent = [name for name, node in public_parts(tree_of(path)) if not (ast.get_docstring(node) or "").strip()]
    assert not silent


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_assertion_guards_anything(path):
    """`python -O` takes assertions away."""
    assert not [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_exception_to_the_rules_has_a_reason(path):
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    marked = [(number, line) for number, line in lines if "# noqa" in line or "# type: ignore" in line]
    assert not [number for number, line in marked if not REASON.search(line)]


def test_verifying_a_proof_imports_nothing_heavy(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "medanchor"]
    record = str(PROOF).removesuffix(".medproof")
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*command, "verify", record, "--proof", PROOF], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip() for line in lines}
    assert "medanchor.core.verify" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in HEAVY}
    ours = {name for name in loaded if name.startswith("medanchor.")}
    assert not {name for name in ours if name.split(".")[1] in ("vault", "chain", "notary", "interop")}
