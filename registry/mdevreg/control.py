"""No control characters in records: they break terminals, logs and PostgreSQL. Pure.

Only ``Text`` fields (``description``, ``text``) may hold tabs and newlines. Inside JSON a control character is
always an escape, so most records are cleared by one look at their bytes.
"""

from __future__ import annotations

import re

import msgspec

from mdevreg.errors import DecodeError
from mdevreg.records import Parent
from mdevreg.texts import Place, forbidden_in, path_of, texts_of

#: Escapes and bytes that no record may hold; an escaped backslash before them is a false alarm, settled later.
_SUSPECT = re.compile(rb"\\(?:[bfr]|u00[01]|u007[fF])|\x7f")


def check(data: bytes, parent: Parent | None) -> None:
    """Refuse a record with control characters where none may be. Requires that ``data`` was decoded before.

    Raises ``DecodeError`` with the path of the first.
    """
    if b"\\" not in data and b"\x7f" not in data:
        return
    breaks = data.count(b"\\n") + data.count(b"\\t")
    if _SUSPECT.search(data) is None and (not breaks or breaks == _breaks_in_texts(parent)):
        return
    for place, text in texts_of(msgspec.json.decode(data)):
        if forbidden_in(text, several_lines=_is_text(place)):
            raise DecodeError(f"control character in {text[:40]!r}", path=path_of(place), code="CONTROL_CHARACTER")


def _breaks_in_texts(parent: Parent | None) -> int:
    if parent is None:
        return 0
    texts = [kind.description for kind in parent.types] + [fault.text for fault in parent.faults]
    return sum(text.count("\n") + text.count("\t") for text in texts if text)


def _is_text(place: Place) -> bool:
    """``types[n].description`` and ``faults[n].text``: by their place, since mappings may have any keys."""
    match place[-3:]:
        case ("types", int(), "description") | ("faults", int(), "text"):
            return True
    return False
