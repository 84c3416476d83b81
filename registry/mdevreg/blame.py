"""Since when an answer is what it is, and what made it so. Pure.

Looked at is what the registry would have answered, on record, at each moment that something was learned: at the commit
of each entry of the log that concerns the two sides or what is believed, and at each time that a rule began or ended.
How fresh facts were is no part of it (a verdict that only staleness made unknown is none of the turns).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby, takewhile
from typing import Literal

import msgspec

from mdevreg.answering import Answer
from mdevreg.facts import Pair, Side
from mdevreg.records import DriverBuild
from mdevreg.support import Support
from mdevreg.verdict import Outcome, Reason

#: What turned an answer: a record of a host, an entry on what is believed, or a rule's own time.
Cause = Literal["record", "rule", "catalog", "outcome", "time"]


#: Moments that are looked at, at most, and turns that are told: each costs a verdict, a few milliseconds.
MAX_POINTS = 2_000
MAX_TURNS = 1_000


class Entry(msgspec.Struct, frozen=True):
    """An entry of the log as evidence.

    ``body``: as it was received, ``null`` where it is too long to be told; ``author``: of the registry's own entries.
    Times: when the agent observed it, the broker stored it, the registry committed it.
    """

    position: int
    kind: str
    host: str
    observed_at: datetime
    received_at: datetime
    committed_at: datetime
    sha256: str
    body: msgspec.Raw
    hostname: str | None = None  # as it was known there
    author: str | None = None


class Point(msgspec.Struct, frozen=True):
    """A moment at which an answer may have turned: what was true at ``at`` as known at ``position``.

    ``cause``: the entry at that position, or for ``time`` the rule that began or ended then.
    """

    at: datetime
    position: int
    cause: Cause
    rule: str = ""


class Said(msgspec.Struct, frozen=True):
    """What was answered: an outcome and its reasons, the driver builds and streams of the two sides.

    ``outcome`` is ``None`` where there was no answer, ``problem`` says why: the device, or the host, was not known.
    """

    outcome: Outcome | None
    reasons: tuple[Reason, ...] = ()
    source_driver: DriverBuild | None = None
    target_driver: DriverBuild | None = None
    saves: Support | None = None  # the source's
    loads: Support | None = None  # the target's
    problem: str = ""


class Turn(msgspec.Struct, frozen=True):
    """The answer turned at a point; ``entry``: what was learned there, ``None`` where a rule's own time came."""

    point: Point
    before: Said
    after: Said
    entry: Entry | None = None


class Blame(msgspec.Struct, frozen=True):
    """Why the answer is what it is. ``said``: the answer; ``turns``: the newest first; the first one made it so.

    ``points``: how many moments were looked at; ``complete``: false where the search ended before there were as many
    turns as were asked for, or no more moments.
    """

    device: str
    to: str
    said: Said
    turns: tuple[Turn, ...]
    points: int
    complete: bool
    position: int
    as_of: datetime | None = None
    snapshot: str = ""


def turned(points: Iterable[Point], said: Callable[[Point], Said]) -> Iterator[tuple[Point, Said, Said]]:
    """Where an answer turned, the newest first: the point, what was said before it, and from it on.

    ``points``: the newest first; ``said``: what would have been answered at one. What was committed at once was never
    answered in between: of points of one time the last one counts.
    """
    later: tuple[list[Point], Said] | None = None
    for _, group in groupby(points, key=lambda point: point.at):
        at_once = list(group)
        now = said(at_once[0])
        if later is not None and later[1].outcome != now.outcome:
            yield _turning(*later, said), now, later[1]
        later = at_once, now
    if later is not None and later[1].outcome is not None:
        yield _turning(*later, said), Said(None, problem="nothing was known before"), later[1]


def _turning(at_once: list[Point], last: Said, said: Callable[[Point], Said]) -> Point:
    """The one of several points of one time from which on it was answered so."""
    so = takewhile(lambda point: said(point).outcome == last.outcome, at_once[1:])
    return [at_once[0], *so][-1]


def said_of(pair: Pair, answer: Answer) -> Said:
    """An answer to a pair as it is compared."""
    target = next((side for side in pair.offers if _is_target(side, answer)), None)
    return Said(
        outcome=answer.verdict.outcome,
        reasons=answer.verdict.reasons,
        source_driver=answer.source.profile.driver,
        target_driver=None if target is None else target.profile.driver,
        saves=answer.source.support,
        loads=answer.target_support,
    )


def _is_target(side: Side, answer: Answer) -> bool:
    return (side.parent, side.profile.type) == (answer.target_parent, answer.target_type)
