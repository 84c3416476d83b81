"""Who was heard when, and who claims to be whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import NotFoundError
from mdevreg_server.among import among
from mdevreg_server.skews import Clock
from mdevreg_server.tables import HostPresence, HostState
from mdevreg_server.upsert import upsert


class Heard(msgspec.Struct, frozen=True):
    """The last sign of life of a host. ``at_us``: the registry's clock, µs UTC; ``clock``: ``None``: not measured."""

    at_us: int
    leaving: bool = False
    clock: Clock | None = None


def heard(connection: sa.Connection, signs: Mapping[str, Heard]) -> None:
    """Write signs of life."""
    rows = [_row(host, sign) for host, sign in signs.items() if sign.clock is None]
    measured = [{**_row(host, sign), **_measured(sign.clock)} for host, sign in signs.items() if sign.clock is not None]
    for lot in (rows, measured):
        if lot:
            upsert(connection, HostPresence, lot)


def skews(connection: sa.Connection, hosts: Iterable[str]) -> dict[str, int]:
    """The clocks among those of these hosts that were last measured beyond the bound, µs."""
    found: dict[str, int] = {}
    wanted = sorted(set(hosts))
    for first in range(0, len(wanted), 500):
        part = among(connection, HostPresence.host, wanted[first : first + 500])
        statement = sa.select(HostPresence.host, HostPresence.skew_beyond_us)
        rows = connection.execute(statement.where(part, HostPresence.skew_beyond_us.is_not(None)))
        found.update((host, skew or 0) for host, skew in rows)
    return found


def _row(host: str, sign: Heard) -> dict[str, Any]:
    return {"host": host, "last_seen_us": sign.at_us, "leaving": int(sign.leaving)}


def _measured(clock: Clock) -> dict[str, Any]:
    skew = clock.skew
    return {
        "skew_us": None if skew is None else skew.us,
        "skew_at_us": None if skew is None else skew.at_us,
        "skew_beyond_us": clock.beyond_us,
    }


def conflicts(connection: sa.Connection, hosts: Iterable[str]) -> dict[str, str]:
    """Which of these hosts are disputed, and what was seen."""
    wanted = sorted(set(hosts))
    disputed: dict[str, str] = {}
    for first in range(0, len(wanted), 500):
        part = among(connection, HostPresence.host, wanted[first : first + 500])
        statement = sa.select(HostPresence.host, HostPresence.conflict).where(part, HostPresence.conflict.is_not(None))
        disputed.update((host, text or "") for host, text in connection.execute(statement))
    return disputed


def flag_conflict(connection: sa.Connection, host: str, text: str, now_us: int) -> None:
    """Two live agents claim this id: verdicts become unknown, nothing more is merged, until a person decides."""
    row = {"host": host, "last_seen_us": now_us, "leaving": 0, "conflict": text, "conflict_since_us": now_us}
    upsert(connection, HostPresence, [row])


def clear_conflict(connection: sa.Connection, host: str) -> None:
    """A person decided: records of this host are applied again. Raises ``NotFoundError`` if it is not disputed."""
    disputed = (HostPresence.host == host, HostPresence.conflict.is_not(None))
    values = {"conflict": None, "conflict_since_us": None}
    if connection.execute(sa.update(HostPresence).where(*disputed).values(values)).rowcount == 0:
        raise NotFoundError("disputed host", host, tuple(row["host"] for row in disputes(connection))[:3])


def disputes(connection: sa.Connection) -> list[dict[str, Any]]:
    """All hosts that are disputed."""
    statement = sa.select(HostPresence.__table__).where(HostPresence.conflict.is_not(None))
    return [dict(row) for row in connection.execute(statement.order_by(HostPresence.host)).mappings()]


def retired_epochs(connection: sa.Connection, host: str) -> set[str]:
    """The epochs that a host's agents left behind."""
    text = connection.scalar(sa.select(HostState.retired).where(HostState.host == host))
    return set(msgspec.json.decode(text, type=list[str])) if text else set()
