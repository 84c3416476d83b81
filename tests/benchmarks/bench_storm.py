"""A boot storm: every host's complete snapshot at once. How long until all of it is history, and how much memory.

Real ``mdevreg-server serve`` processes; the broker has everything before they have a tenth of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import sqlalchemy as sa
from nats.aio.client import Client

from mdevreg import subjects
from mdevreg.records import Cause
from mdevreg_agent.fleet import SimHost, fleet, picture_of
from mdevreg_agent.picture import documents_of
from mdevreg_agent.simulate import SimAgent
from mdevreg_server import bus, schema
from mdevreg_server.amendments import NOBODY
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from mdevreg_server.tables import RecordLog, StreamPosition
from support.databases import postgresql_url, sqlite_url
from support.postgres import Cluster, PostgresMissingError, private_cluster
from support.processes import Program

#: Hosts that are encoded; the others are copies under ids of their own.
TEMPLATES = 400
BALANCED_WITHIN_S = 20.0


class Absorbed(msgspec.Struct, frozen=True):
    """One storm. ``rss_mib``: the largest registry process before, and at its peak."""

    hosts: int
    records: int
    published_s: float
    absorbed_s: float
    rss_before_mib: float
    rss_peak_mib: float
    broker_peak_mib: float

    @property
    def rate(self) -> float:
        """Records per second, from the first publish to the last commit."""
        return self.records / self.absorbed_s


def report(folder: Path, *, hosts: int) -> None:
    """Measure a tenth of the hosts, then all of them, so that what grows is seen; print."""
    print(f"\nboot storm: complete snapshots of {hosts:,} hosts, published at once; one registry")
    with ExitStack() as stack:
        databases = {"SQLite": None, "PostgreSQL": _cluster(stack)}
        for name, cluster in databases.items():
            for count in (hosts // 10, hosts):
                if name == "SQLite" or cluster is not None:
                    print(f"  {name}: {_told(measured(folder, storm(count), cluster=cluster))}")


def _told(seen: Absorbed) -> str:
    return (
        f"{seen.hosts:,} hosts, {seen.records:,} records: published in {seen.published_s:.1f} s, absorbed in "
        f"{seen.absorbed_s:.1f} s ({seen.rate:,.0f} records/s); peak memory {seen.rss_peak_mib:.0f} MiB "
        f"({seen.rss_before_mib:.0f} before), broker {seen.broker_peak_mib:.0f} MiB"
    )


def storm(hosts: int, *, seed: int = 1) -> list[tuple[str, bytes]]:
    """What ``hosts`` agents publish when they start, as (subject, record): each one's in order, all interleaved."""
    templates = [_snapshot(host) for host in fleet(min(hosts, TEMPLATES), seed=seed)]
    made = [[_renamed(record, number) for record in templates[number % len(templates)]] for number in range(hosts)]
    longest = max(map(len, made))
    return [each[turn] for turn in range(longest) for each in made if turn < len(each)]


def _snapshot(host: SimHost) -> list[bytes]:
    agent, documents = SimAgent(host.id, "storm"), documents_of(picture_of(host))
    records = agent.look(documents, cause=Cause(kind="startup"), observed_at=datetime.now(UTC))
    return [data.replace(host.id.encode(), b"%HOST%") for _, data in records]


def _renamed(record: bytes, number: int) -> tuple[str, bytes]:
    host = f"storm-{number:06}"
    return subjects.record(host), record.replace(b"%HOST%", host.encode())


def measured(
    folder: Path,
    records: Sequence[tuple[str, bytes]],
    *,
    cluster: Cluster | None,
    workers: int = 0,
    partitions: int = 4,
) -> Absorbed:
    """One storm on a fresh broker and database. ``workers``: that share ``partitions``; 0: one that shares nothing."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(_folder(folder)))
        broker = stack.enter_context(Broker(home / "broker"))
        url = sqlite_url(home) if cluster is None else stack.enter_context(postgresql_url(cluster))
        engine = open_engine(url, writer=True, create=True)
        stack.callback(engine.dispose)
        schema.upgrade(engine)
        command = ["mdevreg-server", "serve", "--database", url, "--nats", broker.url]
        command += ["--partitions", str(partitions)] if workers else []
        programs = [stack.enter_context(Program(command, home=home)) for _ in range(workers or 1)]
        _balanced(programs, partitions if workers else 0)
        return asyncio.run(_absorbed(engine, broker, records, programs))


@contextmanager
def _folder(below: Path) -> Iterator[str]:
    number = 1
    while (home := below / f"storm-{number}").exists():
        number += 1
    home.mkdir()
    yield str(home)


def _cluster(stack: ExitStack) -> Cluster | None:
    try:
        return stack.enter_context(private_cluster())
    except PostgresMissingError as error:
        print(f"  PostgreSQL: not measured, {error}")
        return None


def _balanced(programs: Sequence[Program], partitions: int) -> None:
    """All stand, and hold their parts."""
    for program in programs:
        program.wait_for("registry.ready")
    deadline, due = time.monotonic() + BALANCED_WITHIN_S, partitions // len(programs)
    while any(_held(program) != due for program in programs):
        assert time.monotonic() < deadline, "the registries do not come to an agreement"
        time.sleep(0.1)


def _held(program: Program) -> int:
    said = program.output
    return said.count("partition.taken") - said.count("partition.left")


async def _absorbed(
    engine: sa.Engine, broker: Broker, records: Sequence[tuple[str, bytes]], programs: Sequence[Program]
) -> Absorbed:
    processes = [psutil.Process(program.pid) for program in programs]
    before = max(process.memory_info().rss for process in processes)
    client = await bus.connect(broker.url, creds=None, timeout_s=5, say=print)
    started = time.perf_counter()
    await _publish(client, records)
    published = time.perf_counter()
    goal = _amendments(engine) + len(records)
    while _position(engine) < goal:
        await asyncio.sleep(0.1)
    ended = time.perf_counter()
    await client.close()
    return Absorbed(
        hosts=len({subject for subject, _ in records}),
        records=len(records),
        published_s=published - started,
        absorbed_s=ended - started,
        rss_before_mib=before / 2**20,
        rss_peak_mib=max(_peak_mib(process.pid) for process in processes),
        broker_peak_mib=_peak_mib(broker.pid),
    )


async def _publish(client: Client, records: Sequence[tuple[str, bytes]]) -> None:
    for subject, data in records[:-1]:
        await client.publish(subject, data)
        if client.pending_data_size > 1_000_000:
            await client.flush(timeout=60)
    ack = await client.jetstream().publish(*records[-1], timeout=120)
    assert ack.seq == len(records), "the broker did not store all"


def _position(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        wanted = sa.select(StreamPosition.position).where(StreamPosition.stream == subjects.RECORDS_STREAM)
        return connection.scalar(wanted) or 0


def _amendments(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        wanted = sa.select(sa.func.count()).select_from(RecordLog).where(RecordLog.host == NOBODY)
        return connection.scalar(wanted) or 0


def _peak_mib(pid: int) -> float:
    """The kernel's own high-water mark."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
