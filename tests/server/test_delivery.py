"""Whatever the order, the duplicates and the batches: the same history in the end, and a true one at every moment."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mdevreg_server.engine import open_engine
from mdevreg_server.wholeness import faults_of
from support.hosts import crooked, some_life, told
from support.oracle import check_every_moment, outcome
from support.publisher import Look, Publisher
from support.registry import Desk, Stream, migrated, projections
from support.strategies import lives

_FEW = settings(max_examples=8, derandomize=True, deadline=None, database=None, phases=[Phase.generate])
_SEEDS = [3, 14]


class Fresh:
    """Migrated SQLite databases, as many as examples ask for."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        with migrated(f"sqlite:///{folder / 'template'}"):
            pass

    @contextmanager
    def open(self) -> Iterator[sa.Engine]:
        file = self._folder / str(next(self._numbers))
        file.write_bytes((self._folder / "template").read_bytes())
        engine = open_engine(f"sqlite:///{file}", writer=True, create=True)
        try:
            yield engine
        finally:
            engine.dispose()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Databases for the examples of a property."""
    return Fresh(tmp_path_factory.mktemp("fresh"))


def _fleet(chance: random.Random) -> list[bytes]:
    """Three hosts' records, one after the other."""
    return [record for host in ("a", "b", "c") for record in told(Publisher(host), some_life(chance))]


def _deliver(engine: sa.Engine, batches: list[list[bytes]], *, cached_hosts: int = 100, restarts: bool = False) -> None:
    desk = Desk(engine, cached_hosts=cached_hosts)
    for batch in batches:
        desk.take(*batch)
        if restarts:
            desk = Desk(engine, desk.stream, cached_hosts=cached_hosts)


@pytest.mark.parametrize("seed", _SEEDS)
def test_any_order_with_duplicates_and_any_batches_end_in_the_same_history(
    engine: sa.Engine, fresh: Fresh, seed: int
) -> None:
    """A record is state, (host, epoch, seq) is unique: delivery decides nothing."""
    records = _fleet(random.Random(seed))
    _deliver(engine, crooked(records, random.Random(seed)))
    with fresh.open() as straight:
        _deliver(straight, [records])
        assert outcome(engine) == outcome(straight)
    assert faults_of(engine) == []


@pytest.mark.parametrize("seed", _SEEDS)
def test_at_every_moment_the_tables_say_what_replaying_the_log_says(engine: sa.Engine, seed: int) -> None:
    """One value at most, half-open periods, at every pair of times, late records included."""
    chance = random.Random(seed)
    records = [record for host in ("a", "b") for record in told(Publisher(host), some_life(chance, looks=4))]
    _deliver(engine, crooked(records, random.Random(seed)))
    assert check_every_moment(engine) > 100


@pytest.mark.parametrize("delay_s", [0, 5])
def test_records_that_arrive_before_they_were_observed_are_bounded_by_receipt(engine: sa.Engine, delay_s: int) -> None:
    """Clocks differ: what was received can't become true later, and the tables still agree with the log."""
    chance = random.Random(5)
    desk = Desk(engine, Stream(delay_s=delay_s))
    for batch in crooked(told(Publisher(), some_life(chance)), chance):
        desk.take(*batch)
    assert check_every_moment(engine) > 100


def test_a_small_cache_changes_nothing(engine: sa.Engine, fresh: Fresh) -> None:
    """Folds are a cache over the projections: forgetting and reading them again makes no difference."""
    batches = crooked(_fleet(random.Random(8)), random.Random(8))
    _deliver(engine, batches, cached_hosts=1)
    with fresh.open() as other:
        _deliver(other, batches)
        assert projections(engine) == projections(other)


def test_a_restart_after_every_batch_changes_nothing(engine: sa.Engine, fresh: Fresh) -> None:
    """Everything that the next batch depends on is in the database."""
    batches = crooked(_fleet(random.Random(9)), random.Random(9))
    _deliver(engine, batches, restarts=True)
    with fresh.open() as other:
        _deliver(other, batches)
        assert projections(engine) == projections(other)


@_FEW
@given(lives(max_looks=4), st.randoms(use_true_random=False))
def test_any_life_delivered_any_way_ends_in_the_same_history(
    fresh: Fresh, life: list[Look], chance: random.Random
) -> None:
    """The same law over lives that nobody thought of."""
    records = told(Publisher(), life)
    with fresh.open() as straight, fresh.open() as shuffled:
        _deliver(straight, [records])
        _deliver(shuffled, crooked(records, chance))
        assert outcome(shuffled) == outcome(straight)
        check_every_moment(shuffled)
