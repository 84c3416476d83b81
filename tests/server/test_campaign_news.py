"""What is told of running campaigns, by a registry that runs: how far they came, and when a plan does not hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mdevreg import query
from mdevreg.campaigns import CampaignDraft
from mdevreg.errors import UsageError
from mdevreg.events import Event, typed
from mdevreg.facts import NOW
from mdevreg.planning.asked import WavesAsked
from mdevreg.planning.waves.course import kept
from mdevreg.planning.waves.limits import Limits
from mdevreg.query.door import Door
from mdevreg.query.planning import check_plan, plan_waves
from mdevreg.rules import Scope, scope_in
from mdevreg.verdict import Outcome
from mdevreg.wanted import wanted_in
from mdevreg_server import supervision
from mdevreg_server.broker import Broker
from support.bus_client import publish
from support.hosts import look, mtty, uuid_of
from support.publisher import EPOCH_START, Look, Publisher
from support.registry import migrated
from support.serving import serving
from support.told_events import published

OLD, NEW = {"version": "2", "minimum": "1"}, {"version": "3", "minimum": "2"}
WANTED = wanted_in("mtty 3")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as anything comes."""
    monkeypatch.setattr(supervision, "CAMPAIGNS_EVERY_S", 0.0)
    monkeypatch.setattr(supervision, "CAMPAIGNS_REST", 0.0)
    monkeypatch.setattr(supervision, "DEADLINES_EVERY_S", 0.2)


@pytest.fixture
def database(database_url: str) -> Iterator[sa.Engine]:
    """Empty, of this test alone, on both databases."""
    with migrated(database_url) as engine:
        yield engine


class _Fleet:
    """Hosts that publish what they are."""

    def __init__(self, url: str) -> None:
        self._url, self._hosts = url, dict[str, Publisher]()

    def put(self, name: str, versions: dict[str, str], *devices: int, free: int = 3) -> None:
        now: Look = look(mtty(devices=devices, free=free, **versions), hostname=name)
        if name not in self._hosts:
            self._hosts[name] = Publisher(f"host-{name}")
            publish(self._url, self._hosts[name].snapshot(now))
        else:
            publish(self._url, self._hosts[name].changes(now))


class _Heard:
    """What was told of campaigns, as it comes."""

    def __init__(self, door: Door) -> None:
        self.events: list[Event] = []
        self._told = query.events(door, "campaign.*")

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def until(self, kind: str, times: int = 1) -> Event:
        """The event of that kind that comes for the so-and-so-manieth time."""
        deadline = time.monotonic() + 60
        while self.kinds.count(kind) < times:
            assert time.monotonic() < deadline, f"{kind} is told {times} times; it was: {self.kinds}"
            event = self._told.get(timeout_s=0.2)
            self.events += [] if event is None else [event]
        return [event for event in self.events if event.kind == kind][times - 1]

    def close(self) -> None:
        self._told.close()


@contextmanager
def _hearing(door: Door) -> Iterator[_Heard]:
    heard = _Heard(door)
    try:
        yield heard
    finally:
        heard.close()


def _planned_for(door: Door, asked: WavesAsked) -> int:
    """How many hosts the planner knows of so far: it hears of them a little after the door's lists."""
    try:
        return plan_waves(door, asked, now=datetime.now(UTC)).hosts
    except UsageError:
        return 0


def test_a_campaign_is_followed_from_its_beginning_to_its_end(database: sa.Engine, nats_server: Broker) -> None:
    """Progress, a device that comes to where it has no place, the plan that holds again, and the last host."""
    url, broker = database.url.render_as_string(hide_password=False), nats_server.url
    fleet = _Fleet(broker)
    with serving(url, broker) as registry, query.open(broker) as door, _hearing(door) as heard:
        for name in ("h1", "h2"):
            fleet.put(name, OLD)
        fleet.put("h3", NEW, 3)
        registry.until(lambda: len(door.hosts(NOW).hosts) == 3, "all are known")
        asked = WavesAsked(WANTED, scope_in("version=2"), Limits())
        registry.until(lambda: _planned_for(door, asked) == 2, "they are planned for")
        plan = plan_waves(door, asked, now=datetime.now(UTC))
        assert plan.outcome is Outcome.COMPATIBLE
        where = Scope(version=("2",), driver=("mtty",))
        door.create_campaign(
            CampaignDraft(name="to-3", wanted=WANTED, author="t", where=where, begins=EPOCH_START, plan=kept(plan))
        )
        heard.until("campaign.progressed")
        fleet.put("h2", OLD, 9, free=2)
        deviated = heard.until("campaign.deviated")
        assert any(uuid_of(9) in text for text in deviated.data["endangering"])
        registry.until(lambda: check_plan(door, "to-3", now=datetime.now(UTC)).deviations != (), "the door says so too")
        checked = check_plan(door, "to-3", now=datetime.now(UTC))
        assert (checked.outcome, checked.left) == (Outcome.INCOMPATIBLE, 2)
        fleet.put("h2", OLD)
        heard.until("campaign.on_course")
        fleet.put("h2", OLD, 9, free=2)
        again = heard.until("campaign.deviated", 2)
        assert again.id != deviated.id, "else it is a duplicate to whoever hears it"
        fleet.put("h2", OLD)
        heard.until("campaign.on_course", 2)
        fleet.put("h1", NEW)
        heard.until("campaign.progressed", 2)
        fleet.put("h2", NEW)
        heard.until("campaign.completed")
        door.end_campaign("to-3", author="t")
        heard.until("campaign.ended")
    kinds = heard.kinds
    assert [kind for kind in kinds if kind in ("campaign.deviated", "campaign.on_course", "campaign.completed")] == [
        *("campaign.deviated", "campaign.on_course") * 2,
        "campaign.completed",
    ]
    assert kinds[0] == "campaign.created"
    told = [typed(event) for event in heard.events if event.kind == "campaign.progressed"]
    assert [(each.hosts, each.upgraded) for each in told] == [(2, 0), (2, 1), (2, 2)]  # type: ignore[union-attr]


def test_what_was_told_is_not_told_again_by_who_goes_on(database: sa.Engine, nats_server: Broker) -> None:
    """It is kept with the mark; a deadline that passes meanwhile is news."""
    url, broker = database.url.render_as_string(hide_password=False), nats_server.url
    fleet = _Fleet(broker)
    with query.open(broker) as door:
        with serving(url, broker) as registry, _hearing(door) as heard:
            fleet.put("h1", OLD)
            registry.until(lambda: len(door.hosts(NOW).hosts) == 1, "it is known")
            deadline = datetime.now(UTC) + timedelta(seconds=10)
            door.create_campaign(CampaignDraft(name="late", wanted=WANTED, author="t", deadline=deadline))
            heard.until("campaign.progressed")
        with serving(url, broker), _hearing(door) as heard:
            heard.until("campaign.overdue")
        with serving(url, broker), _hearing(door) as heard:
            door.end_campaign("late", author="t")
            heard.until("campaign.ended")
    kinds = [event.kind for event in published(broker) if event.kind.startswith("campaign.")]
    assert kinds == ["campaign.created", "campaign.progressed", "campaign.overdue", "campaign.ended"]
