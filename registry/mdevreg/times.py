"""Reading and writing the times that people type. Pure: ``now`` is an argument."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

from mdevreg.errors import UsageError

#: ``date-time`` of RFC 3339; the date and the time may be separated by a space (its section 5.6, NOTE).
_ABSOLUTE = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_RELATIVE = re.compile(r"-(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?\Z", re.ASCII)
#: A day's name, then a time of it, to the minute or finer, then a zone.
_WORDS = re.compile(
    r"(now|(yesterday|today|tomorrow)(?: +(\d\d:\d\d)(?:(:\d\d)(?:\.(\d{1,9}))?)?)?) *([Zz]|[+-]\d\d:\d\d)?\Z",
    re.ASCII | re.IGNORECASE,
)
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = ("weeks", "days", "hours", "minutes", "seconds")
_EXPECTED = (
    "expected RFC 3339 with a zone (2026-11-24T10:00:00Z), a time ago (-7d, -2h30m), or now, today, yesterday 14:00 "
    "(in UTC, or with a zone: yesterday 14:00+01:00)"
)


def past_time(text: str, now: datetime) -> datetime:
    """A time that is not after ``now``, aware UTC, in the spellings of ``time_of``.

    Raises:
        UsageError: not a time, without a zone, or in the future.
    """
    found = time_of(text, now)
    if found > now:
        raise UsageError(f"{text!r} is in the future (it is {utc(now)} now); nothing is known of it yet")
    return found


def time_of(text: str, now: datetime) -> datetime:
    """A time as people type it, aware UTC; ``now`` is what its words count from.

    RFC 3339; ``-7d``, ``-2h30m`` (units w d h m s, in that order); ``now``; ``yesterday``, ``today``, ``tomorrow``:
    their midnight, or a time of these days: ``yesterday 14:00``. A word's zone is UTC unless it is followed by
    another: ``yesterday 14:00+01:00``. Raises ``UsageError``: not a time, or without a zone.
    """
    try:
        found = _relative(text, now) or _absolute(text) or _word(text, now)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time that exists: {error}; {_EXPECTED}") from error
    if found is None:
        raise UsageError(f"{text[:80]!r} is no time; {_EXPECTED}")
    return found


def utc(at: datetime) -> str:
    """RFC 3339 in UTC, to the second: ``2026-11-24T10:00:00Z``."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _relative(text: str, now: datetime) -> datetime | None:
    found = _RELATIVE.match(text)
    if found is None or not any(found.groups()):
        return None
    amounts = {unit: int(amount) for unit, amount in zip(_UNITS, found.groups(), strict=True) if amount}
    return now - timedelta(**amounts)


def _absolute(text: str) -> datetime | None:
    found = _ABSOLUTE.match(text)
    if found is None:
        return None
    day, hour, fraction, zone = found.groups()
    return datetime.fromisoformat(f"{day}T{hour}.{_six_digits(fraction)}{zone.upper()}").astimezone(UTC)


def _word(text: str, now: datetime) -> datetime | None:
    found = _WORDS.match(text)
    if found is None:
        return None
    _, day, minute, second, fraction, zone = found.groups()
    if day is None:  # now, wherever that is
        return now.astimezone(UTC)
    there = now.astimezone(_zone(zone)) + timedelta(days=_DAYS[day.lower()])
    at = time.fromisoformat(f"{minute or '00:00'}{second or ':00'}.{_six_digits(fraction)}")
    return datetime.combine(there.date(), at, there.tzinfo).astimezone(UTC)


def _zone(text: str | None) -> tzinfo:
    """``+01:00``, ``Z``; none is UTC."""
    return datetime.fromisoformat(f"2000-01-01T00:00{(text or 'Z').upper()}").tzinfo or UTC


def _six_digits(fraction: str | None) -> str:
    return (fraction or "0")[:6].ljust(6, "0")


def micros(at: datetime) -> int:
    """µs since 1970-01-01 UTC. Requires an aware time."""
    return (at - _EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The aware time of µs since 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=us)
