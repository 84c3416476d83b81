"""Campaigns and baselines in the log, and the tables that they are found in by name (ADR 17).

They have no host, an epoch of their own, and are counted by ``seq``. The tables are projections: an entry and its row
are written in one transaction, and ``derive`` makes the rows again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from mdevreg.baselines import Baseline, chosen, versions_at
from mdevreg.campaigns import Campaign, CampaignChange
from mdevreg.errors import DecodeError, NotFoundError, StateError, UsageError
from mdevreg.intents import AnyIntent, Intent, decode_intent, encode_intent
from mdevreg.nearest import nearest
from mdevreg.outcomes import refuse_unprintable
from mdevreg.query.names import possible
from mdevreg.times import micros
from mdevreg_server import tables
from mdevreg_server.amendments import NOBODY
from mdevreg_server.tables import INTENTS, RecordLog, table_of

#: ``record_log.epoch`` of these entries.
EPOCH = "intent"
MINE = (RecordLog.host == NOBODY, RecordLog.epoch == EPOCH)
#: Entries that are read in one statement: one with a plan is large.
_AT_ONCE = 50

T = TypeVar("T", bound=msgspec.Struct)
#: The columns of ``record_log`` that ``entry_of`` needs.
_COLUMNS = (RecordLog.position, RecordLog.seq, RecordLog.committed_at_us, RecordLog.body)


class Entry(msgspec.Struct, frozen=True):
    """An intent, and where it stands in the log. ``committed_us``: µs UTC."""

    position: int
    committed_us: int
    intent: Intent


def encoded(intent: Intent) -> bytes:
    """An intent as it is logged, and can be read again. Raises ``UsageError``."""
    refuse_unprintable(intent, f"a {intent.kind}")
    data = encode_intent(intent)
    try:
        decode_intent(data)
    except DecodeError as error:
        raise UsageError(f"this can't be kept: {error}", code="INTENT") from error
    return data


def at_us(intent: Intent) -> int:
    """When it was written, µs UTC."""
    return micros(intent.at)


def place(connection: sa.Connection, position: int, intent: Intent) -> None:
    """Write the row by which an entry is found."""
    found = object_of(intent.change)
    row = {"name": found.name, "position": position, "at_us": at_us(intent), "body": _text(found)}
    connection.execute(sa.insert(INTENTS[intent.kind]), [row])


def derive(connection: sa.Connection) -> None:
    """Make all rows again from the log. Raises ``StateError`` (LOG_UNREADABLE)."""
    for table in INTENTS.values():
        connection.execute(sa.delete(table))
    for entry in oldest_first(connection):
        place(connection, entry.position, entry.intent)


def oldest_first(connection: sa.Connection, after: int = 0, upto: int | None = None) -> Iterator[Entry]:
    """Entries after a log position, up to one, in log order. Raises ``StateError`` (LOG_UNREADABLE)."""
    wanted = sa.select(*_COLUMNS).where(*MINE, RecordLog.position > after)
    wanted = wanted if upto is None else wanted.where(RecordLog.position <= upto)
    last = 0
    while True:
        rows = list(connection.execute(wanted.where(RecordLog.seq > last).order_by(RecordLog.seq).limit(_AT_ONCE)))
        for row in rows:
            yield Entry(row.position, row.committed_at_us, decoded(row.position, row.body))
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1].seq


def entry_at(connection: sa.Connection, position: int) -> Entry:
    """The entry at a position, where there is one."""
    row = connection.execute(sa.select(*_COLUMNS).where(*MINE, RecordLog.position == position)).one()
    return Entry(row.position, row.committed_at_us, decoded(row.position, row.body))


def decoded(position: int, body: bytes) -> Intent:
    """A logged intent. Raises ``StateError`` for one of a newer program."""
    try:
        return decode_intent(body)
    except DecodeError as error:
        text = f"position {position} of the log can't be read by this program: {error}; upgrade it"
        raise StateError(text, code="LOG_UNREADABLE") from error


def campaigns(connection: sa.Connection, known_at: int) -> list[Campaign]:
    """Every campaign as it was known at a log position, oldest first."""
    return _standing(connection, tables.Campaign, Campaign, known_at)


def campaign(connection: sa.Connection, name: str, known_at: int) -> Campaign:
    """A campaign as it was known at a log position. Raises ``NotFoundError``."""
    found = _of(connection, tables.Campaign, Campaign, name, known_at)
    if not found:
        raise NotFoundError("campaign", name, nearest(name, names(connection, "campaign", known_at)))
    return found[-1]


def baselines(connection: sa.Connection, known_at: int, as_of: datetime | None) -> list[Baseline]:
    """The version of each baseline that was valid at a time, as known at a position, by when the first was written."""
    found = [(name, baseline_entries(connection, name, known_at)) for name in names(connection, "baseline", known_at)]
    return [chosen(name, known, as_of).baseline for name, known in found if versions_at(known, as_of)]


def baseline_entries(connection: sa.Connection, name: str, known_at: int) -> list[Baseline]:
    """All that was written of a baseline. Raises ``NotFoundError`` if that is nothing."""
    found = _of(connection, tables.Baseline, Baseline, name, known_at)
    if not found:
        raise NotFoundError("baseline", name, nearest(name, names(connection, "baseline", known_at)))
    return found


def plan_of(connection: sa.Connection, name: str, known_at: int) -> CampaignChange | None:
    """The newest entry of a campaign that brought a plan."""
    table = tables.Campaign
    mine = sa.select(table.position).where(table.name == possible(name), table.position <= known_at)
    for position in list(connection.scalars(mine.order_by(table.position.desc()))):
        change = entry_at(connection, position).intent.change
        if isinstance(change, CampaignChange) and change.plan is not None:
            return change
    return None


def names(connection: sa.Connection, kind: str, known_at: int) -> list[str]:
    """Every name of a kind that was known at a log position."""
    table = INTENTS[kind]
    wanted = sa.select(table.name).where(table.position <= known_at).group_by(table.name)
    return list(connection.scalars(wanted.order_by(sa.func.min(table.position))))


def faults(connection: sa.Connection) -> Iterator[str]:
    """One sentence per fault of what is intended."""
    counted = sa.select(sa.func.count(), sa.func.max(RecordLog.seq)).where(*MINE)
    count, newest = connection.execute(counted).one()
    if count != (newest or 0):
        yield f"record_log has {count} intents but they end at {newest}"
    for kind, table in INTENTS.items():
        logged = sa.select(RecordLog.position).where(*MINE, RecordLog.kind == kind)
        rows = sa.select(table.position)
        for one, other, text in ((logged, rows, "have no row in it"), (rows, logged, "of its rows are of no entry")):
            wrong = connection.scalar(sa.select(sa.func.count()).select_from(one.except_(other).subquery()))
            if wrong:
                yield f"{table.__tablename__}: {wrong} {text}; run mdevreg-server rebuild"
    for position, body in connection.execute(sa.select(RecordLog.position, RecordLog.body).where(*MINE)):
        try:
            decoded(position, body)
        except StateError as error:
            yield error.message


def object_of(change: AnyIntent) -> Campaign | Baseline:
    """What a change is about, as it is from then on."""
    return change.campaign if isinstance(change, CampaignChange) else change.baseline


def _text(found: msgspec.Struct) -> str:
    return msgspec.json.encode(found).decode()


def _of(
    connection: sa.Connection, table: type[tables.Campaign | tables.Baseline], kind: type[T], name: str, known_at: int
) -> list[T]:
    """What was known of a name, oldest first."""
    wanted = sa.select(table.body).where(table.name == possible(name), table.position <= known_at)
    return [msgspec.json.decode(body, type=kind) for body in connection.scalars(wanted.order_by(table.position))]


def _standing(
    connection: sa.Connection, table: type[tables.Campaign | tables.Baseline], kind: type[T], known_at: int
) -> list[T]:
    """The newest of each name, by when the first was known."""
    known = sa.select(sa.func.min(table.position).label("first"), sa.func.max(table.position).label("last"))
    known_names = known.where(table.position <= known_at).group_by(table.name).subquery()
    there = sa.join(table_of(table), known_names, known_names.c.last == table.position)
    wanted = sa.select(table.body).select_from(there).order_by(known_names.c.first)
    return [msgspec.json.decode(body, type=kind) for body in connection.scalars(wanted)]
