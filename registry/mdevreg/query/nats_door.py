"""The NATS door: asks a registry's query service. Calls block; a thread of the door's own runs the connection.

A door may be used from any thread (Nova-style services), and from asyncio by ``asyncio.to_thread``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from msgspec import structs
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError

from mdevreg import logged, subjects
from mdevreg.addresses import shown
from mdevreg.blame import Blame
from mdevreg.decisions import Decision, DecisionDraft, DecisionList, DecisionsAsked
from mdevreg.differing import DifferenceAsked, DifferencePage, fields_of
from mdevreg.errors import NotFoundError, RemoteError, StateError, UnreachableError, UsageError
from mdevreg.event_filter import EventsAsked
from mdevreg.facts import Candidates, Drivers, History, HistoryKind, Hosts, HostView, Moment, Offers, Pair, RuleList
from mdevreg.fleet import Matrix
from mdevreg.logged import LogAsked, LogPage, TimelineAsked, TimelinePage
from mdevreg.outcomes import OutcomeDraft, OutcomeList, OutcomeReport, OutcomesAsked, refuse_unprintable
from mdevreg.query.batch import Asked, BriefAnswers
from mdevreg.query.connection import connect, end_others
from mdevreg.query.event_stream import EventStream
from mdevreg.query.mapping import AcceptedKinds
from mdevreg.query.names import possible
from mdevreg.query.nats_webhooks import NatsWebhooks
from mdevreg.query.pages import PageAsked, TargetPage
from mdevreg.query.parts import in_parts
from mdevreg.query.remote_intents import RemoteIntents
from mdevreg.query.remote_planning import RemotePlanning
from mdevreg.query.requests import ErrorBody
from mdevreg.query.tracking import RemoteTracking
from mdevreg.rules import Rule, Scope, words_of

T = TypeVar("T")

#: How much longer a batch may take for each of its pairs.
PAIR_S = 0.02
#: And a question that looks through a history.
BLAME_S = 20.0
#: And one that looks at the whole fleet: progress of a campaign, who deviates from a baseline.
INTENT_S = 30.0


def open_nats(url: str, *, timeout_s: float, creds: str | None) -> NatsDoor:
    """Connect to a broker. Raises ``UnreachableError`` or ``AuthError``."""
    door = NatsDoor(url, timeout_s=timeout_s)
    try:
        door.connect(creds)
    except BaseException:
        door.close()
        raise
    return door


class NatsDoor(RemoteTracking, RemoteIntents, RemotePlanning, NatsWebhooks):
    """``mdevreg.query.door.Door`` over the services API."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url, self._shown, self._timeout_s = url, shown(url), timeout_s
        self._client = Client()
        self._connected = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mdevreg-nats-door", daemon=True)
        self._thread.start()

    def connect(self, creds: str | None) -> None:
        """Connect once, within the door's time-out; afterwards the client reconnects by itself."""
        self._run(connect(self._client, self._url, creds=creds, timeout_s=self._timeout_s, name="mdevreg"))
        self._connected = True

    def hosts(self, moment: Moment) -> Hosts:
        """Every host, by hostname, then id."""
        return self._ask("hosts", Hosts, moment)

    def host(self, name: str, moment: Moment) -> HostView:
        """Everything known of one host."""
        return self._ask("host", HostView, moment, host=name)

    def pair(self, device: str, host: str, moment: Moment) -> Pair:
        """A source, and all that one target host offers."""
        return self._ask("pair", Pair, moment, device=device, host=host)

    def candidates(self, device: str, moment: Moment) -> Candidates:
        """A source, and every offer of its type in the fleet."""
        return self._ask("candidates", Candidates, moment, device=device)

    def history(self, name: str, moment: Moment, limit: int, kind: HistoryKind | None = None) -> History:
        """The last ``limit`` changes of what has that name, oldest first."""
        return self._ask("history", History, moment, name=name, limit=limit, kind=kind)

    def diff(self, asked: DifferenceAsked) -> DifferencePage:
        """One page of what differs between two moments."""
        return self._ask("diff", DifferencePage, asked.end, **fields_of(asked))

    def entries(self, asked: LogAsked) -> LogPage:
        """One page of the log, no larger than the broker's messages may be."""
        largest = max(logged.MIN_BYTES, self._client.max_payload * 2 // 5)
        fields = {**logged.fields_of(asked), "max_bytes": min(asked.max_bytes, largest)}
        return self._request(subjects.query("entries"), msgspec.json.encode(fields), LogPage)

    def timelines(self, asked: TimelineAsked) -> TimelinePage:
        """One page of the rows of a table of timelines."""
        return self._request(subjects.query("timelines"), msgspec.json.encode(logged.fields_of(asked)), TimelinePage)

    def blame(self, device: str, to: str, moment: Moment, limit: int) -> Blame:
        """Since when an answer is what it is, and what made it so. It may take ``BLAME_S`` longer than others."""
        timeout_s = self._timeout_s + BLAME_S
        return self._ask("blame", Blame, moment, timeout_s=timeout_s, device=device, host=to, limit=limit)

    def drivers(self, moment: Moment) -> Drivers:
        """The driver builds of the fleet."""
        return self._ask("drivers", Drivers, moment)

    def loading(self, form: str, moment: Moment) -> Offers:
        """Every offer in the fleet whose driver build is known to load streams of a format."""
        return self._ask("loading", Offers, moment, format=form)

    def briefs(self, pairs: Sequence[Asked], moment: Moment, *, stale_after_s: float, now: datetime) -> BriefAnswers:
        """The answers to many pairs, asked in as many requests as the broker's largest message makes necessary.

        They tell the registry's time, not ``now``, and the newest position of them all. Each request may take
        ``PAIR_S`` longer for each of its pairs: a registry may have to ask its database for every one.
        """

        def ask(part: Sequence[Asked]) -> BriefAnswers:
            request = {"pairs": part, "stale_after_s": stale_after_s, **structs.asdict(moment)}
            timeout_s = self._timeout_s + PAIR_S * len(part)
            return self._request(
                subjects.query("can-migrate-batch"), msgspec.json.encode(request), BriefAnswers, timeout_s
            )

        return in_parts(pairs, self._client.max_payload, ask, now=now)

    def targets_page(self, asked: PageAsked, *, now: datetime) -> TargetPage:  # noqa: ARG002  (the registry has a clock)
        """One page of the hosts that could take a device; it tells the registry's time."""
        return self._ask(
            "targets-page",
            TargetPage,
            asked.moment,
            device=asked.device,
            stale_after_s=asked.stale_after_s,
            limit=asked.limit,
            outcome=asked.outcome,
            site=asked.site,
            cursor=asked.cursor,
        )

    def matrix(self, sources: Scope, targets: Scope, *, now: datetime) -> Matrix:  # noqa: ARG002  (the registry has a clock)
        """Every kind that some hosts offer against every kind of its type that others do."""
        return self._asked_now("matrix", Matrix, sources=words_of(sources), targets=words_of(targets))

    def accepting(self, host: str, *, now: datetime) -> AcceptedKinds:  # noqa: ARG002
        """What would become of each kind of the fleet at a host."""
        return self._asked_now("accepting", AcceptedKinds, host=host)

    def rules(self, moment: Moment) -> RuleList:
        """Every operators' rule that was known, ended ones included, oldest first."""
        return self._ask("rules", RuleList, moment)

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule; the registry gives it its id."""
        return self._request(subjects.decision("add-rule"), msgspec.json.encode({"rule": draft}), Rule)

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule at a time, ``None`` = now."""
        request = {"name": possible(rule), "at": at, "author": possible(author)}
        return self._request(subjects.decision("end-rule"), msgspec.json.encode(request), Rule)

    def decisions(self, asked: DecisionsAsked) -> DecisionList:
        """The newest of some recorded answers, oldest first."""
        return self._asked_for("decisions", asked, DecisionList)

    def decision(self, name: str) -> Decision:
        """The recorded answer of that id, as it was told."""
        return self._asked_now("decision", Decision, name=name)

    def record(self, draft: DecisionDraft) -> Decision:
        """Have a question answered, and the answer recorded."""
        return self._decided("record-decision", "decision", draft, Decision)

    def outcomes(self, asked: OutcomesAsked) -> OutcomeList:
        """The newest of some reports of real migrations, oldest first."""
        return self._asked_for("outcomes", asked, OutcomeList)

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Report how a real migration ended."""
        return self._decided("report-outcome", "outcome", draft, OutcomeReport)

    def events(self, asked: EventsAsked) -> EventStream:
        """Events as they are told: ``mdevreg.query.events``."""
        return EventStream(self._client, self._submit, asked).open()

    def close(self) -> None:
        """Close the connection and end the thread."""
        if self._loop.is_closed():
            return
        if self._connected:  # nats-py will not close what was never open
            asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(self._timeout_s + 1)
        asyncio.run_coroutine_threadsafe(end_others(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _planned(self, endpoint: str, kind: type[T], moment: Moment, fields: dict[str, Any], longer_s: float) -> T:
        return self._ask(endpoint, kind, moment, timeout_s=self._timeout_s + longer_s, **fields)

    def _tracked(self, endpoint: str, kind: type[T], moment: Moment, fields: dict[str, Any]) -> T:
        return self._ask(endpoint, kind, moment, timeout_s=self._timeout_s + BLAME_S, **fields)

    def _told(self, endpoint: str, kind: type[T], **fields: Any) -> T:
        timeout_s = self._timeout_s + INTENT_S
        return self._request(subjects.query(endpoint), msgspec.json.encode(fields), kind, timeout_s)

    def _intended(self, endpoint: str, kind: type[T], **fields: Any) -> T:
        return self._request(subjects.decision(endpoint), msgspec.json.encode(fields), kind)

    def _asked_now(self, endpoint: str, kind: type[T], **fields: str) -> T:
        request = msgspec.json.encode({name: possible(value) for name, value in fields.items()})
        return self._request(subjects.query(endpoint), request, kind)

    def _asked_for(self, endpoint: str, asked: msgspec.Struct, kind: type[T]) -> T:
        refuse_unprintable(asked, "a question")
        return self._request(subjects.query(endpoint), msgspec.json.encode(asked), kind)

    def _decided(self, endpoint: str, field: str, draft: msgspec.Struct, kind: type[T]) -> T:
        refuse_unprintable(draft, "a request")
        return self._request(subjects.decision(endpoint), msgspec.json.encode({field: draft}), kind)

    def _ask(
        self, endpoint: str, kind: type[T], moment: Moment, /, *, timeout_s: float | None = None, **fields: Any
    ) -> T:
        for value in fields.values():
            if isinstance(value, str):
                possible(value)
        request = msgspec.json.encode({**fields, "as_of": moment.as_of, "known_at": moment.known_at})
        return self._request(subjects.query(endpoint), request, kind, timeout_s)

    def _request(self, subject: str, request: bytes, kind: type[T], timeout_s: float | None = None) -> T:
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            reply = self._run(self._client.request(subject, request, timeout=timeout_s))
        except NoRespondersError as error:
            raise UnreachableError(f"no registry answers at {self._shown}; is mdevreg-server running there?") from error
        except (TimeoutError, ConnectionClosedError) as error:
            raise UnreachableError(f"no answer from {self._shown} within {timeout_s:g} s") from error
        if reply.headers and "Nats-Service-Error-Code" in reply.headers:
            raise _error(reply.headers, reply.data)
        return msgspec.json.decode(reply.data, type=kind)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._submit(work).result()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop.is_closed():
            work.close()
            raise StateError("this door is closed; open another", code="CLOSED")
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _error(headers: dict[str, str], body: bytes) -> Exception:
    """The registry's error as the one that the SQL door would raise."""
    try:
        told = msgspec.json.decode(body, type=ErrorBody)
    except msgspec.MsgspecError:
        return RemoteError(f"the registry failed: {headers.get('Nats-Service-Error')}")
    if told.code == NotFoundError.code:
        return NotFoundError(told.kind, told.name, told.nearest)
    if headers["Nats-Service-Error-Code"] in {"400", "413"}:
        return UsageError(told.message, code=told.code)
    return RemoteError(told.message, code=told.code)
