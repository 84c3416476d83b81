"""Which rules are about which sides. Pure; what the scopes mean: ``mdevreg.rules``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Literal

from mdevreg.facts import Side
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
