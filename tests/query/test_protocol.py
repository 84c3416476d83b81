"""The protocol as ``docs/protocol.md`` describes it, spoken by a NATS client and a JSON Schema validator alone.

Nothing of mdevreg is used but to run the registry and to fill it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import jsonschema
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from mdevreg_server.broker import Broker
from support.bus_client import ask, fleet, publish, with_client
from support.databases import sqlite_url
from support.door_fleet import fill
from support.hosts import look, mtty, uuid_of
from support.nats_server import StartBroker, brokers
from support.publisher import Publisher
from support.registry import migrated
from support.serving import serving
from support.tree import ROOT

DOCUMENT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
#: The fleet of these tests was last heard long ago, and is asked about as if that were now.
PATIENCE_S = 3e9

#: Fields whose values are no numbers, and have no length: a few words, or times.
UNBOUNDED = {
    "outcome",
    "as_of",
    "from_as_of",
    "since",
    "until",
    "kind",
    "table",
    "capacity",
    "by",
    "half",
    "state",
    "failed",
}
#: endpoint → a request that is answered.
REQUESTS: dict[str, dict[str, Any]] = {
    "hosts": {},
    "host": {"host": "alpha"},
    "pair": {"device": uuid_of(1), "host": "beta"},
    "candidates": {"device": uuid_of(1)},
    "history": {"name": uuid_of(1), "limit": 5},
    "blame": {"device": uuid_of(1), "host": "beta", "limit": 3},
    "diff": {"from_as_of": "2026-11-24T00:00:04Z", "limit": 2, "capacity": True},
    "entries": {"after": 3, "upto": 9, "max_bytes": 2000},
    "timelines": {"table": "driver", "until": "2026-11-24T00:00:04Z", "known_at": 12, "limit": 3},
    "drivers": {"as_of": "2026-11-24T01:00:00Z"},
    "loading": {"format": "mtty"},
    "rules": {"known_at": 12},
    "can-migrate": {"device": uuid_of(1), "host": "beta/mtty", "stale_after_s": PATIENCE_S},
    "can-migrate-batch": {"pairs": [{"device": uuid_of(1), "to": "beta"}, {"device": "x", "to": "y"}]},
    "targets": {"device": "alpha/mtty/mtty-1", "limit": 3, "outcome": "compatible", "stale_after_s": PATIENCE_S},
    "targets-page": {"device": uuid_of(1), "limit": 2, "site": "lab", "outcome": None, "cursor": None},
    "matrix": {"sources": "type=mtty-*", "targets": ""},
    "accepting": {"host": "beta"},
    "decisions": {"host": "beta", "since": "2026-11-24T00:00:00Z", "limit": 5},
    "decision": {"name": "d32"},
    "outcomes": {"host": "beta", "decision": "d32"},
    "regret": {"since": "2026-11-24T00:00:00Z", "limit": 5},
    "plan-upgrade": {"where": "host=alpha", "driver": "mtty 3", "known_at": 12, "as_of": "2026-11-24T01:00:00Z"},
    "plan-waves": {
        "where": "site=lab",
        "stream": "saves=2,loads=1..3",
        "at_once": 2,
        "per_site": 1,
        "spare": 0,
        "limit": 9,
    },
    "islands": {"where": "type=mtty-*"},
    "plan-check": {"name": "to-3"},
    "campaigns": {"as_of": "2026-11-24T01:00:00Z"},
    "campaign": {"name": "to-3"},
    "campaign-status": {"name": "to-3", "state": "pending", "limit": 5},
    "baselines": {"known_at": 12},
    "baseline": {"name": "gold@1"},
    "baseline-check": {"name": "gold", "where": "site=lab", "limit": 5, "stale_after_s": PATIENCE_S},
    "configurations": {"where": "type=mtty-*"},
    "webhooks": {},
    "deliveries": {"limit": 5},
    "schema": {"name": "record"},
    "distribution": {"by": "site", "where": "host=alpha|beta type=mtty-*"},
    "trend": {"over_s": 60, "step_s": 10, "where": "site=lab", "as_of": "2026-11-24T00:00:50Z"},
    "upgrades": {"host": "beta", "driver": "mtty", "since": "2026-11-24T00:00:00Z", "where": "version=3", "limit": 1},
    "stragglers": {"driver": "mtty 2", "limit": 1, "where": "site=lab", "half": False},
}
#: Of what is not there: see the tests of decisions, and of campaigns and baselines.
NOT_THERE = {"decision", "plan-check", "campaign", "campaign-status", "baseline", "baseline-check"}
RULE = {
    "id": "new",
    "effect": "deny",
    "author": "alice",
    "message": "saves what it can't load",
    "valid_from": "2026-11-24T14:00:00Z",
    "where": {"driver": ["mtty"]},
}
ENTRY = {
    "id": "ours",
    "drivers": ["vfio_ours"],
    "migratable": False,
    "source": "tests",
    "date": "2026-11-24",
    "confidence": "source",
}


class Registry(NamedTuple):
    """Where it is asked."""

    url: str

    def ask(self, subject: str, request: Any = None) -> Msg:
        """``request``: JSON, or bytes as they are."""
        data = request if isinstance(request, bytes) else json.dumps(request or {}).encode()

        async def work(client: Client) -> Msg:
            return await client.request(subject, data, timeout=60)  # a batch may take a while from a database

        return with_client(self.url, work)

    def question(self, endpoint: str, request: Any = None) -> dict[str, Any]:
        """The answer, which must be none but an answer, and as its schema says."""
        reply = self.ask(f"mdevreg.v1.q.{endpoint}", request)
        assert reply.headers is None, reply.headers
        answer: dict[str, Any] = json.loads(reply.data)
        self.check(f"{endpoint}.reply", answer)
        return answer

    def error(self, subject: str, request: Any = None) -> tuple[str, str]:
        """Number and code of an error, which must be one, and said alike in headers and body."""
        reply = self.ask(subject, request)
        headers, body = reply.headers or {}, json.loads(reply.data)
        self.check("error", body)
        assert headers["Mdevreg-Code"] == body["code"]
        assert " ".join(body["message"].split()).startswith(headers["Nats-Service-Error"])
        return headers["Nats-Service-Error-Code"], body["code"]

    def schema(self, name: str) -> dict[str, Any]:
        """As the registry publishes it."""
        found: dict[str, Any] = json.loads(self.ask("mdevreg.v1.q.schema", {"name": name}).data)["schema"]
        return found

    def check(self, name: str, value: Any) -> None:
        """Raises ``jsonschema.ValidationError``."""
        jsonschema.validate(value, self.schema(name), jsonschema.Draft202012Validator)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with the fleet of all doors, at a broker that takes large messages."""
    folder = tmp_path_factory.mktemp("protocol")
    with migrated(sqlite_url(folder)) as engine:
        fill(engine)
    with brokers(folder) as start:
        broker = start(max_payload=8 * 1024 * 1024)
        with serving(sqlite_url(folder), broker.url) as running:
            found = Registry(broker.url)
            has_index = lambda: "Mdevreg-Code" not in (found.ask("mdevreg.v1.q.matrix").headers or {})  # noqa: E731
            running.until(has_index, "it has the fleet in memory")
            yield found


def _rows(heading: str) -> dict[str, list[str]]:
    """The first table below a heading, by its first cell."""
    section = DOCUMENT.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table[0].splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def _names(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", cell))


def test_every_endpoint_that_runs_is_documented_and_the_other_way_round(registry: Registry) -> None:
    """By the service's own INFO: subjects, and the names of the schemas."""
    info = json.loads(registry.ask("$SRV.INFO.mdevreg", b"").data)
    running = {each["name"]: each for each in info["endpoints"]}
    assert set(running) == {*_rows("## Questions"), *_rows("## Decisions")}
    assert set(REQUESTS) == set(_rows("## Questions"))
    for name, endpoint in running.items():
        kind = "q" if name in REQUESTS else "decide"
        assert endpoint["subject"] == f"mdevreg.v1.{kind}.{name}"
        assert endpoint["metadata"] == {"request_schema": f"{name}.request", "reply_schema": f"{name}.reply"}
    assert info["metadata"] == {"protocol": "1.1", "schema": "mdevreg.v1.q.schema"}
    assert f"(now `{info['metadata']['protocol']}`)" in DOCUMENT


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_a_question_takes_what_is_documented_and_answers_what_is_published(registry: Registry, endpoint: str) -> None:
    """The table's columns are the request's schema; request and reply are as their schemas say."""
    needs, takes, reply, *_ = _rows("## Questions")[endpoint]
    request = registry.schema(f"{endpoint}.request")
    assert set(request["required"]) == _names(needs)
    assert set(request["properties"]) == _names(needs) | _names(takes)
    assert request["additionalProperties"] is False
    assert registry.schema(f"{endpoint}.reply")["$ref"] == f"#/$defs/{reply.strip('`')}"
    registry.check(f"{endpoint}.request", REQUESTS[endpoint])
    if endpoint in NOT_THERE:
        assert registry.error(f"mdevreg.v1.q.{endpoint}", REQUESTS[endpoint]) == ("404", "NOT_FOUND")
    else:
        registry.question(endpoint, REQUESTS[endpoint])


@pytest.mark.parametrize("field", sorted(_rows("### Fields").keys() - UNBOUNDED))
def test_the_bounds_of_a_field_are_those_of_its_schema(registry: Registry, field: str) -> None:
    """The smallest and largest value that are documented, and the ones beyond: for schema and registry alike."""
    kind, bounds, _ = _rows("### Fields")[field]
    endpoint = next(name for name, row in _rows("## Questions").items() if field in _names(row[0]) | _names(row[1]))
    schema = jsonschema.Draft202012Validator(registry.schema(f"{endpoint}.request"))
    for number, fits in _edges(bounds, signed=kind in {"integer", "number"}):
        request = {**REQUESTS[endpoint], field: _value(kind, number)}
        assert schema.is_valid(request) is fits, f"{field}: {number}"
        if field != "pairs" or not fits:  # 10,000 verdicts take their time
            code = (registry.ask(f"mdevreg.v1.q.{endpoint}", request).headers or {}).get("Mdevreg-Code")
            assert (code in {"BAD_REQUEST", "TOO_MANY_PAIRS"}) is not fits, f"{field}: {number}: {code}"


def _edges(bounds: str, *, signed: bool) -> Iterator[tuple[int, bool]]:
    """Numbers at the bounds, and just beyond, with whether they fit. ``signed``: 0 has something below it."""
    written = bounds.replace("2^53 - 1", str(2**53 - 1))
    *low, high = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", written)]
    lowest = low[0] if low else 0
    yield from ((lowest, True), (high, True), (high + 1, False))
    if lowest > 0 or signed:
        yield (lowest - 1, False)


def _value(kind: str, number: int) -> Any:
    match kind:
        case "string":
            return "x" * number
        case "array":
            return [{"device": "a", "to": "b"}] * number
    return number


EXAMPLES = re.findall(
    r"`(mdevreg\.v1\.\S+)` is asked\n\n```json\n(.*?)```\n\n"
    r"and answers.*?\n\n(?:```text\n(.*?)```\n\n)?```json\n(.*?)```",
    DOCUMENT,
    re.DOTALL,
)


def test_the_examples_are_found() -> None:
    """Otherwise the next test says nothing."""
    assert [subject.rpartition(".")[2] for subject, *_ in EXAMPLES] == [
        "can-migrate",
        "can-migrate-batch",
        "targets-page",
        "schema",
        "host",
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[0])
def test_the_documented_examples_are_what_a_registry_answers(registry: Registry, example: tuple[str, ...]) -> None:
    """Word for word, but for the clock: the fleet's was stopped at the example's time."""
    subject, asked, headers, answered = example
    request, endpoint = json.loads(asked), subject.rpartition(".")[2]
    judged = "stale_after_s" in registry.schema(f"{endpoint}.request")["properties"]
    reply = registry.ask(subject, {**request, "stale_after_s": PATIENCE_S} if judged else request)
    assert _clockless(json.loads(reply.data)) == _clockless(json.loads(answered))
    told = dict(line.split(": ", 1) for line in headers.splitlines())
    assert (reply.headers or {}) == told
    registry.check("error" if headers else f"{endpoint}.reply", json.loads(answered))


def _clockless(value: Any) -> Any:
    """Without what the clock and ``stale_after_s`` decide, and with what a cursor has inside."""
    if isinstance(value, list):
        return [_clockless(each) for each in value]
    if not isinstance(value, dict):
        return value
    clock = {"answered_at", "facts_age_s", "reliable_until", "reliable_for_s", "snapshot"}
    return {
        key: _inside(each) if key == "next" and each else _clockless(each)
        for key, each in value.items()
        if key not in clock
    }


def _inside(cursor: str) -> Any:
    """All but the fingerprint of the question, which has ``stale_after_s`` in it."""
    version, _, after = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return [version, after]


def test_every_schema_is_one_and_is_readable_everywhere(registry: Registry) -> None:
    """Draft 2020-12; no pattern needs more than RE2 (Go, Rust) has; replies are open to new fields."""
    names = json.loads(registry.ask("mdevreg.v1.q.schema").data)["names"]
    assert {"record", "beat", "error", "fleet.host", "can-migrate.reply"} <= set(names)
    for name in names:
        schema = registry.schema(name)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:mdevreg:v1:{name}"
        text = json.dumps(schema)
        assert [
            pattern for pattern in re.findall(r'"pattern": "(.*?)"', text) if "(?" in pattern or "u0" in pattern
        ] == []
        assert name.endswith(".request") or '"additionalProperties": false' not in text


def test_a_schema_refuses_what_a_registry_refuses(registry: Registry) -> None:
    """A name with a control character, a number as text, a time without a zone is beyond a schema's means."""
    for request in ({"device": "a\nb", "host": "beta"}, {"device": 7, "host": "beta"}, {"device": "a"}):
        with pytest.raises(jsonschema.ValidationError):
            registry.check("can-migrate.request", request)
        assert registry.error("mdevreg.v1.q.can-migrate", request)[0] == "400"


def test_pages_go_to_the_end(registry: Registry) -> None:
    """By ``next`` alone; together they are what ``targets`` lists."""
    request: dict[str, Any] = {"device": uuid_of(1), "limit": 1, "stale_after_s": PATIENCE_S}
    rows, pages = [], 0
    while True:
        page = registry.question("targets-page", request)
        rows += page["rows"]
        pages += 1
        if page["next"] is None:
            break
        request["cursor"] = page["next"]
    whole = registry.question("targets", {"device": uuid_of(1), "stale_after_s": PATIENCE_S})["answers"]
    assert [row["host"] for row in rows] == [answer["target"]["host"] for answer in whole]
    assert [row["ruling"]["outcome"] for row in rows] == [answer["verdict"]["outcome"] for answer in whole]
    assert pages == len(rows) == 5
    assert page["counts"] == {"compatible": 3, "incompatible": 0, "unknown": 2}


def test_a_thousand_pairs_are_answered_in_one_reply_in_their_order(registry: Registry) -> None:
    """Each as if it had been asked alone; the wrong ones have a problem in their place."""
    pairs = [
        {"device": uuid_of(1), "to": to} if number % 10 else {"device": f"nobody-{number}", "to": to}
        for number, to in enumerate(["beta", "gamma", "host-d", "eta", "zeta"] * 200)
    ]
    request = {"pairs": pairs, "stale_after_s": PATIENCE_S}
    registry.check("can-migrate-batch.request", request)
    answers = registry.question("can-migrate-batch", request)["answers"]
    assert [{"device": each["device"], "to": each["to"]} for each in answers] == pairs
    assert [("problem" in each, "answer" in each) for each in answers] == [
        (n % 10 == 0, n % 10 > 0) for n in range(1000)
    ]
    assert {each["problem"]["code"] for each in answers[::10]} == {"NOT_FOUND"}
    for each in answers[1:5]:
        alone = registry.question(
            "can-migrate", {"device": each["device"], "host": each["to"], "stale_after_s": PATIENCE_S}
        )
        assert each["answer"]["ruling"]["outcome"] == alone["verdict"]["outcome"]
        assert each["answer"]["ruling"]["codes"] == [
            r["code"] for r in alone["verdict"]["reasons"] if r["about"] != "capacity"
        ]


ERRORS = [
    ("q.host", {"host": "alpah"}, "404", "NOT_FOUND"),
    ("q.schema", {"name": "nothing"}, "404", "NOT_FOUND"),
    ("q.host", {}, "400", "USAGE"),
    ("q.host", {"host": None}, "400", "USAGE"),
    ("q.host", {"host": "alpha", "outcome": "unknown"}, "400", "USAGE"),
    ("q.host", {"host": "a\u0000b"}, "400", "USAGE"),
    ("q.host", {"host": "alpha", "who": 1}, "400", "BAD_REQUEST"),
    ("q.host", {"host": 7}, "400", "BAD_REQUEST"),
    ("q.host", {"host": "twin"}, "400", "AMBIGUOUS"),
    ("q.hosts", {"as_of": "2026-11-24T00:00:00"}, "400", "BAD_REQUEST"),
    ("q.hosts", {"known_at": -1}, "400", "BAD_REQUEST"),
    ("q.targets", {"device": uuid_of(1), "limit": 0}, "400", "BAD_REQUEST"),
    ("q.targets-page", {"device": uuid_of(1), "limit": 1_001}, "400", "USAGE"),
    ("q.targets-page", {"device": uuid_of(1), "cursor": "abc"}, "400", "BAD_CURSOR"),
    ("q.can-migrate-batch", {"pairs": [{"device": "a", "to": "b"}] * 10_001}, "400", "TOO_MANY_PAIRS"),
    ("q.can-migrate-batch", {"pairs": [{"device": "a"}]}, "400", "BAD_REQUEST"),
    ("q.can-migrate-batch", {"pairs": [{"device": "a", "to": "b", "who": 1}]}, "400", "BAD_REQUEST"),
    ("q.hosts", b" " * 4_194_305, "413", "REQUEST_TOO_LARGE"),
    ("q.hosts", b"not json", "400", "BAD_REQUEST"),
    ("q.hosts", b"\xff", "400", "BAD_REQUEST"),
    ("q.hosts", b"[" * 10_000, "400", "BAD_REQUEST"),
    ("q.hosts", b"[]", "400", "BAD_REQUEST"),
    ("decide.end-rule", {"name": "r99", "author": "me"}, "404", "NOT_FOUND"),
    ("decide.end-rule", {"name": "r99"}, "400", "USAGE"),
    ("decide.add-rule", {"rule": RULE, "author": "me"}, "400", "USAGE"),
    ("decide.remove-catalog", {"names": ["nothing"], "author": "me"}, "404", "NOT_FOUND"),
    ("decide.remove-catalog", {"names": ["ism"], "author": "me"}, "400", "NOT_IMPORTED"),
    ("decide.import-catalog", {"entries": [{**ENTRY, "drivers": []}], "author": "me"}, "400", "BAD_REQUEST"),
    ("decide.import-catalog", {"entries": [{**ENTRY, "saves": "1"}], "author": "me"}, "400", "CATALOG"),
]


@pytest.mark.parametrize(("subject", "request_body", "number", "code"), ERRORS)
def test_an_error_says_its_code_in_headers_and_body(
    registry: Registry, subject: str, request_body: Any, number: str, code: str
) -> None:
    """Nobody waits for a time-out because of a typo."""
    assert registry.error(f"mdevreg.v1.{subject}", request_body) == (number, code)


def test_the_codes_are_documented() -> None:
    """Each of the tests above, with its number."""
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \| (\d+) \|", DOCUMENT, re.MULTILINE)
    told = {code.strip("`"): number for codes, number in rows for code in codes.split(", ")}
    assert {code: number for _, _, number, code in ERRORS}.items() <= told.items()


def test_an_answer_that_is_larger_than_a_message_is_refused_with_the_way_out(
    registry: Registry, start_broker: StartBroker, tmp_path: Any
) -> None:
    """Paging, which the message names, works where the whole list does not."""
    with migrated(sqlite_url(tmp_path)) as engine:
        fill(engine)
    small = start_broker(max_payload=4_096)
    with serving(sqlite_url(tmp_path), small.url):
        reply = ask(small.url, "mdevreg.v1.q.targets", json.dumps({"device": uuid_of(1)}).encode())
        page = ask(small.url, "mdevreg.v1.q.targets-page", json.dumps({"device": uuid_of(1), "limit": 2}).encode())
    headers = reply.headers or {}
    assert (headers["Nats-Service-Error-Code"], headers["Mdevreg-Code"]) == ("413", "ANSWER_TOO_LARGE")
    assert "targets-page" in headers["Nats-Service-Error"]
    registry.check("error", json.loads(reply.data))
    assert len(json.loads(page.data)["rows"]) == 2


def test_the_services_api_tells_who_is_there_and_how_it_fares(registry: Registry) -> None:
    """As ADR-32 types it: for one kind, for one instance, for everybody."""
    ping = json.loads(registry.ask("$SRV.PING", b"").data)
    assert (ping["type"], ping["name"]) == ("io.nats.micro.v1.ping_response", "mdevreg")
    before = _stats(registry, ping["id"])
    registry.question("drivers")
    registry.error("mdevreg.v1.q.drivers", {"who": 1})
    after = _stats(registry, ping["id"])
    assert after["num_requests"] - before["num_requests"] == 2
    assert after["num_errors"] - before["num_errors"] == 1
    assert after["last_error"] == "BAD_REQUEST"
    assert after["processing_time"] > before["processing_time"]


def _stats(registry: Registry, instance: str) -> dict[str, Any]:
    stats = json.loads(registry.ask(f"$SRV.STATS.mdevreg.{instance}", b"").data)
    assert (stats["type"], stats["id"]) == ("io.nats.micro.v1.stats_response", instance)
    datetime.fromisoformat(stats["started"])
    found: dict[str, Any] = next(each for each in stats["endpoints"] if each["name"] == "drivers")
    return found


def test_questions_overlap(registry: Registry) -> None:
    """Many at once over one connection, each answered to its own inbox."""

    async def work(client: Client) -> list[Any]:
        asked = [
            client.request("mdevreg.v1.q.host", json.dumps({"host": host}).encode(), timeout=10)
            for host in ["alpha", "beta", "gamma", "nobody"] * 25
        ]
        return [json.loads(reply.data) for reply in await asyncio.gather(*asked)]

    answers = with_client(registry.url, work)
    assert [each["evidence"]["hostname"] if "evidence" in each else each["code"] for each in answers] == [
        "alpha",
        "beta",
        "gamma",
        "NOT_FOUND",
    ] * 25


def test_decisions_are_taken_as_documented(nats_server: Broker, sqlite_database_url: str) -> None:
    """Rules and catalog entries: requests and replies as their schemas say; asked again, nothing doubles."""
    with migrated(sqlite_database_url):
        pass
    with serving(sqlite_database_url, nats_server.url):
        registry = Registry(nats_server.url)
        rule = _decide(registry, "add-rule", {"rule": RULE})
        assert _decide(registry, "add-rule", {"rule": RULE}) == rule
        ended = _decide(registry, "end-rule", {"name": rule["id"], "author": "alice", "at": "2100-01-01T00:00:00Z"})
        assert ended == {**rule, "valid_until": "2100-01-01T00:00:00Z"}
        assert _decide(registry, "import-catalog", {"entries": [ENTRY], "author": "me"}) == {"put": ["ours"]}
        assert _decide(registry, "import-catalog", {"entries": [ENTRY], "author": "me"}) == {}
        assert _decide(registry, "remove-catalog", {"names": ["ours"], "author": "me"}) == {"removed": ["ours"]}
        assert [each["id"] for each in registry.question("rules")["rules"]] == [rule["id"]]


def test_answers_are_recorded_and_outcomes_reported_as_documented(
    nats_server: Broker, sqlite_database_url: str
) -> None:
    """Requests and replies as their schemas say; what is told later is what was told."""
    with migrated(sqlite_database_url) as engine:
        fill(engine)
    question: dict[str, Any] = {"device": uuid_of(1), "to": "beta", "stale_after_s": PATIENCE_S}
    since = datetime.now(UTC).isoformat()
    with serving(sqlite_database_url, nats_server.url):
        registry = Registry(nats_server.url)
        draft = {"question": question, "author": "alice", "asked_for": "nova", "note": "rack 7"}
        decision = _decide(registry, "record-decision", {"decision": draft})
        assert (decision["via"], decision["author"], decision["question"]) == ("nats", "alice", question)
        shown = registry.ask("mdevreg.v1.q.decision", {"name": decision["id"]}).data
        assert json.loads(shown) == registry.question("decision", {"name": decision["id"]}) == decision
        assert json.dumps(decision["answer"], separators=(",", ":"), ensure_ascii=False).encode() in shown
        report = {"result": "refused", "decision": decision["id"], "author": "nova"}
        outcome = _decide(registry, "report-outcome", {"outcome": report})
        assert outcome["source"] == decision["answer"]["source"]["digest"]
        assert outcome["target"] == decision["answer"]["target_digest"]
        [line] = registry.question("decisions", {"host": "beta"})["decisions"]
        assert (line["id"], line["outcome"]) == (decision["id"], "compatible")
        assert registry.question("outcomes", {"decision": decision["id"]})["outcomes"] == [outcome]
        told = registry.question("regret", {"since": since})
        assert told["approved"] == 1
        assert [each["decision"]["id"] for each in told["regrets"]] == [decision["id"]]
        assert told["regrets"][0]["reported"] == outcome


def test_campaigns_and_baselines_are_kept_as_documented(nats_server: Broker, sqlite_database_url: str) -> None:
    """Requests and replies as their schemas say; asked again, nothing doubles."""
    with migrated(sqlite_database_url) as engine:
        fill(engine)
    with serving(sqlite_database_url, nats_server.url):
        registry = Registry(nats_server.url)
        wanted = {"name": "mtty", "version": "2"}
        draft = {
            "name": "to-3",
            "wanted": wanted,
            "author": "alice",
            "begins": "2026-11-24T00:00:00Z",
            "plan": {"a": 1},
        }
        campaign = _decide(registry, "create-campaign", {"campaign": draft})
        assert _decide(registry, "create-campaign", {"campaign": draft}) == campaign
        assert campaign["where"] == {"driver": ["mtty"]}
        assert registry.question("campaign", {"name": "to-3"})["plan"] == {"a": 1}
        status = registry.question("campaign-status", {"name": "to-3", "state": "pending"})
        assert [host["hostname"] for host in status["hosts"]] == ["beta", "eta"]
        [line] = registry.question("campaigns")["campaigns"]
        assert (line["state"], line["progress"]["hosts"]) == ("running", 7)
        assert _decide(registry, "end-campaign", {"name": "to-3", "author": "bob"})["ended_by"] == "bob"
        gold = {"name": "gold", "classes": [{"type": "mtty-*", "driver": wanted}], "author": "alice"}
        baseline = _decide(registry, "put-baseline", {"baseline": gold})
        assert _decide(registry, "put-baseline", {"baseline": gold}) == baseline
        assert registry.question("baselines")["baselines"] == [baseline]
        assert registry.question("baseline", {"name": "gold@1"})["versions"] == [1]
        checked = registry.question("baseline-check", {"name": "gold", "stale_after_s": PATIENCE_S})
        assert checked["deviates"] == len([row for row in checked["rows"] if row["standing"] == "deviates"]) > 0
        assert _decide(registry, "end-baseline", {"name": "gold", "author": "bob", "reason": "old"})["reason"] == "old"
        assert registry.error("mdevreg.v1.decide.create-campaign", {"campaign": draft}) == ("400", "CAMPAIGN_EXISTS")
        end = {"name": "to-3", "author": "bob"}
        assert registry.error("mdevreg.v1.decide.end-campaign", end) == ("400", "CAMPAIGN_ENDED")
        assert registry.error("mdevreg.v1.decide.end-baseline", {**end, "name": "gold"}) == ("400", "BASELINE_ENDED")


def _decide(registry: Registry, endpoint: str, request: dict[str, Any]) -> dict[str, Any]:
    registry.check(f"{endpoint}.request", request)
    reply = registry.ask(f"mdevreg.v1.decide.{endpoint}", request)
    assert reply.headers is None, reply.headers
    answer: dict[str, Any] = json.loads(reply.data)
    registry.check(f"{endpoint}.reply", answer)
    needs = registry.schema(f"{endpoint}.request")["required"]
    assert set(needs) <= _names(_rows("## Decisions")[endpoint][0])
    return answer


def test_records_and_what_becomes_of_them_are_as_published(nats_server: Broker, sqlite_database_url: str) -> None:
    """An agent's records in, the fleet stream out; every message is as its schema says, whatever its subject."""
    with migrated(sqlite_database_url):
        pass
    publisher = Publisher()
    records = publisher.snapshot(look(mtty(devices=[1]))) + publisher.changes(look(mtty(devices=[1, 2])))
    with serving(sqlite_database_url, nats_server.url) as running:
        registry = Registry(nats_server.url)
        schemas = {name: registry.schema(name) for name in ("record", *(f"fleet.{kind}" for kind in FLEET_KINDS))}
        for record in records:
            jsonschema.validate(json.loads(record), schemas["record"], jsonschema.Draft202012Validator)
        publish(nats_server.url, records)
        running.until(
            lambda: any(_position(each) >= len(records) for each in fleet(nats_server.url)), "it is published"
        )
        messages = [each for each in fleet(nats_server.url) if each.data]
    for message in messages:
        kind = message.subject.split(".")[3]
        jsonschema.validate(json.loads(message.data), schemas[f"fleet.{kind}"], jsonschema.Draft202012Validator)
    state = next(json.loads(each.data) for each in messages if each.subject == "mdevreg.v1.fleet.host.host-1")
    assert list(state["index"]["parents"]) == ["/devices/virtual/mtty"]


FLEET_KINDS = ("host", "profile", "amendment", "presence", "digest")


def _position(message: Msg) -> int:
    return int((message.headers or {}).get("Mdevreg-Position", 0)) if ".host." in message.subject else 0
