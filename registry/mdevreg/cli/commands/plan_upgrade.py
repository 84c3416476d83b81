"""``mdevreg plan upgrade``."""

from __future__ import annotations

import click

from mdevreg.cli.forecast_view import forecast_view
from mdevreg.cli.goal_options import goal_options, hosts_of
from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.planning.asked import UpgradeAsked
from mdevreg.planning.goals import goal_in
from mdevreg.query.planning import plan_upgrade


@click.command(
    "upgrade",
    cls=Question,
    examples=(
        (
            'mdevreg plan upgrade --hosts site=a --driver "nvidia 570.124.03"',
            "What would be lost if the hosts of site a were upgraded?",
        ),
        (
            "mdevreg plan upgrade --hosts hv-a-01 --hosts hv-a-02 --profile-from hv-b-06",
            "And if two hosts became like a third?",
        ),
        (
            "mdevreg plan upgrade --hosts driver=nvidia --stream saves=9,loads=7..9,format=nvidia-vgpu",
            "And if a build came out that saves and loads this?",
        ),
    ),
)
@goal_options
@click.pass_obj
def command(
    session: Session, *, where: tuple[str, ...], driver: str | None, profile_from: str | None, stream: str | None
) -> View:
    """Show what an upgrade would do to the fleet. Nothing is written.

    Migration paths lost, gained, turned one-way; devices stranded now, while the hosts are away, and afterwards;
    free instances that would be left; and what to find out where it depends on what is not known.

    Exit code: 0 nothing is lost, 1 something is, 3 it depends on what is not known.
    """
    goal = goal_in(driver=driver, profile_from=profile_from, stream=stream)
    asked = UpgradeAsked(goal, hosts_of(where), session.moment)
    with session.door() as door:
        return forecast_view(plan_upgrade(door, asked, now=session.now))
