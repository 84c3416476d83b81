"""How far a campaign came: computed from what its hosts had bound and offered over time. Pure.

A *place* is a parent of a host that matched the selector once. Of the builds bound there those count that have the
wanted build's name; where none has it, all do: a driver may be replaced by one of another name.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from mdevreg.campaigns import STATES, Campaign, CampaignHost, Outlook, Progress, UpgradeState
from mdevreg.records import DriverBuild
from mdevreg.times import micros, moment_of
from mdevreg.wanted import WantedBuild

#: The pace of late: of so many days at most, in so many equal parts.
LATELY = timedelta(days=14)
PARTS = 7
#: Fewer upgrades tell no pace.
ENOUGH = 2

Builds = frozenset[DriverBuild]


class Stay(msgspec.Struct, frozen=True):
    """A driver build was bound in ``[from_us, to_us)``, µs UTC."""

    build: DriverBuild
    from_us: int
    to_us: int


class Place(msgspec.Struct, frozen=True):
    """A parent since it ``joined``. ``offered_to_us``: until when it, or a device on it, was there."""

    path: str
    joined_us: int
    offered_to_us: int
    stays: tuple[Stay, ...]


class Member(msgspec.Struct, frozen=True):
    """A host of a campaign, and its places."""

    host: str
    hostname: str
    site: str | None
    places: tuple[Place, ...]


class _Stand(msgspec.Struct, frozen=True):
    """How one place stands."""

    state: UpgradeState
    since_us: int | None
    build: str | None
    was: str | None
    upgraded_us: int | None = None


def hosts_of(campaign: Campaign, members: Iterable[Member], upto_us: int) -> list[CampaignHost]:
    """How each host stands at a time (µs UTC), the worst first, then by hostname."""
    found = [_host(campaign, member, upto_us) for member in members]
    return sorted(found, key=lambda host: (STATES.index(host.state), host.hostname, host.host))


def progress_of(campaign: Campaign, hosts: Iterable[CampaignHost], at: datetime) -> Progress:
    """The hosts in numbers, and the pace. ``at``: what the deadline is held against; not later than the end."""
    listed = list(hosts)
    at = at if campaign.ended is None else min(at, campaign.ended)
    count = Counter(host.state for host in listed)
    upgrades = sorted(host.upgraded_at for host in listed if host.upgraded_at is not None)
    left = len(listed) - count["upgraded"]
    rate, told = rate_of(upgrades, at)
    end = None if rate is None or left == 0 else _after(at, left / rate)
    return Progress(
        hosts=len(listed),
        **{state: count[state] for state in STATES},
        new=sum(host.new for host in listed),
        first_upgrade=upgrades[0] if upgrades else None,
        last_upgrade=upgrades[-1] if upgrades else None,
        rate_per_day=rate,
        rate_from=told,
        expected_end=end,
        outlook=_outlook(campaign, len(listed), left, end, at),
    )


def rate_of(upgrades: list[datetime], at: datetime) -> tuple[float | None, str]:
    """Hosts per day of late, and how that was found; ``None``: there is no evidence.

    The time since the first upgrade, ``LATELY`` at most, is cut into ``PARTS``; the rate is the median of the
    upgrades in each, so that neither one busy night nor one pause decides.
    """
    if len(upgrades) < ENOUGH or upgrades[0] >= at:
        return None, f"{len(upgrades)} upgrades are no pace; at least {ENOUGH} were expected"
    begin = max(upgrades[0], at - LATELY)
    part = (at - begin) / PARTS
    recent = [each for each in upgrades if begin <= each <= at]
    counts = Counter(min(int((each - begin) / part), PARTS - 1) for each in recent)
    median = statistics.median(counts[number] for number in range(PARTS))
    told = f"median of {PARTS} equal parts of the last {_length(at - begin)}, with {len(recent)} upgrades"
    if median == 0:
        return None, f"{told}, is none"
    return median * timedelta(days=1) / part, told


def _length(span: timedelta) -> str:
    """``14 days``, ``3.5 hours``, ``12 minutes``."""
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours")):
        if span >= 2 * unit:
            return f"{span / unit:.3g} {name}"
    return f"{span / timedelta(minutes=1):.3g} minutes"


def _outlook(campaign: Campaign, hosts: int, left: int, end: datetime | None, at: datetime) -> Outlook:
    if hosts == 0:
        return "empty"
    if left == 0:
        return "complete"
    if campaign.deadline is None:
        return "no_deadline"
    if campaign.deadline <= at:
        return "overdue"
    if end is None:
        return "unknown"
    return "in_danger" if end > campaign.deadline else "on_time"


def _after(at: datetime, days: float) -> datetime | None:
    try:
        return at + timedelta(days=days)
    except OverflowError:
        return None


def _host(campaign: Campaign, member: Member, upto_us: int) -> CampaignHost:
    places = sorted(member.places, key=lambda place: place.path)
    stands = [_stand(place, campaign.wanted, upto_us) for place in places]
    worst = min(stands, key=lambda stand: STATES.index(stand.state))
    alike = [stand for stand in stands if stand.state == worst.state]
    since = _last(alike, "since_us") if worst.state == "upgraded" else _first(alike, "since_us")
    upgraded = _last(stands, "upgraded_us") if worst.state == "upgraded" else None
    joined_us = min(place.joined_us for place in places)
    return CampaignHost(
        host=member.host,
        hostname=member.hostname,
        state=worst.state,
        site=member.site,
        since=since,
        build=worst.build,
        was=worst.was,
        joined=moment_of(joined_us),
        upgraded_at=upgraded,
        new=joined_us > micros(campaign.begins),
    )


def _stand(place: Place, wanted: WantedBuild, upto_us: int) -> _Stand:
    phases = list(_phases(place, wanted, upto_us))
    was = _named(phases[0][1]) if phases else None
    bound = bool(_bound(place, wanted, upto_us))
    if not bound or place.offered_to_us <= upto_us:
        return _Stand("offers_nothing", _gone_us(place, bound=bound), None, was)
    now_us, now = phases[-1]
    met = [_met(builds, wanted) for _, builds in phases]
    if met[-1]:
        first = next((number for number in range(len(met), 0, -1) if not met[number - 1]), 0)
        upgraded_us = phases[first][0] if first else None
        return _Stand("upgraded", phases[first][0], _named(now), was, upgraded_us)
    old = now == phases[0][1]
    if not old:
        return _Stand("elsewhere", now_us, _named(now), was)
    return _Stand("rolled_back" if any(met) else "pending", now_us, _named(now), was)


def _phases(place: Place, wanted: WantedBuild, upto_us: int) -> Iterator[tuple[int, Builds]]:
    """What was bound since it joined, and from when on; times without a driver are passed over."""
    ends = {end for stay in place.stays for end in (stay.from_us, stay.to_us)}
    last: Builds = frozenset()
    for at_us in sorted({place.joined_us, *(end for end in ends if place.joined_us < end <= upto_us)}):
        builds = _bound(place, wanted, at_us)
        if builds and builds != last:
            yield at_us, builds
            last = builds


def _bound(place: Place, wanted: WantedBuild, at_us: int) -> Builds:
    there = [stay.build for stay in place.stays if stay.from_us <= at_us < stay.to_us]
    return frozenset([build for build in there if wanted.name in (build.name, build.module)] or there)


def _met(builds: Builds, wanted: WantedBuild) -> bool:
    return bool(builds) and all(wanted.is_met_by(build) for build in builds)


def _gone_us(place: Place, *, bound: bool) -> int | None:
    """Since when nothing is offered."""
    if bound:
        return place.offered_to_us
    ends = [stay.to_us for stay in place.stays]
    return min(place.offered_to_us, max(ends)) if ends else None


def _named(builds: Builds) -> str:
    return ", ".join(sorted(build_words(build) for build in builds))


def build_words(build: DriverBuild) -> str:
    """``nvidia 550.90.05``: a build by its name and what tells it best."""
    told = build.version or build.srcversion or build.build_id or build.kernel_release
    return build.name if told is None else f"{build.name} {told}"


def _first(stands: list[_Stand], field: str) -> datetime | None:
    found = [us for stand in stands if (us := getattr(stand, field)) is not None]
    return moment_of(min(found)) if found else None


def _last(stands: list[_Stand], field: str) -> datetime | None:
    found = [us for stand in stands if (us := getattr(stand, field)) is not None]
    return moment_of(max(found)) if found else None
