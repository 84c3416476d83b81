"""Questions about the past as the history grows: the fleet stays as large as it is, its history gets ten times as long.

Cost should follow the answer and the logarithm of the history: then the figures of a line are alike. Beside them the
same rows as a plain reading of the two periods finds them, which looks at every row.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import long_history
import sqlalchemy as sa

from mdevreg.facts import NOW, Moment
from mdevreg.times import moment_of
from mdevreg_server.asking import At, at
from mdevreg_server.engine import open_engine
from mdevreg_server.sql_door import SqlDoor, now_utc
from mdevreg_server.tables import Parent
from support.postgres import PostgresMissingError, private_cluster

_PLAN = "plan"
#: A plain reading of ten million rows takes a while.
_PATIENCE_S = 300.0


def report(folder: Path, *, rounds: int, sizes: Sequence[int]) -> None:
    """Make histories of these sizes on both databases, ask, and print."""
    print(f"\nquestions about the past, {long_history.HOSTS} hosts, {rounds} rounds; median ms by interval rows")
    for name in ("sqlite", "postgresql"):
        try:
            found = [_measured(folder, name, rows, rounds) for rows in sizes]
        except PostgresMissingError as error:
            print(f"  {name}: not measured, {error}")
            continue
        print(f"  {name:<44}" + "".join(f"{rows:>12,}" for rows in sizes) + "   last ÷ first")
        plans = [figures.pop(_PLAN) for figures in found]
        for line in found[0]:
            each = [figures[line] for figures in found]
            print(f"    {line:<42}" + "".join(f"{ms:>12,.1f}" for ms in each) + f"{each[-1] / each[0]:>12.1f}")
        print(f"    the parents of a host, then, by the plan for {sizes[-1]:,} rows:")
        print("".join(f"      {line}\n" for line in plans[-1]), end="")


def _measured(folder: Path, name: str, rows: int, rounds: int) -> dict[str, Any]:
    with _database(folder, name, rows) as url:
        changes = long_history.fill(url, rows)
        with SqlDoor(open_engine(url, writer=False, timeout_s=_PATIENCE_S)) as door:
            asked = dict(_questions(door, changes))
            asked["(plain) parents, then"] = lambda: _plainly(door, changes)
            return {line: _median_ms(ask, rounds) for line, ask in asked.items()} | {_PLAN: _plan(door, changes)}


@contextmanager
def _database(folder: Path, name: str, rows: int) -> Iterator[str]:
    if name == "sqlite":
        file = folder / f"past-{rows}.sqlite3"
        try:
            yield f"sqlite:///{file}"
        finally:
            for each in folder.glob(f"{file.name}*"):
                each.unlink()
        return
    with private_cluster() as cluster:
        connection = cluster.connect()
        connection.autocommit = True
        connection.execute("CREATE DATABASE past")
        connection.close()
        yield cluster.url("past")


def _questions(door: SqlDoor, changes: int) -> Iterator[tuple[str, Callable[[], object]]]:
    middle = changes // 2
    then, position = moment_of(long_history.time_of(middle) + 1_000_000), (middle + 1) * long_history.HOSTS
    moments = {
        "now": (changes - 1, NOW),
        "then": (middle, Moment(then)),
        "as known then": (middle, Moment(then, position)),
    }
    for when, (change, moment) in moments.items():
        device = long_history.lasting_device(7, change)
        yield from _each(door, device, moment, when)


def _each(door: SqlDoor, device: str, moment: Moment, when: str) -> Iterator[tuple[str, Callable[[], object]]]:
    yield f"pair, {when}", lambda: door.pair(device, "hv-011", moment)
    yield f"candidates, {when}", lambda: door.candidates(device, moment)
    yield f"hosts, {when}", lambda: door.hosts(moment)
    yield f"drivers, {when}", lambda: door.drivers(moment)
    yield f"history of a host, last 20, {when}", lambda: door.history("hv-007", moment, 20)
    yield f"history of a device, {when}", lambda: door.history(device, moment, 20)


def _plainly(door: SqlDoor, changes: int) -> int:
    """How many parents hold then, by the two periods alone."""
    moment = Moment(moment_of(long_history.time_of(changes // 2) + 1_000_000))
    with door.engine.connect() as connection:
        when: At = at(connection, moment, now_utc())
        return connection.scalar(sa.select(sa.func.count()).where(when.holds(Parent))) or 0


def _plan(door: SqlDoor, changes: int) -> list[str]:
    """How the database finds them, the constant rows of the windows left out."""
    moment = Moment(moment_of(long_history.time_of(changes // 2) + 1_000_000))
    with door.engine.connect() as connection:
        parents = at(connection, moment, now_utc()).rows(Parent, host="h007")
        wanted = sa.select(parents.name).compile(connection, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if door.engine.dialect.name == "sqlite" else "EXPLAIN (COSTS OFF)"
        lines = [str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {wanted}")]
    return [line for line in lines if "parent" in line or "Cond" in line]


def _median_ms(ask: Callable[[], object], rounds: int) -> float:
    taken: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        ask()
        taken.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(taken)
