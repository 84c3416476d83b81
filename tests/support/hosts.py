"""Small hosts with mtty cards, for the tests of the registry; and a life drawn from a seed."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Sequence

from mdevreg.records import Device, DriverBuild, HostFacts, MdevType, Parent
from support.publisher import Look, Publisher

ROOT = "/devices/virtual"


def uuid_of(number: int) -> str:
    """The uuid of the n-th mdev."""
    return str(uuid.UUID(int=0x83B8F4F2_509F_482F_8C1E_E6BFE0FA0000 + number))


def random_text(chars: int, seed: int = 1) -> str:
    """Text that no compression makes shorter."""
    return base64.b64encode(random.Random(seed).randbytes(chars)).decode()[:chars]


def mtty(
    name: str = "mtty",
    *,
    version: str | None = "2",
    minimum: str | None = "1",
    free: int | None = 3,
    devices: Sequence[int] = (),
    kind: str = "mtty-1",
) -> Parent:
    """A parent with one type; ``devices`` are numbers of mdevs (``uuid_of``)."""
    offered = MdevType(
        id=kind,
        device_api="vfio-pci",
        available_instances=free,
        migration_stream_version=version,
        migration_stream_version_min=minimum,
    )
    return Parent(
        path=f"{ROOT}/{name}",
        name=name,
        driver=DriverBuild(name="mtty", module="mtty", version=version),
        types=(offered,),
        devices=tuple(Device(name=uuid_of(number), type=kind) for number in devices),
    )


def look(*parents: Parent, hostname: str = "alpha", kernel: str = "6.12.0") -> Look:
    """A host of that name with these parents."""
    facts = HostFacts(hostname=hostname, site="lab", kernel_release=kernel)
    return Look(facts=facts, parents={parent.path: parent for parent in parents})


def some_life(chance: random.Random, looks: int = 6) -> list[Look]:
    """A host over time: parents come, change, go and come back as they were."""
    wardrobe = [
        mtty(name, version=version, free=free, devices=devices)
        for name in ("mtty", "mtty2", "mtty3")
        for version, free, devices in (("1", 3, ()), ("2", 2, (1,)), ("2", 1, (1, 2)))
    ]
    lives = []
    for _ in range(looks):
        worn = chance.sample(wardrobe, chance.randint(0, 4))
        lives.append(look(*worn, kernel=chance.choice(["6.1", "6.12"])))
    return lives


def told(publisher: Publisher, life: Sequence[Look]) -> list[bytes]:
    """The records of a life: a complete snapshot, then changes."""
    records = publisher.snapshot(life[0])
    for each in life[1:]:
        records += publisher.changes(each)
    return records


def crooked(records: Sequence[bytes], chance: random.Random) -> list[list[bytes]]:
    """The same records in any order, some of them twice, cut into batches anywhere."""
    sent = [*records, *chance.sample(list(records), len(records) // 3)]
    chance.shuffle(sent)
    batches: list[list[bytes]] = [[]]
    for record in sent:
        batches[-1].append(record)
        if chance.random() < 0.4:
            batches.append([])
    return [batch for batch in batches if batch]
