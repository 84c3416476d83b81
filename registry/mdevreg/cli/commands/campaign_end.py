"""``mdevreg upgrade campaign end NAME``."""

from __future__ import annotations

import click

from mdevreg.cli.campaign_words import campaign_view
from mdevreg.cli.options import Decision
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.whoami import author as whoami


@click.command(
    "end",
    cls=Decision,
    examples=(('mdevreg upgrade campaign end to-580 --reason "580.95 hangs"', "It is over, whatever it came to."),),
)
@click.argument("name")
@click.option("--reason", default="", help="Why.")
@click.option("--author", help="Who decides [user@host].")
@click.pass_obj
def command(session: Session, *, name: str, reason: str, author: str | None) -> View:
    """End an upgrade campaign now.

    From then on its status is that of its end; its name is never used again.
    """
    with session.door() as door:
        ended = door.end_campaign(name, author=whoami() if author is None else author, reason=reason)
    return campaign_view(ended, session.now, "ended: ")
