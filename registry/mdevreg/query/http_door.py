"""The HTTP door: asks a registry's HTTP face (``docs/http.md``). Standard library only; usable from any thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import structs

from mdevreg import logged
from mdevreg.blame import Blame
from mdevreg.decisions import Decision, DecisionDraft, DecisionList, DecisionsAsked
from mdevreg.differing import DifferenceAsked, DifferencePage, fields_of
from mdevreg.errors import AuthError, MdevregError, NotFoundError, RemoteError, UnreachableError, UsageError
from mdevreg.facts import (
    NOW,
    Candidates,
    Drivers,
    History,
    HistoryKind,
    Hosts,
    HostSummary,
    HostView,
    Moment,
    Offers,
    Pair,
    RuleList,
)
from mdevreg.fleet import Matrix
from mdevreg.logged import LogAsked, LogPage, TimelineAsked, TimelinePage
from mdevreg.outcomes import OutcomeDraft, OutcomeList, OutcomeReport, OutcomesAsked, refuse_unprintable
from mdevreg.query.batch import Asked, BriefAnswers
from mdevreg.query.http_link import Link, Reply
from mdevreg.query.http_webhooks import HttpWebhooks
from mdevreg.query.mapping import AcceptedKinds
from mdevreg.query.names import possible, segment
from mdevreg.query.pages import PageAsked, TargetPage
from mdevreg.query.parts import in_parts
from mdevreg.query.remote_intents import PATHS, RemoteIntents
from mdevreg.query.remote_planning import PLANS, RemotePlanning
from mdevreg.query.tracking import RemoteTracking
from mdevreg.rules import Rule, Scope, words_of

T = TypeVar("T")

#: Longest body that a registry reads.
MAX_BODY_BYTES = 1024 * 1024
#: Hosts of one page; few fleets need a second one.
HOSTS_AT_ONCE = 100_000


_TRACKED = {
    "distribution": "/v1/drivers/distribution",
    "trend": "/v1/drivers/trend",
    "upgrades": "/v1/upgrades",
    "stragglers": "/v1/upgrades/stragglers",
}


class _Hosts(Hosts, frozen=True):
    next: str | None = None


class _Problem(msgspec.Struct, frozen=True):
    """An RFC 9457 body, as far as a door looks at it."""

    code: str
    detail: str
    nearest: tuple[str, ...] = ()
    kind: str = ""
    name: str = ""


def open_http(url: str, *, timeout_s: float, creds: str | None) -> HttpDoor:
    """Connect once. ``creds``: a file that holds a bearer token. Raises ``UnreachableError``, ``AuthError``."""
    link = Link(url, timeout_s=timeout_s, creds=creds)
    try:
        link.connect()
    except MdevregError:
        link.close()
        raise
    return HttpDoor(link)


class HttpDoor(RemoteTracking, RemoteIntents, RemotePlanning, HttpWebhooks):
    """``mdevreg.query.door.Door``, ``NearDoor`` and ``PagingDoor`` over HTTP."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def hosts(self, moment: Moment) -> Hosts:
        """Every host, by hostname, then id."""
        found: list[HostSummary] = []
        page = self._ask("/v1/hosts", _Hosts, moment, limit=HOSTS_AT_ONCE)
        position, snapshot = page.position, page.snapshot
        while page.next is not None:
            found += page.hosts
            page = self._ask("/v1/hosts", _Hosts, moment, limit=HOSTS_AT_ONCE, cursor=page.next)
        return Hosts(position, (*found, *page.hosts), snapshot, page.retention)

    def host(self, name: str, moment: Moment) -> HostView:
        """Everything known of one host."""
        return self._ask(f"/v1/hosts/{segment('host', name)}", HostView, moment)

    def pair(self, device: str, host: str, moment: Moment) -> Pair:
        """A source, and all that one target host offers."""
        return self._ask("/v1/pair", Pair, moment, device=device, host=host)

    def candidates(self, device: str, moment: Moment) -> Candidates:
        """A source, and every offer of its type in the fleet."""
        return self._ask("/v1/candidates", Candidates, moment, device=device)

    def history(self, name: str, moment: Moment, limit: int, kind: HistoryKind | None = None) -> History:
        """The last ``limit`` changes of what has that name, oldest first."""
        path = f"/v1/history/{segment('host, device, driver, type or rule', name)}"
        return self._ask(path, History, moment, limit=limit, kind=kind)

    def diff(self, asked: DifferenceAsked) -> DifferencePage:
        """One page of what differs between two moments."""
        return self._ask("/v1/diff", DifferencePage, asked.end, **fields_of(asked))

    def entries(self, asked: LogAsked) -> LogPage:
        """One page of the log."""
        return self._ask("/v1/entries", LogPage, NOW, **logged.fields_of(asked))

    def timelines(self, asked: TimelineAsked) -> TimelinePage:
        """One page of the rows of a table of timelines."""
        return self._ask("/v1/timelines", TimelinePage, Moment(None, asked.known_at), **_without(asked))

    def blame(self, device: str, to: str, moment: Moment, limit: int) -> Blame:
        """Since when an answer is what it is, and what made it so."""
        return self._ask("/v1/blame", Blame, moment, device=device, host=to, limit=limit)

    def drivers(self, moment: Moment) -> Drivers:
        """The driver builds of the fleet."""
        return self._ask("/v1/drivers", Drivers, moment)

    def loading(self, form: str, moment: Moment) -> Offers:
        """Every offer in the fleet whose driver build is known to load streams of a format."""
        return self._ask("/v1/loading", Offers, moment, format=form)

    def matrix(self, sources: Scope, targets: Scope, *, now: datetime) -> Matrix:  # noqa: ARG002  (the registry has a clock)
        """Every kind that some hosts offer against every kind of its type that others do."""
        said: dict[str, Any] = {
            name: words for name, scope in (("sources", sources), ("targets", targets)) if (words := words_of(scope))
        }
        return self._ask("/v1/matrix", Matrix, NOW, **said)

    def accepting(self, host: str, *, now: datetime) -> AcceptedKinds:  # noqa: ARG002
        """What would become of each kind of the fleet at a host."""
        return self._ask(f"/v1/hosts/{segment('host', host)}/accepting", AcceptedKinds, NOW)

    def rules(self, moment: Moment) -> RuleList:
        """Every operators' rule that was known, ended ones included, oldest first."""
        return self._ask("/v1/rules", RuleList, moment)

    def briefs(self, pairs: Sequence[Asked], moment: Moment, *, stale_after_s: float, now: datetime) -> BriefAnswers:
        """The answers to many pairs, in as many requests as the longest body makes necessary.

        They tell the registry's time, not ``now``, and the newest position of them all.
        """
        times = {"as_of": moment.as_of, "known_at": moment.known_at, "stale_after_s": stale_after_s}

        def ask(part: Sequence[Asked]) -> BriefAnswers:
            return self._post("/v1/can-migrate", {"pairs": part, **times}, BriefAnswers)

        return in_parts(pairs, MAX_BODY_BYTES, ask, now=now)

    def targets_page(self, asked: PageAsked, *, now: datetime) -> TargetPage:  # noqa: ARG002  (the registry has a clock)
        """One page of the hosts that could take a device; it tells the registry's time."""
        return self._ask(
            "/v1/targets",
            TargetPage,
            asked.moment,
            device=asked.device,
            stale_after_s=asked.stale_after_s,
            limit=asked.limit,
            outcome=asked.outcome,
            site=asked.site,
            cursor=asked.cursor,
        )

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule; the registry gives it its id."""
        return self._post("/v1/rules", draft, Rule)

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule at a time, ``None`` = now."""
        body = {"author": possible(author), "at": at}
        return self._post(f"/v1/rules/{segment('rule', rule)}/end", body, Rule, again=False)

    def decisions(self, asked: DecisionsAsked) -> DecisionList:
        """The newest of some recorded answers, oldest first."""
        return self._ask("/v1/decisions", DecisionList, NOW, **structs.asdict(asked))

    def decision(self, name: str) -> Decision:
        """The recorded answer of that id, as it was told."""
        return self._ask(f"/v1/decisions/{segment('decision', name)}", Decision, NOW)

    def record(self, draft: DecisionDraft) -> Decision:
        """Have a question answered, and the answer recorded."""
        refuse_unprintable(draft, "a request")
        return self._post("/v1/decisions", draft, Decision, again=False)

    def outcomes(self, asked: OutcomesAsked) -> OutcomeList:
        """The newest of some reports of real migrations, oldest first."""
        fields = structs.asdict(asked)
        moment = Moment(fields.pop("as_of"), fields.pop("known_at"))
        return self._ask("/v1/outcomes", OutcomeList, moment, **fields)

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Report how a real migration ended."""
        refuse_unprintable(draft, "a request")
        return self._post("/v1/outcomes", draft, OutcomeReport, again=False)

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _planned(self, endpoint: str, kind: type[T], moment: Moment, fields: dict[str, Any], longer_s: float) -> T:
        return self._ask(PLANS[endpoint], kind, moment, longer_s=longer_s, **fields)

    def _tracked(self, endpoint: str, kind: type[T], moment: Moment, fields: dict[str, Any]) -> T:
        return self._ask(_TRACKED[endpoint], kind, moment, **fields)

    def _told(self, endpoint: str, kind: type[T], **fields: Any) -> T:
        path, moment = PATHS[endpoint], Moment(fields.pop("as_of", None), fields.pop("known_at", None))
        return self._ask(_filled(path, fields), kind, moment, **fields)

    def _intended(self, endpoint: str, kind: type[T], **fields: Any) -> T:
        path = _filled(PATHS[endpoint], fields)
        body = fields.get("campaign") or fields.get("baseline") or fields
        return self._post(path, body, kind, again=False)

    def _ask(self, path: str, kind: type[T], moment: Moment, /, *, longer_s: float = 0.0, **fields: Any) -> T:
        given = {**fields, "as_of": moment.as_of, "known_at": moment.known_at}
        query = {name: _text(value) for name, value in given.items() if value is not None}
        return self._decoded(
            self._link.ask("GET", f"{path}?{urlencode(query)}" if query else path, longer_s=longer_s), kind
        )

    def _post(self, path: str, body: Any, kind: type[T], *, again: bool = True) -> T:
        """``again``: asking twice does no more than asking once."""
        return self._decoded(self._link.ask("POST", path, msgspec.json.encode(body), again=again), kind)

    def _decoded(self, reply: Reply, kind: type[T]) -> T:
        if reply.status not in (200, 201):
            raise _error(reply, self._link.shown)
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RemoteError(f"{self._link.shown} gives no answer of a registry: {error}") from error


def _without(asked: TimelineAsked) -> dict[str, Any]:
    return {name: value for name, value in logged.fields_of(asked).items() if name != "known_at"}


def _filled(path: str, fields: dict[str, Any]) -> str:
    """A path with the name in it, if it has one: that is no field any more."""
    return path.replace("{name}", segment(path.split("/")[2], fields.pop("name"))) if "{name}" in path else path


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else possible(str(value))


def _error(reply: Reply, shown: str) -> MdevregError:
    """The registry's problem as the error that the SQL door would raise."""
    try:
        told = msgspec.json.decode(reply.body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return RemoteError(f"{shown} answers {reply.status} {reply.reason}, and not as a registry does")
    if told.code == NotFoundError.code:
        return NotFoundError(told.kind, told.name, told.nearest)
    kinds: dict[int, type[MdevregError]] = {
        400: UsageError,
        401: AuthError,
        403: AuthError,
        413: UsageError,
        429: UnreachableError,
        503: UnreachableError,
    }
    kind = kinds.get(reply.status, RemoteError)
    return kind(told.detail if kind is UsageError else f"{shown}: {told.detail}", code=told.code)
