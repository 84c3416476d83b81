"""The part of the SQL door that tells of campaigns and baselines, and writes them where no registry runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

import sqlalchemy as sa
from msgspec import structs

from mdevreg.baselines import (
    Baseline,
    BaselineCheck,
    BaselineDraft,
    BaselineList,
    BaselineView,
    CheckAsked,
    Configurations,
    chosen,
    name_in,
)
from mdevreg.campaigns import (
    Campaign,
    CampaignAsked,
    CampaignDraft,
    CampaignHost,
    CampaignLine,
    CampaignList,
    CampaignStatus,
    CampaignWhole,
)
from mdevreg.facts import Moment
from mdevreg.moments import moment_in, snapshot_of
from mdevreg.progress import hosts_of, progress_of
from mdevreg.query.campaign_pages import page_of
from mdevreg.query.check_pages import check_page
from mdevreg.query.names import possible
from mdevreg.rules import Scope
from mdevreg_server import intents
from mdevreg_server.alone import writing_alone
from mdevreg_server.asking import At
from mdevreg_server.conformity import check_of, configurations_of
from mdevreg_server.enrolment import members_of, window_of
from mdevreg_server.sides import Interned


class SqlIntents:
    """``mdevreg.query.intending.IntentDoor`` over SQL."""

    engine: sa.Engine
    _clock: Callable[[], datetime]

    def _reading(self, moment: Moment, *, empty: bool = False) -> AbstractContextManager[tuple[sa.Connection, At]]:
        raise NotImplementedError

    def _believed(self, connection: sa.Connection, when: At) -> Interned:
        raise NotImplementedError

    def campaigns(self, moment: Moment) -> CampaignList:
        """Every campaign that was known, ended ones included, oldest first, with its progress."""
        with self._reading(moment) as (connection, when):
            found = intents.campaigns(connection, when.known_at)
            clock = _clock_of(when)
            lines = [
                CampaignLine(each, each.state(clock), progress_of(each, _hosts(connection, each, when, clock), clock))
                for each in found
            ]
        return CampaignList(when.position, tuple(lines), when.snapshot)

    def campaign(self, name: str, moment: Moment) -> CampaignWhole:
        """A campaign with its plan, whatever hosts there were."""
        with self._reading(structs.replace(moment, as_of=None)) as (connection, when):
            found = intents.campaign(connection, possible(name), when.known_at)
            brought = intents.plan_of(connection, name, when.known_at)
        plan = None if brought is None else brought.plan
        return CampaignWhole(when.position, found, plan, self._token(when, moment))

    def campaign_status(self, asked: CampaignAsked) -> CampaignStatus:
        """How a campaign stands, and a page of its hosts."""
        with self._reading(Moment(asked.as_of, asked.known_at)) as (connection, when):
            found = intents.campaign(connection, possible(asked.name), when.known_at)
            clock = _clock_of(when)
            hosts = _hosts(connection, found, when, clock)
        page, following = page_of(asked, hosts)
        progress = progress_of(found, hosts, clock)
        return CampaignStatus(when.position, found, found.state(clock), progress, page, following, when.snapshot)

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        """Create a campaign, where no registry is running on this database."""
        with writing_alone(self.engine.url) as book:
            return book.create_campaign(draft)

    def end_campaign(self, name: str, *, author: str, reason: str = "") -> Campaign:
        """End a campaign now, where no registry is running on this database."""
        with writing_alone(self.engine.url) as book:
            return book.end_campaign(possible(name), author=author, reason=reason)

    def baselines(self, moment: Moment) -> BaselineList:
        """The version of every baseline that was valid and known, ended ones included."""
        with self._reading(structs.replace(moment, as_of=None)) as (connection, when):
            found = intents.baselines(connection, when.known_at, moment.as_of)
        return BaselineList(when.position, tuple(found), self._token(when, moment))

    def baseline(self, name: str, moment: Moment) -> BaselineView:
        """A baseline, or one version of it, whatever hosts there were."""
        with self._reading(structs.replace(moment, as_of=None)) as (connection, when):
            known = intents.baseline_entries(connection, name_in(possible(name))[0], when.known_at)
        found = chosen(name, known, moment.as_of)
        return structs.replace(found, position=when.position, snapshot=self._token(when, moment))

    def check_baseline(self, asked: CheckAsked) -> BaselineCheck:
        """Who deviates from a baseline, and a page of these hosts."""
        with self._reading(Moment(asked.as_of, asked.known_at)) as (connection, when):
            known = intents.baseline_entries(connection, name_in(possible(asked.name))[0], when.known_at)
            baseline = chosen(asked.name, known, asked.as_of).baseline
            found = check_of(
                connection,
                baseline,
                asked.where,
                when,
                self._believed(connection, when),
                stale_after_s=asked.stale_after_s,
                now=_clock_of(when),
            )
        page = check_page(asked, baseline, found.hosts, found.uncovered)
        return structs.replace(page, position=when.position, snapshot=when.snapshot)

    def configurations(self, where: Scope, moment: Moment) -> Configurations:
        """What the types look like that hosts in a scope offer, and on how many hosts."""
        with self._reading(moment) as (connection, when):
            found = configurations_of(connection, where, when, self._believed(connection, when))
        return Configurations(when.position, found, when.snapshot)

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        """Keep a baseline, or its next version, where no registry is running on this database."""
        with writing_alone(self.engine.url) as book:
            return book.put_baseline(draft)

    def end_baseline(self, name: str, *, author: str, reason: str = "") -> Baseline:
        """End a baseline now, where no registry is running on this database."""
        with writing_alone(self.engine.url) as book:
            return book.end_baseline(possible(name), author=author, reason=reason)

    def _token(self, when: At, moment: Moment) -> str:
        """Of what is asked whatever hosts there were then."""
        return snapshot_of(when.position, moment.as_of or self._clock())


def _clock_of(when: At) -> datetime:
    """What the answer is held against: asked again by its token it is the same."""
    time = moment_in(when.snapshot).as_of
    assert time is not None
    return time


def _hosts(connection: sa.Connection, campaign: Campaign, when: At, clock: datetime) -> list[CampaignHost]:
    window = window_of(campaign, when, clock)
    return [] if window is None else hosts_of(campaign, members_of(connection, campaign, window), window.until_us)
