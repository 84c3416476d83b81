"""The part of the HTTP door that is about subscriptions to events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

from mdevreg.facts import NOW, Moment
from mdevreg.outcomes import refuse_unprintable
from mdevreg.query.names import possible, segment
from mdevreg.webhooks import DeliveriesAsked, Delivery, DeliveryList, Webhook, WebhookDraft, WebhookList

T = TypeVar("T")


class HttpWebhooks(ABC):
    """Webhooks and deliveries, by requests."""

    @abstractmethod
    def _ask(self, path: str, kind: type[T], moment: Moment, /, *, longer_s: float = 0.0, **fields: Any) -> T: ...

    @abstractmethod
    def _post(self, path: str, body: Any, kind: type[T], *, again: bool = True) -> T: ...

    def webhooks(self) -> WebhookList:
        """Every subscription to events, oldest first."""
        return self._ask("/v1/webhooks", WebhookList, NOW)

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        """Subscribe to events, from now on."""
        refuse_unprintable(draft, "a request")
        return self._post("/v1/webhooks", draft, Webhook, again=False)

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription."""
        return self._named(f"/v1/webhooks/{segment('webhook', webhook)}/remove", author, Webhook)

    def deliveries(self, asked: DeliveriesAsked) -> DeliveryList:
        """The newest deliveries of events, oldest first."""
        fields: dict[str, Any] = {"name": asked.webhook, "failed": "true" if asked.failed else None}
        return self._ask("/v1/deliveries", DeliveryList, NOW, **fields, before=asked.before, limit=asked.limit)

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver an event again."""
        return self._named(f"/v1/deliveries/{segment('delivery', delivery)}/redeliver", author, Delivery)

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        """Have an event of no matter delivered."""
        return self._named(f"/v1/webhooks/{segment('webhook', webhook)}/ping", author, Delivery)

    def _named(self, path: str, author: str, kind: type[T]) -> T:
        return self._post(path, {"author": possible(author)}, kind, again=False)
