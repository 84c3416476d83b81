"""The two ends of a period as people type them: times, or positions of the log. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from mdevreg.errors import UsageError
from mdevreg.facts import Moment
from mdevreg.times import past_time

_POSITION = re.compile(r"seq:([0-9]{1,16})", re.ASCII)
#: What both ends take.
METAVAR = "TIME|seq:POSITION"


def position_in(text: str) -> int | None:
    """The log position in ``seq:4711``; ``None``: it is written as a time. Raises ``UsageError``."""
    if not text.startswith("seq:"):
        return None
    found = _POSITION.fullmatch(text)
    if found is None or int(found[1]) > 2**53 - 1:
        raise UsageError(f"{text[:80]!r} is no position of the log; expected seq:NUMBER, like seq:4711")
    return int(found[1])


def moment_in(text: str, now: datetime, around: Moment) -> Moment:
    """One end of a comparison: a time is what was true then, ``seq:N`` what was known then.

    ``around``: the other time of both ends. Raises ``UsageError``.
    """
    position = position_in(text)
    if position is not None:
        return Moment(around.as_of, position)
    return Moment(past_time(text, now), around.known_at)
