"""``mdevreg-agent scan``: exactly what would be published, with no broker, no state and no root rights."""

from __future__ import annotations

import json
import time
from pathlib import Path

from mdevreg.records import Parent
from mdevreg_agent.picture import Picture, documents_of
from mdevreg_agent.sysfs import read_picture

READ_RETRY_S = 0.02


def scan(root: Path, *, site: str | None, agent_version: str) -> Picture:
    """One look at the host below ``root``."""
    return read_picture(root, site=site, agent_version=agent_version, wait=lambda: time.sleep(READ_RETRY_S))


def as_json(picture: Picture) -> str:
    """The documents as they are sent: ``{"facts": …, "parents": […]}``."""
    documents = documents_of(picture)
    parents = b",".join(documents.parents[path] for path in documents.parents)
    whole = b'{"facts":%s,"parents":[%s]}' % (documents.facts, parents)
    return json.dumps(json.loads(whole), indent=2, ensure_ascii=False)


def as_table(picture: Picture) -> str:
    """The same for people: the host, then a line per parent, type, device and fault."""
    facts = picture.facts
    lines = [f"host {facts.hostname}  site {facts.site or '-'}  kernel {facts.kernel_release or '-'}"]
    if not picture.parents:
        lines.append("no parents: this host offers no mediated devices and no VFs under VFIO variant drivers")
    for parent in picture.parents:
        lines += _parent_lines(parent)
    return "\n".join(lines)


def _parent_lines(parent: Parent) -> list[str]:
    driver = parent.driver
    build = " ".join(filter(None, (driver.name, driver.version, driver.srcversion))) if driver else "-"
    lines = ["", f"parent {parent.name}  driver {build}  {parent.path}"]
    for kind in parent.types:
        free = "-" if kind.available_instances is None else kind.available_instances
        stream = _stream(kind.migration_stream_version, kind.migration_stream_version_min)
        lines.append(f"  type {kind.id}  {kind.name or '-'}  free {free}  {kind.device_api or '-'}  stream {stream}")
    for device in parent.devices:
        bound = device.driver.name if device.driver else "-"
        lines.append(f"  {device.kind} {device.name}  type {device.type or '-'}  driver {bound}")
    lines += [f"  fault {fault.path}: {fault.error}" for fault in parent.faults]
    return lines


def _stream(version: str | None, lowest: str | None) -> str:
    if version is None:
        return "-"
    return f"{version} (loads from {lowest})" if lowest is not None else version
