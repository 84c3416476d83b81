"""What would do where no order is found: changes that are tried, cheapest first, by planning with them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from msgspec import structs

from mdevreg.planning.overlay import Overlay
from mdevreg.planning.waves.finding import find, find_on
from mdevreg.planning.waves.grounds import Grounds
from mdevreg.planning.waves.limits import Limits
from mdevreg.planning.waves.plan import Blocked, Relaxation, What
from mdevreg.wanted import WantedBuild

#: Spare hosts that are tried; relaxations that are told.
SPARE_HOSTS, TOLD = (1, 2, 4), 3


class _Change(NamedTuple):
    """One thing to try. ``works``: whether a whole order is found with it."""

    what: What
    text: str
    cost: int
    works: Callable[[], bool]


def relaxations(grounds: Grounds, limits: Limits, blocked: Blocked) -> tuple[Relaxation, ...]:
    """The cheapest that would do, each by itself."""
    found: list[Relaxation] = []
    for change in sorted(_Changes(grounds, limits, blocked).all(), key=lambda each: each.cost):
        if len(found) == TOLD:
            break
        if any(each.what == change.what for each in found):
            continue  # more of what does already
        if change.works():
            found.append(Relaxation(change.what, change.text, change.cost))
    return tuple(found)


class _Changes:
    """All that are worth a try."""

    def __init__(self, grounds: Grounds, limits: Limits, blocked: Blocked) -> None:
        self._grounds, self._limits, self._blocked = grounds, limits, blocked

    def all(self) -> Iterator[_Change]:
        """In no order."""
        yield from self._of_limits()
        yield from self._of_rules()
        yield from self._of_hosts()
        yield from self._of_builds()
        yield from self._of_devices()

    def _of_limits(self) -> Iterator[_Change]:
        limits = self._limits
        if limits.return_path:
            yield self._with(
                "return_path", "do without a way back", 1, limits=structs.replace(limits, return_path=False)
            )
        for spare in sorted({limits.spare // 2, limits.spare - 1, 0} - {limits.spare}, reverse=True):
            if 0 <= spare < limits.spare:
                text = f"keep {spare} instances of each type spare instead of {limits.spare}"
                yield self._with("spare", text, 1 + limits.spare - spare, limits=structs.replace(limits, spare=spare))

    def _of_rules(self) -> Iterator[_Change]:
        """Rules that say no: an end of one of them may be the way."""
        if not {"RULE_DENIES", "RULE_PIN_EXCLUDES"} & set(self._blocked.codes):
            return
        overlay = self._grounds.overlay
        for rule in overlay.table.rules.in_force:
            if rule.effect in ("deny", "pin"):
                yield self._with("rule", f"end the {rule}", 3, grounds=self._over(overlay.without(rule.id)))

    def _of_hosts(self) -> Iterator[_Change]:
        entry = next(each for each in self._grounds.entries if each.name == self._blocked.host)
        for count in SPARE_HOSTS:
            text = f"{count} more empty host{'s' if count > 1 else ''} like {entry.name}, upgraded with the others"
            yield self._with("spare_host", text, 4 * count, grounds=self._grounds.with_spares(entry, count))

    def _of_builds(self) -> Iterator[_Change]:
        """Builds that hosts run today: over one of them there may be a way."""
        goal = self._grounds.overlay.goal
        if not isinstance(goal, WantedBuild):
            return
        for build in self._grounds.builds(goal.name):
            if not goal.is_met_by(build):
                between = WantedBuild(
                    name=goal.name, version=build.version, srcversion=build.srcversion, build_id=build.build_id
                )
                if between.version or between.srcversion or between.build_id:
                    text = f"upgrade to {between} first, then to {goal}"
                    yield _Change("intermediate", text, 6, partial(self._in_two_steps, between))

    def _of_devices(self) -> Iterator[_Change]:
        """Guests that are shut down need no place."""
        stuck = self._grounds.stuck(self._limits)
        if stuck:
            names = ", ".join(sorted(stuck)[:3]) + (", …" if len(stuck) > 3 else "")  # noqa: PLR2004
            text = f"shut down {len(stuck)} device{'s' if len(stuck) > 1 else ''} that can't leave: {names}"
            yield self._with("stop", text, 8 + len(stuck), grounds=self._grounds.without_devices(stuck))

    def _with(
        self, what: What, text: str, cost: int, *, grounds: Grounds | None = None, limits: Limits | None = None
    ) -> _Change:
        grounds, limits = grounds or self._grounds, limits or self._limits
        return _Change(what, text, cost, lambda: not find(grounds, limits).left)

    def _over(self, overlay: Overlay) -> Grounds:
        return self._grounds._replace(overlay=overlay)

    def _in_two_steps(self, between: WantedBuild) -> bool:
        first = find(self._over(self._grounds.overlay.towards(between)), self._limits)
        return not first.left and not find_on(self._grounds.again(first.yard, self._limits))
