"""What every door says of driver upgrades. A door passes with an ``open_real`` fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import msgspec
import pytest
from msgspec import structs

from contracts.door_contract import AHEAD, MOMENTS, OpenDoor, _second
from mdevreg.distribution import GROUPS, By, DistributionAsked
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.moments import moment_in
from mdevreg.query.door import Door
from mdevreg.query.tracking import straggler_pages, upgrade_pages
from mdevreg.rules import FLEET, Scope
from mdevreg.stragglers import StragglersAsked
from mdevreg.trends import TrendAsked
from mdevreg.upgrades import UpgradesAsked
from mdevreg.wanted import WantedBuild, wanted_in
from support.door_fleet import memory_door

WHERE = {
    "all": FLEET,
    "a site": Scope(site=("lab",)),
    "another": Scope(site=("x*",)),
    "hosts": Scope(host=("beta", "host-c", "tw*")),
    "a driver's version": Scope(driver=("mtty",), version=("2", "3")),
}
TYPED = {
    "a type": Scope(type=("mtty-2",)),
    "a parent": Scope(parent=("mtty?",)),
    "an api": Scope(device_api=("vfio*",)),
}


class UpgradeContract:
    """Every door tells the same upgrades of ``support.door_fleet``."""

    @pytest.fixture
    def door(self, open_real: OpenDoor) -> Iterator[Door]:
        with open_real() as door:
            yield door

    @pytest.mark.parametrize("by", [None, *GROUPS])
    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_builds_are_counted_by_group(self, door: Door, moment: Moment, by: By | None) -> None:
        for where in (*WHERE.values(), *TYPED.values()):
            asked = DistributionAsked(by, where, moment)
            found, expected = door.distribution(asked), memory_door().distribution(asked)
            assert found.drivers == expected.drivers, where
            assert found.by == by

    def test_a_distribution_says_what_builds_save_and_load(self, door: Door) -> None:
        found = door.distribution(DistributionAsked("site"))
        newest = next(each for each in found.drivers if each.build.version == "3")
        assert (newest.group, newest.hosts, newest.parents) == ("lab", 1, 1)
        (stream,) = newest.streams
        assert (stream.hosts, stream.types, stream.format, str(stream.loads)) == (1, ("mtty-1",), "mtty", "[2, 3]")
        assert found.position == memory_door().position
        plain = [(each.build, each.hosts, each.parents) for each in door.distribution(DistributionAsked()).drivers]
        assert plain == [(each.build, each.hosts, each.parents) for each in door.drivers(NOW).drivers]

    @pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)
    def test_a_trend_is_what_ran_time_after_time(self, door: Door, where: Scope) -> None:
        for known_at in (None, 8, 9):
            asked = TrendAsked(8, 1, where, Moment(_second(7), known_at))
            found, expected = door.trend(asked), memory_door().trend(asked)
            assert (found.times, found.drivers) == (expected.times, expected.drivers)
            assert found.step_s == 1
        assert door.trend(TrendAsked(90 * 86_400)).drivers[0].hosts[-1] > 0

    def test_beta_went_up_and_back(self, door: Door) -> None:
        up, back = door.upgrades(UpgradesAsked()).upgrades
        assert [(each.hostname, each.before.version, each.after.version) for each in (up, back)] == [
            ("beta", "3", "4"),
            ("beta", "4", "3"),
        ]
        assert (up.first_at, up.kind, up.rolled_back, up.positions) == (_second(4), "upgrade", False, (9,))
        assert (back.first_at, back.kind, back.rolled_back, back.positions) == (_second(5), "downgrade", True, (10,))
        (effect,) = up.streams
        loads = [getattr(support, "loads", None) for support in (effect.before, effect.after)]
        assert list(map(str, loads)) == ["[2, 3]", "[3, 4]"]

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_upgrades_are_those_of_the_moment(self, door: Door, moment: Moment) -> None:
        for where in (*WHERE.values(), TYPED["a type"], TYPED["a parent"]):
            asked = UpgradesAsked(where=where, moment=moment)
            assert door.upgrades(asked).upgrades == memory_door().upgrades(asked).upgrades, where

    @pytest.mark.parametrize(
        "some",
        [
            {"host": "beta"},
            {"host": "host-b", "driver": "mtty"},
            {"host": "alpha"},
            {"driver": "mtty"},
            {"since": _second(5)},
            {"until": _second(5)},
            {"since": _second(4), "until": _second(4) + timedelta(microseconds=1)},
            {"since": _second(60)},
        ],
    )
    def test_some_upgrades(self, door: Door, some: dict[str, object]) -> None:
        asked = structs.replace(UpgradesAsked(), **some)
        assert door.upgrades(asked).upgrades == memory_door().upgrades(asked).upgrades

    def test_upgrades_come_page_by_page_the_newest_first(self, door: Door) -> None:
        for some in (UpgradesAsked(limit=1), UpgradesAsked(host="beta", limit=1)):
            pages = list(upgrade_pages(door, some))
            assert [len(page.upgrades) for page in pages] == [1, 1]
            assert [page.upgrades[0].after.version for page in pages] == ["3", "4"]
            with pytest.raises(UsageError) as caught:
                door.upgrades(structs.replace(some, driver="mtty", cursor=pages[0].next))
            assert caught.value.code == "BAD_CURSOR"

    def test_upgrades_of_whom_nobody_knows(self, door: Door) -> None:
        with pytest.raises(NotFoundError) as caught:
            door.upgrades(UpgradesAsked(driver="mtyt"))
        assert caught.value.nearest == ("mtty",)
        with pytest.raises(NotFoundError, match="bata"):
            door.upgrades(UpgradesAsked(host="bata"))

    @pytest.mark.parametrize("words", ["mtty 3", "mtty 2", "mtty kernel_release=6.8"])
    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_stragglers_are_those_of_the_moment(self, door: Door, moment: Moment, words: str) -> None:
        for where in WHERE.values():
            asked = StragglersAsked(wanted_in(words), where, moment=moment)
            if moment.as_of == _second(1):  # no host had told of a driver
                with pytest.raises(NotFoundError, match="mtty"):
                    door.stragglers(asked)
                continue
            found, expected = door.stragglers(asked), memory_door().stragglers(asked)
            told = (found.wanted, found.hosts, found.behind, found.stragglers)
            assert told == (expected.wanted, expected.hosts, expected.behind, expected.stragglers)

    def test_stragglers_come_page_by_page(self, door: Door) -> None:
        asked = StragglersAsked(wanted_in("mtty 2"), limit=1)
        pages = list(straggler_pages(door, asked))
        assert [straggler.hostname for page in pages for straggler in page.stragglers] == ["beta", "eta"]
        assert [(page.hosts, page.behind) for page in pages] == [(7, 2), (7, 2)]
        beta = pages[0].stragglers[0]
        assert (beta.since, beta.parents, beta.upgraded) == (_second(5), ("mtty",), 1)

    @pytest.mark.parametrize(
        "ask",
        [
            lambda door: door.distribution(DistributionAsked(where=Scope(device=("x",)))),
            lambda door: door.trend(TrendAsked(10, 100, Scope(type=("x",)))),
            lambda door: door.trend(TrendAsked(1_000_000, 1)),
            lambda door: door.upgrades(UpgradesAsked(limit=1_001)),
            lambda door: door.upgrades(UpgradesAsked(cursor="nonsense")),
            lambda door: door.upgrades(UpgradesAsked(where=Scope(device=("x",)))),
            lambda door: door.stragglers(StragglersAsked(wanted_in("mtty 2"), Scope(type=("x",)))),
            lambda door: door.stragglers(StragglersAsked(wanted_in("mtyt 2"))),
            lambda door: door.stragglers(StragglersAsked(wanted_in("mtty 2"), limit=10_001)),
        ],
    )
    def test_what_can_not_be_meant_is_refused(self, door: Door, ask: Callable[[Door], object]) -> None:
        with pytest.raises(UsageError):
            ask(door)

    def test_what_is_still_to_come_is_refused(self, door: Door) -> None:
        for moment in AHEAD.values():
            for ask in (
                lambda asked: door.distribution(DistributionAsked(moment=asked)),
                lambda asked: door.trend(TrendAsked(10, moment=asked)),
                lambda asked: door.upgrades(UpgradesAsked(moment=asked)),
                lambda asked: door.stragglers(StragglersAsked(WantedBuild(name="mtty", version="2"), moment=asked)),
            ):
                with pytest.raises(UsageError) as caught:
                    ask(moment)
                assert caught.value.code == "FUTURE"

    def test_an_answer_tells_the_token_that_gives_it_again(self, door: Door) -> None:
        told = door.distribution(DistributionAsked("type"))
        again = door.distribution(DistributionAsked("type", moment=moment_in(told.snapshot)))
        assert msgspec.json.encode(again) == msgspec.json.encode(told)
        trend = door.trend(TrendAsked(86_400))
        assert door.trend(TrendAsked(86_400, moment=moment_in(trend.snapshot))) == trend
        upgrades = door.upgrades(UpgradesAsked())
        assert door.upgrades(UpgradesAsked(moment=moment_in(upgrades.snapshot))) == upgrades
