"""The leaf of a log row: one line per column, the body by its SHA-256 (docs/audit.md, "The leaf").

Written once, and the same for ever: a change would be another first line.
"""

from __future__ import annotations

from typing import NamedTuple

from mdevreg.audit.merkle import leaf_hash

#: The first line.
FORMAT = "mdevreg-record/1"


class Columns(NamedTuple):
    """A row of ``record_log`` but for its body. ``…_us``: µs since 1970 UTC; ``sha256``: hex, of the body."""

    position: int
    host: str
    epoch: str
    seq: int
    kind: str
    sha256: str
    observed_at_us: int
    received_at_us: int
    committed_at_us: int


_LINES = FORMAT + "\n" + "".join(f"{name} %s\n" for name in Columns._fields)


def leaf_of(columns: tuple[int, str, str, int, str, str, int, int, int]) -> bytes:
    """The leaf of a row, UTF-8. What is no UTF-8 in a damaged database gives some leaf that no sound row has."""
    return (_LINES % tuple(columns)).encode("utf-8", "surrogateescape")


def hash_of(columns: tuple[int, str, str, int, str, str, int, int, int]) -> bytes:
    """The hash of a row's leaf."""
    return leaf_hash(leaf_of(columns))
