"""A snapshot token gives the same answer for ever, byte for byte, through every door and whatever is learned later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import assume, given
from hypothesis import strategies as st

from mdevreg import query
from mdevreg.distribution import DistributionAsked
from mdevreg.errors import UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.moments import clock_of, known_at_of, moment_in, snapshot_of
from mdevreg.query.batch import Asked
from mdevreg.query.door import Door
from mdevreg.query.gathered import can_migrate_each
from mdevreg.query.pages import targets_page
from mdevreg.query.questions import can_migrate, targets
from mdevreg.rules import Rule
from mdevreg.stragglers import StragglersAsked
from mdevreg.trends import TrendAsked
from mdevreg.upgrades import UpgradesAsked
from mdevreg.wanted import wanted_in
from mdevreg_server.engine import open_engine
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.ledger import Ledger
from mdevreg_server.tables import RecordLog
from support.bus_client import publish
from support.databases import EmptyDatabases, sqlite_url
from support.hosts import look, mtty, uuid_of
from support.nats_server import brokers
from support.publisher import EPOCH_START, Publisher
from support.registry import migrated
from support.serving import serving

#: By the clock of whoever asks: later than everything that is observed.
ASKED = datetime.now(UTC) + timedelta(seconds=1)

Ask = Callable[[Door, Moment], Any]
QUESTIONS: dict[str, Ask] = {
    "can-migrate": lambda door, moment: can_migrate(door, uuid_of(1), "beta", now=datetime.now(UTC), moment=moment),
    "targets": lambda door, moment: targets(door, uuid_of(1), now=datetime.now(UTC), moment=moment),
    "page": lambda door, moment: targets_page(door, uuid_of(1), now=datetime.now(UTC), moment=moment),
    "batch": lambda door, moment: can_migrate_each(
        door, [Asked(uuid_of(1), "beta"), Asked(uuid_of(1), "alpha")], now=datetime.now(UTC), moment=moment
    ),
    "hosts": lambda door, moment: door.hosts(moment),
    "host": lambda door, moment: door.host("alpha", moment),
    "drivers": lambda door, moment: door.drivers(moment),
    "history": lambda door, moment: door.history("alpha", moment, 100),
    "device": lambda door, moment: door.history(uuid_of(1), moment, 100),
    "rules": lambda door, moment: door.rules(moment),
    "distribution": lambda door, moment: door.distribution(DistributionAsked("type", moment=moment)),
    "trend": lambda door, moment: door.trend(TrendAsked(60, 10, moment=moment)),
    "upgrades": lambda door, moment: door.upgrades(UpgradesAsked(moment=moment)),
    "stragglers": lambda door, moment: door.stragglers(StragglersAsked(wanted_in("mtty 9"), moment=moment)),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a registry's database, with nothing in it."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = sqlite_url(tmp_path)
        else:
            databases: EmptyDatabases = request.getfixturevalue("postgresql_databases")
            url = stack.enter_context(databases.lend())
        stack.enter_context(migrated(url)).dispose()
        yield url


def test_the_same_token_gives_the_same_answer_whatever_is_learned_later(database: str, tmp_path: Path) -> None:
    """Live answers tell their token; with it every door says the same bytes, before and after all that may come."""
    alpha, beta = Publisher("host-a"), Publisher("host-b")
    first = [
        *alpha.snapshot(look(mtty(version="3", minimum="2", devices=[1]), hostname="alpha")),
        *beta.snapshot(look(mtty(version="4", minimum="2"), hostname="beta")),
    ]
    held_back, *newer = (
        *beta.changes(look(mtty(version="4", minimum="4"), hostname="beta")),
        *beta.changes(look(mtty(version="5", minimum="3", free=1), hostname="beta")),
    )
    with brokers(tmp_path) as start:
        broker = start()
        with serving(database, broker.url, http=HttpConfig("127.0.0.1:0")) as registry:
            publish(broker.url, first)
            publish(broker.url, newer)
            _until(database, registry, len(first) + len(newer))
            doors = [database, broker.url, f"replica+{broker.url}", registry.http_url]
            tokens: dict[tuple[str, str], str] = {}
            before: dict[tuple[str, str], bytes] = {}
            for url in doors:
                with query.open(url) as door:
                    live = {name: ask(door, NOW) for name, ask in QUESTIONS.items()}
                    tokens |= {(url, name): answer.snapshot for name, answer in live.items()}
                    before |= {key: _said(door, key[1], token) for key, token in tokens.items()}
                    assert live["can-migrate"].verdict.outcome == "compatible"
            for name in QUESTIONS:
                assert len({_asked(url, name, tokens[database, name]) for url in doors}) == 1, name
            _learn(database, registry, broker.url, held_back, alpha)
            after = {key: _asked(key[0], key[1], token) for key, token in tokens.items()}
            assert b"alpha-2" in _asked(database, "hosts", None)
        assert after == before
        assert not any(b"alpha-2" in said for said in before.values())
        with _engine(database, writer=True) as engine:
            Ledger(engine).rebuild()
        assert {key: _asked(database, key[1], token) for key, token in tokens.items()} == before


def _learn(database: str, registry: Any, broker: str, held_back: bytes, alpha: Publisher) -> None:
    """A correction of the past, a new present, a rule, a catalog entry that was not believed before."""
    count = _count(database)
    publish(broker, [held_back, *alpha.changes(look(mtty(version="9", minimum="9"), hostname="alpha-2"))])
    _until(database, registry, count + 3)
    with query.open(broker) as door:
        deny = Rule(id="draft", effect="deny", author="tests", message="late", valid_from=EPOCH_START)
        door.add_rule(deny)
        assert can_migrate(door, "alpha-2/mtty/mtty-1", "beta", now=ASKED).verdict.outcome == "incompatible"


@contextmanager
def _engine(database: str, *, writer: bool) -> Iterator[sa.Engine]:
    engine = open_engine(database, writer=writer)
    try:
        yield engine
    finally:
        engine.dispose()


def _count(database: str) -> int:
    with _engine(database, writer=False) as engine, engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).where(RecordLog.host != "")) or 0


def _until(database: str, registry: Any, count: int) -> None:
    registry.until(lambda: _count(database) >= count, f"{count} records are logged")


def _asked(url: str, name: str, token: str | None) -> bytes:
    with query.open(url) as door:
        return _said(door, name, token)


def _said(door: Door, name: str, token: str | None) -> bytes:
    return msgspec.json.encode(QUESTIONS[name](door, NOW if token is None else moment_in(token)))


TIMES = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.integers(0, 10**15 - 1), TIMES)
def test_a_token_is_read_as_it_is_written(position: int, time: datetime) -> None:
    """And fixes the clock of the answer."""
    moment = moment_in(snapshot_of(position, time))
    assert moment == Moment(time, position)
    assert clock_of(moment, ASKED) == time


@given(st.text())
def test_any_other_text_is_no_token(text: str) -> None:
    """Refused with a code; only the one spelling is read."""
    assume("@" not in text or not text[0].isdigit())
    with pytest.raises(UsageError) as caught:
        moment_in(text)
    assert caught.value.code == "BAD_SNAPSHOT"


@pytest.mark.parametrize(
    "text", ["926", "926@", "926@yesterday", "926@2026-11-24T10:00:00", "0926@2026-11-24T10:00:00Z"]
)
def test_what_looks_like_a_token_is_refused(text: str) -> None:
    """One spelling, with a zone."""
    with pytest.raises(UsageError, match="POSITION@TIME"):
        moment_in(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [("926", 926), ("seq:926", 926), ("2026-11-24T00:00:00Z", EPOCH_START), ("-1h", ASKED - timedelta(hours=1))],
)
def test_what_was_known_is_asked_by_position_or_time(text: str, found: object) -> None:
    """As ``--known-at`` takes it."""
    assert known_at_of(text, ASKED) == found


@pytest.mark.parametrize("text", ["seq:", "seq:-1", "soon", "2999-01-01T00:00:00Z", "9" * 40])
def test_what_is_neither_is_refused_with_both_ways_out(text: str) -> None:
    """A time that is to come, too."""
    with pytest.raises(UsageError, match=r"or a log position, seq:926"):
        known_at_of(text, ASKED)
