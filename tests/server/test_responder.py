"""The query service: found by NATS' own tools, errors with headers, and a disk that is full behind it."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from mdevreg import subjects
from mdevreg_server.broker import Broker
from support.bus_client import ask, publish
from support.databases import sqlite_url
from support.door_fleet import FLEET, fill
from support.hosts import look, mtty, uuid_of
from support.nats_server import brokers
from support.processes import StartCli, eventually
from support.publisher import Publisher
from support.registry import logged, migrated
from support.serving import serving


def test_the_service_is_found_and_its_questions_are_answered(engine: sa.Engine, nats_server: Broker) -> None:
    """`nats micro ls` asks on these subjects (NATS ADR-32)."""
    fill(engine)
    with serving(engine.url.render_as_string(hide_password=False), nats_server.url):
        ping = json.loads(ask(nats_server.url, "$SRV.PING.mdevreg").data)
        info = json.loads(ask(nats_server.url, "$SRV.INFO.mdevreg").data)
        answer = ask(nats_server.url, subjects.query("hosts"))
        request = json.dumps({"device": uuid_of(1), "host": "beta", "stale_after_s": 1e9}).encode()
        verdict = json.loads(ask(nats_server.url, subjects.query("can-migrate"), request).data)
    assert ping["name"] == "mdevreg"
    assert {each["name"] for each in info["endpoints"]} >= {"hosts", "host", "pair", "candidates", "can-migrate"}
    assert len(json.loads(answer.data)["hosts"]) == len(FLEET)
    assert verdict["verdict"]["outcome"] == "compatible"


@pytest.mark.parametrize(
    ("endpoint", "request_body", "status", "code"),
    [
        ("host", {"host": "alpah"}, "404", "NOT_FOUND"),
        ("host", {}, "400", "USAGE"),
        ("host", {"host": "alpha", "who": 1}, "400", "BAD_REQUEST"),
        ("host", {"host": "twin"}, "400", "AMBIGUOUS"),
        ("hosts", {"as_of": "2026-11-24T00:00:00"}, "400", "BAD_REQUEST"),
        ("targets", {"device": uuid_of(1), "limit": 0}, "400", "USAGE"),
    ],
)
def test_an_error_says_its_code_in_headers_and_body(
    served: str, endpoint: str, request_body: dict[str, object], status: str, code: str
) -> None:
    """Clients without our library read the headers, others the body."""
    reply = ask(served, subjects.query(endpoint), json.dumps(request_body).encode())
    headers = reply.headers or {}
    assert headers["Nats-Service-Error-Code"] == status
    assert headers["Nats-Service-Error"]
    assert json.loads(reply.data)["code"] == code


@pytest.mark.parametrize("body", [b"not json", b"\xff", b"[" * 10_000])
def test_a_request_that_can_not_be_read_is_answered_all_the_same(served: str, body: bytes) -> None:
    """Nobody waits for a time-out because of a typo."""
    reply = ask(served, subjects.query("hosts"), body)
    assert (reply.headers or {})["Nats-Service-Error-Code"] == "400"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that runs over the fleet of all doors; its broker's URL."""
    folder = tmp_path_factory.mktemp("served")
    with migrated(sqlite_url(folder)) as engine:
        fill(engine)
    with brokers(folder) as start:
        broker = start()
        with serving(sqlite_url(folder), broker.url):
            yield broker.url


def test_a_disk_that_is_full_is_waited_for_and_nothing_is_lost(
    sqlite_database_url: str, nats_server: Broker, start_cli: StartCli
) -> None:
    """The kernel itself refuses to let the file grow (RLIMIT_FSIZE); then there is room again."""
    with migrated(sqlite_database_url) as engine:
        registry = start_cli(["mdevreg-server", "serve", "--database", sqlite_database_url, "--nats", nats_server.url])
        registry.wait_for("registry.ready")
        _, most = resource.prlimit(registry.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(registry.pid, resource.RLIMIT_FSIZE, (4_096, most))
        publish(nats_server.url, Publisher().snapshot(look(mtty())))
        registry.wait_for("code=DISK_FULL")
        assert logged(engine) == []
        resource.prlimit(registry.pid, resource.RLIMIT_FSIZE, (most, most))
        eventually(lambda: len(logged(engine)) == 3, "the records are there")
        assert registry.terminate() == 0
