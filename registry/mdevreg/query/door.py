"""The one protocol of all doors.

Laws, checked by one contract suite against every door (``tests/contracts/door_contract.py``):

* A door returns facts, with what the registry concludes of each profile (``Side.support``), and never verdicts;
  every answer carries the log position it was read at.
* ``host`` names are an id or an unambiguous hostname. ``device`` names are an mdev uuid, ``HOST/VF`` (a PCI
  address), or ``HOST/PARENT/TYPE`` for a device that could be created there.
* An unknown name raises ``NotFoundError`` with the nearest known ones; nothing known of it at that moment too.
* A door may be used from any thread; calls block.
"""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from mdevreg.blame import Blame
from mdevreg.decisions import Decision, DecisionDraft, DecisionList, DecisionsAsked
from mdevreg.differing import DifferenceAsked, DifferencePage
from mdevreg.distribution import Distribution, DistributionAsked
from mdevreg.facts import Candidates, Drivers, History, HistoryKind, Hosts, HostView, Moment, Offers, Pair, RuleList
from mdevreg.logged import LogAsked, LogPage, TimelineAsked, TimelinePage
from mdevreg.outcomes import OutcomeDraft, OutcomeList, OutcomeReport, OutcomesAsked
from mdevreg.query.intending import IntentDoor
from mdevreg.rules import Rule
from mdevreg.stragglers import Stragglers, StragglersAsked
from mdevreg.trends import Trend, TrendAsked
from mdevreg.upgrades import UpgradePage, UpgradesAsked
from mdevreg.webhooks import DeliveriesAsked, Delivery, DeliveryList, Webhook, WebhookDraft, WebhookList


class Door(IntentDoor, Protocol):
    """Facts from a registry."""

    def hosts(self, moment: Moment) -> Hosts:
        """Every host, by hostname, then id."""
        ...

    def host(self, name: str, moment: Moment) -> HostView:
        """Everything known of one host."""
        ...

    def pair(self, device: str, host: str, moment: Moment) -> Pair:
        """A source, and all that one target host offers."""
        ...

    def candidates(self, device: str, moment: Moment) -> Candidates:
        """A source, and every offer of its type in the fleet, its own host's included."""
        ...

    def history(self, name: str, moment: Moment, limit: int, kind: HistoryKind | None = None) -> History:
        """The last ``limit`` changes of what has that name, oldest first.

        A host; a device; a driver, or ``DRIVER BUILD``; a type; a rule; a catalog entry; ``registry``, for all of its
        own entries. Raises ``UsageError`` (AMBIGUOUS) for the name of several kinds unless ``kind`` says which.
        """
        ...

    def diff(self, asked: DifferenceAsked) -> DifferencePage:
        """One page of what differs between two moments; ``mdevreg.query.past`` has them all, in groups.

        Raises ``NotFoundError`` for a host that was there at neither.
        """
        ...

    def entries(self, asked: LogAsked) -> LogPage:
        """One page of the log as it stands; ``mdevreg.query.log`` has them all, with their bodies whole."""
        ...

    def timelines(self, asked: TimelineAsked) -> TimelinePage:
        """One page of the rows of a table of timelines, as they were known at a position."""
        ...

    def blame(self, device: str, to: str, moment: Moment, limit: int) -> Blame:
        """Since when the answer of ``can_migrate`` is what it is, and what made it so; the last ``limit`` turns."""
        ...

    def drivers(self, moment: Moment) -> Drivers:
        """The driver builds of the fleet."""
        ...

    def loading(self, form: str, moment: Moment) -> Offers:
        """Every offer in the fleet whose driver build is known to load streams of a format."""
        ...

    def rules(self, moment: Moment) -> RuleList:
        """Every operators' rule that was known, ended ones included, oldest first."""
        ...

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule; the registry gives it its id.

        Raises ``UsageError`` for a rule that can't be meant, ``StateError`` where another process writes the database.
        """
        ...

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule at a time, ``None`` = now; what it decided before stays as it was. Returns it as it is then."""
        ...

    def decisions(self, asked: DecisionsAsked) -> DecisionList:
        """The newest of some recorded answers, oldest first, page by page."""
        ...

    def decision(self, name: str) -> Decision:
        """The recorded answer of that id, as it was told. Raises ``NotFoundError``."""
        ...

    def record(self, draft: DecisionDraft) -> Decision:
        """Answer a question, and record the answer with who asked. Raises as the question does, and as ``add_rule``."""
        ...

    def outcomes(self, asked: OutcomesAsked) -> OutcomeList:
        """The newest of some reports of real migrations, oldest first, page by page."""
        ...

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Report how a real migration ended. Raises ``NotFoundError``, ``UsageError``, and as ``add_rule``."""
        ...

    def distribution(self, asked: DistributionAsked) -> Distribution:
        """The driver builds of the fleet, and what they save and load, counted by site, model or type."""
        ...

    def trend(self, asked: TrendAsked) -> Trend:
        """How many hosts ran which driver build, time after time."""
        ...

    def upgrades(self, asked: UpgradesAsked) -> UpgradePage:
        """The newest of some driver upgrades, oldest first, page by page.

        Raises ``NotFoundError`` for a host or a driver that is not known.
        """
        ...

    def stragglers(self, asked: StragglersAsked) -> Stragglers:
        """Hosts that have a driver and not yet the build of it that is wanted, page by page.

        Raises ``NotFoundError`` for a driver that no host has.
        """
        ...

    def webhooks(self) -> WebhookList:
        """Every subscription to events, oldest first; their secrets are told to nobody."""
        ...

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        """Subscribe to events, from now on; the registry gives the id. Raises ``UsageError``."""
        ...

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription, with all that waits for it. Raises ``NotFoundError``."""
        ...

    def deliveries(self, asked: DeliveriesAsked) -> DeliveryList:
        """The newest deliveries of events, oldest first, page by page. Raises ``NotFoundError``."""
        ...

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver an event again. Raises ``NotFoundError``, ``UsageError`` for one that waits already."""
        ...

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        """Have an event of no matter delivered, to see whether the receiver is there. Raises ``NotFoundError``."""
        ...

    def close(self) -> None:
        """Let go of connections. Closing twice is allowed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
