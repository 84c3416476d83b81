"""Match fields: what else must fit between a stream and its target, value by value. Pure.

A missing value is unknown, not equal. A value is a number (``5``, ``0x1f``), a set of words (``sym;dc``,
``sym, dc``) or plain text; *superset* needs numbers or sets of words on both sides.
"""

from __future__ import annotations

import re
from typing import Literal

_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]{1,32}|[0-9]{1,39})\Z")
_BREAKS = re.compile(r"[,;\s]+")

#: *incomparable*: a number on one side and words on the other, where one should have what the other has.
Agreement = Literal["agrees", "differs", "lacks", "unknown", "incomparable"]


def agreement(rule: Literal["equal", "superset", "advisory"], source: str | None, target: str | None) -> Agreement:
    """How the target's value stands to the source's. An advisory rule is compared as *equal*; it never decides."""
    if not (source and source.strip()) or not (target and target.strip()):  # nothing said is nothing known
        return "unknown"
    if rule == "superset":
        if isinstance(_plain(source), int) != isinstance(_plain(target), int):
            return "incomparable"
        return "lacks" if missing_of(source, target) else "agrees"
    return "agrees" if _plain(source) == _plain(target) else "differs"


def missing_of(source: str, target: str) -> str:
    """What the target's value lacks of the source's: bits in hex, or words."""
    ours, theirs = _plain(source), _plain(target)
    if isinstance(ours, int) and isinstance(theirs, int):
        return f"{ours & ~theirs:#x}" if ours & ~theirs else ""
    return " ".join(sorted(_words(source) - _words(target)))


def _plain(value: str) -> int | str:
    text = value.strip()
    if not _NUMBER.match(text):
        return text
    return int(text, 16) if text[:2] in ("0x", "0X") else int(text)


def _words(value: str) -> set[str]:
    return set(filter(None, _BREAKS.split(value.strip())))
