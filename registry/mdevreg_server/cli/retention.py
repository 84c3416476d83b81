"""`mdevreg-server retention …` and `prune`: for how long documents are kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from mdevreg.cli.examples import Exampled, ExampledGroup
from mdevreg.errors import UsageError
from mdevreg.texts import printable
from mdevreg.times import micros, moment_of, past_time, utc
from mdevreg_server.cli.catalog_options import AUTHOR, NATS, asked_of, author_of
from mdevreg_server.cli.options import CREDS, DATABASE, database_url, say
from mdevreg_server.cli.tables import table

if TYPE_CHECKING:
    import sqlalchemy as sa

    from mdevreg.facts import Retention
    from mdevreg_server.keeping import Entry
    from mdevreg_server.pruner import Begun
    from mdevreg_server.pruning import Freed


@click.group(
    cls=ExampledGroup,
    examples=(
        ("mdevreg-server retention show", "For how long documents are kept, who decided it, and what went."),
        ("mdevreg-server retention set --bodies 400d --nats nats://broker:4222", "Tell a running registry."),
        ("mdevreg-server retention set --bodies forever --nats nats://broker:4222", "Keep everything, as at first."),
    ),
)
def retention() -> None:
    """For how long the documents of records are kept. Timelines, digests and the log itself always stay."""


@retention.command(
    "show",
    cls=Exampled,
    examples=(
        ("mdevreg-server retention show", "The policy, and every entry about it, oldest first."),
        ("mdevreg-server retention show -o json", "The same for a program."),
    ),
)
@DATABASE()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show(database: str | None, output: str) -> None:
    """The policy as it is now, and how it came to be."""
    from mdevreg.facts import Retention
    from mdevreg_server import keeping
    from mdevreg_server.cli.options import reading

    with reading(database_url(database)) as connection:
        now, entries = keeping.retention(connection) or Retention("forever"), keeping.entries(connection)
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins({"retention": now, "entries": entries}), indent=2))
        return
    _tell(now)
    if entries:
        click.echo(table([("POSITION", "AT", "AUTHOR", "WHAT"), *map(_row, entries)]))


@retention.command(
    "set",
    cls=Exampled,
    examples=(
        ("mdevreg-server retention set --bodies 400d --nats nats://broker:4222", "Tell a running registry."),
        (
            "mdevreg-server retention set --bodies 400d --database sqlite:////var/lib/mdevreg/registry.sqlite3",
            "The same where no registry runs.",
        ),
    ),
)
@click.option("--bodies", required=True, metavar="DAYS", help="400d: so many days after they came; forever.")
@DATABASE()
@NATS()
@CREDS()
@AUTHOR()
@click.pass_context
def set_(
    ctx: click.Context, bodies: str, database: str | None, nats: str | None, creds: str | None, author: str | None
) -> None:
    """Decide for how long documents are kept. A running registry begins to prune a day later, then daily.

    With --nats the running registry is asked; without, the database is written to, which no registry may be doing.
    """
    from mdevreg.keeping import days_of

    days_of(bodies)  # refused before anybody is asked
    who, broker = author_of(author), asked_of(ctx, nats, database)
    if broker is not None:
        _tell(_asked(broker, bodies, who, creds))
        return
    from mdevreg_server.alone import writing_alone

    with writing_alone(database_url(database)) as book:
        _tell(book.set_retention(bodies, author=who))


@click.command(
    cls=Exampled,
    examples=(
        ("mdevreg-server prune --dry-run", "What the policy would let go now: hosts, documents, bytes."),
        ("mdevreg-server prune --before -400d", "Let documents go whatever the policy is."),
    ),
)
@DATABASE()
@click.option("--before", metavar="TIME", help="RFC 3339, or -400d.  [default: as the policy says]")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@AUTHOR()
def prune(database: str | None, before: str | None, dry_run: bool, author: str | None) -> None:
    """Empty the documents of records that came before a time, where no registry runs; a running one does it by itself.

    Kept are documents that held at that time or later, and the first and the last of every object. Timelines stay
    whole. It can't be undone but from a copy. One that was cut off is ended first.
    """
    from mdevreg_server import pruner, revision
    from mdevreg_server.engine import open_engine

    url, now_us = database_url(database), time.time_ns() // 1_000
    reader = open_engine(url, writer=False)
    try:
        revision.check(reader)
        found = pruner.proposed(reader, _before(reader, before, now_us), now_us)
        if found is None:
            click.echo("nothing to prune: nothing is that old, or it was pruned up to then already")
        elif dry_run:
            click.echo(f"would go: {_freed(pruner.foreseen(reader, found[1]))}, {_upto(found)}; nothing was changed")
        else:
            _prune(url, found, author_of(author), now_us)
    finally:
        reader.dispose()


def _prune(url: str, found: Begun, author: str, now_us: int) -> None:
    from mdevreg_server import pruner
    from mdevreg_server.alone import ledger_alone
    from mdevreg_server.pruning import Freed

    at, order = found
    with ledger_alone(url) as ledger:
        begun = found if at else pruner.begin(ledger, order, author=author, now_us=now_us)
        freed = sum(_told(pruner.prune_all(ledger, begun)), Freed())
        position = pruner.end(ledger, begun, freed, author=author, now_us=now_us)
    click.echo(f"gone: {_freed(freed)}, {_upto(found)}; entries {begun[0]} and {position} of the log say so")
    if url.startswith("sqlite"):
        click.echo("the file keeps the room for what comes; to make it smaller, stop the registry and run VACUUM")


def _told(lots: Iterator[Freed]) -> Iterator[Freed]:
    for freed in lots:
        say(f"prune.lot hosts={freed.hosts} bodies={freed.bodies} bytes={freed.bytes}")
        yield freed


def _before(reader: sa.Engine, text: str | None, now_us: int) -> int:
    from mdevreg_server import pruner
    from mdevreg_server.engine import converted

    if text is not None:
        return micros(past_time(text, moment_of(now_us)))
    with converted(reader), reader.connect() as connection:
        found = pruner.due(connection, now_us)
    if found is None:
        raise UsageError("the policy keeps documents for ever; say --before, or: mdevreg-server retention set --bodies")
    return found


def _asked(broker: str, bodies: str, author: str, creds: str | None) -> Retention:
    from mdevreg import subjects
    from mdevreg.facts import Retention
    from mdevreg_server.bus import ask

    request = msgspec.json.encode({"bodies": bodies, "author": author})
    (reply,) = asyncio.run(ask(broker, subjects.decision("set-retention"), lambda _: [request], creds=creds, say=say))
    return msgspec.json.decode(reply, type=Retention)


def _tell(now: Retention) -> None:
    click.echo(f"bodies: {now.policy}")
    if now.pruned_before is not None:
        click.echo(f"pruned: detail before {utc(now.pruned_before)}, up to position {now.pruned_position}")


def _row(entry: Entry) -> tuple[str, ...]:
    from mdevreg.keeping import Prune, RetentionChange, policy_of

    keeping = entry.keeping
    match keeping.change:
        case RetentionChange(bodies_days=days):
            what = f"bodies are kept: {policy_of(days)}"
        case Prune(before=before, horizon=horizon):
            what = f"prune begun: before {utc(before)}, up to position {horizon}"
        case pruned:
            what = f"prune {pruned.prune} ended: {pruned.bodies} bodies of {pruned.hosts} hosts, {pruned.bytes} bytes"
    return str(entry.position), utc(keeping.at), printable(keeping.author), what


def _freed(freed: Freed) -> str:
    return f"{freed.bodies} bodies of {freed.hosts} hosts, {freed.bytes} bytes"


def _upto(found: Begun) -> str:
    return f"of what came before {utc(found[1].before)} (position {found[1].horizon})"
