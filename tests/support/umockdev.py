"""umockdev's testbed (libumockdev.so.0) by ctypes: a pretended /sys and uevents, for a real libudev and pyudev.

Both the process that makes the events and the one that reads them run under ``umockdev-wrapper``. Limits: one reader
per testbed; more than about ten unread events abort the controller (net.unix.max_dgram_qlen).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
from pathlib import Path

LIBRARY = "libumockdev.so.0"


def missing() -> str | None:
    """Why umockdev can't be used here; ``None`` if it can."""
    if shutil.which("umockdev-wrapper") is None or ctypes.util.find_library("umockdev") is None:
        return "umockdev is not installed (Debian: apt-get install umockdev libumockdev0)"
    return None


class Testbed:
    """One pretended host; its folder is ``root`` (environment variable UMOCKDEV_DIR of the reader)."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        for function in ("umockdev_testbed_new", "umockdev_testbed_get_root_dir", "umockdev_testbed_add_devicev"):
            getattr(self._library, function).restype = ctypes.c_void_p
        self._testbed = ctypes.c_void_p(self._library.umockdev_testbed_new())
        self.root = Path(_text(self._library.umockdev_testbed_get_root_dir(self._testbed)))

    def add(self, subsystem: str, name: str, parent: str | None = None) -> str:
        """Add a device, which emits ``add``; returns its path (``/sys/devices/...``)."""
        nothing = _strings()
        path = self._library.umockdev_testbed_add_devicev(
            self._testbed, subsystem.encode(), name.encode(), parent.encode() if parent else None, nothing, nothing
        )
        return _text(path)

    def emit(self, device: str, action: str, **properties: str) -> None:
        """One uevent with these properties, which the device has for this event only."""
        uevent = self.root / device[1:] / "uevent"
        before = uevent.read_bytes()
        for key, value in properties.items():
            self._library.umockdev_testbed_set_property(self._testbed, device.encode(), key.encode(), value.encode())
        self._library.umockdev_testbed_uevent(self._testbed, device.encode(), action.encode())
        uevent.write_bytes(before)

    def remove(self, device: str) -> None:
        """Emit ``remove`` and take the device's files away."""
        self._library.umockdev_testbed_uevent(self._testbed, device.encode(), b"remove")
        self._library.umockdev_testbed_remove_device(self._testbed, device.encode())


def _strings(*items: str) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(items) + 1))(*(item.encode() for item in items), None)


def _text(pointer: int) -> str:
    return (ctypes.cast(pointer, ctypes.c_char_p).value or b"").decode()
