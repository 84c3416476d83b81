"""A door to a fleet index in this process: questions about now from memory, all others of the door behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from msgspec import structs

from mdevreg.blame import Blame
from mdevreg.compatibility import Rules
from mdevreg.decisions import Decision, DecisionDraft, DecisionList, DecisionsAsked
from mdevreg.differing import DifferenceAsked, DifferencePage
from mdevreg.distribution import Distribution, DistributionAsked, check
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import (
    NOW,
    Candidates,
    Drivers,
    DriverSpread,
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
from mdevreg.fleet import FleetView, Matrix
from mdevreg.fleet.spreading import shares_in
from mdevreg.logged import LogAsked, LogPage, TimelineAsked, TimelinePage
from mdevreg.moments import snapshot_of
from mdevreg.outcomes import OutcomeDraft, OutcomeList, OutcomeReport, OutcomesAsked, listed
from mdevreg.query.batch import Asked, BriefAnswer, BriefAnswers, one_by_one, problem_of
from mdevreg.query.behind_intents import BehindIntents
from mdevreg.query.behind_webhooks import BehindWebhooks
from mdevreg.query.door import Door
from mdevreg.query.fleet_pages import page_of
from mdevreg.query.fleet_planning import FleetPlanning
from mdevreg.query.mapping import AcceptedKinds
from mdevreg.query.names import possible
from mdevreg.query.pages import PageAsked, TargetPage, page_for
from mdevreg.records import DriverBuild
from mdevreg.rules import Rule, Scope
from mdevreg.stragglers import Stragglers, StragglersAsked
from mdevreg.times import micros
from mdevreg.trends import Trend, TrendAsked
from mdevreg.upgrades import UpgradePage, UpgradesAsked


def now_utc() -> datetime:
    """The clock of snapshot tokens."""
    return datetime.now(UTC)


class FleetDoor(BehindIntents, BehindWebhooks, FleetPlanning):
    """``mdevreg.query.door.Door`` over an index. ``view``: its newest snapshot; ``behind``: who knows the rest.

    ``patient``: errors about unknown names tell the nearest known ones; else they have them looked for later
    (``NotFoundError.completed``).
    """

    patient = True

    def __init__(
        self, view: Callable[[], FleetView], behind: Callable[[], Door], *, clock: Callable[[], datetime] = now_utc
    ) -> None:
        super().__init__()
        self._view, self._behind, self._clock = view, behind, clock

    def hosts(self, moment: Moment) -> Hosts:
        """Every host, by hostname, then id."""
        if moment != NOW:
            return self._behind().hosts(moment)
        view = self._view()
        sides = view.sides()
        entries = sorted(view.directory.entries(), key=lambda entry: (entry.hostname, entry.host))
        summaries = (
            HostSummary(
                sides.evidence(entry),
                entry.kernel_release,
                parents=len(entry.layout.parents),
                types=len(entry.layout.slots),
                devices=len(entry.devices),
            )
            for entry in entries
        )
        return Hosts(view.position, tuple(summaries), self._snapshot(view))

    def host(self, name: str, moment: Moment) -> HostView:
        """Everything known of one host: the index has no documents."""
        return self._behind().host(name, moment)

    def pair(self, device: str, host: str, moment: Moment) -> Pair:
        """A source, and all that one target host offers."""
        if moment != NOW:
            return self._behind().pair(device, host, moment)
        with self._told():
            return self._view().pair(possible(device), possible(host))

    def candidates(self, device: str, moment: Moment) -> Candidates:
        """A source, and every offer of its type in the fleet."""
        if moment != NOW:
            return self._behind().candidates(device, moment)
        with self._told():
            return self._view().candidates(possible(device))

    def history(self, name: str, moment: Moment, limit: int, kind: HistoryKind | None = None) -> History:
        """The last ``limit`` changes of what has that name, oldest first."""
        return self._behind().history(name, moment, limit, kind)

    def diff(self, asked: DifferenceAsked) -> DifferencePage:
        """One page of what differs between two moments: the index has no past."""
        return self._behind().diff(asked)

    def entries(self, asked: LogAsked) -> LogPage:
        """One page of the log: it is the registry's."""
        return self._behind().entries(asked)

    def timelines(self, asked: TimelineAsked) -> TimelinePage:
        """One page of the rows of a table of timelines."""
        return self._behind().timelines(asked)

    def blame(self, device: str, to: str, moment: Moment, limit: int) -> Blame:
        """Since when an answer is what it is, and what made it so."""
        return self._behind().blame(device, to, moment, limit)

    def drivers(self, moment: Moment) -> Drivers:
        """The driver builds of the fleet, by name, then most hosts first."""
        if moment != NOW:
            return self._behind().drivers(moment)
        view = self._view()
        hosts: Counter[DriverBuild] = Counter()
        parents: Counter[DriverBuild] = Counter()
        for layout, count in Counter(entry.layout for entry in view.directory.entries()).items():
            builds = [build for parent in layout.parents for build in parent.builds]
            for build, times in Counter(builds).items():
                hosts[build] += count
                parents[build] += count * times
        spread = (DriverSpread(build, hosts[build], parents[build]) for build in hosts)
        ordered = sorted(spread, key=lambda each: (each.build.name, -each.hosts, repr(each.build)))
        return Drivers(view.position, tuple(ordered), self._snapshot(view))

    def loading(self, form: str, moment: Moment) -> Offers:
        """Every offer in the fleet whose driver build is known to load streams of a format."""
        if moment != NOW:
            return self._behind().loading(form, moment)
        return self._view().loading(possible(form))

    def rules(self, moment: Moment) -> RuleList:
        """Every operators' rule that was known, ended ones included, oldest first."""
        if moment != NOW:
            return self._behind().rules(moment)
        view = self._view()
        return structs.replace(view.rule_list(), snapshot=self._snapshot(view))

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule: a decision is the registry's."""
        return self._behind().add_rule(draft)

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule: a decision is the registry's."""
        return self._behind().end_rule(rule, at=at, author=author)

    def decisions(self, asked: DecisionsAsked) -> DecisionList:
        """Recorded answers: the registry has them."""
        return self._behind().decisions(asked)

    def decision(self, name: str) -> Decision:
        """A recorded answer: the registry has it."""
        return self._behind().decision(name)

    def record(self, draft: DecisionDraft) -> Decision:
        """Have an answer recorded: the registry gives it, of its own facts."""
        return self._behind().record(draft)

    def outcomes(self, asked: OutcomesAsked) -> OutcomeList:
        """The newest of some reports of real migrations, oldest first."""
        if Moment(asked.as_of, asked.known_at) != NOW:
            return self._behind().outcomes(asked)
        view = self._view()
        with self._told():
            host = None if asked.host is None else view.directory.host(possible(asked.host)).host
        return listed(view.knowledge.tried, structs.replace(asked, host=host), view.position)

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Report how a real migration ended."""
        return self._behind().report(draft)

    def briefs(self, pairs: Sequence[Asked], moment: Moment, *, stale_after_s: float, now: datetime) -> BriefAnswers:
        """The answers to many pairs, all of one snapshot. Problems tell no nearest names: there may be thousands."""
        if moment != NOW:
            rules = Rules(stale_after_s=stale_after_s)
            return one_by_one(self._behind(), pairs, now=now, moment=moment, rules=rules)
        view, now_us, age_us = self._view(), micros(now), int(stale_after_s * 1e6)
        answers = tuple([_brief(view, pair, now_us, age_us) for pair in pairs])
        return BriefAnswers.of(answers, view.position, moment, now)

    def targets_page(self, asked: PageAsked, *, now: datetime) -> TargetPage:
        """One page of the hosts that could take a device."""
        if asked.moment == NOW:
            with self._told():
                return page_of(self._view(), asked, now=now)
        return page_for(self._behind(), asked, now=now)

    def matrix(self, sources: Scope, targets: Scope, *, now: datetime) -> Matrix:
        """Every kind that some hosts offer against every kind of its type that others do."""
        return self._view().matrix(sources, targets, now_us=micros(now))

    def accepting(self, host: str, *, now: datetime) -> AcceptedKinds:
        """What would become of each kind at a host."""
        view = self._view()
        with self._told():
            entry = view.directory.host(possible(host))
        accepted = view.accepting(entry.host, now_us=micros(now))
        return AcceptedKinds(entry.host, entry.hostname, accepted, view.position, now)

    def _snapshot(self, view: FleetView) -> str:
        return snapshot_of(view.position, self._clock())

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except NotFoundError as error:
            raise (error.completed() if self.patient else error) from None

    def distribution(self, asked: DistributionAsked) -> Distribution:
        """The driver builds of the fleet, and what they save and load, counted by group."""
        if asked.moment != NOW:
            return self._behind().distribution(asked)
        view = self._view()
        return Distribution(view.position, shares_in(view, check(asked)), self._snapshot(view), asked.by)

    def trend(self, asked: TrendAsked) -> Trend:
        """How many hosts ran which driver build, time after time: the index has no past."""
        return self._behind().trend(asked)

    def upgrades(self, asked: UpgradesAsked) -> UpgradePage:
        """The newest of some upgrades."""
        return self._behind().upgrades(asked)

    def stragglers(self, asked: StragglersAsked) -> Stragglers:
        """Hosts that are behind: the index does not know since when."""
        return self._behind().stragglers(asked)

    def close(self) -> None:
        """Close the door behind. Closing twice is allowed."""
        self._behind().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _brief(view: FleetView, pair: Asked, now_us: int, age_us: int) -> BriefAnswer:
    try:
        answer = view.can_migrate(possible(pair.device), possible(pair.to), now_us=now_us, max_age_us=age_us)
    except UsageError as error:
        return BriefAnswer(pair.device, pair.to, problem=problem_of(error))
    return BriefAnswer(pair.device, pair.to, answer=answer)
