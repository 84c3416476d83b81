"""Pages of targets from a fleet index: only the rows of the page are worked out. Pure."""

from __future__ import annotations

from datetime import datetime

from mdevreg.fleet import FleetView, Target, TargetList
from mdevreg.moments import snapshot_of
from mdevreg.query.cursors import Key
from mdevreg.query.names import possible
from mdevreg.query.pages import PageAsked, TargetPage, TargetRow, slice_of, source_of
from mdevreg.times import micros
from mdevreg.verdict import BEST_FIRST, RANK

_Keyed = tuple[Key, str, TargetList]


def page_of(view: FleetView, asked: PageAsked, *, now: datetime) -> TargetPage:
    """The page, of one snapshot. Raises ``NotFoundError``, ``UsageError``."""
    found = view.targets(
        possible(asked.device),
        now_us=micros(now),
        site=asked.site,
        available=False,
        max_age_us=int(asked.stale_after_s * 1e6),
    )
    keyed: list[_Keyed] = []
    for outcome in BEST_FIRST if asked.outcome is None else (asked.outcome,):
        keyed += _sorted(found.having(outcome), RANK[outcome])
        if asked.cursor is None and len(keyed) > asked.limit:
            break  # the first page is full, and what follows is no better
    chosen, following = slice_of(asked, [key for key, _, _ in keyed])
    rows = (_row(view, targets.target(name)) for _, name, targets in keyed[chosen])
    return TargetPage(
        source=source_of(view.source_side(asked.device)),
        rows=tuple(rows),
        counts=found.counts(),
        position=view.position,
        answered_at=now,
        next=following,
        snapshot=snapshot_of(view.position, now),
    )


def _sorted(found: TargetList, rank: int) -> list[_Keyed]:
    """Hosts of one outcome with their place in the order of ``questions.targets``."""
    return sorted(
        ((rank, -(free or 0), entry.hostname, entry.host), entry.name, found) for entry, free in found.with_capacity()
    )


def _row(view: FleetView, target: Target) -> TargetRow:
    entry, brief = view.directory.named(target.name), target.brief
    return TargetRow(
        host=entry.host,
        hostname=entry.hostname,
        parent=target.parent,
        type=target.type,
        ruling=brief.ruling,
        available_instances=brief.available_instances,
        facts_age_s=brief.facts_age_s,
        reliable_for_s=brief.reliable_for_s,
    )
