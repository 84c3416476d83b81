"""`mdevreg-server quarantine …` and `conflict …`: what the registry could not apply, and whom it can't tell apart."""

from __future__ import annotations

import asyncio

import click

from mdevreg.cli.examples import Exampled, ExampledGroup
from mdevreg_server.cli.options import CREDS, DATABASE, NATS, database_url, say


@click.group(
    cls=ExampledGroup,
    examples=(
        ("mdevreg-server quarantine list", "What could not be applied, and why."),
        ("mdevreg-server quarantine show 3", "The message itself, as it came."),
        ("mdevreg-server quarantine retry 3", "After an upgrade that understands it."),
        (
            'mdevreg-server quarantine drop 3 --reason "test host, reinstalled"',
            "Decide that it will not be applied; it stays readable.",
        ),
    ),
)
def quarantine() -> None:
    """Records that could not be applied: kept whole, with the reason."""


@quarantine.command(
    "list",
    cls=Exampled,
    examples=(("mdevreg-server quarantine list --state all", "Also what was dropped or applied since."),),
)
@DATABASE()
@click.option("--state", type=click.Choice(["open", "dropped", "applied", "all"]), default="open", show_default=True)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1))
def quarantine_list(database: str | None, state: str, limit: int) -> None:
    """The newest items."""
    from mdevreg_server import quarantine as store
    from mdevreg_server.cli.options import reading

    with reading(database_url(database)) as connection:
        items = store.listed(connection, state=None if state == "all" else state, limit=limit)
        total = store.count(connection)
    click.echo(f"{total} open")
    for item in items:
        who = f"{item['host'] or '?'} seq {item['seq'] or '?'}"
        click.echo(f"{item['id']}\t{item['state']}\t{item['code']}\t{who}\tx{item['times']}\t{item['reason']}")


@quarantine.command(
    "show",
    cls=Exampled,
    examples=(("mdevreg-server quarantine show 3", "The message itself, as it came."),),
)
@DATABASE()
@click.argument("number", type=int)
def quarantine_show(database: str | None, number: int) -> None:
    """One item, with its message as it came."""
    from mdevreg_server import quarantine as store
    from mdevreg_server.cli.options import reading

    with reading(database_url(database)) as connection:
        item = store.item(connection, number)
    body = item.pop("body")
    for name, value in item.items():
        click.echo(f"{name}: {value if value is not None else ''}")
    click.echo(f"message ({len(body)} bytes):")
    click.echo(_printable(body.decode("utf-8", "backslashreplace")))


def _printable(text: str) -> str:
    """What was sent must not reach the terminal as commands."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


@quarantine.command(
    "drop",
    cls=Exampled,
    examples=(
        (
            'mdevreg-server quarantine drop 3 --reason "test host, reinstalled"',
            "Decide that it will not be applied; it stays readable.",
        ),
    ),
)
@DATABASE()
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why; kept with the item.")
def quarantine_drop(database: str | None, number: int, reason: str) -> None:
    """Decide that an item will not be applied. It stays readable, with the reason."""
    from mdevreg_server import quarantine as store
    from mdevreg_server.cli.options import writing

    with writing(database_url(database)) as connection:
        store.resolve(connection, number, state="dropped", resolution=reason)
    click.echo(f"{number} dropped")


@quarantine.command(
    "retry",
    cls=Exampled,
    examples=(
        ("mdevreg-server quarantine retry 3 --nats nats://broker:4222", "After an upgrade that understands it."),
    ),
)
@DATABASE()
@NATS()
@CREDS()
@click.argument("number", type=int)
def quarantine_retry(database: str | None, nats: str, creds: str | None, number: int) -> None:
    """Put an item back on the line: it is published again, and the registry tries it like any other record."""
    from mdevreg_server import quarantine as store
    from mdevreg_server.bus import publish_again
    from mdevreg_server.cli.options import reading

    with reading(database_url(database)) as connection:
        item = store.item(connection, number)
    asyncio.run(publish_again(nats, item["subject"], item["body"], creds=creds, say=say))
    click.echo(f"{number} published again on {item['subject']}; see: mdevreg-server quarantine show {number}")


@click.group(
    cls=ExampledGroup,
    examples=(
        ("mdevreg-server conflict list", "Which hosts are disputed, and what was seen."),
        ("mdevreg-server conflict clear 3f0c…", "After one of the two agents was stopped or given its own id."),
    ),
)
def conflict() -> None:
    """Host ids that two live agents claim. Their verdicts are unknown and nothing of them is merged."""


@conflict.command(
    "list",
    cls=Exampled,
    examples=(("mdevreg-server conflict list", "Which hosts are disputed, and what was seen."),),
)
@DATABASE()
def conflict_list(database: str | None) -> None:
    """Disputed hosts, and what was seen."""
    from mdevreg_server import presence
    from mdevreg_server.cli.options import reading
    from mdevreg_server.messages import moment_of

    with reading(database_url(database)) as connection:
        found = presence.disputes(connection)
    click.echo(f"{len(found)} disputed")
    for row in found:
        click.echo(f"{row['host']}\tsince {moment_of(row['conflict_since_us']):%Y-%m-%dT%H:%M:%SZ}\t{row['conflict']}")


@conflict.command(
    "clear",
    cls=Exampled,
    examples=(
        (
            "mdevreg-server conflict clear 3f0c1c1e-0000-4000-8000-000000000001",
            "After the other agent was stopped or became a host of its own.",
        ),
    ),
)
@DATABASE()
@click.argument("host")
def conflict_clear(database: str | None, host: str) -> None:
    """Say that only one agent is left: its records are applied again from now on.

    If the registry followed the other one meanwhile, it is disputed again at its next record: stop it, remove
    outbox.sqlite3* from its state folder, clear, and start it. It then begins anew with a complete snapshot.
    """
    from mdevreg_server import presence
    from mdevreg_server.cli.options import writing

    with writing(database_url(database)) as connection:
        presence.clear_conflict(connection, host)
    click.echo(f"{host} is no longer disputed")
