"""``mdevreg rule show ID``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.rule_words import rule_view
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.errors import NotFoundError
from mdevreg.nearest import nearest


@click.command(
    "show",
    cls=Question,
    examples=(
        ("mdevreg rule show r1204", "Whom it is about, why, since when, who decided it."),
        ("mdevreg rule show r1204 -o json", "As it is in the log."),
    ),
)
@click.argument("rule", metavar="ID")
@click.pass_obj
def command(session: Session, rule: str) -> View:
    """Show one rule, ended or not."""
    moment = session.moment
    with session.door() as door:
        known = {each.id: each for each in door.rules(moment).rules}
    if rule not in known:
        raise NotFoundError("rule", rule, nearest(rule, known))
    return rule_view(known[rule], moment.as_of or session.now, "")
