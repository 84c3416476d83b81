"""Stream versions and stream support: what a driver build saves, and what it loads.

A version keeps its raw text and orders by a key inside its *scheme*; versions of different schemes never
compare. A driver that states no minimum loads its own version only; with a minimum it loads the range
``[minimum, version]`` (design section 1; Alex Williamson's sketch of 2018).
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

#: Longest accepted version text, in characters.
MAX_VERSION_CHARS = 64
#: Most numbers in a dotted version.
MAX_DOTTED = 8

_INTEGER = re.compile(r"\d{1,20}\Z", re.ASCII)
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}\Z")
_DOTTED = re.compile(r"\d{1,10}(\.\d{1,10})+\Z", re.ASCII)


class StreamVersion(msgspec.Struct, frozen=True):
    """One stream version. ``key`` orders it among versions of the same ``scheme``."""

    scheme: Literal["integer", "dotted"]
    key: tuple[int, ...]
    raw: str

    @classmethod
    def parse(cls, text: str) -> StreamVersion | None:
        """Read a version as sysfs states it: ``7``, ``0x10`` or ``1.0``; ``None`` if it is none of these."""
        raw = text.strip()
        if len(raw) > MAX_VERSION_CHARS:
            return None
        if _INTEGER.match(raw):
            return cls("integer", (int(raw),), raw)
        if _HEX.match(raw):
            return cls("integer", (int(raw, 16),), raw)
        if _DOTTED.match(raw):
            return cls._dotted(raw)
        return None

    @classmethod
    def _dotted(cls, raw: str) -> StreamVersion | None:
        key = [int(part) for part in raw.split(".")]
        if len(key) > MAX_DOTTED:
            return None
        while len(key) > 1 and key[-1] == 0:  # 1.0 and 1.0.0 are one version
            key.pop()
        return cls("dotted", tuple(key), raw)

    def __str__(self) -> str:
        return self.raw


class Range(msgspec.Struct, frozen=True):
    """Every version in ``[minimum, maximum]``, both included."""

    minimum: StreamVersion
    maximum: StreamVersion

    def __str__(self) -> str:
        return f"[{self.minimum}, {self.maximum}]"


class Exact(msgspec.Struct, frozen=True):
    """This version and no other."""

    version: StreamVersion

    def __str__(self) -> str:
        return f"[{self.version}]"


class StreamSupport(msgspec.Struct, frozen=True):
    """What a driver build saves and loads, in one stream format, and where that was learned."""

    format: str
    saves: StreamVersion
    loads: Range | Exact
    learned_from: Literal["sysfs"]


Fit = Literal["loads", "too_old", "too_new", "not_equal", "schemes_differ"]


def fit(version: StreamVersion, loads: Range | Exact) -> Fit:
    """How a version stands to what a target loads."""
    top = loads.maximum if isinstance(loads, Range) else loads.version
    if version.scheme != top.scheme:
        return "schemes_differ"
    if isinstance(loads, Exact):
        return "loads" if version.key == top.key else "not_equal"
    if version.key > top.key:
        return "too_new"
    return "too_old" if version.key < loads.minimum.key else "loads"
