"""The laws of ``mdevreg.query.door``, as one suite. A door passes by inheriting it with an ``open_door`` fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Evidence, Moment, Side
from mdevreg.moments import moment_in
from mdevreg.query import questions
from mdevreg.query.door import Door
from mdevreg.support import NoSupport, StreamSupport
from mdevreg.verdict import Outcome
from support.door_fleet import ASKED, PIN_ENDED, memory_door, records_of
from support.hosts import uuid_of
from support.publisher import EPOCH_START

OpenDoor = Callable[[], Door]


#: Positions that the catalog and the rules of ``support.door_fleet`` take after the records.
BELIEFS = 4


def _second(number: float) -> datetime:
    """Record ``seq`` of each host is observed ``seq`` seconds after the start."""
    return EPOCH_START + timedelta(seconds=number)


#: Before anything; in the middle of alpha's first look; while uuid 2 lives; after; as known before beta; both.
MOMENTS = {
    "now": NOW,
    "after the first record": Moment(as_of=_second(1)),
    "while the second device lives": Moment(as_of=_second(4.5)),
    "while beta is newer": Moment(as_of=_second(4)),
    "after all changes": Moment(as_of=_second(60)),
    "as known before beta": Moment(known_at=5),
    "as known then, of then": Moment(as_of=_second(4), known_at=8),
}


#: What nobody can know yet.
AHEAD = {
    "as_of": Moment(as_of=datetime(2999, 1, 1, tzinfo=UTC)),
    "known_at": Moment(known_at=datetime(2999, 1, 1, tzinfo=UTC)),
    "position": Moment(known_at=10_000),
}
#: Questions to every door, the first two of lists that stand in any moment.
ASKING: list[Callable[[Door, Moment], Any]] = [
    lambda door, moment: door.hosts(moment),
    lambda door, moment: door.drivers(moment),
    lambda door, moment: door.host("alpha", moment),
    lambda door, moment: door.history("alpha", moment, 10),
]


def _same(side: Side) -> Side:
    return structs.replace(side, evidence=_placeless(side.evidence))


def _placeless(evidence: Evidence) -> Evidence:
    """What is asked about the past carries the time of another fact from door to door."""
    return structs.replace(evidence, changed_at=None) if evidence.historical else evidence


class DoorContract:
    """Every door hands out the same facts of ``support.door_fleet``."""

    @pytest.fixture
    def door(self, open_door: OpenDoor) -> Iterator[Door]:
        with open_door() as door:
            yield door

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_hosts_are_those_known_at_the_moment_by_hostname(self, door: Door, moment: Moment) -> None:
        found, expected = door.hosts(moment).hosts, memory_door().hosts(moment).hosts
        normal = [structs.replace(host, evidence=_placeless(host.evidence)) for host in found]
        assert normal == [structs.replace(host, evidence=_placeless(host.evidence)) for host in expected]

    def test_hosts_now_are_counted(self, door: Door) -> None:
        hosts = door.hosts(NOW)
        assert hosts.position == memory_door().position == len(records_of()) + BELIEFS
        names = [host.evidence.hostname for host in hosts.hosts]
        assert names == ["alpha", "beta", "eta", "gamma", "twin", "twin", "zeta"]
        beta = hosts.hosts[1]
        assert (beta.parents, beta.types, beta.devices, beta.kernel_release) == (2, 2, 0, "6.12.0")

    @pytest.mark.parametrize("before", [Moment(as_of=_second(-1)), Moment(known_at=0)], ids=["as_of", "known_at"])
    def test_before_everything_nothing_is_known_and_that_is_no_empty_list(self, door: Door, before: Moment) -> None:
        for ask in ASKING:
            with pytest.raises(UsageError, match="2026-11-24") as caught:
                ask(door, before)
            assert caught.value.code == "BEFORE_HISTORY"

    @pytest.mark.parametrize("ahead", AHEAD.values(), ids=AHEAD)
    def test_what_is_still_to_come_is_refused(self, door: Door, ahead: Moment) -> None:
        for ask in ASKING:
            with pytest.raises(UsageError) as caught:
                ask(door, ahead)
            assert caught.value.code == "FUTURE"

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_a_list_tells_the_token_that_gives_it_again(self, door: Door, moment: Moment) -> None:
        for ask in ASKING[:2]:
            told = ask(door, moment)
            token = told.snapshot
            again = moment_in(token)
            assert again.known_at == (moment.known_at or memory_door().position)
            assert again.as_of == moment.as_of or moment.as_of is None
            assert ask(door, again).snapshot == token
            assert msgspec.json.encode(ask(door, again)) == msgspec.json.encode(ask(door, again))

    def test_a_clock_beyond_the_bound_is_told_of_now_and_not_of_the_past(self, door: Door) -> None:
        wrong = {each.evidence.hostname: each.evidence.clock_skew_s for each in door.hosts(NOW).hosts}
        assert {name: skew for name, skew in wrong.items() if skew is not None} == {"eta": -7_200.25}
        assert door.host("eta", NOW).evidence.clock_skew_s == -7_200.25
        assert door.host("eta", Moment(as_of=_second(60))).evidence.clock_skew_s is None

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_a_host_is_shown_whole_as_of_the_moment(self, door: Door, moment: Moment) -> None:
        found, expected = door.host("alpha", moment), memory_door().host("alpha", moment)
        assert (found.facts, found.parents) == (expected.facts, expected.parents)
        assert found.supports == expected.supports
        assert _placeless(found.evidence) == _placeless(expected.evidence)

    def test_a_host_is_found_by_its_id_too(self, door: Door) -> None:
        assert door.host("host-d", NOW).evidence.hostname == "twin"

    def test_the_answer_carries_the_position_it_was_read_at(self, door: Door) -> None:
        assert door.host("alpha", NOW).position == len(records_of()) + BELIEFS

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_a_pair_is_the_source_and_all_that_the_target_offers(self, door: Door, moment: Moment) -> None:
        try:
            expected = memory_door().pair(uuid_of(1), "beta", moment)
        except NotFoundError:
            with pytest.raises(NotFoundError):
                door.pair(uuid_of(1), "beta", moment)
            return
        found = door.pair(uuid_of(1), "beta", moment)
        assert _same(found.source) == _same(expected.source)
        assert list(map(_same, found.offers)) == list(map(_same, expected.offers))
        assert found.rules == expected.rules

    @pytest.mark.parametrize("device", [uuid_of(1), f"alpha/{uuid_of(1)}", "alpha/mtty/mtty-1", "host-a/mtty/mtty-1"])
    def test_candidates_are_every_offer_of_the_type(self, door: Door, device: str) -> None:
        found, expected = door.candidates(device, NOW), memory_door().candidates(device, NOW)
        assert found.source == expected.source
        assert found.offers == expected.offers
        assert found.rules == expected.rules
        assert len(found.rules) == 2
        assert [offer.evidence.host for offer in found.offers[:3]] == ["host-a", "host-b", "host-b"]

    def test_a_device_is_there_only_while_it_lived(self, door: Door) -> None:
        assert door.candidates(uuid_of(2), Moment(as_of=_second(4))).source.device == uuid_of(2)
        for second in (3.999, 5):
            with pytest.raises(NotFoundError):
                door.candidates(uuid_of(2), Moment(as_of=_second(second)))

    def test_history_of_a_device_is_its_life(self, door: Door) -> None:
        history = door.history(uuid_of(2), Moment(as_of=_second(60)), 10)
        told = [(change.event, change.object, change.valid_from, change.position) for change in history.changes]
        assert told == [("appeared", "device", _second(4), 4), ("gone", "device", _second(5), 5)]

    def test_history_of_a_host_is_oldest_first_and_its_end_is_kept(self, door: Door) -> None:
        whole = door.history("alpha", NOW, 1_000)
        assert whole.host == "host-a"
        starts = [change.valid_from for change in whole.changes]
        assert starts == sorted(starts)
        assert {change.host for change in whole.changes} == {"host-a"}
        assert door.history("alpha", NOW, 2).changes == whole.changes[-2:]

    def test_history_tells_the_three_times_of_each_record(self, door: Door) -> None:
        changes = door.history("alpha", NOW, 1_000).changes
        assert changes
        for change in changes:
            assert change.observed_at == change.valid_from
            assert change.received_at == _second(3_600 + change.position)
            assert change.committed_at == _second(3_600 + len(records_of()) + 1)
            assert (change.flag, change.clock_skew_s) == (None, None)

    def test_history_goes_no_further_than_the_moment(self, door: Door) -> None:
        changes = door.history("alpha", Moment(as_of=_second(3)), 1_000).changes
        assert changes
        assert max(change.valid_from for change in changes) <= _second(3)

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_drivers_are_counted_by_build(self, door: Door, moment: Moment) -> None:
        found, expected = door.drivers(moment).drivers, memory_door().drivers(moment).drivers
        assert sorted(found, key=repr) == sorted(expected, key=repr)

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_loading_is_every_offer_whose_build_is_known_to_load_the_format(self, door: Door, moment: Moment) -> None:
        found, expected = door.loading("mtty", moment), memory_door().loading("mtty", moment)
        assert list(map(_same, found.offers)) == list(map(_same, expected.offers))
        assert found.rules == expected.rules
        assert all(isinstance(offer.support, StreamSupport) for offer in found.offers)

    def test_a_build_that_states_nothing_is_not_known_to_load_anything(self, door: Door) -> None:
        offers = door.loading("mtty", NOW).offers
        assert [(o.evidence.hostname, o.parent) for o in offers][:4] == [
            ("alpha", "mtty"),
            ("beta", "mtty"),
            ("beta", "mtty2"),
            ("eta", "mtty"),
        ]
        assert "mtty7" not in {offer.parent for offer in offers}
        assert isinstance(door.host("eta", NOW).supports["mtty7/mtty-7"], NoSupport)
        assert door.loading("hisi_acc", NOW).offers == ()
        with pytest.raises(UsageError):
            door.loading("a\x00b", NOW)

    @pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
    def test_rules_are_all_that_were_known_ended_ones_included(self, door: Door, moment: Moment) -> None:
        found = door.rules(moment).rules
        assert found == memory_door().rules(moment).rules
        told = [(rule.effect, rule.valid_until) for rule in found]
        assert told == ([] if moment.known_at else [("deny", None), ("pin", PIN_ENDED)])

    def test_a_rule_that_was_not_ended_yet_was_in_force_as_far_as_was_known(self, door: Door) -> None:
        before = len(records_of()) + BELIEFS - 1
        assert [rule.valid_until for rule in door.rules(Moment(known_at=before)).rules] == [None, None]

    @pytest.mark.parametrize("ask", ["host", "device", "type", "parent", "target", "history"])
    def test_an_unknown_name_is_answered_with_the_nearest(self, door: Door, ask: str) -> None:
        near = uuid_of(1)[:-1] + "0"
        asked: dict[str, Callable[[], object]] = {
            "host": lambda: door.host("alpah", NOW),
            "device": lambda: door.candidates(near, NOW),
            "type": lambda: door.candidates("alpha/mtty/mtty-9", NOW),
            "parent": lambda: door.candidates("alpha/mttyy/mtty-1", NOW),
            "target": lambda: door.pair(uuid_of(1), "bata", NOW),
            "history": lambda: door.history("alpah", NOW, 10),
        }
        with pytest.raises(NotFoundError) as caught:
            asked[ask]()
        assert ask == "history" or caught.value.nearest
        assert caught.value.exit_code == 2

    def test_an_ambiguous_hostname_names_the_ids(self, door: Door) -> None:
        with pytest.raises(UsageError, match="host-d, host-e"):
            door.host("twin", NOW)

    def test_an_ambiguous_uuid_names_the_hosts(self, door: Door) -> None:
        with pytest.raises(UsageError, match="host-d, host-e"):
            door.candidates(uuid_of(9), NOW)
        assert door.candidates(f"host-e/{uuid_of(9)}", NOW).source.evidence.host == "host-e"

    @pytest.mark.parametrize("name", ["a/b/c/d", "\ud800", "a\x00b", "", "%", "'; DROP TABLE host_state; --"])
    def test_a_name_that_nothing_has_is_a_usage_error(self, door: Door, name: str) -> None:
        with pytest.raises(UsageError):
            door.candidates(name, NOW)
        with pytest.raises(UsageError):
            door.host(name, NOW)

    def test_closing_twice_is_allowed(self, open_door: OpenDoor) -> None:
        door = open_door()
        door.hosts(NOW)
        door.close()
        door.close()

    def test_a_door_is_used_from_several_threads(self, door: Door) -> None:
        expected = door.candidates(uuid_of(1), NOW)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: door.candidates(uuid_of(1), NOW), range(40)))
        assert answers == [expected] * 40

    @pytest.mark.parametrize(
        ("to", "outcome", "codes", "way_back"),
        [
            ("beta/mtty", "compatible", {"STREAM_VERSION_LOADS"}, "incompatible"),
            ("beta", "compatible", {"STREAM_VERSION_LOADS"}, "compatible"),
            ("gamma", "compatible", {"STREAM_VERSION_LOADS", "NO_FREE_INSTANCE"}, "compatible"),
            ("host-d", "unknown", {"HOST_STALE"}, "compatible"),
            ("host-e", "unknown", {"HOST_LEFT"}, "compatible"),
            ("zeta", "unknown", {"IDENTITY_CONFLICT"}, "compatible"),
            ("eta", "incompatible", {"TYPE_NOT_OFFERED"}, "unknown"),
        ],
    )
    def test_the_verdict_is_the_same_through_every_door(
        self, door: Door, to: str, outcome: str, codes: set[str], way_back: str
    ) -> None:
        answer = questions.can_migrate(door, uuid_of(1), to, now=ASKED)
        assert answer.verdict.outcome == outcome
        assert codes <= {reason.code for reason in answer.verdict.reasons}
        if way_back in ("incompatible", "unknown") or outcome == "compatible":
            assert answer.way_back == way_back
        assert answer == questions.can_migrate(memory_door(), uuid_of(1), to, now=ASKED)

    def test_the_verdict_of_then_is_that_of_then(self, door: Door) -> None:
        then = questions.can_migrate(door, uuid_of(1), "beta", now=ASKED, moment=Moment(as_of=_second(4)))
        assert {reason.code for reason in then.verdict.reasons} >= {"STREAM_VERSION_TOO_OLD"}
        assert then.verdict.outcome == Outcome.INCOMPATIBLE

    def test_targets_are_the_same_through_every_door(self, door: Door) -> None:
        found = questions.targets(door, uuid_of(1), now=ASKED)
        assert found == questions.targets(memory_door(), uuid_of(1), now=ASKED)
        assert found.counts == {"compatible": 2, "incompatible": 0, "unknown": 3}
        assert [answer.target.host for answer in found.answers[:2]] == ["host-b", "host-c"]
