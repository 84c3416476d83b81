"""Hosts that have a driver, and not yet the build of it that is wanted. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import structs

from mdevreg.facts import NOW, Moment
from mdevreg.records import DriverBuild, ModuleFile
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

    ``since``: of those builds that still run, the oldest. ``devices``: on these parents. ``on_disk``: the files of
    their modules that are another build than the one that runs; ``half``: on so many of the parents that is the build
    that is wanted, and only has to be loaded. What agents of before record schema 1.2 see is not known: none.
    """

    host: str
    hostname: str
    builds: tuple[DriverBuild, ...]
    since: datetime
    parents: tuple[str, ...]
    site: str | None = None
    upgraded: int = 0
    devices: int = 0
    half: int = 0
    on_disk: tuple[ModuleFile, ...] = ()


class Stragglers(msgspec.Struct, frozen=True):
    """Some stragglers, by host id. ``hosts``: that have the driver; ``behind``: how many of them are stragglers.

    ``next``: the cursor of the page after this one; ``None`` on the last. A page of those that are half done may be
    short, or empty, and have a ``next``: it looks at so many stragglers and no more.
    """

    position: int
    wanted: str
    hosts: int
    behind: int
    stragglers: tuple[Straggler, ...]
    next: str | None = None
    snapshot: str = ""


class StragglersAsked(msgspec.Struct, frozen=True):
    """Which build is wanted, on which hosts: the keys of ``KEYS``. ``cursor``: ``next`` of the page before.

    ``half``: only those on which it is on disk and not loaded.
    """

    wanted: WantedBuild
    where: Scope = FLEET
    half: bool = False
    limit: int = DEFAULT_STRAGGLERS
    cursor: str | None = None
    moment: Moment = NOW


class Behind(msgspec.Struct, frozen=True):
    """A straggler before anything else is known of it. ``runs``: of other builds; ``upgraded``: how many are done."""

    host: str
    runs: tuple[Run, ...]
    upgraded: int

    @property
    def builds(self) -> tuple[DriverBuild, ...]:
        """What runs."""
        return tuple(sorted({run.build for run in self.runs}, key=repr))

    @property
    def since(self) -> datetime:
        """Since when the oldest of it does."""
        return moment_of(min(run.begin_us for run in self.runs))

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the parents."""
        return tuple(sorted({run.path for run in self.runs}))


def check_scope(scope: Scope) -> None:
    """Raises ``UsageError`` for a scope that asks for what is not told of a straggler."""
    refuse_other_keys(scope, KEYS, "a straggler")


def concerns(wanted: WantedBuild, build: DriverBuild) -> bool:
    """Whether a build is one of the driver that is wanted."""
    return wanted.name in (build.name, build.module)


def differs(file: ModuleFile, build: DriverBuild) -> bool:
    """Whether a module's file is surely another build than the one that runs: by any key that both have."""
    keys = ("version", "srcversion", "build_id")
    pairs = [(getattr(file, key), getattr(build, key)) for key in keys]
    return any(one != other for one, other in pairs if one is not None and other is not None)


def loaded_from(file: ModuleFile, build: DriverBuild) -> DriverBuild:
    """The build that would run if a module's file were loaded in the place of one."""
    return structs.replace(build, version=file.version, srcversion=file.srcversion, build_id=file.build_id)


def behind(host: str, runs: list[Run], wanted: WantedBuild) -> Behind | None:
    """What keeps a host from being done; ``None``: nothing. Requires what runs there now, of that driver."""
    other = tuple(run for run in runs if not wanted.is_met_by(run.build))
    return Behind(host, other, len(runs) - len(other)) if other else None
