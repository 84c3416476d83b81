"""A view as text: table, json, yaml or csv. Rich and PyYAML are imported by the one format that needs them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from mdevreg.cli.session import Format
from mdevreg.cli.view import Cell, Line, Sheet, View
from mdevreg.errors import MissingExtraError
from mdevreg.texts import printable
from mdevreg.times import utc
from mdevreg.verdict import Outcome

#: Width of a table that is not on a terminal: nothing is folded or cut, so that grep and awk see whole names.
UNBOUNDED = 100_000
_ANSI = {Outcome.COMPATIBLE: "32", Outcome.INCOMPATIBLE: "31", Outcome.UNKNOWN: "33"}
_BEGINNING = re.compile(r"\s*.*?(?=:|  |$)")


def render(view: View, kind: Format, *, width: int | None, color: bool) -> str:
    """The whole text of a view, ending in a newline. ``width`` is the terminal's, ``None`` if it is none.

    Raises:
        MissingExtraError: the format needs a package that is not installed.
    """
    writers: dict[Format, Callable[[], str]] = {
        "table": lambda: _text(view, width, color),
        "json": lambda: msgspec.json.format(msgspec.json.encode(view.document), indent=2).decode() + "\n",
        "yaml": lambda: _yaml(view),
        "csv": lambda: _csv(view.sheet),
    }
    return writers[kind]()


def _yaml(view: View) -> str:
    with _needs("-o yaml"):
        import yaml
    return yaml.safe_dump(view.document, sort_keys=False, allow_unicode=True, width=UNBOUNDED)


def _csv(sheet: Sheet) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(sheet.columns)
    writer.writerows([_cell(cell) for cell in row] for row in sheet.rows)
    return out.getvalue()


def _text(view: View, width: int | None, color: bool) -> str:
    parts = [_line(line, color) for line in view.head]
    if view.table is not None and view.table.rows:
        parts.append(_table(view.table, width))
    return "\n".join([*parts, *(_line(line, color) for line in view.foot)]) + "\n"


def _line(line: Line, color: bool) -> str:
    text = printable(line.text)
    if not color or line.says is None:
        return text
    return _BEGINNING.sub(lambda found: f"\x1b[{_ANSI[line.says or Outcome.UNKNOWN]}m{found[0]}\x1b[0m", text, count=1)


def _table(sheet: Sheet, width: int | None) -> str:
    with _needs("-o table"):
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in sheet.columns:
        table.add_column(Text(column.upper()), overflow="fold", no_wrap=width is None)
    for row in sheet.rows:
        # Text, not str: a name like "[red]" is a name, not markup.
        table.add_row(*(Text(printable(_cell(cell)) or "-") for cell in row))
    out = io.StringIO()
    Console(file=out, width=width or UNBOUNDED, color_system=None, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case datetime():
            return utc(cell)
        case float():
            return f"{cell:.3f}".rstrip("0").rstrip(".")
    return str(cell)


@contextmanager
def _needs(what: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(what, "cli") from error
