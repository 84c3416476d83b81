"""``mdevreg accepting``."""

from __future__ import annotations

import click

from mdevreg.cli.matrix_view import accepted_view
from mdevreg.cli.options import Present
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.query.mapping import accepting


@click.command(
    "accepting",
    cls=Present,
    examples=(("mdevreg accepting hv-b-06", "What could be moved there, of all that the fleet has?"),),
)
@click.argument("host")
@click.pass_obj
def command(session: Session, *, host: str) -> View:
    """Show which kinds of the fleet HOST would accept.

    A kind is a type under a driver build; those of the types that HOST offers are listed. Now only; asks a registry or
    a replica, not a database.
    """
    with session.door() as door:
        return accepted_view(accepting(door, host, now=session.now))
