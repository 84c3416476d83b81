"""The endpoints: one table for NATS, HTTP and the published schemas. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from mdevreg.answering import Answer, Targets
from mdevreg.blame import Blame
from mdevreg.decisions import Decision, DecisionList
from mdevreg.differing import DifferencePage
from mdevreg.errors import UsageError
from mdevreg.facts import (
    Candidates,
    Drivers,
    History,
    Hosts,
    HostView,
    Offers,
    Pair,
    Retention,
    RuleList,
)
from mdevreg.fleet import Matrix
from mdevreg.logged import (
    LogPage,
    TimelinePage,
)
from mdevreg.outcomes import OutcomeList, OutcomeReport
from mdevreg.query.batch import BriefAnswers
from mdevreg.query.mapping import AcceptedKinds
from mdevreg.query.pages import TargetPage
from mdevreg.query.regretting import Regrets
from mdevreg.query.requests import Ask, Changed, Decide, Schemas
from mdevreg.rules import Rule
from mdevreg.webhooks import Delivery, DeliveryList, Webhook, WebhookList


class Endpoint(msgspec.Struct, frozen=True):
    """What a request must have, what it may have besides, and the struct that answers it."""

    reply: type[msgspec.Struct]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    about: str = ""


_TIMES = ("as_of", "known_at", "snapshot")
_JUDGED = (*_TIMES, "stale_after_s")

#: Endpoints below ``mdevreg.v1.q``.
QUESTIONS: dict[str, Endpoint] = {
    "hosts": Endpoint(Hosts, (), _TIMES, "Every host, by hostname, then id."),
    "host": Endpoint(HostView, ("host",), _TIMES, "Everything known of one host."),
    "pair": Endpoint(Pair, ("device", "host"), _TIMES, "The facts of one verdict."),
    "candidates": Endpoint(Candidates, ("device",), _TIMES, "The facts of every verdict on a device."),
    "blame": Endpoint(
        Blame,
        ("device", "host"),
        (*_TIMES, "limit"),
        "Since when a verdict is what it is, and what made it so, with the records as evidence.",
    ),
    "history": Endpoint(
        History, ("name",), (*_TIMES, "limit", "kind"), "The last changes of what has a name, oldest first."
    ),
    "diff": Endpoint(
        DifferencePage,
        (),
        ("from_as_of", "from_known_at", *_TIMES, "host", "site", "capacity", "limit", "cursor"),
        "What differs between two moments, host by host, page by page.",
    ),
    "entries": Endpoint(
        LogPage,
        (),
        ("after", "upto", "since", "until", "limit", "offset", "max_bytes"),
        "The log as it stands, entry by entry, page by page.",
    ),
    "timelines": Endpoint(
        TimelinePage,
        ("table",),
        ("since", "until", "after", "known_at", "limit", "cursor"),
        "The rows of a table of timelines, as they were known, page by page.",
    ),
    "drivers": Endpoint(Drivers, (), _TIMES, "The driver builds of the fleet."),
    "loading": Endpoint(Offers, ("format",), _TIMES, "Every offer whose driver build is known to load a format."),
    "rules": Endpoint(RuleList, (), _TIMES, "Every operators' rule that was known, ended ones included."),
    "can-migrate": Endpoint(Answer, ("device", "host"), _JUDGED, "One verdict, with all its reasons."),
    "can-migrate-batch": Endpoint(BriefAnswers, ("pairs",), _JUDGED, "Many verdicts, briefly, in the order asked."),
    "targets": Endpoint(Targets, ("device",), (*_JUDGED, "limit", "outcome"), "Hosts that offer its type, best first."),
    "targets-page": Endpoint(
        TargetPage, ("device",), (*_JUDGED, "limit", "outcome", "site", "cursor"), "The same briefly, page by page."
    ),
    "matrix": Endpoint(Matrix, (), ("sources", "targets"), "Which kinds accept which: types under driver builds."),
    "accepting": Endpoint(AcceptedKinds, ("host",), (), "What would become of each kind of the fleet at a host."),
    "decisions": Endpoint(
        DecisionList, (), ("device", "host", "since", "until", "before", "limit"), "Recorded answers, the newest."
    ),
    "decision": Endpoint(Decision, ("name",), (), "A recorded answer, as it was told."),
    "outcomes": Endpoint(
        OutcomeList,
        (),
        (*_TIMES, "device", "host", "decision", "source", "target", "before", "limit"),
        "How real migrations ended, the newest reports.",
    ),
    "regret": Endpoint(
        Regrets, ("since",), ("until", "before", "limit"), "Recorded yes that would now be none, and what came late."
    ),
    "webhooks": Endpoint(WebhookList, (), (), "Subscriptions to events, and how their deliveries stand."),
    "deliveries": Endpoint(
        DeliveryList, (), ("name", "failed", "before", "limit"), "Deliveries of events to webhooks, the newest."
    ),
    "schema": Endpoint(Schemas, (), ("name",), "The JSON Schema of a message, or the names of all."),
}

#: Endpoints below ``mdevreg.v1.decide``.
DECISIONS: dict[str, Endpoint] = {
    "add-rule": Endpoint(Rule, ("rule",), (), "Add a rule; its id is given."),
    "end-rule": Endpoint(Rule, ("name", "author"), ("at",), "End a rule."),
    "import-catalog": Endpoint(Changed, ("entries", "author"), (), "Add or replace catalog entries."),
    "remove-catalog": Endpoint(Changed, ("names", "author"), (), "Take imported catalog entries back."),
    "set-retention": Endpoint(Retention, ("bodies", "author"), (), "For how long documents are kept from now on."),
    "record-decision": Endpoint(Decision, ("decision",), (), "Answer a question, and record the answer."),
    "report-outcome": Endpoint(OutcomeReport, ("outcome",), (), "Report how a real migration ended."),
    "add-webhook": Endpoint(Webhook, ("webhook",), (), "Subscribe to events; the id is given."),
    "remove-webhook": Endpoint(Webhook, ("name", "author"), (), "End a subscription, with all that waits for it."),
    "redeliver": Endpoint(Delivery, ("name", "author"), (), "Deliver an event again."),
    "ping-webhook": Endpoint(Delivery, ("name", "author"), (), "Have an event of no matter delivered."),
}


def check(endpoint: str, request: Ask | Decide) -> None:
    """Raises ``UsageError`` if the request lacks what the endpoint needs, or has what it would not look at."""
    needs, refused = _CHECKS[endpoint]
    for field in needs:
        if getattr(request, field) is None:
            raise UsageError(f"the request has no {field!r}; {endpoint} needs: {', '.join(needs)}")
    for field, default in refused:
        if getattr(request, field) != default:
            raise UsageError(f"{endpoint} does not look at {field!r}; the request must not have it")


def _refused(endpoint: Endpoint, kind: type[Ask | Decide]) -> tuple[tuple[str, Any], ...]:
    """The fields that are another endpoint's, and how they look when they are not there."""
    known = (*endpoint.needs, *endpoint.takes)
    return tuple((field.name, field.default) for field in structs.fields(kind) if field.name not in known)


_CHECKS = {
    name: (endpoint.needs, _refused(endpoint, kind))
    for table, kind in ((QUESTIONS, Ask), (DECISIONS, Decide))
    for name, endpoint in table.items()
}
