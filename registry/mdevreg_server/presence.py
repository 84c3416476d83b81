"""Who was heard when, and who claims to be whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import NotFoundError
from mdevreg_server.among import among
from mdevreg_server.tables import HostPresence, HostState
from mdevreg_server.upsert import upsert


class Heard(msgspec.Struct, frozen=True):
    """The last sign of life of a host. ``at_us``: the registry's clock, µs UTC."""

    at_us: int
    leaving: bool = False


def heard(connection: sa.Connection, signs: Mapping[str, Heard]) -> None:
    """Write signs of life."""
    rows = [{"host": host, "last_seen_us": sign.at_us, "leaving": int(sign.leaving)} for host, sign in signs.items()]
    if rows:
        upsert(connection, HostPresence, rows)


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
