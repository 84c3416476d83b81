"""Catalog entries: what is known of a driver's builds that say nothing themselves, and which build each is of. Pure.

An entry is keyed on the driver build: module, kernel release with its distribution suffix, srcversion, build-id.
Never on major.minor alone: fixes are backported, so that 6.12.0 and 6.12.117 differ. A build that no entry names
stays unknown. The same entries are shipped, read from operators' files, and kept in the log (ADR 6).
"""

from __future__ import annotations

import re
from datetime import date
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from msgspec import Meta, field

from mdevreg.records import DriverBuild
from mdevreg.shapes import Line, Name, Strict, Text
from mdevreg.statements import MAX_LISTED, Statement

#: How an entry was learned. *source*: read in the driver's code. *derived*: concluded from code read, not run.
#: *doc*: a vendor's page. *measured*: seen on a machine. *unverified*: kept in view, and no evidence.
Confidence = Literal["source", "measured", "derived", "doc", "unverified"]
#: Where stream support is learned, the strongest first: the operator answers for what he states; then the driver's
#: own word, the vendor's library, a plug-in on the host, and what we ship.
Source = Literal["operator", "sysfs", "nvml", "exec", "catalog"]

_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})(.*)\Z", re.DOTALL)
MAX_BUILDS = 256


class BuildKey(Strict, frozen=True):
    """Which builds an entry is of; everything given must fit.

    ``from`` and ``before`` bound kernel releases of three numbers, ``before`` excluded; ``suffix`` is what must
    follow the numbers (a pattern as in fnmatch; none: a mainline release, and neither ``6.12.0-rc1`` nor
    ``6.12.0+``). ``kernel_release`` is the whole release, or a pattern that begins with its three numbers.
    """

    kernel_release: Line | None = None
    from_: Line | None = field(name="from", default=None)
    before: Line | None = None
    suffix: Line = ""
    version: Line | None = None
    srcversion: Line | None = None
    build_id: Line | None = None


class Entry(Statement, frozen=True, kw_only=True):
    """A statement about builds of a driver, with its source.

    ``drivers``: names of the module or driver. ``types``: patterns of types that it is about; none: all.
    ``values``: match fields by pattern of type. ``beside``: its match rules go with versions learned there.
    """

    id: Name
    drivers: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_LISTED)]
    builds: Annotated[tuple[BuildKey, ...], Meta(max_length=MAX_BUILDS)] = ()
    types: Annotated[tuple[Name, ...], Meta(max_length=MAX_LISTED)] = ()
    values: Annotated[dict[Name, dict[Name, Line]], Meta(max_length=MAX_LISTED)] = {}
    beside: Source | None = None
    source: Line
    date: date
    confidence: Confidence
    about: Text | None = None


def release_of(text: str) -> tuple[tuple[int, int, int], str] | None:
    """The three numbers of a kernel release, and what follows them; ``None`` if it does not begin with three."""
    found = _RELEASE.match(text)
    return ((int(found[1]), int(found[2]), int(found[3])), found[4]) if found else None


def specificity(entry: Entry, build: DriverBuild) -> int | None:
    """How exactly an entry names a build: 4 build-id, 3 srcversion, 2 a release, 1 a span, 0 any; ``None``: not."""
    if not {build.module, build.name} & set(entry.drivers):
        return None
    if not entry.builds:
        return 0
    return max((rank for key in entry.builds if (rank := _rank(key, build)) is not None), default=None)


def _rank(key: BuildKey, build: DriverBuild) -> int | None:
    exact = ((key.build_id, build.build_id), (key.srcversion, build.srcversion), (key.version, build.version))
    if any(wanted is not None and wanted != found for wanted, found in exact):
        return None
    if not _fits_release(key, build.kernel_release or ""):
        return None
    if key.build_id is not None:
        return 4
    if key.srcversion is not None:
        return 3
    return 2 if key.kernel_release is not None else 1


def _fits_release(key: BuildKey, release: str) -> bool:
    if key.kernel_release is not None and not _is_release(key.kernel_release, release):
        return False
    if key.from_ is None and key.before is None:
        return True
    found, low, high = release_of(release), release_of(key.from_ or "0.0.0"), release_of(key.before or "9999.0.0")
    if found is None or low is None or high is None or not fnmatchcase(found[1], key.suffix):
        return False
    return low[0] <= found[0] < high[0]


def _is_release(pattern: str, release: str) -> bool:
    """Its three numbers are meant as they stand: ``6.12.1*`` is no pattern of 6.12.117."""
    wanted, found = release_of(pattern), release_of(release)
    return wanted is not None and found is not None and wanted[0] == found[0] and fnmatchcase(found[1], wanted[1])


def about_type(entry: Entry, kind: str | None) -> bool:
    """Whether an entry speaks of a type."""
    return not entry.types or any(fnmatchcase(kind or "", pattern) for pattern in entry.types)


def values_of(entry: Entry, kind: str | None) -> dict[str, str]:
    """The values of match fields that an entry states for a type."""
    found = dict(entry.fields)
    for pattern, fields in entry.values.items():
        if fnmatchcase(kind or "", pattern):
            found |= fields
    return found


#: How exactly an entry names a build, and the entry.
Ranked = tuple[int, Entry]


class Catalog:
    """The entries that are believed at one moment. Built once, then only read."""

    def __init__(self, operator: tuple[Entry, ...] = (), shipped: tuple[Entry, ...] = ()) -> None:
        self.operator, self.shipped = operator, shipped
        self._operator, self._shipped = _by_driver(operator), _by_driver(shipped)

    def of(self, build: DriverBuild, kind: str | None) -> tuple[list[Ranked], list[Ranked]]:
        """The operator's and the shipped entries about a build and type, the most exact first."""
        return _ranked(self._operator, build, kind), _ranked(self._shipped, build, kind)

    def format_of(self, driver: str) -> str:
        """The stream format of a driver that states versions without naming their format; else its own name."""
        entries = (*self._operator.get(driver, ()), *self._shipped.get(driver, ()))
        formats = {entry.format for entry in entries if entry.format is not None}
        return formats.pop() if len(formats) == 1 else driver


def _by_driver(entries: tuple[Entry, ...]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        for driver in entry.drivers:
            found.setdefault(driver, []).append(entry)
    return found


def _ranked(entries: dict[str, list[Entry]], build: DriverBuild, kind: str | None) -> list[Ranked]:
    named = {entry.id: entry for name in (build.module, build.name) for entry in entries.get(name or "", ())}
    about = (entry for entry in named.values() if about_type(entry, kind))
    ranked = [(rank, entry) for entry in about if (rank := specificity(entry, build)) is not None]
    return sorted(ranked, key=lambda pair: -pair[0])
