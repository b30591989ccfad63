"""A full or failing disk at every call: a clear error with a hint, nothing lost, and the next run goes on."""

import pytest
from faulting import CHANGING, assert_anchored_once, assert_tidy, copy_vault, records_in, stamped

CHUNKS = 4
EVERY = 8
"""Of the calls of `anchor` into the chain's files, every eighth is refused; of those into the vault's own, all."""

SYNCS = ("fsync", "fdatasync", "unlink", "unlinkat")
VAULT, CHAIN = 5, 6
DATABASE = ("medanchor.db", "medanchor.db-wal", "medanchor.db-shm")


def refusal(event):
    """What the operating system says to this call on a bad day: no space to what needs some, else a failing disk."""
    return "error=EIO" if event.call in SYNCS else "error=ENOSPC"


def assert_told(ran):
    """It went well in spite of all, or said what is wrong and what to do, in medanchor's own words."""
    ran.expect(0, VAULT, CHAIN)
    if ran.code:
        assert "medanchor: error: " in ran.stderr
        assert "medanchor: hint: " in ran.stderr


def assert_goes_on(runner, scene, vault, *command):
    runner.run(vault, *command).expect()
    assert stamped(vault) == records_in(scene.records)
    runner.run(vault, "audit").expect()
    assert_tidy(vault)


def test_stamp_refused_at_every_call(runner, scene, tmp_path):
    events = runner.events(copy_vault(scene.unstamped, tmp_path / "vault"), "stamp", scene.records)
    codes = set()
    for event in events:
        vault = copy_vault(scene.unstamped, tmp_path / "vault")
        ran = runner.run(vault, "stamp", scene.records, tracing=event.injection(tmp_path, refusal(event)))
        assert_told(ran)
        codes.add(ran.code)
        assert_goes_on(runner, scene, vault, "stamp", scene.records)
    assert codes == {0, VAULT}
    assert len(events) >= 30


@pytest.fixture(scope="session")
def anchor_events(runner, scene, tmp_path_factory):
    events = runner.events(copy_vault(scene.unanchored, tmp_path_factory.mktemp("dry") / "vault"), "anchor")
    inside = [event for event in events if "regtest" in event.path]
    return [event for event in events if event not in inside] + inside[::EVERY]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_anchor_refused_at_many_calls(runner, scene, anchor_events, tmp_path, chunk):
    codes = set()
    for event in anchor_events[chunk::CHUNKS]:
        vault = copy_vault(scene.unanchored, tmp_path / "vault")
        ran = runner.run(vault, "anchor", tracing=event.injection(tmp_path, refusal(event)))
        assert_told(ran)
        codes.add(ran.code)
        assert_goes_on(runner, scene, vault, "anchor")
        assert_anchored_once(vault)
    assert codes - {0}


@pytest.mark.parametrize("first", [1, 9, 10, 12, 20])
def test_a_disk_that_stays_full_under_the_database(runner, scene, tmp_path, first):
    vault = copy_vault(scene.unstamped, tmp_path / "vault")
    paths = [argument for name in DATABASE for argument in ("-P", str(vault / name))]
    rule = f"inject=pwrite64,ftruncate,fallocate:error=ENOSPC:when={first}+"
    ran = runner.run(vault, "stamp", scene.records, tracing=[*paths, "-e", f"trace={CHANGING}", "-e", rule])
    ran.expect(VAULT)
    assert_told(ran)
    assert_goes_on(runner, scene, vault, "stamp", scene.records, "--anchor")
    assert_anchored_once(vault)


@pytest.mark.parametrize("name", ["blocks/blk00000.dat", "blocks/rev00000.dat", "blocks/index", "chainstate"])
def test_a_disk_that_stays_full_under_the_chain(runner, scene, tmp_path, name):
    vault = copy_vault(scene.unanchored, tmp_path / "vault")
    path = vault / "chain" / "regtest" / name
    paths = (
        [path] if path.is_file() else [path, *(path / f"{n:06}.{kind}" for n in range(99) for kind in ("log", "ldb"))]
    )
    named = [argument for path in paths for argument in ("-P", str(path))]
    rule = "inject=write,pwrite64,fallocate,fdatasync:error=ENOSPC:when=1+"
    ran = runner.run(vault, "anchor", tracing=["-f", *named, "-e", f"trace={CHANGING}", "-e", rule])
    ran.expect(CHAIN)
    assert_told(ran)
    assert_goes_on(runner, scene, vault, "anchor")
    assert_anchored_once(vault)
