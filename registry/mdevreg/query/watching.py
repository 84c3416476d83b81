"""Changes of verdicts, told to whoever subscribed: not every change of facts is one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Self

import msgspec

from mdevreg.errors import StateError, UsageError
from mdevreg.fleet import Brief, FleetView
from mdevreg.query.following import Changed
from mdevreg.times import moment_of

#: Changes that wait to be taken; a subscriber that takes none for longer is told that it missed some.
WAITING = 100_000


class Watch(msgspec.Struct, frozen=True):
    """What is watched: these devices (uuid, ``HOST/DEVICE``, ``HOST/PARENT/TYPE``), each towards these hosts.

    ``hosts``: ids or hostnames; none: every host that offers its type, and ``site``: only of that site.
    """

    devices: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    site: str | None = None


def check(watch: Watch, view: FleetView) -> None:
    """Whether all that is watched is there. Raises ``UsageError``, ``NotFoundError``."""
    stated: tuple[object, object] = (watch.devices, watch.hosts)
    if any(isinstance(names, str) for names in stated):  # its letters would be taken for names
        raise UsageError("devices and hosts are tuples of names; one name alone is ('…',)")
    if not watch.devices:
        raise UsageError("nothing is watched; name at least one device")
    for device in watch.devices:
        view.home_of(device)
    for host in watch.hosts:
        view.directory.host(host)


class VerdictChange(msgspec.Struct, frozen=True):
    """A verdict that is another one now. ``None``: there was no answer, or is none: device or host are not known."""

    device: str
    to: str
    before: Brief | None
    after: Brief | None
    at: datetime


class Subscription:
    """A queue of changes. Iterate, or ``get``; from any thread, and from asyncio by ``asyncio.to_thread``."""

    def __init__(self, watch: Watch, end: Callable[[Subscription], None]) -> None:
        self.watch = watch
        self._end = end
        self._queue: queue.Queue[VerdictChange | None] = queue.Queue(WAITING)
        self._known: dict[tuple[str, str], Brief] = {}
        self._missed = False
        self._closed = False

    def get(self, timeout_s: float | None = None) -> VerdictChange | None:
        """The next change; ``None`` if none comes within ``timeout_s``, or the subscription is closed.

        Raises ``StateError`` (code CHANGES_MISSED) once after changes were lost because too many waited.
        """
        if self._missed:
            self._missed = False
            raise StateError(f"more than {WAITING} changes waited; some are lost", code="CHANGES_MISSED")
        try:
            return self._queue.get(timeout=timeout_s) if not self._closed or self._queue.qsize() else None
        except queue.Empty:
            return None

    def __iter__(self) -> Iterator[VerdictChange]:
        while (change := self.get()) is not None:
            yield change

    def close(self) -> None:
        """Be told no more. Closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self._end(self)
            self._put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def look(self, view: FleetView, now_us: int, hosts: frozenset[str] | None) -> None:
        """Compare what is watched with what it was. ``hosts``: only those changed; ``None``: anything may have."""
        for device in self.watch.devices:
            known = {to for name, to in self._known if name == device}
            for to in self._to_look_at(view, device, known, hosts):
                self._compare(view, device, to, now_us)

    def begin(self, view: FleetView, now_us: int) -> None:
        """What is so at the beginning is no change."""
        self.look(view, now_us, None)
        while not self._queue.empty():
            self._queue.get_nowait()

    def _to_look_at(self, view: FleetView, device: str, known: set[str], hosts: frozenset[str] | None) -> set[str]:
        try:
            own, kind = view.home_of(device)
        except UsageError:
            return known
        if self.watch.hosts:
            watched = {view.directory.id_of(name) for name in self.watch.hosts}
        else:
            watched = known | (set(view.offering(kind, self.watch.site)) - {own})
        return watched if hosts is None or own in hosts else (watched & hosts) | (known & hosts)

    def _compare(self, view: FleetView, device: str, to: str, now_us: int) -> None:
        before = self._known.get((device, to))
        try:
            after: Brief | None = view.can_migrate(device, to, now_us=now_us)
        except UsageError:
            after = None
        if after is None:
            self._known.pop((device, to), None)
        else:
            self._known[device, to] = after
        if (before.ruling if before else None) != (after.ruling if after else None):
            self._put(VerdictChange(device, to, before, after, moment_of(now_us)))

    def _put(self, change: VerdictChange | None) -> None:
        try:
            self._queue.put_nowait(change)
        except queue.Full:
            self._missed = True


class Watchers:
    """All subscriptions of a door; ``tell`` is called by the one thread that changes the index."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []

    def subscribe(self, watch: Watch, view: FleetView) -> Subscription:
        """A new one. ``view``: what is so at its beginning."""
        subscription = Subscription(watch, self._ended)
        with self._lock:
            subscription.begin(view, self._now_us())
            self._subscriptions.append(subscription)
        return subscription

    def tell(self, changed: Changed) -> None:
        """The index changed."""
        with self._lock:
            subscriptions = list(self._subscriptions)
            for subscription in subscriptions:
                subscription.look(changed.view, self._now_us(), None if changed.believed else changed.hosts)

    def close(self) -> None:
        """End them all."""
        for subscription in list(self._subscriptions):
            subscription.close()

    def _ended(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
