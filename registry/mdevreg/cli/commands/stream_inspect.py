"""``mdevreg stream inspect FILE``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Local
from mdevreg.cli.streams import read_stream
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.inspection import Inspected, known_formats

_COLUMNS = ("format", "scheme", "version", "size", "byte_order", "tags", "optional_tags", "fields", "notes")


@click.command(
    "inspect",
    cls=Local,
    examples=(
        ("mdevreg stream inspect saved.bin", "Format, version, size, match fields."),
        (
            "mdevreg stream inspect --format virtio saved.bin",
            "Where two formats look alike: it is known to be this one.",
        ),
        ("mdevreg stream inspect - < saved.bin", "From stdin, however long it is."),
    ),
)
@click.argument("file", metavar="FILE|-")
@click.option("--format", "expected", type=click.Choice(known_formats()), help="The format that it must have.")
def command(file: str, expected: str | None) -> View:
    """Say what a saved migration stream is.

    Only its beginning is looked at. Exits 2 if it is not recognised, cut short or broken.
    """
    found = read_stream(file, expected)
    return View(
        document=document_of(found),
        sheet=Sheet(_COLUMNS, [_row(found)]),
        head=(Line(_first_line(found)), *map(Line, _details(found))),
    )


def _first_line(found: Inspected) -> str:
    version = f" version {found.version}" if found.version is not None else ""
    size = "of unknown size" if found.size is None else f"{found.size} bytes"
    return f"{found.format} stream{version}, {size}"


def _details(found: Inspected) -> list[str]:
    lines = [f"byte order: {found.byte_order}"]
    for name, tags in (("tags", found.tags), ("optional tags", found.optional_tags)):
        lines += [f"{name}: {', '.join(tags)}"] if tags else []
    lines += [f"{name}: {value}" for name, value in found.fields.items()]
    return [*lines, *(f"note: {note}" for note in found.notes)]


def _row(found: Inspected) -> tuple[str | int | None, ...]:
    return (
        found.format,
        found.scheme,
        found.version,
        found.size,
        found.byte_order,
        " ".join(found.tags),
        " ".join(found.optional_tags),
        " ".join(f"{name}={value}" for name, value in found.fields.items()),
        " ".join(found.notes),
    )
