"""The SQL door's answers about driver upgrades: who runs what, how that changed, and who is behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

import sqlalchemy as sa

from mdevreg.distribution import Distribution, DistributionAsked, check
from mdevreg.facts import Moment
from mdevreg.stragglers import Stragglers, StragglersAsked
from mdevreg.trends import Trend, TrendAsked
from mdevreg.upgrades import UpgradePage, UpgradesAsked
from mdevreg_server.asking import At
from mdevreg_server.sides import Interned
from mdevreg_server.spreading import shares_at
from mdevreg_server.straggling import stragglers_at
from mdevreg_server.trends import trend_at
from mdevreg_server.upgrade_pages import upgrade_page


class SqlTracking(ABC):
    """The four questions, over SQL: part of ``SqlDoor``."""

    @abstractmethod
    def _reading(self, moment: Moment, *, empty: bool = False) -> AbstractContextManager[tuple[sa.Connection, At]]: ...

    @abstractmethod
    def _believed(self, connection: sa.Connection, when: At) -> Interned: ...

    def distribution(self, asked: DistributionAsked) -> Distribution:
        """The driver builds of the fleet, and what they save and load, counted by group."""
        check(asked)
        with self._reading(asked.moment) as (connection, when):
            shares = shares_at(connection, asked, when, self._believed(connection, when))
        return Distribution(when.position, shares, when.snapshot, asked.by)

    def trend(self, asked: TrendAsked) -> Trend:
        """How many hosts ran which driver build, time after time."""
        with self._reading(asked.moment) as (connection, when):
            return trend_at(connection, asked, when)

    def upgrades(self, asked: UpgradesAsked) -> UpgradePage:
        """The newest of some upgrades, oldest first, page by page."""
        with self._reading(asked.moment) as (connection, when):
            return upgrade_page(connection, asked, when, self._believed(connection, when).knowledge)

    def stragglers(self, asked: StragglersAsked) -> Stragglers:
        """Hosts that have a driver and not the build of it that is wanted, page by page."""
        with self._reading(asked.moment) as (connection, when):
            return stragglers_at(connection, asked, when)
