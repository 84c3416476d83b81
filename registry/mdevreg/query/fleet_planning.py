"""The part of a door to a fleet index that plans: in this process of now, by the door behind of the past."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING

from mdevreg.facts import NOW, Moment
from mdevreg.planning.asked import IslandsAsked, Planner, UpgradeAsked, WavesAsked
from mdevreg.planning.forecast import UpgradeForecast
from mdevreg.planning.islands import Islands
from mdevreg.planning.waves.course import PlanCheck
from mdevreg.planning.waves.ordering import Progress
from mdevreg.planning.waves.paging import Plans
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.query.planning import check_plan, islands, plan_upgrade, plan_waves, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdevreg.fleet import FleetView
    from mdevreg.query.door import Door


class FleetPlanning:
    """``mdevreg.query.planning.KeepingDoor`` over an index."""

    _view: Callable[[], FleetView]
    _behind: Callable[[], Door]

    def __init__(self) -> None:
        self._planner = Planner()
        self.plans = Plans()

    def _told(self) -> AbstractContextManager[None]:
        """Errors about unknown names, as this door tells them."""
        raise NotImplementedError

    def forecast(self, asked: UpgradeAsked, *, now: datetime) -> UpgradeForecast:
        """What an upgrade would do; nothing is written."""
        if asked.moment != NOW:
            return plan_upgrade(self._behind(), asked, now=now)
        with self._told():
            return self._planner.forecast(self._view(), asked, now=now, answered=now)

    def waves(self, asked: WavesAsked, *, now: datetime, progress: Progress = silent) -> UpgradeWaves:
        """An order of an upgrade."""
        if asked.moment != NOW:
            return plan_waves(self._behind(), asked, now=now, progress=progress)
        with self._told():
            return self._planner.waves(self._view(), asked, now=now, answered=now, progress=progress)

    def check_plan(self, campaign: str, moment: Moment, *, now: datetime) -> PlanCheck:
        """How the fleet stands to a campaign's plan; the plan is the registry's."""
        if moment != NOW:
            return check_plan(self._behind(), campaign, moment=moment, now=now)
        whole = self._behind().campaign(campaign, NOW)
        return self._planner.course(self._view(), whole, NOW, now=now, answered=now)

    def islands(self, asked: IslandsAsked, *, now: datetime) -> Islands:
        """The fleet as a graph of kinds."""
        if asked.moment != NOW:
            return islands(self._behind(), asked, now=now)
        with self._told():
            return self._planner.islands(self._view(), asked, now=now, answered=now)
