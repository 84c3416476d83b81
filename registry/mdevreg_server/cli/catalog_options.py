"""What the commands about catalog entries share: the database's beliefs, and who decides."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import click
from click.core import ParameterSource

from mdevreg.catalog import Entry
from mdevreg.errors import UsageError
from mdevreg.knowledge import Knowledge, Origin

DRIVER = partial(click.option, "--driver", metavar="NAME", help="Only entries of this module or driver.")
KNOWN_AT = partial(
    click.option,
    "--known-at",
    metavar="TIME|seq:N",
    help="What was believed at this time or log position; default: now.",
)
AUTHOR = partial(click.option, "--author", help="Who decides; kept with the change.  [default: you, on this machine]")
NATS = partial(
    click.option,
    "--nats",
    envvar="MDEVREG_NATS",
    help="Broker of a running registry, which is asked to do it.  [env: MDEVREG_NATS]",
)
#: Of one id the folder's entry goes before the imported one, and both before the shipped.
STRONGEST_FIRST: tuple[Origin, ...] = ("folder", "import", "shipped")
#: An entry and where it came from.
Known = tuple[Origin, Entry]


@contextmanager
def believed(database: str | None, known_at: str | None) -> Iterator[tuple[Knowledge, int]]:
    """What was believed at a time or log position, and that position."""
    from mdevreg.facts import Moment
    from mdevreg.moments import known_at_of
    from mdevreg_server.amendments import Beliefs
    from mdevreg_server.asking import at
    from mdevreg_server.cli.options import database_url, reading

    with reading(database_url(database)) as connection:
        now = datetime.now(UTC)
        when = at(connection, Moment(known_at=None if known_at is None else known_at_of(known_at, now)), now)
        yield Beliefs().at(connection, when.known_at), when.position


def entries_of(knowledge: Knowledge, driver: str | None, origin: Origin | Literal["all"] = "all") -> list[Known]:
    """The entries of an origin and driver, by driver, then id; of one id the strongest origin first."""
    found: list[Known] = [
        (where, entry)
        for where in STRONGEST_FIRST
        if origin in ("all", where)
        for entry in knowledge.entries[where].values()
        if driver is None or driver in entry.drivers
    ]
    return sorted(found, key=lambda known: (known[1].drivers, known[1].id))


def asked_of(ctx: click.Context, nats: str | None, database: str | None) -> str | None:
    """The broker to ask, or ``None`` for the database itself. Named on the command line goes before the environment."""
    named = {name: ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ("nats", "database")}
    if all(named.values()):
        raise UsageError("name one of --nats, for a running registry, and --database, where none runs")
    return None if named["database"] and database else nats


def author_of(author: str | None) -> str:
    """Who decides. Raises ``UsageError`` where nobody can tell."""
    if author is not None:
        return author
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError) as error:
        raise UsageError("your user has no name here; say who decides: --author NAME") from error
