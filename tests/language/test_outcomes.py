"""What reports of real migrations come to: by their times, whatever the order in which they came."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mdevreg.errors import UsageError
from mdevreg.knowledge import NOTHING, Amendment, Knowledge, OutcomeChange, decode_amendment, encode_amendment
from mdevreg.outcomes import RESULTS, OutcomeDraft, OutcomeReport, OutcomesAsked, check, listed, standing
from mdevreg.profiles import Profile
from mdevreg.records import SCHEMA, DriverBuild
from support.rulings import outcome
from support.strategies import NOW

_DIGESTS = ("a" * 64, "b" * 64)


@st.composite
def told(draw: st.DrawFn) -> list[OutcomeReport]:
    """Reports in log order, of few profiles and few times."""
    drawn = st.tuples(
        st.sampled_from(_DIGESTS),
        st.sampled_from(_DIGESTS),
        st.sampled_from(RESULTS),
        st.integers(0, 3),
    )
    return [
        outcome(result, source, target, id=f"o{position}", at=NOW - timedelta(seconds=ago_s))
        for position, (source, target, result, ago_s) in enumerate(draw(st.lists(drawn, max_size=12)), 1)
    ]


def _known(reports: list[OutcomeReport]) -> Knowledge:
    return NOTHING.amended(_amendment(report) for report in reports)


def _amendment(report: OutcomeReport) -> Amendment:
    return Amendment(schema=SCHEMA, at=NOW, author="nova", change=OutcomeChange(outcome=report))


@given(told(), st.none() | st.integers(0, 3))
def test_the_newest_that_is_evidence_stands(reports: list[OutcomeReport], ago_s: int | None) -> None:
    """LAW: of each two profiles, by the time it ended, then by the log; of those that had ended by then."""
    as_of = None if ago_s is None else NOW - timedelta(seconds=ago_s)
    found = _known(reports).tried_between(_DIGESTS[0], _DIGESTS, as_of)
    expected = []
    for pair in ((0, 0), (0, 1), (1, 0)):
        ends = tuple(_DIGESTS[end] for end in pair)
        alike = [r for r in reports if (r.source, r.target) == ends and r.result != "failed"]
        alike = [r for r in alike if as_of is None or r.at <= as_of]
        expected += sorted(alike, key=lambda r: (r.at, int(r.id[1:])))[-1:]
    assert sorted(found, key=lambda r: r.id) == sorted(expected, key=lambda r: r.id)


@given(told(), st.integers(1, 5))
def test_pages_are_all_of_them_once_and_in_order(reports: list[OutcomeReport], limit: int) -> None:
    """LAW: whatever the size of a page."""
    known = _known(reports)
    found: list[OutcomeReport] = []
    asked = OutcomesAsked(limit=limit)
    while True:
        page = listed(known.tried, asked, 99)
        assert len(page.outcomes) <= limit
        found = [*page.outcomes, *found]
        if page.next is None:
            break
        asked = structs.replace(asked, before=page.next)
    assert found == known.outcomes == reports


@given(told())
def test_a_report_is_read_as_it_was_written(reports: list[OutcomeReport]) -> None:
    """LAW: through the log and through the stream."""
    for report in reports:
        assert decode_amendment(encode_amendment(_amendment(report))) == _amendment(report)


def test_a_report_concludes_nothing_of_drivers_anew() -> None:
    """Reports may come every second: what was concluded of profiles, and the catalog, are the same objects."""
    before = NOTHING.amended([])
    profile = Profile(type="t", driver=DriverBuild(name="d"))
    support = before.support("x", profile)
    after = before.amended([_amendment(outcome("refused", *_DIGESTS))])
    assert after.support("x", profile) is support
    assert after.catalog is before.catalog
    assert (before.outcomes, len(after.outcomes)) == ([], 1)


def test_nothing_stands_of_nothing() -> None:
    """Nor of what is no evidence."""
    assert standing(()) is None
    assert standing([outcome("failed", *_DIGESTS)]) is None


@pytest.mark.parametrize("limit", [0, 1_001])
def test_a_page_has_bounds(limit: int) -> None:
    """Refused, not cut short."""
    with pytest.raises(UsageError, match="from 1 to 1000"):
        listed({}, OutcomesAsked(limit=limit), 0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"device": None, "to": "b"}, "one of the two"),
        ({"decision": "d1"}, "one of the two"),
        ({"to": None}, "no 'to'"),
        ({"author": "  "}, "the author is blank"),
        ({"at": NOW + timedelta(seconds=1)}, "in the future"),
        ({"detail": "a\x00"}, "control character"),
        ({"detail": "\ud800"}, "control character"),
        ({"detail": "x" * 1_001}, "can't be kept so"),
        ({"result": "exploded"}, "can't be kept so"),
    ],
)
def test_a_draft_that_can_not_be_meant_says_why(changed: dict[str, object], said: str) -> None:
    """Before anything is looked up."""
    draft = OutcomeDraft(result="loaded", device="a", to="b", author="nova")
    assert check(draft, NOW) is draft
    with pytest.raises(UsageError, match=said):
        check(structs.replace(draft, **changed), NOW)
