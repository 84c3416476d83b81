"""``mdevreg baseline check NAME``."""

from __future__ import annotations

import click

from mdevreg.baselines import CheckAsked
from mdevreg.cli.baseline_words import check_view
from mdevreg.cli.options import Question
from mdevreg.cli.rule_draft import scope_of
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.query.check_pages import whole_check

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000_000


@click.command(
    "check",
    cls=Question,
    examples=(
        ("mdevreg baseline check gold", "Which hosts are not as they should be, in what, and since when?"),
        ("mdevreg baseline check gold --where site=a -o csv", "Of site a; for a spreadsheet."),
        ("mdevreg baseline check gold@2 --as-of -30d", "Who deviated a month ago from version 2?"),
    ),
)
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Only these hosts and types.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="At most so many hosts.",
)
@click.pass_obj
def command(session: Session, *, name: str, where: tuple[str, ...], limit: int) -> View:
    """Check who deviates from a baseline, in what, and since when.

    A type is held against the class that says most of it: with its parent's PCI ids, else by its name, else by a
    pattern. Hosts that offer nothing of any class are left out.

    Exit codes: 0 nobody deviates; 1 somebody does; 3 nobody is known to, but hosts that are stale, or don't tell
    something that is expected, may, or no host has anything of a class.
    """
    moment, rules = session.moment, session.rules
    asked = CheckAsked(
        name,
        scope_of(where, "--where"),
        limit,
        stale_after_s=rules.stale_after_s,
        as_of=moment.as_of,
        known_at=moment.known_at,
    )
    with session.door() as door:
        found = whole_check(door, asked)
    return check_view(found, moment, session.now)
