"""The simulated fleet: hosts that look like real ones. Pure, seeded: the same seed gives the same hosts and uuids."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import structs

from mdevreg.records import Device, DriverBuild, HostFacts, MdevType, Parent
from mdevreg_agent.cards import FITTINGS, Build, Card, Type
from mdevreg_agent.picture import Picture

KERNEL_RELEASE = "6.12.117+deb13-amd64"  # a real one, so that the registry's catalog knows its drivers
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "simulated.mdevreg.invalid")


class SimParent(msgspec.Struct, frozen=True):
    """One card in one host. ``release`` indexes its builds; ``None``: the driver is unloaded, the parent gone."""

    card: Card
    release: int | None
    devices: tuple[tuple[str, int], ...] = ()  # (uuid or VF address, index of its type)


class SimHost(msgspec.Struct, frozen=True):
    """One hypervisor. Its parents under one driver share one release: one kernel module serves them all."""

    id: str
    hostname: str
    site: str
    parents: tuple[SimParent, ...]


def fleet(hosts: int, *, seed: int, sites: Sequence[str] = ("a", "b")) -> tuple[SimHost, ...]:
    """``hosts`` hypervisors, spread over ``sites``; ids are uuid5 of seed and number."""
    return tuple(_host(number, seed, sites[number % len(sites)], number // len(sites) + 1) for number in range(hosts))


def picture_of(host: SimHost) -> Picture:
    """What an agent on that host would see."""
    facts = HostFacts(
        hostname=host.hostname,
        site=host.site,
        machine_id=uuid.uuid5(_NAMESPACE, f"machine {host.id}").hex,
        boot_id=str(uuid.uuid5(_NAMESPACE, f"boot {host.id}")),
        kernel_release=KERNEL_RELEASE,
        os_release={"ID": "debian", "VERSION_ID": "13", "PRETTY_NAME": "Debian GNU/Linux 13 (trixie)"},
        agent_version="simulated",
    )
    parents = [
        _parent(parent, parent.card.builds[parent.release]) for parent in host.parents if parent.release is not None
    ]
    return Picture(facts=facts, parents=tuple(sorted(parents, key=lambda parent: parent.path)))


def created(parent: SimParent, chance: random.Random) -> SimParent | None:
    """``parent`` with one more mdev of a type that still fits, or ``None`` if the card is full."""
    fitting = [at for at, type_ in enumerate(parent.card.types) if _free(parent, type_)]
    if not fitting:
        return None
    name = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    return structs.replace(parent, devices=(*parent.devices, (name, chance.choice(fitting))))


def used(parent: SimParent) -> int:
    """How much of the card's capacity is taken."""
    return sum(parent.card.types[type_].units for _, type_ in parent.devices)


def path_of(card: Card) -> str:
    """DEVPATH of a card."""
    return f"{card.folder}/{card.name}"


def chance_of(seed: int, purpose: str) -> random.Random:
    """A source of chance of its own for each purpose, so that one does not shift another."""
    return random.Random(f"{seed} {purpose}")  # noqa: S311  # repeatability is the point, nothing is secret


def _host(number: int, seed: int, site: str, rank: int) -> SimHost:
    host_id = str(uuid.uuid5(_NAMESPACE, f"host {seed} {number}"))
    chance = chance_of(seed, host_id)
    parents = tuple(_fitted(FITTINGS[number % len(FITTINGS)], chance))
    return SimHost(id=host_id, hostname=f"hv-{site}-{rank:02d}", site=site, parents=parents)


def _fitted(cards: Sequence[Card], chance: random.Random) -> Iterator[SimParent]:
    """The cards as found at boot: one release for each driver, rarely the newest."""
    releases: dict[str, int] = {}
    for card in cards:
        drawn = max(0, len(card.builds) - 1 - chance.choice((0, 1, 1, 1, 2)))
        yield _at_boot(card, releases.setdefault(card.driver, drawn), chance)


def _at_boot(card: Card, release: int, chance: random.Random) -> SimParent:
    """A card with a few devices on it."""
    if card.kind == "vf":
        slot = card.name.rpartition(":")[0]
        return SimParent(card, release, tuple((f"{slot}:00.{number + 1}", 0) for number in range(card.capacity)))
    parent = SimParent(card, release)
    for _ in range(chance.randrange(4)):
        parent = created(parent, chance) or parent
    return parent


def _free(parent: SimParent, type_: Type) -> int:
    """``available_instances``: all types share the card; some vendors allow one type at a time."""
    types = {parent.card.types[at].id for _, at in parent.devices}
    if parent.card.one_type_at_a_time and types - {type_.id}:
        return 0
    return (parent.card.capacity - used(parent)) // type_.units


def _parent(parent: SimParent, build: Build) -> Parent:
    card = parent.card
    driver = DriverBuild(
        name=card.driver,
        module=card.driver,
        kernel_release=KERNEL_RELEASE,
        version=build.version,
        srcversion=build.srcversion,
    )
    return Parent(
        path=path_of(card),
        name=card.name,
        subsystem=card.subsystem,
        driver=driver,
        pci=card.pci,
        types=tuple(sorted((_type(parent, type_, build) for type_ in card.types), key=lambda type_: type_.id)),
        devices=tuple(sorted((_device(card, *device) for device in parent.devices), key=lambda device: device.name)),
        attributes=card.attributes,
    )


def _type(parent: SimParent, type_: Type, build: Build) -> MdevType:
    return MdevType(
        id=type_.id,
        device_api="vfio-pci",
        name=type_.name,
        description=type_.description,
        available_instances=_free(parent, type_) if parent.card.kind == "mdev" else None,
        migration_stream_version=build.stream,
        migration_stream_version_min=build.stream_min,
    )


def _device(card: Card, name: str, type_: int) -> Device:
    module = (card.mdev_driver or card.driver).replace("-", "_")
    return Device(
        name=name,
        kind=card.kind,
        type=card.types[type_].id,
        driver=DriverBuild(name=card.mdev_driver or card.driver, module=module, kernel_release=KERNEL_RELEASE),
        iommu_group=100 + uuid.uuid5(_NAMESPACE, name).int % 900,
        pci=card.vf_pci,
    )
