"""``mdevreg rule list``."""

from __future__ import annotations

from typing import Literal

import click
from msgspec import structs

from mdevreg.cli.options import Question
from mdevreg.cli.rule_words import RULE_COLUMNS, rule_row
from mdevreg.cli.session import Session
from mdevreg.cli.view import Line, Sheet, View, document_of
from mdevreg.cli.words import counted, where_read
from mdevreg.moments import clock_of

_ORDER: tuple[Literal["in force", "to come", "ended"], ...] = ("in force", "to come", "ended")


@click.command(
    "list",
    cls=Question,
    examples=(
        ("mdevreg rule list", "The rules in force, and those to come."),
        ("mdevreg rule list --all -o csv", "Ended ones too, for a spreadsheet."),
        ("mdevreg rule list --as-of -7d", "Which were in force a week ago?"),
    ),
)
@click.option("--all", "everything", is_flag=True, help="Ended ones too.")
@click.pass_obj
def command(session: Session, *, everything: bool) -> View:
    """List operators' rules, those in force first."""
    moment = session.moment
    with session.door() as door:
        found = door.rules(moment)
    then = moment.as_of or session.now
    states = [rule.state(then) for rule in found.rules]
    count = {state: states.count(state) for state in _ORDER}
    ordered = sorted(found.rules, key=lambda rule: _ORDER.index(rule.state(then)))
    listed = tuple(ordered if everything else ordered[: len(ordered) - count["ended"]])
    sheet = Sheet(RULE_COLUMNS, [rule_row(rule, then) for rule in listed])
    document = document_of(
        structs.replace(found, rules=listed),
        answered_at=clock_of(moment, session.now),
        as_of=moment.as_of,
        in_force=[rule.id for rule in listed if rule.state(then) == "in force"],
    )
    hidden = f"; {count['ended']} ended (--all lists them)" if count["ended"] and not everything else ""
    first = f"{counted(count['in force'], 'rule')} in force, {count['to come']} to come{hidden}"
    return View(
        document,
        sheet,
        head=(Line(first),),
        table=sheet,
        foot=(where_read(found.position, moment.as_of, found.snapshot),),
    )
