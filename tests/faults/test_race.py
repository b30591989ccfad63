"""Sixteen stampers and an anchorer at once, on different folders and on one: nobody is turned away, nothing is lost."""

import os
import subprocess
import sys
import time

import pytest
from faulting import assert_anchored_once, assert_tidy, copy_vault, records_in, stamped

from medanchor.vault.store import Store

STAMPERS = 16
RECORDS_EACH = 5
READERS = (("status",), ("log",), ("key", "list"))


def start(vault, *arguments):
    command = [sys.executable, "-m", "medanchor", *map(str, arguments)]
    environment = {**os.environ, "MEDANCHOR_VAULT": str(vault)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def failures(processes, *allowed):
    """What went wrong in `processes`, once all have ended."""
    told = [(process.args[3:], process.communicate()[1], process.returncode) for process in processes]
    return [item for item in told if item[2] not in (0, *allowed) or "locked" in item[1] or "Traceback" in item[1]]


def write_records(folder, count=RECORDS_EACH):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"made-up record {number} of {folder.name}\n")
    return folder


def race(vault, folders):
    """Stamp each of `folders` in a process of its own while others anchor and read, again and again."""
    stampers = [start(vault, "stamp", folder) for folder in folders]
    anchors, readers = [], []
    while any(process.poll() is None for process in stampers):
        if not anchors or anchors[-1].poll() is not None:
            anchors.append(start(vault, "anchor"))
        if not readers or readers[-1].poll() is not None:
            readers.append(start(vault, *READERS[len(readers) % len(READERS)]))
            readers.append(start(vault, "verify", folders[0]))
        time.sleep(0.05)
    assert not failures(stampers)
    assert not failures(anchors)
    # What waits for its anchor (3), or was not stamped yet (8), is no failure of the one who asks.
    assert not failures(readers, 3, 8)


def test_many_stampers_of_different_folders(runner, scene, tmp_path):
    vault = copy_vault(scene.empty, tmp_path / "vault")
    folders = [write_records(tmp_path / f"ward-{number}") for number in range(STAMPERS)]
    race(vault, folders)
    runner.run(vault, "anchor").expect()
    assert stamped(vault) == records_in(*folders)
    with Store(vault) as store:
        assert store.size() == STAMPERS
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)
    assert_tidy(vault)


def test_many_stampers_of_the_same_folder_stamp_it_once(runner, scene, tmp_path):
    vault = copy_vault(scene.empty, tmp_path / "vault")
    folder = write_records(tmp_path / "ward", 40)
    race(vault, [folder] * STAMPERS)
    runner.run(vault, "anchor").expect()
    assert stamped(vault) == records_in(folder)
    with Store(vault) as store:
        assert store.size() == 1
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)


def test_many_anchorers_make_one_transaction(runner, scene, tmp_path):
    vault = copy_vault(scene.unanchored, tmp_path / "vault")
    anchors = [start(vault, "anchor") for _ in range(6)]
    assert not failures(anchors)
    assert_anchored_once(vault)
    runner.run(vault, "audit").expect()


def test_the_first_commands_of_all_make_one_vault(runner, tmp_path):
    """Where there is no vault yet, each stamper would make the default one."""
    home = tmp_path / "home"
    home.mkdir()
    folders = [write_records(tmp_path / f"ward-{number}") for number in range(6)]
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home)}
    environment.pop("MEDANCHOR_VAULT", None)
    command = [sys.executable, "-m", "medanchor", "stamp"]
    pipes = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    assert not failures([subprocess.Popen([*command, str(folder)], **pipes) for folder in folders])
    vault = home / "medanchor"
    assert stamped(vault) == records_in(*folders)
    assert list(home.iterdir()) == [vault]
    runner.run(vault, "audit").expect()


@pytest.mark.parametrize("moment", range(3))
def test_a_copy_taken_while_a_stamper_writes_opens(runner, scene, tmp_path, moment):
    """A backup of database and log, file by file, under a running writer: what was stamped before is in it, whole."""
    vault = copy_vault(scene.unstamped, tmp_path / "vault")
    with Store(vault) as reader:  # keeps the log from being folded in
        runner.run(vault, "stamp", scene.records).expect()
        writer = start(vault, "stamp", scene.records, "--again")
        time.sleep(0.15 * moment)
        # By another process: to close a file here would let go of the locks that `reader` has on it.
        copy = copy_vault(vault, tmp_path / "copy")
        (copy / "medanchor.db-shm").unlink()
        assert not failures([writer])
        assert reader.size() == 3
    assert set(records_in(scene.records)) <= set(stamped(copy))
    runner.run(copy, "audit").expect()
