"""Transcripts: each file in transcripts/ is a session at a terminal, run again and compared word for word.

UPDATE_TRANSCRIPTS=1 writes down what happens now; read the difference before believing it.
"""

import os
from pathlib import Path

import pytest
from transcript import replay

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_session_goes_as_it_went(file, user):
    expected = file.read_text("utf-8").splitlines()
    found = replay(expected, user)
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        file.write_text("\n".join(found) + "\n", "utf-8")
    else:
        assert found == expected


def test_every_session_is_there():
    assert len(FILES) >= 8
