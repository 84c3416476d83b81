"""Which uevents matter, and what is kept of one. Pure: a hint wakes the reader, it never carries truth.

Kernel sources: drivers/vfio/mdev/mdev_core.c (MDEV_STATE), drivers/base/dd.c (bind, unbind),
Documentation/ABI/testing/sysfs-uevent (synthetic uevents).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mdevreg_agent.attributes import name_of

#: Every uevent of these may change a record: mdevs, their VFIO devices, drivers and modules, s390's parents.
SUBSYSTEMS = frozenset({"mdev", "vfio-dev", "module", "drivers", "ap", "css", "matrix"})
#: A PCI device matters when its driver or its VFs changed (drivers/pci/iov.c emits ``change``).
PCI_ACTIONS = frozenset({"change", "bind", "unbind"})
_MAX_CHARS = 1_024
_MAX_SEQNUM = 2**53 - 1  # of records.Count


class Hint(msgspec.Struct, frozen=True):
    """One uevent worth a look; ``overrun``: some were lost, look at everything."""

    action: str | None
    subsystem: str | None
    device: str | None  # DEVPATH
    seqnum: int | None  # kernel SEQNUM: tells the order even where udevd reorders
    driver: str | None = None  # DRIVER; present on bind, absent on unbind and remove
    overrun: bool = False


#: The kernel dropped events because nobody read them in time (ENOBUFS).
OVERRUN = Hint(action=None, subsystem=None, device=None, seqnum=None, overrun=True)


def hint_of(properties: Mapping[str, str]) -> Hint | None:
    """The hint in a uevent's properties, or ``None`` if no record can depend on that event."""
    if not _matters(properties):
        return None
    return Hint(
        action=_clean(properties.get("ACTION")),
        subsystem=_clean(properties.get("SUBSYSTEM")),
        device=_clean(properties.get("DEVPATH")),
        seqnum=_seqnum(properties.get("SEQNUM", "")),
        driver=_clean(properties.get("DRIVER")),
    )


def _matters(properties: Mapping[str, str]) -> bool:
    if "MDEV_STATE" in properties:  # the parent's own subsystem is its driver's: "mtty", "pci", ...
        return True
    subsystem = properties.get("SUBSYSTEM")
    if subsystem == "pci":
        return properties.get("ACTION") in PCI_ACTIONS
    return subsystem in SUBSYSTEMS


def _clean(text: str | None) -> str | None:
    return name_of(text, _MAX_CHARS) if text else None


def _seqnum(text: str) -> int | None:
    known = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_SEQNUM)) and int(text) <= _MAX_SEQNUM
    return int(text) if known else None
