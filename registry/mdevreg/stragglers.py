"""Hosts that have a driver, and not yet the build of it that is wanted. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from mdevreg.facts import NOW, Moment
from mdevreg.records import DriverBuild
from mdevreg.rules import FLEET, Scope
from mdevreg.runs import Run
from mdevreg.scopes import refuse_other_keys
from mdevreg.times import moment_of
from mdevreg.wanted import WantedBuild

#: Hosts of one page, unless said otherwise, and at most.
DEFAULT_STRAGGLERS, MAX_STRAGGLERS = 500, 10_000
#: The keys of a scope that are told of a straggler; those of a build may be of any that it runs.
KEYS = ("host", "site", "driver", "kernel_release", "version", "srcversion", "build_id")


class Straggler(msgspec.Struct, frozen=True, omit_defaults=True):
    """A host that runs other builds of the driver on ``parents``, the one that is wanted on ``upgraded`` of them.

    ``since``: of those builds that still run, the oldest. ``devices``: on these parents.
    """

    host: str
    hostname: str
    builds: tuple[DriverBuild, ...]
    since: datetime
    parents: tuple[str, ...]
    site: str | None = None
    upgraded: int = 0
    devices: int = 0


class Stragglers(msgspec.Struct, frozen=True):
    """Some stragglers, by host id. ``hosts``: that have the driver; ``behind``: how many of them are stragglers.

    ``next``: the cursor of the page after this one; ``None`` on the last.
    """

    position: int
    wanted: str
    hosts: int
    behind: int
    stragglers: tuple[Straggler, ...]
    next: str | None = None
    snapshot: str = ""


class StragglersAsked(msgspec.Struct, frozen=True):
    """Which build is wanted, on which hosts: the keys of ``KEYS``. ``cursor``: ``next`` of the page before."""

    wanted: WantedBuild
    where: Scope = FLEET
    limit: int = DEFAULT_STRAGGLERS
    cursor: str | None = None
    moment: Moment = NOW


class Behind(msgspec.Struct, frozen=True):
    """A straggler before anything else is known of it. ``paths``: of the parents that run another build."""

    host: str
    builds: tuple[DriverBuild, ...]
    since: datetime
    paths: tuple[str, ...]
    upgraded: int


def check_scope(scope: Scope) -> None:
    """Raises ``UsageError`` for a scope that asks for what is not told of a straggler."""
    refuse_other_keys(scope, KEYS, "a straggler")


def concerns(wanted: WantedBuild, build: DriverBuild) -> bool:
    """Whether a build is one of the driver that is wanted."""
    return wanted.name in (build.name, build.module)


def behind(host: str, runs: list[Run], wanted: WantedBuild) -> Behind | None:
    """What keeps a host from being done; ``None``: nothing. Requires what runs there now, of that driver."""
    other = [run for run in runs if not wanted.is_met_by(run.build)]
    if not other:
        return None
    return Behind(
        host=host,
        builds=tuple(sorted({run.build for run in other}, key=repr)),
        since=moment_of(min(run.begin_us for run in other)),
        paths=tuple(sorted({run.path for run in other})),
        upgraded=len(runs) - len(other),
    )
