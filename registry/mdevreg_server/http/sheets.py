"""Rows of structs as CSV (RFC 4180). The columns follow from the struct's type, so that a new field is a new column.

A struct inside a row becomes columns of its own, named by their fields, or by ``outer.inner`` where that is not
unique. A list of words is one cell, separated by spaces. What has no flat form is JSON: one of several structs, or
structs of one kind that are there more than once.
"""

from __future__ import annotations

import csv
import io
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

#: A column: where it is in the row, and how to get there.
Column = tuple[tuple[str, ...], Callable[[Any], Any]]


def csv_of(kind: type[msgspec.Struct], rows: Iterable[Any]) -> bytes:
    """A header and a line per row; lines end in CRLF."""
    columns = list(_columns(kind))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names_of(kind))
    writer.writerows([_cell(get(row)) for _, get in columns] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def names_of(kind: type[msgspec.Struct]) -> list[str]:
    """The header."""
    places = [place for place, _ in _columns(kind)]
    times = Counter(place[-1] for place in places)
    return [place[-1] if times[place[-1]] == 1 else ".".join(place) for place in places]


def _columns(kind: type[msgspec.Struct]) -> Iterator[Column]:
    hints = get_type_hints(kind)
    inside = Counter(_struct_in(hint) for hint in hints.values())
    for field in msgspec.structs.fields(kind):
        inner = _struct_in(hints[field.name])
        if inner is None or inside[inner] > 1:
            yield (field.encode_name,), _getter(field.name)
            continue
        for place, get in _columns(inner):
            yield (field.encode_name, *place), _through(field.name, get)


def _getter(name: str) -> Callable[[Any], Any]:
    return lambda row: getattr(row, name)


def _through(name: str, get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def found(row: Any) -> Any:
        inner = getattr(row, name)
        return None if inner is None else get(inner)

    return found


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """The struct that a field is, or may be; not one of several."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    structs = [option for option in options if isinstance(option, type) and issubclass(option, msgspec.Struct)]
    return structs[0] if len(structs) == 1 and set(options) <= {structs[0], type(None)} else None


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case datetime():
            return msgspec.json.encode(value).decode().strip(chr(34))
        case tuple() | list() if all(isinstance(each, str) and " " not in each for each in value):
            return " ".join(value)
    return msgspec.json.encode(value).decode()
