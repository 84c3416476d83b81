"""One complete look at a host: everything that a record can hold, read now, under a movable root.

The look is repeated while an mdev has no ``mdev_type`` link yet: the kernel makes it after ``add`` and
``bind`` (drivers/vfio/mdev/mdev_core.c). When an mdev is being removed the link goes first, so its type is
then remembered from the look before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from mdevreg.errors import StateError
from mdevreg.records import MAX_PARENTS, MAX_TYPES, Device, Fault, HostFacts, MdevType, Parent
from mdevreg_agent.discovery import discover
from mdevreg_agent.drivers import Drivers
from mdevreg_agent.host import read_host
from mdevreg_agent.parents import read_parent
from mdevreg_agent.picture import Picture
from mdevreg_agent.tree import Tree

#: What others say of the parents that a look found: the host's facts, its parents; the parents with more in them.
Add = Callable[[HostFacts, tuple[Parent, ...]], tuple[Parent, ...]]


def _as_read(_facts: HostFacts, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
    return parents


def read_picture(
    root: Path,
    *,
    site: str | None = None,
    agent_version: str,
    previous: Picture | None = None,
    retries: int = 5,
    wait: Callable[[], None],
    add: Add = _as_read,
) -> Picture:
    """Look at the host below ``root`` (as in a chroot: ``root/sys``, ``root/proc``, ``root/etc``).

    ``wait`` is called before each of at most ``retries`` further looks, only while some mdev lacks its type
    (10 to 50 ms are apt). ``add`` is called once, for the look that counts; what it raises is raised. Without it two
    looks at the same state are equal, byte for byte. Raises ``StateError`` if there
    is no /sys, and ``UnreadableError`` if a folder that lists devices can't be read: neither is an empty host.
    """
    picture = _look(root, site, agent_version)
    for _ in range(retries):
        if not _lacks_type(picture):
            break
        wait()
        picture = _look(root, site, agent_version)
    picture = _remembering(picture, previous) if previous is not None else picture
    return structs.replace(picture, parents=add(picture.facts, picture.parents))


def _look(root: Path, site: str | None, agent_version: str) -> Picture:
    tree = Tree(root)
    if not tree.is_folder("/sys"):
        raise StateError(f"{root} has no folder sys; expected a root as in a chroot, or / with sysfs mounted")
    facts = read_host(tree, site=site, agent_version=agent_version)
    drivers = Drivers(tree, facts.kernel_release)
    found = discover(tree)
    return Picture(facts=facts, parents=_distinct([read_parent(tree, path, found, drivers) for path in found.parents]))


def _distinct(parents: list[Parent]) -> tuple[Parent, ...]:
    """By path, within the bound of a complete snapshot."""
    by_path = {parent.path: parent for parent in parents}
    kept = [by_path[path] for path in sorted(by_path)][:MAX_PARENTS]
    if len(kept) < len(parents):
        fault = Fault(path="..", error=f"{len(parents) - len(kept)} more parents of this host left out")
        kept[0] = structs.replace(kept[0], faults=(fault, *kept[0].faults[: MAX_TYPES - 1]))
    return tuple(kept)


def _lacks_type(picture: Picture) -> bool:
    return any(device.kind == "mdev" and device.type is None for parent in picture.parents for device in parent.devices)


def _remembering(picture: Picture, previous: Picture) -> Picture:
    before = {parent.path: parent for parent in previous.parents}
    parents = tuple(
        _remembering_parent(parent, before[parent.path]) if parent.path in before else parent
        for parent in picture.parents
    )
    return structs.replace(picture, parents=parents)


def _remembering_parent(parent: Parent, before: Parent) -> Parent:
    types = {device.name: device.type for device in before.devices if device.kind == "mdev"}
    names = {type_.id: type_.name for type_ in before.types}
    return structs.replace(
        parent,
        devices=tuple(_with_type(device, types.get(device.name)) for device in parent.devices),
        types=tuple(_with_name(type_, names.get(type_.id)) for type_ in parent.types),
    )


def _with_type(device: Device, remembered: str | None) -> Device:
    if device.kind == "vf" or device.type is not None or remembered is None:
        return device
    return structs.replace(device, type=remembered)


def _with_name(type_: MdevType, remembered: str | None) -> MdevType:
    """A vGPU type that no free VF can take any more is listed nowhere with its name."""
    if type_.name is not None or remembered is None or not _is_used_up_vgpu(type_):
        return type_
    return structs.replace(type_, name=remembered)


def _is_used_up_vgpu(type_: MdevType) -> bool:
    return type_.id.startswith("nvidia-") and type_.available_instances == 0
