"""How like a record in hand is to the one that was stamped: the ladder of verdicts (docs/format.md, section 12).

A document that a server stored and gave back is rarely the same bytes. Its parts tell whether it was only written anew,
and if not, what differs. Pure: digests in, verdict out.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from medanchor.core.commitment import COMPONENTS, Content, Kind
from medanchor.core.hashes import sha256

ABSENT = sha256(b"")
"""The digest of a part that a document does not have."""


class Rung(StrEnum):
    """The verdicts, best first."""

    EXACT = "EXACT"
    SAME_CONTENT = "SAME CONTENT"
    SAME_VALUES = "SAME VALUES"
    SAME_DATA = "SAME DATA"
    CHANGED = "CHANGED"


RUNGS = tuple(Rung)


class Likeness(NamedTuple):
    """A rung of the ladder, and what differs by name; nothing is named where the whole record differs."""

    rung: Rung
    parts: tuple[str, ...] = ()

    def within(self, accepted: frozenset[str]) -> bool:
        """Say whether it is the same content, or differs in nothing but what a reviewer `accepted`."""
        if self.rung in (Rung.EXACT, Rung.SAME_CONTENT):
            return True
        return bool(self.parts) and accepted.issuperset(self.parts)


PRECISION = "precision"
"""What differs between 5.10 and 5.1, which FHIR says is significant."""

ACCEPTABLE = {
    "same-values": PRECISION,
    **{part: part for part in ("narrative", "meta", "id", "pixels", "dataset", "header", "whitespace")},
}
"""What a reviewer may find harmless, as it is typed → the part that is named where not the whole record differs."""


def accepting(parts: Sequence[str]) -> str:
    """Return how these parts are typed to be accepted."""
    return ",".join(typed for typed, part in ACCEPTABLE.items() if part in parts)


def compare(stamped: Content, found: Content) -> Likeness:
    """Return how like `found` is to what was `stamped`; of two kinds, or of none, bytes alone can be alike."""
    if stamped.raw == found.raw:
        return Likeness(Rung.EXACT)
    if stamped.kind != found.kind or stamped.kind == Kind.BYTES:
        return Likeness(Rung.CHANGED)
    names = COMPONENTS[stamped.kind]
    unlike = {
        name for name, one, other in zip(names, stamped.components, found.components, strict=True) if one != other
    }
    return _JUDGES[stamped.kind](unlike, found) if unlike else Likeness(Rung.SAME_CONTENT)


def _judge_fhir(unlike: set[str], found: Content) -> Likeness:
    parts = tuple(name for name in ("narrative", "meta", "id") if name in unlike)
    if "numeric" in unlike:
        return Likeness(Rung.CHANGED)
    if "data" not in unlike:
        return Likeness(Rung.SAME_DATA, parts)
    if found.components[-1] == ABSENT:  # nobody knows whether their numbers are equal
        return Likeness(Rung.CHANGED)
    return Likeness(Rung.SAME_DATA if parts else Rung.SAME_VALUES, (PRECISION, *parts))


def _judge_dicom(unlike: set[str], found: Content) -> Likeness:
    """Judge by dataset and pixels: who wrote other names over the same image did not leave the data the same."""
    if unlike == {"pixels"}:
        return Likeness(Rung.SAME_DATA, ("pixels",))
    same_image = unlike == {"dataset"} and found.components[1] != ABSENT
    return Likeness(Rung.CHANGED, ("dataset",) if same_image else ())


def _judge_hl7(unlike: set[str], _found: Content) -> Likeness:
    return Likeness(Rung.SAME_DATA, ("header",)) if unlike == {"message"} else Likeness(Rung.CHANGED)


def _judge_xml(unlike: set[str], _found: Content) -> Likeness:
    return Likeness(Rung.SAME_DATA, ("whitespace",)) if unlike == {"canonical"} else Likeness(Rung.CHANGED)


_JUDGES: Mapping[int, Callable[[set[str], Content], Likeness]] = {
    Kind.FHIR: _judge_fhir,
    Kind.DICOM: _judge_dicom,
    Kind.HL7: _judge_hl7,
    Kind.XML: _judge_xml,
}
