"""``rebuild``: every projection from the log alone, byte for byte."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg import wire
from mdevreg.errors import StateError
from mdevreg.facts import NOW, Moment
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import PROJECTIONS
from support.audit import BASELINE, CAMPAIGN
from support.hosts import crooked, look, mtty, some_life, told, uuid_of
from support.publisher import Publisher
from support.registry import Desk, logged, projections, refused

AT = datetime(2026, 11, 25, tzinfo=UTC)


def _eventful(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hosts with all that may happen: late records, tombstones, epochs, refused ones, one applied at last."""
    chance = random.Random(21)
    for batch in crooked(told(Publisher("a", "first"), some_life(chance)), chance):
        desk.take(*batch)
    desk.take(*told(Publisher("a", "second"), some_life(chance)))
    beta = Publisher("b")
    records = beta.snapshot(look(mtty(devices=[1]), hostname="beta"))
    changed = beta.changes(look(mtty(devices=[1, 2]), hostname="beta"))
    broken = b'{"schema":"1.0","host":"b","epoch":"epoch-1","seq":90}'
    gone = beta.changes(look(hostname="beta"))
    desk.take(*records, broken)
    with monkeypatch.context() as older:  # a program that does not know this schema yet
        older.setattr(wire, "SCHEMA_MAJOR", 0)
        desk.take(*changed)
    desk.take(*gone)
    assert desk.take(*changed).records  # tried again after the upgrade: late
    desk.book.create_campaign(CAMPAIGN)
    desk.book.put_baseline(BASELINE)
    desk.take(*told(Publisher("a", "third"), [look(mtty(version="3"))]))
    desk.book.put_baseline(structs.replace(BASELINE, message="again"))
    desk.book.end_campaign(CAMPAIGN.name, author="bob", reason="over")


def _answers(engine: sa.Engine) -> list[object]:
    with SqlDoor(engine, lambda: AT) as door:
        moments = [NOW, *(Moment(known_at=position) for position, _, _ in logged(engine))]
        found: list[object] = []
        for moment in moments:
            found += [door.hosts(moment), door.drivers(moment)]
        found += [door.host(name, NOW) for name in ("a", "b")]
        found += [door.campaigns(NOW), door.baselines(NOW), door.history("registry", NOW, 100)]
        found += [door.history(name, NOW, 1_000) for name in ("a", "b", uuid_of(1), uuid_of(2))]
    return found


@pytest.mark.parametrize("batch_size", [1, 7, 1_000])
def test_rebuild_recreates_every_projection_and_every_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    """The log is the truth: what is made of it once more is the same, to the byte."""
    _eventful(desk, monkeypatch)
    before, answers = projections(desk.engine), _answers(desk.engine)
    assert refused(desk.engine)
    records = Desk(desk.engine, desk.stream).ledger.rebuild(batch_size=batch_size)
    assert records == len(logged(desk.engine))
    assert projections(desk.engine) == before
    assert _answers(desk.engine) == answers


def test_rebuild_heals_projections_that_were_damaged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts from nothing, whatever was there."""
    _eventful(desk, monkeypatch)
    before = projections(desk.engine)
    with desk.engine.begin() as connection:
        for table in PROJECTIONS:
            connection.execute(sa.delete(table))
    desk.ledger.rebuild()
    assert projections(desk.engine) == before


def test_the_ledger_goes_on_after_a_rebuild(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions and folds are where they were."""
    _eventful(desk, monkeypatch)
    position = desk.ledger.position
    desk.ledger.rebuild()
    applied = desk.take(*told(Publisher("c"), [look(mtty())]))
    assert applied.position == position + 3
    twin = Desk(desk.engine, desk.stream)
    before = projections(desk.engine)
    twin.ledger.rebuild()
    assert projections(desk.engine) == before


def test_a_rebuild_that_fails_leaves_everything_as_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction: a log that can't be read any more costs no projection."""
    _eventful(desk, monkeypatch)
    before, position = projections(desk.engine), desk.ledger.position
    with monkeypatch.context() as older:
        older.setattr(wire, "SCHEMA_MAJOR", 0)
        with pytest.raises(StateError, match="position 1 of the log") as caught:
            desk.ledger.rebuild()
    assert caught.value.code == "LOG_UNREADABLE"
    assert projections(desk.engine) == before
    assert desk.ledger.position == position
    assert desk.take(*told(Publisher("c"), [look(mtty())])).position == position + 3
