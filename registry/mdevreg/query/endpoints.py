"""The endpoints: one table for NATS, HTTP and the published schemas. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from mdevreg.answering import Answer, Targets
from mdevreg.baselines import Baseline, BaselineCheck, BaselineList, BaselineView, Configurations
from mdevreg.blame import Blame
from mdevreg.campaigns import Campaign, CampaignList, CampaignStatus, CampaignWhole
from mdevreg.decisions import Decision, DecisionList
from mdevreg.differing import DifferencePage
from mdevreg.distribution import Distribution
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
from mdevreg.planning.forecast import UpgradeForecast
from mdevreg.planning.islands import Islands
from mdevreg.planning.waves.course import PlanCheck
from mdevreg.planning.waves.plan import UpgradeWaves
from mdevreg.query.batch import BriefAnswers
from mdevreg.query.mapping import AcceptedKinds
from mdevreg.query.pages import TargetPage
from mdevreg.query.regretting import Regrets
from mdevreg.query.requests import Ask, Changed, Decide, Schemas
from mdevreg.rules import Rule
from mdevreg.stragglers import Stragglers
from mdevreg.trends import Trend
from mdevreg.upgrades import UpgradePage
from mdevreg.webhooks import Delivery, DeliveryList, Webhook, WebhookList


class Endpoint(msgspec.Struct, frozen=True):
    """What a request must have, what it may have besides, and the struct that answers it."""

    reply: type[msgspec.Struct]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    about: str = ""


_TIMES = ("as_of", "known_at", "snapshot")
_GOAL = ("where", "driver", "profile_from", "stream")
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
    "plan-upgrade": Endpoint(
        UpgradeForecast,
        (),
        (*_GOAL, *_TIMES),
        "What would become of paths, devices and capacity if some hosts were upgraded.",
    ),
    "plan-waves": Endpoint(
        UpgradeWaves,
        (),
        (*_GOAL, "at_once", "per_site", "spare", "return_path", "reload", *_TIMES, "limit", "cursor"),
        "An order of upgrades in which nobody is ever stranded, or why there is none, page by page.",
    ),
    "plan-check": Endpoint(
        PlanCheck, ("name",), _TIMES, "How the fleet stands to a campaign's plan: does what is left of it still hold."
    ),
    "islands": Endpoint(Islands, (), ("where", *_TIMES), "Which kinds reach which: islands, traps, cuts and routes."),
    "campaigns": Endpoint(CampaignList, (), _TIMES, "Every campaign with its progress, ended ones included."),
    "campaign": Endpoint(CampaignWhole, ("name",), _TIMES, "A campaign with the plan that it follows."),
    "campaign-status": Endpoint(
        CampaignStatus,
        ("name",),
        (*_TIMES, "state", "limit", "cursor"),
        "How a campaign stands, and its hosts, page by page.",
    ),
    "baselines": Endpoint(BaselineList, (), _TIMES, "Every baseline, as it was valid, ended ones included."),
    "baseline": Endpoint(BaselineView, ("name",), _TIMES, "A baseline, or one version of it: NAME@VERSION."),
    "baseline-check": Endpoint(
        BaselineCheck,
        ("name",),
        (*_JUDGED, "where", "limit", "cursor"),
        "Who deviates from a baseline, in what, and since when, page by page.",
    ),
    "configurations": Endpoint(
        Configurations, (), (*_TIMES, "where"), "What the types look like that hosts offer, and on how many hosts."
    ),
    "webhooks": Endpoint(WebhookList, (), (), "Subscriptions to events, and how their deliveries stand."),
    "deliveries": Endpoint(
        DeliveryList, (), ("name", "failed", "before", "limit"), "Deliveries of events to webhooks, the newest."
    ),
    "schema": Endpoint(Schemas, (), ("name",), "The JSON Schema of a message, or the names of all."),
    "distribution": Endpoint(
        Distribution,
        (),
        ("by", "where", *_TIMES),
        "The driver builds of the fleet, and what they save and load, by site, model or type.",
    ),
    "trend": Endpoint(
        Trend, ("over_s",), ("step_s", "where", *_TIMES), "How many hosts ran which driver build, time after time."
    ),
    "upgrades": Endpoint(
        UpgradePage,
        (),
        ("host", "driver", "since", "until", "where", "limit", "cursor", *_TIMES),
        "Driver upgrades and what each of them did, the newest, page by page.",
    ),
    "stragglers": Endpoint(
        Stragglers,
        ("driver",),
        ("where", "half", "limit", "cursor", *_TIMES),
        "Hosts that have a driver and not the build of it that is wanted, page by page.",
    ),
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
    "create-campaign": Endpoint(Campaign, ("campaign",), (), "Create a campaign."),
    "end-campaign": Endpoint(Campaign, ("name", "author"), ("reason",), "End a campaign."),
    "put-baseline": Endpoint(Baseline, ("baseline",), (), "Keep a baseline, or its next version."),
    "end-baseline": Endpoint(Baseline, ("name", "author"), ("reason",), "End a baseline."),
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
