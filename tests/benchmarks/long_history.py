"""A database with a long history of a fleet that stays as large as it is: what questions about the past are asked of.

Interval rows as the registry writes them, and the log's positions and times; bodies are left out, so that ten million
rows are made in minutes. Each change of a host moves the free instances of its parent, creates a device, and ends one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from mdevreg.objects import Profiles
from mdevreg.profiles import Profile
from mdevreg.timeline import OPEN, Row
from mdevreg_server import schema
from mdevreg_server.bulk import Bulk
from mdevreg_server.engine import open_engine
from mdevreg_server.intervals import Shape, shapes
from mdevreg_server.reach import OPEN_REACH, reach_of
from mdevreg_server.tables import HostState, RecordLog, table_of
from mdevreg_server.tables import Profile as ProfileRow

HOSTS = 200
#: Rows of a change: the parent's, and a device's.
ROWS_PER_CHANGE = 2
START_US = 1_700_000_000_000_000
#: Between two changes of a host.
STEP_US = 37_000_000
#: A device lives for so many changes of its host: from minutes to a day.
LIVES = (4, 9, 33, 100)
#: Changes between two upgrades of a host's driver.
UPGRADE = 5_000
_LOT = 20_000
#: A row: identity, value, the change that begins it, the one that ends it (as many as there are: none yet).
Made = tuple[tuple[Any, ...], tuple[Any, ...], int, int]
_PATH, _TYPE = "/devices/virtual/mtty/mtty", "mtty-1"


def device_of(host: int, change: int) -> str:
    """The device that is created by a change."""
    return str(uuid.UUID(int=host << 64 | change))


def lasting_device(host: int, change: int) -> str:
    """A device that lives when the hosts' n-th changes have happened."""
    last = LIVES.index(max(LIVES))
    return device_of(host, change - (change - last) % len(LIVES))


def time_of(change: int) -> int:
    """When the hosts' n-th changes happened, µs UTC."""
    return START_US + change * STEP_US


def fill(url: str, rows: int) -> int:
    """Make the database, with about so many interval rows; returns the number of changes of each host."""
    changes = max(rows // (ROWS_PER_CHANGE * HOSTS), 10)
    engine = open_engine(url, writer=True, create=True)
    schema.upgrade(engine)
    layout, profiles = shapes(), Profiles()
    digest = profiles.digest(Profile(type=_TYPE, device_api="vfio-pci", migration_stream_version="1"))
    with engine.begin() as connection:
        connection.execute(sa.insert(ProfileRow), [{"digest": digest, "body": profiles.body(digest).decode()}])
        connection.execute(sa.insert(HostState), [_state(host, changes) for host in range(HOSTS)])
        _insert(connection, Bulk(table_of(RecordLog)), _log(changes))
        for kind, made in _made(changes, digest).items():
            _insert(connection, layout[kind].bulk, (_columns(layout[kind], each, changes) for each in made))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":  # as autovacuum does in its time
            connection.exec_driver_sql("ANALYZE")
    engine.dispose()
    return changes


def _made(changes: int, digest: str) -> dict[str, Iterator[Made]]:
    """Rows by kind."""
    each = range(HOSTS)
    return {
        "host": (((_host(h),), (f"hv-{h:03}", "a", "6.12", 1 + h), 0, changes) for h in each),
        "driver": (row for h in each for row in _upgrades(h, changes)),
        "offer": (((_host(h), _PATH, _TYPE), (digest,), 0, changes) for h in each),
        "parent": (
            ((_host(h), _PATH), ("mtty", 1 + n * HOSTS + h, f'{{"{_TYPE}":{n % 24}}}'), n, n + 1)
            for h in each
            for n in range(changes)
        ),
        "device": (
            (
                (_host(h), _PATH, device_of(h, n)),
                ("mdev", _TYPE, digest, None),
                n,
                min(n + LIVES[n % len(LIVES)], changes),
            )
            for h in each
            for n in range(changes)
        ),
    }


def _upgrades(host: int, changes: int) -> Iterator[Made]:
    for number, first in enumerate(range(0, changes, UPGRADE)):
        build = ("mtty", "6.12", f"1.{number}", None, None)
        yield (_host(host), _PATH, "mtty"), build, first, min(first + UPGRADE, changes)


def _columns(shape: Shape, made: Made, changes: int) -> tuple[Any, ...]:
    identity, value, first, last = made
    host, lasts = int(identity[0][1:]), last >= changes
    row = Row(value, time_of(first), OPEN if lasts else time_of(last), 1 + first * HOSTS + host)
    row.ended_at = OPEN if lasts else 1 + last * HOSTS + host
    reach = OPEN_REACH if lasts else reach_of(row.valid_from, row.valid_to, row.valid_to)
    return shape.columns(identity, row, reach)


def _log(changes: int) -> Iterator[tuple[Any, ...]]:
    for change in range(changes):
        at = time_of(change)
        for host in range(HOSTS):
            yield (1 + change * HOSTS + host, _host(host), "e", change + 1, "parent", "0" * 64, at, at, at, b"")


def _state(host: int, changes: int) -> dict[str, Any]:
    at = time_of(changes - 1)
    return {
        "host": _host(host),
        "epoch": "e",
        "retired": "[]",
        "received": f"[[1,{changes}]]",
        "settled": changes,
        "last_seq": changes,
        "position": 1 + (changes - 1) * HOSTS + host,
        "valid_at_us": at,
        "received_at_us": at,
        "in_sync": 1,
        "digest": "0" * 64,
    }


def _host(number: int) -> str:
    return f"h{number:03}"


def _insert(connection: sa.Connection, bulk: Bulk, rows: Iterator[tuple[Any, ...]]) -> None:
    lot: list[tuple[Any, ...]] = []
    for row in rows:
        lot.append(row)
        if len(lot) >= _LOT:
            bulk.insert(connection, lot)
            lot = []
    if lot:
        bulk.insert(connection, lot)
