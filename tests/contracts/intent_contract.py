"""The laws of ``mdevreg.query.intending``: one suite for every door, each test over a registry of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from contracts.door_contract import OpenDoor, _second
from mdevreg.baselines import BaselineClass, BaselineDraft, CheckAsked, CheckedHost, differences
from mdevreg.campaigns import CampaignAsked, CampaignDraft, CampaignHost, CampaignStatus
from mdevreg.deviations import classes_like, classes_of_most
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.moments import moment_in
from mdevreg.query import questions
from mdevreg.query.campaign_pages import whole_status
from mdevreg.query.check_pages import whole_check
from mdevreg.query.door import Door
from mdevreg.rules import Scope
from mdevreg.wanted import WantedBuild
from support.door_fleet import memory_door
from support.hosts import uuid_of
from support.publisher import EPOCH_START

#: To the build that beta alone of ``support.door_fleet`` ever had, and left again.
DRAFT = CampaignDraft(
    name="to-4",
    wanted=WantedBuild(name="mtty", version="4"),
    author="alice",
    where=Scope(site=("lab",)),
    begins=EPOCH_START,
    message="CVE-2026-1",
)
#: Moments at which its progress is asked about.
MOMENTS = [
    NOW,
    Moment(as_of=_second(2)),
    Moment(as_of=_second(3.5)),
    Moment(as_of=_second(4)),
    Moment(as_of=_second(60)),
]


GOLD = BaselineDraft(
    name="gold",
    classes=(BaselineClass(type="mtty-*", driver=WantedBuild(name="mtty", version="2")),),
    author="alice",
)
OTHER = BaselineClass(type="mtty-*", loads="mtty [1, 2]")
KERNEL = BaselineClass(type="mtty-1", kernel_release="6.13.0", fields={"psid": "MT_1"})
#: The fleet of these tests was heard long ago.
LONG_S = 3_000_000_000.0


def _asked(moment: Moment = NOW, **more: Any) -> CampaignAsked:
    return CampaignAsked("to-4", as_of=moment.as_of, known_at=moment.known_at, **more)


def _states(status: CampaignStatus) -> dict[str, str]:
    return {host.host: host.state for host in status.hosts}


class IntentContract:
    """Campaigns and baselines are kept and computed alike through every door."""

    @pytest.fixture
    def door(self, open_fresh: OpenDoor) -> Iterator[Door]:
        with open_fresh() as door:
            yield door

    def test_a_campaign_is_kept_as_it_was_meant(self, door: Door) -> None:
        before = door.rules(NOW).position
        created = door.create_campaign(DRAFT)
        assert created.where == Scope(site=("lab",), driver=("mtty",)), "those that run the wanted build's driver"
        assert created.begins == EPOCH_START
        assert (created.author, created.message, created.ended) == ("alice", "CVE-2026-1", None)
        (line,) = door.campaigns(NOW).campaigns
        assert (line.campaign, line.state) == (created, "running")
        whole = door.campaign("to-4", NOW)
        assert (whole.campaign, whole.plan) == (created, None)
        assert door.campaigns(Moment(known_at=before)).campaigns == (), "as known before it was created"

    def test_a_campaign_changes_nothing_that_is_judged(self, door: Door) -> None:
        asked = (uuid_of(1), "beta", NOW)
        before = questions.can_migrate(door, *asked[:2], now=_second(0)).verdict, door.rules(NOW).rules
        door.create_campaign(DRAFT)
        door.end_campaign("to-4", author="bob")
        assert (questions.can_migrate(door, *asked[:2], now=_second(0)).verdict, door.rules(NOW).rules) == before

    @pytest.mark.parametrize("moment", MOMENTS, ids=str)
    def test_progress_is_what_the_states_of_the_hosts_say(self, door: Door, moment: Moment) -> None:
        door.create_campaign(DRAFT)
        other = memory_door()
        other.create_campaign(DRAFT)
        found, expected = (each.campaign_status(_asked(moment)) for each in (door, other))
        assert found.hosts == expected.hosts
        assert structs.replace(found.progress, rate_from="") == structs.replace(expected.progress, rate_from="")

    def test_a_host_that_goes_back_is_rolled_back(self, door: Door) -> None:
        door.create_campaign(DRAFT)
        then = door.campaign_status(_asked(Moment(as_of=_second(4))))
        assert _states(then)["host-b"] == "upgraded"
        (beta,) = [host for host in then.hosts if host.host == "host-b"]
        assert (beta.was, beta.build, beta.upgraded_at, beta.since) == ("mtty 3", "mtty 4", _second(4), _second(4))
        now = door.campaign_status(_asked())
        assert now.hosts[0].host == "host-b", "the worst comes first"
        assert (now.hosts[0].state, now.hosts[0].since, now.hosts[0].build) == ("rolled_back", _second(5), "mtty 3")
        assert (now.progress.hosts, now.progress.rolled_back, now.progress.upgraded) == (7, 1, 0)
        assert now.progress.outlook == "no_deadline"

    def test_a_selector_of_the_old_version_keeps_those_that_were_upgraded(self, door: Door) -> None:
        draft = structs.replace(DRAFT, where=Scope(version=("3",), host=("beta",)))
        door.create_campaign(draft)
        then = door.campaign_status(_asked(Moment(as_of=_second(4))))
        assert _states(then) == {"host-b": "upgraded"}
        assert (then.progress.outlook, then.progress.first_upgrade) == ("complete", _second(4))

    def test_hosts_that_matched_before_it_began_are_not_in_it(self, door: Door) -> None:
        """Beta's second parent came with the last look; its build 4 was gone by then."""
        draft = structs.replace(DRAFT, where=Scope(version=("4",)), begins=_second(5))
        door.create_campaign(draft)
        found = door.campaign_status(_asked())
        assert (found.hosts, found.progress.outlook) == ((), "empty")

    def test_a_host_that_joins_later_is_new(self, door: Door) -> None:
        draft = structs.replace(DRAFT, where=Scope(version=("4",)), wanted=WantedBuild(name="mtty", version="3"))
        door.create_campaign(draft)
        (beta,) = door.campaign_status(_asked()).hosts
        assert (beta.new, beta.joined, beta.was, beta.state) == (True, _second(4), "mtty 4", "upgraded")
        assert door.campaign_status(_asked()).progress.new == 1

    @pytest.mark.parametrize("limit", [1, 3])
    def test_hosts_come_page_by_page_and_are_the_same(self, door: Door, limit: int) -> None:
        door.create_campaign(DRAFT)
        whole = door.campaign_status(_asked())
        assert whole.next is None
        asked, hosts = _asked(limit=limit), list[CampaignHost]()
        while True:
            page = door.campaign_status(asked)
            hosts += page.hosts
            if page.next is None:
                break
            asked = structs.replace(asked, cursor=page.next)
        assert tuple(hosts) == whole.hosts
        assert whole_status(door, _asked(limit=4)).hosts == whole.hosts[:4]
        pending = door.campaign_status(_asked(state="pending")).hosts
        assert pending == tuple(host for host in whole.hosts if host.state == "pending") != ()
        with pytest.raises(UsageError) as caught:
            door.campaign_status(structs.replace(asked, state="pending"))
        assert caught.value.code == "BAD_CURSOR"

    def test_an_answer_is_the_same_again_by_its_token(self, door: Door) -> None:
        door.create_campaign(structs.replace(DRAFT, deadline=_second(10_000_000)))
        for ask in (
            lambda moment: door.campaign_status(_asked(moment)),
            door.campaigns,
        ):
            told = ask(NOW)
            again = ask(moment_in(told.snapshot))
            assert msgspec.json.encode(again) == msgspec.json.encode(told)
        door.end_campaign("to-4", author="bob")
        after = door.campaign_status(_asked(moment_in(told.snapshot)))
        assert (after.state, after.campaign.ended) == ("running", None), "as known before it was ended"

    def test_an_ended_campaign_stands_as_it_did_at_its_end(self, door: Door) -> None:
        door.create_campaign(DRAFT)
        before = datetime.now(UTC) - timedelta(seconds=1)
        ended = door.end_campaign("to-4", author="bob", reason="superseded")
        assert (ended.ended_by, ended.reason, ended.author) == ("bob", "superseded", "alice")
        assert ended.ended is not None
        assert before <= ended.ended <= datetime.now(UTC) + timedelta(seconds=1)
        found = door.campaign_status(_asked())
        assert (found.state, found.campaign) == ("ended", ended)
        assert found.progress.hosts == 7
        assert [line.state for line in door.campaigns(NOW).campaigns] == ["ended"]
        assert door.campaign_status(_asked(Moment(as_of=_second(4)))).state == "running"
        with pytest.raises(UsageError) as caught:
            door.end_campaign("to-4", author="bob")
        assert caught.value.code == "CAMPAIGN_ENDED"

    def test_one_that_is_to_come_has_no_hosts_and_one_that_never_began_neither(self, door: Door) -> None:
        begins = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        door.create_campaign(structs.replace(DRAFT, begins=begins))
        found = door.campaign_status(_asked())
        assert (found.state, found.hosts, found.progress.outlook) == ("to_come", (), "empty")
        (line,) = door.campaigns(NOW).campaigns
        assert (line.state, line.progress.hosts) == ("to_come", 0)
        assert door.end_campaign("to-4", author="bob").ended == begins, "it never began"
        assert door.campaign_status(_asked()).hosts == ()

    def test_asking_twice_creates_one(self, door: Door) -> None:
        first = door.create_campaign(DRAFT)
        position = door.campaigns(NOW).position
        assert door.create_campaign(DRAFT) == first
        assert door.create_campaign(structs.replace(DRAFT, begins=None)) == first
        assert door.campaigns(NOW).position == position
        with pytest.raises(UsageError, match="to-4") as caught:
            door.create_campaign(structs.replace(DRAFT, message="another"))
        assert caught.value.code == "CAMPAIGN_EXISTS"
        door.end_campaign("to-4", author="bob")
        with pytest.raises(UsageError) as caught:
            door.create_campaign(DRAFT)
        assert caught.value.code == "CAMPAIGN_EXISTS", "a name is never used again"

    def test_a_plan_is_kept_as_it_was_given(self, door: Door) -> None:
        plan = {"waves": [{"hosts": ["alpha", "beta"], "share": 0.5}], "note": "Ü"}
        created = door.create_campaign(structs.replace(DRAFT, plan=plan))
        assert created.plan_digest == hashlib.sha256(msgspec.json.encode(plan)).hexdigest()
        assert door.campaign("to-4", NOW).plan == plan
        door.end_campaign("to-4", author="bob")
        whole = door.campaign("to-4", NOW)
        assert (whole.plan, whole.campaign.plan_digest) == (plan, created.plan_digest)
        with pytest.raises(UsageError) as caught:
            door.create_campaign(structs.replace(DRAFT, name="huge", plan={"x": "y" * 512_000}))
        assert caught.value.code == "PLAN_TOO_LARGE"

    @pytest.mark.parametrize(
        "changed",
        [
            {"author": " "},
            {"wanted": WantedBuild(name="mtty")},
            {"deadline": EPOCH_START},
            {"message": "a\nb"},
            {"name": "no name"},
            {"name": "x" * 65},
        ],
        ids=str,
    )
    def test_what_can_not_be_meant_is_refused(self, door: Door, changed: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            door.create_campaign(structs.replace(DRAFT, **changed))
        assert door.campaigns(NOW).campaigns == ()

    def test_an_unknown_name_gets_the_nearest(self, door: Door) -> None:
        door.create_campaign(DRAFT)
        for ask in (
            lambda: door.campaign("to-5", NOW),
            lambda: door.campaign_status(CampaignAsked("to-5")),
            lambda: door.end_campaign("to-5", author="bob"),
        ):
            with pytest.raises(NotFoundError) as caught:
                ask()
            assert (caught.value.kind, caught.value.nearest) == ("campaign", ("to-4",))
        with pytest.raises(UsageError, match="limit"):
            door.campaign_status(_asked(limit=1_001))

    def test_a_baseline_changes_by_a_new_version(self, door: Door) -> None:
        first = door.put_baseline(GOLD)
        assert (first.version, first.author, first.classes, first.ended) == (1, "alice", GOLD.classes, None)
        position = door.baselines(NOW).position
        assert door.put_baseline(GOLD) == first, "the same again is the same"
        assert door.baselines(NOW).position == position
        second = door.put_baseline(structs.replace(GOLD, classes=(OTHER,), author="bob"))
        assert (second.version, second.author) == (2, "bob")
        assert door.baselines(NOW).baselines == (second,)
        shown = door.baseline("gold", NOW)
        assert (shown.baseline, shown.versions) == (second, (1, 2))
        assert door.baseline("gold@1", NOW).baseline == first
        assert door.baseline("gold", Moment(known_at=position)).baseline == first
        assert door.baseline("gold", Moment(as_of=second.at - timedelta(microseconds=1))).baseline == first
        assert [(each.key, each.what, each.before, each.after) for each in differences(first, second)] == [
            ("mtty-*", "driver", "mtty 2", None),
            ("mtty-*", "loads", None, "mtty [1, 2]"),
        ]

    def test_an_ended_baseline_stays_in_the_history(self, door: Door) -> None:
        first = door.put_baseline(GOLD)
        ended = door.end_baseline("gold", author="bob", reason="too old")
        assert (ended.version, ended.ended_by, ended.reason) == (1, "bob", "too old")
        assert ended.ended is not None
        assert door.baselines(NOW).baselines == (ended,)
        assert door.baseline("gold", Moment(as_of=ended.ended - timedelta(microseconds=1))).baseline == first
        with pytest.raises(UsageError) as caught:
            door.end_baseline("gold", author="bob")
        assert caught.value.code == "BASELINE_ENDED"
        assert door.put_baseline(GOLD).version == 2, "it may come back"

    @pytest.mark.parametrize("moment", MOMENTS, ids=str)
    @pytest.mark.parametrize("where", [Scope(), Scope(host=("beta", "eta")), Scope(type=("mtty-2",))], ids=str)
    def test_who_deviates_in_what_and_since_when(self, door: Door, moment: Moment, where: Scope) -> None:
        draft = structs.replace(GOLD, classes=(structs.replace(OTHER, driver=GOLD.classes[0].driver), KERNEL))
        told = []
        for each in (door, memory_door()):
            each.put_baseline(draft)
            at = CheckAsked("gold@1", where, stale_after_s=LONG_S, as_of=moment.as_of, known_at=moment.known_at)
            found = each.check_baseline(at)
            told.append((found.rows, found.hosts, found.conforms, found.uncovered))
        assert told[0] == told[1]
        if moment != NOW:
            with pytest.raises(NotFoundError, match="gold"):
                door.check_baseline(structs.replace(at, name="gold"))

    def test_a_check_tells_counts_and_hosts(self, door: Door) -> None:
        door.put_baseline(GOLD)
        found = door.check_baseline(CheckAsked("gold", stale_after_s=LONG_S))
        states = {host.host: host.standing for host in found.rows}
        assert states["host-b"] == "deviates"
        assert "host-c" not in states, "gamma conforms"
        (beta,) = [host for host in found.rows if host.host == "host-b"]
        assert [(each.parent, each.what, each.expected, each.found, each.since) for each in beta.deviations] == [
            ("mtty", "driver.version", "2", "3", _second(5))
        ]
        assert (found.hosts, found.conforms + found.deviates + found.unknown) == (7, 7)
        assert states["host-f"] == "unknown", "its id is disputed"
        stale = door.check_baseline(CheckAsked("gold", stale_after_s=1.0))
        assert (stale.deviates, stale.conforms, stale.unknown) == (0, 0, 7), "nothing is to be relied on"
        assert next(host for host in stale.rows if host.host == "host-b").doubts == ("HOST_STALE",)

    def test_a_check_comes_page_by_page(self, door: Door) -> None:
        door.put_baseline(GOLD)
        asked = CheckAsked("gold", stale_after_s=1.0)
        whole = door.check_baseline(asked)
        assert (len(whole.rows), whole.next) == (7, None)
        page, rows = door.check_baseline(structs.replace(asked, limit=3)), list[CheckedHost]()
        while True:
            rows += page.rows
            if page.next is None:
                break
            page = door.check_baseline(structs.replace(asked, limit=3, cursor=page.next))
        assert tuple(rows) == whole.rows == whole_check(door, structs.replace(asked, limit=100)).rows
        assert whole_check(door, structs.replace(asked, limit=5)).rows == whole.rows[:5]

    def test_what_is_there_makes_a_baseline(self, door: Door) -> None:
        for where in (Scope(), Scope(host=("beta",))):
            for moment in MOMENTS:
                found = door.configurations(where, moment).configurations
                assert found == memory_door().configurations(where, moment).configurations, (where, moment)
        most = classes_of_most(door.configurations(Scope(), NOW).configurations)
        assert [each.key for each in most] == ["mtty-1", "mtty-2", "mtty-7"]
        assert (most[0].driver, most[0].loads) == (WantedBuild(name="mtty", version="2"), "mtty [1, 2]")
        alone = door.put_baseline(structs.replace(GOLD, classes=classes_like(door.host("eta", NOW))))
        told = door.check_baseline(CheckAsked("gold", Scope(host=("eta",)), stale_after_s=LONG_S))
        assert (told.hosts, told.deviates, told.baseline) == (1, 0, alone)
        with pytest.raises(UsageError, match="two configurations"):
            classes_like(door.host("beta", NOW))

    @pytest.mark.parametrize(
        "changed",
        [
            {"author": ""},
            {"classes": ()},
            {"classes": (BaselineClass(driver=WantedBuild(name="mtty", version="2")),)},
            {"classes": (BaselineClass(type="mtty-1"),)},
            {"classes": (BaselineClass(type="x", loads="1"), BaselineClass(type="x", loads="2"))},
            {"name": "gold@2"},
        ],
        ids=str,
    )
    def test_what_no_baseline_can_be_is_refused(self, door: Door, changed: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            door.put_baseline(structs.replace(GOLD, **changed))
        assert door.baselines(NOW).baselines == ()

    def test_an_unknown_baseline_gets_the_nearest(self, door: Door) -> None:
        door.put_baseline(GOLD)
        for ask in (
            lambda: door.baseline("glod", NOW),
            lambda: door.check_baseline(CheckAsked("glod")),
            lambda: door.end_baseline("glod", author="bob"),
        ):
            with pytest.raises(NotFoundError) as caught:
                ask()
            assert (caught.value.kind, caught.value.nearest) == ("baseline", ("gold",))
        with pytest.raises(NotFoundError) as caught:
            door.baseline("gold@2", NOW)
        assert caught.value.nearest == ("gold@1",)
