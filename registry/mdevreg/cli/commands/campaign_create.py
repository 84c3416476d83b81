"""``mdevreg upgrade campaign create NAME``."""

from __future__ import annotations

import click

from mdevreg.campaigns import CampaignDraft, check
from mdevreg.cli.campaign_words import campaign_view
from mdevreg.cli.options import Decision
from mdevreg.cli.plan_file import plan_in
from mdevreg.cli.rule_draft import scope_of
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.cli.when import any_time
from mdevreg.cli.whoami import author as whoami
from mdevreg.planning.waves.course import kept
from mdevreg.wanted import wanted_in


@click.command(
    "create",
    cls=Decision,
    examples=(
        (
            'mdevreg upgrade campaign create to-580 --where site=a --driver "nvidia 580.95.05" --deadline +21d',
            "All hosts of site a that run nvidia are to run this build in three weeks.",
        ),
        (
            'mdevreg upgrade campaign create off-550 --where "version=550.*" --driver "nvidia 580.95.05"',
            "Whoever runs a 550 now, or comes to run one: a host that was upgraded stays in it.",
        ),
    ),
)
@click.argument("name")
@click.option("--where", multiple=True, metavar="KEY=PATTERN", help="Which hosts: what they offer, or are.")
@click.option("--driver", "wanted", required=True, metavar='"NAME VERSION"', help="The build that they are to run.")
@click.option("--deadline", metavar="TIME", help="Until when, like +21d.")
@click.option("--since", metavar="TIME", help="When it begins [now].")
@click.option("--plan", metavar="FILE", help="The order that it follows: what `mdevreg plan waves -o json` printed.")
@click.option("--message", default="", help="Why.")
@click.option("--author", help="Who decides [user@host].")
@click.pass_obj
def command(
    session: Session,
    *,
    name: str,
    where: tuple[str, ...],
    wanted: str,
    deadline: str | None,
    since: str | None,
    plan: str | None,
    message: str,
    author: str | None,
) -> View:
    """Create an upgrade campaign.

    In it is every host that matches at any time from its beginning on: what it offers then, or a device on it. A
    campaign for those that run an old version so keeps them when they are upgraded. Without driver=… it is about hosts
    that run the wanted build's driver.

    The build is a driver's name with a version, or with KEY=VALUE: version, srcversion, build_id, kernel_release. Keys
    and patterns of --where: as of `mdevreg rule add`. A name is letters, digits, - and _, and is never used again.
    """
    build = wanted_in(wanted)
    draft = CampaignDraft(
        name=name,
        wanted=build,
        author=whoami() if author is None else author,
        where=scope_of(where, "--where"),
        begins=None if since is None else any_time(since, session.now),
        deadline=None if deadline is None else any_time(deadline, session.now),
        message=message,
        plan=None if plan is None else kept(plan_in(plan, build, now=session.now)),
    )
    check(draft, session.now)
    with session.door() as door:
        created = door.create_campaign(draft)
    return campaign_view(created, session.now, "created: ")
