"""Decisions through every way in: over NATS to a running registry, or alone on its database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import structs

from mdevreg import query, subjects
from mdevreg.errors import NotFoundError, StateError, UsageError
from mdevreg.facts import NOW, Moment
from mdevreg.query.door import Door
from mdevreg.rules import Rule, Scope
from mdevreg.shipped import shipped_entries
from mdevreg_server.broker import Broker
from mdevreg_server.ledger import Amended
from mdevreg_server.lines import Lines, event_of
from mdevreg_server.wholeness import faults_of
from support.bus_client import ask, publish
from support.catalogs import entry
from support.databases import sqlite_url
from support.hosts import look, mtty
from support.nats_server import brokers
from support.publisher import EPOCH_START, Publisher
from support.registry import Desk, amendments, logged, migrated, positions
from support.rulings import outcome
from support.serving import serving
from support.tree import ROOT

RULE = Rule(
    id="draft",
    effect="deny",
    author="alice",
    message="known-bad build",
    valid_from=EPOCH_START,
    where=Scope(site=("a",)),
)


@contextmanager
def _doors(way: str, url: str, broker: Broker) -> Iterator[Door]:
    if way == "sql":
        with query.open(url) as door:
            yield door
        return
    with serving(url, broker.url), query.open(broker.url) as door:
        yield door


@pytest.mark.parametrize("way", ["sql", "nats"])
def test_rules_are_added_and_ended_alike_through_both_doors(engine: sa.Engine, nats_server: Broker, way: str) -> None:
    """An id that is a position, the history kept, an unknown one refused with the nearest."""
    url = engine.url.render_as_string(hide_password=False)
    with _doors(way, url, nats_server) as door:
        rule = door.add_rule(RULE)
        added = door.rules(NOW).position
        assert rule == structs.replace(RULE, id=f"r{added}")
        until = EPOCH_START + timedelta(hours=1)
        ended = door.end_rule(rule.id, at=until, author="bob")
        assert ended == structs.replace(rule, valid_until=until)
        assert door.rules(NOW).rules == (ended,)
        assert door.rules(Moment(known_at=added)).rules == (rule,)
        with pytest.raises(NotFoundError) as missing:
            door.end_rule(f"{rule.id}9", at=None, author="bob")
        assert missing.value.nearest == (rule.id,)
        with pytest.raises(UsageError, match="ends at 2026-11-24T01:00:00Z already") as again:
            door.end_rule(rule.id, at=None, author="bob")
        assert again.value.code == "RULE_ENDED"
        with pytest.raises(UsageError, match="a pin needs the versions"):
            door.add_rule(structs.replace(RULE, effect="pin"))
    assert [each.author for _, _, each in amendments(engine)][-2:] == ["alice", "bob"]
    assert positions(engine) == list(range(1, added + 2))
    assert faults_of(engine) == []


def test_where_a_registry_runs_the_database_is_left_to_it(engine: sa.Engine, nats_server: Broker) -> None:
    """Refused, with the way out in the message; it goes on, and so does who asks it."""
    url = engine.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url), query.open(url) as door:
        with pytest.raises(StateError, match="--url nats://") as caught:
            door.add_rule(RULE)
        assert caught.value.code == "SECOND_WRITER"
        with pytest.raises(StateError, match="--url nats://"):
            door.end_rule("r1", at=None, author="bob")
        with query.open(nats_server.url) as other:
            rule = other.add_rule(RULE)
        assert door.rules(NOW).rules == (rule,)
    with query.open(url) as door:
        assert door.end_rule(rule.id, at=None, author="bob").valid_until is not None


def test_twenty_rules_of_eight_threads_are_all_there_once_among_records(engine: sa.Engine, nats_server: Broker) -> None:
    """Exactly once, with positions of their own, while the line ingests."""
    url = engine.url.render_as_string(hide_password=False)
    publisher = Publisher()
    records = publisher.snapshot(look(mtty()))
    for number in range(200):
        records += publisher.changes(look(mtty(free=number + 10)))
    drafts = [structs.replace(RULE, message=f"rule {number}") for number in range(20)]
    with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door, ThreadPoolExecutor(9) as pool:
        sending = pool.submit(publish, nats_server.url, records)
        rules = list(pool.map(door.add_rule, drafts))
        sending.result()
        registry.until(lambda: len(logged(engine)) == len(records), "every record is in the log")
        registry.until(lambda: len(registry.amendments) == 21, "every rule was told, and what is shipped")
        assert {rule.message for rule in door.rules(NOW).rules} == {draft.message for draft in drafts}
        assert len(door.rules(NOW).rules) == len({rule.id for rule in rules}) == 20
    assert positions(engine) == list(range(1, len(records) + 22))
    assert {f"r{position}" for position, _, _ in amendments(engine)[1:]} == {rule.id for rule in rules}
    assert faults_of(engine) == []


def test_what_is_shipped_is_imported_once(engine: sa.Engine, nats_server: Broker) -> None:
    """The first start makes it the first entry of the log; a second one writes nothing."""
    url = engine.url.render_as_string(hide_password=False)
    for _ in range(2):
        with serving(url, nats_server.url):
            assert positions(engine) == [1]
    [(_, _, amendment)] = amendments(engine)
    assert amendment.author.startswith("mdevreg ")
    assert len(msgspec.to_builtins(amendment.change)["put"]) == len(shipped_entries())


def test_a_history_that_moved_under_an_idle_registry_is_believed(engine: sa.Engine, nats_server: Broker) -> None:
    """No record comes, so that nothing would notice: it looks by itself, and decisions go on."""
    url = engine.url.render_as_string(hide_password=False)
    with serving(url, nats_server.url) as registry, query.open(nats_server.url) as door:
        Desk(engine).book.add_rule(RULE)  # as a copy that took its place would have it
        with pytest.raises(Exception, match="another copy"):
            door.add_rule(structs.replace(RULE, message="another"))
        registry.until_said("code=HISTORY_MOVED")
        registry.until(lambda: sum("ingest.attached" in line for line in registry.said) == 2, "it attaches again")
        door.add_rule(structs.replace(RULE, message="another"))
        assert [rule.id for rule in door.rules(NOW).rules] == ["r2", "r3"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that runs on an empty history; its broker's URL."""
    folder = tmp_path_factory.mktemp("decided")
    with migrated(sqlite_url(folder)), brokers(folder) as start:
        broker = start()
        with serving(sqlite_url(folder), broker.url):
            yield broker.url


def _rule(**changed: Any) -> dict[str, Any]:
    return {"rule": {**msgspec.to_builtins(RULE), **changed}}


_ENTRY = msgspec.to_builtins(entry())


@pytest.mark.parametrize(
    ("endpoint", "body", "status", "code"),
    [
        ("add-rule", {}, "400", "USAGE"),
        ("add-rule", _rule(mood="bad"), "400", "BAD_REQUEST"),
        ("add-rule", _rule(effect="perhaps"), "400", "BAD_REQUEST"),
        ("add-rule", _rule(valid_from="2026-11-24T00:00:00"), "400", "BAD_REQUEST"),
        ("add-rule", _rule(message="m" * 2_000), "400", "BAD_REQUEST"),
        ("add-rule", _rule(message="\u0007"), "400", "USAGE"),
        ("add-rule", _rule(fields=["psid"]), "400", "USAGE"),
        ("add-rule", {**_rule(), "who": "me"}, "400", "BAD_REQUEST"),
        ("end-rule", {"name": "r999", "author": "bob"}, "404", "NOT_FOUND"),
        ("end-rule", {"name": "r999"}, "400", "USAGE"),
        ("end-rule", {"author": "bob"}, "400", "USAGE"),
        ("import-catalog", {"entries": [_ENTRY]}, "400", "USAGE"),
        ("import-catalog", {"entries": [{**_ENTRY, "loads": "x"}], "author": "bob"}, "400", "CATALOG"),
        ("import-catalog", {"entries": [{**_ENTRY, "mood": 1}], "author": "bob"}, "400", "BAD_REQUEST"),
        ("import-catalog", {"entries": [_ENTRY, _ENTRY], "author": "bob"}, "400", "CATALOG"),
        ("remove-catalog", {"names": ["nothing"], "author": "bob"}, "404", "NOT_FOUND"),
        ("remove-catalog", {"names": "nothing", "author": "bob"}, "400", "BAD_REQUEST"),
    ],
)
def test_a_bad_request_is_answered_with_its_code_and_changes_nothing(
    served: str, endpoint: str, body: dict[str, Any], status: str, code: str
) -> None:
    """In the headers for clients without our library, in the body for others."""
    before = json.loads(ask(served, subjects.query("rules")).data)["rules"]
    reply = ask(served, subjects.decision(endpoint), json.dumps(body).encode())
    headers = reply.headers or {}
    assert (headers.get("Nats-Service-Error-Code"), json.loads(reply.data)["code"]) == (status, code), reply.data
    assert json.loads(ask(served, subjects.query("rules")).data)["rules"] == before


def test_the_rule_of_the_protocol_page_is_taken(served: str) -> None:
    """Word for word."""
    page = (ROOT / "docs/protocol.md").read_text(encoding="utf-8").partition("## Decisions")[2]
    request = page.partition("```json\n")[2].partition("```")[0].encode()
    rules = [json.loads(ask(served, subjects.decision("add-rule"), request).data) for _ in range(2)]
    assert (rules[0], rules[0]["author"]) == (rules[1], "alice")


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff", b"[" * 10_000, b"[]"])
def test_what_is_no_request_is_answered_all_the_same(served: str, body: bytes) -> None:
    """Nobody waits for a time-out because of a typo."""
    reply = ask(served, subjects.decision("add-rule"), body)
    assert (reply.headers or {})["Nats-Service-Error-Code"] == "400"


def test_entries_are_imported_and_taken_back_over_nats(served: str) -> None:
    """The reply names ids alone: it is shorter than what was asked, whatever the broker lets pass."""
    request = json.dumps({"entries": [_ENTRY], "author": "bob"}).encode()
    replies = [json.loads(ask(served, subjects.decision("import-catalog"), request).data) for _ in range(2)]
    assert replies == [{"put": ["site-1"]}, {}]
    request = json.dumps({"names": ["site-1"], "author": "bob"}).encode()
    assert json.loads(ask(served, subjects.decision("remove-catalog"), request).data) == {"removed": ["site-1"]}


def test_each_change_is_told_in_one_readable_line(desk: Desk) -> None:
    """For people, as `up` prints it; and as an event. What the program itself ships is no news to people."""
    told: list[Amended] = []
    said: list[str] = []
    book = desk.book
    book._told = told.append
    book.set_entries("shipped", [entry("s")], author="mdevreg 1")
    rule = book.add_rule(RULE)
    book.end_rule(rule.id, at=EPOCH_START + timedelta(hours=1), author="bob")
    book.set_entries("folder", [entry("a"), entry("b"), entry("c")], author="folder /etc")
    book.set_entries("folder", [entry("a"), entry("b", saves="2.0")], author="folder /etc")
    book.import_entries([entry("d")], author="alice")
    book.report(outcome("refused", "a" * 64, "b" * 64))
    lines = Lines(said.append)
    for each in told:
        lines.amended(each)
    texts = [line.partition(" ")[2] for line in said]
    assert texts[0] == "rule r2 deny by alice (site=a): known-bad build"
    assert texts[1].startswith("rule r2 deny ended by bob at 2026-11-24 ")
    assert texts[2:] == [
        "catalog: 3 entries from folder",
        "catalog: 1 entry from folder, 1 entry removed",
        "catalog: 1 entry imported",
        "outcome o7 refused: alpha/p/t to beta/p/t, told by nova",
    ]
    events = [event_of(each) for each in told]
    assert events[0] == "catalog.changed origin=shipped put=1 removed=0 position=1 author='mdevreg 1'"
    assert events[1] == "rule.added id=r2 effect=deny scope='site=a' position=2 author='alice'"
    assert events[-1] == (
        "outcome.reported id=o7 result=refused device='alpha/p/t' to='beta/p/t' position=7 author='nova'"
    )
    assert events[2] == "rule.ended id=r2 effect=deny scope='site=a' position=3 author='bob'"
