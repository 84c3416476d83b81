"""Bases: a history that is cut and goes on is the history that was not cut. By property, against naive oracles."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mdevreg.bases import Place, as_known, cuts, facts_of, kept_documents
from mdevreg.objects import DOCUMENT_AT, Key, Profiles, Value
from mdevreg.state import Entry, HostFold, in_order, replay
from mdevreg.timeline import OPEN, Row, fold
from support.ingest import Ingest, essence
from support.publisher import Look, Publisher
from support.strategies import lives


@st.composite
def logs(draw: st.DrawFn) -> Ingest:
    """A host that was received out of order, in one epoch or two."""
    ingest = Ingest(delay_s=draw(st.sampled_from([0, 10, 3_600])))
    for epoch in draw(st.sampled_from([("first",), ("first", "second")])):
        records = _told(Publisher(epoch=epoch), draw(lives(max_looks=4)))
        for record in draw(st.permutations(records)) if draw(st.booleans()) else records:
            ingest.receive(record)
    return ingest


def _told(publisher: Publisher, life: list[Look]) -> list[bytes]:
    records = publisher.snapshot(life[0])
    for later in life[1:]:
        records += publisher.changes(later)
    return records


def _places(log: list[Entry]) -> list[Place]:
    return [Place(entry.position, entry.decoded.record.epoch, entry.decoded.record.seq) for entry in log]


@given(logs())
def test_a_log_may_be_cut_where_nothing_later_belongs_before(ingest: Ingest) -> None:
    """Naively: what is up to the cut is the beginning of the order of truth."""
    truth = [entry.position for entry in in_order(ingest.log)]
    expected = [cut for cut in range(1, len(truth) + 1) if set(truth[:cut]) == set(range(1, cut + 1))]
    assert cuts(_places(ingest.log)) == expected
    assert cuts([]) == []


@settings(max_examples=200)
@given(logs(), st.data())
def test_a_fold_from_a_base_is_the_fold_of_the_whole_log(ingest: Ingest, data: st.DataObject) -> None:
    """State, timelines and all; also from a base that was made from a base; and where it may be cut is the same."""
    places = _places(ingest.log)
    chosen = sorted(data.draw(st.sets(st.sampled_from(cuts(places)), max_size=2)))
    whole, facts = replay("host-1", ingest.log, Profiles())
    base: HostFold | None = None
    rows: dict[Key, list[Row[Value]]] = {}
    for after, upto in zip([0, *chosen], [*chosen, len(ingest.log)], strict=True):
        assert cuts(places[after:], base.epoch if base else "") == [cut for cut in cuts(places) if cut > after]
        base, more = replay("host-1", ingest.log[after:upto], Profiles(), base)
        said = {key: [*facts_of(rows.get(key, [])), *more.get(key, [])] for key in rows.keys() | more.keys()}
        rows = {key: fold(each, upto) for key, each in said.items()}
    assert base is not None
    assert essence(base) == essence(whole)
    standing = ("position", "valid_at", "received_at", "in_sync", "settled")
    assert [getattr(base, name) for name in standing] == [getattr(whole, name) for name in standing]
    assert {key: _plain(each) for key, each in rows.items()} == {
        key: _plain(fold(each, len(ingest.log))) for key, each in facts.items()
    }


def _plain(rows: list[Row[Value]]) -> list[tuple[Value, int, int]]:
    return [(row.value, row.valid_from, row.valid_to) for row in rows]


@given(logs())
def test_what_was_known_at_a_position_does_not_change(ingest: Ingest) -> None:
    """What is told later closes periods; taken back, the rows of then are the rows of then."""
    again, seen = Ingest(delay_s=ingest.delay_s), list[dict[Key, list[tuple[Value, int, int, int]]]]()
    for entry in ingest.log:
        again.receive(entry.decoded.data)
        seen.append(_known(again, len(again.log)))
    for position, then in enumerate(seen, 1):
        assert _known(again, position) == then


def _known(ingest: Ingest, position: int) -> dict[Key, list[tuple[Value, int, int, int]]]:
    found = {key: list(as_known(rows, position)) for key, rows in ingest.rows.items()}
    assert all(row.system_to == OPEN for rows in found.values() for row in rows)
    return {
        key: sorted((row.value, row.valid_from, row.valid_to, row.ended_at) for row in rows)
        for key, rows in found.items()
        if rows
    }


@given(logs(), st.data())
def test_facts_of_a_timeline_are_that_timeline_again(ingest: Ingest, data: st.DataObject) -> None:
    """In whatever order its rows come."""
    _, facts = replay("host-1", ingest.log, Profiles())
    for each in facts.values():
        rows = fold(each, 1)
        assert _plain(fold(facts_of(data.draw(st.permutations(rows))), 1)) == _plain(rows)


@given(logs(), st.integers(0, 20))
def test_kept_are_what_holds_later_and_the_first_and_last_of_each_object(ingest: Ingest, after_s: int) -> None:
    """Naively: which document is in force at a time, asked for each time that counts."""
    _, facts = replay("host-1", ingest.log, Profiles())
    rows = {key: fold(each, 1) for key, each in facts.items()}
    rows = {key: each for key, each in rows.items() if each}
    before = ingest.log[0].observed_at + after_s * 1_000_000
    expected = set()
    for key, each in rows.items():
        whole: Key = ("host",) if key == ("host",) else ("parent", key[1])
        documents = {
            at: row.value[DOCUMENT_AT[whole[0]]]
            for row in rows.get(whole, [])
            for at in range(row.valid_from, min(row.valid_to, row.valid_from + 60_000_000), 500_000)
            if at < row.valid_to
        }
        expected |= {documents[at] for at in (each[0].valid_from, each[-1].valid_from) if at in documents}
        expected |= {row.value[DOCUMENT_AT[key[0]]] for row in each if key[0] in DOCUMENT_AT and row.valid_to > before}
    assert kept_documents(rows, before) == expected
