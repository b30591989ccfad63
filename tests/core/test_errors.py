"""An error that a person is shown says what to do about it, whichever step it is of."""

import pytest

from medanchor.errors import HINTS, MalformedProofError, Step, VerificationError


@pytest.mark.parametrize("step", Step)
def test_a_failed_step_has_a_hint_even_where_none_is_given(step):
    for error in (VerificationError("no", step=step), MalformedProofError("no", step=step)):
        assert error.hint == HINTS[step]
        assert not error.hint.endswith(".")
    assert HINTS.keys() == set(Step)


def test_a_hint_that_knows_better_is_kept():
    assert VerificationError("no", step=Step.LEDGER, hint="do that").hint == "do that"
    assert MalformedProofError("no").hint == HINTS[Step.FORMAT]
