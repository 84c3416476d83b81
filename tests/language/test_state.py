"""What records add up to: order, duplicates, gaps, snapshots, epochs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mdevreg.objects import Key
from mdevreg.records import EMPTY_DIGEST, CompleteBody, HostFacts, Parent, digest_of
from mdevreg.state import Facts, HostFold, Received, in_order, valid_time
from mdevreg.timeline import OPEN
from support.ingest import Ingest, essence
from support.publisher import Look, Publisher
from support.strategies import lives

_DELAYS = st.sampled_from([0, 3, 3_600])


def _records(life: list[Look], *, snapshot_last: bool = False) -> tuple[Publisher, list[bytes]]:
    """A life as an agent tells it: a snapshot at the start, then changes."""
    publisher = Publisher()
    records = publisher.snapshot(life[0])
    for look in life[1:]:
        records += publisher.changes(look)
    if snapshot_last:
        records += publisher.snapshot(life[-1])
    return publisher, records


@st.composite
def _deliveries(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """The records of a life of which some get lost, and the same in any order, some of them twice."""
    _, records = _records(draw(lives()))
    sent = [record for record, arrives in zip(records, draw(_flags(len(records))), strict=True) if arrives]
    again = [record for record, twice in zip(sent, draw(_flags(len(sent))), strict=True) if twice]
    return sent, draw(st.permutations([*sent, *again]))


def _flags(size: int) -> st.SearchStrategy[list[bool]]:
    return st.lists(st.sampled_from([True, True, True, False]), min_size=size, max_size=size)


@given(_deliveries(), _DELAYS)
def test_any_order_of_delivery_with_duplicates_ends_in_the_same_state(
    delivery: tuple[list[bytes], list[bytes]], delay_s: int
) -> None:
    """A record is state: the newest sequence number wins, whatever the order of arrival."""
    sent, shuffled = delivery
    straight = Ingest(delay_s=delay_s).receive_all(sent)
    crooked = Ingest(delay_s=delay_s).receive_all(shuffled)
    assert essence(crooked.fold) == essence(straight.fold)
    assert straight.arrivals == ["next"] * len(sent)
    assert crooked.arrivals.count("duplicate") == len(shuffled) - len(sent)


@given(lives())
def test_what_arrives_whole_is_the_hosts_own_picture(life: list[Look]) -> None:
    """Same digest, same documents byte for byte, everything settled."""
    publisher, records = _records(life)
    fold = Ingest().receive_all(records).fold
    assert fold.digest == publisher.digest
    assert fold.in_sync
    assert fold.settled == fold.last_seq == len(records)
    assert {path: document.raw for path, document in fold.parents.items()} == publisher.parents
    assert fold.facts is not None
    assert fold.facts.raw == publisher.facts


@given(lives(), st.data())
def test_a_complete_snapshot_heals_whatever_was_lost(life: list[Look], data: st.DataObject) -> None:
    """Lost tombstones included: what is not listed is gone, and all before it is settled."""
    publisher, records = _records(life, snapshot_last=True)
    snapshot = 2 + len(life[-1].parents)
    lossy, whole = records[:-snapshot], records[-snapshot:]
    kept = [record for record, arrives in zip(lossy, data.draw(_flags(len(lossy))), strict=True) if arrives]
    fold = Ingest().receive_all([*kept, *whole]).fold
    assert fold.digest == publisher.digest
    assert fold.in_sync
    assert fold.settled == len(records)
    assert fold.objects.keys() - {""} == publisher.parents.keys()


@given(lives(), st.data())
def test_a_snapshot_of_which_a_part_is_missing_removes_nothing(life: list[Look], data: st.DataObject) -> None:
    """Absence never deletes: every listed document must be here, or the list is not believed."""
    publisher, records = _records(life)
    before = Ingest().receive_all(records)
    known = dict(before.fold.parents)
    listed = {path: digest_of(raw) for path, raw in publisher.parents.items()}
    facts = digest_of(publisher.facts or b"")
    wrong = data.draw(st.sampled_from(["other document", "unknown path", "other facts", "other digest"]))
    digest = None
    match wrong:
        case "other document" if listed:
            listed[max(listed)] = "0" * 64
        case "unknown path":
            listed["/devices/never/seen"] = "0" * 64
        case "other facts":
            facts = "0" * 64
        case _:
            digest = "0" * 64
            listed.pop(max(listed), None) if listed else None
    publisher.seq += 1  # a record is lost before it
    before.receive(publisher.record(CompleteBody(facts=facts, parents=listed), digest))
    assert before.fold.parents == known
    assert before.fold.settled == len(records)


@given(lives())
def test_a_list_alone_removes_what_it_does_not_name(life: list[Look]) -> None:
    """The rest is byte for byte what the agent has: only the unnamed go, with all their objects."""
    publisher, records = _records(life)
    ingest = Ingest().receive_all(records)
    gone = sorted(publisher.parents)[:1]
    for path in gone:
        del publisher.parents[path]
    listed = {path: digest_of(raw) for path, raw in publisher.parents.items()}
    ingest.receive(publisher.record(CompleteBody(facts=digest_of(publisher.facts or b""), parents=listed)))
    assert ingest.fold.parents.keys() == publisher.parents.keys()
    assert not set(gone) & ingest.fold.objects.keys()
    assert ingest.fold.in_sync


@given(lives(), st.data())
def test_settled_ends_before_the_first_gap(life: list[Look], data: st.DataObject) -> None:
    """Until a snapshot covers it: a lost record is never confirmed to its agent."""
    _, records = _records(life)
    lost = data.draw(st.integers(0, len(records) - 1))
    first_complete = 2 + len(life[0].parents)
    ingest = Ingest().receive_all(records[:lost] + records[lost + 1 :])
    if lost < first_complete:  # the list that ends the first snapshot does not match
        assert ingest.fold.settled == lost
    assert ingest.fold.settled <= max(lost, first_complete)
    ingest.receive(records[lost])
    assert ingest.fold.settled == len(records)


@given(lives(), lives())
def test_a_new_epoch_starts_anew_and_the_old_one_is_refused(old: list[Look], new: list[Look]) -> None:
    """The snapshot that begins an epoch ends in its picture; what comes of the old epoch after that is a conflict."""
    _, before = _records(old)
    publisher = Publisher(epoch="epoch-2")
    after = publisher.snapshot(new[0])
    ingest = Ingest().receive_all([*before, *after])
    assert ingest.fold.epoch == "epoch-2"
    assert ingest.fold.digest == publisher.digest
    assert ingest.fold.settled == len(after)
    known = essence(ingest.fold)
    assert [ingest.receive(record) for record in before] == ["retired"] * len(before)
    assert essence(ingest.fold) == known


def test_an_epoch_that_begins_in_the_middle_removes_nothing_and_settles_nothing() -> None:
    """The agent was reinstalled and its first records are still on their way."""
    looks = [_look("/devices/a"), _look("/devices/b")]
    ingest = Ingest().receive_all(Publisher().snapshot(looks[0]))
    late = Publisher(epoch="epoch-2").snapshot(looks[1])
    ingest.receive(late[1])
    assert set(ingest.fold.parents) == {"/devices/a", "/devices/b"}
    assert (ingest.fold.settled, ingest.fold.in_sync) == (0, False)
    ingest.receive_all([late[2], late[0]])
    assert set(ingest.fold.parents) == {"/devices/b"}
    assert (ingest.fold.settled, ingest.fold.in_sync) == (3, True)


def test_a_quarantined_number_counts_as_received() -> None:
    """A record that can never be applied must not hold up the receipt of those after it."""
    publisher = Publisher()
    fold = HostFold(publisher.host)
    fold.settle(publisher.epoch, 1)
    assert (fold.settled, fold.arrival(publisher.epoch, 1)) == (1, "duplicate")
    assert fold.arrival(publisher.epoch, 2) == "next"
    fold.settle(publisher.epoch, 3)
    assert fold.settled == 1
    fold.settle(publisher.epoch, 2)
    assert fold.settled == 3


def test_an_epoch_may_begin_in_quarantine() -> None:
    """Its first record can't be applied; the second is the next, whatever the old epoch had reached."""
    ingest = Ingest().receive_all(Publisher().snapshot(_look("/devices/a")))
    later = Publisher(epoch="epoch-2").snapshot(_look("/devices/a"))
    ingest.fold.settle("epoch-2", 1)
    assert ingest.receive_all(later[1:2]).arrivals[-1] == "next"
    assert (ingest.fold.settled, ingest.fold.arrival("epoch-1", 9)) == (2, "retired")


def test_a_late_record_was_true_before_what_came_after_it_was_received() -> None:
    """A clock that is ahead: the host's first record arrives last, but the second was received long before."""
    first, second = Publisher().snapshot(_look())
    ingest = Ingest(delay_s=-100).receive_all([second, first])
    facts = ingest.as_known(2)
    assert [at for at, _ in facts["host",]] == [ingest.log[0].received_at]


def test_a_host_of_which_nothing_is_known_has_the_empty_digest() -> None:
    """So that an agent sees at once that the registry lost everything."""
    assert HostFold("host-1").digest == EMPTY_DIGEST


@given(lives())
def test_the_same_document_again_changes_nothing(life: list[Look]) -> None:
    """A snapshot of what is known has no effect on any object."""
    publisher, records = _records(life)
    ingest = Ingest().receive_all(records)
    rows = {key: [(row.value, row.valid_from) for row in kept] for key, kept in ingest.rows.items()}
    ingest.receive_all(publisher.snapshot(life[-1]))
    assert {key: [(row.value, row.valid_from) for row in kept] for key, kept in ingest.rows.items()} == rows


@given(_deliveries(), _DELAYS)
def test_every_pair_of_times_answers_as_a_replay_of_the_log_of_then(
    delivery: tuple[list[bytes], list[bytes]], delay_s: int
) -> None:
    """Late records change the past as now known, and leave the past as then known intact."""
    ingest = Ingest(delay_s=delay_s).receive_all(delivery[1])
    times = {at for key in ingest.rows for row in ingest.rows[key] for at in (row.valid_from, row.valid_to)} - {OPEN}
    for position in range(1, len(ingest.log) + 1):
        facts = ingest.as_known(position)
        for at in sorted(times):
            assert {key: _held(ingest, key, at, position) for key in ingest.rows} == {
                key: [] if (value := _said(facts, key, at)) is None else [value] for key in ingest.rows
            }


def _held(ingest: Ingest, key: Key, at: int, position: int) -> list[object]:
    return [row.value for row in ingest.rows[key] if row.holds(at, position)]


def _said(facts: Facts, key: Key, at: int) -> object:
    """The naive answer: the last that was said of it with a valid time up to then."""
    return next((value for since, value in reversed(facts.get(key, [])) if since <= at), None)


@given(_deliveries())
def test_the_order_of_truth_is_epochs_as_they_appeared_then_numbers(delivery: tuple[list[bytes], list[bytes]]) -> None:
    """Whatever the order in the log."""
    ingest = Ingest().receive_all(delivery[1])
    numbers = [entry.decoded.record.seq for entry in in_order(ingest.log)]
    assert numbers == sorted(numbers)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_valid_time_is_as_observed_within_what_is_possible(observed: int, received: int, after: int) -> None:
    """A clock that is ahead is cut at the receipt, one that was set back at what was said before."""
    at = valid_time(observed, received, after)
    assert at >= after
    assert at == after or at <= received
    if after <= observed <= received:
        assert at == observed


@given(st.lists(st.integers(1, 30)), st.integers(0, 30))
def test_received_numbers_are_a_set(numbers: list[int], after: int) -> None:
    """Against the naive one; its ranges ascend and never touch."""
    received = Received()
    for number in numbers:
        received.add(number)
    assert {number for number in range(40) if number in received} == set(numbers)
    flat = [edge for each in received.ranges for edge in each]
    assert flat == sorted(flat)
    assert all(low > high + 1 for (_, high), (low, _) in zip(received.ranges, received.ranges[1:], strict=False))
    end = after
    while end + 1 in numbers:
        end += 1
    assert received.end_of_run(after) == end


def _look(*paths: str) -> Look:
    return Look(HostFacts(hostname="alpha"), {path: Parent(path=path, name=path[-1]) for path in paths})
