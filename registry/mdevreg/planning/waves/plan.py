"""A plan of waves, as it is told. Pure; made by ``mdevreg.planning.waves``, checked by ``mdevreg.planning.replay``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from mdevreg.planning.waves.limits import Limits
from mdevreg.shapes import Count, Line, Name, Strict
from mdevreg.verdict import Outcome


class Migration(Strict, frozen=True):
    """One device goes to a parent of another host. Names of hosts are those of answers."""

    device: Name
    type: Name
    source: Name
    target: Name
    parent: Name


class WavePlan(Strict, frozen=True):
    """One wave: first the migrations, then these hosts are away, then they are back upgraded. ``number``: from 1 on."""

    number: Count
    hosts: tuple[Name, ...]
    migrations: tuple[Migration, ...] = ()


#: Why it does not go on; what would do.
Why = Literal["range", "unknown", "return", "capacity", "spare", "stranding"]
What = Literal["return_path", "spare", "rule", "spare_host", "intermediate", "stop"]


class Blocked(msgspec.Struct, frozen=True):
    """The smallest proof that was found why no order goes on: some devices of one host and what they lack.

    ``why``: *range*: no way leads to a place that stays as it is, ``codes`` of the nearest; *capacity*: ``needed``
    instances, more than are ``open`` to them; *stranding*: whichever way they go, devices elsewhere lose their last
    place; *return*: they could go, not come back; *spare*: too little would be left; *unknown*: facts of the host, or
    the verdicts, are doubtful.
    """

    why: Why
    host: str
    type: str
    devices: tuple[str, ...]
    needed: int
    open: int
    codes: tuple[str, ...] = ()
    text: str = ""


class Relaxation(msgspec.Struct, frozen=True):
    """Something that would do: with it a whole order was found. ``cost``: to compare them by, dearer is more."""

    what: What
    text: str
    cost: int


class UpgradeWaves(msgspec.Struct, frozen=True):
    """An order of upgrades.

    ``outcome``: *compatible*: of all hosts; *incompatible*: there is none; *unknown*: none was found, no proof either.
    ``upgraded``: hosts that are already what they should become; ``left``: hosts that the waves do not reach.
    ``faults``: what a replay of the plan by code of its own found wrong: nothing, unless mdevreg is.
    """

    outcome: Outcome
    goal: str
    where: str
    limits: Limits
    hosts: int
    upgraded: int
    waves: tuple[WavePlan, ...]
    migrations: int
    left: tuple[Name, ...]
    faults: tuple[Line, ...]
    blocked: Blocked | None
    relaxations: tuple[Relaxation, ...]
    position: int
    answered_at: datetime
    as_of: datetime | None = None
    snapshot: Line = ""
    searched: Count = 0  # states that an exhaustive search looked at
    next: Line | None = None  # the cursor of the next page, where a door tells it page by page
