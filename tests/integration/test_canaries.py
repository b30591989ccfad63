"""Canaries: names, contents and paths of records are put in, then looked for wherever they must not come out."""

import base64
import json
import os
import re
from pathlib import Path

import pytest
from loopback_esplora import LoopbackEsplora
from loopback_node import LoopbackNode
from loopback_wallet import LoopbackWallet
from transcript import run
from world import surroundings

DATA = Path(os.environ.get("MEDANCHOR_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
MADE_UP = {
    "Canary-Quux, Zebedee/1931-04-17 biopsy.txt": b"Zebedee Canary-Quux, MRN 00-CANARY-7781, adenocarcinoma",
    "Canary-Quux, Zebedee/letter MRN 00-CANARY-7781.txt": b"Dear Dr Wigglesworth-Canary, your patient Zebedee ...",
    "ward canary-nine/psychiatry-admission-canary.hl7": b"PID|1||00-CANARY-7782||WIGGLESWORTH^CANARYETTE",
}
WORDS = [
    "Canary-Quux", "Zebedee", "1931-04-17", "biopsy", "00-CANARY-7781", "adenocarcinoma", "Wigglesworth-Canary",
    "canary-nine", "psychiatry-admission-canary", "WIGGLESWORTH", "CANARYETTE", "00-CANARY-7782",
]  # fmt: skip
NOTHING = re.compile(rb"\0{64,}")  # what the engine's files are filled up with
LARGEST = 200_000
MOST_FILES = 25


def forms(word: str) -> list[bytes]:
    """Return how `word` may appear: as it is, in hex, in Base64 at each offset, in UTF-16."""
    raw = word.encode()
    encoded = [raw, raw.hex().encode(), word.encode("utf-16-le"), word.encode("utf-16-be")]
    for offset in range(3):
        middle = base64.b64encode(bytes(offset) + raw)
        encoded.append(middle[-(-offset * 8 // 6) : len(middle) - 4])  # without what its neighbours take part in
    return [form.lower() for form in encoded if len(form) >= 4]


def found(words: list[str], data: bytes) -> list[str]:
    lower = data.lower()
    return [word for word in words if any(form in lower for form in forms(word))]


def test_the_search_finds_what_it_should():
    for word in WORDS:
        raw = word.encode()
        for hidden in (raw, raw.upper(), raw.hex().encode(), word.encode("utf-16-le"), *map(base64.b64encode, (
            b"x" + raw + b"yz", b"xx" + raw + b"y", b"xxx" + raw + b"yyy"))):  # fmt: skip
            assert word in found([word], b"... " + hidden + b" ..."), (word, hidden)
    assert found(WORDS, b"nothing of it; Canary Quux 1931-04-18") == []


def real_canaries(root: Path) -> list[str]:
    """Copy some of the shared records below `root`; return what identifies their patients: names, places, ids."""
    words: set[str] = set()
    files = [path for path in sorted(DATA.rglob("*")) if path.is_file() and 0 < path.stat().st_size < LARGEST]
    for path in files[:: max(1, len(files) // MOST_FILES)]:
        target = root / path.relative_to(DATA)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        target.write_bytes(content)
        words |= {path.stem, *identifying(content)}
    assert len(words) > MOST_FILES
    return sorted(word for word in words if len(word) > 5)[:600]


def identifying(content: bytes) -> set[str]:
    """Return the names, ids and addresses of people in a file of FHIR, whether one resource or one a line."""
    told: set[str] = set()
    for text in (content, *content.splitlines()):
        try:
            gather(json.loads(text), told)
        except ValueError:
            continue
    return told


def gather(tree: object, told: set[str]) -> None:
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if name in ("id", "family", "text", "display") and isinstance(value, str):
            told.add(value[:60])
        if name in ("given", "line") and isinstance(value, list):
            told |= set(map(str, value))
        gather(value, told)
    for item in tree if isinstance(tree, list) else ():
        gather(item, told)


@pytest.fixture(params=["made-up", "shared-data"])
def canaries(request, tmp_path, monkeypatch) -> list[str]:
    """Put records below `records/`; return the words that must not come out."""
    for name, value in surroundings(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MEDANCHOR_VAULT", str(tmp_path / "vault"))
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "records"
    if request.param == "shared-data":
        if not DATA.is_dir():
            pytest.skip(f"the shared data is not here: {DATA}")
        return real_canaries(root)
    for name, content in MADE_UP.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return WORDS


def test_no_canary_comes_out(canaries, tmp_path):
    """Everything that logs, scripts, auditors and the chain get, while all goes well and while it goes wrong."""
    heard: list[tuple[str, bytes]] = []

    def listen(*args: str) -> int:
        for flags in ([], ["--quiet"], ["--json"]):
            done = run(*args, *flags)
            heard.append((" ".join([*args, *flags]), done.err.encode() + (done.out.encode() if flags else b"")))
        return done.code

    assert listen("init", "--origin", "clinic.example/ward-7") == 5  # the first of the three made it
    assert listen("stamp", "records", "nosuch") == 9
    assert listen("anchor") == 0
    assert listen("stamp", "records", "--again", "--anchor") == 0
    assert listen("verify", "records") == 0
    assert listen("proof", "export", "records", "-o", "proofs", "--force") == 0
    assert listen("proof", "export", "records", "-o", "timestamps", "--ots", "--force") == 0
    for command in (["status"], ["log"], ["audit"], ["doctor"], ["chain", "show"], ["key", "list"]):
        assert listen(*command) == 0

    files = sorted(path for path in Path("records").rglob("*") if path.is_file())
    proofs = sorted(path for path in Path("proofs").rglob("*") if path.is_file())
    assert len(proofs) == len(files)
    heard += [("a proof", path.read_bytes()) for path in proofs]
    timestamps = sorted(Path("timestamps").rglob("*.ots"))
    assert len(timestamps) == len(files)
    heard += [("an .ots", path.read_bytes()) for path in timestamps]
    Path("timestamp").write_bytes(timestamps[0].read_bytes())
    heard += [("a statement", base64.b64decode(json.loads(path.read_bytes())["statement"])) for path in proofs]
    heard += [
        ("its payload", base64.b64decode(json.loads(data)["payload"])) for told, data in heard if told == "a statement"
    ]
    heard += outward(tmp_path / "vault")

    go_wrong(listen, files, proofs)
    leaks = [(told, words) for told, data in heard if (words := found(canaries, data))]
    assert not leaks, leaks[:5]


def outward(vault: Path) -> list[tuple[str, bytes]]:
    """Return what leaves the vault, or others read in it: statements, checkpoints, anchors, configuration, chain."""
    from medanchor.vault.anchors import list_anchors
    from medanchor.vault.store import Store

    with Store(vault) as store:
        told = [("checkpoint", store.checkpoint(entry).encode()) for entry in range(store.size())]
        told += [("envelope", store.envelope(entry)) for entry in range(store.size())]
        told += [("transaction", row.transaction) for row in list_anchors(store)]
    told += [(path.name, path.read_bytes()) for path in [vault / "config.toml", *(vault / "keys").iterdir()]]
    chain = [path for path in (vault / "chain").rglob("*") if path.is_file()]
    assert len(chain) > 5
    return told + [(str(path.relative_to(vault)), NOTHING.sub(b"", path.read_bytes())) for path in chain]


def go_wrong(listen, files: list[Path], proofs: list[Path]) -> None:
    """Fail in a dozen ways; of what the user types, only `records`, `proofs` and names without a canary."""
    Path("record").write_bytes(files[0].read_bytes())
    Path("proof").write_bytes(proofs[0].read_bytes())
    other = next((proof for proof in proofs if json.loads(proof.read_bytes())["record"]["raw"] not in
                  proofs[0].read_text()), proofs[-1])  # fmt: skip
    Path("other").write_bytes(other.read_bytes())
    Path("cut").write_bytes(proofs[0].read_bytes()[:-500])
    assert listen("verify", "record", "--proof", "other") == 4
    assert listen("verify", "record", "--proof", "cut") == 4
    assert listen("verify", "record", "--proof", "timestamp") == 0
    assert listen("proof", "inspect", "timestamp") == 0
    Path("cut-timestamp").write_bytes(Path("timestamp").read_bytes()[:-9])
    assert listen("verify", "record", "--proof", "cut-timestamp") == 4
    assert listen("proof", "inspect", "cut") == 4
    assert listen("proof", "export", "records", "-o", "proofs") == 2
    content = files[0].read_bytes()
    files[0].write_bytes(content + b" ")
    assert listen("verify", "records") == 4
    assert listen("audit") == 4
    assert listen("proof", "export", "records", "-o", "more", "--force") == 4
    files[0].unlink()
    assert listen("verify", "records") == 4
    assert listen("audit") == 4
    files[0].write_bytes(content)
    odd = files[0].parent
    (odd / "never-stamped").write_bytes(b"x")
    (odd / "link").symlink_to(files[0].name)
    os.mkfifo(odd / "pipe")
    assert listen("verify", "records") == 8
    assert listen("proof", "export", "records", "-o", "more", "--force") == 8
    (odd / "gone").symlink_to("nowhere")
    assert listen("stamp", "records", "--follow-symlinks") == 9
    assert listen("stamp", "records", "--meaning", "love") == 2
    Path("more.txt").write_bytes(b"")
    assert listen("proof", "export", "records", "-o", "more.txt") == 2
    (Path("vault") / "keys" / "default.key").chmod(0o644)
    assert listen("stamp", "records", "--again") == 5
    (Path("vault") / "keys" / "default.key").chmod(0o600)
    damage(Path("vault"))
    assert listen("audit") == 4
    listen("verify", "records")
    listen("doctor")


def damage(vault: Path) -> None:
    """Change a byte of every name that is stored, as a failing disk would."""
    import sqlite3

    with sqlite3.connect(vault / "medanchor.db") as database:
        database.execute("UPDATE folder SET path = CAST(path || 'x' AS BLOB)")
        database.execute("UPDATE tile SET names = CAST(substr(names, 1, length(names) - 1) || x'00' AS BLOB)")
    database.close()


def test_verbose_names_what_was_asked_for(canaries):
    """The other side: without this, the search above could not fail for want of anything to find."""
    assert run("stamp", "records").code == 0
    told = run("verify", "records", "--json", "--verbose")
    assert found(canaries, told.out.encode())


def test_no_canary_and_no_digest_reaches_a_server(canaries, tmp_path, monkeypatch):
    """Whoever answers for blocks, or pays, learns 36 bytes that mean nothing, and when: every request is searched."""
    with LoopbackNode(tmp_path) as node, LoopbackEsplora(node.ledger) as esplora:
        monkeypatch.setenv("MEDANCHOR_NODE_COOKIE", str(node.cookie))
        LoopbackWallet(node, "clinic").receive(100_000)
        node.plan()
        assert run("init", "--node", node.url, "--esplora", esplora.url, "--wallet", "core clinic").code == 0
        assert run("stamp", "records", "--anchor").code == 0
        node.ledger.mine(6)
        assert run("anchor").code == 0
        assert run("verify", "records", "--sources", "2").code == 0
        assert run("status").code == run("audit").code == run("doctor").code == 0
        assert run("proof", "export", "records", "-o", "proofs", "--self-contained").code == 0
        asked = [*node.requests, *esplora.requests]
    told = [str((request.method, request.path, request.headers)).encode() + request.body for request in asked]
    assert len(told) > 20
    proofs = [json.loads(path.read_bytes()) for path in Path("proofs").rglob("*") if path.is_file()]
    digests = [proof["record"][name] for proof in proofs for name in ("raw", "salt")]
    digests += [base64.b64decode(json.loads(base64.b64decode(proof["statement"]))["payload"]).hex() for proof in proofs]
    assert found([*canaries, *digests], b"\n".join(told)) == []
