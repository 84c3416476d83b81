"""The files of an export and their columns. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from mdevreg.logged import LogEntry, TimelineName, TimelinePage
from mdevreg.times import moment_of

Kind = Literal["text", "count", "time"]
#: Times are aware UTC, to the microsecond.
Cell = str | int | datetime | None
Row = tuple[Cell, ...]


class Column(msgspec.Struct, frozen=True):
    """A column: its name, and what is in it."""

    name: str
    kind: Kind


class Table(msgspec.Struct, frozen=True):
    """A file of an export, whatever its format."""

    name: str
    columns: tuple[Column, ...]


def _columns(text: str) -> tuple[Column, ...]:
    """``NAME`` is a text, ``NAME#`` a count, ``NAME@`` a time."""
    kinds: dict[str, Kind] = {"#": "count", "@": "time"}
    return tuple(Column(word.rstrip("#@"), kinds.get(word[-1], "text")) for word in text.split())


_PERIODS = " valid_from@ valid_to@ ended_at_position# system_from_position# system_to_position#"

LOG = Table(
    "log",
    _columns("position# host epoch seq# kind sha256 observed_at@ received_at@ committed_at@ bytes# body encoding"),
)
#: By the table of timelines; columns in the registry's own order follow by name.
TABLES: dict[TimelineName, Table] = {
    "host": Table("hosts", _columns("host hostname site kernel_release position#" + _PERIODS)),
    "parent": Table("parents", _columns("host path name position# free" + _PERIODS)),
    "offer": Table("offers", _columns("host path type profile" + _PERIODS)),
    "device": Table("devices", _columns("host path name kind type profile iommu_group#" + _PERIODS)),
    "driver": Table("drivers", _columns("host path name module kernel_release version srcversion build_id" + _PERIODS)),
    "profile": Table("profiles", _columns("digest body")),
}
_RENAMED = {
    "valid_from": "valid_from_us",
    "valid_to": "valid_to_us",
    "ended_at_position": "ended_at",
    "system_from_position": "system_from",
    "system_to_position": "system_to",
}


def log_row(entry: LogEntry) -> Row:
    """An entry of the log as a row."""
    return tuple(getattr(entry, column.name) for column in LOG.columns)


def timeline_rows(table: Table, page: TimelinePage) -> Iterator[Row]:
    """The rows of a page."""
    places = [page.columns.index(_RENAMED.get(column.name, column.name)) for column in table.columns]
    times = [column.kind == "time" for column in table.columns]
    for row in page.rows:
        cells = [row[place] for place in places]
        yield tuple(
            moment_of(cell) if time and isinstance(cell, int) else cell for cell, time in zip(cells, times, strict=True)
        )
