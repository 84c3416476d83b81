"""Small fleets for planning: hosts with one or two parents of one or two types, under drivers of a few versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from mdevreg.fleet import Fleet, FleetView
from mdevreg.planning.cohorts import Cohorts
from mdevreg.planning.goals import Goal, stream_goal
from mdevreg.planning.overlay import Overlay
from mdevreg.planning.selecting import select
from mdevreg.planning.waves.grounds import Grounds
from mdevreg.planning.waves.limits import Limits
from mdevreg.records import Device, DriverBuild, MdevType, Parent
from mdevreg.rules import FLEET, Scope
from mdevreg.times import micros
from support.fleet_model import FleetModel, ModelHost
from support.hosts import ROOT, uuid_of
from support.strategies import NOW

NOW_US = micros(NOW)
#: What drivers load: the stream version is also the driver's; (saves, least loaded).
VERSIONS = ((1, 1), (2, 1), (3, 1), (3, 2), (4, 3))


def parent(
    name: str,
    version: tuple[int, int],
    offers: dict[str, int | None],
    devices: Sequence[tuple[str, int]] = (),
    *,
    driver: str = "mtty",
) -> Parent:
    """A parent. ``offers``: free instances by type; ``devices``: (type, number)."""
    types = tuple(
        MdevType(
            id=kind,
            device_api="vfio-pci",
            available_instances=free,
            migration_stream_version=str(version[0]),
            migration_stream_version_min=str(version[1]),
        )
        for kind, free in sorted(offers.items())
    )
    return Parent(
        path=f"{ROOT}/{name}",
        name=name,
        driver=DriverBuild(name=driver, module=driver, version=str(version[0])),
        types=types,
        devices=tuple(Device(name=uuid_of(number), type=kind) for kind, number in devices),
    )


@st.composite
def fleets(draw: st.DrawFn, *, hosts: int = 4, devices: int = 2) -> list[ModelHost]:
    """Up to so many hosts, each with up to so many devices."""
    numbers: Iterator[int] = iter(range(1, 100))
    found: list[ModelHost] = []
    for at in range(draw(st.integers(3, hosts))):
        version = draw(st.sampled_from(VERSIONS))
        parents = []
        left = draw(st.integers(0, devices))
        for name in ("mtty", "mtty2")[: draw(st.sampled_from((1, 1, 1, 2)))]:
            offers = {
                kind: draw(st.sampled_from((0, 1, 1, 2)))
                for kind in draw(st.sampled_from((("a",), ("a",), ("a", "b"))))
            }
            here = left if name == "mtty2" else draw(st.integers(0, left))
            left -= here
            there = [(draw(st.sampled_from(sorted(offers))), next(numbers)) for _ in range(here)]
            driver = draw(st.sampled_from(("mtty", "other"))) if name == "mtty2" else "mtty"
            parents.append(parent(name, version, dict(offers), there, driver=driver))
        silent = draw(st.sampled_from((*(1.0,) * 15, 9_999.0)))
        site = draw(st.sampled_from(("x", "y")))
        found.append(ModelHost(f"h{at}", f"host-{at}", site=site, parents=tuple(parents), silent_s=silent))
    return found


def view_of(hosts: Sequence[ModelHost]) -> FleetView:
    """The fleet index of some hosts."""
    model, fleet = FleetModel(), Fleet()
    for host in hosts:
        fleet.apply(model.put(host), now_us=NOW_US)
    return fleet.view


def grounds_of(view: FleetView, goal: Goal, where: Scope = FLEET) -> Grounds:
    """What is planned for."""
    overlay = Overlay(view, goal, now_us=NOW_US)
    chosen = frozenset(entry.host for entry in select(view, Cohorts(view), where).hosts_of(view))
    return Grounds(tuple(sorted(view.directory.entries(), key=lambda entry: entry.name)), chosen, overlay)


GOALS = st.sampled_from(
    (
        "saves=4,loads=3..4",
        "saves=4,loads=1..4",
        "saves=3,loads=2..3,format=mtty",
        "saves=2,loads=1..3",
        "saves=4,format=mtty",
        "saves=4,loads=2..4,format=mtty",
    )
)
goals = GOALS.map(stream_goal)


def stated(hosts: int = 3, **limits: object) -> Limits:
    """Limits with so many hosts at once."""
    return Limits(at_once=hosts, **limits)  # type: ignore[arg-type]
