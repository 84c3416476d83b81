"""Times that people type, and names they mistype."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdevreg.errors import UsageError
from mdevreg.nearest import nearest
from mdevreg.times import past_time, time_of, utc
from support.strategies import NOW

_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 23)), _ZONES)  # noqa: DTZ001  (made aware below)
def test_rfc_3339_is_read_as_the_instant_it_names(local: datetime, zone: timezone) -> None:
    """In any zone, to the microsecond; the answer is in UTC."""
    at = local.replace(tzinfo=zone)
    found = past_time(at.isoformat(), NOW)
    assert found == at
    assert found.tzinfo is UTC


@given(st.integers(0, 9), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_a_time_ago_is_the_sum_of_its_units(weeks: int, days: int, hours: int, minutes: int, seconds: int) -> None:
    """``-1w2d3h4m5s``, each unit once, in this order."""
    ago = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert past_time(f"-{weeks}w{days}d{hours}h{minutes}m{seconds}s", NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T10:00:00Z", NOW),
        ("2026-11-24t09:00:00z", NOW - timedelta(hours=1)),
        ("2026-11-24 11:00:00+01:00", NOW),
        ("2026-11-24T09:59:59.5Z", NOW - timedelta(seconds=0.5)),
        ("2026-11-24T09:59:59.123456789Z", NOW - timedelta(seconds=1) + timedelta(microseconds=123456)),
        ("-7d", NOW - timedelta(days=7)),
        ("-2h30m", NOW - timedelta(hours=2, minutes=30)),
        ("-0s", NOW),
        ("now", NOW),
        ("today", NOW - timedelta(hours=10)),
        ("Today 09:30:15.25", NOW - timedelta(minutes=29, seconds=44.75)),
        ("yesterday", NOW - timedelta(days=1, hours=10)),
        ("yesterday 14:00", NOW - timedelta(hours=20)),
        ("yesterday 14:00Z", NOW - timedelta(hours=20)),
        ("yesterday 14:00+01:00", NOW - timedelta(hours=21)),
        ("yesterday 14:00 -03:30", NOW - timedelta(hours=16, minutes=30)),
        ("today +14:00", NOW),  # there it has just begun
        ("yesterday -11:00", NOW - timedelta(hours=47)),  # there it is still the 23rd
    ],
)
def test_each_spelling_is_read(text: str, expected: datetime) -> None:
    """RFC 3339 allows a space and lower case."""
    assert past_time(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("2026-11-24T10:00:00.000001Z", "in the future"),
        ("2027-11-24T10:00:00Z", "in the future"),
        ("2026-11-24T10:00:00", "with a zone"),
        ("2026-11-24", "with a zone"),
        ("2026-02-30T10:00:00Z", "no time that exists"),
        ("2026-11-24T25:00:00Z", "no time that exists"),
        ("0001-01-01T00:00:00+14:00", "no time that exists"),
        ("-999999999w", "no time that exists"),
        ("-9999999999d", "is no time"),
        ("", "is no time"),
        ("-", "is no time"),
        ("7d", "is no time"),
        ("-30m2h", "is no time"),
        ("-1.5h", "is no time"),
        ("-1h\n", "is no time"),
        ("-٣d", "is no time"),
        ("2026-11-24 09:00", "with a zone"),
        ("09:00", "is no time"),
        ("monday", "is no time"),
        ("yesterday14:00", "is no time"),
        ("yesterday 14:00.5", "is no time"),
        ("yesterday T14:00", "is no time"),
        ("now 14:00", "is no time"),
        ("today 14:00\n", "is no time"),
        ("today 1٤:00", "is no time"),
        ("yesterday 25:00", "no time that exists"),
        ("yesterday 14:00+25:00", "no time that exists"),
        ("today 10:00:00.000001", "in the future"),
        ("tomorrow", "in the future"),
        ("1" * 10_000, "is no time"),
    ],
    ids=lambda case: ascii(case[:30]),
)
def test_what_is_no_past_time_is_refused_with_what_was_expected(text: str, because: str) -> None:
    """Nothing is guessed, least of all a zone."""
    with pytest.raises(UsageError, match=because) as caught:
        past_time(text, NOW)
    assert len(str(caught.value)) < 400


_SCRAPS = st.sampled_from(
    [
        "now",
        "today",
        "yesterday",
        "tomorrow",
        " ",
        "14:00",
        ":59",
        ".5",
        "Z",
        "+01:00",
        "-23:59",
        "-7d",
        "2h",
        "T",
        "2026-11-24",
    ]
)


@given(st.lists(_SCRAPS | st.text(max_size=3), max_size=6).map("".join), st.datetimes(timezones=_ZONES))
def test_whatever_is_typed_is_a_time_or_refused(text: str, now: datetime) -> None:
    """Nothing else is ever raised; what is read is aware, in UTC, and for the past not after now."""
    try:
        found = time_of(text, now)
    except UsageError:
        with pytest.raises(UsageError):
            past_time(text, now)
        return
    assert found.tzinfo is UTC
    try:
        assert past_time(text, now) == found <= now
    except UsageError:
        assert found > now


_CLOCKS = st.times().map(lambda at: at.replace(microsecond=0))


@given(st.sampled_from([("yesterday", -1), ("today", 0), ("tomorrow", 1)]), _CLOCKS, _ZONES, _ZONES)
def test_a_time_of_a_day_is_that_time_there(day: tuple[str, int], clock: time, zone: timezone, other: timezone) -> None:
    """Days begin at midnight of the zone that is named; in whatever zone ``now`` is given."""
    name, offset = day
    there = datetime.combine((NOW.astimezone(zone) + timedelta(days=offset)).date(), clock, zone)
    named = f"{there:%H:%M:%S%z}"
    assert time_of(f"{name} {named[:-2]}:{named[-2:]}", NOW.astimezone(other)) == there


@given(st.datetimes(timezones=_ZONES, min_value=datetime(1000, 1, 1)))  # noqa: DTZ001  (its zone is drawn)
def test_a_printed_time_is_read_again(at: datetime) -> None:
    """To the second, with a Z."""
    assert past_time(utc(at), datetime.max.replace(tzinfo=UTC)) == at.replace(microsecond=0)


_HOSTS = [f"host-{number:03}" for number in range(200)] + ["alpha", "beta"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alhpa", ("alpha",)),
        ("ALPHA", ("alpha",)),
        ("bet", ("beta",)),
        ("host-0077", ("host-007", "host-077")),
        ("zzzzzz", ()),
        ("", ()),
        ("x" * 100_000, ()),
    ],
    ids=lambda case: ascii(case[:20]),
)
def test_the_most_alike_come_first(name: str, expected: tuple[str, ...]) -> None:
    """A slip of the finger, a beginning, another case; nothing where nothing is alike."""
    assert nearest(name, _HOSTS)[: len(expected)] == expected
    assert bool(nearest(name, _HOSTS)) == bool(expected)


@given(st.text(max_size=10), st.lists(st.text(max_size=10), max_size=10), st.integers(1, 3))
def test_the_nearest_are_known_names_each_once_in_one_order(name: str, known: list[str], limit: int) -> None:
    """Up to the limit, whatever the order in which they were given; a known name is its own nearest."""
    found = nearest(name, known, limit)
    assert len(found) == len(set(found)) <= limit
    assert set(found) <= set(known)
    assert nearest(name, known[::-1], limit) == found
    if name and name in known:
        assert name.casefold() in {each.casefold() for each in found} or len(found) == limit
