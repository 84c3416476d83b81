"""Plans over any door: what an upgrade would do, in which order nobody is stranded, the fleet's islands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from msgspec import structs

from mdevreg.errors import StateError
from mdevreg.facts import NOW, Moment
from mdevreg.planning.asked import IslandsAsked, UpgradeAsked, WavesAsked
from mdevreg.planning.forecast import UpgradeForecast
from mdevreg.planning.goals import words_of as goal_words
from mdevreg.planning.islands import Islands
from mdevreg.planning.waves.course import PlanCheck
from mdevreg.planning.waves.ordering import Progress
from mdevreg.planning.waves.paging import DEFAULT_ROWS, MAX_ROWS, Plans
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.query.door import Door
from mdevreg.rules import words_of

#: How much longer than other questions a forecast or a map may take, and an order of waves.
FORECAST_S, WAVES_S = 30.0, 300.0


def silent(_done: int, _of: int) -> None:
    """No progress is told."""


@runtime_checkable
class PlanningDoor(Protocol):
    """A door that plans where the facts are: in this process, or at the registry."""

    def forecast(self, asked: UpgradeAsked, *, now: datetime) -> UpgradeForecast:
        """What an upgrade would do; nothing is written."""
        ...

    def waves(self, asked: WavesAsked, *, now: datetime, progress: Progress = silent) -> UpgradeWaves:
        """An order of an upgrade. ``progress``: hosts so far, of how many; only where it is planned in this process."""
        ...

    def check_plan(self, campaign: str, moment: Moment, *, now: datetime) -> PlanCheck:
        """How the fleet stands to a campaign's plan."""
        ...

    def islands(self, asked: IslandsAsked, *, now: datetime) -> Islands:
        """The fleet as a graph of kinds."""
        ...


@runtime_checkable
class KeepingDoor(PlanningDoor, Protocol):
    """A door that plans in this process, and keeps what it told in part."""

    plans: Plans


def plan_upgrade(door: Door, asked: UpgradeAsked, *, now: datetime) -> UpgradeForecast:
    """What would become of the fleet if some hosts were upgraded.

    Raises ``NotFoundError``, ``UsageError``, ``VersionError``, ``StateError`` (NO_PLANS), and ``MissingExtraError``.
    """
    return _planning(door).forecast(asked, now=now)


def plan_waves(door: Door, asked: WavesAsked, *, now: datetime, progress: Progress = silent) -> UpgradeWaves:
    """An order of upgrades in waves under limits, or the smallest proof why there is none.

    Raises as ``plan_upgrade``.
    """
    return _planning(door).waves(asked, now=now, progress=progress)


def waves_page(door: Door, asked: WavesAsked, *, now: datetime, cursor: str | None, limit: int | None) -> UpgradeWaves:
    """One page of a plan; with the ``cursor`` of the page before the rest of that plan, and nothing is planned anew.

    Raises as ``plan_upgrade``, and ``UsageError`` (BAD_CURSOR, PLAN_GONE).
    """
    rows = min(limit or DEFAULT_ROWS, MAX_ROWS)
    if not isinstance(door, KeepingDoor):
        raise _no_plans()
    return door.plans.begin(door.waves(asked, now=now), rows) if cursor is None else door.plans.go_on(cursor, rows)


def islands(door: Door, asked: IslandsAsked, *, now: datetime) -> Islands:
    """Where devices can go round, where they are trapped, and what holds the fleet together.

    Raises as ``plan_upgrade``.
    """
    return _planning(door).islands(asked, now=now)


def check_plan(door: Door, campaign: str, *, now: datetime, moment: Moment = NOW) -> PlanCheck:
    """How the fleet stands to the plan of a campaign: does what is left of it still hold, step by step?

    Raises ``NotFoundError``, ``UsageError`` (NO_PLAN), ``StateError`` (NO_PLANS).
    """
    return _planning(door).check_plan(campaign, moment, now=now)


def upgrade_fields(asked: UpgradeAsked) -> dict[str, Any]:
    """The fields of a request about an upgrade, its moment aside. Raises ``UsageError``."""
    return {"where": words_of(asked.where) or None, **goal_words(asked.goal)}


def waves_fields(asked: WavesAsked) -> dict[str, Any]:
    """The fields of a request for an order, its moment aside. Raises ``UsageError``."""
    return {"where": words_of(asked.where) or None, **goal_words(asked.goal), **structs.asdict(asked.limits)}


def every_page(page: Callable[[str | None], UpgradeWaves]) -> Iterator[UpgradeWaves]:
    """All pages of a plan, each asked for by the cursor of the one before."""
    found = page(None)
    yield found
    while found.next is not None:
        found = page(found.next)
        yield found


def _planning(door: Door) -> PlanningDoor:
    if isinstance(door, PlanningDoor):
        return door
    raise _no_plans()


def _no_plans() -> StateError:
    return StateError("this door makes no plans; ask nats://, http://, replica+nats:// or a database", code="NO_PLANS")
