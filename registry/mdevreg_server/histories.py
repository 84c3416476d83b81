"""A history: the last changes of what has a name, oldest first."""

from __future__ import annotations

import sqlalchemy as sa

from mdevreg.errors import UsageError
from mdevreg.facts import OWN, Change, HistoryKind
from mdevreg.knowledge import Knowledge
from mdevreg_server.asking import At
from mdevreg_server.decided import decided
from mdevreg_server.intended import intended
from mdevreg_server.stamps import timed
from mdevreg_server.subject import Subject, subject_of
from mdevreg_server.tables import INTENTS
from mdevreg_server.telling import Words, change_of, is_news
from mdevreg_server.timelines import Turn, Whose, turns


def history_of(
    connection: sa.Connection, name: str, kind: HistoryKind | None, at: At, known: Knowledge, limit: int
) -> tuple[Subject, tuple[Change, ...]]:
    """What a name means, and its last ``limit`` changes up to a moment, oldest first.

    ``name``: a host; a device, on whatever hosts it was, or ``HOST/DEVICE``; a driver, or ``DRIVER BUILD`` for one
    version, srcversion or build-id of it; a type; a rule's id; a catalog entry's id, or an origin of entries;
    ``registry``; a campaign or baseline. Raises ``NotFoundError``, ``UsageError``.
    """
    if limit < 1:
        raise UsageError(f"limit is {limit}; at least 1 was expected")
    subject = subject_of(connection, name, kind, at, known)
    if subject.whose is None:
        return subject, timed(connection, _own(connection, subject.kind, name, at, limit))
    words = Words(connection, at)
    return subject, timed(connection, [change_of(turn, words) for turn in _news(connection, subject.whose, at, limit)])


def _own(connection: sa.Connection, kind: HistoryKind, name: str, at: At, limit: int) -> list[Change]:
    """Of what the registry wrote itself: what it believes, and what is intended."""
    found = [] if kind in INTENTS else decided(connection, kind, name, at, limit)
    if kind in INTENTS or kind == OWN:
        found += intended(connection, kind, name, at, limit)
    return sorted(found, key=lambda change: change.position)[-limit:]


def _news(connection: sa.Connection, whose: Whose, at: At, limit: int) -> list[Turn]:
    """The last turns that are news. Most are: where too few of so many were, more are looked at."""
    looked_at = limit
    while True:
        found = turns(connection, whose, at, looked_at)
        news = [turn for turn in found if is_news(turn)]
        if len(news) >= limit or len(found) < looked_at:
            return news[-limit:]
        looked_at *= 4
