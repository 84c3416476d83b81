"""The SQL door's plans: made of the whole fleet at a moment, as the index that replicas have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import datetime

import sqlalchemy as sa

from mdevreg.campaigns import CampaignWhole
from mdevreg.facts import Moment
from mdevreg.fleet import FleetView
from mdevreg.planning.asked import IslandsAsked, Planner, UpgradeAsked, WavesAsked
from mdevreg.planning.forecast import UpgradeForecast
from mdevreg.planning.islands import Islands
from mdevreg.planning.waves.course import PlanCheck
from mdevreg.planning.waves.ordering import Progress
from mdevreg.planning.waves.paging import Plans
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.query.planning import silent
from mdevreg.times import micros
from mdevreg_server.asking import At
from mdevreg_server.panorama import view_at


class SqlPlanning(ABC):
    """The three questions, over SQL: part of ``SqlDoor``."""

    def __init__(self) -> None:
        self._planner = Planner()
        self.plans = Plans()

    @abstractmethod
    def _reading(self, moment: Moment, *, empty: bool = False) -> AbstractContextManager[tuple[sa.Connection, At]]: ...

    @abstractmethod
    def campaign(self, name: str, moment: Moment) -> CampaignWhole:
        """A campaign with its plan."""

    def forecast(self, asked: UpgradeAsked, *, now: datetime) -> UpgradeForecast:
        """What an upgrade would do; nothing is written."""
        view, clock = self._fleet(asked.moment, now)
        return self._planner.forecast(view, asked, now=clock, answered=now)

    def waves(self, asked: WavesAsked, *, now: datetime, progress: Progress = silent) -> UpgradeWaves:
        """An order of an upgrade."""
        view, clock = self._fleet(asked.moment, now)
        return self._planner.waves(view, asked, now=clock, answered=now, progress=progress)

    def islands(self, asked: IslandsAsked, *, now: datetime) -> Islands:
        """The fleet as a graph of kinds."""
        view, clock = self._fleet(asked.moment, now)
        return self._planner.islands(view, asked, now=clock, answered=now)

    def check_plan(self, campaign: str, moment: Moment, *, now: datetime) -> PlanCheck:
        """How the fleet stands to a campaign's plan."""
        whole = self.campaign(campaign, moment)
        view, clock = self._fleet(moment, now)
        return self._planner.course(view, whole, moment, now=clock, answered=now)

    def _fleet(self, moment: Moment, now: datetime) -> tuple[FleetView, datetime]:
        """The fleet at a moment, and the time that it is looked at."""
        clock = moment.as_of or now
        with self._reading(moment) as (connection, when):
            return view_at(connection, when, micros(clock)), clock
