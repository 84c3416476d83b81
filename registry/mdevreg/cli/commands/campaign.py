"""``mdevreg upgrade campaign``: upgrades that take weeks."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Campaign(Questions):
    """``mdevreg upgrade campaign``."""

    examples = (
        (
            'mdevreg upgrade campaign create to-580 --where site=a --driver "nvidia 580.95.05" --deadline +21d',
            "All hosts of site a are to run this build in three weeks.",
        ),
        ("mdevreg upgrade campaign status to-580 --as-of -7d", "How far was it a week ago?"),
        ("mdevreg upgrade campaign list", "All campaigns, and how far each came."),
    )
    lazy: ClassVar[dict[str, str]] = {
        "create": f"{_COMMANDS}.campaign_create",
        "status": f"{_COMMANDS}.campaign_status",
        "list": f"{_COMMANDS}.campaign_list",
        "end": f"{_COMMANDS}.campaign_end",
    }


@click.group("campaign", cls=Campaign, params=shared_options())
def command() -> None:
    """Create, follow and end upgrade campaigns.

    A campaign says which hosts are to run which driver build until when. It changes no verdict, and moves nothing: it
    is what the fleet is compared with.
    """
