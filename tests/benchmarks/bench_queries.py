"""Questions in one process: ours against the floor, and against what a weekend with SQL or NATS gives.

One seeded fleet, the same questions and changes to each, rounds interleaved. Aims: issue 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import fleet_stream
import nats
import peers_nats
from apart import apart
from fleets import Fleet, Host
from floor import Floor
from ours import Ours, key_of
from peers_sql import PostgreSQL, Sqlite
from query_cells import floor_cells, our_cells, sql_cells
from query_lines import (
    AGAIN,
    AGAIN_MEMORY,
    CHANGES,
    COUNT,
    EVERYDAY,
    HOT,
    INDEX,
    KV,
    LISTS,
    MEMORY,
    NAMES,
    ORDER,
    PAIRS,
    RANDOM,
    READY,
    UNITS,
    UPGRADE,
)
from questions import Changes, Questions
from readers import FOR_S, reader_cells
from rounds import FLOOR, OURS, Cell, Table, each, turn

from mdevreg_server.broker import Broker
from support.postgres import PostgresMissingError, private_cluster

#: Rounds of what takes seconds, at most.
_FEW = 3


def report(folder: Path, *, rounds: int, hosts: int) -> list[Table]:
    """Measure and print; the tables."""
    fleet = Fleet(hosts)
    floor, ours, asked = Floor(fleet), Ours(fleet), Questions(fleet)
    _agree(floor, ours, asked)
    questions = Table(f"Questions in one process, {hosts:,} hosts, {rounds} rounds", units=UNITS, order=ORDER)
    readers = Table(f"A reader beside a writer, {hosts:,} hosts, {rounds} rounds of {FOR_S} s each")
    with ExitStack() as stack:
        cells = [*floor_cells(fleet, floor, asked), *our_cells(fleet, ours, asked)]
        cells += _sqlite(stack, folder, fleet, floor, asked)
        cells += _postgresql(stack, questions, fleet, floor, asked)
        cells += _kv(stack, folder, fleet, asked)
        cells += _replica(stack, folder, fleet)
        cells += [Cell((line,), who, partial(apart, room, "memory", hosts), 1) for line, who, room in _ROOMS]
        questions.notes.append(f"{ours.count(asked.hot.mdev):,} hosts are targets of the device asked about.")
        questions.measure(cells, rounds)
        questions.show()
        readers.measure(list(reader_cells(fleet, floor, ours, asked)), rounds)
        readers.show()
    return [questions, readers]


#: Where the memory of each is measured.
_ROOMS = ((MEMORY, FLOOR, "floor"), (INDEX, FLOOR, "floor"), (INDEX, OURS, "ours"))


def _agree(floor: Floor, ours: Ours, asked: Questions) -> None:
    """What is compared must answer alike. The floor does not leave the source's own host out."""
    own = asked.hot.host
    names = set(floor.names((own, asked.hot.kind))) - {own}
    assert set(ours.names(asked.hot.mdev)) == names, "ours and the floor name other targets"
    assert ours.count(asked.hot.mdev) == len(names), "ours counts other targets than it names"
    for pair in asked.pairs[:1_000]:
        brief = ours.index.view.can_migrate(*key_of(pair), now_us=ours.now_us)
        loads = floor.verdicts[floor.offers[pair.host][pair.kind]][floor.offers[pair.target][pair.kind]]
        assert (brief.outcome.value == "compatible") == loads, f"{pair} is {brief}"


def _sqlite(stack: ExitStack, folder: Path, fleet: Fleet, floor: Floor, asked: Questions) -> Iterator[Cell]:
    peer = Sqlite(folder / f"weekend-{len(fleet.hosts)}.sqlite", fleet, floor)
    stack.callback(peer.close)
    return sql_cells(fleet, peer, asked)


def _postgresql(stack: ExitStack, table: Table, fleet: Fleet, floor: Floor, asked: Questions) -> Iterator[Cell]:
    try:
        cluster = stack.enter_context(private_cluster())
    except PostgresMissingError as error:
        table.notes.append(f"PostgreSQL: not measured, {error}")
        return iter(())
    peer = PostgreSQL(cluster, fleet, floor)
    stack.callback(peer.close)
    return sql_cells(fleet, peer, asked)


def _kv(stack: ExitStack, folder: Path, fleet: Fleet, asked: Questions) -> Iterator[Cell]:
    broker = stack.enter_context(Broker(folder / "kv-broker"))
    put = stack.enter_context(_bucket(broker.url, fleet))
    cached = peers_nats.Cached(asyncio.run(peers_nats.filled(broker.url)))
    source, number, changes = (asked.hot.host, asked.hot.kind), count(), Changes(fleet)
    pairs = [(pair.host, pair.kind, pair.target) for pair in asked.pairs]
    hot = (asked.hot.host, asked.hot.kind, asked.hot.target)
    yield Cell((HOT,), KV, partial(each, cached.pair, [hot] * PAIRS[KV]))
    yield Cell((RANDOM,), KV, lambda: each(cached.pair, turn(pairs, PAIRS[KV], next(number))))
    yield Cell((COUNT,), KV, partial(each, cached.count, [source] * LISTS[KV]))
    yield Cell((NAMES,), KV, partial(each, cached.names, [source] * LISTS[KV]))
    yield Cell((EVERYDAY,), KV, lambda: each(put, changes.everyday(CHANGES[KV])))
    yield Cell((UPGRADE,), KV, lambda: each(put, changes.upgrades(CHANGES[KV])))
    yield Cell((READY, MEMORY), KV, partial(apart, "peers_nats", "filling", broker.url), _FEW)


def _replica(stack: ExitStack, folder: Path, fleet: Fleet) -> Iterator[Cell]:
    """The replica door in a process of its own; then again, with what it kept on disk."""
    broker = stack.enter_context(Broker(folder / "fleet-broker"))
    asyncio.run(fleet_stream.publish(broker.url, fleet))
    kept = f"?cache={folder / 'replica.cache'}"
    yield Cell((READY, MEMORY), OURS, partial(apart, "ours", "replica", broker.url), _FEW)
    apart("ours", "replica", broker.url, kept)
    yield Cell((AGAIN, AGAIN_MEMORY), OURS, partial(apart, "ours", "replica", broker.url, kept), _FEW)


@contextmanager
def _bucket(url: str, fleet: Fleet) -> Iterator[Callable[[Host], None]]:
    """The bucket filled; puts the four keys of a host, all at once."""
    with asyncio.Runner() as runner:
        client = runner.run(nats.connect(url))
        runner.run(peers_nats.publish(client, fleet))
        bucket = runner.run(client.jetstream().key_value(peers_nats.BUCKET))

        async def put(host: Host) -> None:
            values = peers_nats.values_of(host)
            await asyncio.gather(*(bucket.put(f"{host.hostname}.{kind}", value) for kind, value in values.items()))

        yield lambda host: runner.run(put(host))
        runner.run(client.close())
