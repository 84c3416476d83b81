"""What operators intended, as a history: campaigns and baselines, with author and message."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from mdevreg.baselines import Baseline
from mdevreg.campaigns import Campaign
from mdevreg.facts import Change, HistoryKind
from mdevreg.times import moment_of, utc
from mdevreg_server import intents
from mdevreg_server.asking import At
from mdevreg_server.intents import MINE, Entry
from mdevreg_server.tables import INTENTS, RecordLog

#: So many classes of a baseline are named; the entry itself has all.
NAMED = 10


def intended(connection: sa.Connection, kind: HistoryKind, name: str, at: At, limit: int) -> list[Change]:
    """The last ``limit`` changes of a campaign or baseline, or (``registry``) of all of them, oldest first."""
    positions = _positions(kind, name, at)
    known = sa.and_(RecordLog.position <= at.known_at, RecordLog.committed_at_us <= at.as_of)
    wanted = sa.select(RecordLog.position).where(*MINE, RecordLog.position.in_(positions), known)
    last = list(connection.scalars(wanted.order_by(RecordLog.position.desc()).limit(limit)))
    return [_change(connection, intents.entry_at(connection, position)) for position in reversed(last)]


def _positions(kind: HistoryKind, name: str, at: At) -> sa.Select[int]:
    if kind in INTENTS:
        table = INTENTS[kind]
        return sa.select(table.position).where(table.name == name)
    return sa.select(RecordLog.position).where(*MINE, RecordLog.position <= at.known_at)


def _change(connection: sa.Connection, entry: Entry) -> Change:
    intent = entry.intent
    found = intents.object_of(intent.change)
    table = INTENTS[intent.kind]
    first = connection.scalar(sa.select(sa.func.min(table.position)).where(table.name == found.name))
    return Change(
        valid_from=moment_of(entry.committed_us),
        valid_to=None,
        position=entry.position,
        host="",
        object=intent.kind,
        name=found.name,
        event="appeared" if first == entry.position else "changed",
        detail=" ".join(_words(found, intent.author)),
    )


def _words(found: Campaign | Baseline, author: str) -> Iterator[str]:
    if found.ended is not None:
        yield f"ended by {author}" + (f": {found.reason}" if found.reason else "")
    elif isinstance(found, Campaign):
        yield from _campaign_words(found, author)
    else:
        yield f"version {found.version} by {author}: {', '.join(each.key for each in found.classes[:NAMED])}"
        yield from [f"and {len(found.classes) - NAMED} more"] if len(found.classes) > NAMED else []
        yield from [f"- {found.message}"] if found.message else []


def _campaign_words(campaign: Campaign, author: str) -> Iterator[str]:
    yield f"by {author} ({campaign.where}) to {campaign.wanted}, from {utc(campaign.begins)}"
    if campaign.deadline is not None:
        yield f"until {utc(campaign.deadline)}"
    if campaign.message:
        yield f"- {campaign.message}"
