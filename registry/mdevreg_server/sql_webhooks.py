"""The part of the SQL door that is about subscriptions to events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from mdevreg.outcomes import refuse_unprintable
from mdevreg.webhooks import DeliveriesAsked, Delivery, DeliveryList, Webhook, WebhookDraft, WebhookList
from mdevreg_server import subscriptions
from mdevreg_server.engine import converted, open_engine
from mdevreg_server.subscribers import Subscribers


class SqlWebhooks:
    """Webhooks and deliveries. ``engine``: reads; what is changed is changed over one of its own."""

    engine: sa.Engine

    def webhooks(self) -> WebhookList:
        """Every subscription to events, oldest first."""
        with converted(self.engine), self.engine.connect() as connection:
            return subscriptions.listed(connection)

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        """Subscribe to events, from now on; beside a running registry too: it is no entry of the log."""
        with self._subscribers() as book:
            return book.add(draft)

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription."""
        with self._subscribers() as book:
            return book.remove(webhook, author=author)

    def deliveries(self, asked: DeliveriesAsked) -> DeliveryList:
        """The newest deliveries of events, oldest first."""
        refuse_unprintable(asked, "a question")
        with converted(self.engine), self.engine.connect() as connection:
            return subscriptions.deliveries(connection, asked)

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver an event again."""
        with self._subscribers() as book:
            return book.redeliver(delivery, author=author)

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        """Have an event of no matter delivered."""
        with self._subscribers() as book:
            return book.ping(webhook, author=author)

    @contextmanager
    def _subscribers(self) -> Iterator[Subscribers]:
        engine = open_engine(self.engine.url.render_as_string(hide_password=False), writer=True)
        try:
            yield Subscribers(engine, lambda: time.time_ns() // 1_000, lambda _: None)
        finally:
            engine.dispose()
