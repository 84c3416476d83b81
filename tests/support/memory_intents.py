"""Campaigns and baselines of a registry in memory: what is there is looked at state by state, with no tables at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from mdevreg import campaigns
from mdevreg.campaigns import (
    Campaign,
    CampaignAsked,
    CampaignChange,
    CampaignDraft,
    CampaignHost,
    CampaignLine,
    CampaignList,
    CampaignStatus,
    CampaignWhole,
    campaign_of,
)
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Moment
from mdevreg.moments import moment_in
from mdevreg.nearest import nearest
from mdevreg.progress import Member, Place, Stay, hosts_of, progress_of
from mdevreg.query.campaign_pages import page_of
from mdevreg.scopes import covers
from mdevreg.timeline import OPEN
from mdevreg.times import micros

if TYPE_CHECKING:
    from support.memory_door import State

#: Of "now": after everything, and before what has no end.
LATEST = OPEN - 1


class Written(msgspec.Struct, frozen=True):
    """An intent at its position."""

    position: int
    at: datetime
    change: CampaignChange


class MemoryIntents:
    """The part of ``MemoryDoor`` about what is intended."""

    _intents: list[Written]
    _ask: Callable[[], None]
    _clock: Callable[[], datetime]
    position: Any
    lives: Any
    _told: Any

    def campaigns(self, moment: Moment) -> CampaignList:
        self._ask()
        snapshot = self._told(moment)
        clock = _time(snapshot)
        lines = [
            CampaignLine(each, each.state(clock), progress_of(each, self._campaign_hosts(each, moment), clock))
            for each in self._campaigns(moment).values()
        ]
        return CampaignList(self.position, tuple(lines), snapshot)

    def campaign(self, name: str, moment: Moment) -> CampaignWhole:
        self._ask()
        found = self._campaign(name, moment)
        plans = [each.change.plan for each in self._written(moment) if each.change.campaign.name == name]
        brought = [plan for plan in plans if plan is not None]
        return CampaignWhole(self.position, found, brought[-1] if brought else None, self._told(moment))

    def campaign_status(self, asked: CampaignAsked) -> CampaignStatus:
        self._ask()
        moment = Moment(asked.as_of, asked.known_at)
        snapshot = self._told(moment)
        clock, found = _time(snapshot), self._campaign(asked.name, moment)
        hosts = self._campaign_hosts(found, moment)
        page, following = page_of(asked, hosts)
        progress = progress_of(found, hosts, clock)
        return CampaignStatus(self.position, found, found.state(clock), progress, page, following, snapshot)

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        self._ask()
        now = self._clock()
        change = campaign_of(campaigns.check(draft, now), now)
        known = self._campaigns(Moment()).get(draft.name)
        if known is None:
            self._write(change, now)
            return change.campaign
        begins = known.begins if draft.begins is None else draft.begins
        if structs.replace(change.campaign, begins=begins) == known:
            return known
        raise UsageError(f"there is a campaign {draft.name}", code="CAMPAIGN_EXISTS")

    def end_campaign(self, name: str, *, author: str, reason: str = "") -> Campaign:
        self._ask()
        now = self._clock()
        change = campaigns.ended(self._campaign(name, Moment()), author=author, reason=reason, now=now)
        self._write(change, now)
        return change.campaign

    def _write(self, change: CampaignChange, now: datetime) -> None:
        self._intents.append(Written(self.position + 1, now, change))

    def _written(self, moment: Moment) -> list[Written]:
        return [each for each in self._intents if moment.known_at is None or each.position <= moment.known_at]

    def _campaigns(self, moment: Moment) -> dict[str, Campaign]:
        return {each.change.campaign.name: each.change.campaign for each in self._written(moment)}

    def _campaign(self, name: str, moment: Moment) -> Campaign:
        known = self._campaigns(moment)
        if name not in known:
            raise NotFoundError("campaign", name, nearest(name, known))
        return known[name]

    def _campaign_hosts(self, campaign: Campaign, moment: Moment) -> list[CampaignHost]:
        until_us = LATEST if moment.as_of is None else micros(moment.as_of)
        until_us = until_us if campaign.ended is None else min(until_us, micros(campaign.ended))
        return hosts_of(campaign, self._members(campaign, moment, until_us), until_us)

    def _members(self, campaign: Campaign, moment: Moment, until_us: int) -> Iterator[Member]:
        since_us = micros(campaign.begins)
        for host, all_states, all_sides in self.lives(moment):
            joined: dict[str, int] = {}
            offered: dict[str, int] = {}
            stays: dict[str, list[Stay]] = {}
            periods = _periods(all_states)
            for (first_us, last_us), state, sides in zip(periods, all_states, all_sides, strict=True):
                if last_us <= since_us or first_us > until_us or first_us == last_us:
                    continue
                for path, side in sides:
                    offered[path] = last_us
                    if covers(campaign.where, side):
                        joined.setdefault(path, max(first_us, since_us))
                for parent in state.parents:
                    if parent.driver is not None:
                        stays.setdefault(parent.path, []).append(Stay(parent.driver, first_us, last_us))
            if joined:
                facts = all_states[-1].facts
                places = [Place(path, at, offered[path], tuple(stays.get(path, ()))) for path, at in joined.items()]
                yield Member(host, facts.hostname, facts.site, tuple(places))


def _periods(states: list[State]) -> list[tuple[int, int]]:
    begins = [micros(state.since) for state in states]
    return list(zip(begins, [*begins[1:], OPEN], strict=True)) if begins else []


def _time(snapshot: str) -> datetime:
    time = moment_in(snapshot).as_of
    assert time is not None
    return time
