"""Names as people type them, before they are looked for."""

from __future__ import annotations

import re
from urllib.parse import quote

from mdevreg.errors import NotFoundError, UsageError

#: Control characters and halves of surrogate pairs: no record has them, and no database or message takes them.
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def possible(name: str) -> str:
    """The name, if anything could be called so. Raises ``UsageError``."""
    found = _IMPOSSIBLE.search(name)
    if found is not None:
        raise UsageError(f"nothing is named {name[:80]!r}: it has the character U+{ord(found[0]):04X}")
    return name


def segment(kind: str, name: str) -> str:
    """A name as one part of a path."""
    if not name:
        raise NotFoundError(kind, name)
    return quote(possible(name), safe="")
