"""What may be asked of a registry over a network, and decided: one table for NATS and HTTP. Pure but for the door.

The requests and their bounds are in ``mdevreg.query.requests``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec

from mdevreg.baselines import CheckAsked
from mdevreg.campaigns import CampaignAsked
from mdevreg.compatibility import Rules
from mdevreg.decisions import DecisionsAsked
from mdevreg.errors import AuthError, DecodeError, MdevregError, NotFoundError, UnreachableError, UsageError
from mdevreg.outcomes import OutcomesAsked
from mdevreg.query import mapping, pages, planning, questions
from mdevreg.query.batch import NearDoor
from mdevreg.query.door import Door
from mdevreg.query.endpoints import check
from mdevreg.query.gathered import can_migrate_each
from mdevreg.query.pages import PagingDoor
from mdevreg.query.regretting import regret
from mdevreg.query.requests import MAX_REQUEST_BYTES, Ask, Decide, ErrorBody
from mdevreg.query.schemas import schemas
from mdevreg.rules import scope_in
from mdevreg.webhooks import MAX_PAGE as MAX_DELIVERIES
from mdevreg.webhooks import DeliveriesAsked
from mdevreg_server.deciding import Decisions

T = TypeVar("T")


class NearbyDoor(Door, NearDoor, PagingDoor, Protocol):
    """A door whose answers come from this process's memory, without waiting: verdicts, batches and pages."""

    @property
    def ready(self) -> bool:
        """Whether it holds the whole fleet, and follows it."""
        ...


#: Rows of a page, where the request does not say.
DEFAULT_ROWS = 100

Endpoint = Callable[[Door, Ask], Any]

#: Pairs of a batch that are answered in the event loop, if they are answered from memory: a few milliseconds' work.
MAX_INLINE_PAIRS = 1_000

ENDPOINTS: dict[str, Endpoint] = {
    "hosts": lambda door, ask: door.hosts(ask.moment),
    "host": lambda door, ask: door.host(ask.need("host"), ask.moment),
    "pair": lambda door, ask: door.pair(ask.need("device"), ask.need("host"), ask.moment),
    "candidates": lambda door, ask: door.candidates(ask.need("device"), ask.moment),
    "blame": lambda door, ask: door.blame(ask.need("device"), ask.need("host"), ask.moment, ask.limit or 1),
    "history": lambda door, ask: door.history(ask.need("name"), ask.moment, ask.limit or 100, ask.kind),
    "diff": lambda door, ask: door.diff(ask.difference),
    "entries": lambda door, ask: door.entries(ask.log),
    "timelines": lambda door, ask: door.timelines(ask.timeline(_need(ask.table, "table"))),
    "drivers": lambda door, ask: door.drivers(ask.moment),
    "loading": lambda door, ask: door.loading(ask.need("format"), ask.moment),
    "rules": lambda door, ask: door.rules(ask.moment),
    "can-migrate": lambda door, ask: questions.can_migrate(
        door,
        ask.need("device"),
        ask.need("host"),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
    ),
    "can-migrate-batch": lambda door, ask: can_migrate_each(
        door,
        ask.pairs or (),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
    ),
    "targets": lambda door, ask: questions.targets(
        door,
        ask.need("device"),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
        limit=ask.limit,
        outcome=ask.outcome,
    ),
    "targets-page": lambda door, ask: pages.targets_page(
        door,
        ask.need("device"),
        now=datetime.now(UTC),
        moment=ask.moment,
        rules=Rules(stale_after_s=ask.stale_after_s),
        limit=ask.limit or pages.DEFAULT_LIMIT,
        outcome=ask.outcome,
        site=ask.site,
        cursor=ask.cursor,
    ),
    "matrix": lambda door, ask: mapping.matrix(
        door, now=datetime.now(UTC), sources=scope_in(ask.sources or ""), targets=scope_in(ask.targets or "")
    ),
    "accepting": lambda door, ask: mapping.accepting(door, ask.need("host"), now=datetime.now(UTC)),
    "decisions": lambda door, ask: door.decisions(
        DecisionsAsked(ask.device, ask.host, ask.since, ask.until, ask.before, ask.limit or DEFAULT_ROWS)
    ),
    "decision": lambda door, ask: door.decision(ask.need("name")),
    "outcomes": lambda door, ask: door.outcomes(
        OutcomesAsked(
            device=ask.device,
            host=ask.host,
            decision=ask.decision,
            source=ask.source,
            target=ask.target,
            before=ask.before,
            limit=ask.limit or DEFAULT_ROWS,
            as_of=ask.moment.as_of,
            known_at=ask.moment.known_at,
        )
    ),
    "regret": lambda door, ask: regret(
        door,
        since=_need(ask.since, "since"),
        until=ask.until,
        now=datetime.now(UTC),
        before=ask.before,
        limit=ask.limit or DEFAULT_ROWS,
    ),
    "plan-upgrade": lambda door, ask: planning.plan_upgrade(door, ask.upgrade, now=datetime.now(UTC)),
    "plan-waves": lambda door, ask: planning.waves_page(
        door, ask.waves, now=datetime.now(UTC), cursor=ask.cursor, limit=ask.limit
    ),
    "plan-check": lambda door, ask: planning.check_plan(
        door, ask.need("name"), now=datetime.now(UTC), moment=ask.moment
    ),
    "islands": lambda door, ask: planning.islands(door, ask.islands, now=datetime.now(UTC)),
    "campaigns": lambda door, ask: door.campaigns(ask.moment),
    "campaign": lambda door, ask: door.campaign(ask.need("name"), ask.moment),
    "campaign-status": lambda door, ask: door.campaign_status(
        CampaignAsked(
            ask.need("name"), ask.state, ask.limit or DEFAULT_ROWS, ask.cursor, ask.moment.as_of, ask.moment.known_at
        )
    ),
    "baselines": lambda door, ask: door.baselines(ask.moment),
    "baseline": lambda door, ask: door.baseline(ask.need("name"), ask.moment),
    "baseline-check": lambda door, ask: door.check_baseline(
        CheckAsked(
            ask.need("name"),
            scope_in(ask.where or ""),
            ask.limit or DEFAULT_ROWS,
            ask.cursor,
            ask.stale_after_s,
            ask.moment.as_of,
            ask.moment.known_at,
        )
    ),
    "configurations": lambda door, ask: door.configurations(scope_in(ask.where or ""), ask.moment),
    "webhooks": lambda door, _: door.webhooks(),
    "deliveries": lambda door, ask: door.deliveries(
        DeliveriesAsked(ask.name, bool(ask.failed), ask.before, min(ask.limit or DEFAULT_ROWS, MAX_DELIVERIES))
    ),
    "schema": lambda _, ask: schemas(ask.name),
    "distribution": lambda door, ask: door.distribution(ask.distributed),
    "trend": lambda door, ask: door.trend(ask.trend),
    "upgrades": lambda door, ask: door.upgrades(ask.upgraded),
    "stragglers": lambda door, ask: door.stragglers(ask.straggling),
}

#: Questions that a door in this process may answer from memory (``door_for``).
NEAR = frozenset(
    {
        "accepting",
        "can-migrate",
        "can-migrate-batch",
        "distribution",
        "islands",
        "matrix",
        "plan-check",
        "plan-upgrade",
        "plan-waves",
        "targets",
        "targets-page",
    }
)

#: Of these, what may take longer than other questions should wait.
_LONG = NEAR - {"can-migrate", "can-migrate-batch"}

Decision = Callable[[Decisions, Decide], Any]

DECISIONS: dict[str, Decision] = {
    "add-rule": lambda decisions, asked: decisions.add_rule(_need(asked.rule, "rule")),
    "end-rule": lambda decisions, asked: decisions.end_rule(
        _need(asked.name, "name"), at=asked.at, author=_need(asked.author, "author")
    ),
    "import-catalog": lambda decisions, asked: decisions.import_entries(
        _need(asked.entries, "entries"), author=_need(asked.author, "author")
    ),
    "remove-catalog": lambda decisions, asked: decisions.remove_entries(
        _need(asked.names, "names"), author=_need(asked.author, "author")
    ),
    "set-retention": lambda decisions, asked: decisions.set_retention(
        _need(asked.bodies, "bodies"), author=_need(asked.author, "author")
    ),
    "record-decision": lambda decisions, asked: decisions.record(_need(asked.decision, "decision")),
    "report-outcome": lambda decisions, asked: decisions.report(_need(asked.outcome, "outcome")),
    "create-campaign": lambda decisions, asked: decisions.create_campaign(_need(asked.campaign, "campaign")),
    "end-campaign": lambda decisions, asked: decisions.end_campaign(
        _need(asked.name, "name"), author=_need(asked.author, "author"), reason=asked.reason or ""
    ),
    "put-baseline": lambda decisions, asked: decisions.put_baseline(_need(asked.baseline, "baseline")),
    "end-baseline": lambda decisions, asked: decisions.end_baseline(
        _need(asked.name, "name"), author=_need(asked.author, "author"), reason=asked.reason or ""
    ),
    "add-webhook": lambda decisions, asked: decisions.add_webhook(_need(asked.webhook, "webhook")),
    "remove-webhook": lambda decisions, asked: decisions.remove_webhook(
        _need(asked.name, "name"), author=_need(asked.author, "author")
    ),
    "redeliver": lambda decisions, asked: decisions.redeliver(
        _need(asked.name, "name"), author=_need(asked.author, "author")
    ),
    "ping-webhook": lambda decisions, asked: decisions.ping_webhook(
        _need(asked.name, "name"), author=_need(asked.author, "author")
    ),
}

_ask = msgspec.json.Decoder(Ask)
_decide = msgspec.json.Decoder(Decide)


def answer(endpoint: str, door: Door, ask: Ask) -> Any:
    """The answer to a question. Raises what the door raises, and ``UsageError``."""
    check(endpoint, ask)
    return ENDPOINTS[endpoint](door, ask)


def decide(endpoint: str, decisions: Decisions, asked: Decide) -> Any:
    """Take a decision. Raises what it raises, and ``UsageError``."""
    check(endpoint, asked)
    return DECISIONS[endpoint](decisions, asked)


def door_for(endpoint: str, ask: Ask, door: Door, near: NearbyDoor | None) -> tuple[Door, bool]:
    """Which door answers, and whether at once: in the caller's event loop, in no thread of a pool.

    A door in this process answers verdicts about now (``NEAR``) while it is ready; everything else, and everything
    until then, the database. From memory a verdict, or a batch of up to ``MAX_INLINE_PAIRS``, takes less time
    than handing it to a thread and back; longer work must not keep other questions waiting.
    """
    if endpoint == "schema":
        return door, True  # is asked of no door
    now = ask.as_of is None and ask.known_at is None and ask.snapshot is None
    if near is None or endpoint not in NEAR or not now or not near.ready:
        return door, False
    return near, endpoint not in _LONG and len(ask.pairs or ()) <= MAX_INLINE_PAIRS


def read_ask(data: bytes) -> Ask:
    """Read a question; an empty one is ``{}``. Raises ``DecodeError`` (BAD_REQUEST, REQUEST_TOO_LARGE)."""
    return _read(_ask, data)


def read_decide(data: bytes) -> Decide:
    """Read a decision. Raises ``DecodeError`` (BAD_REQUEST, REQUEST_TOO_LARGE)."""
    return _read(_decide, data)


def http_status(error: MdevregError) -> int:
    """The HTTP number of an error: the services API reuses them."""
    if error.code in {"REQUEST_TOO_LARGE", "ANSWER_TOO_LARGE"}:
        return 413
    for kind, number in ((NotFoundError, 404), (UsageError, 400), (DecodeError, 400), (AuthError, 403)):
        if isinstance(error, kind):
            return number
    return 503 if isinstance(error, UnreachableError) or error.code == "NO_INDEX" else 500


def body_of(error: MdevregError) -> ErrorBody:
    """An error as the body of a reply."""
    if isinstance(error, NotFoundError):
        return ErrorBody(error.code, error.message, error.nearest, error.kind, error.name)
    return ErrorBody(error.code, error.message)


def _need(value: T | None, field: str) -> T:
    if value is None:
        raise UsageError(f"the request has no {field!r}")
    return value


def _read(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    if len(data) > MAX_REQUEST_BYTES:
        text = f"the request has {len(data)} bytes; at most {MAX_REQUEST_BYTES} are read"
        raise DecodeError(text, code="REQUEST_TOO_LARGE")
    try:
        return decoder.decode(data or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the request can't be read: {error}", code="BAD_REQUEST") from error
