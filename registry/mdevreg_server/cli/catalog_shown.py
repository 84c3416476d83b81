"""`mdevreg-server catalog list`, `export` and `diff`: what is believed, and how it differs from files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click
import msgspec

from mdevreg.catalog import Entry
from mdevreg.cli.examples import Exampled
from mdevreg.errors import UsageError, VersionError
from mdevreg.knowledge import Origin
from mdevreg.statements import Versions
from mdevreg.texts import printable
from mdevreg_server.cli.catalog_diff import Difference, difference_of
from mdevreg_server.cli.catalog_options import DRIVER, KNOWN_AT, STRONGEST_FIRST, Known, believed, entries_of
from mdevreg_server.cli.options import DATABASE, say
from mdevreg_server.cli.tables import table

_COLUMNS = ("ID", "DRIVERS", "FORMAT", "SAVES", "LOADS", "CONFIDENCE", "ORIGIN", "DATE", "SOURCE")


@click.command(
    "list",
    cls=Exampled,
    examples=(
        ("mdevreg-server catalog list --driver mlx5_vfio_pci", "What is believed of one driver, and why."),
        ("mdevreg-server catalog list --known-at 120 -o json", "What was believed at log position 120."),
    ),
)
@DATABASE()
@DRIVER()
@KNOWN_AT()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_entries(database: str | None, driver: str | None, known_at: str | None, output: str) -> None:
    """The entries that are believed, by driver. ORIGIN: shipped, folder (yours, watched) or import."""
    with believed(database, known_at) as (knowledge, position):
        found = entries_of(knowledge, driver)
    if output == "json":
        click.echo(_json(found, position))
    else:
        click.echo(table([_COLUMNS, *map(_row, found)]))


@click.command(
    "export",
    cls=Exampled,
    examples=(
        ("mdevreg-server catalog export --origin import > imported.toml", "A file that can be imported elsewhere."),
        ("mdevreg-server catalog export --driver mtty --known-at 120", "What was believed at log position 120."),
    ),
)
@DATABASE()
@click.option("--origin", type=click.Choice(["shipped", "folder", "import", "all"]), default="all", show_default=True)
@DRIVER()
@KNOWN_AT()
@click.option("-o", "--output", type=click.Choice(["toml", "json"]), default="toml", show_default=True)
def export(
    database: str | None,
    origin: Literal["shipped", "folder", "import", "all"],
    driver: str | None,
    known_at: str | None,
    output: str,
) -> None:
    """Write entries as a catalog file. Read from a folder or imported, they are yours and go before what is shipped."""
    from mdevreg_server.cli.catalog_toml import toml_of

    with believed(database, known_at) as (knowledge, position):
        found = entries_of(knowledge, driver, origin)
    if output == "json":
        click.echo(_json(found, position))
        return
    if not found:
        raise UsageError("there is no such entry to export; see: mdevreg-server catalog list")
    entries = list(_strongest(found))
    click.echo(toml_of(entries, f"exported by mdevreg-server at log position {position}, origin: {origin}"), nl=False)


def _strongest(found: list[Known]) -> Iterator[Entry]:
    """One entry of each id, as a file needs it: the operators' own goes before what is shipped."""
    chosen: dict[str, Origin] = {}
    for origin, entry in sorted(found, key=lambda known: STRONGEST_FIRST.index(known[0])):
        chosen.setdefault(entry.id, origin)
    for origin, entry in found:
        if chosen[entry.id] == origin:
            yield entry
        else:
            say(f"mdevreg-server: {printable(entry.id)} of {origin} is left out: {chosen[entry.id]} has that id too")


@click.command(
    "diff",
    cls=Exampled,
    examples=(
        ("mdevreg-server catalog diff catalog.d", "What would change if the registry watched this folder?"),
        ("mdevreg-server catalog diff hisi.toml --origin import", "What would `catalog import` change?"),
        ("mdevreg-server catalog diff --shipped", "What will change when this program's registry starts?"),
    ),
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--shipped", is_flag=True, help="Compare what this program ships.")
@click.option(
    "--origin",
    type=click.Choice(["folder", "import"]),
    default="folder",
    show_default=True,
    help="What PATH would become. Folder: entries that it lacks would be removed.",
)
@DATABASE()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def diff(
    ctx: click.Context,
    path: Path | None,
    shipped: bool,
    origin: Literal["folder", "import"],
    database: str | None,
    output: str,
) -> None:
    """How files differ from what the database believes: + added, ~ changed, - removed. Exit 0: the same, 1: not."""
    if shipped == (path is not None):
        raise UsageError("expected either a file or folder, or --shipped; see mdevreg-server catalog diff --help")
    wanted = _shipped() if path is None else _entries(path)
    with believed(database, None) as (knowledge, _):
        before = knowledge.entries["shipped" if path is None else origin]
    found = difference_of(before, wanted, removing=shipped or origin == "folder")
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        click.echo("\n".join(_lines(found)))
    ctx.exit(0 if found.same else 1)


def _shipped() -> tuple[Entry, ...]:
    from mdevreg.shipped import shipped_entries

    return shipped_entries()


def _entries(path: Path) -> tuple[Entry, ...]:
    from mdevreg.catalog_folder import faults, read_files

    reading = read_files([path], str)
    found = list(faults(reading))
    if found:
        raise UsageError(f"{found[0]}; see all: mdevreg-server catalog lint {path}", code="CATALOG")
    return reading.entries


def _lines(found: Difference) -> Iterator[str]:
    yield from (f"+ {printable(name)}" for name in found.added)
    for name, fields in found.changed.items():
        yield f"~ {printable(name)}"
        yield from (f"    {field}: {printable(old)} → {printable(new)}" for field, (old, new) in fields.items())
    yield from (f"- {printable(name)}" for name in found.removed)
    counts = f"{len(found.added)} added, {len(found.changed)} changed, {len(found.removed)} removed"
    yield f"{counts}, {found.unchanged} unchanged"


def _json(found: list[Known], position: int) -> str:
    entries = [{"origin": origin, **msgspec.to_builtins(entry)} for origin, entry in found]
    return json.dumps({"position": position, "entries": entries}, indent=2, ensure_ascii=False)


def _row(known: Known) -> tuple[str, ...]:
    origin, entry = known
    saves, loads = (_versions(entry, stated) for stated in (entry.saves, entry.loads))
    cells = (
        entry.id,
        ",".join(entry.drivers),
        (entry.format or "-") if entry.migratable else "not migratable",
        saves,
        loads,
        entry.confidence,
        origin,
        entry.date.isoformat(),
        entry.source,
    )
    return tuple(printable(cell) for cell in cells)


def _versions(entry: Entry, stated: Versions | None) -> str:
    from mdevreg.streams import read_set

    if stated is None:
        return "-"
    try:
        return str(read_set(stated, entry.scheme))
    except VersionError:  # kept by a program that understood it
        return "?"
