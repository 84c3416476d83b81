"""Baselines: named best-known configurations, one per class of what hosts offer, as operators mean them. Pure.

A baseline is an intent (``mdevreg.intents``): it changes no verdict. Who deviates from it is computed
(``mdevreg.deviations``). It changes by a new version under the same name; older ones are kept and can be asked for:
``NAME@2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.outcomes import Remark, refuse_unreadable
from mdevreg.rules import FLEET, Scope
from mdevreg.shapes import Line, Name, Seq, Strict, Time, Token
from mdevreg.times import utc
from mdevreg.wanted import WantedBuild

#: Most classes of one baseline, and most match fields of a class.
MAX_CLASSES = 256
MAX_FIELDS = 64
#: Most hosts of one page of a check.
MAX_PAGE = 1_000
_KEYS = ("vendor", "device", "type")
_VALUES = ("driver", "kernel_release", "saves", "loads", "fields")
_VERSIONED = re.compile(r"([A-Za-z0-9_-]{1,64})(?:@([1-9][0-9]{0,8}))?\Z", re.ASCII)

#: How a host stands to a baseline. *unknown*: its facts are not to be relied on, or do not tell.
Standing = Literal["deviates", "unknown", "conforms"]


class BaselineClass(Strict, frozen=True):
    """What is expected of one class: of the types that match ``type``, on parents of these PCI ids (``0x10de``).

    ``type``: a pattern as in fnmatch. ``saves``, ``loads``: as answers tell them, with the format: ``mtty [1, 2]``.
    ``kernel_release``: of the host. ``fields``: values of match fields. What is left out is not looked at.
    """

    type: Line | None = None
    vendor: Line | None = None
    device: Line | None = None
    driver: WantedBuild | None = None
    kernel_release: Line | None = None
    saves: Line | None = None
    loads: Line | None = None
    fields: Annotated[dict[Name, Line], Meta(max_length=MAX_FIELDS)] = {}

    @property
    def key(self) -> str:
        """The class in words."""
        ids = f"{self.vendor or '*'}:{self.device or '*'}" if self.vendor or self.device else ""
        return " ".join(word for word in (ids, self.type) if word)

    @property
    def expected(self) -> dict[str, str]:
        """What is expected, by what it is about, in words."""
        found = {name: str(value) for name in _VALUES[:-1] if (value := getattr(self, name)) is not None}
        return found | {f"fields.{name}": value for name, value in self.fields.items()}


class Baseline(Strict, frozen=True):
    """One version of a baseline as it is in the log. Valid from ``at`` until the next version, or until ``ended``."""

    name: Token
    version: Seq
    at: Time
    author: Line
    classes: Annotated[tuple[BaselineClass, ...], Meta(min_length=1, max_length=MAX_CLASSES)]
    message: Remark = ""
    ended: Time | None = None
    ended_by: Line | None = None
    reason: Remark = ""

    def __str__(self) -> str:
        return f"baseline {self.name}@{self.version}"


class BaselineChange(Strict, frozen=True, tag_field="kind", tag="baseline"):
    """A version of a baseline as it is from now on."""

    baseline: Baseline


class BaselineDraft(Strict, frozen=True):
    """A baseline, or its next version, that is to be kept."""

    name: Token
    classes: Annotated[tuple[BaselineClass, ...], Meta(max_length=MAX_CLASSES)]
    author: Line = ""
    message: Remark = ""


class BaselineList(msgspec.Struct, frozen=True):
    """The version of every baseline that was valid and known, ended ones included, by when the first was written."""

    position: int
    baselines: tuple[Baseline, ...]
    snapshot: str = ""


class BaselineView(msgspec.Struct, frozen=True):
    """A baseline, and which ``versions`` of it there are."""

    position: int
    baseline: Baseline
    versions: tuple[int, ...]
    snapshot: str = ""


class Configuration(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a type looks like on so many hosts: as a class of a baseline would say it."""

    type: str
    hosts: int
    driver: WantedBuild | None = None
    kernel_release: str | None = None
    saves: str | None = None
    loads: str | None = None
    fields: dict[str, str] = {}

    @property
    def as_class(self) -> BaselineClass:
        """The class that expects just this."""
        said = {name: getattr(self, name) for name in ("type", *_VALUES)}
        return BaselineClass(**said)


class Configurations(msgspec.Struct, frozen=True):
    """All of some hosts, by type, then most hosts first. PCI ids are not looked at."""

    position: int
    configurations: tuple[Configuration, ...]
    snapshot: str = ""


class Deviation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a host deviates, and in what. ``found``: ``None``: not known. ``since``: when it was first so."""

    parent: str
    type: str
    what: str
    expected: str
    found: str | None = None
    since: datetime | None = None


class CheckedHost(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host that does not conform. ``doubts``: codes of what speaks against its facts."""

    host: str
    hostname: str
    standing: Standing
    site: str | None = None
    doubts: tuple[str, ...] = ()
    deviations: tuple[Deviation, ...] = ()


class CheckAsked(msgspec.Struct, frozen=True):
    """Which check: of a baseline (``NAME`` or ``NAME@VERSION``) on the hosts in a scope. Pages as everywhere."""

    name: str
    where: Scope = FLEET
    limit: int = 100
    cursor: str | None = None
    stale_after_s: float = 90.0
    as_of: datetime | None = None
    known_at: int | datetime | None = None


class BaselineCheck(msgspec.Struct, frozen=True):
    """Who deviates: counts of hosts, and a page of those that don't conform, the deviating ones first, by hostname.

    ``hosts``: that have something of a class, or never told what they have. ``uncovered``: the others in the scope.
    """

    position: int
    baseline: Baseline
    hosts: int
    conforms: int
    deviates: int
    unknown: int
    uncovered: int
    rows: tuple[CheckedHost, ...] = ()
    next: str | None = None
    snapshot: str = ""


class ClassDifference(msgspec.Struct, frozen=True):
    """In what two baselines differ, for one class; ``None``: nothing is expected there."""

    key: str
    what: str
    before: str | None
    after: str | None


def check(draft: BaselineDraft) -> BaselineDraft:
    """The draft, if it can be meant. Raises ``UsageError``."""
    refuse_unreadable(draft, "a baseline")
    if not draft.author.strip():
        raise UsageError("the author is blank; say who decides: it is kept with the baseline")
    if not draft.classes:
        raise UsageError("the baseline has no class; at least one was expected")
    for number, each in enumerate(draft.classes):
        if not each.key:
            raise UsageError(f"class {number + 1} says not what it is of; expected one of: {', '.join(_KEYS)}")
        if not each.expected:
            raise UsageError(f"class {each.key} expects nothing; expected one of: {', '.join(_VALUES)}")
    twice = _twice([each.key for each in draft.classes])
    if twice is not None:
        raise UsageError(f"class {twice} is there twice; each is described once")
    return draft


def next_version(draft: BaselineDraft, known: Sequence[Baseline], now: datetime) -> BaselineChange | None:
    """The version that a draft makes; ``None``: the newest one says just that, and stands."""
    last = known[-1] if known else None
    same = last is not None and last.ended is None and (last.classes, last.message) == (draft.classes, draft.message)
    if same:
        return None
    version = 1 if last is None else last.version + 1
    said = structs.asdict(draft)
    return BaselineChange(baseline=Baseline(version=version, at=now, **said))


def ended(baseline: Baseline, *, author: str, reason: str, now: datetime) -> BaselineChange:
    """The newest version, ended now. Raises ``UsageError`` if it has ended."""
    if baseline.ended is not None:
        raise UsageError(f"{baseline} ended at {utc(baseline.ended)} already", code="BASELINE_ENDED")
    return BaselineChange(baseline=structs.replace(baseline, ended=now, ended_by=author, reason=reason))


def name_in(words: str) -> tuple[str, int | None]:
    """``NAME`` or ``NAME@VERSION``. Raises ``UsageError``."""
    found = _VERSIONED.match(words)
    if found is None:
        raise UsageError(f"{words[:80]!r} names no baseline; expected NAME, or NAME@VERSION for an older one")
    return found[1], None if found[2] is None else int(found[2])


def versions_at(known: Sequence[Baseline], as_of: datetime | None) -> dict[int, Baseline]:
    """Each version as it stood at a time, of what was written, in log order; ``None`` = now."""
    return {
        each.version: each
        for each in known
        if as_of is None or (each.at <= as_of and (each.ended is None or each.ended <= as_of))
    }


def chosen(words: str, known: Sequence[Baseline], as_of: datetime | None) -> BaselineView:
    """The version that is asked for, else the newest of the time; without a position. Raises ``NotFoundError``.

    A version that is asked for is told whenever it was valid: the past may be held against what was written later.
    """
    name, version = name_in(words)
    there = versions_at(known, None if version is not None else as_of)
    wanted = max(there, default=None) if version is None else version
    if wanted is None or wanted not in there:
        every = sorted(versions_at(known, None), reverse=True)
        raise NotFoundError("baseline", words, tuple(f"{name}@{each}" for each in every[:3]))
    return BaselineView(0, there[wanted], tuple(sorted(there)))


def differences(before: Baseline, after: Baseline) -> Iterator[ClassDifference]:
    """In what two differ, class by class."""
    old, new = ({each.key: each.expected for each in baseline.classes} for baseline in (before, after))
    for key in dict.fromkeys([*old, *new]):
        one, other = old.get(key, {}), new.get(key, {})
        for what in dict.fromkeys([*one, *other]):
            if one.get(what) != other.get(what):
                yield ClassDifference(key, what, one.get(what), other.get(what))


def _twice(keys: list[str]) -> str | None:
    return next((key for number, key in enumerate(keys) if key in keys[:number]), None)
