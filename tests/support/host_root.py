"""A small host below a root of the test's own, with the kernel's sample driver mtty: real files, changed at will."""

from __future__ import annotations

import shutil
from pathlib import Path

MTTY = "/devices/virtual/mtty/mtty"


class HostRoot:
    """``root/sys``, ``root/proc``, ``root/etc``. ``mtty()`` registers the parent, ``create`` an mdev on it."""

    def __init__(
        self,
        root: Path,
        *,
        machine_id: str = "0123456789abcdef0123456789abcdef",
        hostname: str = "hv-test-01",
    ) -> None:
        self.root = root
        self._write("etc/machine-id", machine_id)
        self._write("etc/os-release", 'ID=debian\nVERSION_ID="13"')
        self._write("proc/sys/kernel/hostname", hostname)
        self._write("proc/sys/kernel/osrelease", "6.12.0-test")
        self._write("proc/sys/kernel/random/boot_id", "8f0d5c5e-3f6f-4b8e-9a51-3d3a1c7c0f11")
        (root / "sys/class/mdev_bus").mkdir(parents=True, exist_ok=True)
        (root / "sys/bus/mdev/devices").mkdir(parents=True, exist_ok=True)
        (root / "sys/devices").mkdir(exist_ok=True)

    def mtty(self, *, free: int = 24, version: str = "0.1") -> None:
        """Register the parent."""
        for type_, name, share in (("mtty-1", "Single port serial", 1), ("mtty-2", "Dual port serial", 2)):
            folder = f"sys{MTTY}/mdev_supported_types/{type_}"
            self._write(f"{folder}/name", name)
            self._write(f"{folder}/device_api", "vfio-pci")
            self._write(f"{folder}/available_instances", str(free // share))
        self._write("sys/module/mtty/version", version)
        self._link("sys/class/mdev_bus/mtty", self.root / f"sys{MTTY}")

    def set_free(self, free: int) -> None:
        """What no uevent tells."""
        self._write(f"sys{MTTY}/mdev_supported_types/mtty-1/available_instances", str(free))

    def create(self, uuid: str) -> None:
        """One mdev of type mtty-1."""
        folder = self.root / f"sys{MTTY}/{uuid}"
        folder.mkdir()
        (folder / "mdev_type").symlink_to("../mdev_supported_types/mtty-1")
        self._link(f"sys/bus/mdev/devices/{uuid}", folder)

    def remove(self, uuid: str) -> None:
        """The mdev of that name goes."""
        (self.root / f"sys/bus/mdev/devices/{uuid}").unlink()
        shutil.rmtree(self.root / f"sys{MTTY}/{uuid}")

    def remove_mtty(self) -> None:
        """Unregister the parent."""
        (self.root / "sys/class/mdev_bus/mtty").unlink()
        shutil.rmtree(self.root / f"sys{MTTY}")

    def _write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(text + "\n")
        draft.replace(file)  # sysfs never shows half a value

    def _link(self, path: str, target: Path) -> None:
        link = self.root / path
        if not link.is_symlink():
            link.symlink_to(Path(*[".."] * (len(Path(path).parts) - 1)) / target.relative_to(self.root))
