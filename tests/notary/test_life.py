"""A vault's whole life, at random: whatever happens in whatever order, verdicts, proofs and the audit stay right."""

import shutil
import tempfile
from pathlib import Path

from desk import Desk
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

NAMES = ("a", "b", "sub/a", "sub/c")
CONTENTS = (b"one", b"two", b"three")


class Life(RuleBasedStateMachine):
    """The model: what lies in the folder, every version that was stamped of each name, and what anchors cover."""

    template: Path

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        shutil.copytree(self.template, self.root / "vault")
        self.desk = Desk(self.root / "vault", self.root / "records")
        self.files = {}
        self.stamped = {}
        self.entries = 0
        self.anchored = 0
        self.in_doubt = False

    def teardown(self):
        if not self.in_doubt:
            assert self.desk.audit(sweep=False).damage == []
        self.desk.store.close()
        shutil.rmtree(self.root)

    # -- what happens to records --------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), content=st.sampled_from(CONTENTS))
    def write(self, name, content):
        self.desk.write(name, content)
        self.files[name] = content

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete(self, data):
        name = data.draw(st.sampled_from(sorted(self.files)))
        (self.desk.records / name).unlink()
        del self.files[name]

    @precondition(lambda self: self.files)
    @rule(data=st.data(), new=st.sampled_from(NAMES))
    def rename(self, data, new):
        name = data.draw(st.sampled_from(sorted(self.files)))
        (self.desk.records / new).parent.mkdir(exist_ok=True)
        (self.desk.records / name).rename(self.desk.records / new)
        self.files[new] = self.files.pop(name)

    # -- what a notary does -------------------------------------------------------------------------------------------

    @rule()
    def stamp(self):
        new = {name: content for name, content in self.files.items() if content not in self.stamped.get(name, [])}
        result = self.desk.stamp()
        assert (result.records, result.unchanged) == (len(new), len(self.files) - len(new))
        assert result.entry == (self.entries if new else None)
        for name, content in new.items():
            self.stamped.setdefault(name, []).append(content)
        self.entries += bool(new)

    @rule()
    def anchor(self):
        result = self.desk.anchor()
        assert (result.newest is None) == (self.entries == 0)
        assert not (result.made and self.anchored == self.entries and not self.in_doubt)
        self.anchored = self.entries
        self.in_doubt = False

    @precondition(lambda self: self.anchored)
    @rule(depth=st.sampled_from([1, 2, 4]))
    def reorganise(self, depth):
        self.desk.chain.reorg(depth)
        self.in_doubt = True

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def export(self, data):
        name = data.draw(st.sampled_from(sorted(self.files)))
        content = self.files[name]
        if self.expected()[name] not in ("unchanged", "renamed"):
            assert self.desk.export(self.root / "none", name).written == 0
            return
        proof = self.desk.export_somewhere(name)
        attestation = self.desk.attest(name, proof)
        assert (attestation is not None) == (proof.ledger.index < self.anchored)
        if attestation:
            assert content in [version for versions in self.stamped.values() for version in versions]

    # -- what must hold at all times ----------------------------------------------------------------------------------

    def expected(self):
        """The verdicts, worked out from the model alone."""
        everything = [content for versions in self.stamped.values() for content in versions]
        verdicts = {}
        for name, content in self.files.items():
            versions = self.stamped.get(name)
            if versions:
                verdicts[name] = "unchanged" if content in versions else "changed"
            else:
                verdicts[name] = "renamed" if content in everything else "unknown"
        turned_up = [content for name, content in self.files.items() if verdicts[name] == "renamed"]
        for name in sorted(set(self.stamped) - set(self.files), key=lambda name: ("/" in name, name)):
            if self.stamped[name][-1] in turned_up:
                turned_up.remove(self.stamped[name][-1])
            else:
                verdicts[name] = "missing"
        return verdicts

    @invariant()
    def verdicts_are_those_of_the_model(self):
        assert self.desk.verdicts() == self.expected()


def test_whatever_happens_the_vault_tells_the_truth(template):
    Life.template = template
    life = settings(
        max_examples=25,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Life, settings=life)
