"""Subscriptions to events and their deliveries, in SQL. They are settings of the registry, no entries of its log."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.event_filter import EventFilter, filter_in
from mdevreg.events import PING, Event, Happening, Place, encode_event, event_of
from mdevreg.nearest import nearest
from mdevreg.times import moment_of
from mdevreg.webhooks import DeliveriesAsked, Delivery, DeliveryList, Webhook, WebhookDraft, WebhookList, check
from mdevreg_server import event_marks
from mdevreg_server.tables import RecordLog, WebhookDelivery, table_of
from mdevreg_server.tables import Webhook as Row
from mdevreg_server.upsert import insert_new

#: Ended deliveries are kept for so long, and waiting ones are given up then.
KEPT_US = 7 * 86_400 * 1_000_000
#: More than so many that wait for one subscription are given up, oldest first.
MOST_WAITING = 100_000

_WEBHOOKS, _DELIVERIES = table_of(Row), table_of(WebhookDelivery)
_COLUMNS = [column for column in _DELIVERIES.c if column.name != "body"]


class _Pinged(msgspec.Struct, frozen=True):
    """A ping's data: who asked whether anybody is there."""

    webhook: str
    author: str


def add(connection: sa.Connection, draft: WebhookDraft, now_us: int) -> Webhook:
    """Subscribe, from now on. Raises ``UsageError``."""
    check(draft)
    row = {
        "id": f"w{secrets.token_hex(4)}",
        "url": draft.url,
        "events": str(filter_in(draft.events)),
        "secret": draft.secret,
        "author": draft.author,
        "created_at_us": now_us,
    }
    connection.execute(sa.insert(_WEBHOOKS), [row])
    return _webhook(row, {})


def remove(connection: sa.Connection, name: str) -> Webhook:
    """End a subscription, with all that waits for it. Returns it as it was. Raises ``NotFoundError``."""
    found = _webhook(_row(connection, name), _counts(connection))
    connection.execute(sa.delete(_DELIVERIES).where(_DELIVERIES.c.webhook == found.id))
    connection.execute(sa.delete(_WEBHOOKS).where(_WEBHOOKS.c.id == found.id))
    return found


def listed(connection: sa.Connection) -> WebhookList:
    """Every subscription, without secrets."""
    counts = _counts(connection)
    rows = connection.execute(sa.select(_WEBHOOKS).order_by(_WEBHOOKS.c.created_at_us, _WEBHOOKS.c.id)).mappings()
    return WebhookList(_position(connection), tuple(_webhook(row, counts) for row in rows))


def deliveries(connection: sa.Connection, asked: DeliveriesAsked) -> DeliveryList:
    """The newest deliveries, oldest first. Raises ``NotFoundError`` for a subscription that is not there."""
    wanted = sa.select(*_COLUMNS)
    if asked.webhook is not None:
        wanted = wanted.where(_DELIVERIES.c.webhook == _row(connection, asked.webhook)["id"])
    if asked.failed:
        wanted = wanted.where(_DELIVERIES.c.state == "failed")
    if asked.before is not None:
        wanted = wanted.where(_DELIVERIES.c.id < asked.before)
    rows = connection.execute(wanted.order_by(_DELIVERIES.c.id.desc()).limit(asked.limit + 1)).mappings().all()
    page = rows[: asked.limit][::-1]
    following = int(page[0]["id"]) if len(rows) > asked.limit else None
    return DeliveryList(_position(connection), tuple(map(_delivery, page)), following)


def redeliver(connection: sa.Connection, name: str, now_us: int) -> Delivery:
    """Deliver an event again, whatever became of it. Raises ``NotFoundError``, ``UsageError`` for one that waits."""
    number = int(name) if name.isascii() and name.isdecimal() and len(name) < len(str(2**63)) else -1
    row = connection.execute(sa.select(*_COLUMNS).where(_DELIVERIES.c.id == number)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("delivery", name, ())
    if row["state"] == "waiting":
        raise UsageError(f"delivery {name} waits to be delivered already: mdevreg webhook deliveries")
    again = {
        "state": "waiting",
        "attempts": 0,
        "first_at_us": None,
        "next_at_us": now_us,
        "ended_at_us": None,
        "status": None,
        "error": None,
    }
    connection.execute(sa.update(_DELIVERIES).where(_DELIVERIES.c.id == number).values(**again))
    return _delivery({**row, **again})


def ping(connection: sa.Connection, name: str, author: str, now_us: int) -> Delivery:
    """An event for one subscription alone, to see whether its receiver is there. Raises ``NotFoundError``."""
    webhook = _row(connection, name)["id"]
    mark = event_marks.begun(connection, now_us)
    place = Place(f"ping{secrets.token_hex(8)}", "", _position(connection), moment_of(now_us))
    event = event_of(Happening(PING, webhook, _Pinged(webhook, author)), place, mark.source)
    _insert(connection, [(webhook, event)], now_us)
    wanted = sa.select(*_COLUMNS).where(_DELIVERIES.c.webhook == webhook, _DELIVERIES.c.event == event.id)
    return _delivery(connection.execute(wanted).mappings().one())


def keep(connection: sa.Connection, events: Sequence[Event], now_us: int) -> int:
    """Let events wait for the subscriptions that mean them, each once. Returns how many wait now that did not."""
    if not events:
        return 0
    subscribed: list[tuple[str, EventFilter]] = []
    for name, words in connection.execute(sa.select(_WEBHOOKS.c.id, _WEBHOOKS.c.events)):
        with suppress(UsageError):  # a newer program's: it means types that this one does not tell
            subscribed.append((name, filter_in(words)))
    due = [(webhook, event) for event in events for webhook, wanted in subscribed if wanted.fits(event)]
    _insert(connection, due, now_us)
    return len(due)


def tidy(connection: sa.Connection, now_us: int) -> None:
    """Forget what ended long ago; give up what waits for too long, and what is too much."""
    columns = _DELIVERIES.c
    connection.execute(sa.delete(_DELIVERIES).where(columns.ended_at_us < now_us - KEPT_US))
    for webhook in connection.scalars(sa.select(_WEBHOOKS.c.id)).all():
        waiting = sa.and_(columns.webhook == webhook, columns.state == "waiting")
        last = sa.select(columns.id).where(waiting).order_by(columns.id.desc()).offset(MOST_WAITING).limit(1)
        beyond = connection.scalar(last) or 0
        old = sa.or_(columns.created_at_us < now_us - KEPT_US, columns.id <= beyond)
        given_up = {"state": "failed", "ended_at_us": now_us, "error": "waited for too long, or behind too many"}
        connection.execute(sa.update(_DELIVERIES).where(waiting, old).values(**given_up))


def _insert(connection: sa.Connection, due: Iterable[tuple[str, Event]], now_us: int) -> None:
    rows = [
        {
            "webhook": webhook,
            "event": event.id,
            "type": event.kind,
            "subject": event.subject,
            "state": "waiting",
            "attempts": 0,
            "created_at_us": now_us,
            "next_at_us": now_us,
            "body": encode_event(event),
        }
        for webhook, event in due
    ]
    if rows:
        insert_new(connection, WebhookDelivery, rows)


def _row(connection: sa.Connection, name: str) -> Any:
    row = connection.execute(sa.select(_WEBHOOKS).where(_WEBHOOKS.c.id == name)).mappings().one_or_none()
    if row is None:
        known = list(connection.scalars(sa.select(_WEBHOOKS.c.id)))
        raise NotFoundError("webhook", name, nearest(name, known))
    return row


def _counts(connection: sa.Connection) -> dict[tuple[str, str], int]:
    columns = (_DELIVERIES.c.webhook, _DELIVERIES.c.state)
    counted = sa.select(*columns, sa.func.count()).where(columns[1] != "delivered").group_by(*columns)
    return {(webhook, state): count for webhook, state, count in connection.execute(counted)}


def _position(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(RecordLog.position))) or 0


def _webhook(row: Any, counts: dict[tuple[str, str], int]) -> Webhook:
    return Webhook(
        id=row["id"],
        url=row["url"],
        events=row["events"],
        author=row["author"],
        created_at=moment_of(row["created_at_us"]),
        waiting=counts.get((row["id"], "waiting"), 0),
        failed=counts.get((row["id"], "failed"), 0),
    )


def _delivery(row: Any) -> Delivery:
    ended = row["ended_at_us"]
    return Delivery(
        id=str(row["id"]),
        webhook=row["webhook"],
        event=row["event"],
        type=row["type"],
        subject=row["subject"],
        state=row["state"],
        attempts=row["attempts"],
        created_at=moment_of(row["created_at_us"]),
        next_at=moment_of(row["next_at_us"]) if row["state"] == "waiting" else None,
        ended_at=None if ended is None else moment_of(ended),
        status=row["status"],
        error=row["error"],
    )
