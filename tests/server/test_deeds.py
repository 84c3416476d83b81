"""Decisions in the log of a real registry: kept as told, no belief, judged again when something comes late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg import query
from mdevreg.decisions import Decision, DecisionDraft, DecisionsAsked, Question
from mdevreg.errors import StateError
from mdevreg.facts import NOW, Moment
from mdevreg.outcomes import OutcomeDraft
from mdevreg.query import questions
from mdevreg.query.regretting import Regrets, regret
from mdevreg.query.replica_door import ReplicaDoor
from mdevreg.query.reporting import report_of
from mdevreg.rules import Rule
from mdevreg.times import moment_of
from mdevreg.verdict import Outcome
from mdevreg_server import minutes
from mdevreg_server.broker import Broker
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.rulebook import Rulebook
from mdevreg_server.sql_door import SqlDoor
from mdevreg_server.tables import RecordLog, table_of
from mdevreg_server.wholeness import faults_of
from support.bus_client import ask, publish
from support.catalogs import entry, silent
from support.door_fleet import fill
from support.hosts import look, mtty, uuid_of
from support.http_asked import asked, bearer, posted, tokens_file
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk, amendments, migrated, positions
from support.serving import serving

QUESTION = Question(device="alpha/mtty/mtty-1", to="beta", stale_after_s=3_000_000_000.0)
DRAFT = DecisionDraft(question=QUESTION, author="alice")
RULE = Rule(id="draft", effect="deny", author="ops", message="bad", valid_from=EPOCH_START)


@pytest.fixture
def door(engine: sa.Engine) -> Iterator[SqlDoor]:
    """The facts of the desk's database."""
    found = query.open(engine.url.render_as_string(hide_password=False))
    assert isinstance(found, SqlDoor)
    with found:
        yield found


def _now(desk: Desk) -> datetime:
    return moment_of(desk.now_us)


def _record(desk: Desk, door: SqlDoor, draft: DecisionDraft = DRAFT) -> Decision:
    """As a registry does, at the desk's clock."""
    return desk.book.record(draft, questions.answered(door, draft, now=_now(desk)), via="nats")


def _regretted(desk: Desk, door: SqlDoor) -> Regrets:
    return regret(door, since=EPOCH_START, now=_now(desk) + timedelta(hours=1))


def test_a_record_that_came_late_is_found_and_named(desk: Desk, door: SqlDoor) -> None:
    """beta was upgraded before the decision, and its agent was cut off: what was told stays, and was wrong."""
    alpha, beta = Publisher("host-a"), Publisher("host-b")
    desk.take(*alpha.snapshot(look(mtty(), hostname="alpha")), *beta.snapshot(look(mtty(), hostname="beta")))
    late = beta.changes(look(mtty(version="4", minimum="3"), hostname="beta"))
    told = _record(desk, door)
    assert told.told.verdict.outcome is Outcome.COMPATIBLE
    assert _regretted(desk, door).regrets == ()
    desk.take(*alpha.changes(look(mtty(free=1), hostname="alpha")))
    position = desk.take(*late).position
    desk.take(*alpha.changes(look(mtty(free=2), hostname="alpha")))
    [found] = _regretted(desk, door).regrets
    assert (found.decision.id, found.outcome) == (told.id, Outcome.INCOMPATIBLE)
    assert [reason.code for reason in found.against] == ["STREAM_VERSION_TOO_OLD"]
    [turn] = found.turns
    assert (turn.position, turn.kind, turn.code) == (position, "record", "STREAM_VERSION_TOO_OLD")
    assert "beta (host-b)" in turn.text
    assert bytes(door.decision(told.id).answer) == bytes(told.answer)


def test_an_outcome_is_blamed_for_what_it_turned(desk: Desk, door: SqlDoor) -> None:
    """The entry of the log that made a yes unknown is the report; its author and body are the evidence."""
    for name in ("alpha", "beta"):
        desk.take(*Publisher(f"host-{name}").snapshot(look(mtty(), hostname=name)))
    told = _record(desk, door)
    report = OutcomeDraft(result="refused", decision=told.id, author="nova")
    later = Rulebook(desk.ledger, desk.now_us + 1_000_000)  # of what is committed at once the last counts
    kept = later.report(report_of(door, report, now=_now(desk)))
    turn = door.blame(QUESTION.device, QUESTION.to, NOW, 1).turns[0]
    assert (turn.point.position, turn.point.cause) == (int(kept.id[1:]), "outcome")
    assert (turn.before.outcome, turn.after.outcome) == (Outcome.COMPATIBLE, Outcome.UNKNOWN)
    assert turn.entry is not None
    assert turn.entry.author == "nova"
    assert "OUTCOME_REFUSED" in {reason.code for reason in turn.after.reasons}


def test_what_changed_after_the_decision_is_nothing_to_regret(desk: Desk, door: SqlDoor) -> None:
    """It was true of its time: an upgrade an hour later makes no yes wrong."""
    beta = Publisher("host-b")
    desk.take(*Publisher("host-a").snapshot(look(mtty(), hostname="alpha")))
    desk.take(*beta.snapshot(look(mtty(), hostname="beta")))
    told = _record(desk, door)
    beta.seq += 2 * 3_600  # its records are observed after the decision
    beta.epoch = "epoch-2"
    desk.take(*beta.snapshot(look(mtty(version="4", minimum="3"), hostname="beta")))
    assert told.told.verdict.outcome is Outcome.COMPATIBLE
    again = questions.can_migrate(door, QUESTION.device, QUESTION.to, now=_now(desk), rules=QUESTION.rules)
    assert again.verdict.outcome is Outcome.INCOMPATIBLE
    assert _regretted(desk, door).regrets == ()


def test_a_correction_of_the_catalog_is_named(desk: Desk, door: SqlDoor) -> None:
    """What was believed of a build was wrong: the entry of the log that says so."""
    desk.book.set_entries("import", [entry("a", saves="1.0")], author="tests")
    for name in ("alpha", "beta"):
        desk.take(*Publisher(f"host-{name}").snapshot(look(silent(), hostname=name)))
    told = _record(desk, door)
    assert told.told.verdict.outcome is Outcome.COMPATIBLE
    change = desk.book.set_entries("import", [entry("a", saves="1.0", loads="2.0")], author="ops")
    assert change is not None
    position = desk.ledger.position
    [found] = _regretted(desk, door).regrets
    [turn] = found.turns
    assert (turn.position, turn.kind) == (position, "catalog")
    desk.book.set_entries("import", [], author="ops")
    [found] = _regretted(desk, door).regrets
    assert found.outcome is Outcome.UNKNOWN
    assert {turn.position for turn in found.turns} == {position + 1}


def test_an_allow_that_is_taken_back_is_named(desk: Desk, door: SqlDoor) -> None:
    """Nothing new speaks against it: something that spoke for it is gone."""
    for name, version in (("alpha", "3"), ("beta", "2")):
        desk.take(*Publisher(f"host-{name}").snapshot(look(mtty(version=version), hostname=name)))
    rule = desk.book.add_rule(structs.replace(RULE, effect="allow"))
    told = _record(desk, door)
    assert told.told.verdict.outcome is Outcome.COMPATIBLE
    desk.book.end_rule(rule.id, at=EPOCH_START + timedelta(minutes=1), author="ops")
    [found] = _regretted(desk, door).regrets
    [turn] = found.turns
    assert (turn.position, turn.kind, turn.code) == (desk.ledger.position, "rule", "")
    assert rule.id in turn.text


def test_a_host_that_is_not_known_to_have_been_there_can_not_be_judged_again(desk: Desk, door: SqlDoor) -> None:
    """The problem is told, and where the log has it from."""
    alpha = Publisher("host-a")
    desk.take(*alpha.snapshot(look(mtty(devices=[1]), hostname="alpha")))
    desk.take(*Publisher("host-b").snapshot(look(mtty(), hostname="beta")))
    gone = alpha.changes(look(mtty(), hostname="alpha"))
    draft = structs.replace(DRAFT, question=structs.replace(QUESTION, device=uuid_of(1)))
    told = _record(desk, door, draft)
    desk.take(*gone)
    [found] = _regretted(desk, door).regrets
    assert (found.decision.id, found.outcome) == (told.id, Outcome.UNKNOWN)
    assert found.problem is not None
    assert found.problem.code == "NOT_FOUND"


def test_a_decision_is_kept_byte_for_byte_whatever_comes(desk: Desk, door: SqlDoor) -> None:
    """Later records, rules, corrections and a rebuild leave it what it was; the log is whole."""
    beta = Publisher("host-b")
    desk.take(*Publisher("host-a").snapshot(look(mtty(), hostname="alpha")))
    desk.take(*beta.snapshot(look(mtty(), hostname="beta")))
    told = [_record(desk, door), _record(desk, door, structs.replace(DRAFT, note="ü"))]
    desk.book.add_rule(RULE)
    desk.take(*beta.changes(look(mtty(version="9", minimum="9"), hostname="beta")))
    desk.ledger.rebuild()
    assert [bytes(door.decision(each.id).answer) for each in told] == [bytes(each.answer) for each in told]
    known = Moment(known_at=told[0].told.position)
    assert door.pair(QUESTION.device, "beta", known).source.digest == told[0].told.source.digest
    assert faults_of(desk.engine) == []
    assert positions(desk.engine) == list(range(1, desk.ledger.position + 1))
    assert [each.author for _, _, each in amendments(desk.engine)] == ["ops"]


def test_a_page_costs_the_same_however_many_there_are(
    desk: Desk, door: SqlDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the log's key and by halving; no page looks at more than so many."""
    for name in ("alpha", "beta"):
        desk.take(*Publisher(f"host-{name}").snapshot(look(mtty(), hostname=name)))
    answer = questions.answered(door, DRAFT, now=_now(desk))
    names = [desk.book.record(structs.replace(DRAFT, note=f"{n}"), answer, via="sql").id for n in range(120)]
    statements: list[str] = []
    with desk.engine.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *said: statements.append(said[2]))
        page = minutes.page(connection, DecisionsAsked(before=int(names[60][1:]), since=EPOCH_START, limit=5))
        assert [line.id for line in page.decisions] == names[55:60]
        assert len(statements) <= 3 + 2 * 8 + 1
        monkeypatch.setattr(minutes, "LOOKED_AT", 50)
        none = minutes.page(connection, DecisionsAsked(host="gamma"))
        assert (none.decisions, none.next) == ((), int(names[70][1:]))
        none = minutes.page(connection, DecisionsAsked(host="gamma", before=int(names[30][1:])))
        assert (none.decisions, none.next) == ((), None)


def test_a_decision_of_a_newer_program_stops_who_asks_for_it(desk: Desk, door: SqlDoor) -> None:
    """It is not left out, and nothing else is stopped."""
    for name in ("alpha", "beta"):
        desk.take(*Publisher(f"host-{name}").snapshot(look(mtty(), hostname=name)))
    told = _record(desk, door)
    log = table_of(RecordLog)
    with desk.engine.begin() as connection:
        connection.execute(sa.update(log).where(log.c.position == desk.ledger.position).values(body=b'{"mood": 1}'))
    for question in (lambda: door.decision(told.id), lambda: door.decisions(DecisionsAsked())):
        with pytest.raises(StateError) as caught:
            question()
        assert caught.value.code == "LOG_UNREADABLE"
    assert questions.can_migrate(door, QUESTION.device, "beta", now=_now(desk)).position == desk.ledger.position
    [fault] = faults_of(desk.engine)
    assert f"position {desk.ledger.position} of the log can't be read by this program" in fault


def test_a_decision_that_was_taken_out_is_a_fault(desk: Desk, door: SqlDoor) -> None:
    """They are counted."""
    for name in ("alpha", "beta"):
        desk.take(*Publisher(f"host-{name}").snapshot(look(mtty(), hostname=name)))
    first = _record(desk, door)
    _record(desk, door)
    log = table_of(RecordLog)
    with desk.engine.begin() as connection:
        connection.execute(sa.delete(log).where(log.c.position == int(first.id[1:])))
    assert "record_log has 1 decisions but they end at 2" in faults_of(desk.engine)


def test_a_replica_stays_in_step_over_decisions(database_url: str, nats_server: Broker) -> None:
    """They are not published, stall nothing behind them, and a report behind them is everybody's belief."""
    _stays_in_step(database_url, nats_server, partitions=1)


def test_the_same_where_registries_share_the_ingest(postgresql_database_url: str, nats_server: Broker) -> None:
    """Whoever takes a decision, whoever publishes."""
    _stays_in_step(postgresql_database_url, nats_server, partitions=2)


def _stays_in_step(url: str, nats_server: Broker, *, partitions: int) -> None:
    alpha, beta = Publisher("host-a"), Publisher("host-b")
    with (
        migrated(url) as engine,
        serving(url, nats_server.url, partitions=partitions) as registry,
    ):
        publish(
            nats_server.url,
            [*alpha.snapshot(look(mtty(), hostname="alpha")), *beta.snapshot(look(mtty(), hostname="beta"))],
        )
        registry.until(lambda: sum(len(batch.records) for batch in list(registry.batches)) == 6, "all is applied")
        with query.open(f"replica+{nats_server.url}") as near, query.open(nats_server.url) as door:
            assert isinstance(near, ReplicaDoor)
            registry.until(lambda: near.status().hosts == 2, "the replica has both")
            for _ in range(3):
                assert door.record(DRAFT).told.verdict.outcome is Outcome.COMPATIBLE
            publish(nats_server.url, beta.changes(look(mtty(free=1), hostname="beta")))
            registry.until(lambda: _free(near) == 1, "the next record comes to the replica")
            last = near.record(DRAFT)
            report = near.report(OutcomeDraft(result="refused", decision=last.id, author="nova"))
            assert report in near.view.knowledge.outcomes
            brief = near.can_migrate("alpha/mtty/mtty-1", "beta", max_age_s=1e9)
            assert (brief.outcome, "OUTCOME_REFUSED" in brief.ruling.codes) == (Outcome.UNKNOWN, True)
            assert near.rules(NOW).rules == door.rules(NOW).rules
            status = near.status()
            assert (status.differences, status.mended, status.refused, status.reloads) == (0, 0, 0, 0)
            assert [line.id for line in near.decisions(DecisionsAsked(limit=1)).decisions] == [last.id]
        assert any(f"outcome.reported id={report.id} result=refused" in line for line in registry.said)
        assert faults_of(engine) == []


def test_regret_is_the_same_whoever_works_it_out(sqlite_database_url: str, nats_server: Broker) -> None:
    """The library over facts, and the registry's own endpoint over NATS and HTTP."""
    with migrated(sqlite_database_url) as engine:
        fill(engine)
    http = HttpConfig("127.0.0.1:0")
    since = datetime.now(UTC)
    draft = structs.replace(DRAFT, question=structs.replace(QUESTION, device=uuid_of(1)))
    with serving(sqlite_database_url, nats_server.url, http=http) as registry, query.open(nats_server.url) as door:
        decision = door.record(draft)
        door.report(OutcomeDraft(result="refused", decision=decision.id, author="nova"))
        door.add_rule(structs.replace(RULE, message="late"))
        found = query.regret(door, since=since, now=datetime.now(UTC))
        expected = json.loads(msgspec.json.encode(found.regrets))
        assert [each["decision"]["id"] for each in expected] == [decision.id]
        said = since.isoformat()
        over_nats = json.loads(ask(nats_server.url, "mdevreg.v1.q.regret", json.dumps({"since": said}).encode()).data)
        over_http = asked(registry.http_url, f"/v1/regret?since={quote(said)}").json
        assert over_nats["regrets"] == over_http["regrets"] == expected
        sheet = asked(registry.http_url, f"/v1/regret?since={quote(said)}", headers={"Accept": "text/csv"}).body
        assert decision.id.encode() in sheet


def test_a_token_is_who_asks_over_http(sqlite_database_url: str, nats_server: Broker, tmp_path: Path) -> None:
    """And needs the scope to write; what the client said stays, as whom it asked for."""
    with migrated(sqlite_database_url) as engine:
        fill(engine)
    http = HttpConfig(
        "127.0.0.1:0", tokens=tokens_file(tmp_path / "tokens.toml", reader='["read"]', nova='["read", "write"]')
    )
    body = {"question": {"device": uuid_of(1), "to": "beta", "stale_after_s": 3e9}, "author": "alice@desk"}
    with serving(sqlite_database_url, nats_server.url, http=http) as registry:
        url = registry.http_url
        refused = posted(url, "/v1/decisions", body, **bearer("reader"))
        assert (refused.status, refused.code) == (403, "SCOPE_NEEDED")
        told = posted(url, "/v1/decisions", body, **bearer("nova"))
        assert (told.status, told.json["author"], told.json["asked_for"]) == (201, "nova", "alice@desk")
        assert told.json["via"] == "http"
        shown = asked(url, f"/v1/decisions/{told.json['id']}", headers=bearer("reader"))
        assert shown.body == told.body
        report = {"result": "loaded", "decision": told.json["id"]}
        assert posted(url, "/v1/outcomes", report, **bearer("reader")).status == 403
        ended = posted(url, "/v1/outcomes", report, **bearer("nova"))
        assert (ended.status, ended.json["author"]) == (201, "nova")
        wrong = posted(url, "/v1/outcomes", {**report, "result": "exploded"}, **bearer("nova"))
        assert (wrong.status, wrong.code) == (400, "BAD_REQUEST")
        registry.until_said("http.decided endpoint=report-outcome")


def _free(door: ReplicaDoor) -> int | None:
    return door.can_migrate("alpha/mtty/mtty-1", "beta", max_age_s=1e9).available_instances
