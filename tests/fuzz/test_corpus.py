"""Inputs that fuzzing has found, run again: nothing but MalformedRecordError comes out of any reader."""

import pytest
from fuzz_targets import CORPUS, TARGETS

INPUTS = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_corpus(target):
    assert any((CORPUS / target).iterdir())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_kept_input_is_read_or_refused(path):
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_truncation_of_a_short_input_is_read_or_refused(target):
    shortest = min((path.read_bytes() for path in (CORPUS / target).iterdir()), key=len)[:500]
    for end in range(len(shortest)):
        TARGETS[target](shortest[:end])


def test_the_corpus_stays_small():
    assert sum(path.stat().st_size for path in INPUTS) < 300_000
