"""`--json`: every command, one object, the same exit codes, and docs/json.md says what each member is."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import pytest
from transcript import run, spawn
from world import surroundings, write_visit

from medanchor.chain.embedded import EmbeddedChain

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
SCENARIO = """
init --origin clinic.example/ward-7
init
anchor
status
log
verify visit
stamp visit --dry-run
stamp visit nosuch
stamp visit
verify visit
status
status --max-age 0s
proof export visit/letter.txt -o pending
proof inspect pending/letter.txt.medproof
verify visit/letter.txt --proof pending/letter.txt.medproof
anchor
stamp visit/letter.txt --follows 0 --anchor
!echo late > visit/late.txt
stamp visit/late.txt --follows 0 --follows-as late-entry --anchor
status
log --limit 1
proof export visit -o proofs
proof export visit -o proofs
proof export visit -o with-ots --ots
proof inspect with-ots/letter.txt.ots
verify visit/letter.txt --proof with-ots/letter.txt.ots
verify visit/letter.txt --proof with-ots/letter.txt.ots --vault elsewhere
verify visit/image.dcm --proof with-ots/letter.txt.ots
proof inspect proofs/letter.txt.medproof
proof inspect proofs/late.txt.medproof
proof inspect visit/letter.txt
verify visit/late.txt --proof proofs/late.txt.medproof
verify visit/letter.txt --proof proofs/letter.txt.medproof
verify visit/letter.txt --proof proofs/letter.txt.medproof --vault elsewhere
verify visit/image.dcm --proof proofs/letter.txt.medproof
verify visit
verify visit/letter.txt
chain show
chain check
chain export headers.bin
chain export visit
chain check headers.bin
chain sync synced.bin
chain sync synced.bin --from headers.bin
chain sync visit
verify visit/letter.txt --proof with-ots/letter.txt.ots --headers headers.bin
verify visit/letter.txt --proof proofs/letter.txt.medproof --headers headers.bin
!echo changed > visit/letter.txt
!rm visit/image.dcm
!echo new > visit/new.txt
verify visit nosuch
stamp visit nosuch --verbose
verify visit nosuch --verbose
proof export visit nosuch -o more --verbose
!echo changed again > visit/letter.txt
audit
audit --verbose
audit --no-sweep
!printf 'Dear colleague, all is well.\\n' > visit/letter.txt
verify visit/letter.txt
stamp empty
verify empty
!mkdir clinical
!printf '{"resourceType":"Observation","status":"final","valueDecimal":5.10}' > clinical/o.json
!printf '{"resourceType":"Device","id":"1"}\\n{"resourceType":"Device","id":"2"}\\n' > clinical/e.ndjson
!printf 'MSH|^~\\\\&|LAB\\rPID|1\\r' > clinical/m.hl7
!printf '<a/>' > clinical/d.xml
stamp clinical --anchor
stamp clinical --dry-run
verify clinical
proof export clinical -o clinical-proofs --inside --fhir
proof inspect clinical-proofs/o.json.medproof
proof inspect clinical-proofs/m.hl7.medproof
proof inspect clinical-proofs/d.xml.medproof
verify clinical/e.ndjson --proof clinical-proofs/e.ndjson/2.medproof
!printf '{"resourceType":"Observation","status":"final","valueDecimal":5.1}' > clinical/o.json
!printf '{"resourceType":"Device","id":"1"}\\n' >> clinical/e.ndjson
!printf '{"resourceType":"Device","id":"2"}\\n{"resourceType":"Device","id":"1" }\\n' > regrouped.ndjson
verify clinical/o.json
verify clinical/o.json --accept same-values
verify clinical/o.json --proof clinical-proofs/o.json.medproof
verify clinical/o.json --proof clinical-proofs/o.json.medproof --accept same-values
verify clinical regrouped.ndjson
doctor
wallet create
wallet create
wallet address
wallet balance
wallet forget
wallet restore --words-file nosuch
key list
key new nurse --name "B. Example" --role nurse
key new nurse
key rotate nurse
key use default
key export default
key passphrase default
key passphrase default --remove
stmap
key
log --limit x
"""


SEEN_BELOW = {
    *(f"transactions[].{name}" for name in ("transaction", "height", "anchor", "received", "spent", "fee")),
    *("network", "address", "watches", "passphrase", "confirmed", "pending", "wallet"),  # test_cli_wallet.py
    "balance.confirmed",  # test_cli_network.py
    "balance.pending",
    "bundles[].failure",
    "records[].later_entry",
    "damage[]",
    "reorganised[]",
    "findings[].later_entry",
    "error",
    "not_judged[]",
    "calendars[]",
    "others[]",
    *(f"problems[].{name}" for name in ("reason", "severity", "path")),
    "components.dataset",  # test_cli_clinical_proofs.py
    "components.pixels",
}


def section(command: str, words: list[str]) -> str:
    if any(word.endswith(".ots") for word in words):
        return f"`medanchor {command}`, with an OpenTimestamps file"
    if "--proof" in words:
        return "`medanchor verify`, with a proof"
    return {"verify": "`medanchor verify`, with the vault"}.get(command, f"`medanchor {command}`")


def documented() -> dict[str, set[str]]:
    """Return the members that each section of the page has in its table."""
    parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:]
    return {
        title: set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def members(value: object, path: str = "") -> set[str]:
    """Return the paths of all that is in a JSON value."""
    if isinstance(value, dict):
        return set().union(*(members(item, f"{path}.{name}".lstrip(".")) for name, item in value.items()))
    if isinstance(value, list):
        return set().union(*(members(item, f"{path}[]") for item in value))
    return {path}


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> list[tuple[list[str], int, int, dict]]:
    """Run the scenario twice, side by side, for people and for scripts: words, both exit codes, the object."""
    results = []
    worlds = [tmp_path_factory.mktemp(name) for name in ("people", "scripts")]
    for world in worlds:
        write_visit(world / "visit")
        (world / "empty").mkdir()
    here = Path.cwd()
    try:
        for line in SCENARIO.strip().splitlines():
            codes = []
            for world, flags in zip(worlds, ([], ["--json"]), strict=True):
                os.chdir(world)
                if line.startswith("!"):
                    subprocess.run(line[1:], shell=True, check=True)  # noqa: S602 - ours
                    continue
                done = run(*shlex.split(line), *flags, env=surroundings(world))
                codes.append(done.code)
            if codes:
                assert done.err == "", line
                results.append((shlex.split(line), *codes, done.json))
    finally:
        os.chdir(here)
    return results


def test_the_exit_codes_are_those_without_json(seen):
    assert [(words, code) for words, code, _, _ in seen] == [(words, code) for words, _, code, _ in seen]
    assert {code for _, code, _, _ in seen} == {0, 2, 3, 4, 5, 8, 9}


def test_every_member_printed_is_documented_under_its_command(seen):
    page = documented()
    for words, _, _, value in seen:
        command = " ".join(words[:2]) if words[0] in ("proof", "key", "chain", "wallet") else words[0]
        title = "The object of an error" if "error" in value else section(command, words)
        unknown = {member.removesuffix("[]") for member in members(value)} - {
            member.removesuffix("[]") for member in page[title] | parents(page[title])
        }
        assert not unknown, (words, unknown)


def parents(paths: set[str]) -> set[str]:
    """Return the lists among the documented paths, which are printed empty where there is nothing in them."""
    return {path[: match.end()] for path in paths for match in re.finditer(r"\[\]", path)}


def test_every_member_documented_is_printed_somewhere(seen):
    printed = defaultdict(set)
    for words, _, _, value in seen:
        command = " ".join(words[:2]) if words[0] in ("proof", "key", "chain", "wallet") else words[0]
        title = "The object of an error" if "error" in value else section(command, words)
        printed[title] |= members(value)
    for title, paths in documented().items():
        never = {
            path for path in paths if path.removesuffix("[]") not in {p.removesuffix("[]") for p in printed[title]}
        }
        assert never <= SEEN_BELOW, (title, never)


def test_every_example_on_the_page_has_only_documented_members():
    for title, text in zip(*[iter(re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True):
        (example,) = re.findall(r"```console\n\$ medanchor .*\n(\{.*?\n\})\n```", text, re.DOTALL)
        found = {member.removesuffix("[]") for member in members(json.loads(example))}
        assert found <= {member.removesuffix("[]") for member in documented()[title] | parents(documented()[title])}


def test_a_pending_bundle_tells_why_and_an_earlier_version_tells_of_the_later():
    assert run("stamp", "visit").code == 0
    value = run("verify", "visit", "--json").json
    assert value["bundles"][0]["failure"] == "not anchored yet"
    first = Path("visit/letter.txt").read_bytes()
    Path("visit/letter.txt").write_bytes(b"second")
    assert run("stamp", "visit").code == 0
    Path("visit/letter.txt").write_bytes(first)
    (record,) = run("verify", "visit/letter.txt", "--json").json["records"]
    assert record == {
        "verdict": "unchanged", "exit": 3, "entry": 0, "index": 1, "later_entry": 1, "path": "visit/letter.txt",
    }  # fmt: skip


def test_an_audit_tells_damage_and_what_it_could_not_read(monkeypatch):
    assert run("stamp", "visit").code == 0
    monkeypatch.setattr("medanchor.records.digest._digest", refuse)
    value = run("audit", "--json", "--verbose").json
    assert [problem["reason"] for problem in value["problems"]] == ["permission denied"] * 3
    assert {key for problem in value["problems"] for key in problem} == {"reason", "severity", "path"}
    with sqlite3.connect(Path("home/.local/share/medanchor/medanchor.db")) as database:
        database.execute("UPDATE signer SET name = 'somebody else'")
    database.close()
    done = run("audit", "--json")
    assert (done.code, done.json["swept"]) == (4, 0)
    assert any("signer" in line for line in done.json["damage"])
    done = run("audit")
    assert "DAMAGED: " in done.out
    assert "the records on disk were not read" in done.out
    assert run("audit", "--quiet").err.startswith("medanchor: warning: ")


def test_an_audit_tells_an_earlier_version_and_a_reorganisation():
    first = Path("visit/letter.txt").read_bytes()
    assert run("stamp", "visit", "--anchor").code == 0
    Path("visit/letter.txt").write_bytes(b"second")
    assert run("stamp", "visit").code == 0
    Path("visit/letter.txt").write_bytes(first)
    done = run("audit", "--json")
    assert (done.code, done.json["findings"]) == (4, [{"verdict": "unchanged", "entry": 0, "later_entry": 1}])
    Path("visit/letter.txt").write_bytes(b"second")
    EmbeddedChain(Path("home/.local/share/medanchor/chain"), now=lambda: int(time.time())).reorg(6)
    done = run("audit", "--json")
    assert (done.code, done.json["reorganised"], done.json["damage"]) == (3, [1], [])


def refuse(*_how):
    raise PermissionError(13, "Permission denied")


def test_json_is_ascii_and_alone_on_stdout(user):
    Path("visit/Zoë.txt").write_bytes(b"x")
    env = surroundings(user / "home") | {"PYTHONIOENCODING": "ascii"}
    done = spawn("stamp", "visit", "--anchor", "--json", "--verbose", env=env)
    assert (done.code, done.err, done.json["records"]) == (0, "", 4)
    done = spawn("verify", "visit", "nosuch", "--json", "--verbose", "--quiet", env=env)
    assert (done.code, done.err, done.out.isascii()) == (9, "", True)
    assert {record["path"] for record in done.json["records"]} >= {str(user / "visit" / "Zoë.txt")}
