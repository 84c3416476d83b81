"""The OpenAPI 3.1 document, made of the table of questions and of the structs' own JSON Schemas.

Litestar's generator is not used: of these structs it makes schemas that refuse their own answers (a bounded tuple
becomes ``oneOf`` a string and anything), and it does not say that unknown fields are refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mdevreg.baselines import Baseline, BaselineDraft
from mdevreg.campaigns import Campaign, CampaignDraft
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.decisions import Decision, DecisionDraft
from mdevreg.outcomes import OutcomeDraft, OutcomeReport
from mdevreg.query.batch import BriefAnswers
from mdevreg.query.requests import Ask
from mdevreg.query.schemas import spelt_out
from mdevreg.reasons import Explanation
from mdevreg.rules import Rule
from mdevreg.webhooks import Delivery, Webhook, WebhookDraft
from mdevreg_server.http import examples
from mdevreg_server.http.forms import CSV, JSON, NDJSON
from mdevreg_server.http.models import By, CanMigrate, End, EndIntent, ExplainedAnswers
from mdevreg_server.http.problems import PROBLEM, ProblemDetails
from mdevreg_server.http.routes import ROUTES, Route
from mdevreg_server.http.sheets import names_of

_REF = "#/components/schemas/{name}"
_STRUCTS = (
    Ask,
    Baseline,
    BaselineDraft,
    BriefAnswers,
    Campaign,
    CampaignDraft,
    CanMigrate,
    DecisionDraft,
    End,
    EndIntent,
    ExplainedAnswers,
    Explanation,
    OutcomeDraft,
    OutcomeReport,
    ProblemDetails,
    Rule,
    By,
    Delivery,
    Webhook,
    WebhookDraft,
)
_ABOUT = {
    "as_of": "What was true on the hosts then; without it: now.",
    "known_at": "A log position or time: what was known then, rules and catalog included; without it: the latest.",
    "snapshot": "A token that an answer told: both times at once, and the same answer again.",
    "from_as_of": "The earlier moment: what was true on the hosts then; without it: now.",
    "from_known_at": "The earlier moment: what the registry knew at that log position or time; without it: the latest.",
    "table": "host, parent, offer, device, driver, or profile.",
    "after": "Only entries after this log position; of timelines, rows that were still believed after it.",
    "upto": "Only entries up to this log position.",
    "since": "Only what was recorded (of timelines and upgrades: true) then or later.",
    "until": "Only what was recorded (of timelines and upgrades: true) before then.",
    "offset": "So many bytes of the first entry's body are had.",
    "max_bytes": "Bytes of bodies in one page.",
    "capacity": "Free instances count too.",
    "failed": "Only deliveries that were given up.",
    "stale_after_s": f"Hosts silent for longer make a verdict unknown, in seconds; default {DEFAULT_STALE_AFTER_S:g}.",
    "limit": "At most so many rows; of a history, the last ones.",
    "cursor": "`next` of the page before.",
    "site": "Only hosts of this site.",
    "outcome": "Only hosts with this verdict.",
    "device": "An mdev uuid, HOST/DEVICE, or HOST/PARENT/TYPE.",
    "host": "An id or an unambiguous hostname.",
    "name": "A host, a device, or HOST/DEVICE; in a history also a driver, DRIVER BUILD, a type, a rule, `registry`.",
    "kind": "What the name is of, where it is of several.",
    "format": "A stream format, such as mtty.",
    "sources": "Only such sources: KEY=PATTERN|PATTERN, several separated by spaces; keys as of a rule's scope.",
    "targets": "Only such targets.",
    "before": "Only what stands before that log position: `next` of the page before.",
    "decision": "Only reports of that decision.",
    "source": "Only reports of that source's profile, by its digest.",
    "target": "Only reports of that target's profile.",
    "by": "Count by groups: site, model, or type.",
    "where": "Only there: KEY=PATTERN|PATTERN, several separated by spaces; keys as of a rule's scope.",
    "driver": "A driver's name; of stragglers and plans, the build that is wanted: NAME [VERSION] [KEY=VALUE …].",
    "half": "Only hosts on which the build is on disk and not loaded.",
    "over_s": "The period that ends with the moment, in seconds.",
    "step_s": "How far times are apart, in seconds; without it, as far as gives about a dozen of them.",
    "profile_from": "In the place of a driver: a host that has what they are to have.",
    "stream": "In the place of a driver: what their streams become: saves=V,loads=V..V[,format=NAME].",
    "at_once": "Hosts away at a time; default 1.",
    "per_site": "Of them at one site.",
    "spare": "Free instances of each type in use that stay.",
    "return_path": "Devices go only where they could come back from.",
    "reload": "Only the driver is loaded anew: what is under other drivers of a host stays.",
    "state": "Only hosts that stand so: elsewhere, rolled_back, offers_nothing, pending, upgraded.",
}
#: What a part of a path names, and an example.
_NAMED = {
    "rule": ("A rule's id.", "r42"),
    "name": ("The name of a campaign or baseline.", "to-580"),
    "webhook": ("A subscription's id.", "w0a1b2c3d"),
    "delivery": ("A delivery's id.", "42"),
}
#: What makes an entry of the log that has a name.
_CREATING = ("addRule", "recordDecision", "reportOutcome", "createCampaign", "putBaseline", "addWebhook")
_ERRORS = {
    400: "The request can't be meant: a parameter that is unknown, missing or out of bounds; an ambiguous name.",
    401: "A token is needed.",
    403: "The token has not the scope; or, without tokens, the request is not for this machine.",
    404: "Nothing of that name; `nearest` has the names that look like it.",
    406: "None of the accepted forms can be given.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    429: "Too many requests; `Retry-After` says for how long.",
    500: "A fault of the registry.",
    503: "The database does not answer, or not in time.",
}


def document(version: str, url: str) -> dict[str, Any]:
    """The whole document."""
    kinds = tuple(dict.fromkeys((*_STRUCTS, *(spelt_out(route.reply) for route in ROUTES))))
    found, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    refs = dict(zip(kinds, found, strict=True))
    fields = components["Ask"]["properties"]
    paths: dict[str, dict[str, Any]] = {route.path: {"get": _asked(route, refs, fields)} for route in ROUTES}
    paths["/v1/rules"]["post"] = _posted(
        "addRule", "Add a rule; its id is given.", refs[Rule], examples.RULE, refs[Rule]
    )
    paths["/v1/decisions"]["post"] = _posted(
        "recordDecision",
        "Answer a question, and record the answer.",
        refs[DecisionDraft],
        examples.DECISION,
        refs[spelt_out(Decision)],
    )
    paths["/v1/outcomes"]["post"] = _posted(
        "reportOutcome",
        "Report how a real migration ended.",
        refs[OutcomeDraft],
        examples.OUTCOME,
        refs[OutcomeReport],
    )
    paths["/v1/campaigns"]["post"] = _posted(
        "createCampaign", "Create a campaign.", refs[CampaignDraft], examples.CAMPAIGN, refs[Campaign]
    )
    paths["/v1/baselines"]["post"] = _posted(
        "putBaseline", "Keep a baseline, or its next version.", refs[BaselineDraft], examples.BASELINE, refs[Baseline]
    )
    paths["/v1/webhooks"]["post"] = _posted(
        "addWebhook", "Subscribe to events; the id is given.", refs[WebhookDraft], examples.WEBHOOK, refs[Webhook]
    )
    paths |= _others(refs) | _of_webhooks(refs)
    del components["Ask"]  # the questions' fields, each of which is a parameter
    return {
        "openapi": "3.1.0",
        "info": {"title": "mdevreg", "version": version, "description": "Can this migration stream be loaded there?"},
        "servers": [{"url": url}],
        "security": [{}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _others(refs: dict[Any, Any]) -> dict[str, dict[str, Any]]:
    answers = {"anyOf": [refs[BriefAnswers], refs[ExplainedAnswers]]}
    batch = _posted(
        "canMigrate", "Many verdicts in one question.", refs[CanMigrate], examples.BATCH, answers, lists=True
    )
    end = _posted("endRule", "End a rule.", refs[End], examples.END, refs[Rule], named="rule")
    ending = (refs[EndIntent], examples.END_INTENT)
    ends = {
        f"/v1/{kind.__name__.lower()}s/{{name}}/end": _posted(
            f"end{kind.__name__}", f"End a {kind.__name__.lower()}.", *ending, refs[kind], named="name"
        )
        for kind in (Campaign, Baseline)
    }
    code = _parameter("code", "path", {"type": "string", "minLength": 1}, "A reason code.", "HOST_STALE")
    explain = _operation("explain", "A reason code in plain words.", [code], {"200": _answer(refs[Explanation])})
    return {
        "/v1/can-migrate": {"post": batch},
        "/v1/rules/{rule}/end": {"post": end},
        **{path: {"post": post} for path, post in ends.items()},
        "/v1/explain/{code}": {"get": explain},
        "/healthz": {"get": _plain("healthz", "The process lives.", {"200": {"description": "It does."}})},
        "/readyz": {
            "get": _plain("readyz", "Database and broker answer.", {"200": {"description": "They do."}} | _failed(503))
        },
        "/metrics": {"get": _plain("metrics", "Prometheus' text format.", {"200": {"description": "The figures."}})},
    }


def _of_webhooks(refs: dict[Any, Any]) -> dict[str, dict[str, Any]]:
    asked = {
        "/v1/webhooks/{webhook}/remove": ("removeWebhook", "End a subscription.", Webhook, "webhook"),
        "/v1/webhooks/{webhook}/ping": ("pingWebhook", "Have an event of no matter delivered.", Delivery, "webhook"),
        "/v1/deliveries/{delivery}/redeliver": ("redeliver", "Deliver an event again.", Delivery, "delivery"),
    }
    return {
        path: {"post": _posted(identity, about, refs[By], examples.BY, refs[reply], named=named)}
        for path, (identity, about, reply, named) in asked.items()
    }


def _asked(route: Route, refs: dict[Any, Any], fields: dict[str, Any]) -> dict[str, Any]:
    parameters = [_field(name, route, fields) for name in dict.fromkeys((*route.needs, *route.takes))]
    answer = _answer(refs[spelt_out(route.reply)], listed=names_of_rows(route))
    responses = {"200": answer, "304": {"description": "What the caller has (`If-None-Match`) is still so."}}
    return _operation(_id(route), route.about, parameters, responses)


def names_of_rows(route: Route) -> list[str] | None:
    """The columns of a route's CSV, if it has one."""
    from mdevreg_server.http.forms import rows_kind

    return None if route.rows is None else names_of(rows_kind(route.reply, route.rows))


def _field(name: str, route: Route, fields: dict[str, Any]) -> dict[str, Any]:
    schema = dict(fields[name])
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if options:  # in a query, what is not there is not there
        schema = options[0] if len(options) == 1 else {"anyOf": options}
    if name == "cursor":
        schema = {**schema, "pattern": "^[A-Za-z0-9_-]+$"}
    where = "path" if name == route.named else "query"
    return _parameter(name, where, schema, _ABOUT[name], route.example.get(name), required=name in route.needs)


def _parameter(
    name: str, where: str, schema: dict[str, Any], about: str, example: str | None = None, *, required: bool = True
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "in": where, "required": required, "schema": schema, "description": about}
    return found if example is None else {**found, "example": example}


def _answer(schema: dict[str, Any], *, listed: list[str] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": schema}}
    if listed is not None:
        content[NDJSON] = {"schema": {"type": "string"}}
        content[CSV] = {"schema": {"type": "string", "description": f"Columns: {', '.join(listed)}."}}
    return {"description": "The answer.", "content": content}


def _posted(
    identity: str, about: str, body: Any, example: Any, answer: Any, *, lists: bool = False, named: str | None = None
) -> dict[str, Any]:
    parameters = (
        [] if named is None else [_parameter(named, "path", {"type": "string", "minLength": 1}, *_NAMED[named])]
    )
    status = "201" if identity in _CREATING else "200"
    listed = names_of(_brief_answer()) if lists else None
    found = _operation(identity, about, parameters, {status: _answer(answer, listed=listed)} | _failed(413, 415))
    content = {JSON: {"schema": body, "examples": {"shown": {"value": example}}}}
    return {**found, "requestBody": {"required": True, "content": content}}


def _brief_answer() -> type[msgspec.Struct]:
    from mdevreg.query.batch import BriefAnswer

    return BriefAnswer


def _operation(identity: str, about: str, parameters: list[Any], responses: dict[str, Any]) -> dict[str, Any]:
    errors = _failed(400, 401, 403, 404, 406, 429, 500, 503)
    return {"operationId": identity, "summary": about, "parameters": parameters, "responses": responses | errors}


def _plain(identity: str, about: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": identity, "summary": about, "responses": responses}


def _failed(*statuses: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="ProblemDetails")}
    return {
        str(status): {"description": _ERRORS[status], "content": {PROBLEM: {"schema": schema}}} for status in statuses
    }


def _id(route: Route) -> str:
    """``/v1/hosts/{host}`` → ``getHost``; ``/v1/hosts`` → ``getHosts``."""
    first, *rest = route.endpoint.split("-")
    return "get" + "".join(word.capitalize() for word in (first, *rest))
