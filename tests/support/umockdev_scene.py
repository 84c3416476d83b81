"""An mdev's life on a pretended host, under ``umockdev-wrapper``; prints the hints that a reader process had of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.umockdev import Testbed

UUID = "00000000-0000-0000-0000-000000000002"
HINTS = 7


def main() -> None:
    testbed = Testbed()
    parent = testbed.add("mtty", "virtual/mtty/mtty")
    unrelated = testbed.add("net", "virtual/net/dummy0")
    reader = subprocess.Popen(
        ["umockdev-wrapper", sys.executable, str(Path(__file__).with_name("print_hints.py")), str(HINTS)],
        env={**os.environ, "UMOCKDEV_DIR": str(testbed.root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    _live(testbed, parent, unrelated)
    print(reader.communicate()[0], end="")


def _live(testbed: Testbed, parent: str, unrelated: str) -> None:
    testbed.emit(parent, "change", MDEV_STATE="registered")
    testbed.emit(parent, "change")  # says nothing of mdevs
    testbed.emit(unrelated, "change")
    mdev = testbed.add("mdev", UUID, parent)
    testbed.emit(mdev, "bind", DRIVER="mtty")
    testbed.emit(mdev, "change")
    testbed.emit(mdev, "unbind")
    testbed.remove(mdev)
    testbed.emit(parent, "change", MDEV_STATE="unregistered")


if __name__ == "__main__":
    main()
