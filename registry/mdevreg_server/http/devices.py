"""Devices as rows and by name, made of what every door hands out. Pure but for the door."""

from __future__ import annotations

from collections.abc import Iterator

from mdevreg.errors import NotFoundError, UsageError
from mdevreg.facts import HostView, Moment, Side
from mdevreg.nearest import nearest
from mdevreg.query.cursors import Key
from mdevreg.query.door import Door
from mdevreg.query.requests import Ask
from mdevreg.records import Device, Parent
from mdevreg.support import NoSupport
from mdevreg_server.http.models import DeviceRow, DevicesPage, DeviceView, HostsPage
from mdevreg_server.http.paging import page_of

_UNTOLD = NoSupport("nothing_stated", "nothing was concluded")


def hosts_page(door: Door, ask: Ask) -> HostsPage:
    """Some of the hosts, of one site if that is asked."""
    found = door.hosts(ask.moment)
    there = [host for host in found.hosts if ask.site in (None, host.evidence.site)]
    rows, following = page_of(there, lambda host: (0, 0, host.evidence.hostname, host.evidence.host), ask)
    return HostsPage(found.position, rows, following, found.snapshot)


def devices_page(door: Door, ask: Ask) -> DevicesPage:
    """The devices of ``host``, or the one that is named ``name``. Raises ``UsageError``, ``NotFoundError``."""
    if (ask.host is None) == (ask.name is None):
        raise UsageError("name a 'host', to see its devices, or a device by 'name'; one of the two")
    if ask.host is not None:
        view = door.host(ask.host, ask.moment)
        rows = list(_rows(view))
    else:
        source = _source(door, ask.need("name"), ask.moment)
        view = door.host(source.evidence.host, ask.moment)
        rows = [row for row in _rows(view) if (row.parent, row.device) == (source.parent, source.device)]
        if not rows:
            raise NotFoundError("device", ask.need("name"), nearest(ask.need("name"), [r.device for r in _rows(view)]))
    chosen, following = page_of(rows, _key, ask)
    return DevicesPage(view.position, chosen, following, view.snapshot)


def device_view(door: Door, ask: Ask) -> DeviceView:
    """One device by name: an mdev uuid, ``HOST/VF`` or ``HOST/PARENT/TYPE``. Raises ``NotFoundError``."""
    device = ask.need("device")
    pair = door.pair(device, _host_of(door, device, ask.moment), ask.moment)
    return DeviceView(pair.position, pair.source)


def _source(door: Door, device: str, moment: Moment) -> Side:
    return door.pair(device, _host_of(door, device, moment), moment).source


def _host_of(door: Door, device: str, moment: Moment) -> str:
    """A host that a pair can be asked for: its own, since nothing else of it is wanted."""
    host, slash, _ = device.partition("/")
    if slash:
        return host
    try:
        return door.history(device, moment, 1).host
    except NotFoundError:
        return door.candidates(device, moment).source.evidence.host  # raises, and names the nearest devices


def _rows(view: HostView) -> Iterator[DeviceRow]:
    for parent in view.parents:
        for device in parent.devices:
            yield _row(view, parent, device)


def _row(view: HostView, parent: Parent, device: Device) -> DeviceRow:
    driver = device.driver or (parent.driver if device.kind == "mdev" else None)
    return DeviceRow(
        host=view.evidence.host,
        hostname=view.evidence.hostname,
        parent=parent.name,
        device=device.name,
        kind=device.kind,
        type=device.type,
        driver=driver.name if driver is not None else None,
        iommu_group=device.iommu_group,
        support=view.supports.get(f"{parent.name}/{device.name}", _UNTOLD),
    )


def _key(row: DeviceRow) -> Key:
    return (0, 0, row.parent, row.device)
