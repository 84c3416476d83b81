"""Operators' rules: deny, allow, pin, match; each with scope, author, message and validity (design section 5). Pure.

===== ==================================================================== ==============================
rule  what it does                                                          applies where
===== ==================================================================== ==============================
deny  no, whatever else speaks for it: a known-bad stream, build or pair    either side is in its scope
allow yes, whatever speaks against it but a deny; always told               both sides are in its scope
pin   the versions of a format are narrowed to a set                        for each side in its scope
match content that only the device judges is trusted where fields agree     both sides are in its scope
===== ==================================================================== ==============================

``source`` and ``target`` bind one side each, beside ``where``, which is for both. An empty scope is the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mdevreg.errors import UsageError
from mdevreg.shapes import Line, Name, Strict, Time
from mdevreg.statements import MAX_LISTED, Versions
from mdevreg.streams import StreamSet, read_set
from mdevreg.texts import forbidden_in, path_of, texts_of
from mdevreg.versions import Scheme

Effect = Literal["deny", "allow", "pin", "match"]

_Patterns = Annotated[tuple[Line, ...], Meta(max_length=MAX_LISTED)]


class Scope(Strict, frozen=True):
    """Which sides a rule is about: every key that is given must fit, by one of its patterns (as in fnmatch).

    ``host``: id or hostname. ``type``, ``device_api``, ``parent``: the device's. The rest: its driver build.
    """

    host: _Patterns = ()
    site: _Patterns = ()
    type: _Patterns = ()
    device_api: _Patterns = ()
    parent: _Patterns = ()
    device: _Patterns = ()
    driver: _Patterns = ()
    kernel_release: _Patterns = ()
    version: _Patterns = ()
    srcversion: _Patterns = ()
    build_id: _Patterns = ()

    def __str__(self) -> str:
        said = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return " ".join(f"{name}={'|'.join(patterns)}" for name, patterns in said if patterns)


FLEET = Scope()


def scope_in(words: str) -> Scope:
    """The scope that ``str`` made words of: ``KEY=PATTERN|PATTERN …``. Raises ``UsageError``."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words.split():
        key, equals, patterns = word.partition("=")
        if key not in Scope.__struct_fields__ or not equals or not patterns or key in found:
            keys = ", ".join(Scope.__struct_fields__)
            raise UsageError(f"{word[:80]!r} is no part of a scope; expected KEY=PATTERN|PATTERN, each KEY of: {keys}")
        found[key] = tuple(patterns.split("|"))
    return Scope(**found)


def words_of(scope: Scope) -> str:
    """A scope in words. Raises ``UsageError`` for patterns that no words have: with spaces or ``|``."""
    if scope_in(str(scope)) != scope:
        raise UsageError(f"a pattern of {scope} has a space or a '|', which can't be asked over a network")
    return str(scope)


class Rule(Strict, frozen=True):
    """One rule as it is in the log. ``versions``: what a deny is about, or a pin narrows to; in ``scheme``.

    Valid in ``[valid_from, valid_until)``; ``None``: until it is ended. ``fields``: what a match rule compares.
    """

    id: Name
    effect: Effect
    author: Line
    message: Annotated[str, Meta(min_length=1, max_length=1_000)]
    valid_from: Time
    valid_until: Time | None = None
    where: Scope = FLEET
    source: Scope = FLEET
    target: Scope = FLEET
    format: Name | None = None
    scheme: Scheme = "integer"
    versions: Versions | None = None
    fields: Annotated[tuple[Name, ...], Meta(max_length=MAX_LISTED)] = ()

    def in_force(self, at: datetime) -> bool:
        """Whether it holds at a time."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)

    def over(self, at: datetime) -> bool:
        """Whether it has ended by a time, and so will never hold again."""
        return self.valid_until is not None and self.valid_until <= at

    def narrowed_to(self) -> StreamSet | None:
        """Its versions, understood; ``None``: it names none. Raises ``VersionError``."""
        return None if self.versions is None else read_set(self.versions, self.scheme)

    def state(self, at: datetime) -> Literal["to come", "in force", "ended"]:
        """How it stands at a time, in words."""
        if self.in_force(at):
            return "in force"
        coming = self.valid_from > at and self.valid_until != self.valid_from  # ended before it began: it never will
        return "to come" if coming else "ended"

    @property
    def scope(self) -> str:
        """Its scope in words."""
        named = (("", self.where), ("source ", self.source), ("target ", self.target))
        return ", ".join(f"{name}{scope}" for name, scope in named if str(scope)) or "fleet"

    def __str__(self) -> str:
        return f"{self.effect} rule {self.id} by {self.author} ({self.scope}): {self.message}"


def check(rule: Rule) -> Rule:
    """The rule, if it can be meant. Raises ``UsageError`` or ``VersionError``."""
    rule.narrowed_to()
    for place, text in texts_of(msgspec.to_builtins(rule)):
        if forbidden_in(text):
            raise UsageError(f"a rule is printable text: {text[:40]!r} (at {path_of(place)}) holds a control character")
    if rule.valid_until is not None and rule.valid_until <= rule.valid_from:
        raise UsageError(
            f"the rule would end at {rule.valid_until}, which is not after its beginning {rule.valid_from}"
        )
    if not rule.message.strip():
        raise UsageError("the message is blank; say why: it is told in every answer that the rule touches")
    if rule.versions is not None and rule.effect not in ("deny", "pin"):
        raise UsageError(f"versions are for deny and pin; a rule of kind {rule.effect} has none")
    if rule.versions is not None and rule.format is None:
        raise UsageError("versions need a format: the namespace in which they compare")
    if rule.effect == "pin" and rule.versions is None:
        raise UsageError("a pin needs the versions that it narrows to")
    if (rule.effect == "match") != bool(rule.fields):
        raise UsageError("fields are what a match rule compares; it needs at least one, other rules have none")
    return rule


def in_force(rules: Iterable[Rule], at: datetime) -> tuple[Rule, ...]:
    """Those that hold at a time."""
    return tuple(rule for rule in rules if rule.in_force(at))
