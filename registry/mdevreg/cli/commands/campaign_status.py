"""``mdevreg upgrade campaign status NAME``."""

from __future__ import annotations

import click

from mdevreg.campaigns import STATES, CampaignAsked, UpgradeState
from mdevreg.cli.campaign_words import status_view
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.query.campaign_pages import whole_status

DEFAULT_LIMIT = 50
MAX_LIMIT = 1_000_000


@click.command(
    "status",
    cls=Question,
    examples=(
        ("mdevreg upgrade campaign status to-580", "How far it came, its pace, and the hosts, the worst first."),
        (
            "mdevreg upgrade campaign status to-580 --state pending -o csv --limit 100000",
            "Who is still to be upgraded.",
        ),
        ("mdevreg upgrade campaign status to-580 --as-of -7d --known-at -7d", "What was said a week ago."),
    ),
)
@click.argument("name")
@click.option("--state", type=click.Choice(STATES), help="Only hosts that stand so.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="At most so many hosts.",
)
@click.pass_obj
def command(session: Session, *, name: str, state: UpgradeState | None, limit: int) -> View:
    """Show how far an upgrade campaign came.

    \b
    elsewhere       neither its old build nor the wanted one
    rolled_back     its old build again, after the wanted one
    offers_nothing  no driver is bound, or nothing is offered: under upgrade
    pending         its old build
    upgraded        the wanted build, and it offers something

    A host stands as the worst of its parents that matched. The pace is the median of the upgrades in seven equal parts
    of the time since the first one, of 14 days at most; where that is none, no end is foretold. An ended campaign is
    shown as it was at its end.

    Exit codes: 0 every host is upgraded; 1 the deadline is over, a host is elsewhere or rolled back, or it was ended
    before; 3 under way, or no host ever matched.
    """  # noqa: D301  (Click's mark for lines that stay as they are)
    moment = session.moment
    asked = CampaignAsked(name, state, limit, as_of=moment.as_of, known_at=moment.known_at)
    with session.door() as door:
        found = whole_status(door, asked)
    return status_view(found, moment, session.now)
