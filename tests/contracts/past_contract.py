"""What every door says of the past: histories, differences, the log. A door passes with an ``open_real`` fixture."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from contracts.door_contract import BELIEFS, MOMENTS, OpenDoor, _second
from mdevreg.differing import DifferenceAsked, Differing
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.export.folder import Period, export, faults_of
from mdevreg.facts import NOW, HistoryKind, Moment
from mdevreg.logged import TIMELINES, LogAsked, TimelineAsked, TimelineName, bytes_in
from mdevreg.query.door import Door
from mdevreg.query.log import log_pages, timeline_pages, whole_entries
from mdevreg.query.past import difference_pages, differences
from mdevreg.times import micros
from support.door_fleet import ASKED, PIN_ENDED, memory_door, records_of
from support.hosts import uuid_of

RECORDS = len(records_of())
#: Pages of the log: few entries, few bytes, both.
PAGES = [LogAsked(limit=2), LogAsked(max_bytes=1_000), LogAsked(limit=3, max_bytes=7_000)]


def _rows(door: Door, asked: DifferenceAsked) -> list[Differing]:
    rows = [row for page in difference_pages(door, asked) for row in page.rows]
    return sorted(rows, key=lambda row: (row.host, row.object, row.path, row.name))


class PastContract:
    """Every door tells the same past of ``support.door_fleet``."""

    @pytest.fixture
    def door(self, open_real: OpenDoor) -> Iterator[Door]:
        with open_real() as door:
            yield door

    def test_blame_names_the_entries_that_turned_an_answer(self, door: Door) -> None:
        """Beta's drivers load less, then more again; what came with one commit was never answered by itself."""
        found = door.blame(f"alpha/{uuid_of(1)}", "beta", NOW, 10)
        assert found.said.outcome == found.turns[0].after.outcome == "compatible"
        told = [(turn.point.cause, turn.point.position, turn.before.outcome) for turn in found.turns]
        assert told == [("record", 10, None)], "all records of the fleet are one commit"
        (entry,) = [turn.entry for turn in found.turns]
        assert entry is not None
        page = door.entries(LogAsked(after=entry.position - 1, limit=1)).entries[0]
        assert (entry.host, entry.hostname, entry.sha256) == ("host-b", "beta", page.sha256)
        assert bytes(entry.body).decode() == page.body
        assert (found.complete, door.blame(f"alpha/{uuid_of(1)}", "beta", NOW, 10).turns) == (True, found.turns)
        with pytest.raises(UsageError, match="limit is 1001"):
            door.blame(uuid_of(1), "beta", NOW, 1_001)

    def test_history_of_a_driver_is_that_of_its_builds_all_over_the_fleet(self, door: Door) -> None:
        told = door.history("mtty", NOW, 100)
        assert (told.kind, told.host) == ("driver", "")
        beta = [change for change in told.changes if change.hostname == "beta"]
        assert [(each.event, each.name, each.detail.rpartition(" ")[2], each.position) for each in beta] == [
            ("appeared", "mtty/mtty", "3", 7),
            ("changed", "mtty/mtty", "4", 9),
            ("changed", "mtty/mtty", "3", 10),
            ("appeared", "mtty2/mtty", "2", 11),
        ]
        expected = memory_door().history("mtty", NOW, 100, "driver").changes
        assert sorted((c.host, c.event, c.valid_from) for c in told.changes) == sorted(
            (c.host, c.event, c.valid_from) for c in expected
        )

    def test_history_of_one_build_tells_when_it_was_replaced(self, door: Door) -> None:
        told = door.history("mtty 4", NOW, 100).changes
        assert [(each.event, each.valid_from, each.detail) for each in told] == [
            ("changed", _second(4), "module mtty version 4"),
            ("changed", _second(5), "module mtty version 3"),
        ]

    def test_history_of_a_type_is_that_of_its_offers(self, door: Door) -> None:
        told = door.history("mtty-1", NOW, 100)
        expected = memory_door().history("mtty-1", NOW, 100, "type").changes
        assert told.kind == "type"
        assert sorted((c.host, c.event, c.valid_from) for c in told.changes) == sorted(
            (c.host, c.event, c.valid_from) for c in expected
        )
        assert "stream 4 from 3" in next(each for each in told.changes if each.position == 9).detail
        assert door.history("mtty-1", NOW, 3).changes == told.changes[-3:]

    def test_history_of_a_rule_names_author_message_and_end(self, door: Door) -> None:
        pin = f"r{RECORDS + BELIEFS - 1}"
        added, ended = door.history(pin, NOW, 10).changes
        assert (added.event, added.position, added.valid_from) == ("appeared", RECORDS + BELIEFS - 1, ASKED)
        assert "pin by tests (host=zeta)" in added.detail
        assert added.detail.endswith("while zeta is upgraded")
        assert (ended.event, ended.position, ended.object) == ("changed", RECORDS + BELIEFS, "rule")
        assert ended.detail.startswith("ended by tests, until")
        assert door.history(pin, Moment(known_at=RECORDS + BELIEFS - 1), 10).changes == (added,)
        assert door.history(pin, NOW, 1).changes == (ended,)

    def test_history_of_the_registry_is_what_was_decided(self, door: Door) -> None:
        told = door.history("registry", NOW, 100).changes
        assert [(each.object, each.event, each.position) for each in told] == [
            ("catalog", "changed", RECORDS + 1),
            ("rule", "appeared", RECORDS + 2),
            ("rule", "appeared", RECORDS + 3),
            ("rule", "changed", RECORDS + 4),
        ]
        assert door.history("registry", NOW, 2).changes == told[-2:]
        assert door.history("registry", Moment(as_of=ASKED - timedelta(seconds=1)), 2).changes == ()

    @pytest.mark.parametrize("name", ["mtty-1.0-recorded", "shipped"])
    def test_history_of_a_catalog_entry_and_of_an_origin(self, door: Door, name: str) -> None:
        (change,) = door.history(name, NOW, 10).changes
        assert (change.object, change.name, change.position) == ("catalog", name, RECORDS + 1)
        assert "tests" in change.detail

    @pytest.mark.parametrize(("name", "kind"), [("mtty-1", "driver"), ("alpha", "type"), ("r1", "rule")])
    def test_a_name_of_another_kind_is_not_found(self, door: Door, name: str, kind: HistoryKind) -> None:
        with pytest.raises(NotFoundError, match=kind):
            door.history(name, NOW, 10, kind)

    @pytest.mark.parametrize(("name", "near"), [("mtyt", "mtty"), ("mtty-3", "mtty-"), ("alhpa", "alpha")])
    def test_a_name_that_nothing_has_gets_the_nearest_of_every_kind(self, door: Door, name: str, near: str) -> None:
        with pytest.raises(NotFoundError, match="host, device, driver, type or rule") as caught:
            door.history(name, NOW, 10)
        assert any(each.startswith(near) for each in caught.value.nearest)

    @pytest.mark.parametrize("begin", MOMENTS)
    def test_what_differs_is_what_is_not_the_same_at_both(self, door: Door, begin: str) -> None:
        for end, capacity in itertools.product(MOMENTS.values(), (False, True)):
            asked = DifferenceAsked(MOMENTS[begin], end, capacity=capacity)
            assert _rows(door, asked) == _rows(memory_door(), asked), (end, capacity)
            assert door.diff(asked).profiles == memory_door().diff(asked).profiles

    def test_a_moment_does_not_differ_from_itself(self, door: Door) -> None:
        for moment in MOMENTS.values():
            assert differences(door, DifferenceAsked(moment, moment), now=ASKED).groups == ()

    def test_differences_come_page_by_page_and_are_the_same(self, door: Door) -> None:
        asked = DifferenceAsked(Moment(known_at=0), capacity=True)
        pages = list(difference_pages(door, structs.replace(asked, limit=1)))
        assert [{row.host for row in page.rows} for page in pages if page.rows] == [{f"host-{c}"} for c in "abcdefg"]
        assert [row for page in pages for row in page.rows] == list(door.diff(asked).rows)
        assert [page.decided is not None for page in pages] == [True] + [False] * (len(pages) - 1)
        whole = {digest for page in pages for digest in page.profiles}
        assert whole == set(door.diff(asked).profiles)

    @pytest.mark.parametrize(("host", "site", "hosts"), [("beta", None, {"host-b"}), (None, "lab", 7), (None, "x", 0)])
    def test_differences_of_a_host_or_a_site(
        self, door: Door, host: str | None, site: str | None, hosts: set[str] | int
    ) -> None:
        page = door.diff(DifferenceAsked(Moment(known_at=0), host=host, site=site))
        found = {row.host for row in page.rows}
        assert found == hosts if isinstance(hosts, set) else len(found) == hosts
        assert page.decided is None

    def test_a_host_that_was_at_neither_moment_is_not_found(self, door: Door) -> None:
        with pytest.raises(NotFoundError):
            door.diff(DifferenceAsked(Moment(known_at=3), Moment(known_at=4), host="beta"))

    def test_differences_tell_what_was_decided(self, door: Door) -> None:
        before = Moment(known_at=RECORDS)
        groups = differences(door, DifferenceAsked(before), now=ASKED).groups
        rules = {(group.event, group.after) for group in groups if group.object == "rule"}
        assert rules == {("appeared", "in force"), ("appeared", "ended")}
        assert "mtty-1.0-recorded" in {group.what for group in groups if group.object == "catalog"}
        assert {group.object for group in groups} == {"rule", "catalog"}

    def test_a_rule_that_ended_in_between_has_changed(self, door: Door) -> None:
        asked = DifferenceAsked(Moment(as_of=ASKED, known_at=RECORDS + BELIEFS - 1), Moment(as_of=ASKED))
        (group,) = differences(door, asked, now=ASKED).groups
        assert (group.object, group.event, group.before, group.after) == ("rule", "changed", "in force", "ended")
        assert PIN_ENDED < ASKED

    def test_the_log_is_told_byte_for_byte(self, door: Door) -> None:
        entries = list(whole_entries(log_pages(door, LogAsked())))
        assert [bytes_in(entry) for entry in entries[:RECORDS]] == records_of()
        assert [entry.position for entry in entries] == list(range(1, RECORDS + BELIEFS + 1))
        assert all(hashlib.sha256(bytes_in(entry)).hexdigest() == entry.sha256 for entry in entries)
        assert [(entry.host, entry.kind) for entry in entries[-2:]] == [("", "rule"), ("", "rule")]

    @pytest.mark.parametrize(
        "asked", [LogAsked(limit=2), LogAsked(max_bytes=1_000), LogAsked(limit=3, max_bytes=7_000)]
    )
    def test_the_log_is_the_same_in_pages_of_any_size(self, door: Door, asked: LogAsked) -> None:
        pages = list(log_pages(door, asked))
        assert len(pages) > 10
        assert max(sum(len(bytes_in(entry)) for entry in page.entries) for page in pages) <= asked.max_bytes
        assert list(whole_entries(iter(pages))) == list(whole_entries(log_pages(door, LogAsked())))

    def test_a_period_of_the_log(self, door: Door) -> None:
        whole = list(whole_entries(log_pages(door, LogAsked())))
        committed = whole[0].committed_at
        assert {entry.committed_at for entry in whole[:RECORDS]} == {committed}  # the fleet told all in one go
        assert whole[-1].committed_at == ASKED

        def positions(**period: object) -> list[int]:
            pages = log_pages(door, structs.replace(LogAsked(limit=10), **period))
            return [entry.position for page in pages for entry in page.entries]

        second = timedelta(seconds=1)
        assert positions(since=ASKED) == list(range(RECORDS + 1, RECORDS + BELIEFS + 1))
        assert positions(until=ASKED) == list(range(1, RECORDS + 1))
        assert positions(since=committed, until=committed + second) == list(range(1, RECORDS + 1))
        assert positions(since=committed + second, until=ASKED) == []
        assert positions(since=ASKED + second) == []
        assert positions(after=3, upto=5) == [4, 5]
        assert positions(after=5, upto=5) == []
        assert positions(upto=10**6, after=RECORDS + 3) == [RECORDS + 4]

    @pytest.mark.parametrize("table", TIMELINES)
    def test_timelines_are_the_same_in_pages_of_any_size(self, door: Door, table: TimelineName) -> None:
        pages = list(timeline_pages(door, TimelineAsked(table, limit=2)))
        rows = [row for page in pages for row in page.rows]
        assert len(pages) > 1
        assert rows == list(door.timelines(TimelineAsked(table)).rows)
        assert len(set(rows)) == len(rows)

    def test_timelines_are_told_as_they_were_known(self, door: Door) -> None:
        page = door.timelines(TimelineAsked("device", known_at=4))
        told = [dict(zip(page.columns, row, strict=True)) for row in page.rows]
        assert [(row["name"], row["valid_to_us"], row["ended_at"], row["system_to"]) for row in told] == [
            (uuid_of(1), None, None, None),
            (uuid_of(2), None, None, None),
        ]
        still = door.timelines(TimelineAsked("device", known_at=4, since=_second(10)))
        assert still.rows == page.rows  # that the second ended at 5 s was not known yet
        assert len(door.timelines(TimelineAsked("device", known_at=5, since=_second(10))).rows) == 1
        later = door.timelines(TimelineAsked("device", known_at=5, until=_second(60)))
        ended = dict(zip(later.columns, later.rows[-1], strict=True))
        assert (ended["name"], ended["ended_at"], ended["valid_to_us"]) == (uuid_of(2), 5, micros(_second(5)))

    def test_a_cursor_of_another_table_is_refused(self, door: Door) -> None:
        cursor = door.timelines(TimelineAsked("host", limit=1)).next
        for wrong in (cursor, "nonsense"):
            with pytest.raises(UsageError) as caught:
                door.timelines(TimelineAsked("device", cursor=wrong))
            assert caught.value.code == "BAD_CURSOR"

    @pytest.mark.parametrize(
        "ask",
        [
            lambda door: door.entries(LogAsked(limit=0)),
            lambda door: door.entries(LogAsked(limit=10_001)),
            lambda door: door.timelines(TimelineAsked("host", limit=10_001)),
            lambda door: door.diff(DifferenceAsked(NOW, limit=10_001)),
        ],
    )
    def test_a_page_has_its_bounds(self, door: Door, ask: Callable[[Door], object]) -> None:
        with pytest.raises(UsageError):
            ask(door)

    def test_an_export_is_the_same_through_every_door(self, door: Door, tmp_path: Path) -> None:
        made = export(door, Period(last=RECORDS), tmp_path / "x", ("jsonl",), registry="x", now=ASKED)
        assert faults_of(tmp_path / "x")[1] == ()
        assert [file.rows for file in made.files] == [RECORDS, 7, 13, 11, 4, 11, 6]
        lines = [json.loads(line) for line in (tmp_path / "x" / "log.jsonl").read_bytes().splitlines()]
        assert [line["body"].encode() for line in lines] == records_of()
