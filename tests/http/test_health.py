"""Health and figures: what is said when the broker is away, and what Prometheus scrapes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from mdevreg import subjects, wire
from mdevreg.query.questions import can_migrate
from mdevreg.records import BEAT_SCHEMA, EMPTY_DIGEST, Beat
from mdevreg_server.broker import Broker
from mdevreg_server.engine import open_engine
from mdevreg_server.http.config import HttpConfig
from mdevreg_server.http.health import Stream, Vitals
from mdevreg_server.http.metrics import Figures
from mdevreg_server.tally import Tally
from support.bus_client import ask, publish, say
from support.door_fleet import ASKED, FLEET, fill, memory_door
from support.faces import LOOPBACK, faced
from support.hosts import look, mtty, uuid_of
from support.http_asked import Told, asked, posted
from support.processes import eventually
from support.publisher import Publisher
from support.registry import migrated
from support.serving import serving

QUESTION = {"pairs": [{"device": uuid_of(1), "to": "beta"}, {"device": uuid_of(1), "to": "nowhere"}]}


def _read(text: bytes) -> dict[str, float]:
    """Every sample by name and labels."""
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def _beat(host: str, at: datetime) -> bytes:
    beat = Beat(schema=BEAT_SCHEMA, host=host, epoch="e", seq=0, digest=EMPTY_DIGEST, at=at)
    return wire.encode(beat)


def _figures(url: str) -> dict[str, float]:
    told = asked(url, "/metrics")
    assert told.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return _read(told.body)


def test_a_registry_whose_broker_is_away_lives_and_is_not_ready(tmp_path: Path) -> None:
    """It goes on answering from the database; when the broker is back it is ready again."""
    with faced(tmp_path, HttpConfig(LOOPBACK)) as (registry, broker):
        url = registry.http_url
        assert asked(url, "/readyz").status == 200
        broker.kill()
        eventually(lambda: asked(url, "/readyz").status == 503, "it notices")
        told = asked(url, "/readyz")
        assert told.code == "NOT_READY"
        assert told.json["reasons"] == ["broker: UNREACHABLE"]
        assert told.headers["retry-after"]
        assert asked(url, "/healthz").status == 200
        assert asked(url, "/v1/hosts").status == 200
        figures = _figures(url)
        assert (figures["mdevreg_broker_up"], figures["mdevreg_database_up"]) == (0, 1)
        assert "mdevreg_ingest_lag_seconds" not in figures
        broker.start()
        eventually(lambda: asked(url, "/readyz").status == 200, "it is ready again")


def test_the_figures_follow_what_happens(tmp_path: Path) -> None:
    """Position, hosts, what was refused, and verdicts by outcome and code, of both faces."""
    with faced(tmp_path, HttpConfig(LOOPBACK)) as (registry, broker):
        url = registry.http_url
        before = _figures(url)
        assert before["mdevreg_hosts"] == before["mdevreg_stale_hosts"] + 1 == len(FLEET)  # one said goodbye
        assert before["mdevreg_conflicting_hosts"] == 1
        assert (before["mdevreg_skewed_hosts"], before["mdevreg_clock_skew_max_seconds"]) == (0, 0)  # all are silent
        clocks = {"fast": 3_600, "right": 0, "slow": -60}
        for host, ahead_s in clocks.items():
            say(broker.url, subjects.beat(host), _beat(host, datetime.now(UTC) + timedelta(seconds=ahead_s)))
        eventually(lambda: _figures(url)["mdevreg_skewed_hosts"] == 2, "their clocks are measured")
        assert 3_595 <= _figures(url)["mdevreg_clock_skew_max_seconds"] <= 3_600
        assert posted(url, "/v1/can-migrate", QUESTION).status == 200
        assert asked(url, f"/v1/targets?device={uuid_of(1)}").status == 200
        publish(broker.url, [*Publisher("new").snapshot(look(mtty())), b"no record"])
        registry.until(lambda: len(registry.batches) > 0, "they are applied")
        eventually(lambda: _figures(url)["mdevreg_quarantine_size"] == 1, "what was refused is counted")
        after = _figures(url)
    assert after["mdevreg_log_position"] == before["mdevreg_log_position"] + 3
    assert after["mdevreg_hosts"] == before["mdevreg_hosts"] + 1
    assert after["mdevreg_ingest_waiting_messages"] == after["mdevreg_ingest_lag_seconds"] == 0
    assert after["mdevreg_last_applied_timestamp_seconds"] > before["mdevreg_last_applied_timestamp_seconds"]
    assert after["mdevreg_verdicts_total http unknown"] == 6  # one pair, and five targets
    assert after["mdevreg_verdict_reasons_total HOST_STALE http"] >= 1
    assert after["mdevreg_http_requests_total POST /v1/can-migrate 200"] == 1
    assert after["mdevreg_http_request_seconds_count GET /v1/targets"] == 1


def test_verdicts_over_nats_are_counted_too(tmp_path: Path) -> None:
    """By the same names, with the face that handed them out."""
    with faced(tmp_path, HttpConfig(LOOPBACK)) as (registry, broker):
        request = f'{{"device": "{uuid_of(1)}", "host": "beta", "stale_after_s": 1e9}}'.encode()
        assert ask(broker.url, subjects.query("can-migrate"), request).data
        figures = _figures(registry.http_url)
    assert figures["mdevreg_verdicts_total nats compatible"] == 1
    assert figures["mdevreg_verdict_reasons_total STREAM_VERSION_LOADS nats"] == 1


def test_paths_of_strangers_make_no_figures_of_their_own(url: str) -> None:
    """Labels are templates: nobody fills the memory by asking for what is not there."""
    for path in ("/nothing/1", "/nothing/2", "/v1/hosts/alpah", "/v1/hosts/betta"):
        assert asked(url, path).status == 404
    figures = _figures(url)
    assert figures["mdevreg_http_requests_total GET none 404"] == 2
    assert figures["mdevreg_http_requests_total GET /v1/hosts/{host} 404"] == 2


def test_lag_is_told_while_messages_wait() -> None:
    """Seconds since the last commit; nothing waits: 0, however long ago it was. A clock may go back."""
    vitals = Vitals(position=9, applied_at_us=1_000_000, hosts=1, stale=0, conflicts=0, quarantined=0, consumed=7)

    def told(newest: int, now_us: int) -> tuple[float, float]:
        read = _read(Figures(Tally()).text(vitals, Stream("life", newest), now_us))
        return read["mdevreg_ingest_waiting_messages"], read["mdevreg_ingest_lag_seconds"]

    assert told(7, 5_000_000) == (0, 0)
    assert told(9, 5_000_000) == (2, 4)
    assert told(9, 500_000) == (2, 0)


def test_the_age_of_a_fleet_in_memory_is_told_while_it_answers() -> None:
    """A gauge that is absent means that the database answers."""
    assert _read(Figures(Tally(), lambda: 1.5).text(None, None, 0))["mdevreg_replica_age_seconds"] == 1.5
    assert "mdevreg_replica_age_seconds" not in _read(Figures(Tally(), lambda: None).text(None, None, 0))


@contextmanager
def _locked(url: str) -> Iterator[None]:
    """Nobody reads the log meanwhile."""
    engine = open_engine(url, writer=True)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE record_log IN ACCESS EXCLUSIVE MODE"))
            yield
    finally:
        engine.dispose()


def test_a_question_that_takes_too_long_is_given_up(postgresql_database_url: str, nats_server: Broker) -> None:
    """503 with a code, for each of many at once; afterwards there are answers again, and nothing is stuck."""
    with migrated(postgresql_database_url) as engine:
        fill(engine)
    config = HttpConfig(LOOPBACK, timeout_s=0.3)
    with serving(postgresql_database_url, nats_server.url, http=config) as registry:
        url, told = registry.http_url, list[Told]()
        with _locked(postgresql_database_url):
            asking = [threading.Thread(target=lambda: told.append(asked(url, "/v1/hosts"))) for _ in range(12)]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()
            assert {(each.status, each.code) for each in told} == {(503, "TIMEOUT")}
            assert all(each.headers["retry-after"] for each in told)
            past = {**QUESTION, "as_of": "2026-11-24T00:00:04Z"}  # which the fleet in memory does not know
            assert posted(url, "/v1/can-migrate", past).code == "TIMEOUT"
            assert asked(url, "/healthz").status == 200
        eventually(lambda: asked(url, "/v1/hosts").status == 200, "there are answers again")


def test_a_tally_counts_from_many_threads() -> None:
    """No verdict is lost."""
    answer = can_migrate(memory_door(), uuid_of(1), "beta", now=ASKED)
    tally = Tally()

    def tell() -> None:
        for _ in range(500):
            tally.told("nats", answer)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.outcomes() == {("nats", "compatible"): 2_000}
    assert tally.codes()["nats", "STREAM_VERSION_LOADS"] == 2_000
