"""Reading and writing the times that people type. Pure: ``now`` is an argument."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from mdevreg.errors import UsageError

#: ``date-time`` of RFC 3339; the date and the time may be separated by a space (its section 5.6, NOTE).
_ABSOLUTE = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_RELATIVE = re.compile(r"-(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?\Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = ("weeks", "days", "hours", "minutes", "seconds")
_EXPECTED = "expected RFC 3339 with a zone (2026-11-24T10:00:00Z) or a time ago (-7d, -2h30m)"


def past_time(text: str, now: datetime) -> datetime:
    """A time that is not after ``now``, aware UTC: RFC 3339, or ``-7d``, ``-2h30m`` (units w d h m s, in that order).

    Raises:
        UsageError: not a time, without a zone, or in the future.
    """
    try:
        found = _relative(text, now) or _absolute(text)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time that exists: {error}; {_EXPECTED}") from error
    if found is None:
        raise UsageError(f"{text[:80]!r} is no time; {_EXPECTED}")
    if found > now:
        raise UsageError(f"{text!r} is in the future (it is {utc(now)} now); nothing is known of it yet")
    return found


def utc(time: datetime) -> str:
    """RFC 3339 in UTC, to the second: ``2026-11-24T10:00:00Z``."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


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
    date, time, fraction, zone = found.groups()
    micros = (fraction or "0")[:6].ljust(6, "0")
    return datetime.fromisoformat(f"{date}T{time}.{micros}{zone.upper()}").astimezone(UTC)


def micros(time: datetime) -> int:
    """µs since 1970-01-01 UTC. Requires an aware time."""
    return (time - _EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The aware time of µs since 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=us)
