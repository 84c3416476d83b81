"""Events as a library reads them, and answers that are waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
import sqlalchemy as sa

from mdevreg import query
from mdevreg.errors import NotFoundError, StateError, UsageError
from mdevreg.event_filter import EventFilter, filter_in
from mdevreg.events import Event
from mdevreg.query.event_stream import EventStream
from mdevreg.verdict import Outcome
from mdevreg_server.broker import Broker
from mdevreg_server.http.config import HttpConfig
from support.bus_client import publish
from support.databases import sqlite_url
from support.hosts import look, mtty, uuid_of
from support.publisher import Publisher
from support.registry import migrated
from support.serving import Serving, serving
from support.told_events import mark_of

NARROW, WIDE = mtty(version="2", minimum="2"), mtty(version="2", minimum="1")


class Scene:
    """Alpha has a device of stream version 1; beta loads 2 and above."""

    def __init__(self, registry: Serving, engine: sa.Engine, broker: Broker) -> None:
        self.registry, self._engine, self.broker = registry, engine, broker
        self.database = engine.url.render_as_string(hide_password=False)
        self.alpha, self.beta = Publisher("host-a"), Publisher("host-b")
        self._wide = False
        publish(broker.url, self.alpha.snapshot(look(mtty(version="1", devices=[1]))))
        publish(broker.url, self.beta.snapshot(look(NARROW, hostname="beta")))
        registry.until(lambda: sum(len(batch.records) for batch in registry.batches) >= 6, "all is committed")
        registry.until(lambda: mark_of(engine).position >= registry.positions[-1], "all is told")

    def turn(self) -> None:
        """Beta loads version 1 too, or no more."""
        self._wide = not self._wide
        publish(self.broker.url, self.beta.changes(look(WIDE if self._wide else NARROW, hostname="beta")))


@pytest.fixture
def scene(tmp_path_factory: pytest.TempPathFactory, nats_server: Broker) -> Iterator[Scene]:
    url = sqlite_url(tmp_path_factory.mktemp("registry"))
    http = HttpConfig("127.0.0.1:0")
    with migrated(url) as engine, serving(url, nats_server.url, http=http) as registry:
        yield Scene(registry, engine, nats_server)


@pytest.fixture(params=["nats", "replica+nats"])
def url(request: pytest.FixtureRequest, scene: Scene) -> str:
    return scene.broker.url.replace("nats", request.param, 1)


def _taken(stream: EventStream, count: int) -> list[Event]:
    found = [stream.get(20) for _ in range(count)]
    return [event for event in found if event is not None]


def test_events_come_as_they_happen_and_only_those_that_are_meant(scene: Scene, url: str) -> None:
    """From now on; by type and place."""
    with query.open(url) as door, query.events(door, "driver.* offer.appeared host=beta") as told:
        assert told.get(0.05) is None
        scene.turn()
        (event,) = _taken(told, 1)
        assert (event.kind, event.data["hostname"]) == ("offer.appeared", "beta")
        assert event.data["replaces"]
        assert told.get(0.3) is None


def test_a_broker_that_comes_back_leaves_no_gap_and_no_double(scene: Scene, url: str) -> None:
    """The stream goes on by itself."""
    with query.open(url) as door, query.events(door, "offer.appeared") as told, query.events(door) as whole:
        scene.turn()
        first = _taken(told, 1)
        scene.broker.kill()
        assert told.get(0.2) is None
        scene.broker.start()
        scene.turn()
        scene.turn()
        seen = first + _taken(told, 2)
        assert len({event.id for event in seen}) == 3
        assert [event.position for event in seen] == sorted({event.position for event in seen})
        read: list[Event] = []
        while not read or read[-1].position < seen[-1].position:
            read += _taken(whole, 1)
        assert [event.id for event in read if event.kind == "offer.appeared"] == [event.id for event in seen]


def test_since_a_position_or_a_time_all_that_came_then_is_read(scene: Scene) -> None:
    """Found by halving: nothing before it, everything behind it."""
    with query.open(scene.broker.url) as door:
        with query.events(door, since=0) as told:
            scene.turn()
            read = _taken(told, 8)
            while "replaces" not in read[-1].data or not read[-1].data["replaces"]:
                read += _taken(told, 1)
        for position in sorted({event.position for event in read})[:-1]:
            with query.events(door, since=position) as told:
                behind = [event for event in read if event.position > position]
                assert [event.id for event in _taken(told, len(behind))] == [event.id for event in behind]
                assert not told.missed
        with query.events(door, since=read[-1].time) as told:
            assert _taken(told, 1)[0].time == read[-1].time


def test_a_stream_that_is_closed_ends_who_waits(scene: Scene, url: str) -> None:
    """Closed from another thread, twice, or after its door."""
    with query.open(url) as door:
        told = query.events(door)
        ended: list[Event | None] = []
        waiting = threading.Thread(target=lambda: ended.append(told.get()))
        waiting.start()
        told.close()
        waiting.join(20)
        assert ended == [None]
        told.close()
        left = query.events(door)
    left.close()
    assert left.get() is None


def test_doors_that_tell_no_events_say_which_do(scene: Scene) -> None:
    """And a filter that can't be meant is refused before anything is opened."""
    for url in (scene.database, scene.registry.http_url):
        with query.open(url) as door, pytest.raises(StateError, match=r"nats://.*replica\+nats://") as refused:
            query.events(door)
        assert refused.value.code == "NO_EVENTS"
        with query.open(url) as door, pytest.raises(UsageError, match="no event's type"):
            query.events(door, "drivers")


def test_a_broker_without_events_says_so(nats_server: Broker) -> None:
    """No registry told any."""
    with query.open(nats_server.url) as door, pytest.raises(StateError, match="no events are told there"):
        query.events(door)


@pytest.mark.parametrize("door_of", ["nats", "replica", "http", "sqlite"])
def test_an_answer_is_waited_for_through_every_door(scene: Scene, door_of: str) -> None:
    """It is told when it turns yes."""
    urls = {
        "nats": scene.broker.url,
        "replica": f"replica+{scene.broker.url}",
        "http": scene.registry.http_url,
        "sqlite": scene.database,
    }
    answers: list[query.Answer] = []
    with query.open(urls[door_of]) as door:
        ask = partial(query.can_migrate_when, door, uuid_of(1), "beta", clock=lambda: datetime.now(UTC))
        assert ask(wait_s=0.1).verdict.outcome is Outcome.INCOMPATIBLE
        waiting = threading.Thread(target=lambda: answers.append(ask(wait_s=60)))
        waiting.start()
        scene.turn()
        waiting.join(60)
        assert [answer.verdict.outcome for answer in answers] == [Outcome.COMPATIBLE]
        assert ask().verdict.outcome is Outcome.COMPATIBLE  # at once
        with pytest.raises(NotFoundError):
            query.can_migrate_when(door, uuid_of(1), "nobody", clock=lambda: datetime.now(UTC), wait_s=0.1)


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        ("", True),
        ("driver.*", True),
        ("io.mdevreg.driver.changed", True),
        ("offer.*|driver.*", True),
        ("offer.*", False),
        ("host=h*", True),
        ("host=alph?", True),
        ("host=beta", False),
        ("driver=nvidia version=570.*", True),
        ("version=535.*|550.*", True),
        ("version=560.*", False),
        ("site=*", False),
        ("driver.* parent=0000:3b:00.0", True),
        ("type=*", False),
    ],
)
def test_a_filter_is_types_and_places(words: str, fits: bool) -> None:
    """What an event does not tell fits no pattern."""
    builds = {
        "before": {"name": "nvidia", "version": "550.90.05"},
        "after": {"name": "nvidia", "version": "570.124.03"},
    }
    data = {"host": "h1", "hostname": "alpha", "site": None, "parent": "0000:3b:00.0", "driver": "nvidia", **builds}
    event = Event(
        "1.0", "1-a", "urn:x", "io.mdevreg.driver.changed", "h1", datetime.now(UTC), 1, "application/json", data
    )
    assert filter_in(words).fits(event) is fits
    assert filter_in(str(filter_in(words))) == filter_in(words)


@pytest.mark.parametrize("words", ["driver", "hst=alpha", "host=", "x" * 2_001, "driver.* host=a host=b"])
def test_a_filter_that_can_not_be_meant_is_refused(words: str) -> None:
    """With what was expected."""
    with pytest.raises(UsageError):
        filter_in(words)
    assert EventFilter().fits_kind("whatever")
