"""Looks after running campaigns while events are told: from time to time, since it is a look at all of their hosts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeVar

import sqlalchemy as sa

from mdevreg.events import Happening, Place
from mdevreg.times import moment_of
from mdevreg_server import campaign_news, intents
from mdevreg_server.campaign_news import Standing
from mdevreg_server.engine import converted
from mdevreg_server.sql_door import SqlDoor

T = TypeVar("T")

#: How often running campaigns are looked at, and where the log did not grow (deadlines pass); each look rests so many
#: times as long as it took, since it is at all of their hosts.
CAMPAIGNS_EVERY_S, DEADLINES_EVERY_S, CAMPAIGNS_REST = 5.0, 60.0, 20.0


class Supervision:
    """What was told of campaigns, and when they are looked at again. ``reader``: an engine that reads."""

    def __init__(self, reader: sa.Engine) -> None:
        self._reader, self._door = reader, SqlDoor(reader)
        self._told: dict[str, Standing] = {}
        self._due_s, self._position = 0.0, -1

    def begin(self, connection: sa.Connection) -> None:
        """Go on from what was told."""
        self._told, self._position = campaign_news.told_before(connection), -1

    def news(self, position: int, now_us: int, kept: dict[str, Standing | None]) -> list[tuple[Place, Happening]]:
        """What is new, if it is time to look. ``position``: up to there it was told; ``kept``: gets what to keep."""
        begun_s = time.monotonic()
        waited_s = begun_s - self._due_s
        if waited_s < 0 or (position == self._position and waited_s < DEADLINES_EVERY_S):
            return []
        with converted(self._reader), self._reader.connect() as connection:
            known = intents.names(connection, "campaign", position)  # the log may have grown since
        found: list[tuple[Place, Happening]] = []
        for each in campaign_news.news(self._door, self._told, known, position, moment_of(now_us)):
            kept[each.name] = each.standing
            found += each.happenings
        self._position = position
        self._due_s = begun_s + max(CAMPAIGNS_EVERY_S, (time.monotonic() - begun_s) * CAMPAIGNS_REST)
        return found

    def keep(self, kept: Mapping[str, Standing | None]) -> None:
        """It was told."""
        remember(self._told, kept)


def remember(known: dict[str, T], changes: Mapping[str, T | None]) -> None:
    """What was told from now on; ``None``: nothing any more."""
    for name, told in changes.items():
        if told is None:
            known.pop(name, None)
        else:
            known[name] = told
