"""What changed between two moments, asked of any door and put into groups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import structs

from mdevreg.differences import Differences, grouped
from mdevreg.differing import Decided, DifferenceAsked, DifferencePage, Differing, HostName, Understood
from mdevreg.query.door import Door


def differences(door: Door, asked: DifferenceAsked, *, now: datetime) -> Differences:
    """The net difference between two moments, in groups. ``now``: what a moment without a time means.

    All pages are asked for; both moments are known as of the first page, so that records that come meanwhile
    change nothing. Raises ``NotFoundError``, ``UsageError``.
    """
    rows: list[Differing] = []
    hosts: dict[str, HostName] = {}
    profiles: dict[str, Understood] = {}
    decided: Decided | None = None
    position = 0
    for page in difference_pages(door, asked):
        rows += page.rows
        hosts |= page.hosts
        profiles |= page.profiles
        decided, position = decided or page.decided, page.position
    begin, end = (moment.as_of or now for moment in (asked.begin, asked.end))
    return Differences(position, grouped(rows, hosts, profiles, decided, begin=begin, end=end), now)


def difference_pages(door: Door, asked: DifferenceAsked) -> Iterator[DifferencePage]:
    """Every page, from ``asked.cursor`` on, all as known at the position of the first."""
    while True:
        page = door.diff(asked)
        yield page
        if page.next is None:
            return
        begin, end = (
            structs.replace(moment, known_at=page.position) if moment.known_at is None else moment
            for moment in (asked.begin, asked.end)
        )
        asked = structs.replace(asked, begin=begin, end=end, cursor=page.next)
