"""Beliefs are log entries: rules and catalog entries have positions, and what was believed can be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg.catalog import BuildKey
from mdevreg.errors import StateError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.knowledge import Amendment, CatalogChange, RuleChange
from mdevreg.query import questions
from mdevreg.query.door import Door
from mdevreg.records import SCHEMA
from mdevreg.rules import Rule, Scope
from mdevreg.shipped import shipped_entries
from mdevreg_server.amendments import encoded
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import RecordLog, table_of
from mdevreg_server.wholeness import faults_of
from support.catalogs import entry, silent
from support.hosts import look, mtty, uuid_of
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk, amendments, logged, positions, projections, rows

#: Long after every record was observed and received.
LATER = EPOCH_START + timedelta(hours=3)
DENY = Rule(
    id="draft", effect="deny", author="alice", message="beta burns", valid_from=EPOCH_START, where=Scope(host=("beta",))
)


def _two_hosts(desk: Desk) -> None:
    desk.take(*Publisher("host-1").snapshot(look(silent(devices=(1,)), hostname="alpha")))
    desk.take(*Publisher("host-2").snapshot(look(silent(), hostname="beta")))


def _codes(door: Door, known_at: int | None = None) -> tuple[str, set[str]]:
    """The verdict about one and the same moment of valid time, as known at a position."""
    moment = Moment(as_of=LATER, known_at=known_at)
    verdict = questions.can_migrate(door, uuid_of(1), "beta", now=LATER, moment=moment).verdict
    return verdict.outcome, {reason.code for reason in verdict.reasons}


def test_a_change_of_the_catalog_changes_no_answer_of_before(desk: Desk) -> None:
    """*What we believed on 1 March*: the same question about the same time, before and after a correction."""
    _two_hosts(desk)
    before = desk.ledger.position
    desk.book.import_entries([entry(saves="1.0")], author="alice")
    believed = desk.ledger.position
    desk.book.import_entries([entry(saves="1.1", loads="1.0")], author="alice")
    corrected = desk.ledger.position
    desk.book.remove_entries(["site-1"], author="alice")
    with SqlDoor(desk.engine) as door:
        assert _codes(door, before)[0] == "unknown"
        assert _codes(door, believed)[0] == "compatible"
        assert _codes(door, corrected)[0] == "incompatible"
        assert _codes(door)[0] == "unknown"
        assert _codes(door, believed)[0] == "compatible"  # whatever was asked in between
        supports = [door.host("alpha", Moment(known_at=at)).supports["mtty/mtty-1"] for at in (before, believed)]
        assert [msgspec.to_builtins(each)["kind"] for each in supports] == ["unknown", "streams"]


def test_a_rule_is_history_too(desk: Desk) -> None:
    """Added, ended, and asked about at each position."""
    _two_hosts(desk)
    before = desk.ledger.position
    rule = desk.book.add_rule(DENY)
    added = desk.ledger.position
    desk.book.end_rule(rule.id, at=EPOCH_START + timedelta(hours=1), author="bob")
    with SqlDoor(desk.engine) as door:
        denied = ["RULE_DENIES" in _codes(door, at)[1] for at in (before, added, None)]
        assert denied == [False, True, False]
        known = [door.rules(Moment(known_at=at)).rules for at in (before, added)]
        assert (known, len(door.rules(NOW).rules)) == ([(), (rule,)], 1)
    assert rule.id == f"r{added}"
    assert [each.author for _, _, each in amendments(desk.engine)] == ["alice", "bob"]


def test_positions_have_no_gaps_with_records_in_between(desk: Desk) -> None:
    """One log, one clock: records and amendments take turns, and each kind is counted."""
    publisher = Publisher()
    desk.take(*publisher.snapshot(look(mtty())))
    for number in range(1, 6):
        desk.book.import_entries([entry(f"site-{number}")], author="alice")
        desk.take(*publisher.changes(look(mtty(free=10 + number))))
    assert positions(desk.engine) == list(range(1, 14)) == list(range(1, desk.ledger.position + 1))
    assert [(position, seq) for position, seq, _ in amendments(desk.engine)] == [
        (2 + 2 * number, number) for number in range(1, 6)
    ]
    assert [seq for _, _, seq in logged(desk.engine)] == list(range(1, 9))
    assert faults_of(desk.engine) == []


def _eventful(desk: Desk) -> None:
    _two_hosts(desk)
    desk.book.set_entries("shipped", shipped_entries(), author="mdevreg 1")
    desk.book.import_entries([entry("site-1"), entry("site-2", saves="2.0")], author="alice")
    rule = desk.book.add_rule(DENY)
    desk.take(*Publisher("host-3").snapshot(look(mtty(), hostname="gamma")))
    desk.book.set_entries("folder", [entry("site-1", saves="3.0")], author="folder /etc")
    desk.book.end_rule(rule.id, at=None, author="alice")
    desk.book.remove_entries(["site-2"], author="alice")


def _answers(engine: sa.Engine) -> list[object]:
    with SqlDoor(engine, lambda: datetime(2026, 11, 25, tzinfo=UTC)) as door:
        moments = [NOW, *(Moment(known_at=position) for position in positions(engine))]
        found: list[object] = [door.rules(moment) for moment in moments]
        for moment in moments[7:]:
            found += [door.host("alpha", moment), door.pair(uuid_of(1), "beta", moment), door.loading("mtty", moment)]
        return found


def test_rebuild_leaves_the_log_and_every_answer_as_they_were(desk: Desk) -> None:
    """Amendments are part of the log and of no projection: what is believed is read from the log itself."""
    _eventful(desk)
    log, before, answers = rows(desk.engine, RecordLog), projections(desk.engine), _answers(desk.engine)
    assert desk.ledger.rebuild(batch_size=4) == len(logged(desk.engine)) < len(log)
    assert (rows(desk.engine, RecordLog), projections(desk.engine)) == (log, before)
    assert _answers(desk.engine) == answers
    assert faults_of(desk.engine) == []
    assert desk.book.add_rule(structs.replace(DENY, message="again")).id == f"r{len(log) + 1}"


def test_whoever_opens_the_database_next_believes_the_same(desk: Desk) -> None:
    """A restart: nothing of it was in memory only, and what is believed already is not written again."""
    _eventful(desk)
    again = Desk(desk.engine, desk.stream)
    assert again.ledger.position == desk.ledger.position
    assert again.ledger.knowledge().entries == desk.ledger.knowledge().entries
    assert again.ledger.knowledge().rules == desk.ledger.knowledge().rules
    assert again.book.set_entries("shipped", shipped_entries(), author="mdevreg 1") is None
    assert again.book.import_entries([entry("site-1")], author="alice").put == ()
    assert again.ledger.position == desk.ledger.position


def test_another_program_ships_another_set_and_the_older_one_stays_askable(desk: Desk) -> None:
    """An upgrade changes, adds and removes; going back does too. Each is one amendment, and no host is asked."""
    _two_hosts(desk)
    older, newer = [entry("a"), entry("b", saves="2.0")], [entry("a", saves="1.1"), entry("c", saves="3.0")]
    assert desk.book.set_entries("shipped", older, author="mdevreg 1") is not None
    first = desk.ledger.position
    change = desk.book.set_entries("shipped", newer, author="mdevreg 2")
    assert isinstance(change, CatalogChange)
    assert ([each.id for each in change.put], change.remove) == (["a", "c"], ("b",))
    desk.book.set_entries("shipped", older, author="mdevreg 1")
    assert desk.ledger.position == first + 2
    assert [each.author for _, _, each in amendments(desk.engine)] == ["mdevreg 1", "mdevreg 2", "mdevreg 1"]
    assert list(desk.ledger.knowledge().entries["shipped"].values()) == older


def test_an_amendment_that_fails_leaves_the_position_where_it_was(desk: Desk) -> None:
    """A crash in its transaction: nothing is written, nothing is believed, and the next record takes the number."""
    _two_hosts(desk)
    before = desk.ledger.position

    def crash(_position: int) -> RuleChange:
        raise RuntimeError("power failure")

    with pytest.raises(RuntimeError):
        desk.ledger.amend(crash, author="alice", now_us=desk.now_us)
    assert (desk.ledger.position, positions(desk.engine)[-1]) == (before, before)
    _refuse_amendments(desk.engine)
    with pytest.raises(StateError, match="refused"):
        desk.book.add_rule(DENY)
    assert (desk.ledger.position, desk.ledger.knowledge().rules) == (before, {})
    assert desk.take(*Publisher("host-3").snapshot(look(mtty()))).position == before + 3
    assert faults_of(desk.engine) == []


def _refuse_amendments(engine: sa.Engine) -> None:
    statement = {
        "sqlite": "CREATE TRIGGER refuse BEFORE INSERT ON record_log WHEN NEW.host = '' "
        "BEGIN SELECT RAISE(ABORT, 'refused'); END",
        "postgresql": "ALTER TABLE record_log ADD CONSTRAINT refuse CHECK (host <> '')",
    }[engine.dialect.name]
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"message": "m" * 1_001}, "AMENDMENT"),
        ({"message": ""}, "USAGE"),
        ({"message": "half a pair \ud800"}, "AMENDMENT"),
        ({"message": "\x1b[2J"}, "USAGE CONTROL_CHARACTER"),
        ({"message": "two\nlines"}, "USAGE CONTROL_CHARACTER"),
        ({"author": " "}, "USAGE"),
        ({"where": Scope(host=("a\x00b",))}, "USAGE CONTROL_CHARACTER"),
    ],
)
def test_what_nobody_could_read_again_is_refused_before_it_is_written(
    desk: Desk, wrong: dict[str, object], code: str
) -> None:
    """One such entry in the log would stop every reader for ever; made in Python, a struct checks nothing by itself."""
    with pytest.raises(UsageError) as caught:
        desk.book.add_rule(structs.replace(DENY, **wrong))
    assert caught.value.code in code.split()
    assert positions(desk.engine) == []
    desk.book.import_entries([entry(about="several\nlines\tare fine here")], author="alice")
    shape = BuildKey(srcversion="a\x07")
    for change, who in (
        (CatalogChange(origin="import", put=(structs.replace(entry(), builds=(shape,)),)), "alice"),
        (CatalogChange(origin="import", put=(structs.replace(entry(), fields={"about": "two\nlines"}),)), "alice"),
        (CatalogChange(origin="import", put=(structs.replace(entry(), fields={"a\x1b": "b"}),)), "alice"),
        (CatalogChange(origin="import", put=(entry(),)), "al\nice"),
    ):
        with pytest.raises(UsageError) as caught:
            encoded(Amendment(schema=SCHEMA, at=LATER, author=who, change=change))
        assert caught.value.code == "CONTROL_CHARACTER"


def test_an_imported_entry_obeys_the_laws_of_catalog_files(desk: Desk) -> None:
    """What comes over the wire has passed no lint: a driver's name alone decides nothing, no id is used twice."""
    nameless = structs.replace(entry(), builds=())
    for wrong in ([nameless], [entry("a"), entry("a", saves="2.0")], [structs.replace(entry(), saves="one")]):
        with pytest.raises(UsageError) as caught:
            desk.book.import_entries(wrong, author="alice")
        assert caught.value.code == "CATALOG"
    assert desk.ledger.position == 0


def test_only_what_was_imported_can_be_taken_back(desk: Desk) -> None:
    """The way out is named for the others; the nearest name for one that nobody knows."""
    desk.book.set_entries("shipped", [entry("shipped-1")], author="mdevreg 1")
    desk.book.set_entries("folder", [entry("folder-1")], author="folder /etc")
    changed = desk.book.import_entries([entry("folder-1"), entry("site-1")], author="alice")
    assert (changed.put, changed.hidden) == (("folder-1", "site-1"), ("folder-1",))
    desk.book.remove_entries(["folder-1"], author="alice")
    for name, words in (("shipped-1", "shipped with"), ("folder-1", "remove it there"), ("site-2", "known: site-1")):
        with pytest.raises(UsageError, match=words):
            desk.book.remove_entries([name], author="alice")
    assert desk.book.remove_entries(["site-1"], author="alice").removed == ("site-1",)


def test_a_door_believes_the_database_when_another_copy_took_its_place(desk: Desk) -> None:
    """After a failover the same position may be another amendment: a door that was open sees it."""
    _two_hosts(desk)
    desk.book.import_entries([entry("kept", saves="9.9")], author="alice")
    desk.book.import_entries([entry("site-1", saves="1.0")], author="alice")
    with SqlDoor(desk.engine) as door:
        assert "site-1" in str(door.pair(uuid_of(1), "beta", NOW).source.support)
        last = desk.ledger.position
        [*_, (_, _, amendment)] = amendments(desk.engine)
        other = structs.replace(amendment, author="bob", change=CatalogChange(origin="import", remove=("kept",)))
        data = encoded(other)
        log = table_of(RecordLog)
        with desk.engine.begin() as connection:
            changed = {"body": data, "sha256": "0" * 64}
            connection.execute(sa.update(log).where(log.c.position == last).values(changed))
        support = str(door.pair(uuid_of(1), "beta", NOW).source.support)
        assert ("site-1" in support, "kept" in support) == (False, False)


def test_a_log_with_an_amendment_of_a_newer_program_is_told_as_such(desk: Desk) -> None:
    """Nothing is concluded without it: the answer is the way out, and `db check` names the position."""
    _two_hosts(desk)
    desk.book.import_entries([entry()], author="alice")
    with desk.engine.begin() as connection:
        newer = b'{"schema":"1.9","change":{"kind":"prophecy"}}'
        connection.execute(sa.update(RecordLog).where(RecordLog.host == "").values(body=newer, sha256="0" * 64))
    with SqlDoor(desk.engine) as door, pytest.raises(StateError, match=r"position 7 .* upgrade it") as caught:
        door.pair(uuid_of(1), "beta", NOW)
    assert caught.value.code == "LOG_UNREADABLE"
    assert any("position 7" in fault for fault in faults_of(desk.engine))


def test_beliefs_of_many_moments_are_right_however_they_are_asked(desk: Desk) -> None:
    """More moments than are kept in memory, asked to and fro."""
    _two_hosts(desk)
    first = desk.ledger.position
    for number in range(12):
        desk.book.import_entries([entry(saves=f"{number}.0")], author="alice")
    with SqlDoor(desk.engine) as door:
        for number in [*range(12), *reversed(range(12)), 5, 0, 11]:
            support = door.pair(uuid_of(1), "beta", Moment(known_at=first + 1 + number)).source.support
            assert msgspec.to_builtins(support)["saves"]["version"]["raw"] == f"{number}.0"
