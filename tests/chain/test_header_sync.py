"""Keeping a file of headers up to date: only ever a checked chain, only ever for one with more work."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from header_sources import FAULTS, KILLED, TIP_FAULTS, Source, split
from headerchains import mainnet_rival, on_top, regtest

from medanchor.chain import header_draft, header_sync
from medanchor.chain.embedded import EmbeddedChain
from medanchor.chain.header_draft import Draft
from medanchor.chain.header_file import HeaderFile, check_header_file
from medanchor.chain.header_note import Note
from medanchor.chain.header_sync import export_headers, headers_in, sync_headers
from medanchor.chain.headers import KNOWN_BLOCK, MINIMUM_WORK
from medanchor.core.hashes import sha256d
from medanchor.core.header import Network
from medanchor.errors import ChainError, UsageError

CHAIN = regtest(60)
RIVAL = regtest(70, base=CHAIN[:40], seconds=200)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "headers.bin"


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(header_sync, "AT_ONCE", 16)


def write(path: Path, headers: list[bytes]) -> Path:
    path.write_bytes(b"".join(headers))
    return path


def tidy(file: Path) -> bool:
    return not file.with_name(file.name + ".part").exists()


class TestSync:
    def test_a_new_file(self, file):
        told = []
        synced = sync_headers(Source(CHAIN), file, progress=told.append)
        assert (synced.added, synced.removed, synced.offered) == (60, 0, 59)
        assert (synced.chain.height, synced.chain.tip) == (59, sha256d(CHAIN[59]))
        assert split(file) == CHAIN
        assert sum(told) == 60 + 59
        assert tidy(file)

    def test_from_the_embedded_chain_and_again_after_a_reorganisation(self, file, tmp_path):
        chain = EmbeddedChain(tmp_path / "chain", now=lambda: 1_790_000_000)
        assert sync_headers(chain, file).added == 102
        chain.reorg(5)
        chain.mine(3)
        synced = sync_headers(chain, file)
        assert (synced.added, synced.removed) == (9, 5)
        assert split(file) == chain.headers(range(106))
        assert check_header_file(file).height == 105

    @pytest.mark.parametrize("have", [1, 2, 15, 16, 17, 40, 59])
    def test_what_is_missing_is_fetched_and_no_more(self, file, have):
        source = Source(CHAIN)
        synced = sync_headers(source, write(file, CHAIN[:have]))
        assert (synced.added, synced.removed) == (60 - have, 0)
        assert split(file) == CHAIN
        fetched = [
            height for request in source.asked[1:] if len(request) > 1 or request != [have - 1] for height in request
        ]
        assert sorted(height for height in fetched if isinstance(height, int) and height >= have) == list(
            range(have, 60)
        )

    def test_nothing_new_takes_one_question(self, file):
        source = Source(CHAIN)
        synced = sync_headers(source, write(file, CHAIN))
        assert (synced.added, synced.removed, synced.chain.height) == (0, 0, 59)
        assert source.asked == ["tip"]
        assert tidy(file)

    def test_a_source_that_is_behind_takes_nothing_away(self, file):
        synced = sync_headers(Source(CHAIN[:30]), write(file, CHAIN))
        assert (synced.added, synced.removed, synced.offered, synced.chain.height) == (0, 0, 29, 59)
        assert split(file) == CHAIN
        assert tidy(file)

    @pytest.mark.parametrize("depth", [1, 2, 3, 15, 16, 17, 58])
    def test_a_reorganisation(self, file, depth):
        rival = regtest(61, base=CHAIN[: 60 - depth], seconds=200)
        source = Source(rival)
        synced = sync_headers(source, write(file, CHAIN))
        assert (synced.added, synced.removed) == (depth + 1, depth)
        assert split(file) == rival
        assert len(source.asked) <= 24

    @pytest.mark.parametrize("length", [41, 59, 60])
    def test_a_rival_with_no_more_work(self, file, length):
        """Of two chains with the same work the first seen stays, as with Bitcoin Core."""
        synced = sync_headers(Source(RIVAL[:length]), write(file, CHAIN))
        assert (synced.added, synced.removed) == (0, 0)
        assert split(file) == CHAIN
        assert tidy(file)

    def test_from_another_file(self, file, tmp_path):
        with headers_in(write(tmp_path / "other.bin", CHAIN)) as other:
            assert sync_headers(other, file).added == 60
        assert split(file) == CHAIN

    def test_what_was_checked_is_remembered(self, file, tmp_path, monkeypatch):
        monkeypatch.setattr("medanchor.chain.header_file.WORTH_REMEMBERING", 80)
        note = Note(tmp_path / "note.json", "1")
        sync_headers(Source(CHAIN), file, note=note)
        monkeypatch.setattr("medanchor.chain.header_file.check_headers", None)
        assert check_header_file(file, [5], note=note).at(5) == CHAIN[5]
        assert sync_headers(Source(CHAIN), file, note=note).chain.height == 59

    def test_a_link_stays_a_link_and_modes_stay(self, file, tmp_path):
        write(tmp_path / "real.bin", CHAIN[:9]).chmod(0o640)
        file.symlink_to("real.bin")
        sync_headers(Source(CHAIN), file)
        assert file.is_symlink()
        assert split(tmp_path / "real.bin") == CHAIN
        assert (tmp_path / "real.bin").stat().st_mode & 0o777 == 0o640


class TestRefusal:
    def test_a_file_of_another_network_is_named_with_both(self, file):
        write(file, mainnet_rival()[:5])
        with pytest.raises(UsageError, match=r"expected headers of regtest in .*headers.bin, found mainnet's"):
            sync_headers(Source(CHAIN), file)

    @pytest.mark.parametrize("content", [b"", b"a letter", bytes(800), CHAIN[0][:79]])
    def test_a_file_of_something_else_is_left_alone(self, file, content):
        file.write_bytes(content)
        with pytest.raises(UsageError, match="expected headers in"):
            sync_headers(Source(CHAIN), file)
        assert file.read_bytes() == content
        assert tidy(file)

    @pytest.mark.parametrize("have", [0, 1, 20])
    def test_a_source_of_another_network(self, file, have):
        if have:
            write(file, CHAIN[:have])
        with pytest.raises(ChainError, match="does not begin with the genesis block of regtest"):
            sync_headers(Source(mainnet_rival()[:50]), file)

    def test_headers_that_break_a_rule(self, file):
        """In line and with proof of work, so that only the check of the whole finds it."""
        late = [*CHAIN[:50], on_top(CHAIN[49], seconds=-50_000)]
        late = regtest(62, base=late)
        write(file, CHAIN[:20])
        with pytest.raises(ChainError, match=r"the scripted source says, on top of .*: header 50 breaks") as caught:
            sync_headers(Source(late), file)
        assert caught.value.hint
        assert split(file) == CHAIN[:20]
        assert tidy(file)
        assert sync_headers(Source(CHAIN), file).added == 40

    def test_a_chain_with_too_little_work(self, file):
        source = Source(mainnet_rival()[:40], Network.MAINNET)
        with pytest.raises(ChainError, match=r"the scripted source says cannot be believed: .* hashes of work"):
            sync_headers(source, file)
        assert not file.exists()

    def test_a_rival_of_mainnet_passes_where_mainnet_is_not_known(self, file, monkeypatch):
        """The same through the engine, to show that nothing else stood in the way."""
        monkeypatch.setitem(MINIMUM_WORK, Network.MAINNET, 0)
        monkeypatch.delitem(KNOWN_BLOCK, Network.MAINNET)
        assert sync_headers(Source(mainnet_rival(), Network.MAINNET), file).added == 2017

    def test_a_file_that_was_damaged(self, file):
        damaged = [*CHAIN[:9], CHAIN[9][:40] + b"\xff" + CHAIN[9][41:], *CHAIN[10:]]
        for held in (damaged, damaged[:50]):
            write(file, held)
            with pytest.raises(ChainError, match=r"headers in .*headers.bin,? cannot be believed: header (9|10) "):
                sync_headers(Source(CHAIN), file)
            assert split(file) == held

    def test_to_feed_us_for_hours_takes_work(self, file):
        """Headers in line, without any: refused at once, not after the last of them."""
        cheap = list(CHAIN[:20])
        for _ in range(1000):
            cheap.append(cheap[-1][:4] + sha256d(cheap[-1]) + cheap[-1][36:])
        source = Source(cheap)
        with pytest.raises(ChainError, match=r"answers with headers that are none: .* proof of work"):
            sync_headers(source, file)
        assert len(source.asked) < 8

    def test_a_source_that_keeps_turning(self, file):
        class Turning(Source):
            def headers(self, heights):
                self.chain = RIVAL if self.chain is CHAIN else CHAIN
                return super().headers(heights)

        source = Turning(CHAIN)
        with pytest.raises(ChainError, match="do not follow one another"):
            sync_headers(source, file)
        assert len(source.asked) < 60

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(UsageError, match=r"cannot write .*: no such file") as caught:
            sync_headers(Source(CHAIN), tmp_path / "nosuch" / "headers.bin")
        assert caught.value.hint

    def test_a_full_disk(self, file, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        write(file, CHAIN[:20])
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(UsageError, match=r"cannot write .*: no space left"):
                sync_headers(Source(CHAIN), file)
        assert split(file) == CHAIN[:20]
        assert sync_headers(Source(CHAIN), file).added == 40

    def test_writes_that_come_in_pieces(self, file, monkeypatch):
        genuine = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, at: genuine(file, data[:33], at))
        sync_headers(Source(CHAIN), file)
        assert split(file) == CHAIN


class TestDraft:
    def test_one_writer_at_a_time(self, file):
        with Draft.beside(file), pytest.raises(UsageError, match="another process is writing") as caught:
            sync_headers(Source(CHAIN), file)
        assert caught.value.hint

    def test_an_interrupted_run_is_gone_on_with(self, file):
        source = Source(CHAIN, when=4, fault="down")
        with pytest.raises(ChainError):
            sync_headers(source, file)
        assert not file.exists()
        again = Source(CHAIN)
        assert sync_headers(again, file).added == 60
        fetched = [
            height for request in again.asked if isinstance(request, list) and len(request) > 1 for height in request
        ]
        assert min(fetched) >= 32

    @pytest.mark.parametrize(
        "left",
        [b"", b"piece", bytes(800), b"".join(CHAIN[:5]), b"".join(CHAIN[:30])[:-9], b"".join(RIVAL), CHAIN[5] * 70],
    )
    @pytest.mark.parametrize("have", [0, 20])
    def test_whatever_an_interrupted_run_left(self, file, left, have):
        if have:
            write(file, CHAIN[:have])
        file.with_name("headers.bin.part").write_bytes(left)
        sync_headers(Source(CHAIN), file)
        assert split(file) == CHAIN
        assert tidy(file)

    def test_a_damaged_draft_is_thrown_away(self, file):
        """Found when all of it is checked; the next run begins afresh."""
        damaged = [*CHAIN[:9], CHAIN[9][:40] + b"\xff" + CHAIN[9][41:], *CHAIN[10:50]]
        write(file.with_name("headers.bin.part"), damaged)
        with pytest.raises(ChainError, match=r"cannot be believed: header (9|10) "):
            sync_headers(Source(CHAIN), file)
        assert sync_headers(Source(CHAIN), file).added == 60

    def test_it_does_not_follow_a_link(self, file, tmp_path):
        write(tmp_path / "precious", CHAIN[:3])
        file.with_name("headers.bin.part").symlink_to("precious")
        with pytest.raises(UsageError, match="cannot write"):
            sync_headers(Source(CHAIN), file)
        assert split(tmp_path / "precious") == CHAIN[:3]

    def test_one_that_became_the_file_while_we_waited_is_not_ours(self, file, monkeypatch):
        """Opened before the other writer moved it into place, locked after."""
        genuine, moved = fcntl.flock, []

        def lock(descriptor, operation):
            if not moved:
                moved.append(file.with_name("headers.bin.part").rename(file))
                write(file, CHAIN[:30])
            genuine(descriptor, operation)

        monkeypatch.setattr(header_draft.fcntl, "flock", lock)
        with Draft.beside(file) as draft:
            assert draft.length == 0
            draft.append(b"".join(CHAIN[:2]))
        assert split(file) == CHAIN[:30]


class TestExport:
    def test_all_headers_whatever_was_there(self, file):
        for before in (None, b"a letter", b"".join(RIVAL)):
            if before:
                file.write_bytes(before)
            assert export_headers(Source(CHAIN), file) == 60
            assert split(file) == CHAIN
            assert tidy(file)

    def test_where_it_cannot_be_put(self, tmp_path):
        (tmp_path / "folder").mkdir()
        with pytest.raises(UsageError, match=r"cannot write .*folder: is a directory"):
            export_headers(Source(CHAIN), tmp_path / "folder")
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]

    def test_a_source_that_fails(self, file):
        write(file, CHAIN[:5])
        with pytest.raises(ChainError):
            export_headers(Source(CHAIN, when=3, fault="down"), file)
        assert split(file) == CHAIN[:5]
        assert export_headers(Source(CHAIN), file) == 60


def failure(source: Source, file: Path) -> ChainError | None:
    try:
        sync_headers(source, file)
    except ChainError as error:
        return error
    return None


SCENES = {
    "new": [],
    "behind": CHAIN[:25],
    "reorganised": CHAIN,
}


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("scene", SCENES)
def test_every_fault_at_every_request(scene, lasting, tmp_path):
    """The file is as it was, or right; the error is a ChainError with a hint; the next run finishes."""
    counting = Source(RIVAL)
    held = SCENES[scene]
    file = tmp_path / "count.bin"
    if held:
        write(file, held)
    sync_headers(counting, file)
    assert len(counting.asked) >= 6
    struck = 0
    for when, request in enumerate(counting.asked):
        for fault in TIP_FAULTS if request == "tip" else FAULTS:
            file = tmp_path / f"{when}-{fault}.bin"
            if held:
                write(file, held)
            source = Source(RIVAL, when=when, fault=fault, lasting=lasting)
            error = failure(source, file)
            assert error is None or error.hint, fault
            kept = split(file) if file.exists() else []
            assert kept == held or (error is None and kept == RIVAL[: len(kept)]), fault
            assert len(source.asked) < 200, fault
            sync_headers(Source(RIVAL), file)
            assert split(file) == RIVAL, fault
            assert tidy(file)
            struck += 1
    assert struck > 60


@pytest.mark.parametrize("scene", SCENES)
def test_killed_at_every_change(scene, tmp_path):
    """All the while the file is the old one or the new one; the enumeration ends where nothing is left to kill."""
    source, file, held = write(tmp_path / "source.bin", RIVAL), tmp_path / "headers.bin", SCENES[scene]
    script = Path(__file__).with_name("header_sources.py")
    environment = {"PYTHONPATH": ":".join([str(script.parents[1]), *sys.path])}
    for number in range(100):
        file.unlink(missing_ok=True)
        if held:
            write(file, held)
        command = [sys.executable, script, source, file, str(number)]
        code = subprocess.run(command, check=False, env=environment).returncode
        assert (split(file) if file.exists() else []) in (held, RIVAL)
        if code != KILLED:
            break
        sync_headers(Source(RIVAL), file)
        assert split(file) == RIVAL
        assert tidy(file)
    assert code == 0
    assert number >= 5


def test_a_header_file_is_a_source_as_a_chain_is(tmp_path):
    with HeaderFile.open(write(tmp_path / "a.bin", CHAIN)) as source:
        assert source.headers([0, 99]) == [CHAIN[0], None]
