"""The rows of the table: what is run, against what, and what ratio it must have."""

import importlib.util
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data
from benchmarks.chains import long_chain
from benchmarks.clinical import clinical
from benchmarks.measure import Pair, Run, command, in_turn, peak_memory, task
from benchmarks.nodes import loopback_node

MEDANCHOR = (sys.executable, "-m", "medanchor")
OTS = shutil.which("ots", path=str(Path(sys.executable).parent)) or shutil.which("ots")
FOUND_UNCONFIRMED = (0, 3)
"""`verify` exits with 3 where nothing outside confirms the block: all the same work was done."""

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Line:
    """One line of the table, as it is printed."""

    what: str
    ours: str
    baseline: str
    ratio: str
    must: str
    aim: str


@dataclass(frozen=True)
class Bench:
    """Where data and vaults lie, how often each command runs, and by what the numbers of records are divided."""

    root: Path
    runs: int
    shrink: int

    def vault(self, *, new: bool = True) -> Path:
        """Return the vault that is measured, made anew and empty unless not `new`."""
        vault = self.root / "vault"
        if new:
            shutil.rmtree(vault, ignore_errors=True)
            self.call("init", "--vault", vault)
        return vault

    def call(self, *words: str | Path) -> None:
        """Run medanchor, not timed."""
        command(*MEDANCHOR, *words)()

    def records(self, count: int, size: int) -> Path:
        """Return a folder of that many records, fewer if this run is a quick one."""
        return data.records(self.root, count // self.shrink, size)


def openssl(folder: Path) -> Run:
    """Return the baseline for many files: two processes of openssl, five hundred files to a call."""
    hashing = 'find "$0" -type f -print0 | xargs -0 -P2 -n500 openssl dgst -sha256'
    return command("sh", "-c", hashing, folder)


def missing(*modules: str) -> str:
    """Return which of the peers is not installed, in words; nothing if all are."""
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    return f"not measured: {', '.join(absent)} not installed" if absent else ""


def slower(what: str, pair: Pair, baseline: str, must: str, aim: str) -> Line:
    """Return the line of a row that says how many times our time is of the baseline's."""
    return Line(what, f"{pair.ours:.2f} s", f"{baseline}: {pair.baseline:.2f} s", f"{pair.ratio:.2f}x", must, aim)


def faster(what: str, pair: Pair, baseline: str, must: str, aim: str) -> Line:
    """Return the line of a row that says how many times faster we are."""
    ratio = f"{1 / pair.ratio:.1f}x faster"
    return Line(what, f"{pair.ours:.2f} s", f"{baseline}: {pair.baseline:.2f} s", ratio, must, aim)


def stamp_small(bench: Bench) -> Iterator[Line]:
    folder = bench.records(100_000, 2048)
    ours = command(*MEDANCHOR, "stamp", folder, "--vault", bench.root / "vault", prepare=bench.vault)
    pair = in_turn(ours, openssl(folder), bench.runs)
    yield slower(f"stamp {100_000 // bench.shrink:,} x 2 KiB", pair, "find, xargs -P2, openssl", "≤ 1.6x", "1.1x")


def stamp_medium(bench: Bench) -> Iterator[Line]:
    folder = bench.records(10_000, 102_400)
    ours = command(*MEDANCHOR, "stamp", folder, "--vault", bench.root / "vault", prepare=bench.vault)
    pair = in_turn(ours, openssl(folder), bench.runs)
    yield slower(f"stamp {10_000 // bench.shrink:,} x 100 KiB", pair, "the same", "≤ 1.3x", "1.1x")


def stamp_big(bench: Bench) -> Iterator[Line]:
    path = data.big_file(bench.root, (2 << 30) // bench.shrink)
    ours = command(*MEDANCHOR, "stamp", path, "--vault", bench.root / "vault", prepare=bench.vault)
    pair = in_turn(ours, command("openssl", "dgst", "-sha256", path), bench.runs)
    yield slower(f"stamp one file of {2048 // bench.shrink:,} MiB", pair, "openssl dgst", "≤ 1.1x", "1.03x")


def stamp_peer(bench: Bench) -> Iterator[Line]:
    what = f"stamp {100_000 // bench.shrink:,} x 2 KiB"
    if absent := missing("opentimestamps"):
        yield Line(what, "", absent, "", "≥ 10x faster", "20x")
        return
    folder = bench.records(100_000, 2048)
    ours = command(*MEDANCHOR, "stamp", folder, "--vault", bench.root / "vault", prepare=bench.vault)
    pair = in_turn(ours, task("stamp_opentimestamps", folder), max(1, bench.runs // 2))
    yield faster(what, pair, "OpenTimestamps' library", "≥ 10x faster", "20x")


def trees(bench: Bench) -> Iterator[Line]:
    count = 1_000_000 // bench.shrink
    for peer, must, aim in (
        ("pymerkle", "≥ 5x faster", "limit of hashlib"),
        ("merkletools", "≥ 5x faster", "limit of hashlib"),
        ("hashlib", "", ""),
    ):
        what = f"tree of {count:,} leaves"
        if absent := missing(peer):
            yield Line(what, "", absent, "", must, aim)
            continue
        pair = in_turn(task("tree_medanchor", count), task(f"tree_{peer}", count), max(1, bench.runs // 2))
        name = "hashlib alone, the same number of hashes" if peer == "hashlib" else peer
        yield (slower if peer == "hashlib" else faster)(what, pair, name, must, aim)


def verify_again(bench: Bench) -> Iterator[Line]:
    folder, vault = bench.records(100_000, 2048), bench.vault()
    bench.call("stamp", folder, "--anchor", "--vault", vault)
    ours = command(*MEDANCHOR, "verify", folder, "--vault", vault, exits=FOUND_UNCONFIRMED)
    pair = in_turn(ours, openssl(folder), bench.runs)
    what = f"verify {100_000 // bench.shrink:,} x 2 KiB again"
    yield slower(what, pair, "find, xargs -P2, openssl", "≤ 1.6x", "1.1x")


def many_proofs(bench: Bench) -> Iterator[Line]:
    count = 10_000 // bench.shrink
    if absent := missing("opentimestamps", "bitcoin"):
        yield Line(f"export, verify {count:,} proofs", "", absent, "", "≥ 3x faster", "")
        return
    from benchmarks.ots import convert

    folder, vault, proofs = bench.records(10_000, 2048), bench.vault(), bench.root / "proofs"
    bench.call("stamp", folder, "--anchor", "--vault", vault)

    def clear() -> None:
        shutil.rmtree(proofs, ignore_errors=True)

    export = command(*MEDANCHOR, "proof", "export", folder, "-o", proofs, "--vault", vault, prepare=clear)
    export()
    convert(proofs)
    kept = proofs.rename(bench.root / "proofs-kept")
    theirs = task("verify_opentimestamps", kept)
    baseline = "OpenTimestamps deserialise, check attestations"
    pair = in_turn(task("export_medanchor", vault, count), theirs, bench.runs)
    yield faster(f"make {count:,} proofs from the vault", pair, baseline, "≥ 3x faster", "")
    copy = command("cp", "-r", kept, proofs, prepare=clear)
    pair = in_turn(export, copy, bench.runs)
    yield slower(f"export {count:,} proofs, the whole process", pair, "`cp -r` of these files", "", "")
    pair = in_turn(task("verify_medanchor", kept), theirs, bench.runs)
    yield faster(f"verify {count:,} proofs, all steps", pair, baseline, "≥ 3x faster", "")
    shutil.rmtree(kept)
    clear()


def cold_start(bench: Bench) -> Iterator[Line]:
    if not OTS:
        yield Line("verify one proof, cold start", "", "not measured: ots is not installed", "", "≤ 1.0x", "0.7x")
        return
    vault, record = bench.vault(), bench.root / "record.bin"
    record.write_bytes(b"one record")
    proof = record.with_name("record.bin.medproof")
    bench.call("stamp", record, "--anchor", "--again", "--vault", vault)
    bench.call("proof", "export", record, "--force", "--vault", vault)
    vault.rename(vault.with_name("elsewhere"))  # who holds a proof has no vault
    ours = command(*MEDANCHOR, "verify", record, "--proof", proof, exits=FOUND_UNCONFIRMED)
    pair = in_turn(ours, command(OTS, "--version"), 5 * bench.runs)
    yield slower("verify one proof, cold start", pair, "`ots --version`", "≤ 1.0x", "0.7x")
    shutil.rmtree(vault.with_name("elsewhere"))


def million(bench: Bench) -> Iterator[Line]:
    count = 1_000_000 // bench.shrink
    folder, vault = bench.records(1_000_000, 64), bench.vault()
    peak, seconds = peak_memory([*MEDANCHOR, "stamp", folder, "--vault", vault, "--quiet"])
    memory = f"{peak.total / MEGABYTE:.0f} MB; largest process {peak.single / MEGABYTE:.0f} MB"
    yield Line(f"peak memory, stamp {count:,} records ({seconds:.1f} s)", memory, "-", "", "≤ 400 MB", "200 MB")
    size = sum(path.stat().st_size for path in vault.rglob("*") if path.is_file())
    yield Line(f"vault of {count:,} records", f"{size / MEGABYTE:.0f} MB", "-", "", "≤ 160 MB", "")
    run = task("one_proof", vault, count)
    median = statistics.median(run() for _ in range(11))
    yield Line(f"one proof among {count:,}", f"{median * 1000:.1f} ms", "-", "", "< 50 ms", "")


def header_chain(bench: Bench) -> Iterator[Line]:
    count, folder, vault = 1_000_000 // bench.shrink, bench.records(10_000, 2048), bench.vault()
    proofs, headers, cache = bench.root / "proofs", bench.root / "headers.bin", bench.root / "cache"
    shutil.rmtree(proofs, ignore_errors=True)
    bench.call("stamp", folder, "--anchor", "--vault", vault)
    bench.call("proof", "export", folder, "-o", proofs, "--vault", vault)
    long_chain(headers, count, proofs)
    shutil.rmtree(vault)
    shutil.rmtree(cache, ignore_errors=True)
    peak, seconds = peak_memory([*MEDANCHOR, "chain", "check", headers])
    memory = f"{seconds:.1f} s; {peak.total / MEGABYTE:.0f} MB"
    yield Line(f"{count:,} headers checked, the whole process", memory, "-", "", "≤ 12 s, ≤ 300 MB", "")
    proof = next(proofs.rglob("*.medproof"))
    record = next(folder.rglob(proof.name.removesuffix(".medproof")))
    verify = [*MEDANCHOR, "verify", record, "--proof", proof]
    pair = in_turn(
        command(*verify, "--headers", headers), command(*verify, exits=FOUND_UNCONFIRMED), max(5, 3 * bench.runs)
    )
    what = f"verify --headers of them from then on: {pair.ours - pair.baseline:.2f} s more"
    yield slower(what, pair, "the same without --headers", "≤ 0.3 s more", "")
    run = task("verify_headers", proofs, headers)
    rate = len(list(proofs.rglob("*.medproof"))) / statistics.median(run() for _ in range(bench.runs))
    yield Line(f"proofs verified against {count:,} headers", f"{rate:,.0f} a second", "-", "", "≥ 2,000 a second", "")
    shutil.rmtree(proofs)


def network(bench: Bench) -> Iterator[Line]:
    shutil.rmtree(bench.root / "node", ignore_errors=True)
    shutil.rmtree(bench.root / "vault", ignore_errors=True)
    vault = ("--vault", bench.root / "vault")
    with loopback_node(bench.root / "node") as (node, wallet):
        bench.call("init", "--node", node.url, "--wallet", wallet, *vault)
        bench.call("stamp", bench.records(10_000, 2048), *vault)
        bench.call("anchor", *vault)
        (sent,) = node.ledger.mempool.values()
        yield Line("an anchoring transaction", f"{sent.size} vB", "-", "", "≤ 160 vB", "")
        node.ledger.mine(6)
        bench.call("anchor", *vault)
        run = command(*MEDANCHOR, "anchor", *vault)
        median = statistics.median(run() for _ in range(bench.runs))
        node.plan()
        run()
        asked = f"{median:.2f} s; {len(node.requests)} requests"
    yield Line("anchor, with nothing to do, the whole process", asked, "-", "", "≤ 0.5 s, ≤ 5 requests", "")


ROWS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    "small": stamp_small,
    "medium": stamp_medium,
    "big": stamp_big,
    "peer": stamp_peer,
    "tree": trees,
    "verify": verify_again,
    "proofs": many_proofs,
    "cold": cold_start,
    "million": million,
    "headers": header_chain,
    "network": network,
    "clinical": clinical,
}
