"""What the agent says on stderr: one line per event, named in the past tense, with fields."""

from __future__ import annotations

import json
import re
from typing import TextIO

_PLAIN = re.compile(r"[\w.:/@+,=%-]+\Z")


class Journal:
    """Writes lines such as ``record.written seq=12 kind=parent parent=mtty cause=uevent:bind``.

    ``quiet`` leaves out ``say``; ``warn`` is always written.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet

    def say(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        if not self._quiet:
            self._write(event, fields)

    def warn(self, event: str, **fields: object) -> None:
        """Something that an operator should see."""
        self._write(event, fields)

    def _write(self, event: str, fields: dict[str, object]) -> None:
        told = (f"{key}={_word(str(value))}" for key, value in fields.items() if value is not None)
        self._stream.write(" ".join((event, *told)) + "\n")
        self._stream.flush()


def _word(text: str) -> str:
    """The value itself, or in JSON quotes (which escape control characters) when it is not one plain word."""
    return text if _PLAIN.match(text) else json.dumps(text)
