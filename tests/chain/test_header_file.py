"""Files of headers, and the note of those that were checked: never believed for more than it can know."""

import json
import os
import shutil
from pathlib import Path

import pytest
from headerchains import mainnet_rival, on_top, regtest

from medanchor.chain import header_file
from medanchor.chain.header_file import HeaderFile, check_header_file
from medanchor.chain.header_note import Checked, Note, usual_note
from medanchor.chain.source import Tip
from medanchor.core.hashes import sha256d
from medanchor.core.header import Network
from medanchor.errors import MalformedProofError, UsageError, VerificationError

CHAIN = regtest(120)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "headers.bin"
    path.write_bytes(b"".join(CHAIN))
    return path


@pytest.fixture
def note(tmp_path) -> Note:
    return Note(tmp_path / "cache" / "headers.json", "1")


class TestReading:
    def test_what_is_in_it(self, file):
        with HeaderFile.open(file) as headers:
            assert headers.network is Network.REGTEST
            assert (headers.height, headers.length) == (119, 9600)
            assert headers.tip() == Tip(119, CHAIN[119])
            assert headers.header(7) == CHAIN[7]
            assert headers.headers([0, 119, 120, -1, 5]) == [CHAIN[0], CHAIN[119], None, None, CHAIN[5]]
            assert str(file) in headers.name

    @pytest.mark.parametrize("start", [0, 1, 119, 120])
    @pytest.mark.parametrize("size", [1, 7, 2000])
    def test_in_chunks(self, file, monkeypatch, start, size):
        monkeypatch.setattr(header_file, "_AT_ONCE", 80 * size)
        with HeaderFile.open(file) as headers:
            chunks = list(headers.chunks(start))
        assert b"".join(chunks) == b"".join(CHAIN[start:])
        assert all(len(chunk) <= 80 * size for chunk in chunks)

    @pytest.mark.parametrize("size", [0, 1, 79, 81, 161])
    def test_one_of_another_size_is_refused(self, file, size):
        file.write_bytes(bytes(size))
        with pytest.raises(MalformedProofError, match=f"expected headers of 80 bytes .*, found {size} bytes"):
            HeaderFile.open(file)

    def test_a_missing_one_is_named(self, tmp_path):
        with pytest.raises(UsageError, match=r"cannot read the headers in .*missing.bin: no such file"):
            HeaderFile.open(tmp_path / "missing.bin")

    def test_a_folder_and_a_pipe_are_none(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(UsageError, match="found something else"):
                HeaderFile.open(path)

    def test_one_that_shrinks_meanwhile(self, file):
        with HeaderFile.open(file) as headers:
            os.truncate(file, 800)
            with pytest.raises(UsageError, match="became shorter"):
                list(headers.chunks())

    def test_a_disk_that_fails(self, file, monkeypatch):
        def fail(*_):
            raise OSError(5, "Input/output error")

        with HeaderFile.open(file) as headers:
            monkeypatch.setattr(os, "pread", fail)
            with pytest.raises(UsageError, match=r"cannot read the headers in .*: input/output error"):
                headers.tip()

    def test_nothing_stays_open(self, file):
        before = set(Path("/proc/self/fd").iterdir())
        for content in (b"".join(CHAIN), b"", bytes(80)):
            file.write_bytes(content)
            try:
                check_header_file(file)
            except VerificationError:
                continue
        assert set(Path("/proc/self/fd").iterdir()) == before


class TestChecking:
    def test_a_file_by_its_own_network(self, file):
        chain = check_header_file(file, [0, 5, 500])
        assert (chain.network, chain.height, chain.tip) == (Network.REGTEST, 119, sha256d(CHAIN[119]))
        assert (chain.at(5), chain.at(500)) == (CHAIN[5], None)

    def test_a_file_of_another_network(self, file, note):
        check_header_file(file, note=note)
        with pytest.raises(VerificationError, match="genesis block of mainnet"):
            check_header_file(file, network=Network.MAINNET, note=note)

    def test_a_file_of_no_network(self, file):
        file.write_bytes(bytes(800))
        with pytest.raises(VerificationError, match="genesis block of a Bitcoin network"):
            check_header_file(file)

    def test_a_file_changed_while_it_is_read_is_judged_by_what_was_read(self, file, monkeypatch):
        """What is picked comes from the bytes that were checked, not from what stands there later."""
        monkeypatch.setattr(header_file, "_AT_ONCE", 800)
        done = []

        def change(count: int) -> None:
            done.append(count)
            if sum(done) == 59:
                with file.open("r+b") as writing:
                    writing.write(bytes(800))

        chain = check_header_file(file, [3], progress=change)
        assert chain.at(3) == CHAIN[3]


@pytest.fixture(autouse=True)
def _short_files_count(monkeypatch):
    monkeypatch.setattr(header_file, "WORTH_REMEMBERING", 800)


@pytest.fixture
def checks(monkeypatch) -> list[int]:
    """What was really checked, not only remembered: the progress of it."""
    done: list[int] = []
    genuine = header_file.check_headers

    def count(*arguments, **options):
        done.append(1)
        return genuine(*arguments, **options)

    monkeypatch.setattr(header_file, "check_headers", count)
    return done


class TestRemembering:
    def test_the_second_time_nothing_is_checked(self, file, note, checks):
        first = check_header_file(file, range(200), note=note)
        assert check_header_file(file, range(200), note=note) == first
        assert len(checks) == 1
        assert first.at(64) == CHAIN[64]

    def test_a_copy_is_the_same_file(self, file, note, checks, tmp_path):
        check_header_file(file, note=note)
        check_header_file(Path(shutil.copy(file, tmp_path / "copy")), note=note)
        assert len(checks) == 1

    @pytest.mark.parametrize("place", [0, 4, 79, 80, 5000, 9599])
    def test_one_changed_byte_makes_another_file(self, file, note, place):
        check_header_file(file, note=note)
        changed = bytearray(file.read_bytes())
        changed[place] ^= 0x80
        file.write_bytes(bytes(changed))
        if place < 9520:
            with pytest.raises(VerificationError):
                check_header_file(file, note=note)

    def test_a_longer_one_is_another(self, file, note, checks):
        check_header_file(file, note=note)
        file.write_bytes(b"".join([*CHAIN, on_top(CHAIN[-1])]))
        assert check_header_file(file, note=note).height == 120
        assert len(checks) == 2

    def test_the_note_of_another_file_of_that_length(self, file, note, checks):
        note.add(Checked("00" * 32, 9600, Network.REGTEST, "11" * 32))
        check_header_file(file, note=note)
        assert len(checks) == 1

    def test_the_same_bytes_said_to_be_of_another_network(self, file, note, checks):
        check_header_file(file, note=note)
        content = json.loads(note._path.read_text())
        content["files"][0]["network"] = "mainnet"
        note._path.write_text(json.dumps(content))
        check_header_file(file, note=note)
        assert len(checks) == 2

    def test_what_was_refused_is_not_remembered(self, file, note):
        file.write_bytes(b"".join(mainnet_rival()[:10]))
        for _ in range(2):
            with pytest.raises(VerificationError, match="hashes of work"):
                check_header_file(file, note=note)
        assert note.find(800) == []

    def test_a_short_file_is_checked_each_time_and_leaves_nothing(self, file, note, checks):
        file.write_bytes(b"".join(CHAIN[:9]))
        for _ in range(2):
            check_header_file(file, note=note)
        assert len(checks) == 2
        assert not note._path.exists()


class TestNote:
    CHECKED = Checked("ab" * 32, 160, Network.SIGNET, "cd" * 32)

    def test_it_is_private(self, note):
        former = os.umask(0)
        try:
            note.add(self.CHECKED)
        finally:
            os.umask(former)
        assert note._path.stat().st_mode & 0o777 == 0o600
        assert note._path.parent.stat().st_mode & 0o777 == 0o700
        assert note.find(160) == [self.CHECKED]
        assert note.find(240) == []

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666, 0o700])
    def test_one_that_others_may_touch_is_none(self, note, mode):
        note.add(self.CHECKED)
        note._path.chmod(mode)
        assert note.find(160) == []

    def test_one_that_another_user_owns_is_none(self, note, monkeypatch):
        note.add(self.CHECKED)
        mine = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
        assert note.find(160) == []

    def test_a_link_to_one_is_none(self, note):
        note.add(self.CHECKED)
        note._path.rename(note._path.with_name("elsewhere"))
        note._path.symlink_to("elsewhere")
        assert note.find(160) == []

    def test_one_of_another_version_is_none(self, note):
        note.add(self.CHECKED)
        assert Note(note._path, "2").find(160) == []

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "garbage",
            "[]",
            "{}",
            '"1"',
            "null",
            "[" * 70_000,
            '{"version": "1"}',
            '{"version": "1", "files": 5}',
            '{"version": "1", "files": [5]}',
            '{"version": "1", "files": [{}]}',
            '{"version": "1", "files": [{"sha256": "a", "length": 160, "network": "moon", "tip": "b"}]}',
            '{"version": "1", "files": [{"sha256": "a", "length": "160", "network": "signet", "tip": "b"}]}',
            '{"version": "1", "files": [{"sha256": 5, "length": 160, "network": "signet", "tip": "b"}]}',
            '{"version": "1", "files": [{"sha256": "a", "length": 160, "network": "signet"}]}',
        ],
    )
    def test_a_damaged_one_is_none(self, note, content):
        note.add(self.CHECKED)
        note._path.write_text(content)
        assert note.find(160) == []
        note.add(self.CHECKED)
        assert note.find(160) == [self.CHECKED]

    def test_a_pipe_in_its_place_does_not_hang(self, note):
        note._path.parent.mkdir()
        os.mkfifo(note._path, 0o600)
        assert note.find(160) == []

    def test_where_it_cannot_be_written_nothing_is_remembered(self, tmp_path):
        (tmp_path / "file").touch()
        note = Note(tmp_path / "file" / "headers.json", "1")
        note.add(self.CHECKED)
        assert note.find(160) == []

    def test_half_written_ones_are_swept_up(self, note, monkeypatch):
        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", fail)
        note.add(self.CHECKED)
        assert list(note._path.parent.iterdir()) == []

    def test_it_remembers_the_latest_few_once_each(self, note):
        several = [Checked(f"{number:064x}", 160, Network.SIGNET, "cd" * 32) for number in range(20)]
        for checked in (*several, several[10]):
            note.add(checked)
        assert note.find(160) == [*several[4:10], *several[11:], several[10]]

    def test_where_it_usually_is(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        note = usual_note()
        note.add(self.CHECKED)
        assert (tmp_path / "medanchor" / "headers.json").is_file()
        assert "engine" in json.loads((tmp_path / "medanchor" / "headers.json").read_text())["version"]
