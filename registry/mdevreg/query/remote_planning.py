"""Plans of a registry over a network: the part that the NATS and the HTTP door share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, TypeVar

from mdevreg.facts import Moment
from mdevreg.planning.asked import IslandsAsked, UpgradeAsked, WavesAsked
from mdevreg.planning.forecast import UpgradeForecast
from mdevreg.planning.islands import Islands
from mdevreg.planning.waves.course import PlanCheck
from mdevreg.planning.waves.ordering import Progress
from mdevreg.planning.waves.paging import joined
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.query.names import possible
from mdevreg.query.planning import FORECAST_S, WAVES_S, every_page, silent, upgrade_fields, waves_fields
from mdevreg.rules import words_of

T = TypeVar("T")

#: Where each is asked over HTTP.
PLANS = {
    "plan-upgrade": "/v1/plan/upgrade",
    "plan-waves": "/v1/plan/waves",
    "plan-check": "/v1/plan/check",
    "islands": "/v1/islands",
}


class RemotePlanning(ABC):
    """``mdevreg.query.planning.PlanningDoor``: the registry plans, by its own clock."""

    @abstractmethod
    def _planned(self, endpoint: str, kind: type[T], moment: Moment, fields: dict[str, Any], longer_s: float) -> T:
        """Ask an endpoint, which may take so much longer than others."""

    def forecast(self, asked: UpgradeAsked, *, now: datetime) -> UpgradeForecast:  # noqa: ARG002
        """What an upgrade would do; nothing is written."""
        return self._planned("plan-upgrade", UpgradeForecast, asked.moment, upgrade_fields(asked), FORECAST_S)

    def waves(self, asked: WavesAsked, *, now: datetime, progress: Progress = silent) -> UpgradeWaves:  # noqa: ARG002
        """An order of an upgrade."""
        fields = waves_fields(asked)

        def page(cursor: str | None) -> UpgradeWaves:
            return self._planned("plan-waves", UpgradeWaves, asked.moment, {**fields, "cursor": cursor}, WAVES_S)

        return joined(every_page(page))

    def check_plan(self, campaign: str, moment: Moment, *, now: datetime) -> PlanCheck:  # noqa: ARG002
        """How the fleet stands to a campaign's plan."""
        return self._planned("plan-check", PlanCheck, moment, {"name": possible(campaign)}, FORECAST_S)

    def islands(self, asked: IslandsAsked, *, now: datetime) -> Islands:  # noqa: ARG002
        """The fleet as a graph of kinds."""
        return self._planned("islands", Islands, asked.moment, {"where": words_of(asked.where) or None}, FORECAST_S)
