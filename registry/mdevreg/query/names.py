"""Names as people type them, before they are looked for."""

from __future__ import annotations

import re

from mdevreg.errors import UsageError

#: Control characters and halves of surrogate pairs: no record has them, and no database or message takes them.
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def possible(name: str) -> str:
    """The name, if anything could be called so. Raises ``UsageError``."""
    found = _IMPOSSIBLE.search(name)
    if found is not None:
        raise UsageError(f"nothing is named {name[:80]!r}: it has the character U+{ord(found[0]):04X}")
    return name
