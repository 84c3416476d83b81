"""How far a row of an interval table may have to be looked for: what makes questions about the past cost their answer.

A B-tree can't find "every interval that holds at T" among many: it knows where intervals begin, not which of them last.
So each row has its *reach*: the power of two, in steps of three, of the µs from ``valid_from_us`` until it is surely no
answer any more. A question looks, for each reach, only at rows that begin within that distance before its time: per
object a handful, however long its history (``tests/benchmarks/bench_past.py``). Rows that hold until further
notice have ``OPEN_REACH``: they are the present, and are looked at by every question. Pure.

"Surely no answer any more" has two parts. A row that ended is no answer to times from its ``valid_to_us`` on; but who
asks what was known *before its end was told* gets it for later times too, up to the time of what was told then. Nothing
that was known at a log position is true later than that position was committed, so that the commit of the entry that
told the end bounds both (``seen_to_us``).
"""

from __future__ import annotations

import msgspec

from mdevreg.timeline import OPEN

#: Of rows that hold until further notice, and were not withdrawn.
OPEN_REACH = 63
#: Finer than a second would make more levels, not smaller answers; 2^53 µs are 285 years.
LEVELS = range(20, 54, 3)
#: How far the broker's clock may have been ahead of the registry's before revision 0004, which bounds it to none: µs.
SKEW_US = 60_000_000


class Window(msgspec.Struct, frozen=True):
    """Rows of one reach that may be an answer: they begin after ``after_us`` and not after ``until_us``."""

    reach: int
    after_us: int
    until_us: int


def reach_of(valid_from_us: int, valid_to_us: int, told_us: int) -> int:
    """The reach of a row that ended or was withdrawn. ``told_us``: when the entry that told so was committed."""
    seen_to_us = told_us if valid_to_us == OPEN else max(valid_to_us, told_us)
    return next((level for level in LEVELS if seen_to_us - valid_from_us <= 1 << level), LEVELS[-1])


def begun_in(since_us: int, until_us: int) -> list[Window]:
    """Where rows are that begin in ``[since_us, until_us]``, whatever their reach."""
    return [Window(level, since_us - 1, until_us) for level in (OPEN_REACH, *LEVELS)]


def ended_in(since_us: int, until_us: int) -> list[Window]:
    """Where rows are that end in ``[since_us, until_us]``."""
    return [Window(level, since_us - (1 << level) - 1, until_us) for level in LEVELS]


def lasting_in(since_us: int, until_us: int, known_us: int | None) -> list[Window]:
    """Where rows are that hold at some time in ``[since_us, until_us]``; ``known_us``: as of ``windows``."""
    seen_us = since_us if known_us is None else min(since_us, known_us)
    ended = [Window(level, seen_us - (1 << level) - 1, until_us) for level in LEVELS]
    return [Window(OPEN_REACH, -1, until_us), *ended]


def windows(as_of_us: int, known_us: int | None) -> list[Window]:
    """Where to look. ``known_us``: when the position asked about was committed; ``None``: the latest is asked about."""
    seen_us = as_of_us if known_us is None else min(as_of_us, known_us)
    until_us = as_of_us if known_us is None else min(as_of_us, known_us + SKEW_US)
    ended = [Window(level, seen_us - (1 << level) - 1, until_us) for level in LEVELS]
    return [Window(OPEN_REACH, -1, as_of_us), *ended]
