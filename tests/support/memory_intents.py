"""Campaigns and baselines of a registry in memory: what is there is looked at state by state, with no tables at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from mdevreg import baselines, campaigns
from mdevreg.baselines import (
    Baseline,
    BaselineChange,
    BaselineCheck,
    BaselineDraft,
    BaselineList,
    BaselineView,
    CheckAsked,
    CheckedHost,
    Configuration,
    Configurations,
    Deviation,
    chosen,
    name_in,
)
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
from mdevreg.compatibility import Rules, evidence_reasons
from mdevreg.deviations import Differs, class_of, configuration_of, differs, kernel_differs, standing_of
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Moment, Side
from mdevreg.moments import moment_in
from mdevreg.nearest import nearest
from mdevreg.progress import Member, Place, Stay, hosts_of, progress_of
from mdevreg.query.campaign_pages import page_of
from mdevreg.query.check_pages import check_page
from mdevreg.rules import Scope
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
    change: CampaignChange | BaselineChange


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
        changes = [each.change for each in self._written(moment) if isinstance(each.change, CampaignChange)]
        brought = [each.plan for each in changes if each.campaign.name == name and each.plan is not None]
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

    def baselines(self, moment: Moment) -> BaselineList:
        self._ask()
        known = self._baselines(moment)
        found = [chosen(name, each, moment.as_of).baseline for name, each in known.items() if self._there(each, moment)]
        return BaselineList(self.position, tuple(found), self._told(structs.replace(moment, as_of=None)))

    def baseline(self, name: str, moment: Moment) -> BaselineView:
        self._ask()
        found = chosen(name, self._versions(name, moment), moment.as_of)
        snapshot = self._told(structs.replace(moment, as_of=None))
        return structs.replace(found, position=self.position, snapshot=snapshot)

    def check_baseline(self, asked: CheckAsked) -> BaselineCheck:
        self._ask()
        moment = Moment(asked.as_of, asked.known_at)
        snapshot = self._told(moment)
        baseline = chosen(asked.name, self._versions(asked.name, moment), asked.as_of).baseline
        rules = Rules(stale_after_s=asked.stale_after_s)
        hosts: list[CheckedHost] = []
        uncovered = 0
        for _, states, sides in self.lives(moment):
            if not states:
                continue
            mine = [(path, side) for path, side in sides[-1] if side.device is None and covers(asked.where, side)]
            checked = _checked(baseline, mine, states, sides, rules, _time(snapshot))
            hosts += [] if checked is None else [checked]
            uncovered += bool(mine) and checked is None
        return structs.replace(check_page(asked, baseline, hosts, uncovered), position=self.position, snapshot=snapshot)

    def configurations(self, where: Scope, moment: Moment) -> Configurations:
        self._ask()
        snapshot = self._told(moment)
        hosts: dict[bytes, set[str]] = {}
        for host, states, sides in self.lives(moment):
            for _, side in sides[-1] if states else ():
                if side.device is None and covers(where, side):
                    found = configuration_of(side.profile, side.support, states[-1].facts.kernel_release)
                    hosts.setdefault(msgspec.json.encode(found), set()).add(host)
        decoded = [(msgspec.json.decode(key, type=Configuration), len(names)) for key, names in hosts.items()]
        counted = [structs.replace(each, hosts=count) for each, count in decoded]
        ordered = sorted(counted, key=lambda each: (each.type, -each.hosts, msgspec.json.encode(each)))
        return Configurations(self.position, tuple(ordered), snapshot)

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        self._ask()
        baselines.check(draft)
        known = self._baselines(Moment()).get(draft.name, [])
        change = baselines.next_version(draft, known, self._clock())
        if change is None:
            return known[-1]
        self._write(change, self._clock())
        return change.baseline

    def end_baseline(self, name: str, *, author: str, reason: str = "") -> Baseline:
        self._ask()
        newest = self._versions(name, Moment())[-1]
        change = baselines.ended(newest, author=author, reason=reason, now=self._clock())
        self._write(change, self._clock())
        return change.baseline

    def _there(self, known: list[Baseline], moment: Moment) -> bool:
        return moment.as_of is None or known[0].at <= moment.as_of

    def _versions(self, words: str, moment: Moment) -> list[Baseline]:
        name, known = name_in(words)[0], self._baselines(moment)
        if name not in known:
            raise NotFoundError("baseline", name, nearest(name, known))
        return known[name]

    def _baselines(self, moment: Moment) -> dict[str, list[Baseline]]:
        found: dict[str, list[Baseline]] = {}
        for each in self._written(moment):
            if isinstance(each.change, BaselineChange):
                found.setdefault(each.change.baseline.name, []).append(each.change.baseline)
        return found

    def _write(self, change: CampaignChange | BaselineChange, now: datetime) -> None:
        self._intents.append(Written(self.position + 1, now, change))

    def _written(self, moment: Moment) -> list[Written]:
        known_at = LATEST if moment.known_at is None else moment.known_at
        assert isinstance(known_at, int), "this door has no log to find a time in"
        return [each for each in self._intents if each.position <= known_at]

    def _campaigns(self, moment: Moment) -> dict[str, Campaign]:
        changes = [each.change for each in self._written(moment) if isinstance(each.change, CampaignChange)]
        return {each.campaign.name: each.campaign for each in changes}

    def _campaign(self, name: str, moment: Moment) -> Campaign:
        known = self._campaigns(moment)
        if name not in known:
            raise NotFoundError("campaign", name, nearest(name, known))
        return known[name]

    def _campaign_hosts(self, campaign: Campaign, moment: Moment) -> list[CampaignHost]:
        if campaign.begins > (moment.as_of or self._clock()) or campaign.ended == campaign.begins:
            return []
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


def _checked(
    baseline: Baseline,
    mine: list[tuple[str, Side]],
    states: list[State],
    sides: list[list[tuple[str, Side]]],
    rules: Rules,
    now: datetime,
) -> CheckedHost | None:
    """How a host stands at its last state; ``None``: it has nothing of a class."""
    last, covered = states[-1], False
    deviations: list[Deviation] = []
    differing: list[Differs] = []
    for path, side in mine:
        parent = next(each for each in last.parents if each.path == path)
        wanted = class_of(baseline, side.profile.type, parent.pci)
        if wanted is None:
            continue
        covered = True
        assert last.facts is not None
        kernel = kernel_differs(wanted, last.facts.kernel_release)
        for each in (*differs(wanted, side.profile, side.support), *kernel):
            differing.append(each)
            since = _since(each.what, path, side, states, sides)
            kind = side.profile.type or ""
            deviations.append(Deviation(side.parent, kind, each.what, each.expected, each.found, since))
    if not covered:
        return None
    evidence = mine[0][1].evidence
    doubts = tuple(reason.code for reason in evidence_reasons((evidence,), rules, now))
    ordered = sorted(deviations, key=lambda each: (each.parent, each.type, each.what))
    return CheckedHost(
        evidence.host,
        evidence.hostname,
        standing_of(differing, doubts),
        evidence.site,
        doubts,
        tuple(ordered),
    )


def _since(what: str, path: str, side: Side, states: list[State], sides: list[list[tuple[str, Side]]]) -> datetime:
    """The earliest state since which it was so without a break."""

    def value(number: int) -> Any:
        if what == "kernel_release":
            return states[number].facts
        if what.startswith("driver"):
            return next((each.driver for each in states[number].parents if each.path == path), None)
        there = [each for at, each in sides[number] if at == path and each.device is None]
        return next((each.digest for each in there if each.profile.type == side.profile.type), None)

    number = len(states) - 1
    while number and value(number - 1) == value(number):
        number -= 1
    return states[number].since


def _periods(states: list[State]) -> list[tuple[int, int]]:
    begins = [micros(state.since) for state in states]
    return list(zip(begins, [*begins[1:], OPEN], strict=True)) if begins else []


def _time(snapshot: str) -> datetime:
    time = moment_in(snapshot).as_of
    assert time is not None
    return time
