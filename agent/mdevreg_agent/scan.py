"""``mdevreg-agent scan``: exactly what would be published, with no broker, no state and no root rights."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mdevreg import wire
from mdevreg.records import SCHEMA, Answer, Device, DriverBuild, MdevType, ModuleFile, Parent, VersionRange
from mdevreg_agent.additions import additions_of
from mdevreg_agent.config import Settings
from mdevreg_agent.picture import Picture, documents_of
from mdevreg_agent.plugin_user import hide_memory
from mdevreg_agent.sysfs import read_picture

READ_RETRY_S = 0.02


def scan(settings: Settings, *, agent_version: str) -> Picture:
    """One look at the host below ``settings.root``, NVML and plug-ins included."""
    hide_memory()
    with closing(additions_of(settings, clock=time.monotonic)) as additions:
        return read_picture(
            Path(settings.root),
            site=settings.site,
            agent_version=agent_version,
            wait=lambda: time.sleep(READ_RETRY_S),
            add=additions.added,
        )


def as_json(picture: Picture) -> str:
    """The documents as they are sent: ``{"schema": "1.2", "facts": HostFacts, "parents": [Parent, …]}``, by path."""
    documents = documents_of(picture)
    parents = b",".join(documents.parents[path] for path in documents.parents)
    whole = b'{"schema":"%s","facts":%s,"parents":[%s]}' % (SCHEMA.encode(), documents.facts, parents)
    return json.dumps(json.loads(whole), indent=2, ensure_ascii=False)


def as_table(picture: Picture) -> str:
    """The same for people: the host, then a line per parent, type, device, statement and fault."""
    facts = picture.facts
    lines = [f"host {facts.hostname}  site {facts.site or '-'}  kernel {facts.kernel_release or '-'}"]
    if not picture.parents:
        lines.append("no parents: this host offers no mediated devices and no VFs under VFIO variant drivers")
    for parent in picture.parents:
        lines += ["", *_parent_lines(parent)]
    return "\n".join(lines)


def _parent_lines(parent: Parent) -> Iterator[str]:
    yield f"parent {parent.name}  driver {_build(parent.driver)}  {parent.path}"
    yield from (f"  attribute {path}  {text}" for path, text in sorted(parent.attributes.items()))
    if (nvml := parent.nvml) is not None:
        versions = f"supported {_range(nvml.supported)}  pinned {_range(nvml.pinned)}  gpu {_range(nvml.gpu_range)}"
        yield f"  nvml {nvml.name or '-'}  driver {nvml.driver_version or '-'}  vGPU versions {versions}"
    yield from map(_type_line, parent.types)
    yield from map(_device_line, parent.devices)
    for name, answer in sorted(parent.answers.items()):
        yield from _answer_lines(name, answer)
    yield from (_module_line(name, file) for name, file in sorted(parent.modules.items()))
    yield from (f"  fault {fault.path}: {fault.error}" for fault in parent.faults)


def _type_line(kind: MdevType) -> str:
    free = "-" if kind.available_instances is None else kind.available_instances
    stream = _stream(kind.migration_stream_version, kind.migration_stream_version_min)
    return f"  type {kind.id}  {kind.name or '-'}  free {free}  {kind.device_api or '-'}  stream {stream}"


def _device_line(device: Device) -> str:
    bound = device.driver.name if device.driver else "-"
    guest = f"  guest vGPU version {device.vgpu.guest_version}" if device.vgpu and device.vgpu.guest_version else ""
    return f"  {device.kind} {device.name}  type {device.type or '-'}  driver {bound}{guest}"


def _module_line(name: str, file: ModuleFile) -> str:
    said = " ".join(filter(None, (file.version, file.srcversion))) or file.error or "states no version"
    return f"  module {name}  on disk {said}  {file.path or '-'}"


def _answer_lines(name: str, answer: Answer) -> Iterator[str]:
    """A statement is shown as it was made: what it means, the registry says."""
    said = [("all", answer.all)] if answer.all is not None else []
    said += [(f"type {kind}", statement) for kind, statement in sorted(answer.types.items())]
    said += [(f"device {device}", statement) for device, statement in sorted(answer.devices.items())]
    yield from (f"  plug-in {name}  {what}  {wire.encode(statement).decode()}" for what, statement in said)


def _build(driver: DriverBuild | None) -> str:
    return " ".join(filter(None, (driver.name, driver.version, driver.srcversion))) if driver else "-"


def _range(found: VersionRange | None) -> str:
    return f"{found.minimum}..{found.maximum}" if found else "-"


def _stream(version: str | None, lowest: str | None) -> str:
    if version is None:
        return "-"
    return f"{version} (loads from {lowest})" if lowest is not None else version
