"""The laws of subscriptions in ``mdevreg.query.door``: one suite for every door, each test over its own registry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec import structs

from contracts.door_contract import OpenDoor
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import NOW
from mdevreg.query.door import Door
from mdevreg.webhooks import DeliveriesAsked, WebhookDraft, secret_of

SECRET = secret_of(bytes(range(32)))
#: Nobody listens there.
DRAFT = WebhookDraft(
    url="http://127.0.0.1:9/hook", secret=SECRET, author="alice@desk", events="site=a  driver.*|offer.*"
)


class WebhookContract:
    """Subscriptions are kept alike through every door."""

    @pytest.fixture
    def door(self, open_fresh: OpenDoor) -> Iterator[Door]:
        with open_fresh() as door:
            yield door

    def test_a_subscription_is_listed_until_it_is_removed_and_its_secret_never(self, door: Door) -> None:
        before = door.rules(NOW).position
        made = door.add_webhook(DRAFT)
        assert (made.url, made.events, made.author) == (DRAFT.url, "driver.* offer.* site=a", "alice@desk")
        assert abs(made.created_at - datetime.now(UTC)) < timedelta(minutes=1)
        other = door.add_webhook(structs.replace(DRAFT, events=""))
        listed = door.webhooks()
        assert listed.webhooks == (made, other)
        assert listed.position == door.rules(NOW).position == before, "settings are no entries of the log"
        assert SECRET[6:] not in msgspec.json.encode([made, listed]).decode()
        assert door.remove_webhook(made.id, author="bob") == made
        assert door.webhooks().webhooks == (other,)
        with pytest.raises(NotFoundError) as gone:
            door.remove_webhook(made.id, author="bob")
        assert gone.value.kind == "webhook"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"url": "ftp://ops.example/x"},
            {"url": "https://"},
            {"url": "https://user:word@ops.example/x"},
            {"url": "https://ops.example:99999/x"},
            {"url": "https://ops.example/a b"},
            {"url": "https://ops.example/x#y"},
            {"events": "drivers"},
            {"events": "hst=a"},
            {"secret": "secret"},
            {"secret": "whsec_c2hvcnQ="},
            {"author": " "},
            {"author": "a\x07b"},
        ],
        ids=str,
    )
    def test_what_can_not_be_meant_is_refused_and_shows_no_secret(self, door: Door, wrong: dict[str, str]) -> None:
        with pytest.raises(UsageError) as refused:
            door.add_webhook(structs.replace(DRAFT, **wrong))
        assert SECRET not in refused.value.message
        assert door.webhooks().webhooks == ()

    def test_a_ping_is_a_delivery_of_that_subscription_alone(self, door: Door) -> None:
        one, other = door.add_webhook(DRAFT), door.add_webhook(DRAFT)
        sent = door.ping_webhook(one.id, author="alice")
        assert (sent.webhook, sent.type, sent.subject, sent.state) == (one.id, "webhook.ping", one.id, "waiting")
        listed = door.deliveries(DeliveriesAsked())
        assert [each.id for each in listed.deliveries] == [sent.id]
        assert door.deliveries(DeliveriesAsked(one.id)).deliveries[0].event == sent.event
        assert door.deliveries(DeliveriesAsked(other.id)).deliveries == ()
        assert door.deliveries(DeliveriesAsked(failed=True)).deliveries == ()
        with pytest.raises(UsageError, match="waits"):
            door.redeliver(sent.id, author="alice")

    def test_unknown_names_and_nobody_are_refused(self, door: Door) -> None:
        made = door.add_webhook(DRAFT)
        for ask in (
            lambda: door.ping_webhook("w0", author="alice"),
            lambda: door.deliveries(DeliveriesAsked("w0")),
            lambda: door.redeliver("999", author="alice"),
            lambda: door.redeliver("x", author="alice"),
            lambda: door.redeliver("9" * 40, author="alice"),
        ):
            with pytest.raises(NotFoundError):
                ask()
        for decide in (
            lambda: door.ping_webhook(made.id, author=" "),
            lambda: door.remove_webhook(made.id, author=""),
            lambda: door.redeliver("1", author=" "),
        ):
            with pytest.raises(UsageError, match="author"):
                decide()
        assert door.webhooks().webhooks == (made,)
