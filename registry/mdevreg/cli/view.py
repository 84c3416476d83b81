"""What a command hands to the renderers: one answer in the shape of every format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mdevreg.verdict import Outcome

Cell = str | int | float | bool | datetime | None


class Sheet(msgspec.Struct, frozen=True):
    """Columns and rows; ``None`` is an empty cell."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def only(self, columns: tuple[str, ...]) -> Sheet:
        """The same with some of its columns: a table has less room than a file."""
        places = [self.columns.index(column) for column in columns]
        return Sheet(columns, [tuple(row[place] for place in places) for row in self.rows])


class Line(msgspec.Struct, frozen=True):
    """A line of text. ``says`` colours its beginning, up to the first colon or double space."""

    text: str
    says: Outcome | None = None


class View(msgspec.Struct, frozen=True):
    """One answer. ``document`` is what json and yaml print, ``sheet`` what csv prints.

    The table format prints ``head``, then ``table`` (if there is one with rows), then ``foot``.
    """

    document: dict[str, Any]
    sheet: Sheet
    head: tuple[Line, ...] = ()
    table: Sheet | None = None
    foot: tuple[Line, ...] = ()
    exit_code: int = 0


class Streamed(msgspec.Struct, frozen=True):
    """An answer that goes on until somebody ends it: texts, rendered, each written when it comes."""

    texts: Iterator[str]


def document_of(struct: msgspec.Struct, **beside: Any) -> dict[str, Any]:
    """A struct as plain JSON values, the fields ``beside`` it first. Times become RFC 3339."""
    document: dict[str, Any] = msgspec.to_builtins({**beside, **msgspec.structs.asdict(struct)})
    return document
