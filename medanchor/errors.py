"""Every exception medanchor raises on purpose, and the exit code it ends a command with.

One root. A class exists only where a caller acts differently; which verification step failed is data. Messages are
lower case, have no full stop, and say what was expected before what was found; a hint says what to do about it.
"""

from enum import IntEnum


class Step(IntEnum):
    """The numbered steps of verification (docs/format.md, section 7)."""

    FORMAT = 0
    RECORD = 1
    BUNDLE = 2
    STATEMENT = 3
    LEDGER = 4
    COMMITMENT = 5
    TRANSACTION = 6
    HEADER = 7
    TRUST = 8


class MedanchorError(Exception):
    """The root: a message for a person, an optional hint, and the exit code of its class."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MedanchorError):
    """What was asked for makes no sense as asked."""

    exit_code = 2


class PendingError(MedanchorError):
    """Nothing is wrong, and it is not finished: not anchored yet, too few confirmations, or trust level 1 only."""

    exit_code = 3


_ALTERED = "the proof was altered, or put together from two: ask for it as it was exported"
_ALTERED_ANCHOR = "the proof's anchor was altered: ask for the proof as it was exported"

HINTS = {
    Step.FORMAT: "is it a proof, and unedited? Ask for the .medproof file as it was exported",
    Step.RECORD: "is it the record that the proof was made for, and unedited?",
    Step.BUNDLE: _ALTERED,
    Step.STATEMENT: _ALTERED,
    Step.LEDGER: _ALTERED,
    Step.COMMITMENT: _ALTERED_ANCHOR,
    Step.TRANSACTION: _ALTERED_ANCHOR,
    Step.HEADER: _ALTERED_ANCHOR,
    Step.TRUST: "ask another source of blocks before you believe either",
}
"""What to do about a proof that fails at a step, where the error knows nothing better."""


class VerificationError(MedanchorError):
    """The evidence contradicts the claim; `step` is where. Without a hint of its own it gives its step's."""

    exit_code = 4

    def __init__(self, message: str, *, step: Step, hint: str | None = None) -> None:
        super().__init__(message, hint=hint or HINTS[step])
        self.step = step


class MalformedProofError(VerificationError):
    """The bytes are not a proof, a statement, a checkpoint, a transaction or a header at all."""

    def __init__(self, message: str, *, step: Step = Step.FORMAT, hint: str | None = None) -> None:
        super().__init__(message, step=step, hint=hint)


class VaultError(MedanchorError):
    """No vault, a damaged one, one of a newer version, or one that cannot be written."""

    exit_code = 5


class ChainError(MedanchorError):
    """The source of blocks cannot be reached, or its answer cannot be believed."""

    exit_code = 6


class TransactionRefusedError(ChainError):
    """The network's rules refuse this transaction, as when its coin is gone; one made anew may do."""


class WalletError(MedanchorError):
    """The anchoring transaction cannot be funded, signed or sent."""

    exit_code = 7


class UnknownRecordError(MedanchorError):
    """There is no evidence about this record either way."""

    exit_code = 8


class PartialError(MedanchorError):
    """Done for the rest; some inputs could not be read."""

    exit_code = 9


class MalformedRecordError(PartialError):
    """The bytes are not a sound document of the kind they seem to be: they can be covered as bytes only."""
