"""What operators decide, written to the log: rules added and ended, catalog entries changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import structs

from mdevreg.answering import Answer
from mdevreg.baselines import Baseline, BaselineDraft
from mdevreg.campaigns import Campaign, CampaignDraft
from mdevreg.catalog import Entry
from mdevreg.catalog_file import faults_of
from mdevreg.decisions import Decision, DecisionDraft, Via
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import Retention
from mdevreg.keeping import days_of
from mdevreg.knowledge import MAX_ENTRIES, AnyChange, CatalogChange, Origin, OutcomeChange, RuleChange, difference
from mdevreg.nearest import nearest
from mdevreg.outcomes import OutcomeReport
from mdevreg.query.requests import Changed
from mdevreg.records import SCHEMA
from mdevreg.rules import Rule, check
from mdevreg.times import moment_of, utc
from mdevreg_server import charters
from mdevreg_server.ledger import Amended, Ledger
from mdevreg_server.pruner import retention_of, set_retention

T = TypeVar("T")


#: Is called with each decision that was written, in the ledger's thread.
Told = Callable[[Amended], None]


class Rulebook:
    """Decisions on a ledger, used by the ledger's one thread. ``told`` is called for each that was written."""

    def __init__(self, ledger: Ledger, now_us: int, told: Told = lambda _: None) -> None:
        self._ledger, self._now_us, self._told = ledger, now_us, told

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule; its id is the log position that it takes. Raises ``UsageError`` for one that can't be meant.

        The same draft again, while its rule stands, is that rule: who got no answer may ask once more.
        """
        check(draft)
        for rule in self._ledger.knowledge().rules.values():
            if structs.replace(rule, id=draft.id) == draft:
                return rule

        def change(position: int) -> RuleChange:
            return RuleChange(rule=structs.replace(draft, id=f"r{position}"))

        return structs.replace(draft, id=f"r{self._amend(change, draft.author).position}")

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule; one that has not begun never will.

        Raises ``NotFoundError``, or ``UsageError`` if it has ended.
        """
        rules = self._ledger.knowledge().rules
        if rule not in rules:
            raise NotFoundError("rule", rule, nearest(rule, rules))
        found, end = rules[rule], at or moment_of(self._now_us)
        if found.valid_until is not None and found.valid_until <= end:
            raise UsageError(f"rule {rule} ends at {utc(found.valid_until)} already", code="RULE_ENDED")
        ended = structs.replace(found, valid_until=max(end, found.valid_from))
        self._amend(lambda _: RuleChange(rule=ended), author)
        return ended

    def import_entries(self, entries: Iterable[Entry], *, author: str) -> Changed:
        """Add or replace imported entries. Raises ``UsageError`` for what a catalog file may not say either."""
        wanted = tuple(entries)
        faults = [f"{entry.id}: {text}" for entry in wanted for _, text in faults_of(entry)]
        used = Counter(entry.id for entry in wanted)
        faults += [f"{name}: the id is used twice" for name, times in used.items() if times > 1]
        if faults:
            raise UsageError("; ".join(faults), code="CATALOG")
        return self._imported(self.put_entries("import", wanted, author=author))

    def remove_entries(self, names: Iterable[str], *, author: str) -> Changed:
        """Take imported entries back. Raises ``NotFoundError``, or ``UsageError`` for one that came otherwise."""
        entries, going = self._ledger.knowledge().entries, set(names)
        for name in sorted(going - entries["import"].keys()):
            if name in entries["folder"]:
                raise UsageError(f"{name!r} comes from the operators' folder; remove it there", code="NOT_IMPORTED")
            if name in entries["shipped"]:
                text = f"{name!r} is shipped with mdevreg; an entry of your own goes before it"
                raise UsageError(text, code="NOT_IMPORTED")
            raise NotFoundError("imported catalog entry", name, nearest(name, entries["import"]))
        kept = [entry for name, entry in entries["import"].items() if name not in going]
        return self._imported(self.set_entries("import", kept, author=author))

    def set_entries(self, origin: Origin, entries: Iterable[Entry], *, author: str) -> CatalogChange | None:
        """Make these the entries of an origin. Returns what changed; ``None``: they were the same."""
        believed, wanted = self._ledger.knowledge().entries, tuple(entries)
        count = len(wanted) + sum(len(each) for name, each in believed.items() if name != origin)
        if count > MAX_ENTRIES:
            raise UsageError(f"that would be {count} catalog entries; at most {MAX_ENTRIES} are kept", code="CATALOG")
        change = difference(believed[origin], wanted, origin)
        if change is not None:
            self._amend(lambda _: change, author)
        return change

    def put_entries(self, origin: Origin, entries: Iterable[Entry], *, author: str) -> CatalogChange | None:
        """Add or replace these entries of an origin, and leave its others."""
        kept = dict(self._ledger.knowledge().entries[origin])
        kept.update((entry.id, entry) for entry in entries)
        return self.set_entries(origin, kept.values(), author=author)

    def set_retention(self, bodies: str, *, author: str) -> Retention:
        """Keep documents for so long from now on: ``400d``, ``forever``. Raises ``UsageError``."""
        set_retention(self._ledger, days_of(bodies), author=author, now_us=self._now_us)
        return retention_of(self._ledger)

    def record(self, draft: DecisionDraft, answer: Answer, *, via: Via) -> Decision:
        """Record an answer as it is told; its id is the log position that it takes."""
        told, said = msgspec.Raw(msgspec.json.encode(answer)), structs.asdict(draft)

        def decided(position: int, at_us: int) -> Decision:
            return Decision(schema=SCHEMA, id=f"d{position}", at=moment_of(at_us), via=via, answer=told, **said)

        return self._ledger.record(decided, now_us=self._now_us)

    def report(self, report: OutcomeReport) -> OutcomeReport:
        """Keep how a real migration ended; its id is the log position that it takes.

        The same report again is that one: who got no answer may ask once more, and says when it was.
        """
        for known in self._ledger.knowledge().tried.get((report.source, report.target), ()):
            if structs.replace(known, id=report.id) == report:
                return known

        def change(position: int) -> OutcomeChange:
            return OutcomeChange(outcome=structs.replace(report, id=f"o{position}"))

        return structs.replace(report, id=f"o{self._amend(change, report.author).position}")

    def create_campaign(self, draft: CampaignDraft) -> Campaign:
        """Create a campaign. Raises ``UsageError``."""
        return charters.create_campaign(self._ledger, draft, now_us=self._now_us)

    def end_campaign(self, name: str, *, author: str, reason: str) -> Campaign:
        """End a campaign now. Raises ``NotFoundError``, ``UsageError``."""
        return charters.end_campaign(self._ledger, name, author=author, reason=reason, now_us=self._now_us)

    def put_baseline(self, draft: BaselineDraft) -> Baseline:
        """Keep a baseline, or its next version. Raises ``UsageError``."""
        return charters.put_baseline(self._ledger, draft, now_us=self._now_us)

    def end_baseline(self, name: str, *, author: str, reason: str) -> Baseline:
        """End a baseline now. Raises ``NotFoundError``, ``UsageError``."""
        return charters.end_baseline(self._ledger, name, author=author, reason=reason, now_us=self._now_us)

    def _imported(self, change: CatalogChange | None) -> Changed:
        if change is None:
            return Changed()
        put = tuple(entry.id for entry in change.put)
        folder = self._ledger.knowledge().entries["folder"]
        return Changed(put, change.remove, tuple(name for name in put if name in folder))

    def _amend(self, change: Callable[[int], AnyChange], author: str) -> Amended:
        if not author.strip():
            raise UsageError("the author is blank; say who decides: it is kept with the decision")
        amended = self._ledger.amend(change, author=author, now_us=self._now_us)
        self._told(amended)
        return amended
