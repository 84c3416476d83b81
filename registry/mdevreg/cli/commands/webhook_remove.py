"""``mdevreg webhook remove ID``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Decision
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.webhook_words import webhook_view
from mdevreg.cli.whoami import author as whoami


@click.command(
    "remove",
    cls=Decision,
    examples=(("mdevreg webhook remove w0a1b2c3d", "It is told of nothing any more."),),
)
@click.argument("webhook", metavar="ID")
@click.option("--author", help="Who decides [user@host].")
@click.pass_obj
def command(session: Session, *, webhook: str, author: str | None) -> View:
    """End a subscription.

    What waits for it is forgotten, and the list of its deliveries with it.
    """
    with session.door() as door:
        return webhook_view(door.remove_webhook(webhook, author=whoami() if author is None else author), "removed ")
