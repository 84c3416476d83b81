"""Where decisions are taken while a registry runs: from any thread, carried out by the ledger's own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from mdevreg.baselines import Baseline, BaselineDraft
from mdevreg.campaigns import Campaign, CampaignDraft
from mdevreg.catalog import Entry
from mdevreg.decisions import Decision, DecisionDraft, Via
from mdevreg.facts import Retention
from mdevreg.outcomes import OutcomeDraft, OutcomeReport
from mdevreg.query.door import Door
from mdevreg.query.questions import answered
from mdevreg.query.reporting import report_of
from mdevreg.query.requests import Changed
from mdevreg.rules import Rule
from mdevreg.times import moment_of
from mdevreg.webhooks import Delivery, Webhook, WebhookDraft
from mdevreg_server.ledger import Ledger
from mdevreg_server.rulebook import Rulebook, Told
from mdevreg_server.subscribers import Subscribers

T = TypeVar("T")


class Decisions(Protocol):
    """Where operators' decisions are taken."""

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule; its id is given here."""
        ...

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule at a time, ``None`` = now."""
        ...

    def import_entries(self, entries: tuple[Entry, ...], *, author: str) -> Changed:
        """Add or replace imported entries."""
        ...

    def remove_entries(self, names: tuple[str, ...], *, author: str) -> Changed:
        """Take imported entries back."""
        ...

    def set_retention(self, bodies: str, *, author: str) -> Retention:
        """Keep documents for so long from now on: ``400d``, ``forever``."""
        ...

    def record(self, draft: DecisionDraft) -> Decision:
        """Answer a question, and record the answer."""
        ...

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Keep how a real migration ended."""
        ...

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        """Create a campaign."""
        ...

    def end_campaign(self, name: str, *, author: str, reason: str) -> Campaign:
        """End a campaign now."""
        ...

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        """Keep a baseline, or its next version."""
        ...

    def end_baseline(self, name: str, *, author: str, reason: str) -> Baseline:
        """End a baseline now."""
        ...

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        """Subscribe to events, from now on."""
        ...

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription."""
        ...

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver an event again."""
        ...

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        """Have an event of no matter delivered."""
        ...

    def through(self, via: Via) -> Decisions:
        """The same, for those who ask through that door."""
        ...


class LedgerDecisions:
    """Decisions from any thread, carried out by the ledger's own.

    ``facts``: a door to what the ledger wrote, which may be asked from any thread.
    ``announced`` waits, but not for long, until what was decided is published: whoever asks next may ask a replica.
    """

    def __init__(
        self,
        ledger: Ledger,
        writer: Executor,
        now_us: Callable[[], int],
        told: Told = lambda _: None,
        *,
        facts: Door,
        announced: Callable[[], None] = lambda: None,
        via: Via = "nats",
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._say = say
        self._ledger, self._writer, self._now_us, self._told = ledger, writer, now_us, told
        self._facts, self._announced, self._via = facts, announced, via

    def through(self, via: Via) -> LedgerDecisions:
        """The same, for those who ask through that door."""
        return LedgerDecisions(
            self._ledger,
            self._writer,
            self._now_us,
            self._told,
            facts=self._facts,
            announced=self._announced,
            via=via,
            say=self._say,
        )

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule."""
        return self._decided(lambda book: book.add_rule(draft))

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule."""
        return self._decided(lambda book: book.end_rule(rule, at=at, author=author))

    def import_entries(self, entries: tuple[Entry, ...], *, author: str) -> Changed:
        """Add or replace imported entries."""
        return self._decided(lambda book: book.import_entries(entries, author=author))

    def remove_entries(self, names: tuple[str, ...], *, author: str) -> Changed:
        """Take imported entries back."""
        return self._decided(lambda book: book.remove_entries(names, author=author))

    def set_retention(self, bodies: str, *, author: str) -> Retention:
        """Keep documents for so long from now on."""
        return self._decided(lambda book: book.set_retention(bodies, author=author))

    def record(self, draft: DecisionDraft) -> Decision:
        """Answer a question, and record the answer; nobody's belief changes, so that there is nothing to publish."""
        answer = answered(self._facts, draft, now=moment_of(self._now_us()))
        return self._written(lambda book: book.record(draft, answer, via=self._via))

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Keep how a real migration ended."""
        report = report_of(self._facts, draft, now=moment_of(self._now_us()))
        return self._decided(lambda book: book.report(report))

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        """Create a campaign; nobody's belief changes, so that there is nothing to publish."""
        return self._written(lambda book: book.create_campaign(draft))

    def end_campaign(self, name: str, *, author: str, reason: str) -> Campaign:
        """End a campaign now."""
        return self._written(lambda book: book.end_campaign(name, author=author, reason=reason))

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        """Keep a baseline, or its next version."""
        return self._written(lambda book: book.put_baseline(draft))

    def end_baseline(self, name: str, *, author: str, reason: str) -> Baseline:
        """End a baseline now."""
        return self._written(lambda book: book.end_baseline(name, author=author, reason=reason))

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        """Subscribe to events, from now on."""
        return self._subscribed(lambda book: book.add(draft))

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        """End a subscription."""
        return self._subscribed(lambda book: book.remove(webhook, author=author))

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        """Deliver an event again."""
        return self._subscribed(lambda book: book.redeliver(delivery, author=author))

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        """Have an event of no matter delivered."""
        return self._subscribed(lambda book: book.ping(webhook, author=author))

    def _subscribed(self, work: Callable[[Subscribers], T]) -> T:
        """Settings are written as what is decided is, by the ledger's thread; the log has nothing of them."""
        book = Subscribers(self._ledger.engine, self._now_us, self._say)
        return self._writer.submit(partial(work, book)).result()

    def _decided(self, work: Callable[[Rulebook], T]) -> T:
        decided = self._written(work)
        self._announced()
        return decided

    def _written(self, work: Callable[[Rulebook], T]) -> T:
        def decide() -> T:
            with self._ledger.deciding():
                return work(Rulebook(self._ledger, self._now_us(), self._told))

        return self._writer.submit(decide).result()
