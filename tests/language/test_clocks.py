"""Clocks that are wrong: what beats tell of them, and what a record's own times do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.clocks import PROVEN_US, WINDOW_US, Doubt, Samples, Skew, doubt_of, sampled, seconds

_SECOND = 1_000_000
_DELAYS = st.integers(0, 20 * _SECOND)


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(st.integers(1, 15 * _SECOND), _DELAYS), min_size=1))
def test_a_measured_skew_is_the_true_one_less_the_least_delay_of_its_window(
    true_us: int, beats: list[tuple[int, int]]
) -> None:
    """Never more than the true one; as good as the best beat of the last window, whatever the others took."""
    samples: Samples | None = None
    now, heard = 0, list[tuple[int, int]]()
    for pause, delay in beats:
        now += pause
        heard.append((now, delay))
        samples = sampled(samples, Skew(true_us - delay, now))
        best = samples.best
        recent = [took for at, took in heard if now - at < WINDOW_US]
        kept = [took for at, took in heard if now - at < 2 * WINDOW_US]
        assert min(kept) <= true_us - best.us <= min(recent) or samples.since_us > now - WINDOW_US
        assert true_us - best.us in kept
        assert (best.at_us, true_us - best.us) in heard
        assert true_us - best.us <= delay


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12), st.integers(1, 20))
def test_a_clock_that_was_set_is_known_after_two_windows(before: int, after: int, beats: int) -> None:
    """Whichever way it was set, and however often it was measured before."""
    samples: Samples | None = None
    for second in range(beats):
        samples = sampled(samples, Skew(before, second * 10 * _SECOND))
    now = beats * 10 * _SECOND
    for step in range(7):
        samples = sampled(samples, Skew(after, now + step * 10 * _SECOND))
    assert samples is not None
    assert samples.best.us == after


_US = st.integers(-(10**15), 10**15)


@given(_US, _US)
def test_the_log_alone_proves_a_clock_that_was_ahead_and_nothing_else(observed: int, received: int) -> None:
    """Observed before it was received says nothing: it may have waited in an outbox for days."""
    ahead = observed - received
    expected = Doubt("CLOCK_AHEAD", ahead) if ahead > PROVEN_US else None
    assert doubt_of(observed, received, None) == expected


@pytest.mark.parametrize(
    ("ahead_s", "measured_s", "expected"),
    [
        (5, None, None),
        (5.001, None, ("CLOCK_AHEAD", 5.001)),
        (-259_200, None, None),
        (-259_200, -259_200, ("CLOCK_BEHIND", -259_200)),
        (-0.2, 30, ("CLOCK_AHEAD", 30)),
        (3_600, 3_600.5, ("CLOCK_AHEAD", 3_600.5)),
        (3_600, -60, ("CLOCK_AHEAD", 3_600)),  # set back since: the record's own times weigh more
    ],
)
def test_what_was_measured_tells_which_way(
    ahead_s: float, measured_s: float | None, expected: tuple[str, float] | None
) -> None:
    """The flag and by how much, in seconds; a measurement is handed over only if it was beyond the bound."""
    measured = None if measured_s is None else int(measured_s * _SECOND)
    found = doubt_of(int(ahead_s * _SECOND), 0, measured)
    assert (found and (found.flag, seconds(found.skew_us))) == expected
