"""What timelines still know of a parent whose document was pruned: all that verdicts depend on, and no more."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from mdevreg.profiles import Profile
from mdevreg.records import Device, MdevType, Parent
from mdevreg.support import Support
from mdevreg_server import tables
from mdevreg_server.asking import At
from mdevreg_server.sides import Interned

_free = msgspec.json.Decoder(dict[str, int | None])


def parent_of(
    connection: sa.Connection, host: str, path: str, when: At, interned: Interned
) -> tuple[Parent, dict[str, Support]]:
    """The parent as its rows have it, and what is understood of its types and devices by ``PARENT/NAME``.

    Its faults, descriptions and raw answers are gone; attributes are there as far as profiles have them.
    """
    place = (host, path)
    then = when.rows(tables.Parent, host=host, path=path)
    row = connection.execute(sa.select(then.name, then.free)).one()
    offers = _profiled(connection, tables.Offer, place, when, interned)
    devices = _profiled(connection, tables.Device, place, when, interned)
    offers.sort(key=lambda found: found[0].type)
    devices.sort(key=lambda found: found[0].name)
    free = _free.decode(row.free)
    profiles = [profile for _, profile, _ in (*offers, *devices)]
    parent = Parent(
        path=path,
        name=row.name,
        driver=_driver(profiles, devices),
        types=tuple(_type(each.type, profile, free.get(each.type)) for each, profile, _ in offers),
        devices=tuple(_device(each, profile) for each, profile, _ in devices),
        attributes=profiles[0].attributes if profiles else {},
        nvml=profiles[0].nvml if profiles else None,
    )
    understood = {f"{row.name}/{each.type}": support for each, _, support in offers}
    return parent, understood | {f"{row.name}/{each.name}": support for each, _, support in devices}


def _profiled(
    connection: sa.Connection,
    table: type[tables.Offer | tables.Device],
    place: tuple[str, str],
    when: At,
    interned: Interned,
) -> list[tuple[Any, Profile, Support]]:
    """Rows of a parent, with their profiles and supports."""
    then = when.rows(table, host=place[0], path=place[1])
    there = sa.join(then, tables.Profile, tables.Profile.digest == then.profile)
    columns = [getattr(then, column.name) for column in tables.table_of(table).columns]
    rows = connection.execute(sa.select(*columns, tables.Profile.body).select_from(there))
    return [(row, *interned.get(row.profile, row.body)) for row in rows]


def _driver(profiles: list[Profile], devices: list[tuple[Any, Profile, Support]]) -> Any:
    """The parent's own driver, unless VFs have drivers of theirs: then rows don't tell whose it is."""
    return profiles[0].driver if profiles and all(row.kind == "mdev" for row, _, _ in devices) else None


def _type(name: str, profile: Profile, free: int | None) -> MdevType:
    return MdevType(
        id=name,
        device_api=profile.device_api,
        available_instances=free,
        migration_stream_version=profile.migration_stream_version,
        migration_stream_version_min=profile.migration_stream_version_min,
        migration_version=profile.migration_version,
    )


def _device(row: Any, profile: Profile) -> Device:
    return Device(
        name=row.name,
        kind=row.kind,
        type=row.type,
        driver=profile.driver if row.kind == "vf" else None,
        iommu_group=row.iommu_group,
        pci=profile.pci,
    )
