"""All commands of `mdevreg-server`; each one imports what it needs when it runs."""

from __future__ import annotations

from importlib.metadata import version

import click

from mdevreg.cli.examples import ExampledGroup
from mdevreg_server.cli.audit import audit
from mdevreg_server.cli.catalog import catalog
from mdevreg_server.cli.database import db, rebuild
from mdevreg_server.cli.refused import conflict, quarantine
from mdevreg_server.cli.retention import prune, retention
from mdevreg_server.cli.running import serve, up


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    cls=ExampledGroup,
    examples=(
        ("mdevreg-server up", "Everything embedded, for a first look."),
        (
            "mdevreg-server db upgrade --database postgresql+psycopg://mdevreg@db/mdevreg",
            "Before the first start, and after every upgrade of mdevreg.",
        ),
        (
            "mdevreg-server serve --database postgresql+psycopg://mdevreg@db/mdevreg --nats nats://broker:4222",
            "The registry of a fleet, over your own PostgreSQL and broker.",
        ),
        ("mdevreg-server catalog list", "What is believed of drivers that say nothing themselves."),
        ("mdevreg-server quarantine list", "What could not be applied, and why."),
    ),
)
@click.version_option(version("mdevreg"), prog_name="mdevreg-server", message="%(prog)s %(version)s")
def cli() -> None:
    """The central registry of mdevreg."""


for command in (up, serve, db, rebuild, retention, prune, catalog, audit, quarantine, conflict):
    cli.add_command(command)
