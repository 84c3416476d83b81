"""Campaigns in words and rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from mdevreg.campaigns import STATES, Campaign, CampaignHost, CampaignLine, CampaignStatus, Progress
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import counted, where_read
from mdevreg.facts import Moment
from mdevreg.moments import clock_of
from mdevreg.times import utc
from mdevreg.verdict import Outcome

LINE_COLUMNS = (
    "name",
    "state",
    "outlook",
    "hosts",
    *STATES[::-1],
    "new",
    "driver",
    "where",
    "begins",
    "deadline",
    "expected_end",
    "rate_per_day",
    "ended",
    "author",
    "message",
)
#: What a table has room for.
LINE_SHOWN = ("name", "state", "outlook", "upgraded", "hosts", "driver", "deadline", "expected_end", "author")
HOST_COLUMNS = ("hostname", "state", "since", "build", "was", "upgraded_at", "new", "site", "joined", "host")
HOST_SHOWN = HOST_COLUMNS[:7]
#: A rate that large needs no digits behind the point.
MANY = 100
_SAID = {"elsewhere": "elsewhere", "rolled_back": "rolled back", "offers_nothing": "offering nothing"}
_OUTLOOK = {
    "empty": "no host ever matched",
    "complete": "complete",
    "overdue": "overdue",
    "in_danger": "the deadline is in danger",
    "on_time": "on time",
    "unknown": "whether it will be met can't be said",
    "no_deadline": "no deadline",
}


def campaign_view(campaign: Campaign, now: datetime, done: str) -> View:
    """One campaign. ``done``: what was done to it, as the first word."""
    lines = [f"{done}{campaign}", *_about(campaign)]
    document: dict[str, Any] = {"campaign": msgspec.to_builtins(campaign), "state": campaign.state(now)}
    row = line_row(CampaignLine(campaign, campaign.state(now), Progress()))
    kept = [place for place, name in enumerate(LINE_COLUMNS) if name in _STORED]
    sheet = Sheet(tuple(LINE_COLUMNS[place] for place in kept), [tuple(row[place] for place in kept)])
    return View(document, sheet, head=tuple(map(Line, lines)))


_STORED = {"name", "state", "driver", "where", "begins", "deadline", "ended", "author", "message"}


def status_view(found: CampaignStatus, moment: Moment, now: datetime) -> View:
    """How a campaign stands."""
    progress, clock = found.progress, clock_of(moment, now)
    code = exit_code(found)
    says = {0: Outcome.COMPATIBLE, 1: Outcome.INCOMPATIBLE}.get(code, Outcome.UNKNOWN)
    first = f"{found.campaign.name}: {progress.upgraded} of {counted(progress.hosts, 'host')} upgraded{_rest(progress)}"
    told = [Line(first, says), *map(Line, [*_about(found.campaign), *_pace(found)])]
    sheet = Sheet(HOST_COLUMNS, [host_row(host) for host in found.hosts])
    more = () if found.next is None else (Line(f"the first {len(found.hosts)} hosts; there are more: raise --limit"),)
    read = where_read(found.position, moment.as_of, found.snapshot)
    return View(
        document_of(found, answered_at=clock, as_of=moment.as_of),
        sheet,
        head=tuple(told),
        table=sheet.only(HOST_SHOWN),
        foot=(*more, read),
        exit_code=code,
    )


def exit_code(found: CampaignStatus) -> int:
    """0 complete; 1 it can't be by waiting: overdue, ended, or hosts went another way; 3 under way."""
    progress = found.progress
    if progress.outlook == "complete":
        return 0
    astray = progress.elsewhere + progress.rolled_back
    return 1 if progress.outlook == "overdue" or astray or found.state == "ended" else 3


def line_row(line: CampaignLine) -> tuple[Cell, ...]:
    """The cells of ``LINE_COLUMNS``."""
    campaign, progress = line.campaign, line.progress
    return (
        campaign.name,
        line.state,
        progress.outlook,
        progress.hosts,
        *(getattr(progress, state) for state in STATES[::-1]),
        progress.new,
        str(campaign.wanted),
        str(campaign.where),
        campaign.begins,
        campaign.deadline,
        progress.expected_end,
        progress.rate_per_day,
        campaign.ended,
        campaign.author,
        campaign.message,
    )


def host_row(host: CampaignHost) -> tuple[Cell, ...]:
    """The cells of ``HOST_COLUMNS``."""
    return tuple(getattr(host, name) for name in HOST_COLUMNS)


def _rest(progress: Progress) -> str:
    said = [f"{count} {word}" for state, word in _SAID.items() if (count := getattr(progress, state))]
    said += [f"{progress.pending} pending"] if progress.pending else []
    said += [f"{progress.new} new since"] if progress.new else []
    return "; " + ", ".join(said) if said else ""


def _about(campaign: Campaign) -> Iterator[str]:
    yield f"wanted: {campaign.wanted}; hosts: {campaign.where}; by {campaign.author}, from {utc(campaign.begins)}"
    if campaign.message:
        yield f"why: {campaign.message}"
    if campaign.ended is not None:
        yield f"ended: {utc(campaign.ended)} by {campaign.ended_by}" + (
            f": {campaign.reason}" if campaign.reason else ""
        )


def _pace(found: CampaignStatus) -> Iterator[str]:
    progress, deadline = found.progress, found.campaign.deadline
    if deadline is not None or progress.outlook in ("empty", "complete"):
        until = "" if deadline is None else f"{utc(deadline)}: "
        yield f"deadline: {until}{_OUTLOOK[progress.outlook]}"
    if progress.first_upgrade is not None and progress.last_upgrade is not None:
        yield f"upgrades: first {utc(progress.first_upgrade)}, last {utc(progress.last_upgrade)}"
    if progress.outlook in ("empty", "complete"):
        return
    rate = progress.rate_per_day
    pace = "unknown" if rate is None else f"{rate:.0f} hosts per day" if rate >= MANY else f"{rate:.3g} hosts per day"
    end = "no end can be foretold" if progress.expected_end is None else f"expected end {utc(progress.expected_end)}"
    yield f"pace: {pace}, {end} ({progress.rate_from})"
