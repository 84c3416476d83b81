"""A plan as a campaign keeps it, and how the fleet stands to it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from mdevreg.errors import UsageError
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.shapes import Line, Name, Strict
from mdevreg.verdict import Outcome

#: The form of what is kept.
KEPT_SCHEMA = "1"

#: *gone*: a host of the plan is not known any more. *early*: it was upgraded before an earlier wave was through.
#: *moved*: a device is not where its migration begins. *unplaced*: a device on a host of a wave has no migration in it.
#: *broken*: what is left of the plan does not hold any more, step by step.
What = Literal["gone", "early", "moved", "unplaced", "broken"]


class Deviation(msgspec.Struct, frozen=True):
    """One thing that is not as planned. ``endangers``: a device may be without a place to go."""

    what: What
    text: str
    endangers: bool = False
    host: str | None = None
    device: str | None = None


class PlanCheck(msgspec.Struct, frozen=True):
    """How the fleet stands to a campaign's plan.

    ``outcome``: *compatible*: what is left of it holds; *incompatible*: it endangers devices. ``done``: hosts that are
    upgraded, ``left``: that are not. ``wave``: the number of the next one; ``None``: all are through.
    """

    campaign: str
    outcome: Outcome
    done: int
    left: int
    wave: int | None
    deviations: tuple[Deviation, ...]
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    snapshot: str = ""


class KeptMove(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A migration, as a list: it is kept a thousand times."""

    device: Name
    type: Name
    source: Name
    target: Name
    parent: Name


class KeptWave(Strict, frozen=True):
    """A wave."""

    hosts: tuple[Name, ...]
    migrations: tuple[KeptMove, ...] = ()


class KeptPlan(Strict, frozen=True):
    """What a campaign keeps of a plan."""

    schema: Line
    goal: Line
    limits: Limits
    waves: tuple[KeptWave, ...]
    position: int = 0  # of the log, that it was made at


def kept(plan: UpgradeWaves) -> dict[str, Any]:
    """The plan of a campaign. Raises ``UsageError`` for one that does not reach all hosts, or has none."""
    if plan.outcome is not Outcome.COMPATIBLE:
        raise UsageError(f"the plan is no order of all hosts: {len(plan.left)} are left; a campaign can't follow it")
    if not plan.waves:
        raise UsageError("the plan has no wave: none of its hosts is to become another; there is nothing to follow")
    waves = tuple(
        KeptWave(
            hosts=wave.hosts,
            migrations=tuple(
                KeptMove(each.device, each.type, each.source, each.target, each.parent) for each in wave.migrations
            ),
        )
        for wave in plan.waves
    )
    whole = KeptPlan(schema=KEPT_SCHEMA, goal=plan.goal, limits=plan.limits, waves=waves, position=plan.position)
    found: dict[str, Any] = msgspec.to_builtins(whole)
    return found


def read(plan: dict[str, Any]) -> KeptPlan:
    """A kept plan. Raises ``UsageError`` (NO_PLAN) for an object that is none."""
    try:
        return msgspec.convert(plan, KeptPlan)
    except msgspec.ValidationError as error:
        text = f"what the campaign keeps is no plan of waves: {error}; `mdevreg plan waves -o json` makes one"
        raise UsageError(text, code="NO_PLAN") from error
