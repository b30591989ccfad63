"""The auditor's one-file verifier: what it says, what it refuses, and that it leans on nothing but itself."""

import ast
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from damage import damaged, forged
from forge import RECORD, build_proof, output

TESTS = Path(__file__).parents[1]
TOOL = TESTS.parent / "tools" / "verify_proof.py"
VECTORS = TESTS / "vectors" / "proofs" / "v1"


NAMES = sorted(path.stem for path in VECTORS.glob("*.bin.medproof"))
PROVED = [name for name in NAMES if not name.endswith(".pending")]
STEPS = ["FORMAT", "RECORD", "BUNDLE", "STATEMENT", "LEDGER", "COMMITMENT", "TRANSACTION", "HEADER", "TRUST"]

VERIFIED = """\
8 TRUST        ok: you confirm block 4b77710695252d5b0d6001158088c9ecf964d54155c5eb096017388b38673be2
VERIFIED, you confirm the block.
Claim: the record existed, unchanged, no later than about 2025-11-22T01:00:00Z, block 123
on regtest, 3 confirmations; signed by d2c87c63cedbe69530223bf7731737cd787c6b2155b3b5a053a406e865cb50bc as authorship.
It rests on SHA-256, on Ed25519 and on that block being in the chain. A block's clock may be off by two hours. On
testnet3 and testnet4 a block can be had cheaply after 20 minutes, and on regtest by anyone at any time. It does
not say that the content is true, who the person behind a key is, or that nothing was left out before stamping."""


def load():
    spec = importlib.util.spec_from_file_location("verify_proof", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load()


def run(*arguments, python=(sys.executable,)):
    return subprocess.run([*python, TOOL, *arguments], capture_output=True, text=True, check=False)


def proof_of(name):
    return VECTORS / f"{name}.medproof"


def block_of(data):
    return json.loads(data)["anchor"]["block"]["header"]


def displayed(header):
    return hashlib.sha256(hashlib.sha256(bytes.fromhex(header)).digest()).digest()[::-1].hex()


@pytest.fixture
def judge(tmp_path, capsys, monkeypatch):
    """The verifier in this process: record and proof in, exit code and the number of the last step out."""
    proof_path, record_path = tmp_path / "proof", tmp_path / "record"

    def judge(record, data, *more):
        record_path.write_bytes(record)
        proof_path.write_bytes(data)
        monkeypatch.setattr(sys, "argv", ["verify_proof.py", str(record_path), str(proof_path), *more])
        code = tool.main()
        said = capsys.readouterr().out.splitlines()
        return code, max(int(line[0]) for line in said if line[0].isdigit() and line[1] == " ")

    return judge


def vector(name):
    return (VECTORS / name).read_bytes(), proof_of(name).read_bytes()


@pytest.mark.parametrize("name", PROVED)
def test_a_vector_is_consistent_and_never_called_verified_by_itself(name):
    done = run(VECTORS / name, proof_of(name))
    assert (done.returncode, done.stderr) == (3, "")
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:9]] == [[str(number), step] for number, step in enumerate(STEPS)]
    assert [line.split()[2] for line in lines[:9]] == ["ok:"] * 8 + ["OPEN:"]
    assert lines[9] == "CONSISTENT, but nothing outside this file confirms the block."
    assert "verified" not in done.stdout.lower()


@pytest.mark.parametrize("name", PROVED)
@pytest.mark.parametrize("known", [block_of, lambda data: displayed(block_of(data)).upper()], ids=["header", "hash"])
def test_a_vector_is_verified_once_its_block_is_confirmed(judge, name, known):
    record, data = vector(name)
    assert judge(record, data, "--header", known(data)) == (0, 8)


def test_what_a_verified_record_is_told():
    data = proof_of("three-levels.bin").read_bytes()
    done = run(VECTORS / "three-levels.bin", proof_of("three-levels.bin"), "--header", block_of(data))
    assert done.returncode == 0
    assert "\n".join(done.stdout.splitlines()[8:]) == VERIFIED


def test_a_pending_proof_is_pending():
    done = run(VECTORS / "three-levels.bin", VECTORS / "three-levels.bin.pending.medproof")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.count("OPEN: no anchor yet") == 4
    assert done.stdout.splitlines()[-1] == "PENDING: consistent, but no block shows yet when the record existed."


def test_a_pending_proof_stays_pending_whatever_block_is_handed_in(judge):
    record, _ = vector("three-levels.bin")
    assert judge(record, proof_of("three-levels.bin.pending").read_bytes(), "--header", "00" * 32) == (3, 8)


def test_another_record_is_refused_at_step_1():
    done = run(VECTORS / "empty-record.bin", proof_of("three-levels.bin"))
    raw = hashlib.sha256((VECTORS / "three-levels.bin").read_bytes()).hexdigest()
    assert done.returncode == 4
    assert done.stdout.splitlines()[1:] == [
        f"1 RECORD       FAILED: expected a record with SHA-256 {raw}, found {hashlib.sha256().hexdigest()}",
        "REFUSED at step 1, RECORD",
    ]


def test_another_block_is_refused_at_step_8(judge):
    assert judge(*vector("three-levels.bin"), "--header", "00" * 32) == (4, 8)


@pytest.mark.parametrize("header", ["", "zz" * 32, "00" * 31, "00" * 81, "00" * 32 + "\n"])
def test_a_header_that_is_none_is_wrong_usage(header):
    done = run(VECTORS / "three-levels.bin", proof_of("three-levels.bin"), "--header", header)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected the 160 hex digits of a header, or the 64 of a block hash" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["one"], ["/nowhere/record", "/nowhere/proof"], [VECTORS, VECTORS]])
def test_wrong_usage_is_one_message_and_exit_2(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "verify_proof.py: error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_forged_whole_without_damage_is_consistent(judge):
    """What every forged variant starts from: were this refused, their refusals would prove nothing."""
    assert judge(RECORD, build_proof()) == (3, 8)


FORGED = forged()
DAMAGED = damaged(proof_of("three-levels.bin").read_bytes())


def test_there_are_enough_variants_and_all_differ():
    assert len(FORGED) + len(DAMAGED) >= 80
    assert not FORGED.keys() & DAMAGED.keys()
    assert len({data for data, _ in FORGED.values()}) == len(FORGED)
    assert len({data for data, _ in DAMAGED.values()}) == len(DAMAGED)


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_proof_is_refused_at_its_step(judge, name):
    data, step = FORGED[name]
    assert judge(RECORD, data) == (4, step)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_proof_is_refused_at_its_step(judge, name):
    data, step = DAMAGED[name]
    assert judge((VECTORS / "three-levels.bin").read_bytes(), data) == (4, step)


@pytest.mark.parametrize("name", PROVED)
def test_every_vector_damaged_is_refused(judge, name):
    record, data = vector(name)
    passed = {name for name, (worse, step) in damaged(data).items() if judge(record, worse) != (4, step)}
    assert passed == set()


@pytest.mark.parametrize("length", [0, 1, 100, 3286])
def test_a_truncated_proof_is_refused(judge, length):
    record, data = vector("three-levels.bin")
    assert judge(record, data[:length]) == (4, 0)


def test_a_proof_of_a_retraction_says_so(tmp_path):
    follows = [{"entry": number, "kind": "retraction", "reason": "wrong-record"} for number in (3, 5)]
    data = build_proof(statement=lambda it: it | {"predicate": it["predicate"] | {"follows": follows}})
    (tmp_path / "record").write_bytes(RECORD)
    (tmp_path / "proof").write_bytes(data)
    said = run(tmp_path / "record", tmp_path / "proof").stdout
    assert " as authorship, following entry 3 as retraction, following entry 5 as retraction." in said


@pytest.mark.parametrize(("count", "expected"), [(10_000, 9), (10_500, 0)])
def test_a_proof_over_1_mib_is_refused_however_well_made(count, expected):
    follows = [{"entry": 0, "kind": "retraction", "reason": "administrative"}] * count
    data = build_proof(statement=lambda it: it | {"predicate": it["predicate"] | {"follows": follows}})
    assert (len(data) > 1 << 20) == (expected == 0)
    assert last_step(RECORD, data) == expected


def test_an_output_that_begins_like_an_anchor_and_goes_on_is_none(judge):
    data = build_proof(outputs=lambda it: [*it, output(b"\x6a\x24MDA1" + bytes(33))])
    assert judge(RECORD, data) == (3, 8)


def last_step(record, data):
    """The step that refuses, or 9: main() without its files and its printing, for the sake of 50,000 flips."""
    case = tool.Case(digest=hashlib.sha256(record).hexdigest(), data=data, header=None, anchor=None)
    for number in range(9):
        try:
            if case.anchor or number < 5:
                getattr(case, f"step_{number}")()
        except ValueError:
            return number
    return 9


def flips(data):
    for at in range(len(data)):
        for bit in range(8):
            yield at, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@pytest.mark.parametrize("name", ["one-record-one-entry.bin", "three-levels.bin"])
def test_every_flipped_bit_is_refused_but_in_the_last_successor(name):
    """Nothing in a proof binds the last successor header; on regtest half of all headers have work enough."""
    record, data = vector(name)
    last = json.loads(data)["anchor"]["block"]["successors"][-1].encode()
    unbound = range(data.index(last), data.index(last) + len(last))
    passed = {at for at, worse in flips(data) if last_step(record, worse) == 9}
    assert passed <= set(unbound)


def test_every_flipped_bit_of_a_pending_proof_is_refused_where_something_binds_it():
    """Until there is an anchor, nothing binds where in the ledger the envelope stands."""
    record, _ = vector("three-levels.bin")
    data = proof_of("three-levels.bin.pending").read_bytes()
    unbound = range(data.index(b'"ledger":'), data.index(b'"record":'))
    passed = {at for at, worse in flips(data) if last_step(record, worse) == 9}
    assert passed <= set(unbound)


def test_kinds_with_components_are_checked_by_their_raw_digest_and_said_to_be(tmp_path):
    for kind, parts in ((1, 5), (2, 2), (3, 2), (4, 2)):
        more = {"kind": kind, "components": ["ab" * 32] * parts}
        (tmp_path / "proof").write_bytes(build_proof(record=lambda it, more=more: it | more))
        (tmp_path / "record").write_bytes(RECORD)
        done = run(tmp_path / "record", tmp_path / "proof")
        assert done.returncode == 3
        assert "; its components are not recomputed" in done.stdout.splitlines()[1]


def test_without_cryptography_the_signature_is_not_checked_and_nothing_is_verified(monkeypatch, capsys):
    record, header = VECTORS / "three-levels.bin", block_of(proof_of("three-levels.bin").read_bytes())
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    monkeypatch.setattr(sys, "argv", ["it", str(record), str(proof_of("three-levels.bin")), "--header", header])
    assert tool.main() == 3
    said = capsys.readouterr().out
    skipped = "the signature is NOT CHECKED, for want of the Python package cryptography"
    assert f"3 STATEMENT    OPEN: {skipped}" in said
    assert f"\nCONSISTENT, but {skipped}.\n" in said


def test_a_bare_interpreter_is_enough():
    done = run(VECTORS / "three-levels.bin", proof_of("three-levels.bin"), python=(sys.executable, "-I", "-S", "-O"))
    assert (done.returncode, done.stderr) == (3, "")
    assert "NOT CHECKED" in done.stdout
    refused = run(
        VECTORS / "empty-record.bin", proof_of("three-levels.bin"), python=(sys.executable, "-I", "-S", "-OO")
    )
    assert refused.returncode == 4


def test_it_is_short_and_stands_alone():
    text = TOOL.read_text()
    assert len(text.splitlines()) <= 250
    assert text.isascii()
    nodes = list(ast.walk(ast.parse(text)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    outside = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert outside == {"cryptography.hazmat.primitives.asymmetric.ed25519"}
    assert not any(isinstance(node, ast.Assert) for node in nodes)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs util-linux to limit memory")
def test_a_large_record_is_read_in_chunks(tmp_path):
    (tmp_path / "record").touch()
    with (tmp_path / "record").open("r+b") as record:
        record.truncate(512 << 20)
    limited = ["prlimit", f"--as={256 << 20}", sys.executable]
    done = run(tmp_path / "record", proof_of("three-levels.bin"), python=limited)
    assert (done.returncode, done.stderr) == (4, "")
