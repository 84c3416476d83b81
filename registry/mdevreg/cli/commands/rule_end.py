"""``mdevreg rule end ID``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Decision
from mdevreg.cli.rule_words import rule_view
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.when import any_time
from mdevreg.cli.whoami import author as whoami
from mdevreg.errors import UsageError
from mdevreg.times import utc


@click.command(
    "end",
    cls=Decision,
    examples=(
        ("mdevreg rule end r1204", "It is not in force any more."),
        ("mdevreg rule end r1204 --at +2h", "It will not be in two hours."),
    ),
)
@click.argument("rule", metavar="ID")
@click.option("--at", metavar="TIME", help="When it ends [now].")
@click.option("--author", help="Who decides [user@host].")
@click.pass_obj
def command(session: Session, rule: str, at: str | None, author: str | None) -> View:
    """End a rule.

    What was decided while it was in force stays in the history.
    """
    when = None if at is None else any_time(at, session.now)
    if when is not None and when < session.now:
        raise UsageError(f"{utc(when)} is past: what was decided until now stays; leave --at out to end it now")
    with session.door() as door:
        ended = door.end_rule(rule, at=when, author=whoami() if author is None else author)
    return rule_view(ended, session.now, "ended: ")
