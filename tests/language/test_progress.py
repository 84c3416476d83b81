"""``mdevreg.progress``: states of hosts, and the pace of a campaign, on lives that are written down by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mdevreg.campaigns import Campaign, CampaignHost
from mdevreg.progress import PARTS, Member, Place, Stay, hosts_of, progress_of, rate_of
from mdevreg.records import DriverBuild
from mdevreg.timeline import OPEN
from mdevreg.times import micros
from mdevreg.wanted import WantedBuild
from support.publisher import EPOCH_START

START = micros(EPOCH_START)
DAY = timedelta(days=1)
CAMPAIGN = Campaign(name="to-2", wanted=WantedBuild(name="nvidia", version="2"), begins=EPOCH_START, author="alice")
OLD, WANTED, OTHER = (DriverBuild(name="nvidia", version=version) for version in ("1", "2", "3"))
#: Seconds after the start at which lives change; they are looked at ten later.
NOW_S = 100


def _place(
    *stays: tuple[DriverBuild, float, float | None], offered_to_s: float | None = None, joined_s: float = 0
) -> Place:
    return Place(
        "/p",
        START + int(joined_s * 1e6),
        OPEN if offered_to_s is None else START + int(offered_to_s * 1e6),
        tuple(Stay(build, _us(begin), OPEN if end is None else _us(end)) for build, begin, end in stays),
    )


def _us(second: float) -> int:
    return START + int(second * 1e6)


def _host(*places: Place) -> CampaignHost:
    (found,) = hosts_of(CAMPAIGN, [Member("h", "alpha", None, places)], _us(NOW_S))
    return found


LIVES = {
    "its old build": (_place((OLD, -5, None)), "pending", None),
    "upgraded": (_place((OLD, -5, 10), (WANTED, 12, None)), "upgraded", 12),
    "it had it when the campaign began": (_place((WANTED, -5, None)), "upgraded", None),
    "reloaded since, no upgrade of its own": (
        _place((OLD, -5, 10), (WANTED, 12, 20), (WANTED, 30, None)),
        "upgraded",
        12,
    ),
    "back again": (_place((OLD, -5, 10), (WANTED, 12, 20), (OLD, 21, None)), "rolled_back", None),
    "upgraded at last": (_place((OLD, -5, 10), (WANTED, 12, 20), (OLD, 21, 30), (WANTED, 31, None)), "upgraded", 31),
    "another build": (_place((OLD, -5, 10), (OTHER, 12, None)), "elsewhere", None),
    "away from the wanted one": (_place((WANTED, -5, 10), (OTHER, 12, None)), "elsewhere", None),
    "no driver": (_place((OLD, -5, 10)), "offers_nothing", None),
    "a driver that offers nothing": (
        _place((OLD, -5, 10), (WANTED, 12, None), offered_to_s=10),
        "offers_nothing",
        None,
    ),
    "nothing ever bound": (_place(), "offers_nothing", None),
    "another driver's name": (_place((DriverBuild(name="vfio_pci"), -5, 10), (WANTED, 12, None)), "upgraded", 12),
    "a second driver beside it": (_place((OLD, -5, None), (DriverBuild(name="vfio_pci"), 5, None)), "pending", None),
}


@pytest.mark.parametrize("life", LIVES)
def test_a_place_stands_as_its_life_says(life: str) -> None:
    place, state, upgraded_s = LIVES[life]
    found = _host(place)
    assert found.state == state
    assert found.upgraded_at == (None if upgraded_s is None else EPOCH_START + timedelta(seconds=upgraded_s))


def test_a_host_stands_as_the_worst_of_its_places() -> None:
    done, back = LIVES["upgraded"][0], LIVES["back again"][0]
    gone, other, old = (LIVES[life][0] for life in ("no driver", "another build", "its old build"))
    assert _host(done, done).state == "upgraded"
    assert _host(done, old).state == "pending"
    assert _host(done, old, gone).state == "offers_nothing"
    assert _host(done, old, gone, back).state == "rolled_back"
    assert _host(done, old, gone, back, other).state == "elsewhere"
    late = _place((OLD, -5, 10), (WANTED, 40, None))
    assert _host(done, late).upgraded_at == EPOCH_START + timedelta(seconds=40), "when its last place was"


def test_what_was_bound_before_it_joined_is_not_its_old_build() -> None:
    place = _place((OTHER, -50, 5), (OLD, 5, None), joined_s=8)
    found = _host(place)
    assert (found.was, found.state, found.new) == ("nvidia 1", "pending", True)
    assert found.joined == EPOCH_START + timedelta(seconds=8)


def _at(days: float) -> datetime:
    return EPOCH_START + days * DAY


def test_the_pace_is_the_median_of_equal_parts() -> None:
    """Two a day for a week; one night with a hundred more does not change it."""
    steady = [_at(day / 2) for day in range(15)]
    rate, told = rate_of(steady, _at(7))
    assert rate == pytest.approx(2.0)
    assert told == f"median of {PARTS} equal parts of the last 7 days, with 15 upgrades"
    assert rate_of(sorted([*steady, *[_at(3.1)] * 100]), _at(7))[0] == pytest.approx(2.0)


def test_only_the_last_two_weeks_tell_the_pace() -> None:
    early = [_at(day / 10) for day in range(100)]
    assert rate_of(early, _at(10))[0] == pytest.approx(10, rel=0.1)
    assert rate_of(early, _at(40)) == (
        None,
        f"median of {PARTS} equal parts of the last 14 days, with 0 upgrades, is none",
    )
    again = [*early, *[_at(26 + day) for day in range(15)]]
    assert rate_of(again, _at(40))[0] == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("upgrades", [[], [0.0], [5.0, 5.0]])
def test_without_evidence_there_is_no_pace(upgrades: list[float]) -> None:
    assert rate_of([_at(each) for each in upgrades], _at(5))[0] is None


@given(st.lists(st.floats(0, 30), min_size=2, max_size=60), st.floats(0, 40))
def test_a_pace_is_never_negative_and_never_more_than_all_in_one_part(days: list[float], now: float) -> None:
    upgrades = sorted(_at(day) for day in days)
    rate, told = rate_of(upgrades, _at(now))
    assert told
    if rate is not None:
        part = (_at(now) - max(upgrades[0], _at(now - 14))) / PARTS
        assert 0 < rate <= len(upgrades) * (DAY / part) * 1.001


def _progress(done: int, left: int, deadline: float | None, now: float = 7) -> tuple[str, datetime | None]:
    """``done`` hosts one by one over a week, and some that are still to be."""
    hosts = [CampaignHost(f"h{n}", "h", "upgraded", upgraded_at=_at(7 * n / max(done, 1))) for n in range(done)] + [
        CampaignHost(f"p{n}", "p", "pending") for n in range(left)
    ]
    campaign = structs.replace(CAMPAIGN, deadline=None if deadline is None else _at(deadline))
    found = progress_of(campaign, hosts, _at(now))
    assert (found.hosts, found.upgraded, found.pending) == (done + left, done, left)
    return found.outlook, found.expected_end


def test_what_becomes_of_the_deadline() -> None:
    assert _progress(0, 0, 10) == ("empty", None)
    assert _progress(14, 0, 1) == ("complete", None)
    assert _progress(14, 4, None) == ("no_deadline", _at(9))
    assert _progress(14, 4, 7) == ("overdue", _at(9))
    assert _progress(14, 4, 8.9) == ("in_danger", _at(9))
    assert _progress(14, 4, 9.1) == ("on_time", _at(9))
    assert _progress(1, 4, 9.1) == ("unknown", None)


def test_an_ended_campaign_is_held_against_its_end() -> None:
    campaign = structs.replace(CAMPAIGN, deadline=_at(10), ended=_at(9))
    found = progress_of(campaign, [CampaignHost("p", "p", "pending")], _at(20))
    assert found.outlook == "unknown", "it was not overdue when it was ended"
