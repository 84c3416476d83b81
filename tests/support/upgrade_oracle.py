"""Upgrades the slow way: a host is a list of states, and every question is answered by looking at all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

from mdevreg.errors import VersionError
from mdevreg.records import DriverBuild
from mdevreg.support import Support
from mdevreg.times import moment_of
from mdevreg.upgrades import Gap, StreamEffect, Upgrade
from mdevreg.versions import StreamVersion, compare

DAY_US = 86_400_000_000


class Seen(msgspec.Struct, frozen=True):
    """A host from ``at_us`` on, told at ``position``: its builds by (path, driver), offers by (path, type), devices."""

    at_us: int
    position: int
    builds: dict[tuple[str, str], DriverBuild]
    offers: dict[tuple[str, str], str]
    devices: dict[str, int]


class Turned(msgspec.Struct, frozen=True):
    """A parent ran ``before`` in ``[began, ended)`` and ``after`` in ``[at, until)``, all places of states."""

    path: str
    before: DriverBuild
    after: DriverBuild
    began: int
    ended: int
    at: int
    until: int
    again: bool


class Oracle:
    """Everything about one host's upgrades. ``states``: by time, no two at the same."""

    def __init__(
        self,
        states: list[Seen],
        understand: Callable[[str], Support],
        name: Callable[[str], str] = lambda path: path,
        **host: Any,
    ) -> None:
        self._states, self._understand, self._name, self._host = states, understand, name, host

    def upgrades(self) -> list[Upgrade]:
        """All of them, by time of their last turns."""
        drivers = sorted({driver for state in self._states for _, driver in state.builds})
        found = [upgrade for driver in drivers for upgrade in self._of(driver)]
        return sorted(found, key=lambda each: (each.last_at, each.first_at, each.driver))

    def _of(self, driver: str) -> list[Upgrade]:
        groups: list[list[Turned]] = []
        turns = sorted(self._turns(driver), key=lambda t: (t.at, repr(t.before), repr(t.after), t.path))
        for turn in turns:
            if groups and (groups[-1][0].before, groups[-1][0].after) == (turn.before, turn.after):
                groups[-1].append(turn)
            else:
                groups.append([turn])
        flapping = set()
        for first, group in enumerate(groups[:-2]):
            second, third = groups[first + 1], groups[first + 2]
            went = [(some[0].before, some[0].after) for some in (group, second, third)]
            within = self._us(third[0].at) - self._us(group[0].at) <= DAY_US
            if within and went[0] == went[2] == went[1][::-1]:
                flapping |= {first, first + 1, first + 2}
        return [self._upgrade(driver, group, place in flapping) for place, group in enumerate(groups)]

    def _turns(self, driver: str) -> Iterator[Turned]:
        for path in sorted({path for state in self._states for path, name in state.builds if name == driver}):
            builds = [state.builds.get((path, driver)) for state in self._states]
            begun = [at for at, build in enumerate(builds) if build is not None and builds[at - 1 : at] != [build]]
            for old, at in pairwise(begun):
                before, after = builds[old], builds[at]
                assert before is not None
                assert after is not None
                if before != after:
                    again = after in builds[:at]
                    yield Turned(path, before, after, old, self._end(builds, old), at, self._end(builds, at), again)

    @staticmethod
    def _end(values: list[Any], at: int) -> int:
        return next((later for later in range(at, len(values)) if values[later] != values[at]), len(values))

    def _us(self, place: int) -> int:
        return self._states[place].at_us

    def _upgrade(self, driver: str, turns: list[Turned], flapping: bool) -> Upgrade:
        before, after = turns[0].before, turns[0].after
        lower = _lower(after.version, before.version)
        kind = "rebuild" if before.kernel_release == after.kernel_release else "kernel"
        if before.version != after.version:
            kind = "downgrade" if lower else "upgrade"
        began = min(turn.ended for turn in turns)
        return Upgrade(
            **self._host,
            driver=driver,
            before=before,
            after=after,
            first_at=moment_of(self._us(turns[0].at)),
            last_at=moment_of(self._us(turns[-1].at)),
            kind=kind,  # type: ignore[arg-type]
            parents=tuple(sorted(self._name(turn.path) for turn in turns)),
            rolled_back=kind == "downgrade" or any(turn.again for turn in turns),
            flapping=flapping,
            devices=sum(self._states[began - 1].devices.get(turn.path, 0) for turn in turns),
            gap=self._gap(turns),
            streams=self._streams(turns),
            positions=tuple(sorted({at for turn in turns for at in self._positions(turn)})),
        )

    def _offered(self, path: str, place: int) -> dict[str, str]:
        return {kind: digest for (there, kind), digest in self._states[place].offers.items() if there == path}

    def _last(self, turn: Turned) -> int | None:
        """The last state before the turn in which its parent offers anything."""
        return next((at for at in reversed(range(turn.began, turn.at)) if self._offered(turn.path, at)), None)

    def _first(self, turn: Turned) -> int | None:
        return next((at for at in range(turn.at, turn.until) if self._offered(turn.path, at)), None)

    def _gap(self, turns: list[Turned]) -> Gap | None:
        ends, begins = [], []
        for turn in turns:
            last = self._last(turn)
            if last is None:
                continue
            ends.append(last + 1)
            types = self._offered(turn.path, last).keys()
            begins += [at for at in range(turn.at, turn.until) if types & self._offered(turn.path, at).keys()][:1]
        if not ends or (begins and min(begins) <= max(ends)):
            return None
        end = self._us(min(begins)) if begins else None
        begin = self._us(max(ends))
        seconds = None if end is None else (end - begin) / 1e6
        return Gap(moment_of(begin), None if end is None else moment_of(end), seconds)

    def _streams(self, turns: list[Turned]) -> tuple[StreamEffect, ...]:
        counts: dict[tuple[str, str | None, str | None], int] = {}
        for turn in turns:
            last, first = self._last(turn), self._first(turn)
            old = {} if last is None else self._offered(turn.path, last)
            new = {} if first is None else dict(self._offered(turn.path, first))
            for kind in old:
                offered = [self._offered(turn.path, at).get(kind) for at in range(turn.at, turn.until)]
                new.update((kind, each) for each in offered[::-1] if each is not None)
            for kind in old.keys() | new.keys():
                key = (kind, old.get(kind), new.get(kind))
                counts[key] = counts.get(key, 0) + 1
        found: list[StreamEffect] = []
        for (kind, one, other), parents in sorted(counts.items(), key=repr):
            ends = [None if digest is None else self._understand(digest) for digest in (one, other)]
            alike = [each for each in found if [each.before, each.after, each.parents] == [*ends, parents]]
            types = (kind, *(name for each in alike for name in each.types))
            found = [each for each in found if each not in alike]
            found.append(StreamEffect(tuple(sorted(set(types))), parents, *ends))
        return tuple(sorted(found, key=lambda each: (each.types, -each.parents)))

    def _positions(self, turn: Turned) -> Iterator[int]:
        yield self._states[turn.at].position
        yield self._states[turn.ended].position
        last, first = self._last(turn), self._first(turn)
        for kind, digest in {} if last is None else self._offered(turn.path, last).items():
            assert last is not None
            over = next(
                (at for at in range(last, turn.at + 1) if self._offered(turn.path, at).get(kind) != digest), None
            )
            if over is not None:
                yield self._states[over].position
        for kind, digest in {} if first is None else self._offered(turn.path, first).items():
            assert first is not None
            at = first
            while at > 0 and self._offered(turn.path, at - 1).get(kind) == digest:
                at -= 1
            if at >= turn.ended:
                yield self._states[at].position


def _lower(version: str | None, than: str | None) -> bool:
    try:
        found = [StreamVersion.parse(text or "", "dotted") for text in (version, than)]
    except VersionError:
        return False
    return compare(*found) == "<"
