"""A burst of uevents is one look, and its cause tells the truth."""

from __future__ import annotations

import asyncio
import io
import random
import socket
from collections.abc import Callable

from mdevreg.errors import StateError
from mdevreg.records import Cause
from mdevreg_agent.hints import OVERRUN, Hint
from mdevreg_agent.journal import Journal
from mdevreg_agent.wake import Wake
from mdevreg_agent.watch import Watch


def hint(number: int) -> Hint:
    return Hint(action="add", subsystem="mdev", device=f"/devices/p/{number}", seqnum=number)


def woken(say: Callable[[Wake], None], *, quiet_s: float = 0.02, most_s: float = 1.0) -> Cause:
    async def scenario() -> Cause:
        wake = Wake(quiet_s=quiet_s, most_s=most_s, clock=asyncio.get_running_loop().time)
        say(wake)
        return await asyncio.wait_for(wake.burst(), 5)

    return asyncio.run(scenario())


def test_a_burst_has_the_cause_of_its_first_event_and_their_count() -> None:
    """MUST: 64 creates are one look."""

    def say(wake: Wake) -> None:
        for number in range(1, 65):
            wake.hint(hint(number))

    expected = Cause(kind="uevent", action="add", subsystem="mdev", device="/devices/p/1", seqnum=1, events=64)
    assert woken(say) == expected


def test_lost_events_are_never_hidden() -> None:
    """MUST: an overrun is the cause, whatever came with it."""

    def say(wake: Wake) -> None:
        wake.hint(hint(1))
        wake.hint(OVERRUN)
        wake.hint(hint(2))

    assert woken(say) == Cause(kind="overrun", events=2)


def test_a_uevent_tells_more_than_the_timer() -> None:
    """MUST: the periodic rescan does not hide that something happened."""

    def say(wake: Wake) -> None:
        wake.poke("rescan")
        wake.hint(hint(5))

    assert woken(say).kind == "uevent"


def test_an_endless_burst_is_answered_in_time() -> None:
    """MUST: without quiet, a look comes after the longest wait all the same."""

    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        wake, began = Wake(quiet_s=0.2, most_s=0.5, clock=clock), clock()

        async def storm() -> None:
            for number in range(1_000):
                wake.hint(hint(number))
                await asyncio.sleep(0.01)

        storming = asyncio.create_task(storm())
        await wake.burst()
        storming.cancel()
        return clock() - began

    assert 0.45 < asyncio.run(scenario()) < 3.0


def test_what_comes_during_a_look_makes_another() -> None:
    """MUST: an event after the reader began is not swallowed."""

    async def scenario() -> None:
        wake = Wake(quiet_s=0.0, most_s=0.0, clock=asyncio.get_running_loop().time)
        wake.hint(hint(1))
        assert (await wake.burst()).seqnum == 1
        wake.hint(hint(2))
        assert (await asyncio.wait_for(wake.burst(), 5)).seqnum == 2

    asyncio.run(scenario())


class BreaksOnce:
    """A source of hints over a real socket that breaks at its first event, and works when it is opened again."""

    opened = 0

    def __init__(self) -> None:
        BreaksOnce.opened += 1
        self.first = BreaksOnce.opened == 1
        self.mine, self.other = socket.socketpair()
        self.other.send(b"event")

    def fileno(self) -> int:
        return self.mine.fileno()

    def read(self) -> list[Hint]:
        if self.first:
            raise StateError("the uevent socket broke: EIO; open a new monitor")
        self.mine.recv(100)
        return [hint(1)]

    def close(self) -> None:
        self.mine.close()
        self.other.close()


def test_a_monitor_that_breaks_is_opened_again_and_everything_is_looked_at() -> None:
    """MUST: a broken socket neither ends the agent nor makes it spin; what was missed counts as lost events."""

    async def scenario() -> Cause:
        wake = Wake(quiet_s=0.05, most_s=1.0, clock=asyncio.get_running_loop().time)
        said = io.StringIO()
        watch = Watch(open_source=BreaksOnce, wake=wake, journal=Journal(said), chance=random.Random(1))
        watching = asyncio.create_task(watch.run())
        cause = await asyncio.wait_for(wake.burst(), 5)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert said.getvalue().startswith("monitor.failed code=STATE")
        return cause

    assert asyncio.run(scenario()) == Cause(kind="overrun", events=1)
