"""Events delivered to real receivers that take, refuse, hang, lead elsewhere, and are away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mdevreg import query
from mdevreg.query.door import Door
from mdevreg.webhooks import DeliveriesAsked, Delivery, WebhookDraft, delay_s, key_of, secret_of, signature
from mdevreg_server import deliverer, subscriptions
from mdevreg_server.broker import Broker
from mdevreg_server.tables import WebhookDelivery, table_of
from support.bus_client import publish
from support.hosts import look, mtty
from support.publisher import Publisher
from support.receivers import SECRET, Receiver, receiving
from support.registry import migrated
from support.serving import Serving, serving
from support.told_events import of_the_log, published

DRAFT = WebhookDraft(url="http://127.0.0.1:9", secret=SECRET, author="alice", events="offer.*")


@pytest.fixture
def database(database_url: str) -> Iterator[sa.Engine]:
    with migrated(database_url) as engine:
        yield engine


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once, and waits for no receiver for long."""
    monkeypatch.setattr("mdevreg.webhooks.FIRST_DELAY_S", 0.01)
    monkeypatch.setattr("mdevreg.webhooks.MAX_DELAY_S", 0.05)
    monkeypatch.setattr(deliverer, "LOOK_EVERY_S", 0.02)


class Scene:
    """A registry, a door to it, and a host that changes its card."""

    def __init__(self, registry: Serving, door: Door, broker: Broker) -> None:
        self.registry, self.door, self.broker = registry, door, broker
        self._publisher, self._version = Publisher("host-1"), 0

    def change(self, times: int = 1) -> None:
        """So many events of an offer that appears anew."""
        for _ in range(times):
            self._version += 1
            records = self._publisher.changes(look(mtty(version=str(self._version))))
            publish(self.broker.url, records)

    def told(self) -> list[str]:
        """The ids of the offers' events, in log order."""
        return [event.id for event in of_the_log(published(self.broker.url)) if event.kind.startswith("offer.")]

    def until(self, receiver: Receiver, count: int) -> None:
        """Wait until so many requests came."""
        self.registry.until(lambda: len(receiver.got) >= count, f"{count} requests come")

    def deliveries(self, webhook: str | None = None) -> tuple[Delivery, ...]:
        return self.door.deliveries(DeliveriesAsked(webhook)).deliveries

    def until_all(self, state: str, count: int, webhook: str | None = None) -> None:
        """Wait until so many deliveries have ended so."""

        def are() -> bool:
            return [each.state for each in self.deliveries(webhook)] == [state] * count

        self.registry.until(are, f"{count} deliveries are {state}")


@pytest.fixture
def scene(database: sa.Engine, nats_server: Broker) -> Iterator[Scene]:
    url = database.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door:
        yield Scene(registry, door, nats_server)


def test_events_are_delivered_signed_once_and_in_log_order(scene: Scene) -> None:
    """Those that are meant, from the subscription on."""
    scene.change()
    scene.registry.until(lambda: len(scene.told()) == 1, "the first is told")
    with receiving() as receiver:
        webhook = scene.door.add_webhook(structs.replace(DRAFT, url=receiver.url))
        scene.change(5)
        scene.until(receiver, 5)
        scene.until_all("delivered", 5, webhook.id)
        assert receiver.ids == scene.told()[1:]
        assert receiver.forged == []
        assert {event["type"] for event in receiver.got} == {"io.mdevreg.offer.appeared"}
        (last,) = scene.door.deliveries(DeliveriesAsked(limit=1)).deliveries
        assert (last.status, last.attempts, last.error) == (204, 1, None)
        assert SECRET not in "\n".join(scene.registry.said)


def test_a_refusal_is_tried_again_until_it_is_taken_and_the_next_waits_behind_it(scene: Scene) -> None:
    """500, then 200: the same id, no event before its elder."""
    with receiving(lambda before: (500 if before < 3 else 200, {})) as receiver:
        scene.door.add_webhook(structs.replace(DRAFT, url=receiver.url))
        scene.change(3)
        scene.until_all("delivered", 3)
        assert receiver.ids == [receiver.ids[0]] * 3 + scene.told()
        assert receiver.forged == []
        first, *_ = scene.deliveries()
        assert (first.attempts, first.status) == (4, 200)


def test_a_redirect_is_not_followed(scene: Scene) -> None:
    """It would lead what is signed for one receiver to another."""
    with receiving() as elsewhere, receiving(lambda _: (307, {"location": elsewhere.url})) as receiver:
        scene.door.add_webhook(structs.replace(DRAFT, url=receiver.url))
        scene.change()
        scene.until(receiver, 2)
        scene.registry.until(lambda: scene.deliveries()[0].status == 307, "it is written")
        assert elsewhere.got == []
        assert "answered 307" in (scene.deliveries()[0].error or "")


def test_a_receiver_that_hangs_slows_nobody_else(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest, events and other subscriptions go on; it counts as away after its time."""
    with receiving(lambda _: (0, {})) as hanging, receiving() as receiver:
        slow = scene.door.add_webhook(structs.replace(DRAFT, url=hanging.url))
        scene.door.add_webhook(structs.replace(DRAFT, url=receiver.url))
        scene.change()
        scene.until(hanging, 1)
        scene.change(4)
        scene.until(receiver, 5)
        assert len(hanging.got) == 1
        assert [each.state for each in scene.deliveries(slow.id)] == ["waiting"] * 5
        hanging.released.set()
        scene.until_all("delivered", 5, slow.id)
    monkeypatch.setattr(deliverer, "ATTEMPT_S", 0.05)
    with receiving(lambda _: (0, {})) as hanging:
        gone = scene.door.add_webhook(structs.replace(DRAFT, url=hanging.url))
        scene.change()
        scene.registry.until(lambda: any(each.attempts for each in scene.deliveries(gone.id)), "it is tried")
        assert "no answer within" in (scene.deliveries(gone.id)[0].error or "")


def test_a_receiver_that_is_away_gets_everything_when_it_is_back(scene: Scene) -> None:
    """In log order."""
    with receiving() as receiver:
        pass
    webhook = scene.door.add_webhook(structs.replace(DRAFT, url=receiver.url))
    scene.change(2)
    scene.registry.until(lambda: any(each.attempts for each in scene.deliveries()), "it was tried")
    scene.registry.until(lambda: scene.door.webhooks().webhooks[0].waiting == 2, "two wait")
    assert "ConnectError" in (scene.deliveries(webhook.id)[0].error or "")
    with receiving(port=receiver.port) as back:
        scene.until_all("delivered", 2)
        assert back.ids == scene.told()


def test_what_is_refused_for_a_day_is_given_up_seen_and_delivered_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next goes on; who asks for it gets it with the same id."""
    monkeypatch.setattr(deliverer, "GIVE_UP_S", 0.0)
    with receiving(lambda before: (500 if before == 0 else 200, {})) as receiver:
        webhook = scene.door.add_webhook(structs.replace(DRAFT, url=receiver.url))
        scene.change(2)
        scene.until(receiver, 2)
        scene.registry.until(lambda: len(scene.door.deliveries(DeliveriesAsked(failed=True)).deliveries) == 1, "failed")
        (failed,) = scene.door.deliveries(DeliveriesAsked(webhook.id, failed=True)).deliveries
        assert failed.event == scene.told()[0]
        assert scene.door.webhooks().webhooks[0].failed == 1
        scene.registry.until_said(f"webhook.failed webhook={webhook.id} delivery={failed.id}")
        assert scene.door.redeliver(failed.id, author="bob").state == "waiting"
        scene.until(receiver, 3)
        assert receiver.ids[2] == failed.event
        scene.until_all("delivered", 2)


def test_a_ping_arrives_and_says_who_asked(scene: Scene) -> None:
    """Whatever the filter says."""
    with receiving() as receiver:
        webhook = scene.door.add_webhook(structs.replace(DRAFT, url=receiver.url, events="host.stale"))
        scene.door.ping_webhook(webhook.id, author="alice")
        scene.until(receiver, 1)
        assert receiver.got[0]["type"] == "io.mdevreg.webhook.ping"
        assert receiver.got[0]["data"] == {"webhook": webhook.id, "author": "alice"}


def test_a_registry_that_was_killed_delivers_what_waits_and_nothing_twice_that_it_wrote(
    database: sa.Engine, nats_server: Broker
) -> None:
    """What was told is kept with the mark, in one transaction; derived again, it waits once."""
    url = database.url.render_as_string(hide_password=False)
    with receiving() as receiver:
        with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door:
            scene = Scene(registry, door, nats_server)
            door.add_webhook(structs.replace(DRAFT, url=receiver.url))
            scene.change(3)
            scene.until_all("delivered", 3)
        with database.begin() as connection:
            connection.execute(sa.text("UPDATE event_mark SET position = 0, stream_seq = 0"))
        with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door:
            scene.registry, scene.door = registry, door
            scene.change()
            scene.until_all("delivered", 4)
        assert receiver.ids == scene.told()


def test_a_fault_of_the_client_stops_no_ingest_and_is_begun_again(
    database: sa.Engine, nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment that is none."""
    monkeypatch.setattr(deliverer, "AGAIN_AFTER_S", 0.05)
    monkeypatch.setenv("HTTP_PROXY", "nonsense://proxy")
    url = database.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door, receiving() as receiver:
        registry.until_said("webhooks.waiting")
        scene = Scene(registry, door, nats_server)
        door.add_webhook(structs.replace(DRAFT, url=receiver.url))
        scene.change(2)
        registry.until(lambda: len(scene.told()) == 2, "they are told")
        assert receiver.got == []
        monkeypatch.delenv("HTTP_PROXY")
        scene.until_all("delivered", 2)
        assert len([line for line in registry.said if "webhooks.waiting" in line]) == 1


def test_what_ended_long_ago_is_forgotten_and_what_waits_for_too_long_is_given_up(
    database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a receiver that is gone fills no disk."""
    monkeypatch.setattr(subscriptions, "MOST_WAITING", 2)
    now_us = 10 * subscriptions.KEPT_US
    old_us = now_us - subscriptions.KEPT_US - 1
    with database.begin() as connection:
        webhook = subscriptions.add(connection, DRAFT, now_us).id
        ids = [int(subscriptions.ping(connection, webhook, "alice", now_us).id) for _ in range(5)]
        table = table_of(WebhookDelivery)
        ended = {"state": "delivered", "ended_at_us": old_us}
        connection.execute(sa.update(table).where(table.c.id == ids[0]).values(**ended))
        connection.execute(sa.update(table).where(table.c.id == ids[4]).values(created_at_us=old_us))
        subscriptions.tidy(connection, now_us)
        found = subscriptions.deliveries(connection, DeliveriesAsked()).deliveries
    states = {int(each.id): each.state for each in found}
    assert states == {ids[1]: "failed", ids[2]: "failed", ids[3]: "waiting", ids[4]: "failed"}


def test_pages_of_deliveries_come_newest_first_each_in_order(database: sa.Engine) -> None:
    """Nothing twice, nothing left out."""
    with database.begin() as connection:
        webhook = subscriptions.add(connection, DRAFT, 1).id
        ids = [subscriptions.ping(connection, webhook, "alice", 1).id for _ in range(5)]
        page = subscriptions.deliveries(connection, DeliveriesAsked(limit=2))
        read = [each.id for each in page.deliveries]
        while page.next is not None:
            page = subscriptions.deliveries(connection, DeliveriesAsked(limit=2, before=page.next))
            read = [*(each.id for each in page.deliveries), *read]
    assert read == ids


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of standard-webhooks' own tests."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    told = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert told == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_as_it_was_written(key: bytes) -> None:
    """``whsec_`` and base64."""
    assert key_of(secret_of(key)) == key


def test_delays_double_up_to_an_hour_and_a_receiver_may_ask_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give or take a fifth; about a day is some thirty attempts."""
    monkeypatch.setattr("mdevreg.webhooks.FIRST_DELAY_S", 5.0)
    monkeypatch.setattr("mdevreg.webhooks.MAX_DELAY_S", 3_600.0)
    assert [delay_s(attempts, 0.5) for attempts in (1, 2, 3, 11, 99)] == [5, 10, 20, 3_600, 3_600]
    assert (delay_s(1, 0.0), round(delay_s(1, 0.999999), 3)) == (4, 6)
    assert (delay_s(1, 0.5, 60), delay_s(1, 0.5, 1e9)) == (60, 3_600)
    attempts, waited = 0, timedelta()
    while waited < timedelta(days=1):
        attempts += 1
        waited += timedelta(seconds=delay_s(attempts, 0.5))
    assert attempts == 33
