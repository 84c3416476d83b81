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
    name = f"test_{next(_numbers)}"
    quoted = sql.Identifier(name)
    with cluster.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(quoted))
    try:
        yield cluster.url(name)
    finally:
        with cluster.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))
