"""The hosts that could take a device, page by page. Pure but for the door.

A page begins after the last row of the page before it, by the order of ``questions.targets``: best outcome first, then
most free instances, then hostname and host. Nothing is kept between pages; the fleet may move in the meantime. No page
has a host twice. A host whose outcome or free instances changed between two pages may come again or be passed over;
``every_target`` leaves out those that came before. In answers about the past nothing moves.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec
from msgspec import structs

from mdevreg.answering import Answer, brief_of
from mdevreg.compatibility import DEFAULT_RULES, DEFAULT_STALE_AFTER_S, Rules
from mdevreg.errors import UsageError
from mdevreg.facts import NOW, Moment, Side
from mdevreg.query import questions
from mdevreg.query.cursors import Key, cursor_after, key_in
from mdevreg.query.door import Door
from mdevreg.rulings import Ruling
from mdevreg.verdict import RANK, Outcome

DEFAULT_LIMIT = 100
#: Most rows of one page.
MAX_LIMIT = 1_000


class TargetSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """The device that is to move; ``device`` is unset for one that could be created."""

    host: str
    hostname: str
    parent: str
    type: str | None = None
    device: str | None = None


class TargetRow(msgspec.Struct, frozen=True, gc=False):
    """One host and its best offer. The last three are as in ``mdevreg.rulings.Brief``."""

    host: str
    hostname: str
    parent: str | None
    type: str | None
    ruling: Ruling
    available_instances: int | None
    facts_age_s: float | None
    reliable_for_s: float | None


class TargetPage(msgspec.Struct, frozen=True):
    """Some of the hosts that offer the source's type, best first.

    ``counts`` are over all hosts of the site that was asked for, whatever ``outcome`` lists. ``next`` is the cursor of
    the page after this one, ``None`` on the last.
    """

    source: TargetSource
    rows: tuple[TargetRow, ...]
    counts: dict[str, int]
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    next: str | None = None
    snapshot: str = ""


class PageAsked(msgspec.Struct, frozen=True):
    """What a page is asked for. ``site`` and ``outcome``: only those hosts; ``cursor``: ``next`` of the page before."""

    device: str
    moment: Moment = NOW
    stale_after_s: float = DEFAULT_STALE_AFTER_S
    limit: int = DEFAULT_LIMIT
    outcome: Outcome | None = None
    site: str | None = None
    cursor: str | None = None


@runtime_checkable
class PagingDoor(Protocol):
    """A door that makes pages where the facts are: in this process, or at the registry."""

    def targets_page(self, asked: PageAsked, *, now: datetime) -> TargetPage:
        """The page. Raises as ``mdevreg.query.pages.targets_page`` does."""
        ...


def targets_page(
    door: Door,
    device: str,
    *,
    now: datetime,
    moment: Moment = NOW,
    rules: Rules = DEFAULT_RULES,
    limit: int = DEFAULT_LIMIT,
    outcome: Outcome | None = None,
    site: str | None = None,
    cursor: str | None = None,
) -> TargetPage:
    """One page of the hosts that could take this device; without ``cursor`` the first.

    ``limit``: 1 to ``MAX_LIMIT`` rows. ``outcome``, ``site``: only those. Raises ``NotFoundError``, ``UsageError``
    (code BAD_CURSOR: the cursor is of another question).
    """
    return page_for(door, PageAsked(device, moment, rules.stale_after_s, limit, outcome, site, cursor), now=now)


def page_for(door: Door, asked: PageAsked, *, now: datetime) -> TargetPage:
    """The page that is asked for, as ``targets_page`` makes and refuses it."""
    _check(asked)
    if isinstance(door, PagingDoor):
        return door.targets_page(asked, now=now)
    rules = Rules(stale_after_s=asked.stale_after_s)
    found = questions.targets(door, asked.device, now=now, moment=asked.moment, rules=rules)
    there = [answer for answer in found.answers if asked.site in (None, answer.target.site)]
    rows = [_row_of(answer) for answer in there if asked.outcome in (None, answer.verdict.outcome)]
    chosen, following = slice_of(asked, list(map(key_of, rows)))
    return TargetPage(
        source=source_of(found.source),
        rows=tuple(rows[chosen]),
        counts=_counted(there),
        position=found.position,
        answered_at=found.answered_at,
        as_of=found.as_of,
        next=following,
        snapshot=found.snapshot,
    )


def every_target(door: Door, asked: PageAsked, *, now: datetime) -> Iterator[TargetRow]:
    """All rows from ``asked.cursor`` on, page by page, each host once. Raises as ``targets_page`` does."""
    told: set[str] = set()
    while True:
        page = page_for(door, asked, now=now)
        yield from (row for row in page.rows if row.host not in told)
        if page.next is None:
            return
        told.update(row.host for row in page.rows)
        asked = structs.replace(asked, cursor=page.next)


def slice_of(asked: PageAsked, keys: list[Key]) -> tuple[slice, str | None]:
    """Which rows make one page, of all rows in order by their keys, and the cursor of the next page."""
    after = None if asked.cursor is None else key_in(asked.cursor, _fingerprint(asked))
    first = 0 if after is None else bisect_right(keys, after)
    last = min(len(keys), first + asked.limit)
    more = last < len(keys)
    return slice(first, last), cursor_after(keys[last - 1], _fingerprint(asked)) if more else None


def key_of(row: TargetRow) -> Key:
    """Where a row stands in the order of ``questions.targets``."""
    return (RANK[row.ruling.outcome], -(row.available_instances or 0), row.hostname, row.host)


def source_of(side: Side) -> TargetSource:
    """The source of a page."""
    return TargetSource(
        host=side.evidence.host,
        hostname=side.evidence.hostname,
        parent=side.parent,
        type=side.profile.type,
        device=side.device,
    )


def _row_of(answer: Answer) -> TargetRow:
    brief = brief_of(answer)
    return TargetRow(
        host=answer.target.host,
        hostname=answer.target.hostname,
        parent=answer.target_parent,
        type=answer.target_type,
        ruling=brief.ruling,
        available_instances=brief.available_instances,
        facts_age_s=brief.facts_age_s,
        reliable_for_s=brief.reliable_for_s,
    )


def _check(asked: PageAsked) -> None:
    if not 1 <= asked.limit <= MAX_LIMIT:
        raise UsageError(f"limit is {asked.limit}; 1 to {MAX_LIMIT} rows make a page")
    if asked.cursor is not None:
        key_in(asked.cursor, _fingerprint(asked))


def _fingerprint(asked: PageAsked) -> str:
    """What must not change from page to page."""
    question = structs.replace(asked, cursor=None, limit=DEFAULT_LIMIT)
    return hashlib.sha256(msgspec.json.encode(question)).hexdigest()[:16]


def _counted(answers: list[Answer]) -> dict[str, int]:
    return {each.value: sum(answer.verdict.outcome is each for answer in answers) for each in Outcome}
