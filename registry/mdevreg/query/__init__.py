"""The doors to a registry: the only IO in this package.

``open(url)`` finds the door for a URL; every door hands out the same facts (``mdevreg.query.door``), and
``mdevreg.query.questions`` makes the same verdicts of them.
"""

from __future__ import annotations

import importlib

from mdevreg.addresses import shown
from mdevreg.errors import MissingExtraError, UsageError
from mdevreg.query.door import Door
from mdevreg.query.questions import Answer, Targets, can_migrate, targets, targets_of_stream
from mdevreg.query.regretting import Regrets, regret
from mdevreg.query.waiting import can_migrate_when, events

__all__ = [
    "Answer",
    "Door",
    "Regrets",
    "Targets",
    "can_migrate",
    "can_migrate_when",
    "events",
    "open",
    "regret",
    "targets",
    "targets_of_stream",
]

#: scheme → (module, factory, extra that brings what it needs)
_DOORS = {
    "nats": ("mdevreg.query.nats_door", "open_nats", "nats"),
    "http": ("mdevreg.query.http_door", "open_http", "http"),
    "https": ("mdevreg.query.http_door", "open_http", "http"),
    "replica+nats": ("mdevreg.query.replica_door", "open_replica", "nats"),
    "sqlite": ("mdevreg_server.sql_door", "open_sql", "sql"),
    "postgresql+psycopg": ("mdevreg_server.sql_door", "open_sql", "postgresql"),
}


def open(url: str, *, timeout_s: float = 5.0, creds: str | None = None) -> Door:  # noqa: A001  (query.open(url) is the name people expect)
    """Open a registry: ``sqlite:///FILE``, ``postgresql+psycopg://…``, ``nats://HOST:PORT`` or ``http(s)://HOST:PORT``.

    ``timeout_s`` bounds each question; ``creds`` is a NATS credentials file, or one with a bearer token. Close the
    door, or use it in ``with``. Raises ``UsageError`` (unknown scheme), ``MissingExtraError``, ``UnreachableError``,
    ``AuthError``, ``WrongRevisionError``.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in _DOORS:
        known = ", ".join(f"{name}://" for name in _DOORS)
        raise UsageError(f"{shown(url)!r} has no known scheme; expected one of: {known}")
    module, factory, extra = _DOORS[scheme]
    try:
        door: Door = getattr(importlib.import_module(module), factory)(url, timeout_s=timeout_s, creds=creds)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"mdevreg", "mdevreg_server"}:
            raise
        raise MissingExtraError(f"the door {scheme}://", extra) from error
    return door
