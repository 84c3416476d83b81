"""The SQL door: facts straight from the registry's database, each answer from one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from msgspec import structs

from mdevreg.answering import answer_of
from mdevreg.blame import MAX_TURNS, Blame, Point, Said, said_of
from mdevreg.decisions import Decision, DecisionDraft, DecisionList, DecisionsAsked
from mdevreg.differing import MAX_HOSTS, DifferenceAsked, DifferencePage
from mdevreg.errors import MdevregError, UsageError
from mdevreg.facts import (
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
    Side,
)
from mdevreg.knowledge import supports_of
from mdevreg.logged import LogAsked, LogPage, TimelineAsked, TimelinePage
from mdevreg.moments import snapshot_of
from mdevreg.outcomes import OutcomeDraft, OutcomeList, OutcomeReport, OutcomesAsked, listed
from mdevreg.query.names import possible
from mdevreg.query.questions import answered
from mdevreg.query.reporting import report_of
from mdevreg.rules import Rule
from mdevreg.times import moment_of
from mdevreg_server import keeping, minutes, revision, tables
from mdevreg_server.alone import writing_alone
from mdevreg_server.amendments import Beliefs
from mdevreg_server.asking import LATEST, At, at
from mdevreg_server.audit.auditor import SqlAuditor
from mdevreg_server.blaming import Search, points_of
from mdevreg_server.builds import spread_of
from mdevreg_server.contrasts import (
    Contrast,
    host_at_either,
    page_of,
)
from mdevreg_server.documents import documents_of
from mdevreg_server.engine import converted, open_engine
from mdevreg_server.evidence import columns_of, evidence_of, find_host, joined
from mdevreg_server.histories import history_of
from mdevreg_server.intent_door import SqlIntents
from mdevreg_server.log_pages import log_page
from mdevreg_server.sides import Interned, offers_loading, offers_of, offers_of_type, source_of
from mdevreg_server.sql_planning import SqlPlanning
from mdevreg_server.sql_webhooks import SqlWebhooks
from mdevreg_server.tables import HostFact
from mdevreg_server.timeline_pages import timeline_page
from mdevreg_server.tracking import SqlTracking


def open_sql(url: str, *, timeout_s: float, creds: str | None) -> SqlDoor:  # noqa: ARG001  (one signature for all doors)
    """Open a database as a door. Raises ``WrongRevisionError`` unless it is at this program's revision."""
    engine = open_engine(url, writer=False, timeout_s=timeout_s)
    try:
        revision.check(engine)
    except MdevregError:
        engine.dispose()
        raise
    return SqlDoor(engine)


def now_utc() -> datetime:
    """The clock that tells the past from the future."""
    return datetime.now(UTC)


class SqlDoor(SqlTracking, SqlIntents, SqlPlanning, SqlWebhooks):
    """``mdevreg.query.door.Door`` over SQL. Usable from any thread. ``clock``: nothing later is asked about."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime] = now_utc) -> None:
        super().__init__()
        self.engine, self._clock = engine, clock
        self._beliefs = Beliefs()

    @contextmanager
    def _reading(self, moment: Moment, *, empty: bool = False) -> Iterator[tuple[sa.Connection, At]]:
        with converted(self.engine), self.engine.connect() as connection:
            yield connection, at(connection, moment, self._clock(), empty=empty)

    def _believed(self, connection: sa.Connection, when: At) -> Interned:
        """Profiles as the registry understood them at that moment."""
        return Interned(self._beliefs.at(connection, when.known_at))

    def hosts(self, moment: Moment) -> Hosts:
        """Every host, by hostname, then id."""
        with self._reading(moment) as (connection, when):
            facts = when.rows(HostFact)
            statement = sa.select(*columns_of(facts), facts.kernel_release).select_from(joined(facts, when))
            named = sa.func.coalesce(facts.hostname, tables.HostState.host)  # as evidence names it
            rows = list(connection.execute(statement.order_by(named, tables.HostState.host)))
            counts = [_counts(connection, table, when) for table in (tables.Parent, tables.Offer, tables.Device)]
            kept = keeping.retention(connection) if when.historical else None
        return Hosts(when.position, tuple(_summary(row, when, counts) for row in rows), when.snapshot, kept)

    def host(self, name: str, moment: Moment) -> HostView:
        """Everything known of one host."""
        with self._reading(moment) as (connection, when):
            evidence = find_host(connection, possible(name), when)
            interned = self._believed(connection, when)
            found = documents_of(connection, evidence.host, when, interned)
            kept = keeping.retention(connection) if when.historical or found.pruned else None
        whole = [parent for parent in found.parents if parent.path not in found.pruned]
        return HostView(
            position=when.position,
            evidence=evidence,
            facts=found.facts,
            parents=found.parents,
            supports=supports_of(whole, interned.knowledge) | found.supports,
            snapshot=when.snapshot,
            pruned=found.pruned,
            retention=kept,
        )

    def pair(self, device: str, host: str, moment: Moment) -> Pair:
        """A source, and all that one target host offers."""
        with self._reading(moment) as (connection, when):
            return self._pair(connection, possible(device), possible(host), when)

    def _pair(self, connection: sa.Connection, device: str, host: str, when: At) -> Pair:
        interned = self._believed(connection, when)
        source = source_of(connection, device, when, interned)
        target = find_host(connection, host, when)
        offers = offers_of(connection, target, when, interned)
        tried = _tried(interned, source, offers, when)
        return Pair(when.position, source, target, tuple(offers), _rules(interned), tried)

    def blame(self, device: str, to: str, moment: Moment, limit: int) -> Blame:
        """Since when the answer to a pair is what it is, and what made it so; the last ``limit`` turns."""
        if not 1 <= limit <= MAX_TURNS:
            raise UsageError(f"limit is {limit}; 1 to {MAX_TURNS} turns are told")
        device, to = possible(device), possible(to)
        with self._reading(moment) as (connection, when):
            known = self._beliefs.at(connection, when.known_at)
            search = Search(connection, points_of(connection, device, to, when, known, self._clock()))
            turns = search.turns(limit, lambda point: self._said(connection, device, to, point))
            now = turns[0].after if turns else self._said(connection, device, to, search.present(moment, self._clock()))
        return Blame(device, to, now, turns, search.looked, search.complete, when.position, moment.as_of, when.snapshot)

    def _said(self, connection: sa.Connection, device: str, to: str, point: Point) -> Said:
        """What would have been answered, on record, at a point."""
        moment = Moment(point.at, point.position)
        host, _, rest = to.partition("/")
        try:
            pair = self._pair(connection, device, host, at(connection, moment, point.at))
            return said_of(pair, answer_of(pair, rest, now=point.at, moment=moment))
        except UsageError as error:  # not known, or not unambiguous, then
            return Said(None, problem=error.message)

    def candidates(self, device: str, moment: Moment) -> Candidates:
        """A source, and every offer of its type in the fleet."""
        with self._reading(moment) as (connection, when):
            interned = self._believed(connection, when)
            source = source_of(connection, possible(device), when, interned)
            kind = source.profile.type
            offers = offers_of_type(connection, kind, when, interned) if kind is not None else []
        tried = _tried(interned, source, offers, when)
        return Candidates(when.position, source, tuple(offers), _rules(interned), tried)

    def loading(self, form: str, moment: Moment) -> Offers:
        """Every offer in the fleet whose driver build is known to load streams of a format."""
        with self._reading(moment) as (connection, when):
            interned = self._believed(connection, when)
            offers = offers_loading(connection, possible(form), when, interned)
        return Offers(when.position, tuple(offers), _rules(interned))

    def rules(self, moment: Moment) -> RuleList:
        """Every operators' rule that was known, ended ones included, oldest first."""
        # Rules may be in force at times that no host tells of, earlier and later ones.
        with self._reading(structs.replace(moment, as_of=None)) as (connection, when):
            known = _rules(self._believed(connection, when))
        return RuleList(when.position, known, snapshot_of(when.position, moment.as_of or self._clock()))

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule, where no registry is running on this database."""
        with writing_alone(self.engine.url) as book:
            return book.add_rule(draft)

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule, where no registry is running on this database."""
        with writing_alone(self.engine.url) as book:
            return book.end_rule(possible(rule), at=at, author=author)

    def history(self, name: str, moment: Moment, limit: int, kind: HistoryKind | None = None) -> History:
        """The last ``limit`` changes of what has that name, oldest first."""
        with self._reading(moment) as (connection, when):
            known = self._beliefs.at(connection, when.known_at)
            subject, changes = history_of(connection, possible(name), kind, when, known, limit)
            kept = keeping.retention(connection)
        return History(when.position, subject.host, changes, when.snapshot, kept, subject.kind)

    def diff(self, asked: DifferenceAsked) -> DifferencePage:
        """One page of what differs between two moments, host by host."""
        if not 1 <= asked.limit <= MAX_HOSTS:
            raise UsageError(f"limit is {asked.limit}; 1 to {MAX_HOSTS} hosts make a page")
        with self._reading(asked.end, empty=True) as (connection, end):
            begin = at(connection, asked.begin, self._clock(), empty=True)
            host = None if asked.host is None else host_at_either(connection, possible(asked.host), end, begin)
            contrast = Contrast(begin, end, host, asked.site, asked.capacity)
            return page_of(connection, contrast, asked, self._beliefs)

    def entries(self, asked: LogAsked) -> LogPage:
        """One page of the log."""
        with converted(self.engine), self.engine.connect() as connection:
            return log_page(connection, asked)

    def timelines(self, asked: TimelineAsked) -> TimelinePage:
        """One page of the rows of a table of timelines."""
        with converted(self.engine), self.engine.connect() as connection:
            return timeline_page(connection, asked)

    def drivers(self, moment: Moment) -> Drivers:
        """The driver builds of the fleet, by name, then most hosts first."""
        with self._reading(moment) as (connection, when):
            return Drivers(when.position, spread_of(connection, when), when.snapshot)

    @property
    def auditor(self) -> SqlAuditor:
        """Whoever verifies this database (``mdevreg.query.auditing``)."""
        return SqlAuditor(self.engine)

    def decisions(self, asked: DecisionsAsked) -> DecisionList:
        """The newest of some recorded answers, oldest first."""
        with converted(self.engine), self.engine.connect() as connection:
            return minutes.page(connection, asked)

    def decision(self, name: str) -> Decision:
        """The recorded answer of that id, as it was told."""
        with converted(self.engine), self.engine.connect() as connection:
            return minutes.decision_of(connection, name)

    def record(self, draft: DecisionDraft) -> Decision:
        """Answer a question, and record the answer, where no registry is running on this database."""
        answer = answered(self, draft, now=self._clock())
        with writing_alone(self.engine.url) as book:
            return book.record(draft, answer, via="sql")

    def outcomes(self, asked: OutcomesAsked) -> OutcomeList:
        """The newest of some reports of real migrations, oldest first."""
        with self._reading(Moment(asked.as_of, asked.known_at)) as (connection, when):
            host = None if asked.host is None else find_host(connection, possible(asked.host), when).host
            tried = self._beliefs.at(connection, when.known_at).tried
        return listed(tried, structs.replace(asked, host=host), when.position)

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Report how a real migration ended, where no registry is running on this database."""
        report = report_of(self, draft, now=self._clock())
        with writing_alone(self.engine.url) as book:
            return book.report(report)

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _rules(interned: Interned) -> tuple[Rule, ...]:
    return tuple(interned.knowledge.rules.values())


def _tried(interned: Interned, source: Side, offers: Iterable[Side], when: At) -> tuple[OutcomeReport, ...]:
    as_of = None if when.as_of == LATEST else moment_of(when.as_of)
    return interned.knowledge.tried_between(source.digest, (offer.digest for offer in offers), as_of)


def _counts(connection: sa.Connection, table: Any, when: At) -> dict[str, int]:
    there = when.rows(table)
    statement = sa.select(there.host, sa.func.count()).group_by(there.host)
    return {host: count for host, count in connection.execute(statement)}  # noqa: C416  (rows are no pairs to mypy)


def _summary(row: Any, when: At, counts: list[dict[str, int]]) -> HostSummary:
    parents, types, devices = (count.get(row.host, 0) for count in counts)
    return HostSummary(evidence_of(row, when), row.kernel_release, parents, types, devices)
