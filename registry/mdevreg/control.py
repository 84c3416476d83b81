"""No control characters in records: they break terminals, logs and PostgreSQL. Pure.

Only ``Text`` fields (``description``, ``text``) may hold tabs and newlines. Inside JSON a control character is
always an escape, so most records are cleared by one look at their bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from mdevreg.errors import DecodeError
from mdevreg.records import Parent

#: Escapes and bytes that no record may hold; an escaped backslash before them is a false alarm, settled later.
_SUSPECT = re.compile(rb"\\(?:[bfr]|u00[01]|u007[fF])|\x7f")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def check(data: bytes, parent: Parent | None) -> None:
    """Refuse a record with control characters where none may be. Requires that ``data`` was decoded before.

    Raises ``DecodeError`` with the path of the first.
    """
    if b"\\" not in data and b"\x7f" not in data:
        return
    breaks = data.count(b"\\n") + data.count(b"\\t")
    if _SUSPECT.search(data) is None and (not breaks or breaks == _breaks_in_texts(parent)):
        return
    for path, text in _found(msgspec.json.decode(data), "$", ()):
        raise DecodeError(f"control character in {text[:40]!r}", path=path, code="CONTROL_CHARACTER")


def control_characters(value: Any) -> Iterator[tuple[str, str]]:
    """Texts with control characters in plain data (``msgspec.to_builtins``): where, and the text."""
    yield from _found(value, "$", ())


def _breaks_in_texts(parent: Parent | None) -> int:
    if parent is None:
        return 0
    texts = [kind.description for kind in parent.types] + [fault.text for fault in parent.faults]
    return sum(text.count("\n") + text.count("\t") for text in texts if text)


def _found(value: Any, path: str, place: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        pattern = _CONTROL_IN_TEXT if _is_text(place) else _CONTROL
        if pattern.search(value):
            yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _found(key, f"{path}[...]", ())
            yield from _found(item, f"{path}.{key}", (*place[-2:], key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _found(item, f"{path}[{index}]", (*place[-2:], index))


def _is_text(place: tuple[str | int, ...]) -> bool:
    """``types[n].description`` and ``faults[n].text``: by their place, since mappings may have any keys."""
    match place:
        case ("types", int(), "description") | ("faults", int(), "text"):
            return True
    return False
