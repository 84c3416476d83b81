"""Stream support: which stream versions a driver build saves and loads, and how the two meet.

Drivers' load sides are of several kinds (section 2 of the facts; design section 5): an exact version, a range, an
upper bound without a lower one, a set, known tags, or bytes that only the device understands. A driver that states
no minimum loads its own version only (Alex Williamson's sketch of 2018).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from mdevreg.errors import VersionError
from mdevreg.statements import Versions, VersionSet
from mdevreg.versions import UNORDERED, Scheme, StreamVersion, compare


def _tag(name: str) -> str:
    """``OneOf`` is ``one_of`` on the wire."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class _Kind(msgspec.Struct, frozen=True, tag_field="kind", tag=_tag):
    """Base of the kinds of stream sets."""


class Exact(_Kind, frozen=True):
    """This version and no other."""

    version: StreamVersion

    def __str__(self) -> str:
        return f"[{self.version}]"


class Range(_Kind, frozen=True):
    """Every version in ``[minimum, maximum]``, both included."""

    minimum: StreamVersion
    maximum: StreamVersion

    def __str__(self) -> str:
        return f"[{self.minimum}, {self.maximum}]"


class UpTo(_Kind, frozen=True):
    """Every version up to ``maximum``, that one included; there is no lower bound."""

    maximum: StreamVersion

    def __str__(self) -> str:
        return f"[…, {self.maximum}]"


class OneOf(_Kind, frozen=True):
    """One of these versions."""

    versions: tuple[StreamVersion, ...]

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.versions)) + "}"


class Tags(_Kind, frozen=True):
    """A stream of tagged records, without a version. Loads: the tags that are known.

    Saves: ``required`` ones must be known to the target; it skips ``optional`` ones that it does not know.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "tags " + ", ".join([*self.required, *(f"{tag} (optional)" for tag in self.optional)])


class Opaque(_Kind, frozen=True):
    """Bytes that tell nothing about themselves."""

    def __str__(self) -> str:
        return "opaque"


StreamSet = Exact | Range | UpTo | OneOf | Tags | Opaque


def read_set(stated: Versions, scheme: Scheme) -> StreamSet:
    """What a statement says, understood. Raises ``VersionError``."""
    if isinstance(stated, str):
        return Exact(StreamVersion.parse(stated, scheme))
    if isinstance(stated, tuple):
        return _one_of(stated, scheme)
    return _read_table(stated, scheme)


def _read_table(stated: VersionSet, scheme: Scheme) -> StreamSet:
    said = [name for name in ("exact", "range", "up_to", "one_of", "tags", "opaque") if getattr(stated, name)]
    if len(said) != 1 or (stated.optional and said != ["tags"]):
        found = ", ".join(said) or "none"
        raise VersionError(f"one of exact, range, up_to, one_of, tags, opaque was expected, found {found}")
    if scheme in UNORDERED and said[0] in ("range", "up_to"):
        raise VersionError(f"{scheme} versions have no order, so that {said[0]} means nothing; use one_of")
    match said[0]:
        case "exact":
            return Exact(StreamVersion.parse(stated.exact or "", scheme))
        case "range":
            return _range(*(stated.range or ("", "")), scheme)
        case "up_to":
            return UpTo(StreamVersion.parse(stated.up_to or "", scheme))
        case "one_of":
            return _one_of(stated.one_of, scheme)
        case "tags":
            return Tags(_tags(stated.tags), _tags(stated.optional))
    return Opaque()


def _tags(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(StreamVersion.parse(name, "tag").raw for name in names)


def _one_of(texts: Iterable[str], scheme: Scheme) -> StreamSet:
    versions = tuple(StreamVersion.parse(text, scheme) for text in texts)
    if not versions:
        raise VersionError("a list of versions is empty; at least one was expected")
    return OneOf(versions)


def _range(minimum: str, maximum: str, scheme: Scheme) -> Range:
    low, high = StreamVersion.parse(minimum, scheme), StreamVersion.parse(maximum, scheme)
    if compare(low, high) not in ("<", "="):
        raise VersionError(f"the minimum {low} is above the maximum {high}, or does not compare with it")
    return Range(low, high)


#: How a saved stream stands to what a target loads.
Fit = Literal[
    "loads", "too_old", "too_new", "not_equal", "not_listed", "schemes_differ", "unordered", "tag_unknown", "opaque"
]


class Meeting(msgspec.Struct, frozen=True):
    """What became of ``saves ∩ loads``: ``negotiated`` is the highest common version where there is one."""

    fit: Fit
    negotiated: StreamVersion | None = None
    unknown_tags: tuple[str, ...] = ()


def meet(saves: StreamSet, loads: StreamSet, within: Iterable[StreamSet] = ()) -> Meeting:
    """Would what is saved be loaded? ``within``: further sets that the version must be in (pins)."""
    if isinstance(saves, Opaque) or isinstance(loads, Opaque):
        return Meeting("opaque")
    if isinstance(saves, Tags) or isinstance(loads, Tags):
        return _meet_tags(saves, loads)
    common = _highest((saves, loads, *within))
    return Meeting("loads", common) if common is not None else Meeting(_misfit(saves, loads))


def _meet_tags(saves: StreamSet, loads: StreamSet) -> Meeting:
    if not (isinstance(saves, Tags) and isinstance(loads, Tags)):
        return Meeting("schemes_differ")
    missing = tuple(sorted(set(saves.required) - set(loads.required) - set(loads.optional)))
    return Meeting("tag_unknown", unknown_tags=missing) if missing else Meeting("loads")


def members(versions: StreamSet) -> tuple[StreamVersion, ...] | None:
    """The versions of a finite set; ``None`` for bounds, tags and opaque bytes."""
    match versions:
        case Exact():
            return (versions.version,)
        case OneOf():
            return versions.versions
    return None


def identity(versions: StreamSet) -> tuple[object, ...]:
    """Equal for two sets that hold the same versions, written alike or not (``1.0`` and ``1.0.0``)."""
    match versions:
        case Tags():
            return ("tags", frozenset(versions.required), frozenset(versions.optional))
        case Opaque():
            return ("opaque",)
        case Range() if versions.minimum.key != versions.maximum.key:
            return ("range", versions.minimum.sort_key, versions.maximum.sort_key)
        case Range():
            return ("listed", frozenset({versions.minimum.sort_key}))
        case UpTo():
            return ("up_to", versions.maximum.sort_key)
    return ("listed", frozenset(version.sort_key for version in members(versions) or ()))


def contains(versions: StreamSet, version: StreamVersion) -> bool:
    """Whether a version is in a set. Nothing is in tags and opaque bytes."""
    match versions:
        case Exact() | OneOf():
            return any(compare(version, each) == "=" for each in members(versions) or ())
        case Range():
            above = compare(version, versions.minimum) in ("=", ">")
            return above and compare(version, versions.maximum) in ("<", "=")
        case UpTo():
            return compare(version, versions.maximum) in ("<", "=")
    return False


def _highest(sets: tuple[StreamSet, ...]) -> StreamVersion | None:
    """The highest version that is in all of them. Bounds alone meet at the lowest of their maxima."""
    finite = next((found for each in sets if (found := members(each)) is not None), None)
    tops = [each.maximum for each in sets if isinstance(each, Range | UpTo)]
    common = [each for each in (finite or tops) if all(contains(versions, each) for versions in sets)]
    return max(common, key=lambda version: version.key, default=None)


def ends(versions: StreamSet) -> tuple[StreamVersion | None, StreamVersion | None]:
    """Lowest and highest version; ``None``: there is no such bound, or there are no versions at all."""
    match versions:
        case Range():
            return versions.minimum, versions.maximum
        case UpTo():
            return None, versions.maximum
    found = members(versions) or ()
    return min(found, key=lambda v: v.key, default=None), max(found, key=lambda v: v.key, default=None)


def _misfit(saves: StreamSet, loads: StreamSet) -> Fit:
    """Why nothing is common. Where one saved version compares, that one tells."""
    bottom, top = ends(saves)
    low, high = ends(loads)
    least, most = bottom or top, high or low
    if least is None or most is None or least.scheme != most.scheme:
        return "schemes_differ"
    if least.scheme == "opaque" or (least.family != most.family and least.scheme != "tag"):
        return "unordered"
    if isinstance(loads, Exact):
        return "not_equal"
    if isinstance(loads, OneOf):
        return "not_listed"
    if compare(least, most) == ">":
        return "too_new"
    if low is not None and top is not None and compare(top, low) == "<":
        return "too_old"
    return "not_listed"
