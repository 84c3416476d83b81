"""The questions about driver upgrades as doors over a network ask them, and their pages as one answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec import structs

from mdevreg.distribution import Distribution, DistributionAsked
from mdevreg.facts import Moment
from mdevreg.query.door import Door
from mdevreg.rules import Scope, words_of
from mdevreg.stragglers import Stragglers, StragglersAsked
from mdevreg.trends import Trend, TrendAsked
from mdevreg.upgrades import UpgradePage, UpgradesAsked
from mdevreg.wanted import words_of as build_words

T = TypeVar("T")


class RemoteTracking(ABC):
    """The four questions, asked of a registry: part of the doors over a network."""

    @abstractmethod
    def _tracked(self, endpoint: str, kind: type[T], moment: Moment, fields: dict[str, Any]) -> T:
        """Ask an endpoint. ``fields``: of the request, beside the moment's; ``None``: it is not in it."""

    def distribution(self, asked: DistributionAsked) -> Distribution:
        """The driver builds of the fleet, and what they save and load, counted by group."""
        return self._tracked(
            "distribution", Distribution, asked.moment, {"by": asked.by, "where": _scope_words(asked.where)}
        )

    def trend(self, asked: TrendAsked) -> Trend:
        """How many hosts ran which driver build, time after time."""
        fields = {"over_s": asked.over_s, "step_s": asked.step_s, "where": _scope_words(asked.where)}
        return self._tracked("trend", Trend, asked.moment, fields)

    def upgrades(self, asked: UpgradesAsked) -> UpgradePage:
        """The newest of some upgrades, oldest first, page by page."""
        names = ("host", "driver", "since", "until", "limit", "cursor")
        fields = {name: getattr(asked, name) for name in names}
        return self._tracked("upgrades", UpgradePage, asked.moment, fields | {"where": _scope_words(asked.where)})

    def stragglers(self, asked: StragglersAsked) -> Stragglers:
        """Hosts that have a driver and not the build of it that is wanted, page by page."""
        fields: dict[str, Any] = {"driver": build_words(asked.wanted), "limit": asked.limit, "cursor": asked.cursor}
        fields |= {"where": _scope_words(asked.where), "half": asked.half or None}
        return self._tracked("stragglers", Stragglers, asked.moment, fields)


def upgrade_pages(door: Door, asked: UpgradesAsked) -> Iterator[UpgradePage]:
    """Every page from ``asked.cursor`` on, the newest first, all as known at the position of the first."""
    while True:
        page = door.upgrades(asked)
        yield page
        if page.next is None:
            return
        asked = structs.replace(asked, moment=_fixed(asked.moment, page.position), cursor=page.next)


def straggler_pages(door: Door, asked: StragglersAsked) -> Iterator[Stragglers]:
    """Every page from ``asked.cursor`` on, all as known at the position of the first."""
    while True:
        page = door.stragglers(asked)
        yield page
        if page.next is None:
            return
        asked = structs.replace(asked, moment=_fixed(asked.moment, page.position), cursor=page.next)


def _fixed(moment: Moment, position: int) -> Moment:
    return moment if moment.known_at is not None else structs.replace(moment, known_at=position)


def _scope_words(scope: Scope) -> str | None:
    return words_of(scope) or None
