"""``mdevreg matrix``."""

from __future__ import annotations

import click

from mdevreg.cli.matrix_view import matrix_view
from mdevreg.cli.options import Present
from mdevreg.cli.rule_draft import scope_of
from mdevreg.cli.session import Session
from mdevreg.cli.view import View
from mdevreg.query.mapping import matrix


@click.command(
    "matrix",
    cls=Present,
    examples=(
        (
            "mdevreg matrix --from site=a --to site=b",
            "Which types under which drivers move from one site to the other?",
        ),
        ('mdevreg matrix --from "type=nvidia-*"', "All driver builds of a vendor's types against each other."),
    ),
)
@click.option("--from", "sources", multiple=True, metavar="KEY=PATTERN", help="Only sources of that kind.")
@click.option("--to", "targets", multiple=True, metavar="KEY=PATTERN", help="Only targets of that kind.")
@click.pass_obj
def command(session: Session, *, sources: tuple[str, ...], targets: tuple[str, ...]) -> View:
    """Show which kinds of the fleet accept which.

    A kind is a type under a driver build, on however many hosts.

    Keys: host, site, type, device_api, parent, driver, kernel_release, version, srcversion, build_id. Patterns are
    those of a shell. All hosts' facts are taken as good; capacity is not looked at. Now only; asks a registry or a
    replica, not a database.
    """
    ours, theirs = scope_of(sources, "--from"), scope_of(targets, "--to")
    with session.door() as door:
        return matrix_view(matrix(door, now=session.now, sources=ours, targets=theirs))
