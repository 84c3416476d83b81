"""``mdevreg webhook list``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.webhook_words import webhooks_view


@click.command(
    "list",
    cls=Present,
    examples=(("mdevreg webhook list", "Who is told of what, and how much waits or failed."),),
)
@click.pass_obj
def command(session: Session) -> View:
    """List who is told of events.

    Secrets are not shown.
    """
    with session.door() as door:
        return webhooks_view(door.webhooks())
