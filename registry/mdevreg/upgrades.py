"""Driver upgrades as facts: what a door hands out of them. Worked out by ``mdevreg.upgrading``. Pure.

An upgrade is that parents of a host, which ran one build of a driver, run another. A parent that is new is none; a host
that was installed anew has a new id, and so no past.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from mdevreg.facts import NOW, Moment
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Scope
from mdevreg.scopes import fits, refuse_other_keys, told_of
from mdevreg.support import Support

#: Upgrades of one page, unless said otherwise, and at most.
DEFAULT_UPGRADES, MAX_UPGRADES = 100, 1_000
#: The keys of a scope that are told of an upgrade; those of a build may be of either one.
KEYS = ("host", "site", "parent", "type", "driver", "kernel_release", "version", "srcversion", "build_id")

#: *kernel*: another kernel release, the module's version is the same; *rebuild*: kernel and version are the same;
#: *upgrade*: another version, which is no lower; *downgrade*: a lower one.
Kind = Literal["upgrade", "downgrade", "kernel", "rebuild"]


class Gap(msgspec.Struct, frozen=True):
    """The time in which a host offered nothing of what the upgrade's parents had offered before.

    ``end`` and ``seconds`` are ``None`` where nothing of it was offered again under the new build.
    """

    begin: datetime
    end: datetime | None
    seconds: float | None


class StreamEffect(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of types that are alike, on how many of the parents. ``None``: they were not offered.

    What is saved and loaded is as the registry understands it at the answer's moment.
    """

    types: tuple[str, ...]
    parents: int
    before: Support | None = None
    after: Support | None = None


class Upgrade(msgspec.Struct, frozen=True, omit_defaults=True):
    """Parents of one host went from one build of a driver to another.

    ``first_at``, ``last_at``: when the first and the last of them began to run it. ``rolled_back``: one of them had run
    it before, or its version is lower. ``flapping``: it is one of several, back and forth (``mdevreg.upgrading``).
    ``devices``: that were on the parents when the first of them stopped to run the old build. ``positions``: of the
    records that told all this.
    """

    host: str
    hostname: str
    driver: str
    before: DriverBuild
    after: DriverBuild
    first_at: datetime
    last_at: datetime
    kind: Kind
    parents: tuple[str, ...]
    site: str | None = None
    rolled_back: bool = False
    flapping: bool = False
    devices: int = 0
    gap: Gap | None = None
    streams: tuple[StreamEffect, ...] = ()
    positions: tuple[int, ...] = ()


class UpgradePage(msgspec.Struct, frozen=True):
    """Some upgrades, oldest first. ``next``: the cursor of the page of older ones; ``None``: there are none."""

    position: int
    upgrades: tuple[Upgrade, ...]
    next: str | None = None
    snapshot: str = ""


class UpgradesAsked(msgspec.Struct, frozen=True):
    """Which upgrades: of a host, of a driver, whose ``last_at`` is in ``[since, until)``; the newest of them.

    ``host``: an id or a hostname; ``driver``: its name. ``where``: the keys of ``KEYS``.
    """

    host: str | None = None
    driver: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    where: Scope = FLEET
    limit: int = DEFAULT_UPGRADES
    cursor: str | None = None
    moment: Moment = NOW


def check_scope(scope: Scope) -> None:
    """Raises ``UsageError`` for a scope that asks for what is not told of an upgrade."""
    refuse_other_keys(scope, KEYS, "an upgrade")


def covers(scope: Scope, upgrade: Upgrade) -> bool:
    """Whether an upgrade is in a scope."""
    if scope == FLEET:
        return True
    told: dict[str, tuple[str | None, ...]] = {
        "host": (upgrade.host, upgrade.hostname),
        "site": (upgrade.site,),
        "parent": upgrade.parents,
        "type": tuple(kind for effect in upgrade.streams for kind in effect.types),
    }
    return fits(scope, told | told_of(upgrade.before, upgrade.after))
