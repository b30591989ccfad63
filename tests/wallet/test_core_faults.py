"""Whatever goes wrong between us and the node, at every request of every operation: told, bounded, nothing left behind.

Each run has one fault at one request. What comes of it is right, or an error of a documented class with a hint; no
coin stays locked for a draft that nobody got; and afterwards the operation does what it should.
"""

import base64
import time
from decimal import Decimal

import pytest
from loopback_http import FAULTS, SILENT
from loopback_ledger import txid
from loopback_node import fails
from paying import NEWER, PAYLOAD, core, payload_of, signed_elsewhere, spent

from medanchor.core.transaction import strip_witness
from medanchor.errors import ChainError, WalletError
from medanchor.net.server import Patience
from medanchor.wallet.wallet import Terms

TERMS = Terms(Decimal(3), 5_000)
CALM = Patience(seconds=10, attempts=2, pause=0.01)
HASTY = Patience(seconds=0.25, attempts=2, pause=0.01)
CODES = (-1, -4, -5, -6, -8, -12, -13, -18, -22, -28, -35, -32601)
LONGEST = 20.0  # seconds, on a machine with much else to do


class Desk:
    """A wallet with one coin to pay with and one stuck transaction, and what is done with them."""

    def __init__(self, clinic) -> None:
        self.clinic = clinic
        clinic.receive(60_000)
        self.stuck = core(clinic).prepare(PAYLOAD, Terms(Decimal(1), 500)).transaction
        clinic.ledger.submit(self.stuck)
        clinic.receive(100_000)
        draft = core(clinic).fund(PAYLOAD, TERMS)
        self.signed = signed_elsewhere(clinic, draft.psbt, final=True)
        clinic.locked = set()

    def prepare(self, wallet):
        payment = wallet.prepare(NEWER, TERMS)
        assert payload_of(payment.transaction) == NEWER
        assert self.clinic.locked == spent(payment.transaction)

    def replace(self, wallet):
        payment = wallet.prepare(NEWER, Terms(Decimal(1), 5_000), replacing=self.stuck)
        assert spent(payment.transaction) == spent(self.stuck)
        assert payment.fee >= 157 + 157

    def finish(self, wallet):
        transaction = wallet.finish(base64.b64encode(self.signed))
        assert payload_of(transaction) == PAYLOAD
        assert strip_witness(transaction) in self.signed

    def balance(self, wallet):
        assert wallet.balance().confirmed == 100_000

    def address(self, wallet):
        assert wallet.address().startswith("bcrt1q")

    def load(self, wallet):
        self.clinic.node.wallets.pop(self.clinic.name, None)
        self.address(wallet)


OPERATIONS = ("prepare", "replace", "finish", "balance", "address", "load")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_fault_is_fatal(clinic, operation):
    desk = Desk(clinic)
    act, node = getattr(desk, operation), clinic.node
    node.plan()
    act(core(clinic))
    requests = len(node.requests)
    faults = FAULTS | {f"error {code}": fails(code) for code in CODES}
    runs = [(at, name) for at in range(requests) for name in faults]
    for at, name in runs:
        clinic.locked = set()
        node.plan({at: faults[name]})
        wallet = core(clinic, patience=HASTY if name in SILENT else CALM)
        began = time.monotonic()
        try:
            act(wallet)
        except (ChainError, WalletError) as error:
            assert error.hint, (operation, at, name)  # noqa: PT017 - the loop goes on
            assert clinic.locked == set(), (operation, at, name)
        assert time.monotonic() - began < LONGEST, (operation, at, name)
    clinic.locked = set()
    node.plan()
    act(core(clinic))
    assert list(clinic.ledger.mempool) == [txid(desk.stuck)]  # nothing was sent


def test_a_server_that_never_answers_is_given_up(clinic):
    clinic.receive(100_000)
    for fault in SILENT.values():
        clinic.node.plan(always=fault)
        began = time.monotonic()
        with pytest.raises(ChainError):
            core(clinic, patience=HASTY).prepare(PAYLOAD, TERMS)
        assert time.monotonic() - began < LONGEST
