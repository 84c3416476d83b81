"""``mdevreg baseline end NAME``."""

from __future__ import annotations

import click

from mdevreg.cli.baseline_words import baseline_view
from mdevreg.cli.options import Decision
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.whoami import author as whoami


@click.command(
    "end",
    cls=Decision,
    examples=(('mdevreg baseline end gold --reason "replaced by platinum"', "Nothing is expected by it any more."),),
)
@click.argument("name")
@click.option("--reason", default="", help="Why.")
@click.option("--author", help="Who decides [user@host].")
@click.pass_obj
def command(session: Session, *, name: str, reason: str, author: str | None) -> View:
    """End a baseline now.

    What it was stays in the history; a new version under its name brings it back.
    """
    with session.door() as door:
        ended = door.end_baseline(name, author=whoami() if author is None else author, reason=reason)
    return baseline_view(ended, "ended: ")
