"""Webhooks and deliveries as views."""

from __future__ import annotations

from msgspec import structs

from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import where_read
from mdevreg.verdict import Outcome
from mdevreg.webhooks import Delivery, DeliveryList, Webhook, WebhookList

WEBHOOK_COLUMNS = ("id", "url", "events", "waiting", "failed", "author", "created_at")
DELIVERY_COLUMNS = ("id", "webhook", "state", "type", "subject", "attempts", "status", "error", "next_at", "ended_at")
_MORE = ("event", "created_at")
#: What a table has room for.
_SHOWN = ("id", "webhook", "state", "type", "attempts", "status", "error", "ended_at")
_SAYS = {"delivered": Outcome.COMPATIBLE, "failed": Outcome.INCOMPATIBLE, "waiting": Outcome.UNKNOWN}
FAILED, WAITS = 1, 3


def webhook_view(webhook: Webhook, said: str, secret: str | None = None) -> View:
    """One subscription. ``secret``: one that was just made, shown this once."""
    told = webhook.events or "every event"
    foot = (
        ()
        if secret is None
        else (Line(f"secret: {secret}"), Line("keep it where the receiver has it: it is shown only now"))
    )
    document = document_of(webhook) if secret is None else document_of(webhook, secret=secret)
    head = (Line(f"{said}{webhook.id}: {webhook.url} is told of {told}, by {webhook.author}"),)
    return View(document, Sheet(WEBHOOK_COLUMNS, [_webhook(webhook)]), head=head, foot=foot)


def webhooks_view(found: WebhookList) -> View:
    """Every subscription."""
    sheet = Sheet(WEBHOOK_COLUMNS, [_webhook(each) for each in found.webhooks])
    empty = () if found.webhooks else (Line("nobody is told of events: mdevreg webhook add URL"),)
    return View(document_of(found), sheet, table=sheet, foot=(*empty, where_read(found.position, None)))


def delivery_view(delivery: Delivery) -> View:
    """One delivery. Exit codes: 0 delivered, 1 its last attempt failed, 3 it waits for its first."""
    why = f": {delivery.error}" if delivery.error else ""
    times = f"{delivery.attempts} attempt" + ("" if delivery.attempts == 1 else "s")
    line = f"{delivery.state}: {delivery.type} to {delivery.webhook} as delivery {delivery.id}, {times}{why}"
    sheet = Sheet((*DELIVERY_COLUMNS, *_MORE), [_delivery(delivery)])
    code = FAILED if delivery.error else 0 if delivery.state == "delivered" else WAITS
    return View(document_of(delivery), sheet, head=(Line(line, _SAYS[delivery.state]),), exit_code=code)


def again_view(delivery: Delivery) -> View:
    """A delivery that was asked for again: that it waits is what was wanted."""
    return structs.replace(delivery_view(delivery), exit_code=0)


def deliveries_view(found: DeliveryList) -> View:
    """Deliveries, oldest first."""
    sheet = Sheet((*DELIVERY_COLUMNS, *_MORE), [_delivery(each) for each in found.deliveries])
    empty = () if found.deliveries else (Line("no delivery is known"),)
    older = () if found.next is None else (Line("there are older ones: raise --limit"),)
    foot = (*empty, *older, where_read(found.position, None))
    return View(document_of(found), sheet, table=sheet.only(_SHOWN), foot=foot)


def _webhook(each: Webhook) -> tuple[Cell, ...]:
    return (each.id, each.url, each.events, each.waiting, each.failed, each.author, each.created_at)


def _delivery(each: Delivery) -> tuple[Cell, ...]:
    row = (each.id, each.webhook, each.state, each.type, each.subject, each.attempts, each.status, each.error)
    return (*row, each.next_at, each.ended_at, each.event, each.created_at)
