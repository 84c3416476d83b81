"""``mdevreg islands``."""

from __future__ import annotations

import click

from mdevreg.cli.goal_options import hosts_of, hosts_option
from mdevreg.cli.islands_view import islands_view
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.planning.asked import IslandsAsked
from mdevreg.query.planning import islands


@click.command(
    "islands",
    cls=Question,
    examples=(
        ("mdevreg islands", "Between which hosts can devices go round, and where are they trapped?"),
        ("mdevreg islands --hosts site=a --hosts 'type=nvidia-*'", "Of one site's hosts with such types."),
    ),
)
@hosts_option
@click.pass_obj
def command(session: Session, *, where: tuple[str, ...]) -> View:
    """Map the fleet: islands, traps, and what holds it together.

    An island is a set of kinds (types under driver builds) of which each reaches every other, perhaps over some. Facts
    are taken as good; capacity is not looked at.

    Exit code: 0 each type is one island, 1 the fleet is parted.
    """
    asked = IslandsAsked(hosts_of(where), session.moment)
    with session.door() as door:
        return islands_view(islands(door, asked, now=session.now))
