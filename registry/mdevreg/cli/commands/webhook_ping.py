"""``mdevreg webhook ping ID``."""

from __future__ import annotations

import time

import click

from mdevreg.cli.options import Decision
from mdevreg.cli.session import DEFAULT_TIMEOUT_S, Session
from mdevreg.cli.view import View
from mdevreg.cli.webhook_words import delivery_view
from mdevreg.cli.whoami import author as whoami
from mdevreg.query.door import Door
from mdevreg.webhooks import DeliveriesAsked, Delivery

_LOOK_EVERY_S = 0.2


@click.command(
    "ping",
    cls=Decision,
    examples=(
        ("mdevreg webhook ping w0a1b2c3d && echo arrived", "Is the receiver there, and does it take signatures?"),
    ),
)
@click.argument("webhook", metavar="ID")
@click.option("--author", help="Who asks [user@host].")
@click.pass_obj
def command(session: Session, *, webhook: str, author: str | None) -> View:
    """Deliver an event of no matter, and tell whether it arrived.

    It waits behind what waits there already, and --timeout for what becomes of it. Exit codes: 0 delivered, 1 refused,
    3 it waits.
    """
    with session.door() as door:
        sent = door.ping_webhook(webhook, author=whoami() if author is None else author)
        return delivery_view(_ended(door, sent, session.given.get("timeout") or DEFAULT_TIMEOUT_S))


def _ended(door: Door, sent: Delivery, timeout_s: float) -> Delivery:
    deadline, found = time.monotonic() + timeout_s, sent
    while not found.attempts and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        listed = door.deliveries(DeliveriesAsked(sent.webhook)).deliveries
        found = next((each for each in listed if each.id == sent.id), found)
    return found
