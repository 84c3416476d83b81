"""The two times of a question as people and programs write them, and snapshot tokens. Pure.

A *snapshot token* names what an answer was made of: ``926@2026-11-24T10:00:00Z`` is what was true at that time, as
known at log position 926. Asked with the token an answer is the same for ever, byte for byte: later records,
corrections, catalog changes and rules have later positions. The clock of such a question is the token's time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from mdevreg.errors import UsageError
from mdevreg.facts import Moment
from mdevreg.times import past_time

#: Longest token that is read; longer ones are none.
MAX_TOKEN_CHARS = 64
_POSITION = re.compile(r"(?:seq:)?(\d{1,15})\Z", re.ASCII)
_TOKEN = re.compile(r"(\d{1,15})@(\S+)\Z", re.ASCII)


def snapshot_of(position: int, as_of: datetime) -> str:
    """The token of a log position and the time that was asked about."""
    return f"{position}@{precisely(as_of)}"


def moment_in(token: str) -> Moment:
    """The two times in a snapshot token. Raises ``UsageError`` (BAD_SNAPSHOT)."""
    found = _TOKEN.match(token[: MAX_TOKEN_CHARS + 1])
    time = None if found is None else _time_in(found[2])
    if found is None or time is None or snapshot_of(int(found[1]), time) != token:
        told = token[:MAX_TOKEN_CHARS]
        text = f"{told!r} is no snapshot token; expected POSITION@TIME, as answers give it"
        raise UsageError(text, code="BAD_SNAPSHOT")
    return Moment(time, int(found[1]))


def precisely(time: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond where there are any: one spelling for one time."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def known_at_of(text: str, now: datetime) -> int | datetime:
    """What ``--known-at`` was given: a log position (``seq:926``, ``926``), or a time as ``past_time`` reads it.

    Raises ``UsageError``.
    """
    found = _POSITION.match(text)
    if found is not None:
        return int(found[1])
    try:
        return past_time(text, now)
    except UsageError as error:
        raise UsageError(f"{error.message}; or a log position, seq:926") from error


def clock_of(moment: Moment, now: datetime) -> datetime:
    """The time that an answer is given for: of a question that fixes both times, its own; else ``now``."""
    if moment.as_of is None or moment.known_at is None:
        return now
    return moment.as_of.astimezone(UTC)


def _time_in(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
