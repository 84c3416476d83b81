"""A registry with an HTTP face, over the fleet of all doors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mdevreg_server.broker import Broker
from mdevreg_server.http.config import HttpConfig
from support.databases import sqlite_url
from support.door_fleet import fill
from support.nats_server import brokers
from support.registry import migrated
from support.serving import Serving, serving

LOOPBACK = "127.0.0.1:0"

#: Starts a registry with this HTTP face, on a broker of its own.
Face = Callable[[HttpConfig], Serving]


@contextmanager
def faced(folder: Path, config: HttpConfig) -> Iterator[tuple[Serving, Broker]]:
    """A registry over the fleet, and its broker."""
    with migrated(sqlite_url(folder)) as engine:
        fill(engine)
    with brokers(folder) as start:
        broker = start()
        with serving(sqlite_url(folder), broker.url, http=config) as registry:
            yield registry, broker
