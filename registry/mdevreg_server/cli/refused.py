"""`mdevreg-server quarantine …` and `conflict …`: what the registry could not apply, and whom it can't tell apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from mdevreg import subjects
from mdevreg.cli.examples import Exampled, ExampledGroup
from mdevreg.errors import UsageError
from mdevreg.texts import printable
from mdevreg_server.cli.options import CREDS, DATABASE, NATS, database_url, say
from mdevreg_server.cli.tables import table

#: How much of a message is shown; ``--raw`` writes the whole.
SHOWN_BYTES = 4_096
_COLUMNS = ("ID", "STATE", "CODE", "RECEIVED", "SUBJECT", "SENDER", "TIMES", "REASON")
#: An item's id; SQL's BIGINT.
_NUMBER = partial(click.argument, "number", type=click.IntRange(1, 2**63 - 1))


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
    examples=(
        ("mdevreg-server quarantine list --state all", "Also what was dropped or applied since."),
        ("mdevreg-server quarantine list -o json", "One array, for a program."),
    ),
)
@DATABASE()
@click.option("--state", type=click.Choice(["open", "dropped", "applied", "all"]), default="open", show_default=True)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 2**31 - 1))
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def quarantine_list(database: str | None, state: str, limit: int, output: str) -> None:
    """The newest items. RECEIVED: when it came first. SENDER: host/epoch/seq, if that much can be believed."""
    from mdevreg_server import quarantine as store
    from mdevreg_server.cli.options import reading

    wanted = None if state == "all" else state
    with reading(database_url(database)) as connection:
        items = [store.document(item) for item in store.listed(connection, state=wanted, limit=limit)]
        total = store.count(connection, state=wanted)
    click.echo(json.dumps(items, indent=2) if output == "json" else table([_COLUMNS, *map(_row, items)]))
    if total > len(items):
        say(f"mdevreg-server: the newest {len(items)} of {total}; --limit shows more")


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    sender = "-" if item["host"] is None else f"{item['host']}/{item['epoch']}/{item['seq']}"
    names = ("id", "state", "code", "received_at", "subject")
    return (*(printable(str(item[name])) for name in names), sender, str(item["times"]), printable(item["reason"]))


@quarantine.command(
    "show",
    cls=Exampled,
    examples=(
        ("mdevreg-server quarantine show 3", "What it is, why it was refused, and how it begins."),
        ("mdevreg-server quarantine show 3 --raw > message", "The message itself, byte for byte."),
    ),
)
@DATABASE()
@click.option("--raw", is_flag=True, help="Write the whole message as it came, and nothing else.")
@_NUMBER()
def quarantine_show(database: str | None, raw: bool, number: int) -> None:
    """One item, with the beginning of its message; what would command a terminal is escaped."""
    from mdevreg_server import quarantine as store
    from mdevreg_server.cli.options import reading

    with reading(database_url(database)) as connection:
        item = store.item(connection, number)
    if raw:
        click.echo(item["body"], nl=False)
        return
    for name, value in store.document(item).items():
        click.echo(f"{name}: {printable(str(value)) if value is not None else '-'}")
    click.echo(f"message ({len(item['body'])} bytes):\n{_beginning(item['body'])}")


def _beginning(body: bytes) -> str:
    """What was sent must not reach the terminal as commands, nor as a million characters."""
    shown = body[:SHOWN_BYTES]
    text = "\n".join(map(printable, shown.decode("utf-8", "backslashreplace").split("\n")))
    left_out = len(body) - len(shown)
    return f"{text}\n… {left_out} bytes are left out; --raw writes the whole message" if left_out else text


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
@_NUMBER()
@click.option("--reason", required=True, help="Why; kept with the item.")
def quarantine_drop(database: str | None, number: int, reason: str) -> None:
    """Decide that an open item will not be applied. It stays readable, with the reason."""
    from mdevreg_server import quarantine as store
    from mdevreg_server.cli.options import writing

    with writing(database_url(database)) as connection:
        store.drop(connection, number, reason=reason)
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
@_NUMBER()
def quarantine_retry(database: str | None, nats: str, creds: str | None, number: int) -> None:
    """Put an item back on the line: it is published again, and the registry tries it like any other record.

    One that was dropped is opened again, so that it is marked as applied when it is.
    """
    from mdevreg_server import quarantine as store
    from mdevreg_server.bus import publish_again
    from mdevreg_server.cli.options import writing

    with writing(database_url(database)) as connection:
        subject = str(store.item(connection, number)["subject"])
        if not subject.startswith(f"{subjects.ROOT}."):
            name = subject.partition(".")[2]
            raise UsageError(f"{number} is no message but the file {name}; mend it where it lies, it is read again")
    with writing(database_url(database)) as connection:  # before it is published: the registry may be quicker
        store.reopen(connection, number)
        item = store.item(connection, number)
    asyncio.run(publish_again(nats, item["subject"], item["body"], creds=creds, say=_say_of_retry))
    click.echo(
        f"{number} published again on {printable(item['subject'])}; see: mdevreg-server quarantine show {number}"
    )


def _say_of_retry(line: str) -> None:
    """One message is sent and the connection closed: that it ends is no event."""
    if line != "broker.disconnected":
        say(line)


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
    from mdevreg.times import moment_of
    from mdevreg_server import presence
    from mdevreg_server.cli.options import reading

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
