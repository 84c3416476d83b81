"""Waiting for a call that may never come back."""

from __future__ import annotations

from threading import Event

import pytest

from mdevreg_agent.patience import Patience
from support.processes import eventually


def test_an_answer_or_what_was_raised_comes_back() -> None:
    """One after the other."""
    patience = Patience(20)

    def fail() -> None:
        raise LookupError("no such GPU")

    assert patience.ask(lambda: 7) == 7
    with pytest.raises(LookupError, match="no such GPU"):
        patience.ask(fail)
    assert patience.ask(lambda: 8) == 8


def test_while_a_call_hangs_no_other_is_begun() -> None:
    """Else each look would leave one more thread in the wedged driver; once it is back, the next is asked."""
    patience, back, begun = Patience(0.01), Event(), list[int]()

    def hang() -> None:
        back.wait()

    with pytest.raises(TimeoutError):
        patience.ask(hang)
    with pytest.raises(TimeoutError):
        patience.ask(lambda: begun.append(1))
    assert (patience.busy, begun) == (True, [])
    back.set()
    eventually(lambda: not patience.busy, "the call is back")
    patience.seconds = 20
    assert patience.ask(lambda: 9) == 9
