"""Waits until an answer turns yes: woken by what the door tells of changes, else asking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mdevreg.compatibility import DEFAULT_RULES, Rules
from mdevreg.errors import NotFoundError, StateError, UnreachableError
from mdevreg.event_filter import EventFilter, EventsAsked, filter_in
from mdevreg.query.door import Door
from mdevreg.query.questions import Answer, can_migrate
from mdevreg.verdict import Outcome

if TYPE_CHECKING:  # they need what the extra [nats] brings
    from mdevreg.query.event_stream import EventStream
    from mdevreg.query.watching import Subscription, Watch

#: Doors that tell of no changes are asked so often; others too, lest something be missed: time turns answers as well.
POLL_S, LOOK_S = 2.0, 15.0
#: After an event, the door may answer of before for a moment.
BEHIND_S, AGAIN_S = 5.0, 0.1


@runtime_checkable
class TellsEvents(Protocol):
    """A door that tells events."""

    def events(self, asked: EventsAsked) -> EventStream:
        """As they are told."""
        ...


@runtime_checkable
class TellsChanges(Protocol):
    """A door that tells changes of verdicts."""

    def subscribe(self, watch: Watch) -> Subscription:
        """As they happen."""
        ...


#: Waits for a change, at most so many seconds; the log position that is worth asking at.
Wake = Callable[[float], int]


def events(door: Door, words: str = "", *, since: int | datetime | None = None) -> EventStream:
    """The events that a door tells, as they are told: iterate, from any thread. Close it, or use it in ``with``.

    ``words``: a filter (``driver.* host=hv-a-*``), see ``mdevreg.event_filter``. ``since``: those after a log position,
    or from a time on; ``None``: from now on. Raises ``UsageError``; ``StateError`` (code NO_EVENTS) for a door that
    tells none, which are all but ``nats://`` and ``replica+nats://``; ``UnreachableError``.
    """
    asked = EventsAsked(filter_in(words), since)
    if not isinstance(door, TellsEvents):
        text = "this door tells no events; open the registry at nats://… or replica+nats://…"
        raise StateError(text, code="NO_EVENTS")
    return door.events(asked)


def can_migrate_when(
    door: Door,
    device: str,
    to: str,
    *,
    clock: Callable[[], datetime],
    wait_s: float | None = None,
    rules: Rules = DEFAULT_RULES,
) -> Answer:
    """``can_migrate`` once it is yes, or the last answer after ``wait_s`` (``None``: however long that takes).

    ``clock``: aware UTC. The first answer raises what ``can_migrate`` raises; later, a registry that is away for a
    while, or a device that is not known meanwhile, is waited for, and raised at the end of the time.
    """
    deadline = None if wait_s is None else time.monotonic() + wait_s
    with _waking(door, device, to) as (wake, every_s):
        answer = can_migrate(door, device, to, now=clock(), rules=rules)
        trouble: Exception | None = None
        while trouble is not None or answer.verdict.outcome is not Outcome.COMPATIBLE:
            left = every_s if deadline is None else min(every_s, deadline - time.monotonic())
            if left <= 0:
                break
            position = wake(left)
            try:
                answer = _answer_at(lambda: can_migrate(door, device, to, now=clock(), rules=rules), position)
                trouble = None
            except (UnreachableError, NotFoundError) as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return answer


def _answer_at(ask: Callable[[], Answer], position: int) -> Answer:
    """An answer of a position or later, if that comes soon."""
    until = time.monotonic() + BEHIND_S
    answer = ask()
    while answer.position < position and time.monotonic() < until:
        time.sleep(AGAIN_S)
        answer = ask()
    return answer


@contextmanager
def _waking(door: Door, device: str, to: str) -> Iterator[tuple[Wake, float]]:
    """How to be woken, and how often to ask whatever happens."""
    if isinstance(door, TellsChanges):
        from mdevreg.query.watching import Watch

        with door.subscribe(Watch((device,), (to.partition("/")[0],))) as subscription:
            yield partial(_changed, subscription), LOOK_S
    elif isinstance(door, TellsEvents):
        try:
            told = door.events(EventsAsked(EventFilter(("driver.*", "offer.*", "pair.*", "host.*"))))
        except (StateError, UnreachableError):  # a registry that tells none, or not to us
            yield _slept, POLL_S
            return
        with told:
            yield partial(_told, told), LOOK_S
    else:
        yield _slept, POLL_S


def _changed(subscription: Subscription, left: float) -> int:
    try:
        change = subscription.get(left)
    except StateError:  # some were missed: that is a reason to ask
        return 0
    return change.after.position if change is not None and change.after is not None else 0


def _told(events_told: EventStream, left: float) -> int:
    event, position = events_told.get(left), 0
    while event is not None:
        position, event = max(position, event.position), events_told.get(0)
    return position


def _slept(left: float) -> int:
    time.sleep(left)
    return 0
