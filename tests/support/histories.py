"""What a settled history must be, whatever happened on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from mdevreg import wire
from mdevreg.facts import NOW
from mdevreg.records import CompleteBody
from mdevreg_server.audit.auditor import SqlAuditor
from mdevreg_server.engine import open_engine
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import PROJECTIONS, RecordLog, table_of
from support.machine import Written
from support.scene import Scene
from support.told_events import derived, mark_of, of_the_log, published

#: The clock of who asks.
LATER = datetime(2900, 1, 1, tzinfo=UTC)


def assert_exactly_once(scene: Scene) -> None:
    """Every record that was ever written is in the log, byte for byte, once; and nothing else is."""
    assert Counter(scene.logged()) == Counter(scene.written()), scene.report()


def assert_gapless(written: Iterable[Written]) -> None:
    """In every epoch the numbers are 1, 2, 3, …"""
    epochs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in written:
        epochs[record.host, record.epoch].append(record.seq)
    for epoch, seqs in epochs.items():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), epoch


def assert_undisturbed(scene: Scene) -> None:
    """Nobody is disputed, nothing was refused, the database is whole."""
    assert scene.disputes() == {}
    assert scene.refused() == []
    assert scene.server("db", "check") == 0, scene.said


def assert_events_are_told_once(scene: Scene) -> None:
    """What the log tells is in the stream, in its order, once: whoever was killed between telling and marking."""
    scene.start_registry().wait_for("events.attached")
    engine = open_engine(scene.database, writer=False)
    try:
        newest = len(scene.rows(sa.select(RecordLog.position)))
        scene.wait(lambda: mark_of(engine).position >= newest, "all events are told")
        told, source = of_the_log(published(scene.broker.url)), mark_of(engine).source
        assert told == derived(engine, told[0].position - 1, source)
    finally:
        engine.dispose()
        scene.stop_registry()


def assert_rebuild_changes_nothing(scene: Scene) -> None:
    """Every projection and every answer is the same when it is derived from the log again. Stops the registry."""
    scene.stop_registry()
    before = projections(scene), answers(scene)
    assert scene.server("rebuild") == 0, scene.said
    after = projections(scene), answers(scene)
    assert before == after


def assert_nothing_was_changed(scene: Scene) -> None:
    """Log, tree and projections verify, whatever was killed. Stops the registry."""
    scene.stop_registry()
    reader = open_engine(scene.database, writer=False)
    found = SqlAuditor(reader).verify()
    reader.dispose()
    assert (found.findings, found.integrated) == ((), found.records)
    assert found.records >= len(scene.written())


def projections(scene: Scene) -> dict[str, list[Any]]:
    """Every row of every projection, in key order."""
    tables = [table_of(table) for table in PROJECTIONS]
    return {table.name: scene.rows(sa.select(table).order_by(*table.primary_key)) for table in tables}


def answers(scene: Scene) -> list[Any]:
    """What the SQL door says of everything that it knows."""
    with SqlDoor(open_engine(scene.database, writer=False), lambda: LATER) as door:
        ids = [machine.id for machine in scene.machines]
        offers = [f"{host}/mtty/mtty-1" for host in ids]
        return [
            door.hosts(NOW),
            door.drivers(NOW),
            door.rules(NOW),
            *(door.host(host, NOW) for host in ids),
            *(door.history(host, NOW, 10_000) for host in ids),
            *(door.candidates(offer, NOW) for offer in offers),
            *(door.pair(offer, host, NOW) for offer in offers for host in ids),
        ]


def declared_skipped(scene: Scene) -> set[tuple[str, int]]:
    """(host, seq) of all that complete snapshots in the log call skipped."""
    return {
        (host, seq)
        for host, body in scene.rows(sa.select(RecordLog.host, RecordLog.body).where(RecordLog.kind == "complete"))
        for seq in _skipped(body)
    }


def _skipped(record: bytes) -> range:
    body = wire.decode(record).record.body
    assert isinstance(body, CompleteBody)
    return range(body.skipped[0], body.skipped[1] + 1) if body.skipped else range(0)
