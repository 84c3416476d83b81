"""``mdevreg webhook redeliver ID``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Decision
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.webhook_words import again_view
from mdevreg.cli.whoami import author as whoami


@click.command(
    "redeliver",
    cls=Decision,
    examples=(
        ("mdevreg webhook redeliver 4711", "Once more, with the same id: a receiver that has it passes over it."),
    ),
)
@click.argument("delivery", metavar="ID")
@click.option("--author", help="Who asks for it [user@host].")
@click.pass_obj
def command(session: Session, *, delivery: str, author: str | None) -> View:
    """Deliver an event again, whether it failed or arrived."""
    with session.door() as door:
        return again_view(door.redeliver(delivery, author=whoami() if author is None else author))
