"""What the interval tables must say, worked out the naive way: replay the log as far as it was known."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mdevreg import wire
from mdevreg.objects import Key, Profiles, Value
from mdevreg.state import Entry, replay
from mdevreg.timeline import OPEN
from mdevreg_server.amendments import NOBODY
from mdevreg_server.intervals import shapes
from mdevreg_server.tables import HostState, RecordLog, table_of
from support.registry import rows

#: Where in the log, and so what depends on the order of arrival.
_PLACED = ("position", "ended_at", "system_from", "system_to")
#: One object of one host.
Object = tuple[str, Key]


def entries_of(engine: sa.Engine) -> dict[str, list[Entry]]:
    """Each host's log."""
    found: dict[str, list[Entry]] = {}
    with engine.connect() as connection:
        records = sa.select(table_of(RecordLog)).where(RecordLog.host != NOBODY)
        for row in connection.execute(records.order_by(RecordLog.position)):
            entry = Entry(wire.decode(row.body), row.position, row.observed_at_us, row.received_at_us)
            found.setdefault(row.host, []).append(entry)
    return found


def interval_rows(engine: sa.Engine) -> list[tuple[Object, Value, dict[str, int]]]:
    """Every row of every interval table: whose, what, and its bounds."""
    found = []
    with engine.connect() as connection:
        for kind, shape in shapes().items():
            for row in connection.execute(sa.select(shape.table)).mappings():
                host, *key = (row[name] for name in shape.key)
                value = tuple(row[name] for name in shape.values)
                bounds = {
                    name: row[name] for name in ("valid_from_us", "valid_to_us", "ended_at", "system_from", "system_to")
                }
                found.append(((host, (kind, *key)), value, bounds))
    return found


def check_every_moment(engine: sa.Engine) -> int:
    """Compare tables and oracle at every pair of times where something may change; how many pairs that were."""
    stored, checked = interval_rows(engine), 0
    for host, log in entries_of(engine).items():
        mine = [row for row in stored if row[0][0] == host]
        times = {bound for _, _, bounds in mine for bound in (bounds["valid_from_us"], bounds["valid_to_us"])}
        moments = sorted({at for time in times for at in (time - 1, time) if time != OPEN} | {OPEN - 1})
        for known, entry in enumerate(log, 1):
            _, facts = replay(host, log[:known], Profiles())
            for at in moments:
                said = {key: [value for when, value in told if when <= at] for key, told in facts.items()}
                expected = {key: [values[-1]] for key, values in said.items() if values and values[-1] is not None}
                assert _held(mine, at, entry.position) == expected, (host, at, entry.position)
                checked += 1
    return checked


def _held(stored: list[tuple[Object, Value, dict[str, int]]], at: int, known: int) -> dict[Key, list[Value]]:
    found: dict[Key, list[Value]] = {}
    for (_, key), value, bounds in stored:
        valid_to = bounds["valid_to_us"] if bounds["ended_at"] <= known else OPEN
        in_valid = bounds["valid_from_us"] <= at < valid_to
        if in_valid and bounds["system_from"] <= known < bounds["system_to"]:
            found.setdefault(key, []).append(value)
    return found


def outcome(engine: sa.Engine) -> dict[str, Any]:
    """What must not depend on the order of arrival: all timelines as now known and all states, without positions."""
    timelines: list[Any] = []
    for kind, shape in shapes().items():
        current = sa.select(shape.table).where(shape.table.c.system_to == OPEN)
        with engine.connect() as connection:
            for row in connection.execute(current).mappings():
                kept = {name: row[name] for name in row if name not in _PLACED}
                timelines.append((kind, kept))
    placed = ("position", "received_at_us")
    return {"timelines": sorted(timelines, key=repr), "states": rows(engine, HostState, without=placed)}
