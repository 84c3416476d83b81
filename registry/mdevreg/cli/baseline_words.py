"""Baselines in words and rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from mdevreg.baselines import Baseline, BaselineCheck, CheckedHost
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import counted, where_read
from mdevreg.facts import Moment
from mdevreg.moments import clock_of
from mdevreg.times import utc
from mdevreg.verdict import Outcome

COLUMNS = ("name", "version", "state", "classes", "since", "ended", "author", "message")
#: So many classes are named where a baseline is written.
NAMED = 10
CLASS_COLUMNS = ("class", "what", "expected")
CHECK_COLUMNS = (
    "hostname",
    "standing",
    "parent",
    "type",
    "what",
    "expected",
    "found",
    "since",
    "doubts",
    "site",
    "host",
)
#: What a table has room for: types that differ alike are one row.
CHECK_SHOWN = ("hostname", "parent", "type", "what", "expected", "found", "since")


def baseline_view(baseline: Baseline, done: str) -> View:
    """One baseline. ``done``: what was done to it, as the first word."""
    lines = list(about(baseline))
    head = (Line(f"{done}{lines[0]}"), *map(Line, lines[1:]))
    document: dict[str, Any] = {"baseline": msgspec.to_builtins(baseline)}
    keys = [each.key for each in baseline.classes]
    said = ", ".join(keys[:NAMED]) + (f", and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
    return View(document, Sheet(COLUMNS, [baseline_row(baseline)]), head=(*head, Line(f"classes: {said}")))


def about(baseline: Baseline) -> Iterator[str]:
    """A version in a few lines."""
    classes = "1 class" if len(baseline.classes) == 1 else f"{len(baseline.classes)} classes"
    yield f"{baseline} by {baseline.author}, since {utc(baseline.at)}: {classes}"
    if baseline.message:
        yield f"why: {baseline.message}"
    if baseline.ended is not None:
        yield f"ended: {utc(baseline.ended)} by {baseline.ended_by}" + (
            f": {baseline.reason}" if baseline.reason else ""
        )


def baseline_row(baseline: Baseline) -> tuple[Cell, ...]:
    """The cells of ``COLUMNS``."""
    return (
        baseline.name,
        baseline.version,
        "standing" if baseline.ended is None else "ended",
        len(baseline.classes),
        baseline.at,
        baseline.ended,
        baseline.author,
        baseline.message,
    )


def class_sheet(baseline: Baseline) -> Sheet:
    """What is expected, a row each."""
    rows = [(each.key, what, expected) for each in baseline.classes for what, expected in each.expected.items()]
    return Sheet(CLASS_COLUMNS, rows)


def check_view(found: BaselineCheck, moment: Moment, now: datetime) -> View:
    """Who deviates."""
    code = exit_code(found)
    says = {0: Outcome.COMPATIBLE, 1: Outcome.INCOMPATIBLE}.get(code, Outcome.UNKNOWN)
    name = f"{found.baseline.name}@{found.baseline.version}"
    said = [
        f"{count} {word}" for word, count in (("unknown", found.unknown), ("not concerned", found.uncovered)) if count
    ]
    first = f"{name}: {found.deviates} of {counted(found.hosts, 'host')} deviate"
    sheet = Sheet(CHECK_COLUMNS, [row for host in found.rows for row in _rows(host)])
    ended = "" if found.baseline.ended is None else f"; this baseline ended at {utc(found.baseline.ended)}"
    more = () if found.next is None else (Line(f"the first {len(found.rows)} hosts; there are more: raise --limit"),)
    return View(
        document_of(found, answered_at=clock_of(moment, now), as_of=moment.as_of),
        sheet,
        head=(Line("; ".join([first, *said]) + ended, says),),
        table=Sheet(CHECK_SHOWN, [row for host in found.rows for row in _shown(host)]),
        foot=(*more, where_read(found.position, moment.as_of, found.snapshot)),
        exit_code=code,
    )


def exit_code(found: BaselineCheck) -> int:
    """0 nobody deviates; 1 somebody does; 3 that can't be said."""
    if found.deviates:
        return 1
    return 3 if found.unknown or not found.hosts else 0


def _rows(host: CheckedHost) -> Iterator[tuple[Cell, ...]]:
    """A row for each deviation; one for a host that is only not to be relied on."""
    doubts = " ".join(host.doubts) or None
    mine = (doubts, host.site, host.host)
    if not host.deviations:
        yield (host.hostname, host.standing, *(None,) * 6, *mine)
    for each in host.deviations:
        told = (each.parent, each.type, each.what, each.expected, each.found, each.since)
        yield (host.hostname, host.standing, *told, *mine)


def _shown(host: CheckedHost) -> Iterator[tuple[Cell, ...]]:
    """What is not to be relied on is told, and not what was last seen there."""
    if host.doubts or not host.deviations:
        yield (host.hostname, None, None, f"unknown: {' '.join(host.doubts)}", None, None, None)
        return
    alike: dict[tuple[Cell, ...], list[str]] = {}
    for each in host.deviations:
        alike.setdefault((each.parent, each.what, each.expected, each.found, each.since), []).append(each.type)
    for (parent, what, *rest), types in alike.items():
        more = f" +{len(types) - 1}" if len(types) > 1 else ""
        yield (host.hostname, parent, f"{types[0]}{more}", what, *rest)
