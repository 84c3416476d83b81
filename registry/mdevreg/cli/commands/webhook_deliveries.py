"""``mdevreg webhook deliveries``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.webhook_words import deliveries_view
from mdevreg.webhooks import MAX_PAGE, DeliveriesAsked

DEFAULT_LIMIT = 20


@click.command(
    "deliveries",
    cls=Present,
    examples=(
        ("mdevreg webhook deliveries", f"The last {DEFAULT_LIMIT}, oldest first: delivered, waiting, failed."),
        ("mdevreg webhook deliveries w0a1b2c3d --failed -o csv", "What one receiver has not taken within a day."),
    ),
)
@click.argument("webhook", required=False, metavar="[ID]")
@click.option("--failed", is_flag=True, help="Only those that were given up.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_PAGE), default=DEFAULT_LIMIT, show_default=True, help="The last so many."
)
@click.pass_obj
def command(session: Session, *, webhook: str | None, failed: bool, limit: int) -> View:
    """List deliveries, oldest first, with what went wrong.

    What ended is kept for a week.
    """
    with session.door() as door:
        return deliveries_view(door.deliveries(DeliveriesAsked(webhook, failed, limit=limit)))
