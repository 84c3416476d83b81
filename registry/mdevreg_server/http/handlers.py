"""Litestar's handlers: one for each row of the table of questions, one for each of what is posted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import structs

from mdevreg.baselines import BaselineDraft
from mdevreg.campaigns import CampaignDraft
from mdevreg.decisions import DecisionDraft
from mdevreg.errors import DecodeError, UsageError
from mdevreg.outcomes import OutcomeDraft
from mdevreg.query.batch import MAX_PAIRS, BriefAnswers, problem_of
from mdevreg.query.door import Door
from mdevreg.query.gathered import WORTH_IT
from mdevreg.query.requests import Ask, Decide, PairAsked
from mdevreg.reasons import explained
from mdevreg.rules import Rule
from mdevreg.webhooks import WebhookDraft
from mdevreg_server.answers import answer, decide
from mdevreg_server.deciding import Decisions
from mdevreg_server.http.asking import Asker
from mdevreg_server.http.edge import named
from mdevreg_server.http.forms import JSON, Rendered, chosen, query_of, render, response
from mdevreg_server.http.gate import HTTP, Gate
from mdevreg_server.http.models import MAX_EXPLAINED, By, CanMigrate, End, EndIntent, Explained, ExplainedAnswers
from mdevreg_server.http.problems import RefusedError
from mdevreg_server.http.routes import ROUTES, Route
from mdevreg_server.http.tokens import Scope
from mdevreg_server.tally import Tally

T = TypeVar("T")

#: What is posted about one webhook or delivery: path, endpoint, and which part of the path names it.
NAMED = (
    ("/v1/webhooks/{webhook:str}/remove", "remove-webhook", "webhook"),
    ("/v1/webhooks/{webhook:str}/ping", "ping-webhook", "webhook"),
    ("/v1/deliveries/{delivery:str}/redeliver", "redeliver", "delivery"),
)
#: Pairs of a batch that are answered in one go, where each blocks: then others have their turn, or the time is over.
AT_ONCE = 50
#: Names below these have no slashes.
_INTENTS = ("/v1/campaigns/", "/v1/baselines/")


class Questions:
    """What the handlers need."""

    def __init__(
        self, gate: Gate, asker: Asker, tally: Tally, decisions: Decisions, say: Callable[[str], None]
    ) -> None:
        self._gate, self._asker, self._tally, self._say = gate, asker, tally, say
        self._decisions = decisions.through("http")

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            *(get(_path(route))(self._guarded("read", partial(self.question, route))) for route in ROUTES),
            get("/v1/explain/{code:str}")(self._guarded("read", self.explain)),
            post("/v1/can-migrate", status_code=200)(self._guarded("read", self.can_migrate)),
            post("/v1/rules")(self._guarded("write", self.add_rule)),
            post("/v1/decisions")(self._guarded("write", self.record)),
            post("/v1/outcomes")(self._guarded("write", self.report)),
            post("/v1/rules/{rule:str}/end", status_code=200)(self._guarded("write", self.end_rule)),
            post("/v1/campaigns")(self._guarded("write", self.create_campaign)),
            post("/v1/campaigns/{name:str}/end", status_code=200)(
                self._guarded("write", partial(self.end_intent, "end-campaign"))
            ),
            post("/v1/baselines")(self._guarded("write", self.put_baseline)),
            post("/v1/baselines/{name:str}/end", status_code=200)(
                self._guarded("write", partial(self.end_intent, "end-baseline"))
            ),
            post("/v1/webhooks")(self._guarded("write", self.add_webhook)),
            *(
                post(path, status_code=200)(self._guarded("write", partial(self.named, endpoint, field)))
                for path, endpoint, field in NAMED
            ),
        ]

    def _guarded(self, scope: Scope, work: Callable[[HTTP], Any]) -> Callable[..., Any]:
        async def handle(request: HTTP) -> Response[bytes]:
            self._gate.admit(request, scope)
            done: Response[bytes] = await work(request)
            return done

        return handle

    async def question(self, route: Route, request: HTTP) -> Response[bytes]:
        """One of ``ROUTES``."""
        form = chosen(request, listed=route.rows is not None)
        given = None if route.named is None else named(str(request.path_params[route.named]).removeprefix("/"))
        ask = route.read(query_of(request), given)

        def work(door: Door, ask: Ask) -> Rendered:
            reply = route.answer(door, ask)
            self._tally.told("http", reply)
            return render(reply, form, rows=route.rows, tag=route.tag)

        return response(request, await self._asker.ask(route.endpoint, ask, work))

    async def can_migrate(self, request: HTTP) -> Response[bytes]:
        """Many pairs."""
        form = chosen(request, listed=True)
        asked = await _posted(request, CanMigrate)
        async with self._asker.within():
            reply = await (self._in_full(asked) if asked.explain else self._briefly(asked))
        self._tally.told("http", reply)
        return response(request, render(reply, form, rows="answers"))

    async def _briefly(self, asked: CanMigrate) -> BriefAnswers:
        if len(asked.pairs) > MAX_PAIRS:
            raise _too_many(len(asked.pairs), MAX_PAIRS)
        ask = _ask(asked, pairs=asked.pairs)
        devices = {pair.device for pair in asked.pairs}
        each_blocks = self._asker.blocks("can-migrate-batch", ask) and len(asked.pairs) < WORTH_IT * len(devices)
        size = AT_ONCE if each_blocks else MAX_PAIRS
        parts = [
            await self._asker.ask(
                "can-migrate-batch", structs.replace(ask, pairs=part), partial(answer, "can-migrate-batch")
            )
            for part in _parts(asked.pairs, size)
        ]
        answers = tuple(each for part in parts for each in part.answers)
        return BriefAnswers.of(answers, max(part.position for part in parts), ask.moment, parts[0].answered_at)

    async def _in_full(self, asked: CanMigrate) -> ExplainedAnswers:
        if len(asked.pairs) > MAX_EXPLAINED:
            raise _too_many(len(asked.pairs), MAX_EXPLAINED)
        now = datetime.now(UTC)
        answers = [
            await self._asker.ask("can-migrate", _ask(asked, device=pair.device, host=pair.to), partial(_in_full, pair))
            for pair in asked.pairs
        ]
        for each in answers:
            self._tally.told("http", each.answer)
        position = max((each.answer.position for each in answers if each.answer is not None), default=0)
        whole = BriefAnswers.of((), position, _ask(asked).moment, now)
        return ExplainedAnswers(tuple(answers), position, whole.answered_at, whole.as_of, whole.snapshot)

    async def add_rule(self, request: HTTP) -> Response[bytes]:
        """Add a rule; its id is given."""
        return await self._decide(request, "add-rule", Decide(rule=await _posted(request, Rule)), 201)

    async def end_rule(self, request: HTTP) -> Response[bytes]:
        """End a rule."""
        end = await _posted(request, End)
        rule = named(str(request.path_params["rule"]))
        return await self._decide(request, "end-rule", Decide(name=rule, author=end.author, at=end.at), 200)

    async def record(self, request: HTTP) -> Response[bytes]:
        """Answer a question, and record the answer. With a token it is the token's name that asks."""
        draft, who = await _posted(request, DecisionDraft), request.scope.get("auth")
        if who is not None:
            draft = structs.replace(draft, author=who, asked_for=draft.asked_for or draft.author or None)
        return await self._decide(request, "record-decision", Decide(decision=draft), 201)

    async def report(self, request: HTTP) -> Response[bytes]:
        """Keep how a real migration ended. With a token it is the token's name that reports."""
        draft = _by(await _posted(request, OutcomeDraft), request)
        return await self._decide(request, "report-outcome", Decide(outcome=draft), 201)

    async def create_campaign(self, request: HTTP) -> Response[bytes]:
        """Create a campaign. With a token it is the token's name that decides."""
        draft = _by(await _posted(request, CampaignDraft), request)
        return await self._decide(request, "create-campaign", Decide(campaign=draft), 201)

    async def put_baseline(self, request: HTTP) -> Response[bytes]:
        """Keep a baseline, or its next version. With a token it is the token's name that decides."""
        draft = _by(await _posted(request, BaselineDraft), request)
        return await self._decide(request, "put-baseline", Decide(baseline=draft), 201)

    async def end_intent(self, endpoint: str, request: HTTP) -> Response[bytes]:
        """End a campaign or a baseline."""
        end = _by(await _posted(request, EndIntent), request)
        name = named(str(request.path_params["name"]))
        return await self._decide(request, endpoint, Decide(name=name, author=end.author, reason=end.reason), 200)

    async def add_webhook(self, request: HTTP) -> Response[bytes]:
        """Subscribe to events. With a token it is the token's name that subscribes."""
        draft, who = await _posted(request, WebhookDraft), request.scope.get("auth")
        draft = draft if who is None else structs.replace(draft, author=who)
        return await self._decide(request, "add-webhook", Decide(webhook=draft), 201)

    async def named(self, endpoint: str, field: str, request: HTTP) -> Response[bytes]:
        """Something about a webhook or delivery that the path names."""
        by, who = await _posted(request, By), request.scope.get("auth")
        name = named(str(request.path_params[field]))
        return await self._decide(request, endpoint, Decide(name=name, author=who or by.author), 200)

    async def _decide(self, request: HTTP, endpoint: str, asked: Decide, status: int) -> Response[bytes]:
        form = chosen(request, listed=False)
        decided = await self._asker.apart(partial(decide, endpoint, self._decisions, asked))
        who = request.scope.get("auth")
        if who is not None:
            what = decided.name if hasattr(decided, "name") else decided.id
            self._say(f"http.decided endpoint={endpoint} id={what} token={who!r}")
        return response(request, render(decided, form), status=status)

    async def explain(self, request: HTTP) -> Response[bytes]:
        """A reason code in plain words."""
        form = chosen(request, listed=False)
        return response(request, render(explained(named(str(request.path_params["code"]))), form, tag="facts"))


def _by(draft: T, request: HTTP) -> T:
    """Somebody's draft: with a token its author is the token's name."""
    who = request.scope.get("auth")
    return draft if who is None else structs.replace(draft, author=who)  # type: ignore[type-var]


def _path(route: Route) -> str:
    """The path as Litestar writes it; a device's and a history's name may have slashes, hosts and intents have none."""
    if route.named is None:
        return route.path
    kind = "str" if route.named == "host" or route.path.startswith(_INTENTS) else "path"
    return route.path.replace(f"{{{route.named}}}", f"{{{route.named}:{kind}}}")


async def _posted(request: HTTP, kind: type[T]) -> T:
    """The body. Raises ``RefusedError`` (415), ``DecodeError`` (BAD_REQUEST)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise RefusedError(415, "MEDIA_TYPE", f"the body must be {JSON}, and say so by Content-Type")
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the request can't be read: {error}", code="BAD_REQUEST") from error


def _ask(asked: CanMigrate, **fields: Any) -> Ask:
    return Ask(
        as_of=asked.as_of,
        known_at=asked.known_at,
        snapshot=asked.snapshot,
        stale_after_s=asked.stale_after_s,
        **fields,
    )


def _in_full(pair: PairAsked, door: Door, ask: Ask) -> Explained:
    try:
        return Explained(pair.device, pair.to, answer=answer("can-migrate", door, ask))
    except UsageError as error:
        return Explained(pair.device, pair.to, problem=problem_of(error))


def _parts(pairs: Sequence[PairAsked], size: int) -> list[tuple[PairAsked, ...]]:
    """At least one, for an empty question has an answer too."""
    return [tuple(pairs[first : first + size]) for first in range(0, len(pairs), size)] or [()]


def _too_many(count: int, most: int) -> UsageError:
    return UsageError(f"{count} pairs in one question; at most {most} are answered", code="TOO_MANY_PAIRS")
