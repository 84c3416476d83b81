"""Six hosts in memory, one for each way to answer: what the tests of the command line ask about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mdevreg.records import Device, DriverBuild, HostFacts, MdevType, Parent
from support.memory_door import MemoryDoor, MemoryHost, State

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
#: An mtty-1 on alpha; its driver saves stream version 2.
UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#: A mtty-1 on alpha whose type is offered on zeta alone.
LONELY = "0d0f6f24-27f5-4b7e-8d38-6d7c5f7f2002"
PATH = "/devices/virtual/mtty/mtty"


def mtty(version: str | None, minimum: str | None = None, *, free: int | None = 3, devices: int = 0) -> Parent:
    """mtty on a kernel whose driver states these stream versions."""
    kind = MdevType(
        id="mtty-1",
        device_api="vfio-pci",
        name="Single port serial",
        available_instances=free,
        migration_stream_version=version,
        migration_stream_version_min=minimum,
    )
    return Parent(
        path=PATH,
        name="mtty",
        driver=DriverBuild(name="mtty", module="mtty", kernel_release="6.12.0", srcversion=f"SRC{version}"),
        types=(kind,),
        devices=tuple(Device(name=UUID, type="mtty-1") for _ in range(devices)),
    )


def recorded_mtty(*, free: int | None = 3, devices: tuple[Device, ...] = ()) -> Parent:
    """mtty as it was recorded on Debian's 6.12.117: it states nothing, the shipped catalog knows its build."""
    build = DriverBuild(
        name="mtty",
        module="mtty",
        kernel_release="6.12.117+deb12-amd64",
        version="0.1",
        srcversion="0CFBC3668084E605BBD06DA",
    )
    kinds = tuple(MdevType(id=f"mtty-{n}", device_api="vfio-pci", available_instances=free) for n in (1, 2))
    return Parent(path=PATH, name="mtty", driver=build, types=kinds, devices=devices)


def other_parent(kind: str, *, devices: tuple[Device, ...] = ()) -> Parent:
    """A parent that offers another type and states no stream version."""
    return Parent(
        path="/devices/virtual/mdpy/mdpy",
        name="mdpy",
        driver=DriverBuild(name="mdpy", module="mdpy", kernel_release="6.12.117+deb12-amd64"),
        types=(MdevType(id=kind, device_api="vfio-pci"),),
        devices=devices,
    )


def host(name: str, *parents: Parent, seen_s: float = 3.0, kernel: str = "6.12.0") -> MemoryHost:
    """A host that reported two hours ago and was last heard ``seen_s`` ago."""
    facts = HostFacts(hostname=name, site="lab", kernel_release=kernel, os_release={"PRETTY_NAME": "Debian 13"})
    state = State(NOW - timedelta(hours=2), len(name), facts, parents)
    return MemoryHost(id=f"id-{name}", states=(state,), last_seen=NOW - timedelta(seconds=seen_s))


def small_hosts() -> list[MemoryHost]:
    """alpha has the device; beta loads it, gamma is too old, delta is stale, epsilon and zeta don't offer mtty-1."""
    lonely = other_parent("mdpy-hd", devices=(Device(name=LONELY, type="mdpy-hd"),))
    return [
        host("alpha", mtty("2", "1", devices=1)),
        host("beta", mtty("3", "2")),
        host("gamma", mtty("1", free=0)),
        host("delta", mtty("2"), seen_s=4_000.0),
        host("epsilon", other_parent("mdpy-vga")),
        host("zeta", lonely),
    ]


def small_fleet() -> MemoryDoor:
    """A door to them."""
    return MemoryDoor(small_hosts(), clock=lambda: NOW)
