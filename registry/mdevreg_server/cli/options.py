"""Options that several commands share, and where `up` keeps its files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click
import sqlalchemy as sa

from mdevreg.clocks import DEFAULT_MAX_SKEW_S
from mdevreg.errors import StateError
from mdevreg_server import revision
from mdevreg_server.engine import converted, open_engine
from mdevreg_server.folders import state_folder

DATABASE = partial(
    click.option,
    "--database",
    envvar="MDEVREG_DATABASE",
    help="SQLAlchemy URL: sqlite:///FILE or postgresql+psycopg://…  [env: MDEVREG_DATABASE; default: the one of `up`]",
)
NATS = partial(
    click.option,
    "--nats",
    envvar="MDEVREG_NATS",
    default="nats://127.0.0.1:4222",
    show_default=True,
    help="URL of the broker.  [env: MDEVREG_NATS]",
)
CREDS = partial(click.option, "--creds", envvar="MDEVREG_NATS_CREDS", help="NATS credentials file.")

CATALOG = partial(
    click.option,
    "--catalog",
    metavar="DIR",
    envvar="MDEVREG_CATALOG",
    help="Your folder of catalog files; it is watched.  [env: MDEVREG_CATALOG]",
)
PARTITIONS = partial(
    click.option,
    "--partitions",
    envvar="MDEVREG_PARTITIONS",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Share the ingest, in so many partitions, with others started so (PostgreSQL).  [env: MDEVREG_PARTITIONS]",
)
MAX_BYTES = partial(
    click.option,
    "--stream-max-bytes",
    envvar="MDEVREG_STREAM_MAX_BYTES",
    metavar="N",
    type=click.IntRange(min=1_000_000),
    help="Bound the records stream: agents wait while it is full.  [env: MDEVREG_STREAM_MAX_BYTES; default: as it is]",
)
MAX_CLOCK_SKEW = partial(
    click.option,
    "--max-clock-skew",
    "max_clock_skew_s",
    envvar="MDEVREG_MAX_CLOCK_SKEW",
    metavar="SECONDS",
    default=DEFAULT_MAX_SKEW_S,
    show_default=True,
    type=click.FloatRange(0.1, 86_400.0),
    help="Flag hosts whose clocks are further off, and their records.  [env: MDEVREG_MAX_CLOCK_SKEW]",
)
INDEX = partial(
    click.option,
    "--index/--no-index",
    default=True,
    show_default=True,
    help="Keep the fleet in memory, to answer questions about now from there.",
)


def say(line: str) -> None:
    """One event on stderr: a dotted name, past tense, and its fields."""
    print(line, file=sys.stderr, flush=True)


def database_url(url: str | None) -> str:
    """The database that was named, else the one of `up`. Raises ``StateError`` if there is none."""
    if url is not None:
        return url
    file = state_folder() / "registry.sqlite3"
    if not file.exists():
        raise StateError(f"there is no {file}; name a database with --database or MDEVREG_DATABASE")
    return f"sqlite:///{file}"


@contextmanager
def reading(url: str) -> Iterator[sa.Connection]:
    """A read transaction on a database of this program's revision."""
    with _connected(url, writer=False) as connection:
        yield connection


@contextmanager
def writing(url: str) -> Iterator[sa.Connection]:
    """A transaction that is committed at the end."""
    with _connected(url, writer=True) as connection:
        yield connection
        connection.commit()


@contextmanager
def _connected(url: str, *, writer: bool) -> Iterator[sa.Connection]:
    engine = open_engine(url, writer=writer)
    revision.check(engine)
    try:
        with converted(engine), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
