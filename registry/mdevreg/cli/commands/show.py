"""``mdevreg show HOST``."""

from __future__ import annotations

import click

from mdevreg.cli.options import Question
from mdevreg.cli.session import Session
from mdevreg.cli.support_words import learned
from mdevreg.cli.view import Cell, Line, Sheet, View, document_of
from mdevreg.cli.words import clock, doubts, kept, standing, where_read
from mdevreg.facts import HostView
from mdevreg.moments import clock_of
from mdevreg.profiles import Profile, profile_of_device, profile_of_type
from mdevreg.records import Device, Parent
from mdevreg.support import Support, loads_of, saves_of
from mdevreg.times import utc

Supports = dict[str, Support]

_COLUMNS = ("parent", "type", "device", "free", "driver", "version", "device_api", "saves", "loads", "learned")


@click.command(
    "show",
    cls=Question,
    examples=(
        ("mdevreg show alpha", "What alpha offers, and the devices it has."),
        ("mdevreg show alpha --as-of 2026-11-24T10:00:00Z -o json", "The same as of then, with every attribute."),
    ),
)
@click.argument("host")
@click.pass_obj
def command(session: Session, host: str) -> View:
    """Show everything known of one HOST, an id or a host name."""
    moment = session.moment
    with session.door() as door:
        found = door.host(host, moment)
    codes = doubts(found.evidence, session.rules, session.now)
    sheet = Sheet(_COLUMNS, [row for parent in found.parents for row in _rows(parent, found.supports)])
    document = document_of(found, answered_at=clock_of(moment, session.now), as_of=moment.as_of, doubts=codes)
    foot = (*kept(found.retention), where_read(found.position, moment.as_of, found.snapshot))
    return View(document, sheet, head=_head(found, codes), table=sheet, foot=foot)


def _head(found: HostView, codes: tuple[str, ...]) -> tuple[Line, ...]:
    evidence, facts = found.evidence, found.facts
    seen = f", last seen {utc(evidence.last_seen)}" if evidence.last_seen else ""
    lines = [f"{evidence.hostname}: {standing(evidence, codes)}{seen}", f"host id: {evidence.host}"]
    if evidence.missing:
        lines.append(f"missing: {evidence.missing} records never arrived; a complete snapshot took their place")
    if evidence.clock_skew_s is not None:
        lines.append(f"clock: {clock(evidence.clock_skew_s)}; `history` flags its records")
    if facts is not None:
        lines += [f"kernel: {facts.kernel_release or 'not known'}", f"agent: {facts.agent_version or 'not known'}"]
        lines += [f"os: {name}" for name in [facts.os_release.get("PRETTY_NAME")] if name]
    if not found.parents:
        lines.append("no parent device: nothing on this host offers mediated devices")
    if found.pruned:
        names = [parent.name for parent in found.parents if parent.path in found.pruned]
        of = ", ".join([*(["the host itself"] if "" in found.pruned else []), *names])
        lines.append(f"pruned: the documents of {of}; what timelines know is shown")
    faults = sum(len(parent.faults) for parent in found.parents)
    return tuple(
        Line(line) for line in [*lines, *([f"unreadable attributes: {faults} (see -o json)"] if faults else [])]
    )


def _rows(parent: Parent, supports: Supports) -> list[tuple[Cell, ...]]:
    """Its types, each followed by its devices; then the devices of no listed type."""
    listed = {kind.id for kind in parent.types}
    rows: list[tuple[Cell, ...]] = []
    for kind in parent.types:
        known = _known(profile_of_type(parent, kind), supports.get(f"{parent.name}/{kind.id}"))
        rows.append((parent.name, kind.id, None, kind.available_instances, *known))
        rows += [_device(parent, device, supports) for device in parent.devices if device.type == kind.id]
    rows += [_device(parent, device, supports) for device in parent.devices if device.type not in listed]
    return rows or [(parent.name, *(None,) * (len(_COLUMNS) - 1))]


def _device(parent: Parent, device: Device, supports: Supports) -> tuple[Cell, ...]:
    known = _known(profile_of_device(parent, device), supports.get(f"{parent.name}/{device.name}"))
    return (parent.name, device.type, device.name, None, *known)


def _known(profile: Profile, support: Support | None) -> tuple[Cell, ...]:
    driver = profile.driver
    return (
        driver.name if driver else None,
        (driver.version or driver.srcversion) if driver else None,
        profile.device_api,
        saves_of(support),
        loads_of(support),
        learned(support),
    )
