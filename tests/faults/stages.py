"""The stages of an anchor's life: what happens to all clinics of a town, and what each of them does about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clinics import Clinic, Town

from medanchor.net.server import Patience
from medanchor.notary.anchor import AnchorResult

Act = Callable[[Clinic, Patience], AnchorResult]


@dataclass(frozen=True)
class Stage:
    """What happens to all clinics of a town, what each of them does then, and how its anchors stand afterwards."""

    name: str
    happens: Callable[[Town, Sequence[Clinic]], None]
    act: Act
    states: list[str]


def stamped(_town: Town, clinics: Sequence[Clinic]) -> None:
    for clinic in clinics:
        clinic.stamp()


def nothing(_town: Town, _clinics: Sequence[Clinic]) -> None:
    """Time passes."""


def forgotten(town: Town, _clinics: Sequence[Clinic]) -> None:
    town.ledger.mempool.clear()


def mined(blocks: int) -> Callable[[Town, Sequence[Clinic]], None]:
    return lambda town, _clinics: town.ledger.mine(blocks)


def stuck(town: Town, _clinics: Sequence[Clinic]) -> None:
    town.ledger.mine(2, transactions=[])


def reorganised(town: Town, _clinics: Sequence[Clinic]) -> None:
    town.ledger.reorg(1)


def conflicted(town: Town, clinics: Sequence[Clinic]) -> None:
    town.ledger.mine(transactions=[clinic.rival() for clinic in clinics])


def anchors(clinic: Clinic, patience: Patience) -> AnchorResult:
    return clinic.anchor(patience)


def drafts(clinic: Clinic, patience: Patience) -> AnchorResult:
    return clinic.draft(patience)


def completes(clinic: Clinic, patience: Patience) -> AnchorResult:
    """Send the draft, signed, until a source took it; what is sent then, `anchor` follows."""
    sending = clinic.rows()[-1].sending
    if sending.psbt:
        clinic.signed = clinic.town.signed(sending.psbt)
    return clinic.anchor(patience) if sending.sent else clinic.complete(clinic.signed, patience)


LIFE = (
    Stage("sent", stamped, anchors, ["sent"]),
    Stage("waits", nothing, anchors, ["sent"]),
    Stage("forgotten", forgotten, anchors, ["sent"]),
    Stage("stuck", stuck, anchors, ["replaced", "sent"]),
    Stage("mined", mined(1), anchors, ["replaced", "confirmed"]),
    Stage("reorganised", reorganised, anchors, ["replaced", "reorganised"]),
    Stage("buried", mined(3), anchors, ["replaced", "settled"]),
    Stage("settled", mined(1), anchors, ["replaced", "settled"]),
)
ELSEWHERE = (
    Stage("drafted", stamped, drafts, ["unsigned"]),
    Stage("signed", nothing, completes, ["sent"]),
    Stage("conflicted", conflicted, anchors, ["conflicted", "sent"]),
    Stage("stuck", stuck, drafts, ["conflicted", "sent", "unsigned"]),
    Stage("signed again", nothing, completes, ["conflicted", "replaced", "sent"]),
    Stage("buried", mined(3), anchors, ["conflicted", "replaced", "settled"]),
)
