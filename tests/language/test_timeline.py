"""The algebra of two times, against an oracle that only replays."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mdevreg.timeline import OPEN, Row, Step, fold, reconcile, supersede

_VALUES = st.sampled_from(["a", "b", None])
#: (valid time, value) in the order of truth: valid times never decrease.
_FACTS = st.lists(st.tuples(st.integers(0, 6), _VALUES), max_size=8).map(
    lambda facts: list(zip(sorted(at for at, _ in facts), [value for _, value in facts], strict=True))
)
Fact = tuple[int, str | None]


@st.composite
def _arrivals(draw: st.DrawFn) -> list[tuple[int, Fact]]:
    """Facts with their places in the order of truth, in the order in which they arrive."""
    return draw(st.permutations(list(enumerate(draw(_FACTS)))))


def _take(rows: list[Row[str]], step: Step[str], position: int) -> None:
    for row, valid_to in step.end:
        row.valid_to, row.ended_at = valid_to, position
    for row in step.withdraw:
        row.system_to = position
    rows += step.add


def _ingest(arrivals: list[tuple[int, Fact]]) -> list[Row[str]]:
    """What the registry does: supersede what is newer than all before, reconcile what is late."""
    rows: list[Row[str]] = []
    for position, (place, (at, value)) in enumerate(arrivals, start=1):
        known = [row for row in rows if row.system_to == OPEN]
        if all(place > other for other, _ in arrivals[: position - 1]):
            current = next((row for row in known if row.valid_to == OPEN), None)
            _take(rows, supersede(current, value, at, position), position)
        else:
            facts = [fact for _, fact in sorted(arrivals[:position])]
            _take(rows, reconcile(known, fold(facts, position), position), position)
    return rows


def _oracle(arrivals: list[tuple[int, Fact]], as_of: int, known_at: int) -> list[str]:
    """Of what was known by then, the last thing that was said of a time up to then."""
    value = None
    for _, (at, said) in sorted(arrivals[:known_at]):
        if at <= as_of:
            value = said
    return [] if value is None else [value]


@given(_arrivals())
def test_every_pair_of_times_answers_as_a_replay_of_what_was_known(arrivals: list[tuple[int, Fact]]) -> None:
    """At most one row holds, none where nothing was true: no overlap and no gap wrongly made."""
    rows = _ingest(arrivals)
    for as_of, known_at in itertools.product(range(-1, 8), range(len(arrivals) + 2)):
        held = [row.value for row in rows if row.holds(as_of, known_at)]
        assert held == _oracle(arrivals, as_of, known_at)


@given(_FACTS)
def test_superseding_one_by_one_is_folding_at_once(facts: list[Fact]) -> None:
    """The two ways to the same timeline agree at every valid time."""
    rows = [row for row in _ingest(list(enumerate(facts))) if row.system_to == OPEN]
    folded = fold(facts, len(facts))
    for as_of in range(-1, 8):
        now = len(facts)
        assert [r.value for r in rows if r.holds(as_of, now)] == [r.value for r in folded if r.holds(as_of, now)]


@given(_FACTS)
def test_a_folded_timeline_is_canonical(facts: list[Fact]) -> None:
    """Half-open and in order, no row without duration, no two rows that could be one; what is open has no end told."""
    rows = fold(facts, 1)
    assert all(row.valid_from < row.valid_to for row in rows)
    assert all((row.valid_to == OPEN) == (row.ended_at == OPEN) for row in rows)
    for one, other in itertools.pairwise(rows):
        assert one.valid_to <= other.valid_from
        assert one.valid_to < other.valid_from or one.value != other.value


@given(_FACTS, _FACTS, st.integers(2, 9))
def test_reconciling_reaches_the_timeline_desired(known: list[Fact], desired: list[Fact], position: int) -> None:
    """It closes what is no longer true, adds what is new, and leaves every row that stays."""
    rows = fold(known, 1)
    wanted = {(row.value, row.valid_from, row.valid_to) for row in fold(desired, position)}
    before = {(row.value, row.valid_from, row.valid_to) for row in rows}
    step = reconcile(rows, fold(desired, position), position)
    assert len(step.end) + len(step.withdraw) == len(before - wanted)
    assert len(step.add) == len(wanted - before) - len(step.end)
    assert {row.system_from for row in step.add} <= {position}
    _take(rows, step, position)
    assert {(r.value, r.valid_from, r.valid_to) for r in rows if r.system_to == OPEN} == wanted


def test_what_is_said_again_writes_nothing() -> None:
    """Not even a row that ends where the next one begins with the same value."""
    [row] = fold([(3, "a")], 1)
    assert supersede(row, "a", 5, 2) == Step()
    assert supersede(None, None, 5, 2) == Step()


def test_a_row_of_which_only_the_end_became_known_is_ended_in_place() -> None:
    """It was not wrong: until then it was taken to hold until further notice."""
    [row] = fold([(3, "a")], 1)
    step = reconcile([row], fold([(3, "a"), (7, "b")], 2), 2)
    assert [(each.value, to) for each, to in step.end] == [("a", 7)]
    assert [each.value for each in step.add] == ["b"]
    assert list(step.withdraw) == []


@given(_FACTS)
def test_reconciling_with_itself_does_nothing(facts: list[Fact]) -> None:
    """Idempotent: a late record that changes nothing writes nothing."""
    step = reconcile(fold(facts, 1), fold(facts, 9), 9)
    assert (list(step.end), list(step.withdraw), list(step.add)) == ([], [], [])


@given(_arrivals())
def test_a_row_is_never_changed_but_to_close_its_periods(arrivals: list[tuple[int, Fact]]) -> None:
    """What was answered once is answered again for ever, asked as known then."""
    for size in range(len(arrivals)):
        before, after = _ingest(arrivals[:size]), _ingest(arrivals)
        kept = {(row.value, row.valid_from, row.system_from): row for row in after}
        for row in before:
            same = kept[row.value, row.valid_from, row.system_from]
            assert row.valid_to in (same.valid_to, OPEN)
            assert row.system_to in (same.system_to, OPEN)
        for as_of, known_at in itertools.product(range(-1, 8), range(size + 1)):
            then = [row.value for row in before if row.holds(as_of, known_at)]
            assert [row.value for row in after if row.holds(as_of, known_at)] == then


def test_both_periods_are_half_open() -> None:
    """The beginning belongs to a period, its end to the next."""
    row = Row("a", 10, 20, 3, 5, 3)
    inside = [(as_of, known_at) for as_of in (9, 10, 19, 20) for known_at in (2, 3, 4, 5) if row.holds(as_of, known_at)]
    assert inside == [(10, 3), (10, 4), (19, 3), (19, 4)]


def test_a_value_that_lasts_no_time_leaves_no_row_as_now_known() -> None:
    """Two facts of one instant: the later one counts; that the first was believed for a while stays known."""
    first = supersede(None, "a", 10, 1).add
    step = supersede(first[0], "b", 10, 2)
    assert list(step.withdraw) == list(first)
    assert [(row.value, row.valid_from, row.system_from) for row in step.add] == [("b", 10, 2)]
    assert fold([(10, "a"), (10, "b"), (10, None)], 3) == []
