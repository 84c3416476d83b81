"""Which rules are about which sides. Pure; what the scopes mean: ``mdevreg.rules``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Literal

from mdevreg.errors import UsageError
from mdevreg.facts import Side
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Rule, Scope


def concerning(rules: Iterable[Rule], source: Side, target: Side) -> Iterator[Rule]:
    """The rules about this pair, pins aside."""
    for rule in rules:
        where = (covers(rule.where, source), covers(rule.where, target))
        within = any(where) if rule.effect == "deny" else all(where)
        if rule.effect != "pin" and within and covers(rule.source, source) and covers(rule.target, target):
            yield rule


def pins_on(rules: Iterable[Rule], side: Side, role: Literal["source", "target"], form: str) -> Iterator[Rule]:
    """The pins that narrow one side's versions of a format."""
    other: Literal["source", "target"] = "target" if role == "source" else "source"
    for rule in rules:
        if rule.effect != "pin" or rule.format not in (None, form) or not covers(rule.where, side):
            continue
        own, others = getattr(rule, role), getattr(rule, other)
        if covers(own, side) and (own != FLEET or others == FLEET):
            yield rule


def covers(scope: Scope, side: Side) -> bool:
    """Whether a side is in a scope. What is not known of it is in none that asks for it."""
    if scope == FLEET:
        return True
    return all(_fits(getattr(scope, name), _values(side, name)) for name in scope.__struct_fields__)


def fits(scope: Scope, told: Mapping[str, Collection[str | None]]) -> bool:
    """The same of anything, by what is told of it key by key; of several values one must fit."""
    return all(_fits(getattr(scope, name), tuple(told.get(name, ()))) for name in scope.__struct_fields__)


def told_of(*builds: DriverBuild) -> dict[str, tuple[str | None, ...]]:
    """What driver builds tell, by the keys of a scope."""
    told = {name: tuple(getattr(build, name) for build in builds) for name in _BUILD_KEYS}
    return told | {"driver": tuple(name for build in builds for name in (build.name, build.module))}


def refuse_other_keys(scope: Scope, known: Collection[str], what: str) -> None:
    """Raises ``UsageError`` for a scope that asks for what is not told of ``what``."""
    for name in scope.__struct_fields__:
        if getattr(scope, name) and name not in known:
            raise UsageError(f"{name!r} is no key of {what}; there are: {', '.join(known)}")


_BUILD_KEYS = ("kernel_release", "version", "srcversion", "build_id")


def _fits(patterns: tuple[str, ...], values: tuple[str | None, ...]) -> bool:
    return not patterns or any(
        value is not None and fnmatchcase(value, pattern) for value in values for pattern in patterns
    )


def _values(side: Side, name: str) -> tuple[str | None, ...]:
    build = side.profile.driver
    match name:
        case "host":
            return (side.evidence.host, side.evidence.hostname)
        case "site":
            return (side.evidence.site,)
        case "parent" | "device":
            return (getattr(side, name),)
        case "type" | "device_api":
            return (getattr(side.profile, name),)
        case "driver":
            return (build.name, build.module) if build else ()
    return (getattr(build, name),) if build else ()
