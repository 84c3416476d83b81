"""What an upgrade would do, as it is told. Pure; made by ``mdevreg.planning.foresee``.

A *place* is a type that a parent of a host offers; a *path* leads from a place to one of the same type on another
host. A device is *stranded* while no other host would take it, capacity aside; *crowded* while those that would are
full.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from mdevreg.fleet.matrix import KindSummary
from mdevreg.planning.overlay import Learned
from mdevreg.records import DriverBuild
from mdevreg.support import Support
from mdevreg.verdict import Outcome


class KindChange(msgspec.Struct, frozen=True):
    """What becomes of one kind of places. ``learned``: how that is known; ``places``: that change."""

    type: str
    driver: DriverBuild | None
    support: Support
    new_driver: DriverBuild | None
    new_support: Support
    learned: Learned
    hosts: int
    places: int


class PathChange(msgspec.Struct, frozen=True):
    """Paths between two kinds of places whose answer turns. ``codes``: the reasons afterwards.

    ``source_upgraded``, ``target_upgraded``: whether that end is among the hosts that are upgraded.
    """

    type: str
    source: KindSummary
    target: KindSummary
    source_upgraded: bool
    target_upgraded: bool
    paths: int
    before: Outcome
    after: Outcome
    codes: tuple[str, ...]


class Paths(msgspec.Struct, frozen=True):
    """How many paths: open ``before`` and ``after``; closed by the upgrade for certain, opened, doubtful then.

    ``one_way``: pairs of places that were open both ways and are open in one direction only.
    """

    before: int
    after: int
    lost: int
    gained: int
    unknown: int
    one_way: int
    changes: tuple[PathChange, ...] = ()


class StrandedGroup(msgspec.Struct, frozen=True):
    """Devices that are alike and have no place to go. ``examples``: some of them, as HOST/DEVICE.

    ``state``: no other host would take them, those that would are full, or whether one would is not known.
    ``upgraded``: whether their hosts are upgraded. ``codes``: why the nearest refuses, ``None`` where nobody offers it.
    """

    type: str
    driver: DriverBuild | None
    support: Support
    state: Literal["stranded", "crowded", "unknown"]
    upgraded: bool
    devices: int
    new: bool  # they are in a better state now
    codes: tuple[str, ...] | None = None
    examples: tuple[str, ...] = ()


class Stranding(msgspec.Struct, frozen=True):
    """How many devices have no way out, at one stage."""

    stranded: int
    crowded: int
    unknown: int
    groups: tuple[StrandedGroup, ...] = ()


class NoReturn(msgspec.Struct, frozen=True):
    """Devices that could leave hosts to be upgraded, and could not come back from any place that takes them."""

    type: str
    driver: DriverBuild | None
    devices: int
    unknown: bool  # whether the way back is not known, rather than closed
    codes: tuple[str, ...]


class TypeCapacity(msgspec.Struct, frozen=True):
    """Free instances of a type, as the kernel tells them: types of one parent may share them, so at most these.

    ``during``: on hosts that are not upgraded; ``evacuees``: devices on those that are. ``left`` = ``during`` less
    ``evacuees``: below nought they can't all leave at once. ``untold``: places that don't tell how many are free.
    """

    type: str
    now: int
    during: int
    evacuees: int
    left: int
    untold: int = 0


class Trial(msgspec.Struct, frozen=True):
    """One thing to find out, of the fewest that would settle all. ``devices``: that have a way out if it is a yes.

    ``migration``: a trial migration between two kinds; ``report``: hosts of the target kind must be heard again.
    """

    what: Literal["migration", "report"]
    type: str
    source: KindSummary
    target: KindSummary
    codes: tuple[str, ...]
    devices: int
    hosts: tuple[str, ...] = ()  # examples of hosts of the target kind


class UpgradeForecast(msgspec.Struct, frozen=True):
    """What would become of the fleet if these hosts were upgraded.

    ``outcome``: *compatible*: nothing is lost; *incompatible*: paths are lost, or devices; *unknown*: it depends on
    what is not known. ``hosts``: selected; ``changing``: those of them on which anything becomes another.
    ``now``: as it is; ``during``: while all of them are away at once; ``after``: when they are back.
    """

    outcome: Outcome
    goal: str
    where: str
    hosts: int
    changing: int
    kinds: tuple[KindChange, ...]
    paths: Paths
    now: Stranding
    during: Stranding
    after: Stranding
    no_return: tuple[NoReturn, ...]
    capacity: tuple[TypeCapacity, ...]
    trials: tuple[Trial, ...]
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    snapshot: str = ""
