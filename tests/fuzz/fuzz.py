"""Fuzz one reader, guided by coverage: python tests/fuzz/fuzz.py TARGET SECONDS [FOLDER].

Needs `pip install --group fuzz`. What is found new goes to FOLDER (default: a temporary one), crashes too; inputs
worth keeping are copied to corpus/TARGET by hand, where test_corpus.py replays them. Ends with libFuzzer's exit code.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path.insert(1, str(Path(__file__).parents[1]))  # helpers of all tests lie there
from fuzz_targets import CORPUS, TARGETS

INSTRUMENTED = ["medanchor.records", "pydicom", "xml", "json"]

MOST_SECONDS = 5
MOST_MEGABYTES = 1500
MOST_BYTES = 16384


def main(target: str, seconds: str, folder: str | None = None) -> None:
    place = Path(folder or tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    place.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"new inputs and crashes go to {place}\n")
    warnings.simplefilter("error")
    run = TARGETS[target]
    with atheris.instrument_imports(include=INSTRUMENTED):
        for seed in (CORPUS / target).iterdir():  # readers import late what they need: all of it is imported here
            run(seed.read_bytes())
    dictionary = Path(__file__).parent / "dictionaries" / f"{target.removesuffix('_diff')}.dict"
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={MOST_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-max_len={MOST_BYTES}",
        f"-artifact_prefix={place}/",
        "-print_final_stats=1",
        *([f"-dict={dictionary}"] if dictionary.exists() else []),
    ]
    found, seeds = place / "corpus", CORPUS / target
    found.mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *options, str(found), str(seeds)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4 or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\ntargets: {', '.join(TARGETS)}")
    main(*sys.argv[1:])
