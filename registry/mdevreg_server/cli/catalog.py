"""`mdevreg-server catalog …`: what is believed of drivers that say nothing themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from mdevreg import subjects
from mdevreg.cli.examples import Exampled, ExampledGroup
from mdevreg.errors import UsageError
from mdevreg.texts import printable
from mdevreg_server.cli.catalog_options import AUTHOR, NATS, asked_of, author_of
from mdevreg_server.cli.catalog_shown import diff, export, list_entries
from mdevreg_server.cli.options import CREDS, DATABASE, database_url, say

if TYPE_CHECKING:
    from mdevreg.catalog_folder import Reading
    from mdevreg.query.requests import Changed

_PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
#: What a request has beside its entries or names, at most: the author is a line.
_ENVELOPE_BYTES = 20_000


@click.group(
    cls=ExampledGroup,
    examples=(
        ("mdevreg-server catalog list --driver mlx5_vfio_pci", "What is believed of one driver, and why."),
        ("mdevreg-server catalog lint catalog.d", "Is everything right in a folder of catalog files?"),
        ("mdevreg-server catalog diff catalog.d", "What would change if the registry read it?"),
        ("mdevreg-server catalog import hisi.toml --nats nats://broker:4222", "Tell a running registry."),
    ),
)
def catalog() -> None:
    """What drivers save and load, where they don't say it themselves: shipped, from your folder, and imported."""


for command in (list_entries, export, diff):
    catalog.add_command(command)


@catalog.command(
    "lint",
    cls=Exampled,
    examples=(
        ("mdevreg-server catalog lint catalog.d", "Every fault by file and line, as a compiler tells it."),
        ("mdevreg-server catalog lint hisi.toml qat.toml", "Single files, taken together."),
    ),
)
@_PATHS
def lint(paths: tuple[Path, ...]) -> None:
    """Check catalog files, without any registry. Exit 0: all good, 2: faults, one `file:line: text` per line."""
    reading = _read(paths)
    good = f"{_counted(len(reading.entries), 'entry', 'entries')} in {_counted(reading.files, 'file', 'files')}"
    click.echo(f"{good}, all good")


@catalog.command(
    "import",
    cls=Exampled,
    examples=(
        (
            "mdevreg-server catalog import hisi.toml --nats nats://broker:4222",
            "A running registry believes it at once.",
        ),
        (
            "mdevreg-server catalog import catalog.d --database sqlite:////var/lib/mdevreg/registry.sqlite3",
            "The same where no registry runs.",
        ),
    ),
)
@_PATHS
@DATABASE()
@NATS()
@CREDS()
@AUTHOR()
@click.pass_context
def import_(
    ctx: click.Context,
    paths: tuple[Path, ...],
    database: str | None,
    nats: str | None,
    creds: str | None,
    author: str | None,
) -> None:
    """Add entries, or replace those of the same id. `catalog remove` takes them back; the history keeps them.

    With --nats the running registry is asked; without, the database is written to, which no registry may be doing.
    """
    entries, who = _read(paths).entries, author_of(author)
    broker = asked_of(ctx, nats, database)
    if broker is None:
        from mdevreg_server.alone import writing_alone

        with writing_alone(database_url(database)) as book:
            _tell([book.import_entries(entries, author=who)])
        return
    documents = [(entry.id, msgspec.json.encode(entry)) for entry in entries]
    _tell(_asked(broker, "import-catalog", lambda most: _requests("entries", documents, who, most), creds))


@catalog.command(
    "remove",
    cls=Exampled,
    examples=(
        ("mdevreg-server catalog remove hisi-site-1 --nats nats://broker:4222", "Take an imported entry back."),
        ("mdevreg-server catalog list", "ORIGIN says which entries were imported."),
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@DATABASE()
@NATS()
@CREDS()
@AUTHOR()
@click.pass_context
def remove(
    ctx: click.Context,
    ids: tuple[str, ...],
    database: str | None,
    nats: str | None,
    creds: str | None,
    author: str | None,
) -> None:
    """Take imported entries back. What they decided before stays in the history.

    With --nats the running registry is asked; without, the database is written to, which no registry may be doing.
    """
    who, broker = author_of(author), asked_of(ctx, nats, database)
    if broker is None:
        from mdevreg_server.alone import writing_alone

        with writing_alone(database_url(database)) as book:
            _tell([book.remove_entries(ids, author=who)])
        return
    documents = [(name, msgspec.json.encode(name)) for name in ids]
    _tell(_asked(broker, "remove-catalog", lambda most: _requests("names", documents, who, most), creds))


def _read(paths: Iterable[Path]) -> Reading:
    """Files without a fault; otherwise the faults are printed. Raises ``UsageError``."""
    from mdevreg.catalog_folder import faults, read_files

    reading = read_files(paths, str)
    found = list(faults(reading))
    for fault in found:
        click.echo(fault)
    if found:
        where = f"{len(reading.refused)} of {_counted(reading.files, 'file', 'files')}"
        good = f"{_counted(len(reading.entries), 'entry is', 'entries are')} good in the others"
        raise UsageError(f"{_counted(len(found), 'fault', 'faults')} in {where}; {good}", code="CATALOG")
    return reading


def _requests(field: str, documents: Sequence[tuple[str, bytes]], author: str, most: int) -> Iterator[bytes]:
    """Requests that the broker lets pass, as few as possible. Raises ``UsageError`` for what is longer by itself."""
    room = most - _ENVELOPE_BYTES
    for name, document in documents:
        if len(document) > room:
            way_out = "raise its max_payload, or use --database where no registry runs"
            raise UsageError(f"{name} has {len(document)} bytes, the broker allows {most}; {way_out}")
    while documents:
        count, size = 0, 0
        while count < len(documents) and size + len(documents[count][1]) + 1 <= room:
            size += len(documents[count][1]) + 1
            count += 1
        lot = [msgspec.Raw(document) for _, document in documents[: max(count, 1)]]
        yield msgspec.json.encode({field: lot, "author": author})
        documents = documents[max(count, 1) :]


def _asked(broker: str, endpoint: str, requests: Callable[[int], Iterable[bytes]], creds: str | None) -> list[Changed]:
    from mdevreg.query.requests import Changed
    from mdevreg_server.bus import ask

    replies = asyncio.run(ask(broker, subjects.decision(endpoint), requests, creds=creds, say=say))
    return [msgspec.json.decode(reply, type=Changed) for reply in replies]


def _tell(changes: Iterable[Changed]) -> None:
    lines: list[str] = []
    for change in changes:
        lines += [f"put {printable(name)}" for name in change.put]
        lines += [f"removed {printable(name)}" for name in change.removed]
        for name in change.hidden:
            say(f"mdevreg-server: {printable(name)} is in the operators' folder too, which goes before imports")
    click.echo("\n".join(lines) if lines else "nothing changed")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
