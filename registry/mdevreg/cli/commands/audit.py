"""``mdevreg audit``: what the history proves."""

from __future__ import annotations

from typing import ClassVar

import click

from mdevreg.cli.options import Questions, shared_options

_COMMANDS = "mdevreg.cli.commands"


class Audit(Questions):
    """``mdevreg audit``."""

    examples = (
        ("mdevreg audit verify --public-key audit.pub", "Was anything in the database changed behind its back?"),
        ("mdevreg audit prove 4711 -o 4711.tlog-proof", "A proof of one record, to be verified offline."),
    )
    lazy: ClassVar[dict[str, str]] = {
        "verify": f"{_COMMANDS}.audit_verify",
        "prove": f"{_COMMANDS}.audit_prove",
        "check": f"{_COMMANDS}.audit_check",
        "consistency": f"{_COMMANDS}.audit_consistency",
    }


@click.group("audit", cls=Audit, params=shared_options())
def command() -> None:
    """Verify the log and its projections; prove entries.

    Reads the database itself: --url sqlite:///FILE or postgresql+psycopg://…
    """
