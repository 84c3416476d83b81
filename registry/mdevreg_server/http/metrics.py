"""The registry's figures as Prometheus scrapes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mdevreg.clocks import seconds
from mdevreg_server.event_tally import EventTally
from mdevreg_server.http.health import Stream, Vitals
from mdevreg_server.tally import Tally

CONTENT_TYPE = "text/plain; version=0.0.4"

#: Seconds; a pair from memory takes some hundred microseconds, from SQL some milliseconds.
_LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Requests:
    """Counts requests and their time. ``observe`` is told by the edge."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "mdevreg_http_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ("method", "path"),
            buckets=_LATENCY_S,
            registry=registry,
        )
        self._requests = Counter(
            "mdevreg_http_requests", "Requests that were answered.", ("method", "path", "status"), registry=registry
        )

    def observe(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request was answered. ``path``: the template, not what a client made of it."""
        known = method if method in {"GET", "POST", "HEAD", "OPTIONS"} else "other"
        self._requests.labels(known, path, str(status)).inc()
        self._seconds.labels(known, path).observe(seconds)


class Verdicts(Collector):
    """Verdicts that were handed out."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """As Prometheus' library asks for it."""
        told = CounterMetricFamily("mdevreg_verdicts", "Verdicts by outcome.", labels=("face", "outcome"))
        why = CounterMetricFamily("mdevreg_verdict_reasons", "Verdicts by reason code.", labels=("face", "code"))
        for family, counts in ((told, self._tally.outcomes()), (why, self._tally.codes())):
            for labels, count in sorted(counts.items()):
                family.add_metric(labels, count)
            yield family


def _none() -> float | None:
    """No fleet in memory."""
    return None


class Events(Collector):
    """Events that were published, and attempts to deliver them."""

    def __init__(self, tally: EventTally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """As Prometheus' library asks for it."""
        told = CounterMetricFamily("mdevreg_events_published", "Events that were published.", labels=("type",))
        sent = CounterMetricFamily("mdevreg_webhook_attempts", "Attempts to deliver events.", labels=("outcome",))
        for family, counts in ((told, self._tally.published), (sent, self._tally.deliveries)):
            for label, count in sorted(dict(counts).items()):
                family.add_metric((label,), count)
            yield family


class Figures:
    """All figures of one registry. ``replica_age_s``: how old the fleet in memory is, where one serves answers."""

    def __init__(
        self, tally: Tally, replica_age_s: Callable[[], float | None] = _none, events: EventTally | None = None
    ) -> None:
        self._registry = CollectorRegistry()
        self._replica_age_s, self._events = replica_age_s, events or EventTally()
        self.requests = Requests(self._registry)
        self._registry.register(Verdicts(tally))
        self._registry.register(Events(self._events))

    def text(self, vitals: Vitals | None, stream: Stream | None, now_us: int) -> bytes:
        """The whole page. What does not answer has no figures but its own absence."""
        gauges = CollectorRegistry()
        told = _events(vitals, self._events)
        gauges.register(_Gauges([*_gauges(vitals, stream, now_us, self._replica_age_s), *told]))
        return generate_latest(self._registry) + generate_latest(gauges)


class _Gauges(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _gauges(
    vitals: Vitals | None, stream: Stream | None, now_us: int, replica_age_s: Callable[[], float | None]
) -> Iterator[Metric]:
    yield _gauge("database_up", "Whether the database answers.", vitals is not None)
    yield _gauge("broker_up", "Whether the broker answers.", stream is not None)
    if vitals is not None:
        yield _gauge("log_position", "Position of the newest entry of the log.", vitals.position)
        yield _gauge("hosts", "Hosts that ever reported.", vitals.hosts)
        yield _gauge("stale_hosts", "Hosts that fell silent without a goodbye.", vitals.stale)
        yield _gauge("conflicting_hosts", "Host ids that two agents claim.", vitals.conflicts)
        yield _gauge("skewed_hosts", "Hosts whose clocks are beyond the bound.", vitals.skewed)
        most = "Largest distance of a host's clock from the registry's."
        yield _gauge("clock_skew_max_seconds", most, seconds(vitals.most_skew_us))
        yield _gauge("quarantine_size", "Messages that wait for a person.", vitals.quarantined)
    if vitals is not None and vitals.applied_at_us is not None:
        applied_at_s = vitals.applied_at_us / 1e6
        yield _gauge("last_applied_timestamp_seconds", "When the newest entry was committed.", applied_at_s)
    if vitals is not None and stream is not None:
        yield from _lag(vitals, stream, now_us)
    if (age_s := replica_age_s()) is not None:
        yield _gauge("replica_age_seconds", "Age of the fleet in memory that answers.", age_s)


def _lag(vitals: Vitals, stream: Stream, now_us: int) -> Iterator[Metric]:
    waiting = max(0, stream.newest - (vitals.consumed or 0))
    since_us = now_us - (vitals.applied_at_us or now_us)
    yield _gauge("ingest_waiting_messages", "Messages in the stream that are not applied yet.", waiting)
    text = "Time since the last commit while messages wait; 0: nothing waits."
    yield _gauge("ingest_lag_seconds", text, max(0.0, since_us / 1e6) if waiting else 0.0)


def _events(vitals: Vitals | None, events: EventTally) -> Iterator[Metric]:
    """Only where events are told: one of several registries does that."""
    if vitals is not None and events.position is not None:
        behind = max(0, vitals.position - events.position)
        yield _gauge("events_waiting_entries", "Log entries whose events are not published yet.", behind)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mdevreg_{name}", text, value)
