"""Records are state: what they say, in order, ends in what was seen, whoever applies them and from where."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from mdevreg.records import (
    Body,
    CompleteBody,
    HostBody,
    ParentBody,
    TombstoneBody,
    digest_of,
    state_digest,
)
from mdevreg_agent.diff import Change, complete, diff
from mdevreg_agent.picture import Documents

documents = st.builds(
    Documents,
    facts=st.sampled_from([b'{"hostname":"a"}', b'{"hostname":"b"}']),
    parents=st.dictionaries(
        st.sampled_from([f"/devices/{name}" for name in "abcdef"]),
        st.sampled_from([b'{"n":1}', b'{"n":2}', b'{"n":3}']),
    ),
)


def applied(bodies: Iterable[Body], start: Documents | None) -> Documents:
    """The protocol's rule, written again: only a tombstone or a complete snapshot removes."""
    facts = start.facts if start else b""
    parents = dict(start.parents) if start else {}
    for body in bodies:
        match body:
            case HostBody():
                facts = bytes(body.facts)
            case ParentBody():
                parents[body.path] = bytes(body.parent)
            case TombstoneBody():
                del parents[body.path]
            case CompleteBody():
                parents = {path: raw for path, raw in parents.items() if path in body.parents}
                assert {path: digest_of(raw) for path, raw in parents.items()} == body.parents
                assert digest_of(facts) == body.facts
    return Documents(facts=facts, parents=parents)


def bodies(changes: list[Change]) -> list[Body]:
    return [change.body for change in changes]


@given(documents, documents)
def test_a_diff_turns_the_previous_state_into_the_current_one(previous: Documents, current: Documents) -> None:
    """MUST: applying ``diff(a, b)`` to a gives b."""
    assert applied(bodies(diff(previous, current)), previous) == current


@given(documents, documents)
def test_a_complete_snapshot_ends_in_the_current_state_from_any_state(before: Documents, current: Documents) -> None:
    """MUST: what a registry held before a complete snapshot leaves no trace, known to the agent or not."""
    assert applied(bodies(complete(before, current)), before) == current
    assert applied(bodies(complete(None, current)), before) == current


@given(documents)
def test_nothing_changed_is_no_record(state: Documents) -> None:
    """MUST: a look that saw nothing new publishes nothing."""
    assert diff(state, state) == []


@given(documents, documents)
def test_every_digest_is_that_of_the_state_after_its_record(previous: Documents, current: Documents) -> None:
    """MUST: a registry that applied the records up to one of them has that record's digest."""
    for changes, start in ((diff(previous, current), previous), (complete(None, current), None)):
        for number, change in enumerate(changes, start=1):
            state = applied(bodies(changes)[:number], start)
            facts = digest_of(state.facts) if state.facts else None
            assert change.digest == state_digest(facts, {path: digest_of(raw) for path, raw in state.parents.items()})
        assert not changes or changes[-1].digest == current.digest


@given(documents, documents)
def test_facts_come_first_and_tombstones_last(previous: Documents, current: Documents) -> None:
    """MUST: the order of records is facts, parents by path, tombstones by path, whatever the order of reading."""
    rank = {HostBody: 0, ParentBody: 1, TombstoneBody: 2}
    keys = [(rank[type(body)], getattr(body, "path", "")) for body in bodies(diff(previous, current))]
    assert keys == sorted(keys)


def test_a_snapshot_names_what_was_skipped() -> None:
    """MUST: sequence numbers that will never arrive are declared in the snapshot that replaces them."""
    state = Documents(facts=b'{"hostname":"a"}', parents={})
    last = complete(state, state, skipped=(3, 9))[-1].body
    assert isinstance(last, CompleteBody)
    assert last.skipped == (3, 9)
