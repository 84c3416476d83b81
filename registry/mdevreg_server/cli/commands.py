"""All commands of `mdevreg-server`; each one imports what it needs when it runs."""

from __future__ import annotations

from importlib.metadata import version

import click

from mdevreg_server.cli.database import db, rebuild
from mdevreg_server.cli.refused import conflict, quarantine
from mdevreg_server.cli.running import serve, up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("mdevreg"), prog_name="mdevreg-server")
def cli() -> None:
    """The central registry of mdevreg.

    \b
    Examples:
      mdevreg-server up                                     everything embedded, for a first look
      mdevreg-server db upgrade --database postgresql+psycopg://mdevreg@db/mdevreg
      mdevreg-server serve --database postgresql+psycopg://mdevreg@db/mdevreg --nats nats://broker:4222
      mdevreg-server quarantine list                        what could not be applied, and why
    """


for command in (up, serve, db, rebuild, quarantine, conflict):
    cli.add_command(command)
