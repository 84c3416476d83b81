"""What an upgrade is to bring: a driver build, what another host has, or stream versions as they are stated. Pure.

======================  =================================================================================
goal                    what becomes of a place (a type that a parent offers)
======================  =================================================================================
``driver NAME VERSION`` the profile that other hosts show under that build; else what the catalog says of it
``profile-from HOST``   the profile that the host shows for the same type
``stream …``            what it saves and loads is that; the rest stays
======================  =================================================================================
"""

from __future__ import annotations

import re

from mdevreg.errors import UsageError
from mdevreg.shapes import Line, Name, Path, Strict
from mdevreg.statements import Versions, VersionSet
from mdevreg.wanted import WantedBuild, wanted_in
from mdevreg.wanted import words_of as build_words

_STREAM = "saves=V,loads=V..V[,format=NAME], each of V, V|V, V..V or ..V"


class StreamGoal(Strict, frozen=True):
    """Stream versions that a new build is said to have; ``format``: only of streams of that one."""

    saves: Versions | None = None
    loads: Versions | None = None
    format: Name | None = None
    words: Line = ""

    def __str__(self) -> str:
        return f"stream {self.words}"


class ProfileGoal(Strict, frozen=True):
    """What a host has today."""

    host: Path

    def __str__(self) -> str:
        return f"what {self.host} has"


Goal = WantedBuild | ProfileGoal | StreamGoal


def goal_in(*, driver: str | None = None, profile_from: str | None = None, stream: str | None = None) -> Goal:
    """The goal in words, exactly one of three. Raises ``UsageError``."""
    stated = [words for words in (driver, profile_from, stream) if words is not None]
    if len(stated) != 1:
        text = "expected one goal of: a driver build, a host to take the profile from, a stream"
        raise UsageError(f"{text}; found {len(stated)}")
    if driver is not None:
        return wanted_in(driver)
    return ProfileGoal(host=profile_from) if profile_from is not None else stream_goal(stream or "")


def words_of(goal: Goal) -> dict[str, str]:
    """A goal in the words that ``goal_in`` takes. Raises ``UsageError`` for a build that no words have."""
    match goal:
        case WantedBuild():
            return {"driver": build_words(goal)}
        case ProfileGoal():
            return {"profile_from": goal.host}
    return {"stream": goal.words}


def stream_goal(words: str) -> StreamGoal:
    """``saves=8,loads=6..8``. Raises ``UsageError``."""
    found: dict[str, str] = {}
    for word in filter(None, re.split(r"[,\s]+", words)):
        key, equals, value = word.partition("=")
        if key not in ("saves", "loads", "format") or not equals or not value or key in found:
            raise UsageError(f"{word[:80]!r} is no part of a stream; expected {_STREAM}")
        found[key] = value
    if not found.keys() & {"saves", "loads"}:
        raise UsageError(f"{words[:80]!r} states no versions; expected {_STREAM}")
    saves, loads = (None if key not in found else _versions(found[key]) for key in ("saves", "loads"))
    said = ",".join(f"{key}={value}" for key, value in found.items())
    return StreamGoal(saves=saves, loads=loads, format=found.get("format"), words=said)


def _versions(text: str) -> Versions:
    low, dots, high = text.partition("..")
    listed = [part for part in text.split("|") if part]
    if dots:
        if not high or "|" in text:
            raise UsageError(f"{text[:80]!r} is no range of versions; expected V..V or ..V")
        return VersionSet(range=(low, high)) if low else VersionSet(up_to=high)
    if not listed:
        raise UsageError(f"{text[:80]!r} names no version; expected {_STREAM}")
    return listed[0] if len(listed) == 1 else tuple(listed)
