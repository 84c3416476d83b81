"""Ingest through the whole path against the raw floor: fetch + decode + one bulk insert + ack.

Same records, same broker, same database server, same run, rounds interleaved.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import sqlalchemy as sa
from bench_records import backlog
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from mdevreg import subjects, wire
from mdevreg.query.pulling import Puller
from mdevreg_server import bus, schema
from mdevreg_server.broker import Broker
from mdevreg_server.deliveries import acknowledge, message_of
from mdevreg_server.engine import open_engine
from mdevreg_server.ingest import BATCH, Line
from mdevreg_server.ledger import Ledger
from mdevreg_server.serve import now_us
from support.databases import postgresql_url, sqlite_url
from support.postgres import PostgresMissingError, private_cluster

#: A fresh database for each round.
Urls = Generator[str, None, None]


async def report(folder: Path, *, rounds: int, records: int) -> None:
    """Measure on both databases and print."""
    made = backlog(records)
    size = sum(len(data) for _, data in made) / len(made)
    print(
        f"\ningest: {len(made)} records of {size:.0f} bytes, batches of {BATCH}, {rounds} rounds; median (min to max)"
    )
    with Broker(folder / "broker") as broker:
        async with _connected(broker) as client:
            await bus.ensure_streams(client.jetstream())
            await _fill(client, made)
            for name, databases in _databases(folder):
                await _compare(client, name, databases, rounds, len(made))
                databases.close()


@asynccontextmanager
async def _connected(broker: Broker) -> AsyncIterator[Client]:
    client = await bus.connect(broker.url, creds=None, timeout_s=5, say=print)
    try:
        yield client
    finally:
        await client.close()


def _databases(folder: Path) -> Iterator[tuple[str, Urls]]:
    def sqlite() -> Urls:
        for number in range(10_000):
            below = folder / f"sqlite-{number}"
            below.mkdir()
            yield sqlite_url(below)

    yield "SQLite", sqlite()
    try:
        with private_cluster() as cluster:

            def postgresql() -> Urls:
                while True:
                    with postgresql_url(cluster) as url:
                        yield url

            yield "PostgreSQL", postgresql()
    except PostgresMissingError as error:
        print(f"  PostgreSQL: not measured, {error}")


async def _fill(client: Client, made: list[tuple[str, bytes]]) -> None:
    for subject, data in made[:-1]:
        await client.publish(subject, data)
        if client.pending_data_size > 1_000_000:
            await client.flush()
    ack = await client.jetstream().publish(*made[-1], timeout=30)
    assert ack.seq == len(made), "the broker did not store all"


async def _compare(client: Client, name: str, databases: Urls, rounds: int, count: int) -> None:
    floor, ours = [], []
    for _ in range(rounds):
        floor.append(count / await _floor(client, next(databases), count))
        ours.append(count / await _ours(client, next(databases), count))
    ratios = [mine / bare for mine, bare in zip(ours, floor, strict=True)]
    print(f"  {name}: floor {_spread(floor)} records/s, mdevreg {_spread(ours)} records/s")
    print(f"  {name}: ratio to the floor {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


async def _floor(client: Client, url: str, count: int) -> float:
    """Fetch, decode and validate, one bulk insert per batch, commit, ack: nothing else."""
    engine = open_engine(url, writer=True, create=True)
    table = sa.Table(
        "floor",
        sa.MetaData(),
        sa.Column("position", sa.BigInteger, primary_key=True),
        sa.Column("host", sa.Text),
        sa.Column("epoch", sa.Text),
        sa.Column("seq", sa.BigInteger),
        sa.Column("body", sa.LargeBinary),
    )
    table.create(engine)
    js = client.jetstream()
    await js.add_consumer(
        subjects.RECORDS_STREAM, ConsumerConfig(durable_name="floor", ack_policy=AckPolicy.ALL, max_ack_pending=20_000)
    )
    puller = await Puller(client, subjects.RECORDS_STREAM, "floor", batch=BATCH, expires_s=1).open()
    done, started = 0, time.perf_counter()
    while done < count:
        got = await puller.pull()
        rows = []
        for message in map(message_of, got):
            record = wire.decode(message.data).record
            rows.append(
                {
                    "position": message.stream_seq,
                    "host": record.host,
                    "epoch": record.epoch,
                    "seq": record.seq,
                    "body": message.data,
                }
            )
        if rows:
            with engine.begin() as connection:
                connection.execute(sa.insert(table), rows)
            await acknowledge(client, got[-1])
        done += len(got)
    await client.flush()
    elapsed = time.perf_counter() - started
    await puller.close()
    await js.delete_consumer(subjects.RECORDS_STREAM, "floor")
    engine.dispose()
    return elapsed


async def _ours(client: Client, url: str, count: int) -> float:
    """The registry's own line: log, history, positions, receipts published."""
    engine = open_engine(url, writer=True, create=True)
    schema.upgrade(engine)
    finished = asyncio.Event()
    with _writer() as writer:
        ledger = Ledger(engine)
        line = Line(
            client,
            ledger,
            writer,
            now_us=now_us,
            applied=lambda _: None,
            say=lambda _: None,
            published=lambda _: finished.set() if ledger.position >= count else None,
        )
        await client.jetstream().purge_stream(subjects.FLEET_STREAM)
        running = asyncio.ensure_future(line.run())
        await line.attached.wait()
        started = time.perf_counter()
        await finished.wait()
        elapsed = time.perf_counter() - started
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await client.jetstream().delete_consumer(subjects.RECORDS_STREAM, subjects.DURABLE)
    engine.dispose()
    gc.collect()
    return elapsed


@contextmanager
def _writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as writer:
        yield writer
