"""A notary's desk: a folder of records, a vault and the chain in it, and everything one does there in one call each."""

import os
import time
from itertools import count

from vaulted import signer_of

from medanchor.chain.embedded import EmbeddedChain
from medanchor.core.proof import parse_proof
from medanchor.core.verify import Trust, verify
from medanchor.errors import PendingError
from medanchor.notary.anchor import Policy, anchor
from medanchor.notary.audit import audit
from medanchor.notary.examine import each, examine
from medanchor.notary.export import export
from medanchor.notary.missing import missing
from medanchor.notary.prove import Prover, ask_chain
from medanchor.notary.stamp import StampRequest, stamp
from medanchor.notary.vaults import CHAIN
from medanchor.records.digest import Hashed, digest_all, digest_file
from medanchor.records.walk import walk
from medanchor.vault.store import Store
from medanchor.wallet.free import FreeWallet

CONFIRMATIONS = 2
TIME = "2026-11-21T18:04:05Z"
_numbers = count()


def ignore(_count):
    """Nobody watches the progress of a test."""


class Desk:
    def __init__(self, vault, records):
        self.records = records
        self.records.mkdir(exist_ok=True)
        self.store = Store(vault)
        self.chain = EmbeddedChain(vault / CHAIN, now=lambda: int(time.time()), confirmations=CONFIRMATIONS)
        self.signer = signer_of(self.store)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.store.close()

    def path(self, name):
        return os.fsencode(f"{self.records.resolve()}/{name}")

    def write(self, name, content):
        (self.records / name).parent.mkdir(exist_ok=True, parents=True)
        (self.records / name).write_bytes(content)

    def in_hand(self, *names):
        """The records named, or all."""
        paths = [self.path(name) for name in names] or [os.fsencode(self.records)]
        return [item for item in digest_all(walk(paths), ignore) if isinstance(item, Hashed)]

    def stamp(self, *names, meaning="authorship", signer=None, again=False, follows=()):
        request = StampRequest(meaning, TIME, follows, again)
        return stamp(self.store, signer or self.signer, self.in_hand(*names), request, os.urandom)

    def anchor(self):
        return anchor(self.store, self.chain, FreeWallet(self.chain.prepare), Policy(CONFIRMATIONS), time=TIME)

    def verdicts(self):
        """Name → verdict, for all in hand and all that is missing."""
        findings = list(each(examine(self.store, self.in_hand())))
        findings += missing(self.store, os.fsencode(self.records.resolve()), findings, set())
        return {self.name(finding.path): finding.verdict.value for finding in findings}

    def name(self, path):
        """The name that a path below the records' folder goes by here."""
        return os.fsdecode(path.removeprefix(self.path("")))

    def examined(self, *names):
        return list(each(examine(self.store, self.in_hand(*names))))

    def audit(self, *, sweep=False):
        return audit(self.store, self.chain, sweep=sweep, progress=ignore)

    def damage(self):
        return self.audit().damage

    def export(self, directory=None, *names, replace=False):
        return export(Prover(self.store, {}), self.examined(*names), directory, replace=replace)

    def export_somewhere(self, name):
        """The proof of one record, written to a new folder and read again."""
        folder = self.records.parent / f"proofs-{next(_numbers)}"
        assert self.export(folder, name).written == 1
        (file,) = [path for path in folder.rglob("*") if path.is_file()]
        return parse_proof(file.read_bytes())

    def attest(self, name, proof):
        """What the core alone says of a proof of the record `name`, None while it is pending."""
        trust = Trust(witness=None)
        try:
            return verify(proof, digest_file(self.path(name)), trust)
        except PendingError:
            return None

    def witnesses(self):
        return ask_chain(self.store, self.chain)
