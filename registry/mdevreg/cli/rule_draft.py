"""A rule as people type it, before the registry gives it an id. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from mdevreg.cli.schemes import read_alike
from mdevreg.errors import UsageError
from mdevreg.nearest import nearest
from mdevreg.rules import Rule, Scope, check
from mdevreg.statements import Versions, VersionSet
from mdevreg.versions import Scheme

#: The id of a rule that has none yet.
DRAFT = "draft"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def draft_of(**stated: Any) -> Rule:
    """The rule, if it can be meant; fields as those of ``Rule``. Raises ``UsageError`` or ``VersionError``."""
    for name in ("author", "message"):
        if _CONTROL.search(stated[name]):
            raise UsageError(f"the {name} has a control character; one line of text was expected")
    rule = Rule(id=DRAFT, **stated)
    try:
        msgspec.convert(msgspec.to_builtins(rule), Rule)
    except msgspec.ValidationError as error:
        raise UsageError(f"no rule: {error}") from error
    return check(rule)


def scope_of(stated: Sequence[str], option: str) -> Scope:
    """``KEY=PATTERN`` each; several of one key: one of them must fit. Raises ``UsageError``."""
    found: dict[str, tuple[str, ...]] = {}
    for text in stated:
        key, equals, pattern = text.partition("=")
        if key not in Scope.__struct_fields__:
            near = ", ".join(nearest(key, Scope.__struct_fields__)) or ", ".join(Scope.__struct_fields__)
            raise UsageError(f"{option} {text!r}: {key!r} is no key of a scope; the nearest: {near}")
        if not equals or not pattern or _CONTROL.search(pattern):
            raise UsageError(f"{option} {text!r}: expected {key}=PATTERN, like {key}=abc or {key}='abc*'")
        found[key] = (*found.get(key, ()), pattern)
    return Scope(**found)


def versions_of(
    listed: Sequence[str], span: str | None, scheme: Scheme | None
) -> tuple[Versions | None, Scheme | None]:
    """The versions of a deny or pin, and their scheme: a list, or ``MIN..MAX``. Raises ``UsageError``."""
    if not listed and span is None:
        if scheme is not None:
            raise UsageError("--scheme tells how to read versions; it goes with --stream-version or --range")
        return None, None
    if span is None:
        found = read_alike(listed, scheme)[0].scheme
        return (listed[0] if len(listed) == 1 else tuple(listed)), found
    low, dots, high = span.partition("..")
    if listed or not dots:
        wrong = "either --stream-version or --range was expected, found both" if listed else f"--range {span!r}"
        raise UsageError(f"{wrong}; a range is written MIN..MAX, like 2..5")
    return VersionSet(range=(low, high)), read_alike((low, high), scheme)[0].scheme
