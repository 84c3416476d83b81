"""Texts in plain data: where they stand, which characters they may not hold, and how they are shown. Pure.

Control characters break terminals, logs and PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import EllipsisType
from typing import Any

#: Where in a document: names of fields, indexes; ``...`` = the name of a mapping itself, which is a text too.
Place = tuple[str | int | EllipsisType, ...]

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")
_FORBIDDEN_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def texts_of(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text of a document (``msgspec.to_builtins``, parsed JSON or TOML), and where it is."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts_of(key, (*place, ...))
            yield from texts_of(item, (*place, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts_of(item, (*place, index))


def forbidden_in(text: str, *, several_lines: bool = False) -> str | None:
    """The first character that a text may not hold; ``several_lines``: tabs and newlines are allowed."""
    found = (_FORBIDDEN_IN_LINES if several_lines else _FORBIDDEN).search(text)
    return None if found is None else found[0]


def path_of(place: Place) -> str:
    """A place as a path below ``$``: ``$.parents[0].name``."""
    steps = (f".{step}" if isinstance(step, str) else f"[{'...' if step is ... else step}]" for step in place)
    return "$" + "".join(steps)


def printable(text: str) -> str:
    """Text without power over a terminal: control and direction characters as escapes.

    Names come from hosts and files; the wire format forbids C0 but not, say, C1 controls.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
