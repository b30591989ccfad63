"""Reorganisations on the embedded chain: what falls out of the best chain is never called verified, and made again."""

import shutil

import pytest
from faulting import assert_anchored_once, chain_of, copy_vault, payloads

from medanchor.chain.embedded import EmbeddedChain
from medanchor.errors import ChainError, TransactionRefusedError

DEPTH = 6
PENDING, REFUSED, CHAIN = 3, 4, 6


def status(runner, vault):
    import json

    return json.loads(runner.run(vault, "status", "--json").expect().stdout)


@pytest.fixture
def deep(runner, scene, tmp_path):
    """A vault whose newest anchor is as many blocks deep as the test asks."""

    def make(confirmations):
        vault = copy_vault(scene.unanchored, tmp_path / "vault")
        config = vault / "config.toml"
        config.write_text(config.read_text().replace("confirmations = 6", f"confirmations = {confirmations}"))
        runner.run(vault, "anchor").expect()
        return vault

    return make


@pytest.mark.parametrize(
    ("confirmations", "depth"), [(deep, depth) for depth in range(1, DEPTH + 1) for deep in (1, 3, 6)]
)
def test_an_anchor_is_lost_exactly_when_its_block_is(runner, scene, deep, confirmations, depth):
    vault = deep(confirmations)
    runner.run(vault, "verify", scene.records).expect()
    chain_of(vault).reorg(depth)
    newest = status(runner, vault)["anchors"][-1]
    if depth < confirmations:
        assert newest["state"] == "settled"
        runner.run(vault, "verify", scene.records).expect()
        assert "anchored" in runner.run(vault, "anchor").expect().stdout
    else:
        assert newest["state"] == "reorganised"
        assert newest["confirmations"] == 0
        assert runner.run(vault, "verify", scene.records / "3.txt").code in (PENDING, REFUSED)
        assert runner.run(vault, "audit").code == PENDING
        runner.run(vault, "anchor").expect()
    assert status(runner, vault)["anchors"][-1]["state"] == "settled"
    runner.run(vault, "verify", scene.records).expect()
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)


def test_a_proof_of_a_stale_block_is_refused_at_step_8(runner, scene, deep, tmp_path):
    vault = deep(1)
    record, proofs = scene.records / "3.txt", tmp_path / "proofs"
    command = ("verify", record, "--proof", proofs / "3.txt.medproof")
    runner.run(vault, "proof", "export", record, "-o", proofs).expect()
    runner.run(vault, *command).expect()
    chain_of(vault).reorg(1)
    assert "step 8, TRUST" in runner.run(vault, *command).expect(REFUSED).stdout
    runner.run(vault, "anchor").expect()
    runner.run(vault, *command).expect(REFUSED)
    runner.run(vault, "proof", "export", record, "-o", proofs, "--force").expect()
    runner.run(vault, *command).expect()


def test_a_chain_that_ends_below_the_block_confirms_nothing(runner, scene, deep, tmp_path):
    vault = deep(1)
    record, proofs = scene.records / "3.txt", tmp_path / "proofs"
    runner.run(vault, "proof", "export", record, "-o", proofs).expect()
    shutil.rmtree(vault / "chain")
    chain_of(vault).create()
    runner.run(vault, "verify", record, "--proof", proofs / "3.txt.medproof").expect(PENDING)
    assert runner.run(vault, "verify", record).code in (PENDING, REFUSED)


def test_a_reorganisation_in_the_middle_of_an_anchor(runner, scene, tmp_path, monkeypatch):
    """Between submit and the look for what it made: the run says so, and the next one finishes."""
    from medanchor.notary.anchor import Policy, anchor
    from medanchor.vault.store import Store
    from medanchor.wallet.free import FreeWallet

    vault = copy_vault(scene.unanchored, tmp_path / "vault")
    submit = EmbeddedChain.submit

    def submit_in_vain(self, transaction):
        submit(self, transaction)
        self.reorg(6)

    with Store(vault) as store, monkeypatch.context() as patch:
        patch.setattr(EmbeddedChain, "submit", submit_in_vain)
        chain = chain_of(vault)
        with pytest.raises(ChainError, match="does not show it"):
            anchor(store, chain, FreeWallet(chain.prepare), Policy(6), time="2026-11-21T18:04:05Z")
    assert status(runner, vault)["anchors"][-1]["state"] == "prepared"
    runner.run(vault, "anchor").expect()
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)


def test_a_coin_that_a_reorganisation_took_does_not_wedge_the_vault(runner, scene, deep):
    """The chain is replaced down to below the coin: the old transaction is lost for good, another carries the head."""
    vault = deep(6)
    tip = chain_of(vault).tip().height
    chain_of(vault).reorg(tip - 2)
    runner.run(vault, "anchor").expect()
    standing = status(runner, vault)
    assert standing["waiting"] == 0
    runner.run(vault, "anchor").expect()
    assert status(runner, vault)["anchors"] == standing["anchors"]
    runner.run(vault, "verify", scene.records).expect()
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)


@pytest.mark.parametrize("blocks", [0, 1, 40])
def test_another_chain_in_its_place_is_anchored_on_anew(runner, scene, deep, blocks):
    vault = deep(3)
    shutil.rmtree(vault / "chain")
    if blocks:
        chain_of(vault).mine(blocks)
    runner.run(vault, "anchor").expect()
    runner.run(vault, "anchor").expect()
    assert status(runner, vault)["waiting"] == 0
    runner.run(vault, "verify", scene.records).expect()
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)


def test_a_chain_whose_blocks_are_gone_is_said_to_be_damaged(runner, deep):
    """Its lock file remembers how high it was: to begin a new one without a word would hide the loss."""
    vault = deep(3)
    shutil.rmtree(vault / "chain" / "regtest")
    assert "move it away to start a new chain" in runner.run(vault, "anchor").expect(CHAIN).stderr
    (vault / "chain").rename(vault.parent / "away")
    runner.run(vault, "anchor").expect()
    runner.run(vault, "audit").expect()
    assert_anchored_once(vault)


def test_a_transaction_the_rules_refuse_is_told_apart(scene, tmp_path):
    vault = copy_vault(scene.unanchored, tmp_path / "vault")
    chain = chain_of(vault)
    transaction = chain.prepare(b"MDA1" + bytes(32))
    chain.reorg(chain.tip().height - 2)
    before = chain.tip()
    with pytest.raises(TransactionRefusedError):
        chain.submit(transaction)
    assert chain.tip() == before
    assert not payloads(vault)
