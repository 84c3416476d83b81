"""Pruning: documents go, and nothing else: every timeline, every later record and ``rebuild`` are as without it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from mdevreg_server.tables import PROJECTIONS
from mdevreg_server.wholeness import faults_of
from support.databases import sqlite_url
from support.hosts import crooked, some_life, told
from support.pruned import emptied, prune_up_to
from support.publisher import Publisher
from support.registry import Desk, migrated, projections, refused

SEEDS = range(40)


@pytest.fixture
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A registry that hears the same and never prunes."""
    with migrated(sqlite_url(tmp_path_factory.mktemp("twin"))) as engine:
        yield Desk(engine)


def _life(chance: random.Random) -> list[list[bytes]]:
    """Two hosts' records, some late and some twice, one with two epochs."""
    first = crooked(told(Publisher("a", "first"), some_life(chance)), chance)
    second = crooked(told(Publisher("a", "second"), some_life(chance)), chance)
    other = crooked(told(Publisher("b"), some_life(chance)), chance)
    batches = [*first, *second]
    for batch in other:
        batches.insert(chance.randint(0, len(batches)), batch)
    return batches


def _both(desk: Desk, twin: Desk, record: bytes) -> None:
    """What the one refuses because its period was pruned, the other is not told."""
    message = desk.stream.message(record)
    applied = desk.ledger.apply([message], desk.stream.where, now_us=desk.now_us)
    twin.stream.last_seq += 1
    if not applied.quarantined:
        twin.ledger.apply([message], twin.stream.where, now_us=twin.now_us)


def _prune_both(desk: Desk, twin: Desk, position: int) -> None:
    """The one prunes; the other's log is as long afterwards."""
    before = desk.ledger.position
    prune_up_to(desk, position)
    for _ in range(desk.ledger.position - before):
        with twin.ledger.tending() as connection:
            twin.ledger.append(connection, "padding", "padding", b"-", now_us=twin.now_us)


@pytest.mark.parametrize("seed", SEEDS)
def test_history_goes_on_as_if_nothing_was_pruned(engine: sa.Engine, twin: Desk, seed: int) -> None:
    chance = random.Random(seed)
    desk = Desk(engine)
    gone = last = 0
    for batch in _life(chance):
        for record in batch:
            _both(desk, twin, record)
        if chance.random() < 0.15 and desk.ledger.position > last:
            last = chance.randint(last + 1, desk.ledger.position)
            _prune_both(desk, twin, last)
            gone = len(emptied(engine))
    _same(desk, twin)
    kept = projections(engine)
    assert faults_of(engine) == []
    Desk(engine, desk.stream).ledger.rebuild(batch_size=chance.choice([1, 7, 1_000]))
    assert projections(engine) == kept
    assert len(emptied(engine)) >= gone


def _same(desk: Desk, twin: Desk) -> None:
    ours, theirs = projections(desk.engine), projections(twin.engine)
    if refused(desk.engine):  # the one counts them as settled, the other waits for them
        ours.pop("host_state"), theirs.pop("host_state")
    for name in ours:
        assert set(ours[name]) - set(theirs[name]) == set(theirs[name]) - set(ours[name]) == set(), name
