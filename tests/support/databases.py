"""Fresh, empty databases, named by SQLAlchemy URLs: a SQLite file, or a database of the private cluster."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from support.postgres import Cluster

_numbers = itertools.count(1)


def sqlite_url(folder: Path) -> str:
    """A SQLite database that does not exist yet, in ``folder``."""
    return f"sqlite:///{folder.absolute() / 'registry.sqlite'}"


@contextmanager
def postgresql_url(cluster: Cluster) -> Iterator[str]:
    """An empty database of the cluster, dropped at the end, whoever is still connected."""
    name = _create(cluster)
    try:
        yield cluster.url(name)
    finally:
        with cluster.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class EmptyDatabases:
    """Databases of a cluster that are emptied and lent again: making one takes tenfold the time of emptying it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._free: list[str] = []

    @contextmanager
    def lend(self) -> Iterator[str]:
        """An empty database; at the end whoever is still connected is thrown out, and everything in it is dropped."""
        name = self._free.pop() if self._free else _create(self._cluster)
        try:
            yield self._cluster.url(name)
        finally:
            self._empty(name)
            self._free.append(name)

    def _empty(self, name: str) -> None:
        with self._cluster.connect(name) as connection:
            others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
            connection.execute(others, (name, connection.info.backend_pid))
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")


def _create(cluster: Cluster) -> str:
    name = f"test_{next(_numbers)}"
    with cluster.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    return name
