"""Events as a stream holds them, and as the log of a database makes them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from mdevreg.deriving import Deriver, HostFacts
from mdevreg.events import Event, decode_event, encode_event, event_of
from mdevreg.profiles import Profile
from mdevreg.subjects import EVENTS_STREAM
from mdevreg_server import event_marks, shelf
from mdevreg_server.amendments import Beliefs
from mdevreg_server.chronicle import Chronicle
from mdevreg_server.event_marks import Mark
from mdevreg_server.tables import EventMark
from support.bus_client import read_on

#: After all that tests tell of.
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def published(url: str, after: int = 0) -> list[Event]:
    """What MDEVREG_EVENTS holds, in its order."""
    return [decode_event(msg.data) for msg in read_on(url, EVENTS_STREAM, after)]


def of_the_log(events: list[Event]) -> list[Event]:
    """Those that follow from the log alone."""
    return [event for event in events if event.id.partition("-")[0].isdecimal()]


def derived(engine: sa.Engine, after: int, source: str, *, lot: int = 1_000_000) -> list[Event]:
    """What the log tells after a position, read in lots of so many entries; what the clock turns aside."""
    profiles = {name: msgspec.json.decode(body, type=Profile) for name, body in shelf.profile_bodies(engine).items()}
    deriver, chronicle, found = Deriver(profiles), Chronicle(), list[Event]()
    with engine.connect() as connection:
        facts = chronicle.facts_at(connection, after, LATER)
        deriver.begin(after, 0, facts, Beliefs().at(connection, after))
        while entries := chronicle.entries_after(connection, deriver.position, lot):
            told = [each for entry in entries for each in deriver.tell(entry)]
            found += [event_of(each, one.place, source) for one in told for each in one.happenings]
    return of_the_log([decode_event(encode_event(event)) for event in found])


def facts_by_entries(connection: sa.Connection, upto: int, *, lot: int) -> dict[str, HostFacts]:
    """The facts that entries add up to, from nothing on."""
    facts: dict[str, HostFacts] = {}
    chronicle, position = Chronicle(), 0
    while position < upto:
        for entry in chronicle.entries_after(connection, position, min(lot, upto - position)):
            position = entry.position
            changed = {**facts.get(entry.host, {}), **dict(entry.effects)}
            facts[entry.host] = {key: value for key, value in changed.items() if value is not None}
    return {host: each for host, each in facts.items() if each}


def mark_of(engine: sa.Engine) -> Mark:
    """How far events were told."""
    with engine.connect() as connection:
        row = connection.execute(sa.select(EventMark.__table__)).mappings().one()
    return Mark(**{name: row[name] for name in Mark.__struct_fields__})


def set_mark(engine: sa.Engine, mark: Mark) -> None:
    """As if it had not come further."""
    with engine.begin() as connection:
        event_marks.keep(connection, mark)
