"""From runs of driver builds to upgrades: which they are, and what each did. Pure.

Rules of this file:

1. A *turn* is one parent that ran a build and next runs another one of the same driver; between them it may have been
   gone. A parent's first run is no turn.
2. Turns of one host and driver that follow each other in time, from the same build to the same build, are one *move*.
3. A move *flaps* if it is one of ``FLAPS`` in a row within ``FLAPPING_US`` of which each goes back where the one before
   came from.
4. What a parent had offered is what it offered last under the old build: hosts are emptied before an upgrade.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, pairwise

import msgspec
from msgspec import structs

from mdevreg.errors import VersionError
from mdevreg.records import DriverBuild
from mdevreg.runs import Run
from mdevreg.support import Support
from mdevreg.timeline import OPEN
from mdevreg.times import moment_of
from mdevreg.upgrades import Gap, Kind, StreamEffect
from mdevreg.versions import StreamVersion, compare

#: So many moves back and forth within so long are flapping; a day.
FLAPS, FLAPPING_US = 3, 86_400_000_000


_canonical = msgspec.json.Encoder(order="deterministic")


class Turn(msgspec.Struct, frozen=True):
    """One parent went from one run to the next. ``again``: it had run that build before."""

    before: Run
    after: Run
    again: bool = False


class Move(msgspec.Struct, frozen=True):
    """An upgrade before anything else is known of it: its turns, by time."""

    host: str
    driver: str
    turns: tuple[Turn, ...]
    kind: Kind
    rolled_back: bool
    flapping: bool = False

    @property
    def before(self) -> DriverBuild:
        """The build that ran."""
        return self.turns[0].before.build

    @property
    def after(self) -> DriverBuild:
        """The build that runs."""
        return self.turns[0].after.build

    @property
    def first_us(self) -> int:
        """When the first parent ran the new build."""
        return self.turns[0].after.begin_us

    @property
    def last_us(self) -> int:
        """When the last one did."""
        return self.turns[-1].after.begin_us

    @property
    def began_us(self) -> int:
        """When the first parent stopped to run the old build."""
        return min(turn.before.end_us for turn in self.turns)

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Where it stands among others: by its last turn."""
        return (self.last_us, self.first_us, self.host, f"{self.driver} {self.before!r} {self.after!r}")


class Offered(msgspec.Struct, frozen=True):
    """A type that a parent offered in ``[begin_us, end_us)``. ``told``, ``ended``: as of a run."""

    path: str
    type: str
    profile: str
    begin_us: int
    end_us: int = OPEN
    told: int = 0
    ended: int = OPEN


def moves_of(runs: Iterable[Run]) -> Iterator[Move]:
    """The moves in some runs, driver by driver, each by time.

    Requires runs host by host; of each the driver's runs together; of each parent by time.
    """
    for (host, driver), mine in groupby(runs, key=lambda run: (run.host, run.build.name)):
        turns = sorted(_turns(mine), key=_order)
        together = groupby(turns, key=lambda turn: (turn.before.build, turn.after.build))
        yield from _with_flapping([_move(host, driver, tuple(same)) for _, same in together])


def kind_of(before: DriverBuild, after: DriverBuild) -> Kind:
    """What another build is beside the one before it."""
    if before.version != after.version:
        return "downgrade" if _is_lower(after.version, before.version) else "upgrade"
    return "kernel" if before.kernel_release != after.kernel_release else "rebuild"


def gap_of(move: Move, offers: Sequence[Offered]) -> Gap | None:
    """When the host offered nothing of what the move's parents had offered; ``None``: never, or they offered nothing.

    ``offers``: at least those of its parents.
    """
    ends, begins = [], []
    for turn in move.turns:
        types = {offer.type for offer in _last(turn, offers)}
        ends += [min(offer.end_us, turn.after.begin_us) for offer in _last(turn, offers)]
        begins += [offer.begin_us for offer in _under(turn.after, offers, types)]
    if not ends or (begins and min(begins) <= max(ends)):
        return None
    begin = moment_of(max(ends))
    if not begins:
        return Gap(begin, None, None)
    return Gap(begin, moment_of(min(begins)), (min(begins) - max(ends)) / 1e6)


def effects_of(move: Move, offers: Sequence[Offered], understand: Callable[[str], Support]) -> tuple[StreamEffect, ...]:
    """What became of the types that the move's parents offered, or came to offer. ``understand``: by profile digest."""
    pairs: Counter[tuple[str, str | None, str | None]] = Counter()
    for turn in move.turns:
        before, after = _last_profiles(turn, offers), _next_profiles(turn, offers)
        pairs.update((kind, before.get(kind), after.get(kind)) for kind in sorted(before.keys() | after.keys()))
    alike: dict[bytes, StreamEffect] = {}
    for (kind, old, new), parents in sorted(pairs.items(), key=repr):
        ends = (None if old is None else understand(old), None if new is None else understand(new))
        key = _canonical.encode((ends, parents))
        known = alike.get(key)
        types = (kind,) if known is None else tuple(sorted({*known.types, kind}))
        alike[key] = StreamEffect(types, parents, *ends)
    return tuple(sorted(alike.values(), key=lambda effect: (effect.types, -effect.parents)))


def positions_of(move: Move, offers: Sequence[Offered]) -> tuple[int, ...]:
    """The log positions of the records that told the turns, and when the parents last offered and first offered."""
    told: set[int] = set()
    for turn in move.turns:
        told |= {turn.before.ended, turn.after.told}
        told |= {offer.ended for offer in _last(turn, offers) if offer.end_us <= turn.after.begin_us}
        told |= {offer.told for offer in _first(turn, offers) if offer.begin_us >= turn.before.end_us}
    return tuple(sorted(told - {OPEN}))


def _turns(runs: Iterable[Run]) -> Iterator[Turn]:
    for _, mine in groupby(runs, key=lambda run: run.path):
        ran: list[DriverBuild] = []
        before: Run | None = None
        for run in mine:
            if before is not None and before.build != run.build:
                yield Turn(before, run, again=run.build in ran)
            ran.append(run.build)
            before = run


def _order(turn: Turn) -> tuple[int, str, str, str]:
    return (turn.after.begin_us, repr(turn.before.build), repr(turn.after.build), turn.after.path)


def _move(host: str, driver: str, turns: tuple[Turn, ...]) -> Move:
    kind = kind_of(turns[0].before.build, turns[0].after.build)
    return Move(host, driver, turns, kind, kind == "downgrade" or any(turn.again for turn in turns))


def _with_flapping(moves: list[Move]) -> Iterator[Move]:
    flapping: set[int] = set()
    for first in range(len(moves) - FLAPS + 1):
        some = moves[first : first + FLAPS]
        back = all(one.before == other.after and one.after == other.before for one, other in pairwise(some))
        if back and some[-1].first_us - some[0].first_us <= FLAPPING_US:
            flapping |= set(range(first, first + FLAPS))
    for place, move in enumerate(moves):
        yield structs.replace(move, flapping=True) if place in flapping else move


def _is_lower(version: str | None, than: str | None) -> bool:
    """Whether a module's version is lower; not where either has none, or one that has no order."""
    try:
        one, other = (StreamVersion.parse(text or "", "dotted") for text in (version, than))
    except VersionError:
        return False
    return compare(one, other) == "<"


def _last(turn: Turn, offers: Iterable[Offered]) -> list[Offered]:
    """What the parent offered last before it ran the new build."""
    begin_us = turn.after.begin_us
    under = list(_under(structs.replace(turn.before, end_us=begin_us), offers, None))
    end = max((min(offer.end_us, begin_us) for offer in under), default=0)
    return [offer for offer in under if offer.end_us >= end]


def _first(turn: Turn, offers: Iterable[Offered]) -> list[Offered]:
    """What it offered first under the new build."""
    under = list(_under(turn.after, offers, None))
    begin = min((max(offer.begin_us, turn.after.begin_us) for offer in under), default=OPEN)
    return [offer for offer in under if offer.begin_us <= begin]


def _under(run: Run, offers: Iterable[Offered], types: set[str] | None) -> Iterator[Offered]:
    """What the parent of a run offered while it lasted."""
    for offer in offers:
        there = offer.path == run.path and offer.begin_us < run.end_us and offer.end_us > run.begin_us
        if there and (types is None or offer.type in types):
            yield offer


def _last_profiles(turn: Turn, offers: Sequence[Offered]) -> dict[str, str]:
    found = sorted(_last(turn, offers), key=lambda offer: offer.begin_us)
    return {offer.type: offer.profile for offer in found}


def _next_profiles(turn: Turn, offers: Sequence[Offered]) -> dict[str, str]:
    """The profiles of what was offered first, and of what had been offered before, if later."""
    known = set(_last_profiles(turn, offers)) | {offer.type for offer in _first(turn, offers)}
    found = sorted(_under(turn.after, offers, known), key=lambda offer: -offer.begin_us)
    return {offer.type: offer.profile for offer in found}
