"""What is asked of a plan: which hosts, what they are to become, under which limits, of which moment. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import structs

from mdevreg.campaigns import CampaignWhole
from mdevreg.errors import UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.fleet.view import FleetView
from mdevreg.moments import clock_of, snapshot_of
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.forecast import UpgradeForecast
from mdevreg.planning.foresee import foresee
from mdevreg.planning.goals import Goal
from mdevreg.planning.islands import Islands, islands_of
from mdevreg.planning.waves.course import PlanCheck, read
from mdevreg.planning.waves.following import follow
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.ordering import Progress
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.planning.waves.planned import plan_waves
from mdevreg.rules import FLEET, Scope
from mdevreg.times import micros


class UpgradeAsked(msgspec.Struct, frozen=True):
    """An upgrade of the hosts in a scope."""

    goal: Goal
    where: Scope = FLEET
    moment: Moment = NOW


class WavesAsked(msgspec.Struct, frozen=True):
    """An order of an upgrade."""

    goal: Goal
    where: Scope = FLEET
    limits: Limits = Limits()
    moment: Moment = NOW


class IslandsAsked(msgspec.Struct, frozen=True):
    """A map of the hosts in a scope."""

    where: Scope = FLEET
    moment: Moment = NOW


class Planner:
    """Answers from views of the fleet, and keeps the cohorts of the last one: the next differs little.

    Safe to use from any thread: what is kept never changes, it is replaced.
    """

    def __init__(self) -> None:
        self._last: tuple[FleetView, Cohorts] | None = None

    def cohorts(self, view: FleetView) -> Cohorts:
        """The cohorts of a view."""
        last = self._last
        if last is not None and last[0] is view:
            return last[1]
        found = Cohorts(view, None if last is None else last[1])
        self._last = (view, found)
        return found

    def forecast(self, view: FleetView, asked: UpgradeAsked, *, now: datetime, answered: datetime) -> UpgradeForecast:
        """What the upgrade would do. ``now``: the time of the view's facts; ``answered``: when that was asked."""
        found = foresee(view, self.cohorts(view), asked.where, asked.goal, now_us=micros(now))
        return structs.replace(found, **_told(asked.moment, found.position, now, answered))

    def waves(
        self,
        view: FleetView,
        asked: WavesAsked,
        *,
        now: datetime,
        answered: datetime,
        progress: Progress = lambda _done, _of: None,
    ) -> UpgradeWaves:
        """An order of the upgrade."""
        found = plan_waves(
            view, self.cohorts(view), asked.where, asked.goal, asked.limits, now_us=micros(now), progress=progress
        )
        return structs.replace(found, **_told(asked.moment, found.position, now, answered))

    def course(
        self, view: FleetView, whole: CampaignWhole, moment: Moment, *, now: datetime, answered: datetime
    ) -> PlanCheck:
        """How the fleet stands to a campaign's plan. Raises ``UsageError`` (NO_PLAN)."""
        if whole.plan is None:
            text = f"the campaign {whole.campaign.name} follows no plan; create one with --plan FILE"
            raise UsageError(text, code="NO_PLAN")
        found = follow(view, whole.campaign.name, read(whole.plan), whole.campaign.wanted, now_us=micros(now))
        return structs.replace(found, **_told(moment, found.position, now, answered))

    def islands(self, view: FleetView, asked: IslandsAsked, *, now: datetime, answered: datetime) -> Islands:
        """The map."""
        found = islands_of(view, self.cohorts(view), asked.where, now_us=micros(now))
        return structs.replace(found, **_told(asked.moment, found.position, now, answered))


def _told(moment: Moment, position: int, now: datetime, answered: datetime) -> dict[str, Any]:
    """What is told beside every plan: when it was made, and the token that gives it again."""
    token = snapshot_of(position, moment.as_of or now)
    return {"as_of": moment.as_of, "snapshot": token, "answered_at": clock_of(moment, answered)}
