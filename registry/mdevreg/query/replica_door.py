"""The replica door, ``replica+nats://``: the fleet in this process, questions about now answered without a round trip.

A thread of the door's own follows MDEVREG_FLEET and keeps the index; questions read its newest view, so that they may
be asked from any thread and from asyncio alike: those about now never wait. Questions about the past, histories and
decisions are the registry's, and are asked of it over NATS.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from mdevreg.addresses import shown
from mdevreg.compatibility import DEFAULT_STALE_AFTER_S
from mdevreg.errors import UnreachableError, UsageError
from mdevreg.event_filter import EventsAsked
from mdevreg.facts import NOW, HostView, Moment
from mdevreg.fleet import Brief, FleetView, Order, TargetList
from mdevreg.knowledge import supports_of
from mdevreg.moments import snapshot_of
from mdevreg.outcomes import OutcomeDraft, OutcomeReport
from mdevreg.published import decode_state
from mdevreg.query.event_stream import EventStream
from mdevreg.query.fleet_cache import FleetCache
from mdevreg.query.fleet_door import FleetDoor, now_utc
from mdevreg.query.follower import Follower, ReplicaStatus, now_us
from mdevreg.query.names import possible
from mdevreg.query.nats_door import NatsDoor, open_nats
from mdevreg.query.watching import Subscription, Watch, Watchers, check
from mdevreg.rules import Rule
from mdevreg.wire import decode_facts, decode_parent

#: Some thirty years: facts that old are never asked for on purpose.
MAX_AGE_S = 1e9


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cache: str | None = None
    max_age_s: Annotated[float, Meta(gt=0, le=MAX_AGE_S)] = DEFAULT_STALE_AFTER_S


def open_replica(url: str, *, timeout_s: float, creds: str | None) -> ReplicaDoor:
    """Open ``replica+nats://HOST:PORT[?cache=FILE&max_age_s=SECONDS]`` and wait until it holds a whole fleet.

    ``max_age_s``: the silence after which facts are unknown. With a cache that holds a fleet it does not wait.
    Raises ``UnreachableError`` (no broker, or no registry has published there), ``AuthError``, ``StateError``.
    """
    door = ReplicaDoor(url, timeout_s=timeout_s, creds=creds)
    try:
        door.start()
    except BaseException:
        door.close()
        raise
    return door


class ReplicaDoor(FleetDoor):
    """``mdevreg.query.door.Door`` from memory, and more: ``view``, ``can_migrate``, ``targets``, ``subscribe``."""

    def __init__(self, url: str, *, timeout_s: float, creds: str | None) -> None:
        super().__init__(lambda: self.view, self._registry)
        self._url, options = _parsed(url)
        self._timeout_s, self._creds = timeout_s, creds
        self._max_age_s = options.max_age_s
        self._cache = FleetCache(Path(options.cache)) if options.cache is not None else None
        self._watchers = Watchers(now_us)
        self._asked: NatsDoor | None = None
        self._opening = threading.Lock()
        self._closed = False
        self._follower = Follower(
            self._url,
            timeout_s=timeout_s,
            creds=creds,
            stale_after_s=options.max_age_s,
            changed=self._watchers.tell,
            cache=self._cache,
        )

    def start(self) -> None:
        """Begin to follow, and wait for a whole fleet. Raises what keeps it from that."""
        self._follower.start()

    @property
    def view(self) -> FleetView:
        """The fleet as it is now known: a snapshot that never changes, for many questions about one moment."""
        return self._follower.view

    @property
    def max_age_s(self) -> float:
        """The silence after which facts are unknown, unless a question says otherwise."""
        return self._max_age_s

    def can_migrate(self, device: str, to: str, *, max_age_s: float | None = None) -> Brief:
        """Can this device's migration stream be loaded on that host? Microseconds; in codes, without sentences.

        ``mdevreg.query.can_migrate(door, …)`` explains. Raises ``NotFoundError`` (``completed()`` has the nearest known
        names, which take their time), ``UsageError``.
        """
        age_us = None if max_age_s is None else _age_us(max_age_s)
        return self._follower.following.fleet.view.can_migrate(
            device, to, now_us=int(time.time() * 1e6), max_age_us=age_us
        )

    def targets(
        self,
        device: str,
        *,
        site: str | None = None,
        available: bool = True,
        order: Order = "group",
        max_age_s: float | None = None,
    ) -> TargetList:
        """Which hosts could take this device? Gathered lazily: see ``mdevreg.fleet.TargetList``."""
        age_us = None if max_age_s is None else _age_us(max_age_s)
        return self.view.targets(
            device, now_us=now_us(), site=site, available=available, order=order, max_age_us=age_us
        )

    def subscribe(self, watch: Watch) -> Subscription:
        """Be told when verdicts change, not only facts. Close it, or use it in ``with``.

        Raises ``NotFoundError`` for a device or host that is not known: nothing would ever be told of it.
        """
        with self._told():
            check(watch, self.view)
        return self._watchers.subscribe(watch, self.view)

    def events(self, asked: EventsAsked) -> EventStream:
        """Events as the registry tells them: ``mdevreg.query.events``."""
        return self._registry().events(asked)

    def status(self) -> ReplicaStatus:
        """How good this replica is."""
        return self._follower.status(now_us())

    def host(self, name: str, moment: Moment) -> HostView:
        """Everything known of one host; its documents are read from the stream."""
        if moment != NOW:
            return super().host(name, moment)
        view = self.view
        with self._told():
            entry = view.directory.host(possible(name))
        state = decode_state(self._follower.document(entry.host))
        facts = decode_facts(bytes(state.facts)) if bytes(state.facts) != b"null" else None
        parents = tuple(decode_parent(bytes(state.parents[path])) for path in sorted(state.parents))
        evidence, supports = view.sides().evidence(entry), supports_of(parents, view.knowledge)
        position = max(view.position, state.position)
        return HostView(position, evidence, facts, parents, supports, snapshot_of(position, now_utc()))

    def add_rule(self, draft: Rule) -> Rule:
        """Add a rule; the registry gives it its id. It is in force here when this returns."""
        return self._in_force(super().add_rule(draft))

    def end_rule(self, rule: str, *, at: datetime | None, author: str) -> Rule:
        """End a rule at a time, ``None`` = now."""
        return self._in_force(super().end_rule(rule, at=at, author=author))

    def report(self, draft: OutcomeDraft) -> OutcomeReport:
        """Report how a real migration ended. It is known here when this returns."""
        report = super().report(draft)
        self._arrived(lambda: report in self.view.knowledge.tried.get((report.source, report.target), ()), report.id)
        return report

    def close(self) -> None:
        """Stop following and let go of everything. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        self._watchers.close()
        self._follower.close()
        if self._asked is not None:
            self._asked.close()
        if self._cache is not None:
            self._cache.close()

    def _registry(self) -> NatsDoor:
        """The registry itself, for what is not about now."""
        with self._opening:
            if self._asked is None:
                self._asked = open_nats(self._url, timeout_s=self._timeout_s, creds=self._creds)
            return self._asked

    def _in_force(self, rule: Rule) -> Rule:
        """Wait until a decision that the registry took has come here with the stream."""
        self._arrived(lambda: self.view.knowledge.rules.get(rule.id) == rule, rule.id)
        return rule

    def _arrived(self, there: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not there():
            if time.monotonic() > deadline:
                raise UnreachableError(f"{name} was written, but did not come here within {self._timeout_s:g} s")
            time.sleep(0.005)


def _age_us(max_age_s: float) -> int:
    if not 0 < max_age_s <= MAX_AGE_S:  # false for nan too
        raise UsageError(
            f"max_age_s is {max_age_s!r}; a number of seconds above 0 and up to {MAX_AGE_S:g} was expected"
        )
    return int(max_age_s * 1e6)


def _parsed(url: str) -> tuple[str, _Options]:
    """The broker's URL, and what is asked for of the replica. Raises ``UsageError``."""
    base, _, query = url.partition("?")
    try:
        options = msgspec.convert(dict(parse_qsl(query, strict_parsing=bool(query))), _Options, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        expected = "replica+nats://HOST:PORT[?cache=FILE&max_age_s=SECONDS]"
        raise UsageError(f"{shown(url)!r} can't be meant: {error}; expected {expected}") from error
    return base.removeprefix("replica+"), options
