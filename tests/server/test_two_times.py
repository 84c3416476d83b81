"""Both times at once: what the tables say at every pair, against an oracle that only replays the log of then."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Moment
from mdevreg.objects import Key, Value
from mdevreg.timeline import OPEN, Row
from mdevreg.times import moment_of
from mdevreg_server.asking import at
from mdevreg_server.intervals import shapes
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import (
    INTERVALS,
    PROJECTIONS,
    Base,
    HostPresence,
    Quarantine,
    RecordClock,
    RecordLog,
    StreamPosition,
)
from support.naive import Life, LogRow, State, document_of, life_of, placeless
from support.registry import Desk
from support.stories import Story, stories

#: Pairs of one history that are asked through SQL, beside all pairs that are looked up in what the tables hold.
_ASKED = 5
#: The clock of who asks: after every story.
LATER = datetime(2900, 1, 1, tzinfo=UTC)

many = settings(
    max_examples=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=list(HealthCheck),
)


class Truth:
    """A host by its log: what was true, by the position up to which it is known."""

    def __init__(self, log: list[LogRow]) -> None:
        self.log = log
        self.documents = {row.position: document_of(row.body) for row in log}
        self.lives = [life_of(log[:known]) for known in range(len(log) + 1)]
        self.times = sorted({us + off for life in self.lives for us in life.since_us for off in (-1, 0, 1)})

    def as_known(self, position: int) -> Life:
        return self.lives[sum(row.position <= position for row in self.log)]


@given(stories())
@many
def test_every_pair_of_times_answers_as_a_replay_of_what_was_known(engine: sa.Engine, story: Story) -> None:
    """At most one row holds, none is missing, and nothing that was answered once is answered otherwise later."""
    _empty(engine)
    desk = Desk(engine)
    for gap_s, records in story.batches:
        desk.stream.delay_s += gap_s
        desk.take(*records)
        _check(engine, [desk.ledger.position])  # as it is answered now
    truths = _check(engine, list(range(desk.ledger.position + 2)))  # and for ever
    _check_sql(engine, truths, desk.ledger.position)
    desk.ledger.rebuild()
    _check(engine, list(range(desk.ledger.position + 2)))


def _check(engine: sa.Engine, positions: list[int]) -> dict[str, Truth]:
    """Compare at all times around whatever anyone takes for the beginning or end of something."""
    truths, stored = {host: Truth(log) for host, log in _logs(engine).items()}, _stored(engine)
    assert stored.keys() <= truths.keys()
    for host, truth in truths.items():
        rows = stored.get(host, [])
        ends = {end for _, row in rows for end in (row.valid_from, row.valid_to) if end != OPEN}
        moments = sorted({*truth.times, *(end + off for end in ends for off in (-1, 0, 1)), OPEN - 1})
        expected: dict[int, dict[Key, Value]] = {}
        for position in positions:
            life = truth.as_known(position)
            near = [(key, row) for key, row in rows if row.system_from <= position + 1 and position <= row.system_to]
            for us in moments:
                state = life.at(us)
                if id(state) not in expected:
                    expected[id(state)] = state.objects()
                held = [(key, row.value) for key, row in near if row.holds(us, position)]
                _same(truth, held, state, expected[id(state)], position)
    return truths


def _same(truth: Truth, held: list[tuple[Key, Value]], state: State, expected: dict[Key, Value], known_at: int) -> None:
    found = {key: placeless(key, value) for key, value in held}
    assert len(found) == len(held), "two rows of one object hold"
    assert found == expected
    for key, value in held:
        if key[0] in ("host", "parent"):
            position = value[-1] if key[0] == "host" else value[1]
            assert position <= known_at, "told before it was known"
            assert truth.documents[position] == (state.facts if key[0] == "host" else state.parents[key[1]])


def _check_sql(engine: sa.Engine, truths: dict[str, Truth], last: int) -> None:
    """A sample of the pairs as SQL answers them: the conditions of every question, and whole hosts by the door."""
    chance = random.Random(last)
    with SqlDoor(engine, lambda: LATER) as door:
        for _ in range(_ASKED):
            host, truth = chance.choice(sorted(truths.items()))
            us, position = chance.choice(truth.times), chance.randint(1, last)
            moment, state = Moment(moment_of(us), position), truth.as_known(position).at(us)
            try:
                assert _asked(engine, host, moment) == state.objects()
            except UsageError:  # before anybody told anything
                assert state.objects() == {}
                continue
            try:
                shown = door.host(host, moment)
            except NotFoundError:
                assert state.facts is None
                continue
            assert state.facts is not None
            assert {parent.path for parent in shown.parents} == state.parents.keys()


def _asked(engine: sa.Engine, host: str, moment: Moment) -> dict[Key, Value]:
    """What holds at a moment, of one host and of all, as every question finds it."""
    with engine.connect() as connection:
        when = at(connection, moment, LATER)
        held = [(key, row) for _, key, row in _rows(connection, lambda table: when.rows(table, host=host))]
        of_all = [(key, row) for name, key, row in _rows(connection, when.rows) if name == host]
    assert held == of_all
    assert len(dict(held)) == len(held)
    return {key: placeless(key, row.value) for key, row in held}


def _stored(engine: sa.Engine) -> dict[str, list[tuple[Key, Row[Value]]]]:
    """Every row of every interval table, by host."""
    found: dict[str, list[tuple[Key, Row[Value]]]] = {}
    with engine.connect() as connection:
        for host, key, row in _rows(connection, lambda table: table):
            found.setdefault(host, []).append((key, row))
    return found


def _rows(
    connection: sa.Connection, which: Callable[[type[Base]], type[Base]]
) -> Iterator[tuple[str, Key, Row[Value]]]:
    for (kind, shape), table in zip(shapes().items(), INTERVALS.values(), strict=True):
        rows = sa.inspect(which(table)).selectable
        for found in connection.execute(sa.select(rows).order_by(*[rows.c[name] for name in shape.key])).mappings():
            host, *key = (found[name] for name in shape.key)
            value = tuple(found[name] for name in shape.values)
            periods = (found[name] for name in ("valid_from_us", "valid_to_us", "system_from", "system_to", "ended_at"))
            yield host, (kind, *key), Row(value, *periods)


def _logs(engine: sa.Engine) -> dict[str, list[LogRow]]:
    columns = (RecordLog.host, RecordLog.position, RecordLog.received_at_us, RecordLog.body)
    found: dict[str, list[LogRow]] = {}
    with engine.connect() as connection:
        for host, position, received_us, body in connection.execute(sa.select(*columns).order_by(RecordLog.position)):
            found.setdefault(host, []).append(LogRow(position, received_us, body))
    return found


def _empty(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for table in (*PROJECTIONS, RecordLog, RecordClock, HostPresence, StreamPosition, Quarantine):
            connection.execute(sa.delete(table))
