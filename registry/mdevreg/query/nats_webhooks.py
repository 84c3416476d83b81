"""The part of the NATS door that is about subscriptions to events."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from mdevreg import subjects
from mdevreg.outcomes import refuse_unprintable
from mdevreg.query.names import possible
from mdevreg.webhooks import DeliveriesAsked, Delivery, DeliveryList, Webhook, WebhookDraft, WebhookList

T = TypeVar("T")


class NatsWebhooks:
    """Webhooks and deliveries, by requests."""

    def _request(self, subject: str, request: bytes, kind: type[T], timeout_s: float | None = None) -> T:
        raise NotImplementedError

    def webhooks(self) -> WebhookList:
        """Every subscription to events, oldest first."""
        return self._request(subjects.query("webhooks"), b"{}", WebhookList)

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        """Subscribe to events, from now on."""
        refuse_unprintable(draft, "a request")
        return self._request(subjects.decision("add-webhook"), msgspec.json.encode({"webhook": draft}), Webhook)

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription."""
        return self._named("remove-webhook", webhook, author, Webhook)

    def deliveries(self, asked: DeliveriesAsked) -> DeliveryList:
        """The newest deliveries of events, oldest first."""
        refuse_unprintable(asked, "a question")
        request = {"name": asked.webhook, "failed": asked.failed or None, "before": asked.before, "limit": asked.limit}
        return self._request(subjects.query("deliveries"), msgspec.json.encode(request), DeliveryList)

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver an event again."""
        return self._named("redeliver", delivery, author, Delivery)

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        """Have an event of no matter delivered."""
        return self._named("ping-webhook", webhook, author, Delivery)

    def _named(self, endpoint: str, name: str, author: str, kind: type[T]) -> T:
        request = {"name": possible(name), "author": possible(author)}
        return self._request(subjects.decision(endpoint), msgspec.json.encode(request), kind)
