"""Times that people type for what is yet to come, beside those of ``mdevreg.times``. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from mdevreg.errors import UsageError
from mdevreg.times import past_time, time_of

_ZERO = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = "a time ahead is +7d, +2h30m"


def any_time(text: str, now: datetime) -> datetime:
    """A time as ``--as-of`` takes it, or one ahead: ``2027-01-01T00:00:00Z``, ``-7d``, ``+7d``, ``+2h30m``.

    Raises ``UsageError``.
    """
    ahead = text.startswith("+")
    try:
        if ahead:
            return now + (now - past_time("-" + text[1:], now))
        return time_of(text, now)
    except OverflowError as error:
        raise UsageError(f"{text!r} is beyond the calendar; {_AHEAD}") from error
    except UsageError as error:
        found = f"{text[:80]!r} is no time ahead" if ahead else error.message
        raise UsageError(f"{found}; {_AHEAD}") from error


def span_s(text: str, now: datetime) -> int:
    """How long a period is, in seconds: ``90d``, ``2h30m`` (units w d h m s). Raises ``UsageError``."""
    expected = "expected 90d, 2h30m (units w d h m s, in that order)"
    try:
        found = now - time_of(f"-{text}", now)
    except UsageError as error:
        raise UsageError(f"{text[:80]!r} is no period; {expected}") from error
    if text[:1].isdigit() and found.total_seconds() >= 1:
        return int(found.total_seconds())
    raise UsageError(f"{text[:80]!r} is no period; {expected}")


def duration_s(text: str) -> float:
    """A time that something may take, in seconds: ``90``, ``30s``, ``2h30m``, ``7d``. Raises ``UsageError``."""
    expected = "30s, 2h30m, 7d, or seconds were expected"
    try:
        if text.isascii() and text.isdecimal():
            return float(text)
        took = _ZERO - time_of(f"-{text}", _ZERO)
    except (UsageError, OverflowError) as error:
        raise UsageError(f"{text[:80]!r} is no duration; {expected}") from error
    return took.total_seconds()
