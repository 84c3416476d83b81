"""``mdevreg webhook``: who is told of events over HTTP."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Webhook(Questions):
    """``mdevreg webhook``."""

    examples = (
        ("mdevreg webhook add https://ops.example/mdevreg --events 'device.*' --secret-file generated", "Subscribe."),
        ("mdevreg webhook list", "Who is told of what, and does it arrive?"),
        ("mdevreg webhook deliveries --failed", "What could not be delivered within a day."),
    )
    lazy: ClassVar[dict[str, str]] = {
        "add": f"{_COMMANDS}.webhook_add",
        "list": f"{_COMMANDS}.webhook_list",
        "remove": f"{_COMMANDS}.webhook_remove",
        "deliveries": f"{_COMMANDS}.webhook_deliveries",
        "redeliver": f"{_COMMANDS}.webhook_redeliver",
        "ping": f"{_COMMANDS}.webhook_ping",
    }


@click.group("webhook", cls=Webhook, params=shared_options())
def command() -> None:
    """Have events delivered to URLs, signed.

    Each is a POST of one CloudEvent, signed as Standard Webhooks say, and tried again for a day. See: mdevreg watch.
    """
