"""The engine in a process of its own: whatever becomes of it is told, and nothing of it stays."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from headerchains import mainnet_rival, regtest

from medanchor.chain import header_engine
from medanchor.chain.header_engine import engine, judge
from medanchor.core.header import Network
from medanchor.errors import ChainError

RIVAL = b"".join(mainnet_rival()[1:])


def verdict(headers: bytes, network: Network, directory: Path) -> dict:
    told = []
    judge(io.BytesIO(headers), network, directory, told.append)
    (only,) = told
    return dict(only)


class TestJudging:
    def test_all_are_taken(self, tmp_path):
        assert verdict(RIVAL, Network.MAINNET, tmp_path) == {"taken": 2016}

    def test_none_is_taken(self, tmp_path):
        assert verdict(b"", Network.SIGNET, tmp_path) == {"taken": 0}

    @pytest.mark.parametrize("index", [0, 999, 1000, 1500])
    def test_which_is_refused(self, tmp_path, index):
        changed = RIVAL[: 80 * index + 76] + bytes(4) + RIVAL[80 * (index + 1) :]
        told = verdict(changed, Network.MAINNET, tmp_path)
        assert told == {"refused": index, "rule": "proof of work failed"}

    def test_no_place_for_it(self, tmp_path):
        (tmp_path / "file").touch()
        told = verdict(RIVAL, Network.MAINNET, tmp_path / "file")
        assert "expected a directory" in told["error"]
        assert told["hint"]


class TestProcess:
    def test_it_answers(self):
        with engine(Network.MAINNET) as judging:
            assert judging.take(RIVAL, ())
            assert judging.refusal() is None

    def test_it_stops_reading_at_the_first_refusal(self):
        """More than a pipe holds is on its way by then."""
        with engine(Network.MAINNET) as judging:
            deadline = time.monotonic() + 30
            while judging.take(RIVAL[80:], ()):
                assert time.monotonic() < deadline
            height, rule = judging.refusal()
        assert height == 1
        assert rule

    def test_it_is_killed(self):
        with engine(Network.MAINNET) as judging:
            os.kill(judging._process.pid, signal.SIGKILL)
            judging._process.wait()
            assert not judging.take(RIVAL, ()) or not judging.take(RIVAL, ())
            with pytest.raises(ChainError, match="gave no answer, and ended with -9") as caught:
                judging.refusal()
        assert caught.value.hint is not None
        assert "memory" in caught.value.hint

    def test_it_is_left_in_the_middle(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with engine(Network.MAINNET) as judging:
            judging.take(RIVAL[:8000], ())
        assert judging._process.returncode == -signal.SIGKILL
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "answer", [b"", b"garbage", b"[]", b'{"taken": "many"}', b'{"refused": 1}', b'{"error": "x"}']
    )
    def test_an_answer_that_is_none(self, monkeypatch, answer):
        command = [sys.executable, "-c", f"import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write({answer!r})"]

        def started(_network, _directory):
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        monkeypatch.setattr(header_engine, "_started", started)
        with engine(Network.MAINNET) as judging, pytest.raises(ChainError, match="gave no answer, and ended with 0"):
            judging.refusal()

    def test_what_it_could_not_do_is_told_here(self, monkeypatch, tmp_path):
        (tmp_path / "file").touch()
        begin = header_engine._started
        monkeypatch.setattr(header_engine, "_started", lambda network, _: begin(network, str(tmp_path / "file")))
        with engine(Network.MAINNET) as judging, pytest.raises(ChainError, match="expected a directory"):
            judging.refusal()

    def test_no_process_is_to_be_had(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        with (
            pytest.raises(ChainError, match="headers cannot be checked: no such file") as caught,
            engine(Network.MAINNET),
        ):
            pass
        assert caught.value.hint is not None

    def test_nothing_in_the_working_directory_is_run(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        for name in ("json", "signal", "pbk", "medanchor"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
        monkeypatch.setattr(sys, "path", ["", *sys.path])
        with engine(Network.MAINNET) as judging:
            assert judging.take(RIVAL, ())
            assert judging.refusal() is None

    def test_ctrl_c_at_the_terminal_is_for_its_parent(self):
        """A terminal sends it to the whole group of processes in front of it."""
        with engine(Network.MAINNET) as judging:
            assert os.getpgid(judging._process.pid) != os.getpgrp()


def test_regtest_is_not_for_it_but_works(tmp_path):
    assert verdict(b"".join(regtest(20)[1:]), Network.REGTEST, tmp_path) == {"taken": 19}
