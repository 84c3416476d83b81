"""A registry in memory: a simulator of hosts over time that answers as every door does.

It knows no records, SQL or NATS. Each host is a list of states, each true from its time on and told at its
position; a question about the past looks at the states of then, and at what was believed at that position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import structs

from mdevreg.answering import answer_of
from mdevreg.blame import Blame, said_of
from mdevreg.catalog import Entry
from mdevreg.clocks import PROVEN_US
from mdevreg.decisions import (
    Decision,
    DecisionDraft,
    DecisionList,
    DecisionsAsked,
    encode_decision,
    line_of,
)
from mdevreg.differing import DifferenceAsked, DifferencePage, Differing, HostName
from mdevreg.errors import NotFoundError, UsageError
from mdevreg.event_filter import filter_in
from mdevreg.facts import (
    Candidates,
    Change,
    Drivers,
    DriverSpread,
    Evidence,
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
from mdevreg.knowledge import NOTHING, Amendment, AnyChange, CatalogChange, Knowledge, Origin, OutcomeChange, RuleChange
from mdevreg.logged import LogAsked, LogPage, TimelineAsked, TimelinePage
from mdevreg.moments import snapshot_of
from mdevreg.nearest import nearest
from mdevreg.objects import Key, Profiles, Value, host_objects, parent_objects
from mdevreg.outcomes import OutcomeDraft, OutcomeList, OutcomeReport, OutcomesAsked, listed
from mdevreg.profiles import Profile, profile_of_device, profile_of_type
from mdevreg.query.names import possible
from mdevreg.query.questions import answered
from mdevreg.query.reporting import report_of
from mdevreg.records import SCHEMA, DriverBuild, HostFacts, Parent
from mdevreg.rules import Rule, check
from mdevreg.support import StreamSupport, support_of
from mdevreg.webhooks import DeliveriesAsked, Delivery, DeliveryList, Webhook, WebhookDraft, WebhookList
from mdevreg.webhooks import check as check_webhook
from support.memory_intents import MemoryIntents, Written
from support.memory_tracking import Life, MemoryTracking, Told
from support.values import profiles_in, values_of

#: Beyond every position.
LATEST = 2**63


class State(msgspec.Struct, frozen=True):
    """A host from ``since`` on, told by the record at ``position``. No facts: it is not known then.

    ``ahead_s``: the host's clock then. ``received_at``, ``committed_at``: if not at once.
    """

    since: datetime
    position: int
    facts: HostFacts | None
    parents: tuple[Parent, ...] = ()
    ahead_s: float = 0.0
    received_at: datetime | None = None
    committed_at: datetime | None = None


class MemoryHost(msgspec.Struct, frozen=True):
    """One host: its states, oldest first, and how it stands now."""

    id: str
    states: tuple[State, ...]
    last_seen: datetime | None = None
    leaving: bool = False
    in_sync: bool = True
    conflict: bool = False
    clock_skew_s: float | None = None


class MemoryDoor(MemoryTracking, MemoryIntents):
    """The protocol ``Door`` over a few hosts. ``ask`` is called first by each question: tests let it fail."""

    def __init__(
        self,
        hosts: Iterable[MemoryHost],
        ask: Callable[[], None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._hosts = tuple(hosts)
        self._ask, self._clock = ask, clock
        self._believed: list[tuple[int, Knowledge]] = [(0, NOTHING)]  # from that position on
        self._recorded: dict[int, Decision] = {}  # by position
        self._intents: list[Written] = []
        self._webhooks: dict[str, Webhook] = {}
        self._deliveries: list[Delivery] = []
        self.closed = 0

    @property
    def position(self) -> int:
        told = (state.position for host in self._hosts for state in host.states)
        return max((*told, self._believed[-1][0], *self._recorded, *(each.position for each in self._intents)))

    def believe(self, origin: Origin, entries: Iterable[Entry]) -> None:
        """Believe these catalog entries too, from the next position on."""
        self._amend(CatalogChange(origin=origin, put=tuple(entries)), "tests")

    def know(self, rule: Rule) -> None:
        """Know a rule as it is, its id included."""
        self._amend(RuleChange(rule=rule), rule.author)

    def hosts(self, moment: Moment) -> Hosts:
        self._ask()
        snapshot = self._told(moment)
        listed = [_summary(host, state, moment) for host, state in self._known(moment)]
        ordered = sorted(listed, key=lambda each: (each.evidence.hostname, each.evidence.host))
        return Hosts(self.position, tuple(ordered), snapshot)

    def host(self, name: str, moment: Moment) -> HostView:
        self._ask()
        snapshot = self._told(moment)
        host, state = self._find(name, moment)
        sides = [*self._offers(host, state, moment), *self._devices(host, state, moment)]
        supports = {f"{side.parent}/{side.device or side.profile.type}": side.support for side in sides}
        evidence = _evidence(host, state, moment)
        return HostView(self.position, evidence, state.facts, state.parents, supports, snapshot)

    def pair(self, device: str, host: str, moment: Moment) -> Pair:
        self._ask()
        source = self._source(device, moment)
        target, state = self._find(host, moment)
        offers = self._offers(target, state, moment)
        tried = self._tried(source, offers, moment)
        return Pair(self.position, source, _evidence(target, state, moment), tuple(offers), self._rules(moment), tried)

    def candidates(self, device: str, moment: Moment) -> Candidates:
        self._ask()
        source = self._source(device, moment)
        offers = [offer for offer in self._fleet(moment) if offer.profile.type == source.profile.type]
        return Candidates(
            self.position, source, tuple(offers), self._rules(moment), self._tried(source, offers, moment)
        )

    def loading(self, form: str, moment: Moment) -> Offers:
        self._ask()
        known, wanted = [(offer, offer.support) for offer in self._fleet(moment)], possible(form)
        found = [offer for offer, support in known if isinstance(support, StreamSupport) and support.format == wanted]
        return Offers(self.position, tuple(found), self._rules(moment))

    def rules(self, moment: Moment) -> RuleList:
        self._ask()
        snapshot = self._told(structs.replace(moment, as_of=None))
        return RuleList(self.position, self._rules(moment), snapshot)

    def add_rule(self, draft: Rule) -> Rule:
        self._ask()
        check(draft)
        for known in self._rules(Moment()):
            if msgspec.structs.replace(known, id=draft.id) == draft:
                return known
        rule = msgspec.structs.replace(draft, id=f"r{self.position + 1}")
        self._amend(RuleChange(rule=rule), rule.author)
        return rule

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        self._ask()
        rules = self._knowledge(Moment()).rules
        if rule not in rules:
            raise NotFoundError("rule", rule, nearest(rule, rules))
        found, end = rules[rule], at or self._clock()
        if found.valid_until is not None and found.valid_until <= end:
            raise UsageError(f"rule {rule} ends at {found.valid_until} already", code="RULE_ENDED")
        ended = msgspec.structs.replace(found, valid_until=max(end, found.valid_from))
        self._amend(RuleChange(rule=ended), author)
        return ended

    def history(self, name: str, moment: Moment, limit: int, kind: HistoryKind | None = None) -> History:
        self._ask()
        snapshot = self._told(moment)
        if kind in ("driver", "type"):
            return self._spread(name, moment, limit, kind)
        try:
            host, _ = self._find(name, moment)
        except NotFoundError:
            host, changes = self._life_of(name, moment)
        else:
            changes = _changes(host.id, _states(host, moment))
        return History(self.position, host.id, tuple(changes[-limit:]), snapshot)

    def blame(self, device: str, to: str, moment: Moment, limit: int) -> Blame:
        """Turns are the SQL door's to tell: it has a log. What is said now is known here too."""
        self._ask()
        pair = self.pair(device, to.partition("/")[0], moment)
        said = said_of(pair, answer_of(pair, to.partition("/")[2], now=self._clock(), moment=moment))
        return Blame(device, to, said, (), 1, complete=True, position=self.position, snapshot=self._told(moment))

    def _spread(self, name: str, moment: Moment, limit: int, kind: HistoryKind) -> History:
        wanted = {"driver": "driver", "type": "offer"}[kind]
        lives = [change for host in self._hosts for change in _changes(host.id, _states(host, moment))]
        mine = [change for change in lives if (change.object, change.name) == (wanted, name)]
        if not mine:
            raise NotFoundError(kind, name)
        mine.sort(key=lambda change: (change.valid_from, change.position))
        return History(self.position, "", tuple(mine[-limit:]), kind)

    def diff(self, asked: DifferenceAsked) -> DifferencePage:
        self._ask()
        named = None if asked.host is None else self._find(asked.host, asked.end)[0].id
        before, after = ({host.id: state for host, state in self._known(at)} for at in (asked.begin, asked.end))
        rows: list[Differing] = []
        hosts: dict[str, HostName] = {}
        for host in sorted(before.keys() | after.keys()):
            old, new = (values_of(states.get(host), capacity=asked.capacity) for states in (before, after))
            facts = (after.get(host) or before[host]).facts
            if facts is None or named not in (None, host) or asked.site not in (None, facts.site):
                continue
            rows += [
                Differing(host, *place, old.get(place), new.get(place))
                for place in sorted(old.keys() | new.keys())
                if old.get(place) != new.get(place)
            ]
            hosts[host] = HostName(facts.hostname, facts.site)
        met = {row.host: hosts[row.host] for row in rows}
        begin, end = (self._knowledge(moment) for moment in (asked.begin, asked.end))
        return DifferencePage(self.position, tuple(rows), met, profiles_in(rows, begin, end))

    def entries(self, asked: LogAsked) -> LogPage:
        self._ask()
        raise UsageError("there is no log in memory")

    def timelines(self, asked: TimelineAsked) -> TimelinePage:
        self._ask()
        raise UsageError("there are no tables in memory")

    def drivers(self, moment: Moment) -> Drivers:
        self._ask()
        snapshot = self._told(moment)
        hosts: Counter[DriverBuild] = Counter()
        parents: Counter[DriverBuild] = Counter()
        for _, state in self._known(moment):
            found = [parent.driver for parent in state.parents if parent.driver is not None]
            hosts.update(set(found))
            parents.update(found)
        spread = [DriverSpread(build, hosts[build], parents[build]) for build in hosts]
        ordered = sorted(spread, key=lambda each: (each.build.name, -each.hosts))
        return Drivers(self.position, tuple(ordered), snapshot)

    def decisions(self, asked: DecisionsAsked) -> DecisionList:
        self._ask()
        upto = LATEST if asked.before is None else asked.before
        bodies = [encode_decision(decision) for at, decision in self._recorded.items() if at < upto]
        lines = [line for line in (line_of(body, asked) for body in bodies) if line is not None]
        page = lines[-asked.limit :]
        return DecisionList(self.position, tuple(page), int(page[0].id[1:]) if len(lines) > len(page) else None)

    def decision(self, name: str) -> Decision:
        self._ask()
        known = {decision.id: decision for decision in self._recorded.values()}
        if name not in known:
            raise NotFoundError("decision", name, tuple(known)[-3:])
        return known[name]

    def record(self, draft: DecisionDraft) -> Decision:
        answer = answered(self, draft, now=self._clock())
        position = self.position + 1
        self._recorded[position] = Decision(
            schema=SCHEMA,
            id=f"d{position}",
            at=self._clock(),
            via="sql",
            answer=msgspec.Raw(msgspec.json.encode(answer)),
            **msgspec.structs.asdict(draft),
        )
        return self._recorded[position]

    def outcomes(self, asked: OutcomesAsked) -> OutcomeList:
        self._ask()
        host = None if asked.host is None else self._find(asked.host, Moment())[0].id
        tried = self._knowledge(Moment(asked.as_of, asked.known_at)).tried
        return listed(tried, msgspec.structs.replace(asked, host=host), self.position)

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        report = msgspec.structs.replace(report_of(self, draft, now=self._clock()), id=f"o{self.position + 1}")
        self.try_out(report)
        return report

    def webhooks(self) -> WebhookList:
        self._ask()
        return WebhookList(self.position, tuple(self._webhooks.values()))

    def add_webhook(self, draft: WebhookDraft) -> Webhook:
        asked = check_webhook(draft)
        made = Webhook(
            f"w{len(self._webhooks):08x}", asked.url, str(filter_in(asked.events)), asked.author, self._clock()
        )
        self._webhooks[made.id] = made
        return made

    def remove_webhook(self, webhook: str, *, author: str) -> Webhook:
        return self._webhooks.pop(self._subscribed(webhook, author).id)

    def deliveries(self, asked: DeliveriesAsked) -> DeliveryList:
        self._ask()
        if asked.webhook is not None:
            self._subscribed(asked.webhook, "anybody")
        told = [each for each in self._deliveries if asked.webhook in (None, each.webhook) and not asked.failed]
        return DeliveryList(self.position, tuple(told[-asked.limit :]))

    def redeliver(self, delivery: str, *, author: str) -> Delivery:
        _by(author)
        for each in self._deliveries:
            if each.id == delivery:
                raise UsageError(f"delivery {delivery} waits")
        raise NotFoundError("delivery", delivery)

    def ping_webhook(self, webhook: str, *, author: str) -> Delivery:
        found, at = self._subscribed(webhook, author), self._clock()
        number = str(len(self._deliveries) + 1)
        event = Delivery(number, found.id, f"e{number}", "webhook.ping", found.id, "waiting", 0, at, at)
        self._deliveries.append(event)
        return event

    def _subscribed(self, webhook: str, author: str) -> Webhook:
        _by(author)
        if possible(webhook) not in self._webhooks:
            raise NotFoundError("webhook", webhook, nearest(webhook, self._webhooks))
        return self._webhooks[webhook]

    def try_out(self, report: OutcomeReport) -> None:
        """Know a report as it is, its id included."""
        self._amend(OutcomeChange(outcome=report), report.author)

    def _lives(self, moment: Moment) -> list[Life]:
        self._ask()
        self._told(moment)
        known = {host.id for host, _ in self._known(moment)}
        return [
            Life(host.id, [Told(each.since, each.position, each.facts, each.parents) for each in _states(host, moment)])
            for host in self._hosts
            if host.id in known
        ]

    def _beliefs(self, moment: Moment) -> Knowledge:
        return self._knowledge(moment)

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _told(self, moment: Moment) -> str:
        """The token of an answer. Raises for what nobody can know, and nobody knew."""
        asked = [each for each in (moment.as_of, moment.known_at) if isinstance(each, datetime)]
        ahead = isinstance(moment.known_at, int) and moment.known_at > self.position
        if ahead or any(each > self._clock() for each in asked):
            raise UsageError("in the future", code="FUTURE")
        earliest = min((state.since for host in self._hosts for state in host.states), default=self._clock())
        if moment.known_at == 0 or (moment.as_of is not None and moment.as_of < earliest):
            raise UsageError(f"nothing is known of then; the earliest is {earliest}", code="BEFORE_HISTORY")
        position = self.position if moment.known_at is None else _position(moment.known_at)
        return snapshot_of(position, moment.as_of or self._clock())

    def _known(self, moment: Moment) -> list[tuple[MemoryHost, State]]:
        states = [(host, _states(host, moment)) for host in self._hosts]
        return [(host, found[-1]) for host, found in states if found and found[-1].facts is not None]

    def _amend(self, change: AnyChange, author: str) -> None:
        amendment = Amendment(schema=SCHEMA, at=self._clock(), author=author, change=change)
        self._believed.append((self.position + 1, self._believed[-1][1].amended([amendment])))

    def _knowledge(self, moment: Moment) -> Knowledge:
        known = [found for at, found in self._believed if moment.known_at is None or at <= _position(moment.known_at)]
        return known[-1] if known else NOTHING

    def _rules(self, moment: Moment) -> tuple[Rule, ...]:
        return tuple(self._knowledge(moment).rules.values())

    def _tried(self, source: Side, offers: Sequence[Side], moment: Moment) -> tuple[OutcomeReport, ...]:
        digests = (offer.digest for offer in offers)
        return self._knowledge(moment).tried_between(source.digest, digests, moment.as_of)

    def _fleet(self, moment: Moment) -> list[Side]:
        offers = [offer for host, state in self._known(moment) for offer in self._offers(host, state, moment)]
        offers.sort(key=lambda side: (side.evidence.hostname, side.evidence.host, side.parent, side.profile.type or ""))
        return offers

    def _offers(self, host: MemoryHost, state: State, moment: Moment) -> list[Side]:
        return [
            msgspec.structs.replace(
                self._side(host, state, moment, parent, profile_of_type(parent, kind)),
                available_instances=kind.available_instances,
            )
            for parent in state.parents
            for kind in parent.types
        ]

    def _devices(self, host: MemoryHost, state: State, moment: Moment) -> list[Side]:
        return [
            msgspec.structs.replace(
                self._side(host, state, moment, parent, profile_of_device(parent, device)), device=device.name
            )
            for parent in state.parents
            for device in parent.devices
        ]

    def _side(self, host: MemoryHost, state: State, moment: Moment, parent: Parent, profile: Profile) -> Side:
        support = support_of(profile, self._knowledge(moment).catalog)
        digest = Profiles().digest(profile)
        return Side(_evidence(host, state, moment), parent.name, profile, support, digest=digest)

    def lives(self, moment: Moment) -> Iterator[tuple[str, list[State], list[list[tuple[str, Side]]]]]:
        """Each host, its states up to a moment, and what each of them had, by the path of its parent."""
        for host in self._hosts:
            states = [state for state in _states(host, moment) if state.facts is not None]
            yield host.id, states, [list(self._sides(host, state, moment)) for state in states]

    def _sides(self, host: MemoryHost, state: State, moment: Moment) -> Iterator[tuple[str, Side]]:
        for parent in state.parents:
            only = structs.replace(state, parents=(parent,))
            for side in [*self._offers(host, only, moment), *self._devices(host, only, moment)]:
                yield parent.path, side

    def _find(self, name: str, moment: Moment) -> tuple[MemoryHost, State]:
        known = self._known(moment)
        named = [pair for pair in known if name in (pair[0].id, _hostname(*pair))]
        found = [pair for pair in named if pair[0].id == name] or named
        if len(found) > 1:
            raise UsageError(f"{len(found)} hosts are named {name!r}; ask by id: {', '.join(h.id for h, _ in found)}")
        if not found:
            names = [name for pair in known for name in (pair[0].id, _hostname(*pair))]
            raise NotFoundError("host", name, nearest(name, names))
        return found[0]

    def _life_of(self, device: str, moment: Moment) -> tuple[MemoryHost, list[Change]]:
        """A device's changes on the last host that had it, whether it still lives or not."""
        only, _, name = device.rpartition("/")
        hosts = [self._find(only, moment)[0]] if only else self._hosts
        told = [(host, _changes(host.id, _states(host, moment))) for host in hosts]
        lived = [(host, [c for c in changes if (c.object, c.name) == ("device", name)]) for host, changes in told]
        if not any(changes for _, changes in lived):
            raise NotFoundError("host or device", device)
        return next(pair for pair in reversed(lived) if pair[1])

    def _source(self, device: str, moment: Moment) -> Side:
        if "/" in device:
            name, _, rest = device.partition("/")
            host, state = self._find(name, moment)
            sides = [*self._devices(host, state, moment), *self._offers(host, state, moment)]
            named = {side.device or f"{side.parent}/{side.profile.type}": side for side in sides}
            if rest not in named:
                raise NotFoundError(f"device or type on {_hostname(host, state)}", rest, nearest(rest, named))
            return named[rest]
        sides = [side for host, state in self._known(moment) for side in self._devices(host, state, moment)]
        named_so = [side for side in sides if side.device == device]
        if len(named_so) > 1:
            hosts = ", ".join(side.evidence.host for side in named_so)
            raise UsageError(f"{device!r} is on several hosts: {hosts}")
        if not named_so:
            raise NotFoundError("device", device, nearest(device, (side.device or "" for side in sides)))
        return named_so[0]


def _by(author: str) -> None:
    if not author.strip():
        raise UsageError("the author is blank")


def _position(known_at: int | datetime) -> int:
    assert isinstance(known_at, int), "this door has no log to find a time in"
    return known_at


def _states(host: MemoryHost, moment: Moment) -> list[State]:
    return [
        state
        for state in host.states
        if (moment.as_of is None or state.since <= moment.as_of)
        and (moment.known_at is None or state.position <= _position(moment.known_at))
    ]


def _hostname(host: MemoryHost, state: State) -> str:
    return state.facts.hostname if state.facts else host.id


def _evidence(host: MemoryHost, state: State, moment: Moment) -> Evidence:
    past = moment != Moment()
    return Evidence(
        host=host.id,
        hostname=_hostname(host, state),
        site=state.facts.site if state.facts else None,
        changed_at=state.since,
        last_seen=None if past else host.last_seen,
        leaving=host.leaving and not past,
        in_sync=host.in_sync or past,
        conflict=host.conflict and not past,
        historical=past,
        clock_skew_s=None if past else host.clock_skew_s,
    )


def _summary(host: MemoryHost, state: State, moment: Moment) -> HostSummary:
    return HostSummary(
        evidence=_evidence(host, state, moment),
        kernel_release=state.facts.kernel_release if state.facts else None,
        parents=len(state.parents),
        types=sum(len(parent.types) for parent in state.parents),
        devices=sum(len(parent.devices) for parent in state.parents),
    )


def _changes(host: str, states: Sequence[State]) -> list[Change]:
    changes: list[Change] = []
    before: dict[Key, Value] = {}
    for state in states:
        after = _objects(state)
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                event = "appeared" if key not in before else "changed" if key in after else "gone"
                change = Change(state.since, None, state.position, host, key[0], key[-1], event)
                changes.append(structs.replace(change, **_stamps(state)))
        before = after
    return changes


def _stamps(state: State) -> dict[str, Any]:
    wrong = state.ahead_s > PROVEN_US / 1e6
    return {
        "observed_at": state.since + timedelta(seconds=state.ahead_s),
        "received_at": state.received_at or state.since,
        "committed_at": state.committed_at or state.since,
        "flag": "CLOCK_AHEAD" if wrong else None,
        "clock_skew_s": state.ahead_s if wrong else None,
    }


def _objects(state: State) -> dict[Key, Value]:
    profiles = Profiles()
    found: dict[Key, Value] = {}
    if state.facts is not None:
        found |= host_objects(state.facts, 0)
    for parent in state.parents:
        found |= parent_objects(parent, 0, profiles)
    return found
