"""`mdevreg-server up` and `serve`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from mdevreg.cli.examples import Exampled
from mdevreg_server.cli.http_options import with_http
from mdevreg_server.cli.options import (
    CATALOG,
    CREDS,
    DATABASE,
    INDEX,
    MAX_BYTES,
    MAX_CLOCK_SKEW,
    NATS,
    PARTITIONS,
    database_url,
    say,
)
from mdevreg_server.folders import state_folder, url_file
from mdevreg_server.http.config import HttpConfig


@click.command(
    cls=Exampled,
    examples=(
        ("mdevreg-server up", "Broker, registry and an agent on this machine."),
        ("mdevreg-server up --demo 50", "The same, with a simulated fleet that lives."),
        ("mdevreg-server up --port 0 --state-dir /tmp/try", "On any free port, apart from your other history."),
    ),
)
@click.option(
    "--port",
    default=4222,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port of the broker on 127.0.0.1; 0 takes a free one.",
)
@click.option("--state-dir", type=click.Path(path_type=Path), help="Where everything is kept.")
@click.option(
    "--demo", "demo_hosts", type=click.IntRange(min=1), metavar="N", help="Add a living fleet of N simulated hosts."
)
@click.option("--seed", default=1, show_default=True, help="Seed of the simulated fleet.")
@click.option("--agent/--no-agent", default=True, help="Run an agent on this machine's udev.", show_default=True)
@CATALOG()
@with_http
def up(
    *,
    port: int,
    state_dir: Path | None,
    demo_hosts: int | None,
    seed: int,
    agent: bool,
    catalog: str | None,
    http: HttpConfig | None,
) -> None:
    """Run everything on this machine: broker, registry (SQLite), and an agent on its real udev."""
    from mdevreg_server.up import UpConfig, run_up

    # A simulated fleet has a folder of its own: it is nobody's history.
    usual = state_folder() / "demo" if demo_hosts else state_folder()
    told = None if state_dir else url_file().absolute()
    run_up(UpConfig((state_dir or usual).absolute(), port, demo_hosts, seed, agent, told, catalog, http), say)


@click.command(
    cls=Exampled,
    examples=(
        (
            "mdevreg-server serve --database postgresql+psycopg://mdevreg@db/mdevreg --nats nats://broker:4222",
            "The registry of a fleet, over your own PostgreSQL and broker.",
        ),
        (
            "mdevreg-server serve --partitions 8",
            "One of several, on any machines, that share the ingest of that fleet.",
        ),
    ),
)
@DATABASE()
@NATS()
@CREDS()
@CATALOG()
@PARTITIONS()
@MAX_BYTES()
@MAX_CLOCK_SKEW()
@INDEX()
@with_http
@click.option("--verbose", "-v", is_flag=True, help="One line per applied record.")
def serve(
    *,
    database: str | None,
    nats: str,
    creds: str | None,
    catalog: str | None,
    partitions: int,
    stream_max_bytes: int | None,
    max_clock_skew_s: float,
    index: bool,
    http: HttpConfig | None,
    verbose: bool,
) -> None:
    """Run the registry: consume records, keep their history, publish the fleet, answer questions."""
    from mdevreg_server.lines import Lines
    from mdevreg_server.serve import ServeConfig, serve, stop_on_signals

    config = ServeConfig(
        database=database_url(database),
        nats=nats,
        creds=creds,
        catalog=catalog,
        partitions=partitions,
        max_bytes=stream_max_bytes,
        http=http,
        max_clock_skew_s=max_clock_skew_s,
        index=index,
    )

    async def run() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop)
        lines = Lines(say if verbose else None)
        await serve(
            config,
            say=say,
            applied=lines.applied,
            amended=lines.amended,
            ready=lambda: say("registry.ready"),
            stop=stop,
        )
        say("registry.stopped")

    asyncio.run(run())
