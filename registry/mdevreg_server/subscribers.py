"""Changes of subscriptions, each in a transaction of its own; who asked for it is said."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from mdevreg.errors import UsageError
from mdevreg.outcomes import refuse_unprintable
from mdevreg.shapes import Strict
from mdevreg.webhooks import Delivery, Webhook, WebhookDraft
from mdevreg_server import subscriptions
from mdevreg_server.engine import converted


class _Named(Strict, frozen=True):
    name: str
    author: str


class Subscribers:
    """``engine``: writes. ``say``: the registry's own lines, which name no secret."""

    def __init__(self, engine: sa.Engine, now_us: Callable[[], int], say: Callable[[str], None]) -> None:
        self._engine, self._now_us, self._say = engine, now_us, say

    def add(self, draft: WebhookDraft) -> Webhook:
        """Subscribe. Raises ``UsageError``."""
        with converted(self._engine), self._engine.begin() as connection:
            added = subscriptions.add(connection, draft, self._now_us())
        self._say(f"webhook.added id={added.id} url={added.url!r} events={added.events!r} author={added.author!r}")
        return added

    def remove(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription. Raises ``NotFoundError``."""
        _check(webhook, author)
        with converted(self._engine), self._engine.begin() as connection:
            removed = subscriptions.remove(connection, webhook)
        self._say(f"webhook.removed id={removed.id} url={removed.url!r} author={author!r}")
        return removed

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver again. Raises ``NotFoundError``, ``UsageError``."""
        _check(delivery, author)
        with converted(self._engine), self._engine.begin() as connection:
            again = subscriptions.redeliver(connection, delivery, self._now_us())
        self._say(f"webhook.redelivering delivery={again.id} webhook={again.webhook} author={author!r}")
        return again

    def ping(self, webhook: str, *, author: str) -> Delivery:
        """Ping. Raises ``NotFoundError``."""
        _check(webhook, author)
        with converted(self._engine), self._engine.begin() as connection:
            return subscriptions.ping(connection, webhook, author, self._now_us())


def _check(name: str, author: str) -> None:
    refuse_unprintable(_Named(name=name, author=author), "a request")
    if not author.strip():
        raise UsageError("the author is blank; say who asks for it")
