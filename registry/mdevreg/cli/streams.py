"""Saved streams that commands are handed."""

from __future__ import annotations

from mdevreg.cli.files import read_beginning
from mdevreg.inspection import MAX_HEAD_BYTES, Inspected, inspect


def read_stream(name: str, expected: str | None) -> Inspected:
    """What a saved stream says of itself. ``name``: a file, ``-`` for stdin; ``expected``: its format, if known.

    Raises ``StateError`` if it can't be read, ``StreamError`` if it is no stream.
    """
    begin = read_beginning(name, MAX_HEAD_BYTES)
    return inspect(begin.data, size=begin.size, complete=False, expected=expected)
