"""Webhooks through a door with a door behind it: they are the registry's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdevreg.webhooks import DeliveriesAsked, Delivery, DeliveryList, Webhook, WebhookDraft, WebhookList

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdevreg.query.door import Door


class BehindWebhooks:
    """Subscriptions to events, asked of the door behind."""

    _behind: Callable[[], Door]

    def webhooks(self) -> WebhookList:
        """Every subscription to events: the registry's."""
        return self._behind().webhooks()

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        """Subscribe to events, from now on."""
        return self._behind().add_webhook(draft)

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription."""
        return self._behind().remove_webhook(webhook, author=author)

    def deliveries(self, asked: DeliveriesAsked) -> DeliveryList:
        """The newest deliveries of events, oldest first."""
        return self._behind().deliveries(asked)

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver an event again."""
        return self._behind().redeliver(delivery, author=author)

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        """Have an event of no matter delivered."""
        return self._behind().ping_webhook(webhook, author=author)
