"""Prunes by a ledger: begins with an entry of the log, goes on in lots, and ends with another entry.

What was cut off goes on at the next prune; until then the log says that bodies up to its horizon may be gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import sqlalchemy as sa

from mdevreg.errors import StateError, UsageError
from mdevreg.facts import Retention
from mdevreg.keeping import FOREVER, Keeping, Prune, Pruned, RetentionChange, encode_keeping
from mdevreg.records import SCHEMA
from mdevreg.times import micros, moment_of, utc
from mdevreg_server.engine import converted
from mdevreg_server.frozen import Pulse, bases_digest, frozen_digest
from mdevreg_server.frozen_check import frozen_faults
from mdevreg_server.intervals import shapes
from mdevreg_server.keeping import EPOCH, latest, policy, retention, unfinished
from mdevreg_server.ledger import Ledger
from mdevreg_server.pruning import Freed, hosts_of, prune_host
from mdevreg_server.tables import RecordLog

#: Most hosts, and about the most bodies, in one transaction: ingest waits for that long.
LOT_HOSTS = 50
LOT_BODIES = 1_000

Begun = tuple[int, Prune]


def set_retention(ledger: Ledger, days: int | None, *, author: str, now_us: int) -> int:
    """Write the policy from now on to the log; its position. Raises ``UsageError`` for a blank author."""
    if not author.strip():
        raise UsageError("the author is blank; say who decides: it is kept with the decision")
    return _append(ledger, RetentionChange(bodies_days=days), author, now_us)


def retention_of(ledger: Ledger) -> Retention:
    """The policy as it is now, and what was pruned."""
    with converted(ledger.engine), ledger.engine.connect() as connection:
        return retention(connection) or Retention(FOREVER)


def due(connection: sa.Connection, now_us: int) -> int | None:
    """Before which time (µs UTC) the policy lets bodies go; ``None``: it keeps them for ever."""
    days = policy(connection)
    return None if days is None else micros(moment_of(now_us) - timedelta(days=days))


def proposed(reader: sa.Engine, before_us: int, now_us: int, pulse: Pulse = lambda: None) -> Begun | None:
    """The prune that is to be done: one that was cut off, else one up to a time. ``None``: nothing is that old.

    The position is that of its entry, 0 if there is none yet. ``reader``: an engine whose transactions only read. Cost:
    the projections up to there are read twice, ``pulse`` being called meanwhile. Raises ``UsageError``, ``StateError``
    (FROZEN_DAMAGED).
    """
    if before_us > now_us:
        raise UsageError(f"{utc(moment_of(before_us))} is in the future; nothing is pruned before it is old")
    with converted(reader), reader.connect() as connection:
        _take_time(connection)
        if (begun := unfinished(connection)) is not None:
            return begun
        horizon, last = horizon_at(connection, before_us), latest(connection, Prune)
        if horizon == 0 or (last is not None and moment_of(before_us) <= last[1].before):
            return None
        if faults := frozen_faults(connection, pulse):
            raise StateError(f"{faults[0]}; nothing was pruned: restore a copy of the database", code="FROZEN_DAMAGED")
        frozen = frozen_digest(connection, horizon, pulse)
        return 0, Prune(before=moment_of(before_us), horizon=horizon, frozen=frozen)


def begin(ledger: Ledger, prune: Prune, *, author: str, now_us: int) -> Begun:
    """Write to the log that bodies up to the horizon may be gone from here on."""
    return _append(ledger, prune, author, now_us), prune


def foreseen(reader: sa.Engine, prune: Prune) -> Freed:
    """What would go; nothing is changed."""
    layout, freed = shapes(), Freed()
    with converted(reader), reader.connect() as connection:
        _take_time(connection)
        for host in hosts_of(connection):
            freed += prune_host(connection, layout, host, prune, write=False)
    return freed


def hosts_to_prune(reader: sa.Engine) -> list[str]:
    """The hosts that lots are made of."""
    with converted(reader), reader.connect() as connection:
        _take_time(connection)
        return hosts_of(connection)


def prune_lot(ledger: Ledger, prune: Prune, hosts: list[str]) -> Freed:
    """Prune the last of these hosts, as many as fit into one transaction; they are taken from the list."""
    freed, left = Freed(), list(hosts)
    with ledger.tending() as connection:
        for _ in range(LOT_HOSTS):
            if not left or freed.bodies >= LOT_BODIES:
                break
            done = prune_host(connection, ledger.layout, left[-1], prune)
            freed += done
            if not done.more:
                left.pop()
    hosts[:] = left
    return freed


def end(ledger: Ledger, begun: Begun, freed: Freed, *, author: str, now_us: int) -> int:
    """Write to the log that the prune has ended; its position."""
    with ledger.tending() as connection:
        bases = bases_digest(connection)
        change = Pruned(prune=begun[0], hosts=freed.hosts, bodies=freed.bodies, bytes=freed.bytes, bases=bases)
        return _written(ledger, connection, change, author, now_us)


def prune_all(ledger: Ledger, begun: Begun) -> Iterator[Freed]:
    """Prune lot by lot; what each freed."""
    hosts = hosts_to_prune(ledger.engine)
    while hosts:
        yield prune_lot(ledger, begun[1], hosts)


def horizon_at(connection: sa.Connection, before_us: int) -> int:
    """The newest log position that was committed before a time, by halving: positions are gapless, and rise with it."""
    low, high = 0, connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0
    while low < high:
        middle = (low + high + 1) // 2
        at = connection.scalar(sa.select(RecordLog.committed_at_us).where(RecordLog.position == middle))
        low, high = (middle, high) if at is not None and at < before_us else (low, middle - 1)
    return low


def _take_time(connection: sa.Connection) -> None:
    """A reader's statements are bounded on PostgreSQL; this one reads everything, and nobody waits for it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _append(ledger: Ledger, change: RetentionChange | Prune | Pruned, author: str, now_us: int) -> int:
    with ledger.tending() as connection:
        return _written(ledger, connection, change, author, now_us)


def _written(
    ledger: Ledger, connection: sa.Connection, change: RetentionChange | Prune | Pruned, author: str, now_us: int
) -> int:
    entry = Keeping(schema=SCHEMA, at=moment_of(now_us), author=author, change=change)
    kind = str(change.__struct_config__.tag)
    return ledger.append(connection, EPOCH, kind, encode_keeping(entry), now_us=now_us)
