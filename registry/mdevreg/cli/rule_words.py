"""Rules in words and rows. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from mdevreg.cli.view import Cell, Line, Sheet, View
from mdevreg.rules import Rule
from mdevreg.times import utc

RULE_COLUMNS = ("id", "state", "effect", "scope", "about", "since", "until", "author", "message")


def rule_view(rule: Rule, now: datetime, done: str) -> View:
    """One rule. ``done``: what was done to it, as the first word."""
    about = about_of(rule)
    lines = [
        f"{done}{rule}",
        f"scope: {rule.scope}",
        *([f"about: {about}"] if about else []),
        f"{rule.state(now)}: from {utc(rule.valid_from)} "
        + ("until it is ended" if rule.valid_until is None else f"to {utc(rule.valid_until)}"),
    ]
    document: dict[str, Any] = {"rule": msgspec.to_builtins(rule), "scope": rule.scope, "state": rule.state(now)}
    return View(document, Sheet(RULE_COLUMNS, [rule_row(rule, now)]), head=tuple(map(Line, lines)))


def rule_row(rule: Rule, now: datetime) -> tuple[Cell, ...]:
    """The cells of ``RULE_COLUMNS``."""
    return (
        rule.id,
        rule.state(now),
        rule.effect,
        rule.scope,
        about_of(rule),
        rule.valid_from,
        rule.valid_until,
        rule.author,
        rule.message,
    )


def about_of(rule: Rule) -> str | None:
    """The versions or fields that it is about: ``mtty [1.0]``, ``fields psid, firmware_version``."""
    narrowed = rule.narrowed_to()
    said = [rule.format] if rule.format else []
    said += [str(narrowed)] if narrowed is not None else []
    said += [f"fields {', '.join(rule.fields)}"] if rule.fields else []
    return " ".join(said) or None
